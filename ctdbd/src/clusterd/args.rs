//! The command line, as ctdbd writes it.

use std::ffi::OsString;
use std::path::PathBuf;

use wire::Pnn;

/// What ctdbd tells its cluster daemon. The rest is in ctdb.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// This node.
    pub pnn: Pnn,
    /// ctdbd's socket, if it is not in its usual place.
    pub socket: Option<PathBuf>,
}

/// A command line that ctdbd did not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Something that is no option.
    #[error("unknown argument {0:?}")]
    Unknown(OsString),
    /// Nothing, or nonsense, behind an option.
    #[error("{0} needs a value")]
    Value(&'static str),
    /// The one that must be there.
    #[error("--pnn is missing")]
    NoPnn,
}

impl Args {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// [`ArgsError`].
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, ArgsError> {
        let mut args = args.into_iter();
        let (mut pnn, mut socket) = (None, None);
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--pnn") => {
                    let number = args.next().and_then(|value| value.to_str()?.parse().ok());
                    pnn = Some(Pnn(number.ok_or(ArgsError::Value("--pnn"))?));
                }
                Some("--socket") => {
                    let path = args.next().ok_or(ArgsError::Value("--socket"))?;
                    socket = Some(PathBuf::from(path));
                }
                _ => return Err(ArgsError::Unknown(arg)),
            }
        }
        Ok(Self {
            pnn: pnn.ok_or(ArgsError::NoPnn)?,
            socket,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, ArgsError> {
        Args::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn arguments_are_read_in_any_order() {
        let socket = Some(PathBuf::from("/s"));
        let expected = Ok(Args {
            pnn: Pnn(3),
            socket,
        });
        assert_eq!(parse(&["--pnn", "3", "--socket", "/s"]), expected);
        assert_eq!(parse(&["--socket", "/s", "--pnn", "3"]), expected);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse(&[]), Err(ArgsError::NoPnn));
        assert_eq!(parse(&["--pnn", "x"]), Err(ArgsError::Value("--pnn")));
        assert_eq!(
            parse(&["--pnn", "1", "--socket"]),
            Err(ArgsError::Value("--socket"))
        );
        assert_eq!(parse(&["-d"]), Err(ArgsError::Unknown("-d".into())));
    }
}

//! The command line, as ctdbd writes it: all that ctdb.conf says to the cluster manager. The file itself is read once, by
//! ctdbd; a manager that is started again later must not find another cluster lock there, or a mistake.

use std::ffi::OsString;
use std::path::PathBuf;

use std::time::Duration;

use config::conf::Cluster;
use config::{ClusterLock, Etcd};
use wire::Pnn;

/// What ctdbd tells its cluster daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// This node.
    pub pnn: Pnn,
    /// ctdbd's socket, if it is not in its usual place.
    pub socket: Option<PathBuf>,
    /// `cluster lock`, if there is one.
    pub cluster_lock: Option<ClusterLock>,
    /// `leader timeout`.
    pub leader_timeout: Duration,
    /// `leader capability`.
    pub leader_capability: bool,
    /// `failover: disabled`.
    pub failover_disabled: bool,
    /// The options of `manager = etcd`, and which life of ctdbd it is.
    pub etcd: Option<(Etcd, u64)>,
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
        let (mut pnn, mut socket, mut failover_disabled) = (None, None, false);
        let (mut etcd, mut incarnation) = (Etcd::default(), None);
        let Cluster {
            mut cluster_lock,
            mut leader_timeout,
            mut leader_capability,
            ..
        } = Cluster::default();
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
                Some("--cluster-lock") => {
                    let lock = args.next().and_then(|text| text.to_str()?.parse().ok());
                    cluster_lock = Some(lock.ok_or(ArgsError::Value("--cluster-lock"))?);
                }
                Some("--leader-timeout") => {
                    let seconds = args.next().and_then(|text| text.to_str()?.parse().ok());
                    let seconds = seconds.ok_or(ArgsError::Value("--leader-timeout"))?;
                    leader_timeout = Duration::from_secs(seconds);
                }
                Some("--incarnation") => {
                    let number = args.next().and_then(|value| value.to_str()?.parse().ok());
                    incarnation = Some(number.ok_or(ArgsError::Value("--incarnation"))?);
                }
                Some(option) if option.starts_with("--etcd-") => {
                    let value = args.next();
                    if !value.is_some_and(|value| etcd.take(option, &value)) {
                        return Err(ArgsError::Unknown(arg));
                    }
                }
                Some("--no-leader") => leader_capability = false,
                Some("--no-failover") => failover_disabled = true,
                _ => return Err(ArgsError::Unknown(arg)),
            }
        }
        Ok(Self {
            pnn: pnn.ok_or(ArgsError::NoPnn)?,
            socket,
            cluster_lock,
            leader_timeout,
            leader_capability,
            failover_disabled,
            etcd: incarnation.map(|incarnation| (etcd, incarnation)),
        })
    }

    /// The words that [`Args::parse`] reads.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--pnn".into(), self.pnn.to_string().into()];
        let seconds = self.leader_timeout.as_secs().to_string();
        words.extend(["--leader-timeout".into(), seconds.into()]);
        if let Some(socket) = &self.socket {
            words.extend(["--socket".into(), socket.into()]);
        }
        if let Some(lock) = &self.cluster_lock {
            words.extend(["--cluster-lock".into(), lock.text().into()]);
        }
        if !self.leader_capability {
            words.push("--no-leader".into());
        }
        if let Some((etcd, incarnation)) = &self.etcd {
            words.extend(["--incarnation".into(), incarnation.to_string().into()]);
            words.extend(etcd.words());
        }
        if self.failover_disabled {
            words.push("--no-failover".into());
        }
        words
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
            cluster_lock: None,
            leader_timeout: Duration::from_secs(5),
            leader_capability: true,
            failover_disabled: false,
            etcd: None,
        });
        assert_eq!(parse(&["--pnn", "3", "--socket", "/s"]), expected);
        assert_eq!(parse(&["--socket", "/s", "--pnn", "3"]), expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let args = Args {
            pnn: Pnn(1),
            socket: None,
            cluster_lock: Some("!/bin/lock a".parse().unwrap()),
            leader_timeout: Duration::from_secs(9),
            leader_capability: false,
            failover_disabled: true,
            etcd: Some((
                Etcd {
                    endpoints: config::etcd::endpoints("http://a:1").unwrap(),
                    ..Etcd::default()
                },
                u64::MAX,
            )),
        };
        assert_eq!(Args::parse(args.words()), Ok(args));
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

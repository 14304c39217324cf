//! ctdbd's command line, read as popt reads it for 4.17: the same options, texts and exit statuses, and one option more.

use crate::logging::{Format, UnknownFormat};

/// What `--help` prints: C's lines, and those of `--log-format`.
pub const HELP: &str = "\
Usage: [OPTION...]
  -i, --interactive     don't fork, log to stderr
      --log-format=FORMAT
                        text, the default, or json: a JSON object in each line
                        (CTDB_LOG_FORMAT in the environment does the same)

Help options:
  -?, --help            Show this help message
      --usage           Display brief usage message
";
/// What `--usage` prints.
pub const USAGE: &str =
    "Usage: [-?i] [-?|--help] [--usage] [-i|--interactive] [--log-format=FORMAT]\n";

/// How the daemon is to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Do not fork, and log to standard error.
    pub interactive: bool,
    /// The log's format, if one is asked for.
    pub log_format: Option<Format>,
}

/// What a command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Run.
    Run(Options),
    /// Print this and succeed.
    Print(&'static str),
    /// Something stands there that is no option: print the help and fail.
    Extra,
}

/// A command line that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// No such option.
    #[error("Invalid option {0}: unknown option")]
    Unknown(String),
    /// A value where none belongs.
    #[error("Invalid option {0}: option does not take an argument")]
    NoValue(String),
    /// No value where one belongs.
    #[error("Invalid option {0}: missing argument")]
    Missing(String),
    /// A value that means nothing.
    #[error("Invalid option {option}: {error}")]
    Format {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        error: UnknownFormat,
    },
}

const LOG_FORMAT: &str = "--log-format";

/// Reads the arguments, without the program's name. Options count wherever they stand before `--`; the first that asks for
/// help wins over all that is wrong behind it.
///
/// # Errors
/// [`ArgumentError`], for the first option that is wrong.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, ArgumentError> {
    let mut arguments = arguments.into_iter();
    let mut options = Options::default();
    let mut extra = false;
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            extra |= arguments.next().is_some();
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            match (name, value) {
                ("interactive", None) => options.interactive = true,
                ("help", None) => return Ok(Command::Print(HELP)),
                ("usage", None) => return Ok(Command::Print(USAGE)),
                ("interactive" | "help" | "usage", Some(_)) => {
                    return Err(ArgumentError::NoValue(argument));
                }
                ("log-format", Some(value)) => options.log_format = Some(format(value)?),
                ("log-format", None) => {
                    let value = arguments.next().ok_or(ArgumentError::Missing(argument))?;
                    options.log_format = Some(format(&value)?);
                }
                _ => return Err(ArgumentError::Unknown(argument)),
            }
        } else if let Some(letters) = argument.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            for letter in letters.chars() {
                match letter {
                    'i' => options.interactive = true,
                    '?' => return Ok(Command::Print(HELP)),
                    _ => return Err(ArgumentError::Unknown(argument)),
                }
            }
        } else {
            extra = true;
        }
    }
    Ok(if extra {
        Command::Extra
    } else {
        Command::Run(options)
    })
}

fn format(text: &str) -> Result<Format, ArgumentError> {
    let option = LOG_FORMAT;
    text.parse()
        .map_err(|error| ArgumentError::Format { option, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Command, String> {
        parse(words.split_whitespace().map(str::to_owned)).map_err(|error| error.to_string())
    }

    fn run(interactive: bool, log_format: Option<Format>) -> Result<Command, String> {
        Ok(Command::Run(Options {
            interactive,
            log_format,
        }))
    }

    #[test]
    fn what_c_takes() {
        assert_eq!(parsed(""), run(false, None));
        assert_eq!(parsed("--"), run(false, None));
        for words in ["-i", "--interactive", "-ii", "-i --"] {
            assert_eq!(parsed(words), run(true, None), "{words}");
        }
        for words in ["-?", "--help", "-i -?", "-?i", "-?x", "foo --help", "-? -x"] {
            assert_eq!(parsed(words), Ok(Command::Print(HELP)), "{words}");
        }
        assert_eq!(parsed("--usage"), Ok(Command::Print(USAGE)));
        for words in ["foo", "-i foo", "-", "-- foo", "-- -i"] {
            assert_eq!(parsed(words), Ok(Command::Extra), "{words}");
        }
    }

    #[test]
    fn what_c_refuses() {
        for option in [
            "--version",
            "-V",
            "-x",
            "--foo",
            "--inter",
            "-ix",
            "--foo=bar",
            "---",
        ] {
            let text = format!("Invalid option {option}: unknown option");
            assert_eq!(parsed(option), Err(text));
        }
        for option in ["--interactive=3", "--help=1"] {
            let text = format!("Invalid option {option}: option does not take an argument");
            assert_eq!(parsed(option), Err(text));
        }
    }

    #[test]
    fn the_log_format() {
        let json = Some(Format::Json);
        assert_eq!(parsed("--log-format=json -i"), run(true, json));
        assert_eq!(parsed("--log-format json"), run(false, json));
        assert_eq!(
            parsed("--log-format"),
            Err("Invalid option --log-format: missing argument".into())
        );
        assert_eq!(
            parsed("--log-format=xml"),
            Err("Invalid option --log-format: \"xml\" is no log format: text or json".into())
        );
    }
}

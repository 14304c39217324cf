//! Log levels and log locations (`common/logging.c`, 4.17.12).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A debug level as it goes over the wire: 0 to 10, though the protocol carries any number.
///
/// Five of them have names; the numbers between count as the named level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogLevel(pub i32);

impl LogLevel {
    /// Things that need an administrator.
    pub const ERROR: Self = Self(0);
    /// Things that may.
    pub const WARNING: Self = Self(1);
    /// ctdbd's default.
    pub const NOTICE: Self = Self(3);
    /// More.
    pub const INFO: Self = Self(5);
    /// Everything.
    pub const DEBUG: Self = Self(10);

    /// Name for each level from 0 to 10.
    const NAMES: [&'static str; 11] = [
        "ERROR", "WARNING", "WARNING", "NOTICE", "NOTICE", "INFO", "INFO", "INFO", "INFO", "INFO",
        "DEBUG",
    ];

    /// The five levels with names of their own, most urgent first.
    pub const NAMED: [Self; 5] = [
        Self::ERROR,
        Self::WARNING,
        Self::NOTICE,
        Self::INFO,
        Self::DEBUG,
    ];

    /// The level's name; "UNKNOWN" for a number that is no level, as `ctdb getdebug` prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        usize::try_from(self.0)
            .ok()
            .and_then(|level| Self::NAMES.get(level).copied())
            .unwrap_or("UNKNOWN")
    }

    /// The named level that this one counts as: above 10 everything, below 0 errors only.
    #[must_use]
    pub fn rounded(self) -> Self {
        let at_most = |named: &&Self| named.0 <= self.0;
        let found = Self::NAMED.iter().rev().find(at_most);
        found.copied().unwrap_or(Self::ERROR)
    }

    /// The priority of syslog(3), 3 (error) to 7 (debug), for messages of this level.
    #[must_use]
    pub fn syslog_priority(self) -> u8 {
        match self.0 {
            0 => 3,
            1 => 4,
            2..=5 => 5,
            6..=9 => 6,
            _ => 7,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is neither a number from 0 to 10 nor the beginning of a level's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a log level")]
pub struct UnknownLevel(pub String);

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    /// Names may be shortened and in any case ("warn"), as in C.
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let level = if text.starts_with(|c: char| c.is_ascii_digit()) {
            let end = text.find(|c: char| !c.is_ascii_digit());
            let number = text[..end.unwrap_or(text.len())].parse::<usize>().ok();
            number.filter(|&level| level < Self::NAMES.len())
        } else {
            let wanted = text.to_ascii_uppercase();
            Self::NAMES
                .iter()
                .position(|name| name.starts_with(&wanted))
        };
        level
            .and_then(|level| i32::try_from(level).ok())
            .map(Self)
            .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// Where a daemon writes its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:` or `file:-`.
    Stderr,
    /// `file:PATH`.
    File(PathBuf),
    /// `syslog`: the syslog(3) call, which blocks when the log daemon does not keep up.
    Syslog,
    /// `syslog:nonblocking`: datagrams to /dev/log, dropped and counted when it is full.
    SyslogNonblocking,
    /// `syslog:udp`: RFC 3164 to 127.0.0.1 port 514, not blocking.
    SyslogUdp,
    /// `syslog:udp-rfc5424`: the same in the newer format.
    SyslogUdpRfc5424,
}

/// A log location that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Neither `file` nor `syslog`, or a syslog method that does not exist.
    #[error("Invalid logging option '{0}'")]
    Unknown(String),
    /// The folder of a log file is not there, or is none.
    #[error("no directory {0} to log to")]
    NoDirectory(PathBuf),
}

impl Location {
    /// Whether a log file can be made there: its folder must exist. C asks the same when it
    /// reads ctdb.conf.
    ///
    /// # Errors
    /// [`LocationError::NoDirectory`].
    pub fn check(&self) -> Result<(), LocationError> {
        let Self::File(file) = self else {
            return Ok(());
        };
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        match folder.is_dir() {
            true => Ok(()),
            false => Err(LocationError::NoDirectory(folder.to_owned())),
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    /// As C takes it apart: between colons, where several count as one and what stands behind the second part is ignored.
    fn from_str(text: &str) -> Result<Self, LocationError> {
        let mut parts = text.split(':').filter(|part| !part.is_empty());
        let (backend, option) = (parts.next(), parts.next());
        match (backend.unwrap_or_default(), option.unwrap_or_default()) {
            ("file", "" | "-") => Ok(Self::Stderr),
            ("file", path) => Ok(Self::File(path.into())),
            ("syslog", "") => Ok(Self::Syslog),
            ("syslog", "nonblocking") => Ok(Self::SyslogNonblocking),
            ("syslog", "udp") => Ok(Self::SyslogUdp),
            ("syslog", "udp-rfc5424") => Ok(Self::SyslogUdpRfc5424),
            _ => Err(LocationError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("file:"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Syslog => f.write_str("syslog"),
            Self::SyslogNonblocking => f.write_str("syslog:nonblocking"),
            Self::SyslogUdp => f.write_str("syslog:udp"),
            Self::SyslogUdpRfc5424 => f.write_str("syslog:udp-rfc5424"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(text: &str) -> Option<i32> {
        text.parse().ok().map(|LogLevel(level)| level)
    }

    #[test]
    fn level_names_and_numbers() {
        for named in LogLevel::NAMED {
            assert_eq!(level(named.name()), Some(named.0));
        }
        assert_eq!(level("warn"), Some(1));
        assert_eq!(level("N"), Some(3));
        assert_eq!(level("7"), Some(7));
        assert_eq!(level("3x"), Some(3));
        assert_eq!(level("11"), None);
        assert_eq!(level("high"), None);
        assert_eq!(LogLevel(7).name(), "INFO");
        assert_eq!(LogLevel(-1).name(), "UNKNOWN");
    }

    #[test]
    fn levels_round_down() {
        let rounded = |level| LogLevel(level).rounded();
        assert_eq!(rounded(2), LogLevel::WARNING);
        assert_eq!(rounded(9), LogLevel::INFO);
        assert_eq!(rounded(99), LogLevel::DEBUG);
        assert_eq!(rounded(-3), LogLevel::ERROR);
    }

    #[test]
    fn locations_both_ways() {
        for text in [
            "file:",
            "file:/var/log/ctdb/log.ctdb",
            "syslog",
            "syslog:nonblocking",
            "syslog:udp",
            "syslog:udp-rfc5424",
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        assert_eq!("file:-".parse(), Ok(Location::Stderr));
        assert_eq!("file".parse(), Ok(Location::Stderr));
        assert_eq!("syslog:udp:x".parse(), Ok(Location::SyslogUdp));
        assert_eq!("file:/x:y".parse(), Ok(Location::File("/x".into())));
        for text in ["syslog:magic", "foo", "", "/var/log/x"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_log_file_needs_a_folder() {
        assert!(Location::File("/nonexistent/log".into()).check().is_err());
        assert!(Location::File("log".into()).check().is_ok());
        assert!(Location::Syslog.check().is_ok());
    }
}

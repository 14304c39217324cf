//! Where lines go: standard error, a file, the system's log daemon.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use config::{Location, LogLevel};
use sys::LocalTime;
use sys::syslog::{Method, Syslog};

use super::line::Who;

/// An open log.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File(Arc<LogFile>),
    Syslog(Mutex<Syslog>),
}

impl Sink {
    /// `follow`: nobody tells this process when the file is moved away, so it looks for itself.
    pub(super) fn open(location: &Location, program: &str, follow: bool) -> io::Result<Self> {
        let syslog = |method| {
            let connected = Syslog::connect(method, program);
            connected
                .map(|syslog| Self::Syslog(Mutex::new(syslog)))
                .map_err(|error| named("cannot log to syslog", &error))
        };
        match location {
            Location::Stderr => Ok(Self::Stderr),
            Location::File(path) => Ok(Self::File(Arc::new(LogFile::open(path, follow)?))),
            Location::Syslog => syslog(Method::Blocking),
            Location::SyslogNonblocking => syslog(Method::Nonblocking),
            Location::SyslogUdp => syslog(Method::Udp),
            Location::SyslogUdpRfc5424 => syslog(Method::UdpRfc5424),
        }
    }

    pub(super) fn file(&self) -> Option<Arc<LogFile>> {
        match self {
            Self::File(file) => Some(file.clone()),
            Self::Stderr | Self::Syslog(_) => None,
        }
    }

    /// Writes one line of text with what belongs in front of it: on standard error nothing, as in C, else whose line it is.
    pub(super) fn write_text(&self, who: &Who, now: LocalTime, level: LogLevel, line: &str) {
        match self {
            Self::Stderr => write_stderr(line),
            Self::File(file) => file.write_line(&format!("{}{line}", who.header(now))),
            Self::Syslog(syslog) => send(syslog, level, line),
        }
    }

    /// Writes a line as it is.
    pub(super) fn write_raw(&self, level: LogLevel, line: &str) {
        match self {
            Self::Stderr => write_stderr(line),
            Self::File(file) => file.write_line(line),
            Self::Syslog(syslog) => send(syslog, level, line),
        }
    }
}

fn write_stderr(line: &str) {
    // nobody is there to be told
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn send(syslog: &Mutex<Syslog>, level: LogLevel, line: &str) {
    let mut syslog = syslog.lock().unwrap_or_else(PoisonError::into_inner);
    // a log daemon that is gone may come back; until then there is nowhere to say it
    let _ = syslog.log(level.syslog_priority(), line);
}

/// A log file, and where it is. Each line is one write to a file that is open for appending, so processes can share it.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: RwLock<File>,
    follow: bool,
}

impl LogFile {
    fn open(path: &Path, follow: bool) -> io::Result<Self> {
        let file = RwLock::new(open_file(path)?);
        Ok(Self {
            path: path.to_owned(),
            file,
            follow,
        })
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        let file = open_file(&self.path)?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    /// Whether the file that is open is no longer the one of that name.
    fn has_moved(&self) -> bool {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        match (file.metadata(), self.path.metadata()) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) != (named.dev(), named.ino()),
            _ => true,
        }
    }

    fn write_line(&self, line: &str) {
        if self.follow && self.has_moved() {
            // where there is no opening it the old one is better than none
            let _ = self.reopen();
        }
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = (&*file).write_all(format!("{line}\n").as_bytes()) {
            // a full disk must not take the last words with it
            write_stderr(&format!("cannot write the log: {error}: {line}"));
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| named(&format!("cannot open the log {}", path.display()), &error))
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_finds_the_new_file_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (follow, new) in [(true, "second\n"), (false, "")] {
            let log = LogFile::open(&path, follow).unwrap();
            log.write_line("first");
            std::fs::rename(&path, folder.path().join("log.1")).unwrap();
            log.write_line("second");
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(found, new);
            drop(std::fs::remove_file(&path));
        }
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let location = Location::File("/nonexistent/log".into());
        let error = Sink::open(&location, "ctdbd", false).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/log"), "{error}");
    }
}

//! The log of all our processes: tracing events as lines in a file, on standard error or to syslog.
//!
//! | tracing | CTDB |
//! |---|---|
//! | ERROR | ERROR |
//! | WARN | WARNING |
//! | INFO | NOTICE, the default |
//! | DEBUG | INFO |
//! | TRACE | DEBUG |
//!
//! A line in a file is as in 4.17 (seen in Debian's `log.ctdb`), but always in UTC:
//!
//! ```text
//! 2026-11-23T00:50:16.941346+00:00 HOST ctdbd[8]: text key=value
//! ```
//!
//! Each line is one write to a file that is open for appending, so processes can share it.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::conf::Logging;
use config::{Location, LogLevel, Paths};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Where the system's log daemon listens (_PATH_LOG).
const DEV_LOG: &str = "/dev/log";
/// LOG_DAEMON of syslog(3), in its place.
const FACILITY: u8 = 3 << 3;

/// Changes the log while the program runs: its level (`ctdb setdebug`), and its file after it was renamed (SIGHUP).
/// Clones share it.
#[derive(Clone, Debug)]
pub struct LogHandle {
    level: Arc<AtomicI32>,
    file: Option<Arc<LogFile>>,
}

impl LogHandle {
    /// Opens the log file again by its name, where the log is a file: logrotate has moved the old one away.
    ///
    /// # Errors
    /// If there is no opening it; the old file is written on.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.reopen())
    }

    /// The level, as it was set.
    #[must_use]
    pub fn get(&self) -> LogLevel {
        LogLevel(self.level.load(Ordering::Relaxed))
    }

    /// Sets another.
    pub fn set(&self, level: LogLevel) {
        if self.level.swap(level.0, Ordering::Relaxed) != level.0 {
            tracing::callsite::rebuild_interest_cache();
        }
    }

    fn filter(&self) -> LevelFilter {
        match self.get().rounded() {
            LogLevel::ERROR => LevelFilter::ERROR,
            LogLevel::WARNING => LevelFilter::WARN,
            LogLevel::NOTICE => LevelFilter::INFO,
            LogLevel::INFO => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

/// The level of ctdb.conf that an event has.
fn level_of(level: &Level) -> LogLevel {
    match *level {
        Level::ERROR => LogLevel::ERROR,
        Level::WARN => LogLevel::WARNING,
        Level::INFO => LogLevel::NOTICE,
        Level::DEBUG => LogLevel::INFO,
        Level::TRACE => LogLevel::DEBUG,
    }
}

/// Sets up logging for the whole process, once. `program` is the name in each line.
///
/// # Errors
/// If the log file or the syslog socket cannot be opened, or logging was set up before.
pub fn init(logging: &Logging, paths: &Paths, program: &str) -> io::Result<LogHandle> {
    let hostname = match paths.log_hostname() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => nix::unistd::gethostname()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    };
    let sink = Sink::open(&logging.location)?;
    let handle = LogHandle {
        level: Arc::new(AtomicI32::new(logging.level_for_daemon().0)),
        file: sink.file(),
    };
    let layer = LogLayer {
        handle: handle.clone(),
        sink,
        name: Name {
            hostname,
            program: program.to_owned(),
        },
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(handle)
}

/// Who writes.
#[derive(Debug)]
struct Name {
    hostname: String,
    program: String,
}

#[derive(Debug)]
struct LogLayer {
    handle: LogHandle,
    sink: Sink,
    name: Name,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // asked again whenever the level changes
        if *metadata.level() <= self.handle.filter() {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.handle.filter()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.handle.filter())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.sink.write(
            &self.name,
            level_of(event.metadata().level()),
            &text.finish(),
        );
    }
}

/// Collects an event's message and, behind it, its fields.
#[derive(Debug, Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        let end = self.message.trim_end_matches('\n').len();
        self.message.truncate(end);
        self.message
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // writing to a string does not fail
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// Where lines go.
#[derive(Debug)]
enum Sink {
    Stderr,
    File(Arc<LogFile>),
    Syslog {
        socket: SyslogSocket,
        format: Format,
        dropped: AtomicU64,
    },
}

#[derive(Debug)]
enum SyslogSocket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

/// The two formats of `common/logging.c`, 4.17.12; the first has no time and no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Rfc3164,
    Rfc5424,
}

impl Sink {
    fn open(location: &Location) -> io::Result<Self> {
        let syslog = |socket, format| Self::Syslog {
            socket,
            format,
            dropped: AtomicU64::new(0),
        };
        Ok(match location {
            Location::Stderr => Self::Stderr,
            Location::File(path) => Self::File(Arc::new(LogFile::open(path)?)),
            Location::Syslog => syslog(dev_log(false)?, Format::Rfc3164),
            Location::SyslogNonblocking => syslog(dev_log(true)?, Format::Rfc3164),
            Location::SyslogUdp => syslog(udp()?, Format::Rfc3164),
            Location::SyslogUdpRfc5424 => syslog(udp()?, Format::Rfc5424),
        })
    }

    fn file(&self) -> Option<Arc<LogFile>> {
        match self {
            Self::File(file) => Some(file.clone()),
            Self::Stderr | Self::Syslog { .. } => None,
        }
    }

    fn write(&self, name: &Name, level: LogLevel, text: &str) {
        match self {
            Self::Stderr => {
                let _ = io::stderr().write_all(name.line(SystemTime::now(), text).as_bytes());
            }
            Self::File(file) => {
                let line = name.line(SystemTime::now(), text);
                if let Err(error) = file.write(line.as_bytes()) {
                    // a full disk must not take the last words with it
                    let _ = writeln!(io::stderr(), "cannot write the log: {error}: {text}");
                }
            }
            Self::Syslog {
                socket,
                format,
                dropped,
            } => {
                socket.log(name, *format, level, text, dropped);
            }
        }
    }
}

/// A log file, and where it is.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: RwLock<File>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = RwLock::new(open_file(path)?);
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn reopen(&self) -> io::Result<()> {
        let file = open_file(&self.path)?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        (&*file).write_all(line)
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot open the log {}: {error}", path.display()),
            )
        })
}

fn dev_log(nonblocking: bool) -> io::Result<SyslogSocket> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(DEV_LOG).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot log to syslog at {DEV_LOG}: {error}"),
        )
    })?;
    socket.set_nonblocking(nonblocking)?;
    Ok(SyslogSocket::Unix(socket))
}

fn udp() -> io::Result<SyslogSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, 514))?;
    socket.set_nonblocking(true)?;
    Ok(SyslogSocket::Udp(socket))
}

impl SyslogSocket {
    /// Sends one message. What a full socket refuses is counted, and the count sent first later on.
    fn log(&self, name: &Name, format: Format, level: LogLevel, text: &str, dropped: &AtomicU64) {
        let before = dropped.swap(0, Ordering::Relaxed);
        let note = format!("[Dropped {before} log messages]");
        let lines = [(before > 0).then_some(note.as_str()), Some(text)];
        for line in lines.into_iter().flatten() {
            let packet = name.syslog(format, level, SystemTime::now(), line);
            let sent = match self {
                Self::Unix(socket) => socket.send(packet.as_bytes()),
                Self::Udp(socket) => socket.send(packet.as_bytes()),
            };
            if sent.is_err() {
                dropped.fetch_add(before + 1, Ordering::Relaxed);
                return;
            }
        }
    }
}

impl Name {
    fn line(&self, now: SystemTime, text: &str) -> String {
        let Self { hostname, program } = self;
        format!(
            "{} {hostname} {program}[{}]: {text}\n",
            timestamp(now),
            std::process::id()
        )
    }

    fn syslog(&self, format: Format, level: LogLevel, now: SystemTime, text: &str) -> String {
        let Self { hostname, program } = self;
        let priority = FACILITY | level.syslog_priority();
        let pid = std::process::id();
        match format {
            Format::Rfc3164 => format!("<{priority}>{program}[{pid}]: {text}"),
            Format::Rfc5424 => {
                let time = timestamp(now);
                format!("<{priority}>1 {time} {hostname} {program} {pid} - - {text}")
            }
        }
    }
}

/// `2026-11-23T00:50:16.941346+00:00`
fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since_epoch.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let micros = since_epoch.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
}

/// Year, month and day, counted from 1, of a day since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // years that begin in March end with the leap day; 400 of them have 146,097 days
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name {
            hostname: "node1".into(),
            program: "ctdbd".into(),
        }
    }

    fn at(seconds: u64, micros: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros)
    }

    #[test]
    fn times_are_civil() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000007+00:00"),
            (951_782_399, "2000-02-28T23:59:59.000007+00:00"),
            (951_782_400, "2000-02-29T00:00:00.000007+00:00"),
            (1_704_067_199, "2023-12-31T23:59:59.000007+00:00"),
            (1_795_395_016, "2026-11-23T00:50:16.000007+00:00"),
        ] {
            assert_eq!(timestamp(at(seconds, 7)), expected);
        }
    }

    #[test]
    fn lines_have_the_formats_of_c() {
        let pid = std::process::id();
        assert_eq!(
            name().line(at(0, 0), "hello"),
            format!("1970-01-01T00:00:00.000000+00:00 node1 ctdbd[{pid}]: hello\n")
        );
        let syslog = |format| name().syslog(format, LogLevel::NOTICE, at(0, 0), "hello");
        assert_eq!(syslog(Format::Rfc3164), format!("<29>ctdbd[{pid}]: hello"));
        assert_eq!(
            syslog(Format::Rfc5424),
            format!("<29>1 1970-01-01T00:00:00.000000+00:00 node1 ctdbd {pid} - - hello")
        );
    }

    #[test]
    fn events_become_lines_and_the_level_can_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::open(&Location::File(path.clone())).unwrap();
        let log = LogHandle {
            level: Arc::new(AtomicI32::new(LogLevel::NOTICE.0)),
            file: sink.file(),
        };
        let layer = LogLayer {
            handle: log.clone(),
            sink,
            name: name(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(pnn = 1, "leader is {}", 2);
            tracing::debug!("too much");
            log.set(LogLevel::INFO);
            tracing::debug!("now wanted\n");
            log.set(LogLevel::ERROR);
            tracing::warn!("not now");
            std::fs::rename(&path, folder.path().join("log.1")).unwrap();
            tracing::error!("still the old file");
            log.reopen().unwrap();
            tracing::error!("the new file");
        });
        let texts = |name| {
            let log = std::fs::read_to_string(folder.path().join(name)).unwrap();
            let text = |line: &str| line.split("]: ").nth(1).map(str::to_owned);
            log.lines().filter_map(text).collect::<Vec<_>>()
        };
        assert_eq!(
            texts("log.1"),
            ["leader is 2 pnn=1", "now wanted", "still the old file"]
        );
        assert_eq!(texts("log"), ["the new file"]);
    }

    #[test]
    fn what_syslog_refuses_is_counted() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = SyslogSocket::Unix(ours);
        let dropped = AtomicU64::new(0);
        let send = |text| socket.log(&name(), Format::Rfc3164, LogLevel::ERROR, text, &dropped);
        while dropped.load(Ordering::Relaxed) == 0 {
            send("x");
        }
        send("y");
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        theirs.set_nonblocking(true).unwrap();
        let mut buffer = [0; 200];
        while theirs.recv(&mut buffer).is_ok() {}
        send("z");
        let length = theirs.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(text.ends_with("[Dropped 2 log messages]"), "{text}");
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let error = Sink::open(&Location::File("/nonexistent/log".into())).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/log"), "{error}");
    }
}

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
//! Text is as 4.17 writes it ([`line`]): in a file with time, host, program and pid in front of each line, on standard
//! error bare, to syslog by the four methods of [`sys::syslog`]. On request each event is a JSON object instead.
//!
//! ```text
//!   ctdb.conf, --log-format, environment ── settings ──┐
//!   tracing event ── line (text or JSON) ── sink (file, standard error, syslog)
//! ```

mod children;
mod floods;
mod line;
mod settings;
mod sink;

use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use config::{Location, LogLevel, Paths};
use sys::LocalTime;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use wire::Pnn;

pub use settings::{FORMAT, Format, LogSettings, UnknownFormat};

use children::Children;
use floods::Floods;
use line::Who;
use sink::{LogFile, Sink};

/// What is written on standard error is in the log already: the log is there, or ctdbd reads it from there.
static ON_STDERR: AtomicBool = AtomicBool::new(false);

/// Changes the log while the program runs: its level (`ctdb setdebug`), and its file after it was renamed (SIGHUP).
/// Clones share it.
#[derive(Clone, Debug)]
pub struct LogHandle {
    level: Arc<AtomicI32>,
    /// This node's number, for JSON; -1 before it is known.
    node: Arc<AtomicI64>,
    settings: LogSettings,
    file: Option<Arc<LogFile>>,
    children: Children,
}

impl LogHandle {
    fn new(settings: LogSettings, sink: &Sink) -> Self {
        Self {
            level: Arc::new(AtomicI32::new(settings.level.0)),
            node: Arc::new(AtomicI64::new(
                settings.node.map_or(-1, |node| node.0.into()),
            )),
            settings,
            file: sink.file(),
            children: Children::default(),
        }
    }

    /// From now on what children write is read into the log, unless the log is where they write anyway. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// If there is no pipe to be had.
    pub fn collect_children(&self, level: LogLevel) -> io::Result<()> {
        match self.settings.location {
            Location::Stderr => Ok(()),
            _ => self.children.collect(level),
        }
    }

    /// Standard output or error of a child.
    #[must_use]
    pub fn child_output(&self) -> Stdio {
        self.children.stdio()
    }

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

    /// From now on it is known which node this is.
    pub fn set_node(&self, node: Pnn) {
        self.node.store(node.0.into(), Ordering::Relaxed);
    }

    /// The environment of a child that is to log as this process does now.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let settings = LogSettings {
            level: self.get(),
            node: self.node().map(Pnn),
            ..self.settings.clone()
        };
        settings.variables()
    }

    fn node(&self) -> Option<u32> {
        u32::try_from(self.node.load(Ordering::Relaxed)).ok()
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
pub fn init(settings: LogSettings, paths: &Paths, program: &str) -> io::Result<LogHandle> {
    let host = match paths.log_hostname() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => sys::host_name(),
    };
    let sink = Sink::open(&settings.location, program, settings.handed_down)?;
    let on_stderr = settings.location == Location::Stderr || settings.handed_down;
    ON_STDERR.store(on_stderr, Ordering::Relaxed);
    let program = program.to_owned();
    let (handle, layer) = LogLayer::new(settings, sink, Who { host, program });
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(handle)
}

/// The last words of a program that gives up: into its log, if there is one, and onto standard error, once.
pub fn complain(program: &str, text: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{text}");
    }
    if !tracing::dispatcher::has_been_set() || !ON_STDERR.load(Ordering::Relaxed) {
        eprintln!("{program}: {text}");
    }
}

/// What libtdb says belongs into the log; its expected lock conflicts do not.
pub fn of_tdb(level: tdb::Level, line: &str) {
    match level {
        tdb::Level::Fatal | tdb::Level::Error => tracing::error!("{line}"),
        tdb::Level::Warning => tracing::warn!("{line}"),
        tdb::Level::Trace => tracing::trace!("{line}"),
    }
}

/// An error and its causes in one line. Many an error names its cause already: that is not said twice.
#[must_use]
pub fn describe(error: &anyhow::Error) -> String {
    let mut causes = error.chain().map(ToString::to_string);
    let mut text = causes.next().unwrap_or_default();
    for cause in causes.filter(|cause| !cause.is_empty()) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[derive(Debug)]
struct LogLayer {
    handle: LogHandle,
    sink: Sink,
    who: Who,
    /// The lines of one event stay together.
    writing: Mutex<Floods>,
}

impl LogLayer {
    fn new(settings: LogSettings, sink: Sink, who: Who) -> (LogHandle, Self) {
        let handle = LogHandle::new(settings, &sink);
        let layer = Self {
            handle: handle.clone(),
            sink,
            who,
            writing: Mutex::new(Floods::default()),
        };
        (handle, layer)
    }
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
        let level = level_of(event.metadata().level());
        let mut together = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = together.admit(event.metadata(), Instant::now()) else {
            return;
        };
        let now = LocalTime::now();
        match self.handle.settings.format {
            Format::Json => {
                let context = (now, level, self.handle.node());
                let object = self.who.json(context, left_out, event);
                self.sink.write_raw(level, &object);
            }
            Format::Text => {
                if left_out > 0 {
                    let text = format!("[{left_out} lines like the next were left out]");
                    self.sink.write_text(&self.who, now, level, &text);
                }
                let text = line::text(event);
                // each line with whose it is: nobody can make up a line by a line feed in a name
                for line in text.split('\n') {
                    self.sink.write_text(&self.who, now, level, line);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What `work` logs, as the content of the files `log` and `log.1` of a folder.
    fn logged(format: Format, work: impl FnOnce(&LogHandle, &std::path::Path)) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let settings = LogSettings {
            location: Location::File(path.clone()),
            format,
            ..LogSettings::default()
        };
        let sink = Sink::open(&settings.location, "ctdbd", false).unwrap();
        let (host, program) = ("node1".to_owned(), "ctdbd".to_owned());
        let (log, layer) = LogLayer::new(settings, sink, Who { host, program });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            work(&log, &path);
        });
        ["log", "log.1"]
            .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default())
    }

    #[test]
    fn events_become_lines_and_the_level_can_change() {
        let [new, old] = logged(Format::Text, |log, path| {
            tracing::info!(pnn = 1, "leader is {}", 2);
            tracing::debug!("too much");
            log.set(LogLevel::INFO);
            tracing::debug!("now wanted\n");
            log.set(LogLevel::ERROR);
            tracing::warn!("not now");
            std::fs::rename(path, path.with_extension("1")).unwrap();
            tracing::error!("still the old file");
            log.reopen().unwrap();
            tracing::error!(name = "x", "the new file\nin two lines");
        });
        let header = format!(" node1 ctdbd[{}]: ", std::process::id());
        let texts = |log: &str| {
            let text = |line: &str| {
                let (time, text) = line.split_once(&header).expect(line);
                assert_eq!(time.len(), "2026-11-23T00:50:16.941346+00:00".len());
                text.to_owned()
            };
            log.lines().map(text).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(&old),
            ["leader is 2 pnn=1", "now wanted", "still the old file"]
        );
        assert_eq!(texts(&new), ["the new file", "in two lines name=\"x\""]);
    }

    #[test]
    fn events_become_objects() {
        let [log, _] = logged(Format::Json, |log, _| {
            tracing::info!("early");
            log.set_node(Pnn(3));
            let reason = io::Error::other("a \"reason\"");
            tracing::warn!(db = "x.tdb", count = 7_u64, ok = true, %reason, "two\nlines");
        });
        let objects: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        assert_eq!(objects.len(), 2);
        let [early, later] = [&objects[0], &objects[1]];
        assert_eq!(early["message"], "early");
        assert_eq!(early["level"], "NOTICE");
        assert!(early.get("node").is_none() && early.get("fields").is_none());
        assert_eq!(later["level"], "WARNING");
        assert_eq!(later["node"], 3);
        assert_eq!(later["host"], "node1");
        assert_eq!(later["program"], "ctdbd");
        assert_eq!(later["pid"], std::process::id());
        assert_eq!(later["target"], "ctdbd::logging::tests");
        assert_eq!(later["message"], "two\nlines");
        let fields =
            serde_json::json!({"db": "x.tdb", "count": 7, "ok": true, "reason": "a \"reason\""});
        assert_eq!(later["fields"], fields);
        let time = later["time"].as_str().unwrap();
        assert_eq!(time.len(), "2026-11-23T00:50:16.941346+00:00".len());
    }

    /// Nobody fills the disk by bad packets.
    #[test]
    fn a_flood_of_lines_is_bounded() {
        let flood = |_: &LogHandle, _: &std::path::Path| {
            for number in 0..5000 {
                tracing::error!(number, "bad packet");
            }
            tracing::error!(name = "x".repeat(1 << 20), "a long one");
        };
        for format in [Format::Text, Format::Json] {
            let [log, _] = logged(format, flood);
            // a line a second comes through, should the machine be slow
            assert!((1001..1100).contains(&log.lines().count()), "{format:?}");
            assert!(log.ends_with('\n') && log.len() < 1 << 19, "{format:?}");
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        use anyhow::Context as _;
        let io = || io::Error::from_raw_os_error(2);
        let error = anyhow::Error::from(io()).context("cannot read x");
        let text = describe(&error);
        assert_eq!(text, format!("cannot read x: {}", io()));
        let wrapped = sys::dir::DirError::NotWritable {
            path: "/x".into(),
            source: io(),
        };
        let error = Err::<(), _>(wrapped).context("State").unwrap_err();
        let expected = format!("State: directory /x is not writable: {}", io());
        assert_eq!(describe(&error), expected);
    }
}

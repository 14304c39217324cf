//! `ctdb.conf`: reading it into typed values, and printing it as `ctdb-config` does.
//!
//! A file is read to its end even when something is wrong, so that all complaints come at once.
//! Unknown names are ignored with a warning, as ctdbd does; a wrong value is an error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster_lock::ClusterLock;
use crate::diagnostic::{Diagnostic, Kind};
use crate::etcd::{Etcd, Manager};
use crate::ini::{self, Item};
use crate::logging::{Location, LogLevel};
use crate::nodes::NodesSource;
use crate::number;
use crate::options::{Candidate, OPTIONS, OptionSpec, SECTIONS, Setter, Since};

/// The whole of `ctdb.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[logging]`
    pub logging: Logging,
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[database]`
    pub database: Database,
    /// `[event]`
    pub event: Event,
    /// `[failover]`
    pub failover: Failover,
    /// `[legacy]`
    pub legacy: Legacy,
    /// Values that differ from their default, as `ctdb-config` prints them, by place in OPTIONS.
    given: BTreeMap<usize, String>,
}

/// `[logging]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Where the log goes.
    pub location: Location,
    /// The level, if it is given; see [`Logging::level_for_daemon`].
    pub log_level: Option<LogLevel>,
}

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// This node's own private address, where binding cannot find it.
    pub node_address: Option<IpAddr>,
    /// See [`Cluster::lock`].
    pub cluster_lock: Option<ClusterLock>,
    /// The old name of the same.
    pub recovery_lock: Option<ClusterLock>,
    /// Where the list of nodes comes from, if not from the `nodes` file.
    pub nodes_list: Option<NodesSource>,
    /// How long a node hears nothing from a leader before it calls an election.
    pub leader_timeout: Duration,
    /// Whether this node may lead.
    pub leader_capability: bool,
    /// How long the daemon looks for another node's answer before it sleeps; zero: not at all.
    pub busy_poll: Duration,
    /// Who finds out who is a member and who leads.
    pub manager: Manager,
    /// The options for [`Manager::Etcd`].
    pub etcd: Etcd,
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Folder of the volatile databases.
    pub volatile_dir: PathBuf,
    /// Folder of the persistent and replicated databases.
    pub persistent_dir: PathBuf,
    /// Folder of the daemon's own state.
    pub state_dir: PathBuf,
    /// Run when a lock is not to be had (`CTDB_DEBUG_LOCKS`).
    pub lock_debug_script: Option<PathBuf>,
    /// Robust mutexes in volatile databases.
    pub tdb_mutexes: bool,
}

/// `[event]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Run when an event script hangs.
    pub debug_script: Option<PathBuf>,
}

/// `[failover]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// No public addresses are moved.
    pub disabled: bool,
    /// Wait behind the failover of a shutdown.
    pub shutdown_extra_timeout: Duration,
    /// Longest wait for the failover of a shutdown.
    pub shutdown_failover_timeout: Duration,
}

/// `[legacy]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// Real-time priority for the daemon.
    pub realtime_scheduling: bool,
    /// Whether this node may be location master.
    pub lmaster_capability: bool,
    /// Start STOPPED.
    pub start_as_stopped: bool,
    /// Start DISABLED.
    pub start_as_disabled: bool,
    /// The level of event scripts' output.
    pub script_log_level: LogLevel,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            location: Location::File("/var/log/ctdb/log.ctdb".into()),
            log_level: None,
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            node_address: None,
            cluster_lock: None,
            recovery_lock: None,
            nodes_list: None,
            leader_timeout: Duration::from_secs(5),
            leader_capability: true,
            busy_poll: Duration::from_micros(100),
            manager: Manager::Native,
            etcd: Etcd::default(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            volatile_dir: "/var/lib/ctdb/volatile".into(),
            persistent_dir: "/var/lib/ctdb/persistent".into(),
            state_dir: "/var/lib/ctdb/state".into(),
            lock_debug_script: None,
            tdb_mutexes: true,
        }
    }
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            disabled: false,
            shutdown_extra_timeout: Duration::ZERO,
            shutdown_failover_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Legacy {
    fn default() -> Self {
        Self {
            realtime_scheduling: true,
            lmaster_capability: true,
            start_as_stopped: false,
            start_as_disabled: false,
            script_log_level: LogLevel::ERROR,
        }
    }
}

impl Cluster {
    /// The lock in force: `cluster lock`, else the deprecated `recovery lock`.
    #[must_use]
    pub fn lock(&self) -> Option<&ClusterLock> {
        self.cluster_lock.as_ref().or(self.recovery_lock.as_ref())
    }
}

impl Database {
    /// The three folders with the names that ctdbd's complaints give them.
    #[must_use]
    pub fn directories(&self) -> [(&'static str, &Path); 3] {
        [
            ("Volatile", &self.volatile_dir),
            ("Persistent", &self.persistent_dir),
            ("State", &self.state_dir),
        ]
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("Failed to load config file {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something in it is wrong. The warnings stand among the complaints.
    #[error("{}Failed to load config file {}", lines(diagnostics), file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// All complaints, in the order of the file.
        diagnostics: Vec<Diagnostic>,
    },
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    let line = |diagnostic| format!("{diagnostic}\n");
    diagnostics.iter().map(line).collect()
}

impl ConfigError {
    /// The status that `ctdb-config` exits with: an errno, 2 for a missing file, 22 for a wrong
    /// one.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::Unreadable { source, .. } => source.raw_os_error().unwrap_or(5),
            Self::Invalid { .. } => 22,
        }
    }
}

impl Config {
    /// Reads `file` as ctdbd does: a file that is not there is an empty one, unknown sections
    /// and options are warnings.
    ///
    /// # Errors
    /// A file that cannot be read, and every wrong value.
    pub fn load(file: &Path) -> Result<(Self, Vec<Diagnostic>), ConfigError> {
        match fs::read(file) {
            Ok(text) => Self::checked(file, &text, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Default::default()),
            Err(source) => Err(unreadable(file, source)),
        }
    }

    /// Reads `file` as `ctdb-config validate` does: it must be there, and unknown names are
    /// errors.
    ///
    /// # Errors
    /// As for [`Config::load`], and more.
    pub fn validate(file: &Path) -> Result<(Self, Vec<Diagnostic>), ConfigError> {
        let text = fs::read(file).map_err(|source| unreadable(file, source))?;
        Self::checked(file, &text, true)
    }

    fn checked(
        file: &Path,
        text: &[u8],
        strict: bool,
    ) -> Result<(Self, Vec<Diagnostic>), ConfigError> {
        let (config, diagnostics) = Self::parse(file, text);
        if diagnostics.iter().any(|d| d.kind.is_error(strict)) {
            let file = file.to_owned();
            return Err(ConfigError::Invalid { file, diagnostics });
        }
        Ok((config, diagnostics))
    }

    /// Reads `text` as the content of `file`, whose folder is where scripts are looked for.
    /// Options that are wrong keep their default.
    #[must_use]
    pub fn parse(file: &Path, text: &[u8]) -> (Self, Vec<Diagnostic>) {
        let mut reader = Reader::new(file);
        for line in ini::parse(text) {
            reader.on_line(line);
        }
        reader.check_manager();
        (reader.config, reader.diagnostics)
    }

    /// An option's value as `ctdb-config get` prints it: empty if it is not set, `None` if there
    /// is no such option.
    #[must_use]
    pub fn text(&self, section: &str, name: &str) -> Option<&str> {
        let (index, spec) = find_option(find_section(section)?, name)?;
        Some(self.text_of(index, spec))
    }

    fn text_of(&self, index: usize, spec: &OptionSpec) -> &str {
        let given = self.given.get(&index).map(String::as_str);
        given.or(spec.default).unwrap_or_default()
    }

    /// All options as `ctdb-config dump` prints them: those at their default as comments.
    /// Options that 4.17 does not know appear only when they are set.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut out = String::new();
        for section in SECTIONS {
            let _ = writeln!(out, "[{section}]");
            for (index, spec) in OPTIONS.iter().enumerate() {
                let is_given = self.given.contains_key(&index);
                if spec.section != section || (spec.since != Since::V4_17 && !is_given) {
                    continue;
                }
                let comment = if is_given { "" } else { "# " };
                let value = self.text_of(index, spec);
                let _ = writeln!(out, "\t{comment}{} = {value}", spec.name);
            }
        }
        out
    }
}

impl Logging {
    /// The level for ctdbd and its processes, whose default is NOTICE; that of the tools is
    /// ERROR.
    #[must_use]
    pub fn level_for_daemon(&self) -> LogLevel {
        self.log_level.unwrap_or(LogLevel::NOTICE)
    }
}

fn unreadable(file: &Path, source: io::Error) -> ConfigError {
    let file = file.to_owned();
    ConfigError::Unreadable { file, source }
}

fn find_section(name: &str) -> Option<&'static str> {
    SECTIONS
        .into_iter()
        .find(|section| section.eq_ignore_ascii_case(name))
}

fn find_option(section: &str, name: &str) -> Option<(usize, &'static OptionSpec)> {
    OPTIONS
        .iter()
        .enumerate()
        .find(|(_, spec)| spec.section == section && spec.name == name)
}

/// Reads a file line by line.
struct Reader<'a> {
    file: &'a Path,
    etcdir: &'a Path,
    section: Option<&'static str>,
    seen: Vec<usize>,
    /// Where `manager` stands.
    manager_line: usize,
    config: Config,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a Path) -> Self {
        Self {
            file,
            etcdir: file.parent().unwrap_or(Path::new("")),
            section: None,
            seen: Vec::new(),
            manager_line: 0,
            config: Config::default(),
            diagnostics: Vec::new(),
        }
    }

    fn on_line(&mut self, line: ini::Line) {
        let number = line.number;
        let outcome = match line.item {
            Item::Section(name) => self.on_section(name),
            Item::Param { name, value } => self.on_option(number, name, &value),
            Item::Bare(text) => Err(Kind::NoValue(text)),
            Item::Malformed => Err(Kind::Malformed),
        };
        if let Err(kind) = outcome {
            self.report(number, kind);
        }
    }

    fn report(&mut self, line: usize, kind: Kind) {
        self.diagnostics
            .push(Diagnostic::new(self.file, line, kind));
    }

    fn on_section(&mut self, name: String) -> Result<(), Kind> {
        self.section = find_section(&name);
        match self.section {
            Some(_) => Ok(()),
            None => Err(Kind::UnknownSection(name)),
        }
    }

    fn on_option(&mut self, line: usize, name: String, value: &str) -> Result<(), Kind> {
        let Some(section) = self.section else {
            return Err(Kind::OutsideSection(name));
        };
        let Some((index, spec)) = find_option(section, &name) else {
            return Err(Kind::UnknownOption { section, name });
        };
        let name = spec.name;
        if value.is_empty() {
            return Err(Kind::EmptyValue { section, name });
        }
        let text = self.set(line, spec, value)?;
        if self.seen.contains(&index) {
            self.report(line, Kind::Repeated { section, name });
        }
        self.seen.push(index);
        if (section, name) == ("cluster", "manager") {
            self.manager_line = line;
        }
        if spec.default == Some(text.as_str()) {
            self.config.given.remove(&index);
        } else {
            self.config.given.insert(index, text);
        }
        if (section, name) == ("cluster", "recovery lock") {
            return Err(Kind::Deprecated { section, name });
        }
        Ok(())
    }

    /// Another manager than the native one needs its options, and has no use for some.
    fn check_manager(&mut self) {
        let cluster = &self.config.cluster;
        let complaint = match cluster.manager {
            Manager::Native => None,
            Manager::Etcd if cluster.lock().is_some() => {
                Some("etcd says who leads: there can be no cluster lock beside it")
            }
            Manager::Etcd => cluster.etcd.complaint(),
        };
        if let Some(complaint) = complaint {
            let kind = Kind::Rejected {
                section: "cluster",
                name: "manager",
                reason: complaint.to_owned(),
                known_to_c: false,
            };
            self.report(self.manager_line, kind);
        }
    }

    /// Checks and stores a value; returns it as `ctdb-config` prints it.
    fn set(&mut self, line: usize, spec: &OptionSpec, text: &str) -> Result<String, Kind> {
        let invalid = || Kind::InvalidValue {
            section: spec.section,
            name: spec.name,
            value: text.to_owned(),
        };
        let (outcome, shown) = match spec.set {
            Setter::Text(set) => {
                let candidate = Candidate {
                    text,
                    etcdir: self.etcdir,
                    is_default: spec.default == Some(text),
                };
                (set(&mut self.config, candidate), text.to_owned())
            }
            Setter::Integer(set) => {
                let number = self.integer(line, spec, text).ok_or_else(invalid)?;
                (set(&mut self.config, number), number.to_string())
            }
            Setter::Boolean(set) => {
                let yes = boolean(text).ok_or_else(invalid)?;
                set(&mut self.config, yes);
                (Ok(()), yes.to_string())
            }
        };
        match outcome {
            Ok(()) => Ok(shown),
            Err(rejection) => Err(Kind::Rejected {
                section: spec.section,
                name: spec.name,
                reason: rejection.reason,
                known_to_c: rejection.known_to_c,
            }),
        }
    }

    fn integer(&mut self, line: usize, spec: &OptionSpec, text: &str) -> Option<u32> {
        let (number, rest) = number::leading(text)?;
        let number = i32::try_from(number).ok()?.cast_unsigned();
        if !rest.is_empty() {
            let kind = Kind::TrailingText {
                section: spec.section,
                name: spec.name,
                rest: rest.to_owned(),
            };
            self.report(line, kind);
        }
        Some(number)
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

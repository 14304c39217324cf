//! The table of every option of `ctdb.conf`, in the order of 4.17's `ctdb-config dump`.
//!
//! Sources: the `*_conf.c` files and ctdb.conf(5) of 4.17.12, and of Samba's master branch for
//! the options marked [`Since::Later`].

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::conf::Config;
use crate::etcd::{self, Manager};
use crate::logging::{Location, LogLevel};

/// One option of `ctdb.conf`.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Section, in lower case. Sections may be written in any case, options may not.
    pub section: &'static str,
    /// Name of the option.
    pub name: &'static str,
    /// Default as it would be written; `None` is "not set".
    pub default: Option<&'static str>,
    /// Whether a ctdbd 4.17 knows the option.
    pub since: Since,
    /// What it does, in one line.
    pub doc: &'static str,
    /// What would be right, for whoever wrote something else.
    pub takes: &'static str,
    pub(crate) set: Setter,
}

/// The first version that knows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// 4.17 has it.
    V4_17,
    /// It came after 4.17; a C neighbour of 4.17 ignores it.
    Later,
    /// Ours alone.
    Remix,
}

/// What kind of value an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Any text.
    Text,
    /// 0 to 2147483647; decimal, 0x or leading 0 for octal.
    Integer,
    /// true, yes, false, no, in any case.
    Boolean,
}

/// Checks a value and stores it in the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setter {
    Text(fn(&mut Config, Candidate<'_>) -> Result<(), Rejection>),
    Integer(fn(&mut Config, u32) -> Result<(), Rejection>),
    Boolean(fn(&mut Config, bool)),
}

/// A text on its way into the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) text: &'a str,
    /// The folder of ctdb.conf, where scripts are looked for.
    pub(crate) etcdir: &'a Path,
    /// A written-out default is not checked, as in C; the daemon looks at folders again anyway.
    pub(crate) is_default: bool,
}

/// Why an option does not take a value.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    /// C prints this line too.
    pub(crate) known_to_c: bool,
}

impl OptionSpec {
    /// The kind of value.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self.set {
            Setter::Text(_) => ValueType::Text,
            Setter::Integer(_) => ValueType::Integer,
            Setter::Boolean(_) => ValueType::Boolean,
        }
    }
}

/// The sections, in the order of `ctdb-config dump`.
pub const SECTIONS: [&str; 6] = [
    "logging", "cluster", "database", "event", "failover", "legacy",
];

/// Bytes of an `etcd prefix`.
const LONGEST_PREFIX: usize = 200;
/// Seconds of an `etcd lease`.
const LONGEST_LEASE: u32 = 3600;

/// What a yes-or-no option takes.
const BOOLEAN: &str = "true, yes, false or no";

/// Every option.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        section: "logging",
        name: "location",
        default: Some("file:/var/log/ctdb/log.ctdb"),
        since: Since::V4_17,
        doc: "where to log: file:PATH, syslog, syslog:nonblocking, syslog:udp, syslog:udp-rfc5424",
        takes: "file:PATH, file: for standard error, syslog, syslog:nonblocking, syslog:udp or syslog:udp-rfc5424",
        set: Setter::Text(|conf, value| {
            let location: Location = value.text.parse().map_err(silent)?;
            if !value.is_default {
                location.check().map_err(silent)?;
            }
            conf.logging.location = location;
            Ok(())
        }),
    },
    OptionSpec {
        section: "logging",
        name: "log level",
        default: Some("ERROR"),
        since: Since::V4_17,
        doc: "ERROR, WARNING, NOTICE, INFO, DEBUG or 0 to 10; ctdbd's own default is NOTICE",
        takes: "ERROR, WARNING, NOTICE, INFO, DEBUG or 0 to 10",
        set: Setter::Text(|conf, value| {
            // "ERROR" is the tools' default; ctdbd, whose own is NOTICE, takes it as said
            conf.logging.log_level = Some(value.text.parse().map_err(silent)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "transport",
        default: Some("tcp"),
        since: Since::V4_17,
        doc: "how nodes talk to each other; tcp is the only one",
        takes: "tcp",
        set: Setter::Text(|_, value| match value.text {
            "tcp" => Ok(()),
            other => Err(invalid("cluster", "transport", other)),
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "node address",
        default: None,
        since: Since::V4_17,
        doc: "this node's private address, where it cannot be found by binding to the nodes list",
        takes: "one of the addresses in the nodes list, without a port",
        set: Setter::Text(|conf, value| {
            let address: IpAddr = value
                .text
                .parse()
                .map_err(|_| invalid("cluster", "node address", value.text))?;
            conf.cluster.node_address = Some(address.to_canonical());
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "cluster lock",
        default: None,
        since: Since::V4_17,
        doc: "file, or !command, that keeps the cluster from having two leaders",
        takes: "a file on the cluster file system, or ! and a command",
        set: Setter::Text(|conf, value| {
            conf.cluster.cluster_lock = Some(value.text.parse().map_err(reason)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "recovery lock",
        default: None,
        since: Since::V4_17,
        doc: "the old name of \"cluster lock\", which goes first",
        takes: "a file on the cluster file system, or ! and a command",
        set: Setter::Text(|conf, value| {
            conf.cluster.recovery_lock = Some(value.text.parse().map_err(reason)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "nodes list",
        default: None,
        since: Since::Later,
        doc: "nodes file, or !command that prints one; by default \"nodes\" beside ctdb.conf",
        takes: "a file, or ! and a command",
        set: Setter::Text(|conf, value| {
            conf.cluster.nodes_list = Some(value.text.parse().map_err(reason)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "leader timeout",
        default: Some("5"),
        since: Since::V4_17,
        doc: "seconds without a word from the leader before an election",
        takes: "seconds, 1 to 2147483647",
        set: Setter::Integer(|conf, seconds| {
            if seconds == 0 {
                return Err(invalid("cluster", "leader timeout", "0"));
            }
            conf.cluster.leader_timeout = Duration::from_secs(seconds.into());
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "leader capability",
        default: Some("true"),
        since: Since::V4_17,
        doc: "whether this node may become leader",
        takes: BOOLEAN,
        set: Setter::Boolean(|conf, yes| conf.cluster.leader_capability = yes),
    },
    OptionSpec {
        section: "cluster",
        name: "busy poll",
        default: Some("100"),
        since: Since::Remix,
        doc: "microseconds that the daemon stays awake for other nodes' answers while nodes are talking; 0: not at all",
        takes: "microseconds, 0 to 1000",
        set: Setter::Integer(|conf, micros| {
            if micros > 1000 {
                return Err(invalid("cluster", "busy poll", &micros.to_string()));
            }
            conf.cluster.busy_poll = Duration::from_micros(micros.into());
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "manager",
        default: Some("native"),
        since: Since::Remix,
        doc: "who finds out who is a member and who leads: the nodes themselves, or etcd",
        takes: "native or etcd",
        set: Setter::Text(|conf, value| {
            conf.cluster.manager = match value.text {
                "native" => Manager::Native,
                "etcd" => Manager::Etcd,
                other => return Err(silent(format!("there is no cluster manager \"{other}\""))),
            };
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "etcd endpoints",
        default: None,
        since: Since::Remix,
        doc: "the members of the etcd cluster",
        takes: "http://HOST:PORT or https://HOST:PORT, separated by commas or blanks",
        set: Setter::Text(|conf, value| {
            conf.cluster.etcd.endpoints = etcd::endpoints(value.text).map_err(silent)?;
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "etcd prefix",
        default: Some("/ctdb/"),
        since: Since::Remix,
        doc: "what the keys of this cluster begin with in etcd; the same on all its nodes",
        takes: "printable text, / at its end",
        set: Setter::Text(|conf, value| {
            let good =
                value.text.ends_with('/') && value.text.bytes().all(|b| b.is_ascii_graphic());
            if !good || value.text.len() > LONGEST_PREFIX {
                return Err(silent(
                    "a prefix is of printable characters and ends with /",
                ));
            }
            conf.cluster.etcd.prefix = value.text.to_owned();
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "etcd lease",
        default: Some("10"),
        since: Since::Remix,
        doc: "seconds after which a node that cannot reach etcd is no member any more",
        takes: "seconds, 5 to 3600",
        set: Setter::Integer(|conf, seconds| {
            if !(etcd::SHORTEST_LEASE..=LONGEST_LEASE).contains(&seconds) {
                return Err(silent("a lease is of 5 to 3600 seconds"));
            }
            conf.cluster.etcd.lease = Duration::from_secs(seconds.into());
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "etcd ca file",
        default: None,
        since: Since::Remix,
        doc: "PEM file: certificates that etcd's are signed by",
        takes: "the path of a file that exists",
        set: Setter::Text(|conf, value| {
            conf.cluster.etcd.ca_file = Some(pem(value)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "etcd certificate file",
        default: None,
        since: Since::Remix,
        doc: "PEM file: this node's certificate for etcd",
        takes: "the path of a file that exists",
        set: Setter::Text(|conf, value| {
            conf.cluster.etcd.certificate_file = Some(pem(value)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "cluster",
        name: "etcd key file",
        default: None,
        since: Since::Remix,
        doc: "PEM file: the key of this node's certificate for etcd",
        takes: "the path of a file that exists",
        set: Setter::Text(|conf, value| {
            conf.cluster.etcd.key_file = Some(pem(value)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "database",
        name: "volatile database directory",
        default: Some("/var/lib/ctdb/volatile"),
        since: Since::V4_17,
        doc: "folder of the volatile databases, on this node alone",
        takes: "a directory that exists",
        set: Setter::Text(|conf, value| {
            conf.database.volatile_dir = folder("volatile database directory", value)?;
            Ok(())
        }),
    },
    OptionSpec {
        section: "database",
        name: "persistent database directory",
        default: Some("/var/lib/ctdb/persistent"),
        since: Since::V4_17,
        doc: "folder of the persistent databases, on this node alone",
        takes: "a directory that exists",
        set: Setter::Text(|conf, value| {
            conf.database.persistent_dir = folder("persistent database directory", value)?;
            Ok(())
        }),
    },
    OptionSpec {
        section: "database",
        name: "state database directory",
        default: Some("/var/lib/ctdb/state"),
        since: Since::V4_17,
        doc: "folder of the daemon's own state",
        takes: "a directory that exists",
        set: Setter::Text(|conf, value| {
            conf.database.state_dir = folder("state database directory", value)?;
            Ok(())
        }),
    },
    OptionSpec {
        section: "database",
        name: "lock debug script",
        default: None,
        since: Since::V4_17,
        doc: "script beside ctdb.conf that is run when a lock is not to be had",
        takes: "the name of an executable file beside ctdb.conf",
        set: Setter::Text(|conf, value| {
            conf.database.lock_debug_script = Some(script("lock debug script", value)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "database",
        name: "tdb mutexes",
        default: Some("true"),
        since: Since::V4_17,
        doc: "robust mutexes instead of fcntl locks in volatile databases",
        takes: BOOLEAN,
        set: Setter::Boolean(|conf, yes| conf.database.tdb_mutexes = yes),
    },
    OptionSpec {
        section: "event",
        name: "debug script",
        default: None,
        since: Since::V4_17,
        doc: "script beside ctdb.conf that is run when an event script hangs",
        takes: "the name of an executable file beside ctdb.conf",
        set: Setter::Text(|conf, value| {
            conf.event.debug_script = Some(script("debug script", value)?);
            Ok(())
        }),
    },
    OptionSpec {
        section: "failover",
        name: "disabled",
        default: Some("false"),
        since: Since::V4_17,
        doc: "no moving of public addresses",
        takes: BOOLEAN,
        set: Setter::Boolean(|conf, yes| conf.failover.disabled = yes),
    },
    OptionSpec {
        section: "failover",
        name: "shutdown extra timeout",
        default: Some("0"),
        since: Since::Later,
        doc: "seconds to wait behind the address failover of a shutdown",
        takes: "seconds, 0 to 2147483647",
        set: Setter::Integer(|conf, seconds| {
            conf.failover.shutdown_extra_timeout = Duration::from_secs(seconds.into());
            Ok(())
        }),
    },
    OptionSpec {
        section: "failover",
        name: "shutdown failover timeout",
        default: Some("10"),
        since: Since::Later,
        doc: "seconds that a shutdown waits for its addresses to move",
        takes: "seconds, 0 to 2147483647",
        set: Setter::Integer(|conf, seconds| {
            conf.failover.shutdown_failover_timeout = Duration::from_secs(seconds.into());
            Ok(())
        }),
    },
    OptionSpec {
        section: "legacy",
        name: "realtime scheduling",
        default: Some("true"),
        since: Since::V4_17,
        doc: "run the daemon with real-time priority",
        takes: BOOLEAN,
        set: Setter::Boolean(|conf, yes| conf.legacy.realtime_scheduling = yes),
    },
    OptionSpec {
        section: "legacy",
        name: "lmaster capability",
        default: Some("true"),
        since: Since::V4_17,
        doc: "whether this node may be location master of records",
        takes: BOOLEAN,
        set: Setter::Boolean(|conf, yes| conf.legacy.lmaster_capability = yes),
    },
    OptionSpec {
        section: "legacy",
        name: "start as stopped",
        default: Some("false"),
        since: Since::V4_17,
        doc: "start STOPPED, until \"ctdb continue\"",
        takes: BOOLEAN,
        set: Setter::Boolean(|conf, yes| conf.legacy.start_as_stopped = yes),
    },
    OptionSpec {
        section: "legacy",
        name: "start as disabled",
        default: Some("false"),
        since: Since::V4_17,
        doc: "start DISABLED, until \"ctdb enable\"",
        takes: BOOLEAN,
        set: Setter::Boolean(|conf, yes| conf.legacy.start_as_disabled = yes),
    },
    OptionSpec {
        section: "legacy",
        name: "script log level",
        default: Some("ERROR"),
        since: Since::V4_17,
        doc: "the level at which the output of scripts and helpers is logged",
        takes: "ERROR, WARNING, NOTICE, INFO, DEBUG or 0 to 10",
        set: Setter::Text(|conf, value| {
            let rejection = |_| invalid("legacy", "script log level", value.text);
            conf.legacy.script_log_level = value.text.parse::<LogLevel>().map_err(rejection)?;
            Ok(())
        }),
    },
];

/// A reason that C does not print.
fn silent(error: impl ToString) -> Rejection {
    Rejection {
        reason: error.to_string(),
        known_to_c: false,
    }
}

fn reason(error: impl ToString) -> Rejection {
    Rejection {
        reason: error.to_string(),
        known_to_c: true,
    }
}

fn invalid(section: &str, name: &str, value: &str) -> Rejection {
    reason(format!("Invalid value for [{section}] -> {name} = {value}"))
}

/// A database folder must exist; ctdbd does not make it.
fn folder(name: &str, value: Candidate<'_>) -> Result<PathBuf, Rejection> {
    let folder = Path::new(value.text);
    if !value.is_default && !folder.is_dir() {
        let text = format!("{name} \"{}\" does not exist", value.text);
        return Err(reason(text));
    }
    Ok(folder.to_owned())
}

/// A file with certificates or a key.
fn pem(value: Candidate<'_>) -> Result<PathBuf, Rejection> {
    let file = Path::new(value.text);
    if !file.is_file() {
        return Err(silent(format!("{} is not a file", file.display())));
    }
    Ok(file.to_owned())
}

/// A script is always looked for beside ctdb.conf; a folder in its name is ignored.
fn script(name: &str, value: Candidate<'_>) -> Result<PathBuf, Rejection> {
    let file = Path::new(value.text).file_name().unwrap_or_default();
    let path = value.etcdir.join(file);
    let complaint = match path.metadata() {
        Err(_) => "does not exist",
        Ok(found) if !found.is_file() => "is not a file",
        Ok(found) if found.permissions().mode() & 0o100 == 0 => "is not executable",
        Ok(_) => return Ok(path),
    };
    Err(reason(format!("{name} {} {complaint}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_out_defaults_are_the_defaults() {
        for spec in OPTIONS {
            let Some(text) = spec.default else { continue };
            let mut conf = Config::default();
            if spec.name == "log level" {
                // it has two defaults
                continue;
            }
            match spec.set {
                Setter::Text(set) => set(
                    &mut conf,
                    Candidate {
                        text,
                        etcdir: Path::new("/"),
                        is_default: true,
                    },
                )
                .unwrap(),
                Setter::Integer(set) => set(&mut conf, text.parse().unwrap()).unwrap(),
                Setter::Boolean(set) => set(&mut conf, text.parse().unwrap()),
            }
            assert_eq!(conf, Config::default(), "{}", spec.name);
        }
    }

    #[test]
    fn sections_stand_together_and_names_once() {
        let mut sections: Vec<_> = OPTIONS.iter().map(|spec| spec.section).collect();
        sections.dedup();
        assert_eq!(sections, SECTIONS);
        let mut names: Vec<_> = OPTIONS.iter().map(|s| (s.section, s.name)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPTIONS.len());
    }
}

//! `ctdb.conf` as files, compared with what 4.17's own tests of `ctdb-config` expect.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its files has failed"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, ConfigError, Location, LogLevel};

struct Etc(tempfile::TempDir);

impl Etc {
    fn new(text: &str) -> Self {
        let etc = Self(tempfile::tempdir().unwrap());
        etc.write(text);
        etc
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("ctdb.conf")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// What `ctdb-config validate` prints and exits with.
    fn validate(&self) -> (i32, String) {
        let file = self.file();
        let (diagnostics, status) = match Config::validate(&file) {
            Ok((_, diagnostics)) => (diagnostics, 0),
            Err(ConfigError::Invalid { diagnostics, .. }) => (diagnostics, 22),
            Err(error) => return (error.errno(), String::new()),
        };
        let errors = diagnostics.iter().filter(|d| d.kind.is_error(true));
        let lines: Vec<_> = errors.flat_map(config::Diagnostic::c_lines).collect();
        (status, lines.join("\n"))
    }
}

fn load(text: &str) -> (Config, Vec<String>) {
    let etc = Etc::new(text);
    let (config, diagnostics) = Config::load(&etc.file()).unwrap();
    let kinds = diagnostics.iter().map(|d| d.kind.to_string()).collect();
    (config, kinds)
}

#[test]
fn a_missing_file_is_an_empty_one_except_to_validate() {
    let etc = Etc::new("");
    assert_eq!(etc.validate(), (0, String::new()));
    fs::remove_file(etc.file()).unwrap();
    assert_eq!(etc.validate(), (2, String::new()));
    let (config, diagnostics) = Config::load(&etc.file()).unwrap();
    assert_eq!(config, Config::default());
    assert!(diagnostics.is_empty());
}

#[test]
fn dump_of_the_defaults() {
    let expected = "[logging]
\t# location = file:/var/log/ctdb/log.ctdb
\t# log level = ERROR
[cluster]
\t# transport = tcp
\t# node address = 
\t# cluster lock = 
\t# recovery lock = 
\t# leader timeout = 5
\t# leader capability = true
[database]
\t# volatile database directory = /var/lib/ctdb/volatile
\t# persistent database directory = /var/lib/ctdb/persistent
\t# state database directory = /var/lib/ctdb/state
\t# lock debug script = 
\t# tdb mutexes = true
[event]
\t# debug script = 
[failover]
\t# disabled = false
[legacy]
\t# realtime scheduling = true
\t# lmaster capability = true
\t# start as stopped = false
\t# start as disabled = false
\t# script log level = ERROR
";
    assert_eq!(Config::default().dump(), expected);
}

#[test]
fn everything_set() {
    let etc = Etc::new("");
    let base = etc.0.path().to_owned();
    for script in ["locks.sh", "hung.sh"] {
        let script = base.join(script);
        fs::write(&script, "").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let dir = base.display();
    etc.write(&format!(
        "[LOGGING]\nlocation = file:{dir}/log\nlog level = debug\n\
         [cluster]\ntransport=tcp\nnode address = ::ffff:10.1.2.3\n\
         cluster lock = !/usr/bin/lock  a\nleader timeout = 0x10\nleader capability = No\n\
         nodes list = !/bin/nodes x\n\
         [database]\nvolatile database directory = {dir}\npersistent database directory = {dir}\n\
         state database directory = {dir}\nlock debug script = /elsewhere/locks.sh\n\
         tdb mutexes = FALSE\n[event]\ndebug script = hung.sh\n\
         [failover]\ndisabled = yes\nshutdown extra timeout = 3\nshutdown failover timeout = 010\n\
         [legacy]\nrealtime scheduling = no\nlmaster capability = no\nstart as stopped = yes\n\
         start as disabled = yes\nscript log level = notice\n"
    ));
    assert_eq!(etc.validate(), (0, String::new()));
    let (config, diagnostics) = Config::load(&etc.file()).unwrap();
    assert!(diagnostics.is_empty());
    assert_eq!(config.logging.location, Location::File(base.join("log")));
    assert_eq!(config.logging.level_for_daemon(), LogLevel::DEBUG);
    assert_eq!(
        config.cluster.node_address,
        Some("10.1.2.3".parse().unwrap())
    );
    assert_eq!(config.cluster.lock().unwrap().text(), "!/usr/bin/lock a");
    assert_eq!(config.cluster.leader_timeout, Duration::from_secs(16));
    assert!(!config.cluster.leader_capability);
    assert!(config.cluster.nodes_list.is_some());
    for (_, folder) in config.database.directories() {
        assert_eq!(folder, base);
    }
    assert_eq!(
        config.database.lock_debug_script,
        Some(base.join("locks.sh"))
    );
    assert!(!config.database.tdb_mutexes);
    assert_eq!(config.event.debug_script, Some(base.join("hung.sh")));
    assert!(config.failover.disabled);
    assert_eq!(
        config.failover.shutdown_extra_timeout,
        Duration::from_secs(3)
    );
    assert_eq!(
        config.failover.shutdown_failover_timeout,
        Duration::from_secs(8)
    );
    assert!(!config.legacy.realtime_scheduling && !config.legacy.lmaster_capability);
    assert!(config.legacy.start_as_stopped && config.legacy.start_as_disabled);
    assert_eq!(config.legacy.script_log_level, LogLevel::NOTICE);
    // as ctdb-config prints them: numbers and booleans read, text as written
    assert_eq!(config.text("Cluster", "leader timeout"), Some("16"));
    assert_eq!(config.text("failover", "disabled"), Some("true"));
    assert_eq!(config.text("logging", "log level"), Some("debug"));
    assert_eq!(config.text("event", "no such"), None);
    assert!(config.dump().contains("\tleader timeout = 16\n"));
    assert!(config.dump().contains("\tnodes list = !/bin/nodes x\n"));
}

#[test]
fn validate_says_what_c_says() {
    let cases = [
        ("[foobar]", "conf: unknown section [foobar]"),
        (
            "foobar = cat",
            "conf: unknown section for option \"foobar\"",
        ),
        (
            "[database]\nunknown key = 123\n[logging]\nlog level = debug",
            "conf: unknown option [database] -> \"unknown key\"",
        ),
        (
            "[logging]\nlocation = syslog:magic",
            "conf: validation for option \"location\" failed",
        ),
        (
            "[logging]\nlog level = high",
            "conf: validation for option \"log level\" failed",
        ),
        (
            "[cluster]\ntransport = invalid",
            "Invalid value for [cluster] -> transport = invalid\n\
             conf: validation for option \"transport\" failed",
        ),
        (
            "[cluster]\nnode address = 10.1.2.3:123",
            "Invalid value for [cluster] -> node address = 10.1.2.3:123\n\
             conf: validation for option \"node address\" failed",
        ),
        (
            "[cluster]\nleader timeout = 0",
            "Invalid value for [cluster] -> leader timeout = 0\n\
             conf: validation for option \"leader timeout\" failed",
        ),
        (
            "[cluster]\nleader timeout = -5",
            "conf: invalid value [cluster] -> \"leader timeout\" = \"-5\"",
        ),
        (
            "[cluster]\nnode address =",
            "conf: empty value [cluster] -> \"node address\"",
        ),
        (
            "[failover]\ndisabled = 1",
            "conf: invalid value [failover] -> \"disabled\" = \"1\"",
        ),
        (
            "[legacy]\nscript log level = INVALID",
            "Invalid value for [legacy] -> script log level = INVALID\n\
             conf: validation for option \"script log level\" failed",
        ),
        (
            "[database]\nvolatile database directory = /nonexistent\n\
             state database directory = /nonexistent",
            "volatile database directory \"/nonexistent\" does not exist\n\
             conf: validation for option \"volatile database directory\" failed\n\
             state database directory \"/nonexistent\" does not exist\n\
             conf: validation for option \"state database directory\" failed",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Etc::new(text).validate(), (22, expected.to_owned()));
    }
}

#[test]
fn a_script_must_be_there_and_executable() {
    let etc = Etc::new("[database]\nlock debug script = x/locks.sh");
    let script = etc.0.path().join("locks.sh");
    let expect = |complaint: &str| {
        let line = format!("lock debug script {} {complaint}\n", script.display());
        let verdict = "conf: validation for option \"lock debug script\" failed";
        (22, line + verdict)
    };
    assert_eq!(etc.validate(), expect("does not exist"));
    fs::write(&script, "").unwrap();
    assert_eq!(etc.validate(), expect("is not executable"));
    fs::remove_file(&script).unwrap();
    fs::create_dir(&script).unwrap();
    assert_eq!(etc.validate(), expect("is not a file"));
}

#[test]
fn the_daemon_ignores_what_it_does_not_know() {
    let (config, warnings) = load(
        "stray = 1\n[nonsense]\nx = 1\n[cluster]\nleader timeout = 7\nno such = 1\njust words\n",
    );
    assert_eq!(config.cluster.leader_timeout, Duration::from_secs(7));
    assert_eq!(
        warnings,
        [
            "conf: unknown section for option \"stray\"",
            "conf: unknown section [nonsense]",
            "conf: unknown section for option \"x\"",
            "conf: unknown option [cluster] -> \"no such\"",
            "line without \"=\" ignored: \"just words\"",
        ]
    );
}

#[test]
fn later_lines_win_and_old_names_are_reported() {
    let (config, warnings) = load(
        "[cluster]\nrecovery lock = /old\nleader timeout = 7s\nleader timeout = 5\n\
         cluster lock = /new\n",
    );
    assert_eq!(config.cluster.lock().unwrap().text(), "/new");
    assert_eq!(config.cluster.leader_timeout, Duration::from_secs(5));
    assert!(config.dump().contains("\t# leader timeout = 5\n"));
    assert_eq!(
        warnings,
        [
            "Configuration option [cluster] -> recovery lock is deprecated",
            "ignoring \"s\" behind the number of [cluster] -> \"leader timeout\"",
            "option [cluster] -> \"leader timeout\" is set again; this line counts",
        ]
    );
    let (config, _) = load("[cluster]\nrecovery lock = /old");
    assert_eq!(config.cluster.lock().unwrap().text(), "/old");
}

#[test]
fn errors_name_the_option_and_what_would_be_right() {
    for (text, expected) in [
        (
            "[logging]\nlog level = 11",
            "2: [logging] -> log level: \"11\" is not a log level \
             (right is: ERROR, WARNING, NOTICE, INFO, DEBUG or 0 to 10)",
        ),
        (
            "[cluster]\ntransport = ib",
            "2: Invalid value for [cluster] -> transport = ib (right is: tcp)",
        ),
        (
            "[failover]\ndisabled = 1",
            "2: conf: invalid value [failover] -> \"disabled\" = \"1\" (right is: true, yes, false or no)",
        ),
        (
            "[cluster]\nleader timeout = 5\n[nonsense]\n=",
            "3: conf: unknown section [nonsense] (sections: logging, cluster, database, event, failover, legacy)",
        ),
    ] {
        let etc = Etc::new(text);
        let (_, found) = Config::parse(&etc.file(), text.as_bytes());
        let shown = found[0].to_string();
        assert!(shown.ends_with(expected), "{shown}");
    }
}

#[test]
fn the_level_error_is_what_it_says() {
    // unlike the tools, whose default it is, ctdbd has another default
    let (config, _) = load("[logging]\nlog level = ERROR");
    assert_eq!(config.logging.level_for_daemon(), LogLevel::ERROR);
    let (config, _) = load("");
    assert_eq!(config.logging.level_for_daemon(), LogLevel::NOTICE);
}

#[test]
fn nothing_is_included() {
    let etc = Etc::new("include = other.conf\n[cluster]\ninclude = other.conf\n");
    fs::write(
        etc.0.path().join("other.conf"),
        "[cluster]\nleader timeout = 9",
    )
    .unwrap();
    let expected = "conf: unknown section for option \"include\"\n\
                    conf: unknown option [cluster] -> \"include\"";
    assert_eq!(etc.validate(), (22, expected.to_owned()));
    let (config, _) = Config::load(&etc.file()).unwrap();
    assert_eq!(config.cluster.leader_timeout, Duration::from_secs(5));
}

#[test]
fn errors_name_file_and_line() {
    let etc = Etc::new("[cluster]\n\nleader timeout = 0\nno such = 1\n[open\n");
    let error = Config::load(&etc.file()).unwrap_err();
    let file = etc.file();
    let file = file.display();
    assert_eq!(
        error.to_string(),
        format!(
            "{file}:3: Invalid value for [cluster] -> leader timeout = 0 \
             (right is: seconds, 1 to 2147483647)\n\
             {file}:4: conf: unknown option [cluster] -> \"no such\" (options of [cluster]: transport, \
             node address, cluster lock, recovery lock, nodes list, leader timeout, leader capability, \
             busy poll, manager, etcd endpoints, etcd prefix, etcd lease, etcd ca file, etcd certificate file, \
             etcd key file)\n\
             {file}:5: syntax error (a line is [section], name = value, or # comment)\n\
             Failed to load config file {file}"
        )
    );
    assert_eq!(error.errno(), 22);
    assert!(Config::load(Path::new("/")).is_err());
}

#[test]
fn the_daemon_stays_awake_for_a_moment_only() {
    let load = |text: &str| Config::load(&Etc::new(text).file());
    let of = |text| load(text).map(|(config, _)| config.cluster.busy_poll);
    assert_eq!(of("").unwrap(), Duration::from_micros(100));
    assert_eq!(of("[cluster]\nbusy poll = 0\n").unwrap(), Duration::ZERO);
    let error = of("[cluster]\nbusy poll = 1001\n").unwrap_err().to_string();
    assert!(error.contains("microseconds, 0 to 1000"), "{error}");
}

#[test]
fn another_manager_needs_its_options_and_no_cluster_lock() {
    let check = |text: &str| {
        let etc = Etc::new(text);
        Config::load(&etc.file()).map_err(|error| error.to_string())
    };
    let missing = check("[cluster]\nmanager = etcd\n").unwrap_err();
    assert!(
        missing.contains(":2:") && missing.contains("\"etcd endpoints\" is missing"),
        "{missing}"
    );
    let etcd =
        "[cluster]\nmanager = etcd\netcd endpoints = http://127.0.0.1:2379 http://127.0.0.2\n";
    let (config, _) = check(etcd).unwrap();
    assert_eq!(config.cluster.manager, config::Manager::Etcd);
    assert_eq!(config.cluster.etcd.endpoints.len(), 2);
    assert_eq!(config.cluster.etcd.setting(), "etcd:/ctdb/");
    for (more, complaint) in [
        ("cluster lock = /x\n", "no cluster lock beside it"),
        ("etcd lease = 4\n", "5 to 3600 seconds"),
        ("etcd prefix = x\n", "ends with /"),
        (
            "etcd key file = /nonexistent\n",
            "/nonexistent is not a file",
        ),
        ("etcd key file = /etc/passwd\n", "belong together"),
        ("etcd ca file = /etc/passwd\n", "no endpoint has https"),
        (
            "etcd endpoints = https://127.0.0.1\n",
            "needs \"etcd ca file\"",
        ),
        ("etcd endpoints = 127.0.0.1\n", "is no etcd endpoint"),
        (
            "manager = zookeeper\n",
            "there is no cluster manager \"zookeeper\"",
        ),
    ] {
        let error = check(&format!("{etcd}{more}")).unwrap_err();
        assert!(error.contains(complaint), "{more}: {error}");
    }
}

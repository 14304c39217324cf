//! The same files, read by us and by the `ctdb-config` of Debian's package (4.17.12): the same lines and the same exit
//! status, but for what is listed. Skipped where there is none.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

use config::{Config, ConfigError, Diagnostic};

const PROGRAM: &str = "/usr/libexec/ctdb/ctdb-config";

/// Files that both judge alike.
const ALIKE: &[&str] = &[
    "",
    "# nothing\n; at all\n\n",
    "[cluster]\n",
    "[x]\ny = 1\n[cluster]\nz = 1\nleader timeout = 0\n",
    "y = 1\n",
    "include = /x\n",
    "[cluster]\ninclude = /x\n",
    "[CLUSTER]\nleader timeout = 5\n",
    "[cluster]\nLeader Timeout = 5\n",
    "[cluster]\nleader timeout = 5\nleader timeout = 7\njust words\n",
    "[cluster]\nleader timeout = 5x\n",
    "[cluster]\nleader timeout = 0x10\n",
    "[cluster]\nleader timeout = 99999999999\n",
    "[cluster]\nleader timeout = 4294967297\n",
    "[cluster]\nleader timeout = -5\n",
    "[cluster]\nleader timeout = \\\n9\n",
    "[cluster]\nnode address = ::1\n",
    "[cluster]\nnode address = 10.0.0.1:4\n",
    "[cluster]\nnode address = name\n",
    "[cluster]\nnode address =\n",
    "[cluster]\ntransport = \"tcp\"\n",
    "[cluster]\ntransport = ib\n",
    "[cluster]\ntransport = TCP\n",
    "[cluster]\nrecovery lock = /x\n",
    "[cluster]\ncluster lock = /x\n",
    "[cluster]\nleader capability = maybe\n",
    "[failover]\ndisabled = maybe\n",
    "[failover]\ndisabled = YES\n",
    "[legacy]\nstart as stopped = TRUE\nrealtime scheduling = 0\n",
    "[legacy]\nscript log level = ERR\nscript log level = foo\n",
    "[logging]\nlocation = syslog\n",
    "[logging]\nlocation = syslog:foo\n",
    "[logging]\nlocation = syslog:udp:more\n",
    "[logging]\nlocation = file:/tmp/a:b\n",
    "[logging]\nlocation = file:/nonexistent/x\n",
    "[logging]\nlocation = file:\n",
    "[logging]\nlocation = :\n",
    "[logging]\nlog level = 3x\n",
    "[logging]\nlog level = d\n",
    "[logging]\nlog level = 11\n",
    "[logging]\nlog level = 99999999999\n",
    "[logging]\nlog level =\n",
    "[database]\nvolatile database directory = /nonexistent\n",
    "[database]\nlock debug script = none.sh\n",
    "[event]\ndebug script = none.sh\n",
];

/// Files that we refuse and C takes, and why.
const STRICTER: &[(&str, &str)] = &[
    ("[cluster\n", "C drops the whole file without a word"),
    ("= 5\n", "the same"),
    (
        "[cluster]\ncluster lock = !\n",
        "C finds out when a leader wants the lock",
    ),
];

/// Files that we take and C refuses: options that came later.
const LATER: &[&str] = &[
    "[cluster]\nnodes list = /x\n",
    "[failover]\nshutdown extra timeout = 3\n",
    "[failover]\nshutdown failover timeout = 3\n",
];

/// Exit status and complaints of C.
fn theirs(base: &Path) -> (i32, Vec<String>) {
    let output = Command::new(PROGRAM)
        .arg("validate")
        .env("CTDB_TEST_MODE", "yes")
        .env("CTDB_BASE", base)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("Failed to load"));
    (
        output.status.code().unwrap(),
        lines.map(str::to_owned).collect(),
    )
}

fn ours(file: &Path) -> (i32, Vec<String>) {
    let (diagnostics, status) = match Config::validate(file) {
        Ok((_, diagnostics)) => (diagnostics, 0),
        Err(ConfigError::Invalid { diagnostics, .. }) => (diagnostics, 22),
        Err(error) => panic!("{error}"),
    };
    let errors = diagnostics.iter().filter(|d| d.kind.is_error(true));
    (status, errors.flat_map(Diagnostic::c_lines).collect())
}

#[test]
fn the_same_files_are_right_and_wrong() {
    if !Path::new(PROGRAM).exists() {
        println!("skipped: needs {PROGRAM}");
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("ctdb.conf");
    let both = |text: &str| {
        fs::write(&file, text).unwrap();
        (ours(&file), theirs(base.path()))
    };
    for text in ALIKE {
        let (ours, theirs) = both(text);
        assert_eq!(ours, theirs, "{text}");
    }
    for (text, why) in STRICTER {
        let (ours, theirs) = both(text);
        assert_eq!((ours.0, theirs.0), (22, 0), "{text}: {why}");
    }
    for text in LATER {
        let (ours, theirs) = both(text);
        assert_eq!((ours.0, theirs.0), (0, 22), "{text}");
    }
}

//! ctdbd as a program: its command line, what it refuses to start with, and what it logs meanwhile.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

#[expect(dead_code, reason = "another test uses more of it")]
mod node_rig;

use std::process::Output;

use node_rig::{Node, helper, objects};

/// What ctdbd says last that finds no node.
const NO_NODES: &str = "No nodes available to attempt bind to - is the nodes file empty?";

/// A ctdbd that ends when it has read all of its configuration, before it forks.
fn without_nodes(options: &str) -> Node {
    let node = Node::new(options);
    node.write("nodes", "");
    node
}

fn texts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().unwrap();
    (status, text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_line() {
    let node = Node::new("");
    let help = |arguments: &[&str]| {
        let (status, out, err) = texts(&node.run(arguments));
        assert!(out.starts_with("Usage: [OPTION...]\n"), "{out}");
        assert_eq!(err, "");
        status
    };
    assert_eq!(help(&["--help"]), 0);
    assert_eq!(help(&["-i", "-?"]), 0);
    assert_eq!(help(&["extra"]), 1);
    let usage = "Usage: [-?i] [-?|--help] [--usage] [-i|--interactive] [--log-format=FORMAT]\n";
    let printed = texts(&node.run(&["--usage"]));
    assert_eq!(printed, (0, usage.into(), String::new()));
    let refused = "Invalid option --version: unknown option\n";
    let printed = texts(&node.run(&["--version"]));
    assert_eq!(printed, (1, String::new(), refused.into()));
}

#[test]
fn what_it_does_not_start_with_is_named_with_its_line() {
    // the eighth line is the first of these
    for (options, says) in [
        (
            "[cluster]\ntransport = ib\n",
            "8: Invalid value for [cluster] -> transport = ib (right is: tcp)",
        ),
        (
            "[logging]\nlog level = loud\n",
            "8: [logging] -> log level: \"loud\" is not a log level",
        ),
        (
            "[cluster]\nleader timeout = 0\n",
            "8: Invalid value for [cluster] -> leader timeout = 0",
        ),
        (
            "[legacy]\nstart as stopped = maybe\n",
            "8: conf: invalid value [legacy] -> \"start as stopped\" = \"maybe\"",
        ),
        (
            "[database]\nlock debug script = none.sh\n",
            "8: lock debug script ",
        ),
        ("[cluster\n", "7: syntax error"),
        (
            "[database]\nstate database directory = BASE/none\n",
            "8: state database directory \"",
        ),
    ] {
        let node = Node::new(options);
        let (status, out, err) = texts(&node.run(&[]));
        assert_eq!((status, out.as_str()), (1, ""), "{options}");
        let file = node.path("ctdb.conf");
        let expected = format!("ctdbd: {}:{says}", file.display());
        assert!(err.starts_with(&expected), "{options}: {err}");
        let end = format!("\nFailed to load config file {}\n", file.display());
        assert!(err.ends_with(&end), "{options}: {err}");
        assert_eq!(node.log(), "", "there is no log yet");
    }
}

#[test]
fn an_error_behind_the_configuration_is_said_once_in_the_log_and_once_to_whoever_started_it() {
    let node = Node::new("[database]\nstate database directory = /proc/self/fdinfo\n");
    let (status, _, err) = texts(&node.run(&[]));
    assert_eq!(status, 1);
    let text = "State database directory: directory /proc/self/fdinfo is not writable: \
                No such file or directory (os error 2)\n";
    assert_eq!(err, format!("ctdbd: {text}"));
    let last = node.log().lines().last().unwrap().to_owned() + "\n";
    assert!(last.ends_with(&format!("]: {text}")), "{last}");
    // on standard error it is the log that says it
    let (_, _, err) = texts(&node.run(&["-i"]));
    assert_eq!(err.matches("not writable").count(), 1, "{err}");
}

#[test]
fn unknown_names_are_warnings_and_tunables_never_keep_it_from_starting() {
    let node = without_nodes("stray = 1\n[nonsense]\nx = 1\n");
    node.write(
        "ctdb.tunables",
        "NoSuch=1\nMaxRedirectCount=3\nEnableBans=x\n",
    );
    node.write("tunables.d/1.tunables", "[x]\nEnableBans\n");
    let (status, _, err) = texts(&node.run(&[]));
    // far behind all of that
    assert_eq!(status, 1);
    assert_eq!(
        err,
        format!(
            "ctdbd: {NO_NODES}
"
        )
    );
    let log = node.log();
    for line in [
        "ctdb.conf:7: conf: unknown option [database] -> \"stray\" (options of [database]: ",
        "ctdb.conf:8: conf: unknown section [nonsense] (sections: logging, cluster, ",
        "ctdb.conf:9: conf: unknown section for option \"x\"",
        "Loading tunables from ",
        "ctdb.tunables:1: Unknown tunable \"NoSuch\"",
        "ctdb.tunables:2: Obsolete tunable \"MaxRedirectCount\"",
        "ctdb.tunables:3: Invalid value \"x\" for tunable \"EnableBans\"",
        "tunables.d/1.tunables:1: Invalid line for section [x] - sections not supported",
        "tunables.d/1.tunables:2: Invalid line containing \"EnableBans\"",
    ] {
        assert!(log.contains(line), "{line} is not in {log}");
    }
}

#[test]
fn the_log_has_the_time_of_the_zone() {
    for (zone, offset) in [
        ("UTC0", "+00:00"),
        ("XYZ-05:45", "+05:45"),
        ("XYZ+03:30", "-03:30"),
        ("XYZ-14", "+14:00"),
    ] {
        let node = without_nodes("");
        let mut command = node.command(&[]);
        command.env("TZ", zone);
        assert!(!command.status().unwrap().success());
        let log = node.log();
        let first = log.lines().next().unwrap();
        // 2026-11-23T09:35:44.754360+05:45 HOST ctdbd[PID]: CTDB starting on node
        let words: Vec<&str> = first.splitn(4, ' ').collect();
        assert_eq!(&words[0][26..], offset, "{first}");
        assert_eq!(words[1], node.base.path().file_name().unwrap());
        assert!(words[2].starts_with("ctdbd[") && words[2].ends_with("]:"));
        assert_eq!(words[3], "CTDB starting on node");
    }
}

#[test]
fn the_level_is_the_one_of_the_file() {
    for (level, expected) in [
        ("ERROR", [].as_slice()),
        ("WARNING", &["Cluster lock not set"]),
        ("NOTICE", &["CTDB starting on node", "Cluster lock not set"]),
        ("3", &["CTDB starting on node", "Cluster lock not set"]),
    ] {
        let options =
            format!("[logging]\nlog level = {level}\n[cluster]\nnode address = 192.0.2.1\n");
        let node = Node::new(&options);
        // interactive, so that it does not go on behind our back
        let (_, _, log) = texts(&node.run(&["-i"]));
        for line in ["CTDB starting on node", "Cluster lock not set"] {
            assert_eq!(
                log.contains(line),
                expected.contains(&line),
                "{level}: {log}"
            );
        }
        assert!(
            log.contains("Starting CTDBD (Version "),
            "{level}: C says it at every level"
        );
    }
}

#[test]
fn json_by_option_or_by_environment() {
    let by_option = without_nodes("");
    by_option.run(&["--log-format=json"]);
    let by_environment = without_nodes("");
    let mut command = by_environment.command(&[]);
    command.env("CTDB_LOG_FORMAT", "json").status().unwrap();
    for node in [by_option, by_environment] {
        let objects = objects(&node.log());
        assert_eq!(objects[0]["message"], "CTDB starting on node");
        assert_eq!(objects[0]["program"], "ctdbd");
        assert_eq!(objects[1]["level"], "WARNING");
        let last = objects.last().unwrap();
        assert_eq!(last["level"], "ERROR");
        assert_eq!(last["message"], NO_NODES);
    }
    let node = without_nodes("");
    let (_, _, err) = texts(&node.run(&["-i", "--log-format=json"]));
    assert_eq!(objects(&err)[0]["message"], "CTDB starting on node");
    let mut command = node.command(&[]);
    let (status, _, err) = texts(&command.env("CTDB_LOG_FORMAT", "xml").output().unwrap());
    assert_eq!(status, 1);
    assert_eq!(
        err,
        "ctdbd: CTDB_LOG_FORMAT: \"xml\" is no log format: text or json\n"
    );
}

#[test]
fn a_worker_logs_as_its_ctdbd_does() {
    let dir = tempfile::tempdir().unwrap();
    for format in ["json", "text"] {
        let log = dir.path().join(format);
        let program = env!("CARGO_BIN_EXE_ctdb-database-worker");
        assert!(!helper(program, &log, format).wait().unwrap().success());
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("usage: ctdb-database-worker"), "{text}");
        if format == "json" {
            let object = &objects(&text)[0];
            assert_eq!(object["program"], "ctdb-database-worker");
            assert_eq!(object["node"], 3);
        }
    }
}

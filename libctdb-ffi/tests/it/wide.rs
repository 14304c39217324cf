//! The interface of `ctdbx.h`, in C and through the bindings for Python, against our daemon and Debian's; and the
//! programs of docs/libctdb.md.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{Daemon, Link, Whose, compile, library, root, run, succeeded, top};

/// Those that need nothing but a daemon.
pub(crate) const PROGRAMS: [&str; 4] =
    ["wide_all.c", "wide_threads.c", "wide_fork.c", "wide_both.c"];

fn all_work_with(whose: Whose) {
    let Some(daemon) = Daemon::start(whose) else {
        return;
    };
    for (source, link) in PROGRAMS
        .into_iter()
        .chain(["wide_exhausted.c"])
        .zip([Link::Shared, Link::Static].into_iter().cycle())
    {
        let program = compile(source, link, &["-pthread"]);
        let said = succeeded(source, &run(&program, &[&daemon.socket()]));
        assert_eq!(said, "done\n", "{source}");
    }
}

#[test]
fn everything_wide_works_with_our_daemon() {
    all_work_with(Whose::Ours);
}

#[test]
fn everything_wide_works_with_the_c_daemon() {
    all_work_with(Whose::C);
}

fn nodes_work_together(whose: [Whose; 2]) {
    let Some(daemons) = Daemon::start_cluster(whose) else {
        return;
    };
    let program = compile("wide_nodes.c", Link::Shared, &["-pthread"]);
    let sockets = daemons.each_ref().map(Daemon::socket);
    let said = succeeded(
        "wide_nodes.c",
        &run(&program, &sockets.each_ref().map(String::as_str)),
    );
    assert_eq!(said, "done\n", "{whose:?}");
}

#[test]
fn two_nodes_of_ours_work_together() {
    nodes_work_together([Whose::Ours, Whose::Ours]);
}

#[test]
fn a_node_of_ours_and_one_of_c_work_together() {
    nodes_work_together([Whose::Ours, Whose::C]);
}

/// The daemon is killed under everything at once, and comes back when the program has seen what that does.
fn dies_and_returns(whose: Whose) {
    let Some(mut daemon) = Daemon::start(whose) else {
        return;
    };
    let program = compile("wide_killed.c", Link::Shared, &["-pthread"]);
    let mut process = Command::new("timeout")
        .args(["-k", "5", "120"])
        .arg(program)
        .arg(daemon.socket())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = || words.next().transpose().unwrap().unwrap_or_default();
    let mut heard = vec![next()];
    daemon.kill();
    heard.push(next());
    if heard == ["kill", "start"] {
        daemon.restart();
        heard.push(next());
    }
    succeeded("wide_killed.c", &process.wait_with_output().unwrap());
    assert_eq!(heard, ["kill", "start", "done"]);
}

#[test]
fn our_daemon_dies_and_returns() {
    dies_and_returns(Whose::Ours);
}

#[test]
fn the_c_daemon_dies_and_returns() {
    dies_and_returns(Whose::C);
}

#[test]
fn memory_of_the_wide_interface_is_right_by_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: needs valgrind");
        return;
    }
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for source in PROGRAMS {
        // of a forked child's memory a part belongs to a thread that it does not have
        let leaks = match source {
            "wide_fork.c" => "--leak-check=no",
            _ => "--leak-check=full",
        };
        let program = compile(source, Link::Shared, &["-pthread"]);
        let output = Command::new("timeout")
            .args(["-k", "5", "300", "valgrind", "--quiet"])
            .args([
                "--error-exitcode=9",
                "--errors-for-leak-kinds=definite",
                leaks,
            ])
            .arg(program)
            .arg(daemon.socket())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        succeeded(&format!("valgrind {source}"), &output);
    }
}

#[test]
fn memory_of_the_wide_interface_is_right_by_address_sanitizer() {
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for source in PROGRAMS.into_iter().chain(["wide_exhausted.c"]) {
        let program = compile(
            source,
            Link::Shared,
            &["-pthread", "-fsanitize=address,undefined"],
        );
        let output = run(&program, &[&daemon.socket()]);
        succeeded(source, &output);
    }
}

/// Python with the bindings and the library as they are installed; none, after a word why, where there is no Python.
pub(crate) fn python() -> Option<Command> {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: needs python3");
        return None;
    }
    let mut command = Command::new("timeout");
    command
        .args(["-k", "5", "120", "python3", "-B"])
        .env("PYTHONPATH", root().join("usr/lib/python3/dist-packages"))
        .env("LD_LIBRARY_PATH", library())
        .stdin(Stdio::null());
    Some(command)
}

fn python_tests_with(whose: Whose) {
    let (Some(mut python), Some(daemon)) = (python(), Daemon::start(whose)) else {
        return;
    };
    let output = python
        .arg(top().join("bindings/python/test_ctdb.py"))
        .env("CTDB_TEST_SOCKET", daemon.socket())
        .output()
        .unwrap();
    succeeded("test_ctdb.py", &output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("\nOK\n"), "some were skipped:\n{said}");
}

#[test]
fn the_bindings_for_python_work_with_our_daemon() {
    python_tests_with(Whose::Ours);
}

#[test]
fn the_bindings_for_python_work_with_the_c_daemon() {
    python_tests_with(Whose::C);
}

fn said_by(mut command: Command) -> String {
    succeeded(&format!("{command:?}"), &command.output().unwrap())
}

/// An example of the crate `client`.
pub(crate) fn example(name: &str, socket: &str) -> String {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--package", "client", "--example", name])
        .arg("--target-dir")
        .arg(root().ancestors().nth(2).unwrap())
        .args(["--", socket])
        .current_dir(top());
    said_by(command)
}

#[test]
fn the_examples_of_the_client_run() {
    let daemon = Daemon::start(Whose::Ours).unwrap();
    let socket = daemon.socket();
    let status = example("status", &socket);
    assert!(status.contains("RUNNING"), "{status}");
    assert!(status.ends_with("the leader is node 0\n"), "{status}");
    let first = example("transaction", &socket);
    assert_eq!(first, "transaction 1: to = 100\n");
    let messages = "message 3\nmessage 2\nmessage 1\n";
    assert_eq!(example("messages", &socket), messages);
}

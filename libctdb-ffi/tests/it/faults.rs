//! Both interfaces while things go wrong: system calls that do half of what they could, connections that end at any
//! of them, daemons that die at a step.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Once;

use crate::support::{Daemon, Link, Whose, compile, scratch, sources, succeeded};
use crate::{programs, wide};

/// How many ends a program is tried with, spread over its calls.
const SOME: u32 = 12;

/// All programs that use one daemon alone.
fn all_programs() -> impl Iterator<Item = &'static str> {
    programs::PROGRAMS.into_iter().chain(wide::PROGRAMS)
}

/// Runs a program with faults in its system calls; its output, and how many calls there were.
fn disturbed(program: &Path, socket: &str, (name, value): (&str, u32)) -> (Output, u32) {
    build_faults();
    let output = Command::new("timeout")
        .args(["-k", "5", "60"])
        .arg(program)
        .arg(socket)
        .env("LD_PRELOAD", scratch().join("fault.so"))
        .env("FAULT_REPORT", "1")
        .env(name, value.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let calls = said
        .lines()
        .filter_map(|line| line.strip_prefix("calls ")?.parse::<u32>().ok());
    let calls = calls.sum();
    (output, calls)
}

fn build_faults() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let done = Command::new("cc")
            .args([
                "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
            ])
            .arg(sources().join("fault.c"))
            .arg("-o")
            .arg(scratch().join("fault.so"))
            .arg("-ldl")
            .output()
            .unwrap();
        succeeded("fault.c", &done);
    });
}

#[test]
fn faults_of_system_calls_are_survived() {
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for source in all_programs() {
        let program = compile(source, Link::Shared, &["-pthread"]);
        for seed in 1..=4 {
            let (output, calls) = disturbed(&program, &daemon.socket(), ("FAULT_SEED", seed));
            succeeded(&format!("{source} with seed {seed}"), &output);
            assert!(calls > 20, "{source} is not disturbed");
        }
    }
}

/// The connection ends at reads and writes of the program in turn: the program fails a check, or does not; it
/// neither crashes nor hangs.
fn ends_are_survived(ends: impl Fn(u32) -> Vec<u32>) {
    let daemon = Daemon::start(Whose::Ours).unwrap();
    let socket = daemon.socket();
    for source in all_programs() {
        let program = compile(source, Link::Shared, &["-pthread"]);
        let (_, calls) = disturbed(&program, &socket, ("FAULT_END", u32::MAX));
        assert!(calls > 10, "{source} makes {calls} calls");
        for end in ends(calls) {
            let (output, _) = disturbed(&program, &socket, ("FAULT_END", end));
            let status = output.status;
            let well = status.signal().is_none() && matches!(status.code(), Some(0 | 1 | 3));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                well && !errors.contains("panicked"),
                "{source}, end at call {end}: {status}\n{errors}"
            );
        }
    }
}

#[test]
fn the_end_of_the_connection_is_survived() {
    ends_are_survived(|calls| {
        let first = 1..=4;
        first
            .chain((5..=calls).step_by((calls / SOME).max(1) as usize))
            .collect()
    });
}

#[test]
#[ignore = "takes minutes: each call of each program"]
fn the_end_of_the_connection_is_survived_everywhere() {
    ends_are_survived(|calls| (1..=calls).collect());
}

fn killed_at(source: &str, step: &str) {
    let mut daemon = Daemon::start(Whose::Ours).unwrap();
    let program = compile(source, Link::Shared, &["-pthread"]);
    let mut process = Command::new("timeout")
        .args(["-k", "5", "60"])
        .arg(program)
        .args([&daemon.socket(), step])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    said.read_line(&mut ready).unwrap();
    daemon.kill();
    process.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = process.wait_with_output().unwrap();
    succeeded(&format!("{source} {step}"), &output);
    assert_eq!(ready, "ready\n", "{source} {step}");
}

#[test]
fn a_daemon_that_dies_is_noticed_at_every_step() {
    for step in [
        "connected",
        "unsent",
        "waiting",
        "message",
        "attach",
        "leader",
        "locked",
        "traverse",
    ] {
        killed_at("lost.c", step);
    }
}

#[test]
fn a_daemon_that_dies_is_noticed_at_every_step_of_the_wide_interface() {
    for step in [
        "connected",
        "attach",
        "locked",
        "transaction",
        "traverse",
        "g_lock",
        "listening",
    ] {
        killed_at("wide_lost.c", step);
    }
}

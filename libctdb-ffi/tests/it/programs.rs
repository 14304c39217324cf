//! The interface of `ctdb.h` as programs in C see it: the programs in `c/`, built against the installed library,
//! against our daemon and Debian's.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;

use crate::support::{Daemon, Link, Whose, compile, library, run, scratch, sources, succeeded};

/// Those that use all of the interface.
const PROGRAMS: [&str; 3] = ["controls.c", "messages.c", "records.c"];

fn all_work_with(whose: Whose) {
    let Some(daemon) = Daemon::start(whose) else {
        return;
    };
    for source in PROGRAMS.into_iter().chain(["exhausted.c"]) {
        for link in [Link::Shared, Link::Static] {
            let program = compile(source, link, &[]);
            let said = succeeded(source, &run(&program, &[&daemon.socket()]));
            assert_eq!(said, "done\n", "{source}");
        }
    }
}

#[test]
fn everything_works_with_our_daemon() {
    all_work_with(Whose::Ours);
}

#[test]
fn everything_works_with_the_c_daemon() {
    all_work_with(Whose::C);
}

#[test]
fn the_program_of_the_page_counts() {
    let daemon = Daemon::start(Whose::Ours).unwrap();
    let program = compile(
        "../../../docs/examples/counter_classic.c",
        Link::Shared,
        &[],
    );
    for number in ["1\n", "2\n"] {
        let said = succeeded("counter_classic.c", &run(&program, &[&daemon.socket()]));
        assert_eq!(said, number);
    }
    let program = compile("fetch_loop.c", Link::Shared, &[]);
    let said = succeeded("fetch_loop.c", &run(&program, &[&daemon.socket(), "0.2"]));
    assert!(said.starts_with("Locks:"), "{said}");
}

/// The level is written by the program: one that is not position-independent has the variable in itself.
#[test]
fn the_log_level_is_the_programs() {
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for options in [&["-no-pie", "-fno-pie"][..], &["-pie", "-fPIE"]] {
        for link in [Link::Shared, Link::Static] {
            let program = compile("log.c", link, options);
            succeeded("log.c", &run(&program, &[&daemon.socket()]));
        }
    }
}

/// Runs a program with faults in its system calls; its output, and how many calls there were.
fn disturbed(
    program: &Path,
    socket: &str,
    (name, value): (&str, u32),
) -> (std::process::Output, u32) {
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
    build_faults();
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for source in PROGRAMS {
        let program = compile(source, Link::Shared, &[]);
        for seed in 1..=6 {
            let (output, calls) = disturbed(&program, &daemon.socket(), ("FAULT_SEED", seed));
            succeeded(&format!("{source} with seed {seed}"), &output);
            assert!(calls > 50, "{source} is not disturbed");
        }
    }
}

/// The connection ends at each of the program's reads and writes in turn: the program fails a check, or does
/// not; it neither crashes nor hangs.
#[test]
fn the_end_of_the_connection_is_survived_everywhere() {
    build_faults();
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for source in PROGRAMS {
        let program = compile(source, Link::Shared, &[]);
        let socket = daemon.socket();
        let (_, calls) = disturbed(&program, &socket, ("FAULT_END", u32::MAX));
        assert!(calls > 20, "{source} makes {calls} calls");
        for end in 1..=calls {
            let (output, _) = disturbed(&program, &socket, ("FAULT_END", end));
            let status = output.status;
            let well = status.signal().is_none() && matches!(status.code(), Some(0 | 3));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(well, "{source}, end at call {end}: {status}\n{errors}");
        }
    }
}

fn killed_at(step: &str) {
    let mut daemon = Daemon::start(Whose::Ours).unwrap();
    let program = compile("lost.c", Link::Shared, &[]);
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
    assert_eq!(ready, "ready\n", "{step}");
    daemon.kill();
    process.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = process.wait_with_output().unwrap();
    succeeded(step, &output);
}

#[test]
fn a_daemon_that_dies_is_noticed_at_every_step() {
    let steps = [
        "connected",
        "unsent",
        "waiting",
        "message",
        "attach",
        "leader",
        "locked",
        "traverse",
    ];
    for step in steps {
        killed_at(step);
    }
}

#[test]
fn memory_is_right_by_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: needs valgrind");
        return;
    }
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for source in PROGRAMS {
        let program = compile(source, Link::Shared, &[]);
        let output = Command::new("timeout")
            .args([
                "-k",
                "5",
                "300",
                "valgrind",
                "--quiet",
                "--error-exitcode=9",
            ])
            .args(["--leak-check=full", "--errors-for-leak-kinds=definite"])
            .arg(program)
            .arg(daemon.socket())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        succeeded(&format!("valgrind {source}"), &output);
    }
}

#[test]
fn memory_is_right_by_address_sanitizer() {
    let daemon = Daemon::start(Whose::Ours).unwrap();
    for source in PROGRAMS {
        let program = compile(source, Link::Shared, &["-fsanitize=address,undefined"]);
        let output = run(&program, &[&daemon.socket()]);
        succeeded(source, &output);
    }
}

/// Nothing is exported that is not public, nothing public is missing, and nothing has ever gone: the list is
/// kept.
#[test]
fn the_symbols_are_those_of_the_list() {
    let shared = library().join("libctdb.so.0");
    let output = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(shared)
        .output()
        .unwrap();
    let said = succeeded("nm", &output);
    let symbol = |line: &str| line.split(' ').next_back().map(str::to_owned);
    let mut exported: Vec<_> = said.lines().filter_map(symbol).collect();
    exported.sort();
    let kept = std::fs::read_to_string(sources().join("symbols.txt")).unwrap();
    let kept: Vec<_> = kept.lines().filter(|line| !line.starts_with('#')).collect();
    // the nodes of versions are symbols too
    let is_name = |name: &&String| !name.starts_with("LIBCTDB_");
    let exported: Vec<_> = exported.iter().filter(is_name).collect();
    assert_eq!(exported, kept);
}

/// The same of the static library: two libraries in Rust in one program do not meet.
#[test]
fn the_static_library_hides_the_rest() {
    let archive = library().join("libctdb.a");
    let output = Command::new("nm")
        .args(["-g", "--defined-only"])
        .arg(archive)
        .output()
        .unwrap();
    let said = succeeded("nm", &output);
    let name = |line: &str| line.split(' ').nth(2).map(str::to_owned);
    let foreign: Vec<_> = said
        .lines()
        .filter_map(name)
        .filter(|name| !name.starts_with("ctdb"))
        .collect();
    assert_eq!(foreign, Vec::<String>::new());
}

#[test]
fn the_shared_library_has_its_name_and_needs_little() {
    let shared = library().join("libctdb.so.0");
    let output = Command::new("readelf")
        .arg("-d")
        .arg(shared)
        .output()
        .unwrap();
    let said = succeeded("readelf", &output);
    assert!(said.contains("[libctdb.so.0]"), "{said}");
    let needed = |name: &&str| name.contains("(NEEDED)");
    for line in said.lines().filter(needed) {
        let known = [
            "libtdb.so.1",
            "libgcc_s.so.1",
            "libc.so.6",
            "libm.so.6",
            "ld-linux",
        ];
        assert!(known.iter().any(|name| line.contains(name)), "{line}");
    }
}

//! The interface of `ctdb.h` as programs in C see it: the programs in `c/`, built against the installed library,
//! against our daemon and Debian's.

use std::process::{Command, Stdio};

use crate::support::{Daemon, Link, Whose, compile, library, run, sources, succeeded};

/// Those that use all of the interface.
pub(crate) const PROGRAMS: [&str; 4] = ["asynchronous.c", "controls.c", "messages.c", "records.c"];

fn all_work_with(whose: Whose) {
    let Some(daemon) = Daemon::start(whose) else {
        return;
    };
    let socket = daemon.socket();
    let words: &[&str] = match whose {
        Whose::Ours => &[&socket],
        Whose::C => &[&socket, "c"],
    };
    for source in PROGRAMS.into_iter().chain(["exhausted.c"]) {
        for link in [Link::Shared, Link::Static] {
            let program = compile(source, link, &[]);
            let said = succeeded(source, &run(&program, words));
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
fn a_lock_is_taken_as_often_as_it_goes() {
    let daemon = Daemon::start(Whose::Ours).unwrap();
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

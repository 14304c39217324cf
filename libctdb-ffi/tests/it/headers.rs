//! The installed headers: each alone, in every dialect; layouts; what old Samba looks for.

use std::process::{Command, Stdio};

use crate::support::{Link, compile, library, root, run, sources, succeeded};

/// The last of each under the names that compilers of Debian 12 know it by: C23, C++23.
const C: [&str; 4] = ["c99", "c11", "c17", "c2x"];
const CPP: [&str; 5] = ["c++11", "c++14", "c++17", "c++20", "c++2b"];

fn headers() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("usr/include")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.contains(&"ctdb.h".to_owned()), "{names:?}");
    names
}

/// The compilers of this machine: a program, its language, that language's dialects.
fn compilers() -> Vec<(&'static str, &'static str, &'static [&'static str])> {
    let mut all = vec![
        ("gcc", "c", &C[..]),
        ("g++", "c++", &CPP[..]),
        ("clang", "c", &C[..]),
        ("clang++", "c++", &CPP[..]),
    ];
    all.retain(|(program, ..)| {
        let there = Command::new(program).arg("--version").output().is_ok();
        if !there {
            println!("skipped: needs {program}");
        }
        there
    });
    assert!(!all.is_empty(), "no compiler");
    all
}

fn accepts(compiler: (&str, &str, &str), source: &str) {
    let (program, language, dialect) = compiler;
    let mut process = Command::new(program)
        .args([
            "-fsyntax-only",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-x",
            language,
            "-",
        ])
        .arg(format!("-std={dialect}"))
        .arg(format!("-I{}", root().join("usr/include").display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut process.stdin.take().unwrap(), source.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    succeeded(&format!("{program} -std={dialect}\n{source}"), &output);
}

fn all_accept(source: &str, language: Option<&str>) {
    for (program, own, dialects) in compilers() {
        for dialect in dialects {
            if language.is_none_or(|language| language == own) {
                accepts((program, own, dialect), source);
            }
        }
    }
}

#[test]
fn each_header_compiles_alone() {
    for header in headers() {
        all_accept(&format!("#include <{header}>\n"), None);
    }
}

#[test]
fn all_headers_compile_together_in_any_order() {
    let mut names = headers();
    for _ in 0..names.len() {
        let includes: String = names
            .iter()
            .map(|name| format!("#include <{name}>\n"))
            .collect();
        accepts(("gcc", "c", "c11"), &includes);
        names.rotate_left(1);
    }
}

/// Callbacks with the types of their own arguments, in C without a word; others are met with one.
#[test]
fn callbacks_are_checked() {
    let uses = std::fs::read_to_string(sources().join("callbacks.c")).unwrap();
    all_accept(&uses, None);
    let wrong = "#include <ctdb.h>\n\
        static void cb(struct ctdb_connection *c, struct ctdb_request *r, int *i) { (void)c; (void)r; (void)i; }\n\
        struct ctdb_request *f(struct ctdb_connection *c, double *d);\n\
        struct ctdb_request *f(struct ctdb_connection *c, double *d) { return ctdb_getpnn_send(c, 0, cb, d); }\n";
    let refused = std::panic::catch_unwind(|| accepts(("gcc", "c", "c11"), wrong));
    assert!(refused.is_err());
}

/// Size and offsets of every public structure: what programs are compiled with.
#[test]
fn the_layouts_are_those_of_the_list() {
    let program = compile("layout.c", Link::Shared, &[]);
    let said = succeeded("layout.c", &run(program, &[]));
    let kept = std::fs::read_to_string(sources().join("layout.txt")).unwrap();
    let kept: String = kept
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(said, kept);
}

/// The checks of Samba 3.6 to 4.1 for clustering are for these; they forbid the word `private`.
#[test]
fn old_samba_finds_what_it_looks_for() {
    for (headers, what) in [
        ("", "0"),
        ("#include <ctdb_private.h>\n", "0"),
        ("#include <ctdb_protocol.h>\n", "0"),
        (
            "#include <ctdb_private.h>\n",
            "(int)CTDB_CONTROL_TRANS3_COMMIT",
        ),
        (
            "#include <ctdb_private.h>\n",
            "(int)CTDB_CONTROL_SCHEDULE_FOR_DELETION",
        ),
        ("", "(int)CTDB_WANT_READONLY"),
        (
            "#include <ctdb_private.h>\n",
            "(int)sizeof(struct ctdb_control_tcp)",
        ),
        (
            "#include <ctdb_private.h>\n",
            "(int)sizeof(struct ctdb_control_tcp_addr)",
        ),
        (
            "#include <ctdb_private.h>\n",
            "(int)CTDB_CONTROL_CHECK_SRVIDS",
        ),
    ] {
        let source = format!(
            "#include <tdb.h>\n#define private #error\n#include <ctdb.h>\n{headers}\n\
             int main(void) {{ int i = {what}; return i > 1000; }}\n"
        );
        // tdb.h wants these before
        accepts(
            ("gcc", "c", "c11"),
            &format!("#include <sys/types.h>\n{source}"),
        );
    }
}

#[test]
fn pkg_config_knows_it() {
    let output = Command::new("pkg-config")
        .args(["--cflags", "--libs", "ctdb"])
        .env("PKG_CONFIG_PATH", library().join("pkgconfig"))
        .output()
        .unwrap();
    let said = succeeded("pkg-config", &output);
    assert!(said.contains("-lctdb"), "{said}");
}

//! The programs of docs/libctdb.md, as they are printed there, built with the commands that are printed there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Daemon, Whose, library, root, succeeded, top};
use crate::wide::{example, python};

/// A piece of the page, and what is written between it and the one before.
struct Block<'a> {
    language: &'a str,
    code: &'a str,
    before: &'a str,
}

fn page() -> String {
    std::fs::read_to_string(top().join("docs/libctdb.md")).unwrap()
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let parts: Vec<_> = page.split("```").collect();
    assert!(parts.len() % 2 == 1, "a block is not closed");
    parts
        .chunks_exact(2)
        .map(|pair| {
            let (language, code) = pair[1].split_once('\n').unwrap();
            Block {
                language,
                code,
                before: pair[0],
            }
        })
        .collect()
}

impl Block<'_> {
    /// The last words of this kind before it: what is between the two marks.
    fn said(&self, begin: &str, end: &str) -> Option<&str> {
        let (_, rest) = self.before.rsplit_once(begin)?;
        rest.split_once(end).map(|(said, _)| said)
    }

    /// The file of the project that it is.
    fn file(&self) -> Option<PathBuf> {
        self.said("](", ")")
            .map(|file| top().join("docs").join(file))
    }

    /// Builds a program in C by the command that is printed, as if we were installed.
    fn build(&self, folder: &Path) -> PathBuf {
        let file = self.file().unwrap();
        std::fs::write(folder.join(file.file_name().unwrap()), self.code).unwrap();
        let command = format!("cc{}", self.said("`cc", "`").unwrap());
        let done = Command::new("sh")
            .args(["-c", &command])
            .env("CPATH", root().join("usr/include"))
            .env("LIBRARY_PATH", library())
            .current_dir(folder)
            .output()
            .unwrap();
        succeeded(&command, &done);
        folder.join("a.out")
    }

    /// What it says when it runs.
    fn run(&self, socket: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut command = match self.language {
            "rust" => return example("counter", socket),
            "c" => Command::new(self.build(folder.path())),
            "python" => {
                std::fs::write(folder.path().join("program.py"), self.code).unwrap();
                let mut command = python().unwrap();
                command.arg(folder.path().join("program.py"));
                command
            }
            other => panic!("{other}?"),
        };
        command.arg(socket).env("LD_LIBRARY_PATH", library());
        succeeded(self.code, &command.output().unwrap())
    }
}

/// The same program in each language, on one record.
fn programs_count(whose: Whose) {
    let Some(daemon) = Daemon::start(whose) else {
        return;
    };
    let can_run = |block: &Block<'_>| block.language != "python" || python().is_some();
    let page = page();
    let programs = blocks(&page)
        .into_iter()
        .filter(|block| block.code.contains("runs") && can_run(block));
    let said: Vec<_> = programs
        .map(|program| program.run(&daemon.socket()))
        .collect();
    let counted: Vec<_> = (1..=said.len())
        .map(|number| format!("{number}\n"))
        .collect();
    assert_eq!(said, counted);
    assert!(counted.len() >= 3);
}

#[test]
fn the_programs_of_the_page_count_with_our_daemon() {
    programs_count(Whose::Ours);
}

#[test]
fn the_programs_of_the_page_count_with_the_c_daemon() {
    programs_count(Whose::C);
}

#[test]
fn the_programs_of_the_page_are_those_of_their_files() {
    let page = page();
    let mut files = 0;
    for block in blocks(&page) {
        let is_program = |file: &PathBuf| {
            file.parent()
                .is_some_and(|folder| folder.ends_with("examples"))
        };
        if let Some(file) = block.file().filter(is_program) {
            let kept = std::fs::read_to_string(&file).unwrap();
            assert_eq!(block.code, kept, "{}", file.display());
            files += 1;
        }
    }
    assert_eq!(files, 4);
}

/// What is no whole program: with our socket instead of the usual one.
#[test]
fn the_pieces_in_python_run() {
    let (Some(daemon), Some(mut python)) = (Daemon::start(Whose::Ours), python()) else {
        return;
    };
    let page = page();
    let blocks = blocks(&page);
    let piece = blocks
        .iter()
        .find(|block| block.code.contains("reconnect=True"))
        .unwrap();
    let first = "import ctdb, functools, sys\nctdb.connect = functools.partial(ctdb.connect, sys.argv[1])\n";
    let output = python
        .args(["-c", &format!("{first}{}", piece.code), &daemon.socket()])
        .output()
        .unwrap();
    assert_eq!(succeeded(piece.code, &output), "b'hello'\n");
}

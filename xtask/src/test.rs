//! All tests, and the count of them.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::step::{cargo, is_root, run as run_step, step, target_dir, text};
use crate::{package, setup, sim};

/// The runs with a real Samba: what they are, and the arguments of `compat`. The longest come first, as two run
/// side by side.
const WITH_SAMBA: [(&str, &[&str]); 11] = [
    ("what dies, hangs or runs out", &["deaths", "--quick"]),
    (
        "a C node under load replaced by ours, and back",
        &["rolling", "--quick"],
    ),
    (
        "a daemon that hangs, a network half open, a network one way",
        &[
            "faults",
            "--faults",
            "3",
            "--longest",
            "8",
            "--seed",
            "233",
            "--kinds",
            "hang-daemon,half-open,one-way",
        ],
    ),
    ("kills under load", &["kills", "--kills", "2"]),
    ("packets that mean harm", &["hostile", "--quick"]),
    ("the ctdb tool on ours and on C", &["compare"]),
    (
        "the same for public addresses that a C node places",
        &["compare", "--walk", "addresses"],
    ),
    (
        "the same for public addresses that ours places",
        &["compare", "--walk", "takeover"],
    ),
    ("a C node among ours", &["accept", "--theirs", "1"]),
    ("three nodes of ours", &["accept"]),
    (
        "every workload of the benchmark runs on ours",
        &["bench", "--quick", "--nodes", "1"],
    ),
];

/// Most of a cluster's time is waiting: with this many at once two processors are busy, and not late.
const AT_ONCE: usize = 2;

/// How many tests passed and failed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    /// The lines that name a failed test, to be shown once more where they are found: at the end.
    failures: Vec<String>,
    /// The last line named a failed test, or says why it failed.
    in_failure: bool,
}

/// Runs all tests and prints the count as the last line; true if none failed.
pub(crate) fn run(quick: bool) -> Result<bool> {
    let purpose = if quick {
        setup::Purpose::Build
    } else {
        setup::Purpose::Run
    };
    let complete = setup::run(purpose)?;
    let mut count = Count::default();
    count.add_run(&mut cargo("test --workspace --no-fail-fast --color never"))?;
    count.add_run(&mut sim::command(sim::SEEDS)?)?;
    match (quick, complete && is_root()) {
        (true, _) => step("left out: the tests with a real Samba (--quick)"),
        (false, false) => step("left out: the tests with a real Samba need root and its packages"),
        (false, true) => with_samba(&mut count)?,
    }
    for failure in &count.failures {
        step(failure);
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(count.failed == 0 && count.passed > 0)
}

fn with_samba(count: &mut Count) -> Result<()> {
    let target = target_dir()?;
    let root = target.join("package-under-test");
    run_step(cargo("build --package compat-tests --bins --target-dir").arg(&target))?;
    package::install(&root, true)?;
    let jobs = WITH_SAMBA.iter().enumerate().map(|(number, (what, args))| {
        let mut command = compat(&target, args);
        let logs = target.join(format!("compat-logs/{number}"));
        command.arg("--root").arg(&root).arg("--logs").arg(logs);
        (*what, command)
    });
    side_by_side(jobs.collect(), count)
}

/// Runs commands, [`AT_ONCE`] at a time; each one's output is shown as a whole when it has ended.
fn side_by_side(jobs: VecDeque<(&str, Command)>, count: &mut Count) -> Result<()> {
    let left = Mutex::new(jobs);
    let shared = Mutex::new(count);
    let lane = || -> Result<()> {
        loop {
            let next = left.lock().ok().and_then(|mut left| left.pop_front());
            let Some((what, mut command)) = next else {
                return Ok(());
            };
            step(&format!("with a real Samba: {what}: begins"));
            let started = Instant::now();
            let done = command.output().with_context(|| text(&command))?;
            let Ok(mut count) = shared.lock() else {
                return Ok(());
            };
            step(&format!("with a real Samba: {what}: {}", text(&command)));
            count.add_output(&done, &text(&command));
            let seconds = started.elapsed().as_secs();
            step(&format!("with a real Samba: {what}: {seconds} s"));
        }
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| {
            lane.join()
                .unwrap_or_else(|_| Err(anyhow!("a lane of tests ended early")))
        })
    })
}

/// The program `compat`, as it was just built.
pub(crate) fn compat(target: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(target.join("debug/compat"));
    command.args(args);
    command
}

impl Count {
    /// Runs a command, shows its output and counts what its lines say. A command that fails and
    /// does not say by what counts as one failed test.
    fn add_run(&mut self, command: &mut Command) -> Result<()> {
        step(&text(command));
        let before = self.failed;
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| text(command))?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        for line in lines {
            let line = line.context("its output")?;
            println!("{line}");
            self.add_line(&line);
        }
        self.add_status(child.wait()?, before, &text(command));
        Ok(())
    }

    /// Shows the output of a command that has ended, and counts it.
    fn add_output(&mut self, done: &Output, text: &str) {
        let before = self.failed;
        for line in String::from_utf8_lossy(&done.stdout).lines() {
            println!("{line}");
            self.add_line(line);
        }
        eprint!("{}", String::from_utf8_lossy(&done.stderr));
        self.add_status(done.status, before, text);
    }

    fn add_status(&mut self, status: ExitStatus, failed_before: usize, text: &str) {
        if !status.success() && self.failed == failed_before {
            self.failed += 1;
            let line = format!("not ok {text}");
            println!("{line}");
            self.failures.push(line);
        }
    }

    /// cargo's `test result: ok. 7 passed; 0 failed; ...`, and `# 7 tests, 0 failed` of `compat`; and what
    /// both print of a test that failed, `test NAME ... FAILED` and `not ok NAME (1.2 s)`.
    fn add_line(&mut self, line: &str) {
        let of_cargo = line.starts_with("test ") && line.ends_with(" FAILED");
        let why = self.in_failure && line.starts_with("# ");
        self.in_failure = of_cargo || line.starts_with("not ok ") || why;
        if self.in_failure {
            self.failures.push(line.to_owned());
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
        } else if let Some(result) = line
            .strip_prefix("# ")
            .filter(|line| line.ends_with(" failed"))
        {
            let failed = number_before(result, " failed");
            self.failed += failed;
            self.passed += number_before(result, " tests").saturating_sub(failed);
        }
    }
}

fn number_before(text: &str, word: &str) -> usize {
    let number = text
        .split(word)
        .next()
        .unwrap_or_default()
        .rsplit(' ')
        .next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> (usize, usize) {
        let mut count = Count::default();
        lines.iter().for_each(|line| count.add_line(line));
        (count.passed, count.failed)
    }

    #[test]
    fn both_kinds_of_closing_lines_are_counted() {
        let cargo = "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(counted(&[cargo, "# 10 tests, 3 failed"]), (12, 5));
        assert_eq!(
            counted(&["test a ... ok", "ok 3 failed", "# locks: 5.9 s"]),
            (0, 0)
        );
    }

    #[test]
    fn failed_tests_are_kept_for_the_end() {
        let mut count = Count::default();
        let failed = ["test a::b ... FAILED", "not ok c (1.2 s)", "# no answer"];
        for line in [
            failed[0],
            "test d ... ok",
            "ok e",
            "# e: 1.0 s",
            failed[1],
            failed[2],
            "ok f",
            "# f: 1.0 s",
        ] {
            count.add_line(line);
        }
        assert_eq!(count.failures, failed);
    }

    #[test]
    fn commands_side_by_side_are_all_counted() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let jobs = [
            ("one", shell("echo '# 3 tests, 1 failed'; exit 1")),
            ("two", shell("echo '# 4 tests, 0 failed'")),
            ("three", shell("exit 1")),
        ];
        let mut count = Count::default();
        side_by_side(jobs.into(), &mut count).unwrap();
        assert_eq!((count.passed, count.failed), (6, 2));
        assert_eq!(count.failures, ["not ok sh -c exit 1"]);
    }

    #[test]
    fn a_command_that_fails_without_a_word_counts() {
        let mut count = Count::default();
        count.add_run(&mut Command::new("false")).unwrap();
        assert_eq!((count.passed, count.failed), (0, 1));
    }
}

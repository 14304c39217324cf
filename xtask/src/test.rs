//! All tests, and the count of them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::step::{cargo, is_root, run as run_step, step, target_dir, text};
use crate::{package, setup, sim};

/// The runs with a real Samba: what they are, and the arguments of `compat`.
const WITH_SAMBA: [(&str, &[&str]); 9] = [
    ("three nodes of ours", &["accept"]),
    ("a C node among ours", &["accept", "--theirs", "1"]),
    ("the ctdb tool on ours and on C", &["compare"]),
    (
        "the same for public addresses that a C node places",
        &["compare", "--walk", "addresses"],
    ),
    (
        "the same for public addresses that ours places",
        &["compare", "--walk", "takeover"],
    ),
    (
        "every workload of the benchmark runs on ours",
        &["bench", "--quick", "--nodes", "1"],
    ),
    ("what dies, hangs or runs out", &["deaths", "--quick"]),
    ("kills under load", &["kills", "--kills", "2"]),
    ("packets that mean harm", &["hostile", "--quick"]),
];

/// How many tests passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
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
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(count.failed == 0 && count.passed > 0)
}

fn with_samba(count: &mut Count) -> Result<()> {
    let target = target_dir()?;
    let root = target.join("package-under-test");
    run_step(cargo("build --package compat-tests --bins --target-dir").arg(&target))?;
    package::install(&root, true)?;
    for (number, (what, args)) in WITH_SAMBA.iter().enumerate() {
        step(&format!("with a real Samba: {what}"));
        let logs = target.join(format!("compat-logs/{number}"));
        count.add_run(
            compat(&target, args)
                .arg("--root")
                .arg(&root)
                .arg("--logs")
                .arg(logs),
        )?;
    }
    Ok(())
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
        if !child.wait()?.success() && self.failed == before {
            self.failed += 1;
            println!("not ok {}", text(command));
        }
        Ok(())
    }

    /// cargo's `test result: ok. 7 passed; 0 failed; ...`, and `# 7 tests, 0 failed` of `compat`.
    fn add_line(&mut self, line: &str) {
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
    fn a_command_that_fails_without_a_word_counts() {
        let mut count = Count::default();
        count.add_run(&mut Command::new("false")).unwrap();
        assert_eq!(
            count,
            Count {
                passed: 0,
                failed: 1
            }
        );
    }
}

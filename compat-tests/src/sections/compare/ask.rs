//! Commands on a node, and what they answer: standard output, standard error and exit status.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::node::Node;

/// Where a batch leaves the answers, on the node.
const ANSWERS: &str = "/run/answers";
/// Where commands run, and leave files for later ones.
const FILES: &str = "/run/files";
/// What makes a line one of the shell, instead of arguments of `ctdb`.
const SHELL: &str = "$ ";

/// A command, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The state that the cluster was in.
    pub state: String,
    /// The node that was asked.
    pub node: usize,
    /// The command as a shell sees it.
    pub line: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status.
    pub status: String,
}

impl Step {
    /// What was asked in which state: different for each step of a run, but for repetitions.
    pub fn title(&self) -> String {
        format!("{}: node {}: {}", self.state, self.node, self.line)
    }

    /// The command of the tool that it runs; empty if none is named.
    pub fn command(&self) -> &str {
        let mut words = self
            .line
            .split_whitespace()
            .skip_while(|word| *word != "ctdb");
        words.nth(1).unwrap_or_default()
    }
}

/// Runs lines on a node: those of a lane one after the other, all lanes at once. A line is
/// arguments of `ctdb`, the command first, or behind `$ ` one of the shell.
///
/// # Errors
/// The shell does not come to its end within the limit of a node's commands.
pub(super) fn ask(state: &str, node: &Node, lanes: &[Vec<String>]) -> Result<Vec<Step>> {
    let lanes: Vec<Vec<_>> = lanes
        .iter()
        .map(|lane| lane.iter().map(|line| shell_line(line)).collect())
        .collect();
    node.sh(&script(&lanes))
        .with_context(|| format!("{state}: node {}", node.pnn))?;
    let step = |(number, line): (usize, String)| {
        let read = |what| {
            let path = node.path(&format!("{ANSWERS}/{number}.{what}"));
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            anyhow::Ok(text(&bytes))
        };
        Ok(Step {
            state: state.to_owned(),
            node: node.pnn,
            stdout: read("out")?,
            stderr: read("err")?,
            status: read("status")?.trim_end().to_owned(),
            line,
        })
    };
    lanes.into_iter().flatten().enumerate().map(step).collect()
}

fn shell_line(line: &str) -> String {
    match line.strip_prefix(SHELL) {
        Some(line) => line.to_owned(),
        // a session of its own: with -T the tool ends its process group
        None if line.contains(" -T ") => format!("setsid -w ctdb {line}"),
        None => format!("ctdb {line}").trim_end().to_owned(),
    }
}

/// Numbers the lines of all lanes, and leaves the answers in files named by these numbers.
fn script(lanes: &[Vec<String>]) -> String {
    let mut script =
        format!("rm -rf {ANSWERS}; mkdir -p {ANSWERS} {FILES} && cd {FILES} || exit 1\n");
    let mut number = 0;
    for lane in lanes {
        script += "(\n";
        for line in lane {
            let to = format!("{ANSWERS}/{number}");
            script +=
                &format!("( {line}\n) >{to}.out 2>{to}.err </dev/null; echo $? >{to}.status\n");
            number += 1;
        }
        script += ") &\n";
    }
    script + "wait\n"
}

/// Text as it is; bytes that are none as `\xNN`, so that they stay compared.
fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        text += &chunk.invalid().escape_ascii().to_string();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(line: &str) -> Step {
        Step {
            state: "up".to_owned(),
            node: 0,
            line: shell_line(line),
            stdout: String::new(),
            stderr: String::new(),
            status: "0".to_owned(),
        }
    }

    #[test]
    fn the_command_of_a_line_is_found() {
        assert_eq!(step("status -X").command(), "status");
        assert_eq!(
            step("ping -T 5").title(),
            "up: node 0: setsid -w ctdb ping -T 5"
        );
        assert_eq!(step("$ echo k | ctdb ptrans kept.tdb").command(), "ptrans");
        assert_eq!(step("").command(), "");
    }

    #[test]
    fn bytes_that_are_no_text_stay_visible() {
        assert_eq!(text(b"a\xff\nb"), "a\\xff\nb");
    }
}

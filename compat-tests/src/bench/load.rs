//! The clients: `ctdb-load` on some nodes at the same time.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::processes::Daemon;
use crate::cluster::Cluster;
use crate::node::Node;

/// Beyond the time that a load is meant to take, in seconds: its clients meet first.
pub(super) const GRACE: u64 = 45;

/// What a client says at its end.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    operations: f64,
    seconds: f64,
    failures: u64,
}

/// What the clients of all nodes said.
#[derive(Debug, Default)]
pub struct Done {
    lines: Vec<Line>,
    /// The same as it was printed, one of each node.
    pub raw: Vec<serde_json::Value>,
    /// CPU time of all daemons of the cluster meanwhile.
    pub cpu: Duration,
}

impl Done {
    /// Operations of each node in a second.
    #[must_use]
    pub fn rates(&self) -> Vec<f64> {
        self.lines
            .iter()
            .map(|line| line.operations / line.seconds.max(1e-9))
            .collect()
    }

    /// Operations of all nodes in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rates().iter().sum()
    }

    /// Operations of all nodes.
    #[must_use]
    pub fn operations(&self) -> f64 {
        self.lines.iter().map(|line| line.operations).sum()
    }

    /// The time of the slowest.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.lines
            .iter()
            .map(|line| line.seconds)
            .fold(0.0, f64::max)
    }

    /// Microseconds of CPU of all daemons for one operation.
    #[must_use]
    pub fn cpu_us(&self) -> Option<f64> {
        let operations = self.operations();
        (operations > 0.0).then(|| self.cpu.as_secs_f64() * 1e6 / operations)
    }
}

/// Starts the clients.
#[derive(Debug)]
pub struct Clients<'a> {
    cluster: &'a Cluster,
    program: PathBuf,
    seconds: u64,
}

impl<'a> Clients<'a> {
    /// Clients whose timed loads take that many seconds. Their program is beside this one.
    ///
    /// # Errors
    /// The program is not there.
    pub fn new(cluster: &'a Cluster, seconds: u64) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("ctdb-load");
        ensure!(program.is_file(), "{} is not built", program.display());
        Ok(Self {
            cluster,
            program,
            seconds,
        })
    }

    /// Runs a load on the first node.
    ///
    /// # Errors
    /// As `on`.
    pub fn on_one(&self, words: &str) -> Result<Done> {
        self.on(1, words)
    }

    /// Runs a load on all nodes.
    ///
    /// # Errors
    /// As `on`.
    pub fn on_all(&self, words: &str) -> Result<Done> {
        self.on(self.cluster.nodes.len(), words)
    }

    /// Runs a load on the first `count` nodes at the same time.
    ///
    /// # Errors
    /// As `together`.
    fn on(&self, count: usize, words: &str) -> Result<Done> {
        self.together(
            count,
            words,
            |node| self.start(node, count, words, self.seconds),
            |_, printed| Ok(serde_json::from_slice(printed)?),
        )
    }

    /// Runs a client on each of the first `count` nodes at the same time: how it is started, and the line that says what
    /// it did, made of its node and what it has printed.
    ///
    /// # Errors
    /// A client fails, counts failures, or says nothing that can be understood.
    pub(super) fn together(
        &self,
        count: usize,
        name: &str,
        start: impl Fn(&Node) -> Result<Child>,
        line: impl Fn(usize, &[u8]) -> Result<serde_json::Value>,
    ) -> Result<Done> {
        let before = self.cpu()?;
        let nodes = &self.cluster.nodes[..count];
        let started: Result<Vec<Child>> = nodes.iter().map(start).collect();
        // all of them are waited for before one's failure is told
        let texts: Vec<_> = started?.into_iter().map(Child::wait_with_output).collect();
        let mut done = Done::default();
        for (pnn, output) in texts.into_iter().enumerate() {
            let output = output?;
            let errors = String::from_utf8_lossy(&output.stderr);
            let what = || format!("{name}, node {pnn}: {}", errors.trim());
            ensure!(output.status.success(), "{}: {}", what(), output.status);
            let value = line(pnn, &output.stdout).with_context(what)?;
            done.lines
                .push(Line::deserialize(&value).with_context(what)?);
            done.raw.push(value);
        }
        done.cpu = self.cpu()?.saturating_sub(before);
        let failures: u64 = done.lines.iter().map(|line| line.failures).sum();
        ensure!(failures == 0, "{name}: {failures} operations failed");
        Ok(done)
    }

    /// Does something while a load goes on on the first node, which lasts that many seconds.
    ///
    /// # Errors
    /// The client fails; those of `work`.
    pub(super) fn beside<T>(
        &self,
        words: &str,
        seconds: u64,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let child = self.start(&self.cluster.nodes[0], 1, words, seconds)?;
        let result = work();
        let output = child.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words}: {}", errors.trim());
        result
    }

    fn start(&self, node: &Node, participants: usize, words: &str, seconds: u64) -> Result<Child> {
        let mut command = node.command_within(&self.program.to_string_lossy(), seconds + GRACE);
        command.args(["--participants", &participants.to_string()]);
        command
            .args(["--seconds", &seconds.to_string()])
            .args(words.split_whitespace());
        // what went wrong fits into a cell, where it went wrong does not
        command.env("RUST_BACKTRACE", "0");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().context("ctdb-load")
    }

    /// CPU time of all daemons until now.
    fn cpu(&self) -> Result<Duration> {
        self.cluster
            .nodes
            .iter()
            .map(|node| Daemon::of(node).map(Daemon::cpu))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_each_node_and_summed() {
        let line = |operations, seconds| Line {
            operations,
            seconds,
            failures: 0,
        };
        let done = Done {
            lines: vec![line(10.0, 2.0), line(30.0, 3.0)],
            raw: Vec::new(),
            cpu: Duration::from_millis(4),
        };
        assert_eq!(done.rates(), [5.0, 10.0]);
        assert_eq!(
            (done.rate(), done.operations(), done.seconds()),
            (15.0, 40.0, 3.0)
        );
        assert_eq!(done.cpu_us(), Some(100.0));
    }

    #[test]
    fn the_line_of_a_client_is_understood() {
        let text = r#"{"workload":"attach","node":0,"participants":1,"operations":5,"seconds":0.5,"failures":0,
                       "latency_us":{"p50":1,"p95":2,"p99":3,"max":4}}"#;
        let line: Line = serde_json::from_str(text).unwrap();
        assert_eq!(
            (line.operations, line.seconds, line.failures),
            (5.0, 0.5, 0)
        );
    }
}

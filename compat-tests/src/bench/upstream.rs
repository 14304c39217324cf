//! Upstream's own client on both daemons: `transaction_loop` of its test programs, for those who have built them.
//! Debian packages none, and its client differs from ours where it matters: it asks for g_lock every millisecond.

use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Row;
use super::load::{Done, GRACE};
use super::measure::Bench;
use super::trace::Missing;
use super::workloads::Measured;
use crate::node::Node;

/// Counts its commits in one record, and waits until as many are connected as it is told.
const PROGRAM: &str = "transaction_loop";
/// Its own default is where its build was told to install.
const SOCKET: &str = "/run/ctdb/ctdbd.socket";

impl Bench<'_> {
    /// Transactions in a database of that model: by one node, and by all.
    pub(super) fn upstream_transactions(
        &self,
        model: &str,
        [one, all, share]: [Row; 3],
        put: &mut dyn FnMut(Measured),
    ) -> Result<()> {
        put(Measured::rate(one, self.transaction_loops(1, model)?));
        if self.has_several() {
            let done = self.transaction_loops(self.cluster.nodes.len(), model)?;
            self.put_shared(done, all, share, put);
        }
        Ok(())
    }

    fn transaction_loops(&self, count: usize, model: &str) -> Result<Done> {
        let seconds = self.amounts.seconds;
        self.clients.together(
            count,
            &format!("{PROGRAM}, {model}"),
            |node| self.start_loop(node, count, model),
            |pnn, printed| {
                let operations = counter(&String::from_utf8_lossy(printed), pnn)?;
                Ok(json!({ "operations": operations, "seconds": seconds, "failures": 0 }))
            },
        )
    }

    fn start_loop(&self, node: &Node, count: usize, model: &str) -> Result<Child> {
        let Some(folder) = &self.upstream else {
            bail!(Missing(PROGRAM));
        };
        let program = folder.join(PROGRAM);
        let seconds = self.amounts.seconds;
        let mut command = node.command_within(&program.to_string_lossy(), seconds + GRACE);
        // a database for each number of writers: the counters begin at 0
        command
            .arg(format!("--socket={SOCKET}"))
            .arg(format!("--num-nodes={count}"))
            .arg(format!("--timelimit={seconds}"))
            .arg(format!("--database=bench_upstream_{model}_{count}.tdb"))
            .arg(format!("--dbtype={model}"))
            .arg("--key=counters");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().context(PROGRAM)
    }
}

/// The commits of a node, from the last line: `Transaction[1]:     12    340      7`.
fn counter(printed: &str, pnn: usize) -> Result<f64> {
    let line = printed
        .lines()
        .rfind(|line| line.starts_with("Transaction["))
        .context("no line with counters")?;
    let (_, counters) = line.split_once(':').context("no counters")?;
    let counter = counters.split_whitespace().nth(pnn);
    Ok(counter
        .with_context(|| format!("no counter in {line:?}"))?
        .parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_finds_its_counter_in_the_last_line() {
        let printed =
            "Waiting for cluster\nTransaction[1]:      1      2 \nTransaction[1]:     12    340 \n";
        assert_eq!(counter(printed, 1).unwrap(), 340.0);
        assert!(counter(printed, 2).is_err());
        assert!(counter("", 0).is_err());
    }
}

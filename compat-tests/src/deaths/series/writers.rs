//! The load: `ctdb-load write` on every node, to a volatile and to a persistent database.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{beside, journal_of};
use crate::cluster::Cluster;
use crate::node::Node;
use crate::report::wait_for;

/// Writes a second of each program: a load, and time left for the recoveries.
const LOADS: [(&str, &str); 2] = [("volatile", "100"), ("persistent", "20")];
/// The longest life of a program, in seconds.
const LIFE: u64 = 6 * 3600;

/// The programs at work.
#[derive(Debug, Default)]
pub(crate) struct Writers(Vec<Child>);

impl Writers {
    pub(crate) fn start(cluster: &Cluster) -> Result<Self> {
        Self::start_with(cluster, &LOADS)
    }

    /// Other loads: models, and writes a second of each.
    pub(crate) fn start_with(cluster: &Cluster, loads: &[(&str, &str)]) -> Result<Self> {
        let mut writers = Self::default();
        for node in &cluster.nodes {
            writers.start_on_with(node, loads)?;
        }
        Ok(writers)
    }

    /// Starts those of a node that was booted.
    pub(crate) fn start_on(&mut self, node: &Node) -> Result<()> {
        self.start_on_with(node, &LOADS)
    }

    /// The same with other loads.
    pub(crate) fn start_on_with(&mut self, node: &Node, loads: &[(&str, &str)]) -> Result<()> {
        let program = beside("ctdb-load")?;
        for &(model, rate) in loads {
            let mut command = node.command_within(&program, LIFE);
            command.args(["write", "--model", model, "--rate", rate]);
            command.args(["--keys", "5", "--journal", &journal_of(model)]);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            // what they say of a daemon that is gone is not news
            command.stderr(Stdio::null());
            self.0.push(command.spawn().context("ctdb-load")?);
        }
        Ok(())
    }

    /// Tells all to end, and waits until they have.
    pub(crate) fn stop(self, cluster: &Cluster) -> Result<()> {
        for node in &cluster.nodes {
            node.sh("pkill -TERM -x ctdb-load || true")?;
        }
        self.wait()
    }

    /// Waits until all have ended, which they were told to.
    pub(crate) fn wait(self) -> Result<()> {
        for mut child in self.0 {
            wait_for(Duration::from_secs(15), || match child.try_wait()? {
                Some(_) => Ok(()),
                None => bail!("a writer does not end"),
            })?;
        }
        Ok(())
    }
}

/// Counters by key, as the node sees them.
pub(crate) fn dump(node: &Node, model: &str) -> Result<BTreeMap<String, u64>> {
    let program = beside("ctdb-load")?;
    let database = format!("load_write_{model}.tdb");
    let args = ["dump", "--database", &database, "--model", model];
    let text = node.run(&program, &args)?;
    let counters = text.lines().filter_map(|line| {
        let (key, counter) = line.split_once(' ')?;
        Some((key.to_owned(), counter.parse().ok()?))
    });
    Ok(counters.collect())
}

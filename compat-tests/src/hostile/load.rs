//! The load under which all of it happens: what honest clients do meanwhile on every node, and what they see of it.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::deaths::series::{
    beside, journal::Journal, journal_of, monotonic, writers, writers::Writers,
};
use crate::report::wait_for;

/// Messages from node to node, all the time. The writers see to records that move; a second ring would take this one's
/// messages.
const RING: &str = "message-ring";
/// The longest life of a program, in seconds.
const LIFE: u64 = 7200;

/// Programs at work on all nodes that are not the attacker's.
pub(super) struct Load<'a> {
    cluster: &'a Cluster,
    /// How many nodes take part, the first ones.
    nodes: usize,
    writers: Writers,
    rings: Vec<Child>,
}

impl<'a> Load<'a> {
    pub(super) fn start(cluster: &'a Cluster, nodes: usize) -> Result<Self> {
        let program = beside("ctdb-load")?;
        let mut writers = Writers::default();
        let mut rings = Vec::new();
        for node in &cluster.nodes[..nodes] {
            writers.start_on(node)?;
            let mut command = node.command_within(&program, LIFE);
            command.args([RING, "--participants", &nodes.to_string()]);
            command.args(["--seconds", &LIFE.to_string()]);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            command.stderr(Stdio::piped());
            rings.push(command.spawn().context("ctdb-load")?);
        }
        Ok(Self {
            cluster,
            nodes,
            writers,
            rings,
        })
    }

    /// Ends it; every program has to say that all it did was well.
    pub(super) fn stop(self) -> Result<()> {
        for node in &self.cluster.nodes[..self.nodes] {
            node.sh("pkill -TERM -x ctdb-load || true")?;
        }
        self.writers.wait()?;
        for mut ring in self.rings {
            wait_for(Duration::from_secs(40), || match ring.try_wait()? {
                Some(_) => Ok(()),
                None => bail!("a ring does not end"),
            })?;
            let output = ring.wait_with_output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "a ring: {text}{errors}");
            ensure!(!text.contains("\"operations\":0,"), "a ring: {text}");
            println!("# {}", text.trim());
        }
        Ok(())
    }

    /// The longest time in which a program acknowledged no write, of those that worked in this time.
    pub(super) fn longest_pause(&self, from: u64) -> Result<Pause> {
        let until = monotonic()?;
        let mut longest = Pause::default();
        for node in &self.cluster.nodes[..self.nodes] {
            for model in ["volatile", "persistent"] {
                let path = node.path(&journal_of(model));
                let text = std::fs::read_to_string(path)?;
                let times = text
                    .lines()
                    .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
                let mut last = from;
                for at in times.filter(|at| (from..until).contains(at)).chain([until]) {
                    let time = Duration::from_nanos(at - last);
                    if time > longest.time {
                        longest = Pause {
                            time,
                            what: format!("{model} writes of node {}", node.pnn),
                        };
                    }
                    last = at;
                }
            }
        }
        Ok(longest)
    }
}

/// A time without a write.
#[derive(Debug, Default)]
pub(super) struct Pause {
    pub(super) time: Duration,
    pub(super) what: String,
}

/// Everything that was acknowledged is there.
pub(super) fn check_data(cluster: &Cluster, nodes: usize) -> Result<()> {
    let mut journal = Journal::default();
    let nodes = &cluster.nodes[..nodes];
    for node in nodes {
        journal.read(node)?;
    }
    let dumps = nodes.iter().map(|node| writers::dump(node, "persistent"));
    journal.persistent = dumps.collect::<Result<_>>()?;
    journal.volatile = writers::dump(&nodes[0], "volatile")?;
    println!("# {}", journal.summary());
    journal.check_persistent()?;
    journal.check_volatile()
}

//! A turn: one cluster, from its boot to its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::measure::Bench;
use super::trace::{self, Missing};
use super::workloads::{Amounts, Measured};
use super::{Outcome, Row, Sample, Side, Workload};
use crate::cluster::{Cluster, Spec};
use crate::host::Host;
use crate::node::Node;
use crate::report::within;

/// Where Debian's daemon is, and ours in its place.
const CTDBD: &str = "/usr/sbin/ctdbd";
/// A daemon under valgrind needs its time.
const COUNTED_START: u64 = 90;

/// What a turn needs to know; the benchmark passes it on to the turn's process.
#[derive(Debug, Clone, Args)]
pub struct Turn {
    /// Which daemon.
    #[arg(long)]
    pub side: Side,
    /// How many nodes.
    #[arg(long)]
    pub nodes: usize,
    /// The number of the round.
    #[arg(long)]
    pub round: usize,
    /// The daemons.
    #[command(flatten)]
    pub files: Files,
    /// How long each rate is measured, in seconds.
    #[arg(long)]
    pub seconds: u64,
    /// Only to see that everything runs.
    #[arg(long)]
    pub quick: bool,
    /// Processes run where the scheduler puts them.
    #[arg(long)]
    pub unpinned: bool,
    /// The workloads.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Workload>,
}

/// Where the daemons are, and where their databases go.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// The package root under test.
    #[arg(long)]
    pub root: PathBuf,
    /// The C ctdbd to compare with; without it, ours runs alone.
    #[arg(long, visible_alias = "theirs", value_name = "PATH")]
    pub against: Option<PathBuf>,
    /// A directory with upstream's test programs, for the rows of its own client; without it, they are left out.
    #[arg(long, value_name = "DIR")]
    pub upstream: Option<PathBuf>,
    /// A directory on a real disk, for the persistent databases: they are synced.
    #[arg(long, default_value = "/var/tmp")]
    pub disk: PathBuf,
    /// A directory for the daemons' logs of turns in which something failed.
    #[arg(long)]
    pub logs: Option<PathBuf>,
}

impl Turn {
    /// The rows that it will have.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.only
            .iter()
            .flat_map(|workload| workload.rows(self.nodes))
            .collect()
    }

    /// Runs, and prints each sample as a line of JSON.
    ///
    /// # Errors
    /// The cluster does not come up.
    pub fn run(&self) -> Result<()> {
        let own = std::env::current_exe()?;
        let Files {
            root,
            against,
            upstream,
            disk,
            logs,
        } = &self.files;
        let seen = [
            Some(&own),
            Some(root),
            against.as_ref(),
            upstream.as_ref(),
            Some(disk),
            logs.as_ref(),
        ];
        let host = Host::prepare(&seen.into_iter().flatten().cloned().collect::<Vec<_>>())?;
        let mut cluster = Cluster::boot(host, &self.spec())?;
        if !self.unpinned {
            pin(&mut cluster.nodes)?;
        }
        cluster
            .nodes
            .iter()
            .try_for_each(|node| self.lay_out(node))?;
        let well = if self.only.contains(&Workload::Instructions) {
            self.run_counted(&cluster)
        } else {
            self.run_timed(&cluster)
        };
        match logs {
            Some(logs) if !matches!(well, Ok(true)) => {
                cluster.keep_logs(&logs.join(self.name()))?
            }
            _ => {}
        }
        well.map(drop)
    }

    /// For a directory.
    fn name(&self) -> String {
        let side = format!("{:?}", self.side).to_lowercase();
        format!("{side}-{}-{}", self.nodes, self.round + 1)
    }

    fn run_timed(&self, cluster: &Cluster) -> Result<bool> {
        let begin = Instant::now();
        cluster.start_ctdbd()?;
        println!("# all OK after {:.1} s", begin.elapsed().as_secs_f64());
        self.measure(&self.bench(cluster)?)
    }

    fn bench<'a>(&self, cluster: &'a Cluster) -> Result<Bench<'a>> {
        Bench::new(cluster, self.amounts(), self.files.upstream.clone())
    }

    fn spec(&self) -> Spec {
        let root = (self.side == Side::Ours).then(|| self.files.root.clone());
        Spec {
            roots: vec![root; self.nodes],
            clustering: true,
            event_scripts: false,
            disk: None,
            log_level: "NOTICE".to_owned(),
            manager: None,
            more_conf: String::new(),
            more_tunables: String::new(),
        }
    }

    fn amounts(&self) -> Amounts {
        if self.quick {
            Amounts::quick()
        } else {
            Amounts::full(self.seconds)
        }
    }

    /// The nodes' files are in memory, but for what is synced; and the C daemon may be another than Debian's.
    fn lay_out(&self, node: &Node) -> Result<()> {
        let persistent = self.files.disk.join(format!("node{}", node.pnn));
        fs::create_dir_all(&persistent).with_context(|| persistent.display().to_string())?;
        bind(node, &persistent, Path::new("/var/lib/ctdb/persistent"))?;
        match &self.files.against {
            Some(path) if self.side != Side::Ours && path != Path::new(CTDBD) => {
                bind(node, path, Path::new(CTDBD))
            }
            _ => Ok(()),
        }
    }

    /// A cluster whose daemon is slowed down by being watched: nothing else is measured on it.
    fn run_counted(&self, cluster: &Cluster) -> Result<bool> {
        ensure!(
            self.only.len() == 1,
            "counting instructions needs a turn of its own"
        );
        let mut daemon = match trace::start_counted(&cluster.nodes[0]) {
            Ok(daemon) => daemon,
            Err(why) => {
                self.print(Row::PacketInstructions, outcome_of(&why))?;
                return Ok(why.is::<Missing>());
            }
        };
        let up = within(COUNTED_START, || {
            ensure!(
                daemon.try_wait()?.is_none(),
                "the daemon under valgrind has ended"
            );
            cluster.check_all_ok()
        });
        up.and_then(|()| self.measure(&self.bench(cluster)?))
    }

    /// Runs all workloads; true if none failed.
    fn measure(&self, bench: &Bench) -> Result<bool> {
        let mut well = true;
        for workload in &self.only {
            let mut missing = workload.rows(self.nodes);
            let mut printed = Ok(());
            let run = workload.run(bench, &mut |measured: Measured| {
                missing.retain(|row| *row != measured.row);
                let line = self.print_measured(measured);
                printed = std::mem::replace(&mut printed, Ok(())).and(line);
            });
            printed?;
            if let Err(why) = run {
                well &= why.is::<Missing>();
                missing
                    .into_iter()
                    .try_for_each(|row| self.print(row, outcome_of(&why)))?;
            }
        }
        Ok(well)
    }

    fn print(&self, row: Row, outcome: Outcome) -> Result<()> {
        self.print_sample(&self.sample(row, outcome))
    }

    fn print_measured(&self, measured: Measured) -> Result<()> {
        let Measured {
            row,
            value,
            cpu_us,
            clients,
        } = measured;
        self.print_sample(&Sample {
            cpu_us,
            clients,
            ..self.sample(row, Outcome::Value(value))
        })
    }

    fn print_sample(&self, sample: &Sample) -> Result<()> {
        println!("{}", serde_json::to_string(sample)?);
        Ok(())
    }

    /// A sample of this turn.
    #[must_use]
    pub fn sample(&self, row: Row, outcome: Outcome) -> Sample {
        let (nodes, round, side) = (self.nodes, self.round, self.side);
        Sample {
            nodes,
            round,
            side,
            row,
            outcome,
            cpu_us: None,
            clients: Vec::new(),
        }
    }
}

/// A program that is not on this machine is no failure.
fn outcome_of(why: &anyhow::Error) -> Outcome {
    let text = format!("{why:#}").trim().to_owned();
    if why.is::<Missing>() {
        Outcome::Unavailable(text)
    } else {
        Outcome::Failed(text)
    }
}

/// A node is a machine of one processor. Otherwise a rate is the chance of the scheduler: a daemon and its client wake each
/// other on the same processor in a third of the time that it takes them on two.
fn pin(nodes: &mut [Node]) -> Result<()> {
    let processors = std::thread::available_parallelism()?.get();
    for node in nodes {
        node.pin(node.pnn % processors);
    }
    Ok(())
}

fn bind(node: &Node, own: &Path, place: &Path) -> Result<()> {
    let (own, place) = (own.to_string_lossy(), place.to_string_lossy());
    node.run("mount", &["--bind", &own, &place]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_no_failure() {
        let missing = anyhow::Error::from(Missing("strace"));
        assert_eq!(
            outcome_of(&missing),
            Outcome::Unavailable("no strace here".to_owned())
        );
        assert!(matches!(
            outcome_of(&anyhow::anyhow!("broken")),
            Outcome::Failed(_)
        ));
    }
}

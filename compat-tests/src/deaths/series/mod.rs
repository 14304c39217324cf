//! Kills in a row, under load: ours, and C's daemon beside it in the same run.
//!
//! Blocks of kills alternate between the two, each on a cluster of its own that was just booted. In a
//! block ctdbd is killed, or the node's process 1, of the leader and of a follower in turn; what was
//! killed is started again at once. Then the time is taken until all nodes are OK, in the same
//! generation and not in recovery. Node 2 may not lead and is never killed: it is the witness, whose
//! daemons are to be at the end what they were at the start.

pub(crate) mod journal;
pub(crate) mod times;
mod whole;
pub(crate) mod witness;
pub(crate) mod writers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::time::{ClockId, clock_gettime};

use super::scene::pids;
use crate::cluster::{Cluster, Spec};
use crate::host::Host;
use crate::node::Node;
use crate::report::{Report, wait_for, within};
use crate::side::Side;
use journal::{Journal, Kill};
use times::Times;
use whole::check_whole;
use writers::Writers;

/// It never leads, and is never killed.
const WITNESS: usize = 2;
/// Between all OK and the next kill: the load goes on, and recoveries are no longer suppressed.
const PAUSE: Duration = Duration::from_secs(3);
/// The longest that a cluster may take to be whole again.
const LIMIT: Duration = Duration::from_secs(90);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// ctdbd, by SIGKILL.
    Daemon,
    /// The node's process 1, which takes all others and the network along.
    Node,
}

/// Whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Leader,
    Follower,
}

/// The four kinds of kills, in their turns.
const TURNS: [(What, Role); 4] = [
    (What::Daemon, Role::Leader),
    (What::Daemon, Role::Follower),
    (What::Node, Role::Leader),
    (What::Node, Role::Follower),
];

/// How many kills, and of what.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Of ctdbd, and as many of process 1.
    pub kills: usize,
    /// The C daemon in turn with ours.
    pub against_c: bool,
    /// Kills of both kinds together on one cluster.
    pub block: usize,
}

/// Runs the series. `spec` is of a cluster of ours; `logs` is where those of a block that failed go.
///
/// # Errors
/// A cluster does not come up.
pub fn run(
    mut host: Host,
    spec: &Spec,
    options: &Options,
    logs: Option<&PathBuf>,
    report: &mut Report,
) -> Result<()> {
    ensure!(spec.roots.len() == 3, "three nodes");
    ensure!(options.kills > 0 && options.block > 0, "no kills");
    let sides = Side::compared(options.against_c);
    let mut times = Times::default();
    let all = options.kills * 2;
    for begin in (0..all).step_by(options.block) {
        for &side in sides {
            let spec = side.spec(spec);
            let name = format!("{side:?}, kills from {}", begin + 1);
            let mut block = Block {
                cluster: Cluster::boot(host, &spec)?,
                side,
                journal: Journal::default(),
            };
            let before = report.failed();
            let turns = begin..all.min(begin + options.block);
            report.group(&name, |report| block.run(turns, &mut times, report));
            if let Some(logs) = logs.filter(|_| report.failed() > before) {
                block
                    .cluster
                    .keep_logs(&logs.join(name.replace(", ", "-")))?;
            }
            host = block.cluster.power_off()?;
        }
    }
    times.print();
    if options.against_c && options.kills >= 10 {
        report.check("all OK again at most 1.15 times as late as with C", || {
            times.check_ratio(1.15)
        });
    }
    Ok(())
}

/// Kills on one cluster.
struct Block {
    cluster: Cluster,
    side: Side,
    journal: Journal,
}

impl Block {
    fn run(
        &mut self,
        turns: std::ops::Range<usize>,
        times: &mut Times,
        report: &mut Report,
    ) -> Result<()> {
        self.keep_from_leading()?;
        self.cluster.start_ctdbd()?;
        // what a daemon has once it has worked is no leak
        let mut writers = Writers::start(&self.cluster)?;
        std::thread::sleep(PAUSE);
        writers.stop(&self.cluster)?;
        let witness = witness::State::of(&self.cluster.nodes[WITNESS])?;
        writers = Writers::start(&self.cluster)?;
        std::thread::sleep(PAUSE);
        for turn in turns {
            let (what, role) = TURNS[turn % TURNS.len()];
            let name = format!(
                "{:?}: {what:?} of the {role:?} killed, all OK again",
                self.side
            );
            let mut took = None;
            let well = report.check(&name, || {
                took = Some(self.kill(what, role, &mut writers)?);
                anyhow::Ok(())
            });
            ensure!(well, "the cluster does not come back");
            times.add(self.side, what, role, took.context("no time")?);
            std::thread::sleep(PAUSE);
        }
        writers.stop(&self.cluster)?;
        self.check_data(report);
        self.check_witness(&witness, report)
    }

    fn keep_from_leading(&self) -> Result<()> {
        let conf = self.cluster.nodes[WITNESS].path("/etc/ctdb/ctdb.conf");
        let text = std::fs::read_to_string(&conf)?;
        let text = text.replace("[cluster]\n", "[cluster]\n\tleader capability = false\n");
        Ok(std::fs::write(conf, text)?)
    }

    fn leader(&self) -> Result<usize> {
        let text = self.cluster.nodes[WITNESS].ctdb(&["leader"])?;
        text.trim()
            .parse()
            .with_context(|| format!("leader: {text}"))
    }

    /// Kills, starts again, and waits; how long that took.
    fn kill(&mut self, what: What, role: Role, writers: &mut Writers) -> Result<Duration> {
        let leader = within(10, || self.leader())?;
        let victim = match role {
            Role::Leader => leader,
            // the other one that is not the witness
            Role::Follower => 1 - leader,
        };
        let (at, begin) = (monotonic()?, Instant::now());
        match what {
            What::Daemon => self.cluster.nodes[victim].kill_ctdbd()?,
            What::Node => {
                self.cluster.nodes[victim].power_off()?;
                self.cluster.nodes[victim].boot()?;
            }
        }
        let node = &self.cluster.nodes[victim];
        let mut started = None;
        loop {
            if !is_running(node) && pids(node, "ctdbd")?.is_empty() {
                started = Some(monotonic()?);
                // it may be refused while something of the last one still ends
                let _ = node.start_daemon("/usr/sbin/ctdbd", &[]);
            }
            match check_whole(&self.cluster.nodes) {
                Ok(()) => break,
                Err(_) if begin.elapsed() < LIMIT => std::thread::sleep(LOOK),
                Err(why) => return Err(why.context(format!("after {} s", LIMIT.as_secs()))),
            }
        }
        let took = begin.elapsed();
        self.journal.kills.push(Kill {
            node: victim,
            at,
            until: started.context("ctdbd was not gone")?,
            power: what == What::Node,
        });
        if what == What::Node {
            writers.start_on(&self.cluster.nodes[victim])?;
        }
        println!("# node {victim}: {:.2} s", took.as_secs_f64());
        Ok(took)
    }

    /// Everything that was acknowledged is there.
    fn check_data(&mut self, report: &mut Report) {
        let read = self.read_data();
        let journal = &self.journal;
        let side = self.side;
        report.check(
            &format!("{side:?}: what the writers have seen is there"),
            || read,
        );
        report.check(
            &format!("{side:?}: every acknowledged persistent write is there"),
            || journal.check_persistent(),
        );
        report.check(
            &format!("{side:?}: a survivor's volatile writes are there"),
            || journal.check_volatile(),
        );
    }

    fn read_data(&mut self) -> Result<()> {
        for node in &self.cluster.nodes {
            self.journal.read(node)?;
        }
        let nodes = self.cluster.nodes.iter();
        let dumps = nodes.map(|node| writers::dump(node, "persistent"));
        self.journal.persistent = dumps.collect::<Result<_>>()?;
        self.journal.volatile = writers::dump(&self.cluster.nodes[WITNESS], "volatile")?;
        println!("# {}", self.journal.summary());
        Ok(())
    }

    fn check_witness(&self, before: &witness::State, report: &mut Report) -> Result<()> {
        let node = &self.cluster.nodes[WITNESS];
        let after = witness::State::of(node)?;
        println!("# {:?}: before {before}", self.side);
        println!("# {:?}: after  {after}", self.side);
        if self.side == Side::Ours {
            report.check("a daemon that lived has what it had before", || {
                // workers that have nothing to do end after a minute at the latest
                wait_for(Duration::from_secs(70), || {
                    witness::State::of(node)?.check(before)
                })
            });
        }
        Ok(())
    }
}

/// Whether the ctdbd of the node's pid file runs; asked often, so without a process of its own.
pub(crate) fn is_running(node: &Node) -> bool {
    let pid = std::fs::read_to_string(node.path("/run/ctdb/ctdbd.pid"));
    pid.is_ok_and(|pid| {
        let program = node.path(&format!("/proc/{}/exe", pid.trim()));
        program.read_link().is_ok()
    })
}

/// The clock of the journals, in nanoseconds.
pub(crate) fn monotonic() -> Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(u64::try_from(now.as_nanos())?)
}

/// A program beside this one, as the nodes see it.
pub(crate) fn beside(name: &str) -> Result<String> {
    let program = std::env::current_exe()?.with_file_name(name);
    Ok(program.to_string_lossy().into_owned())
}

/// The node's journal of a kind of database.
pub(crate) fn journal_of(model: &str) -> String {
    format!("/var/log/ctdb/journal-{model}")
}

/// All that a node's shell script says.
fn lines(node: &Node, script: &str) -> Result<Vec<String>> {
    Ok(node.sh(script)?.lines().map(str::to_owned).collect())
}

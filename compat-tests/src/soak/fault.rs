//! What happens to a node in a soak, and how.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::deaths::scene::{pids, signal};
use crate::hostile::chance::Chance;
use crate::node::Node;
use crate::report::within;

/// As the kernel names them, in 15 characters.
const MANAGER: &str = "ctdb-clusterd";
const WORKER: &str = "ctdb-database-w";
/// The longest that a command of an administrator may be refused, in seconds: a recovery may go on.
const COMMAND: u64 = 30;
/// An address that comes and goes.
const ADDRESS: &str = "198.51.100.110/24 eth0\n";

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// ctdbd is killed.
    KillDaemon,
    /// The cluster manager is killed.
    KillManager,
    /// A database worker is killed.
    KillWorker,
    /// The node's process 1 is killed, and all others with it.
    PowerOff,
    /// `ctdb recover`.
    Recover,
    /// `ctdb stop`, and `ctdb continue`.
    Stop,
    /// `ctdb ban`, and `ctdb unban`.
    Ban,
    /// Another list of public addresses, and `ctdb reloadips`.
    ReloadIps,
    /// All of smbd is killed.
    KillSmbd,
}

pub(super) const KINDS: [Kind; 9] = [
    Kind::KillDaemon,
    Kind::KillManager,
    Kind::KillWorker,
    Kind::PowerOff,
    Kind::Recover,
    Kind::Stop,
    Kind::Ban,
    Kind::ReloadIps,
    Kind::KillSmbd,
];

impl Kind {
    /// Whether a process that is to live on ends with it.
    pub(super) fn is_death(self) -> bool {
        matches!(self, Self::KillDaemon | Self::KillManager | Self::PowerOff)
    }

    /// Whether the others go on without the node, so that what only it has written last may be lost.
    pub(super) fn is_loss(self) -> bool {
        matches!(
            self,
            Self::KillDaemon | Self::PowerOff | Self::Stop | Self::Ban
        )
    }

    /// Whether it is out until it is told to come back.
    pub(super) fn lasts(self) -> bool {
        matches!(self, Self::Stop | Self::Ban)
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    of_leader: bool,
    /// How long a node is out.
    pub(super) time: Duration,
    /// Which, where there is a choice.
    choice: usize,
}

impl Fault {
    /// The next one by chance.
    pub(super) fn by(chance: &mut Chance) -> Self {
        Self {
            kind: *chance.pick(&KINDS).unwrap_or(&Kind::Recover),
            of_leader: chance.below(2) == 0,
            time: Duration::from_secs(1 + chance.below(8) as u64),
            choice: chance.below(usize::from(u16::MAX)),
        }
    }

    /// The node that it happens to; none dies that is spared.
    pub(super) fn victim(&self, leader: usize, spared: usize, nodes: usize) -> usize {
        let other = |node: usize| (node + 1 + self.choice % (nodes - 1)) % nodes;
        let victim = if self.of_leader {
            leader
        } else {
            other(leader)
        };
        match self.kind.is_death() && victim == spared {
            true => other(spared),
            false => victim,
        }
    }

    /// Lets it happen.
    pub(super) fn begin(&self, cluster: &mut Cluster, victim: usize) -> Result<()> {
        let node = &mut cluster.nodes[victim];
        match self.kind {
            Kind::KillDaemon => node.kill_ctdbd(),
            Kind::KillManager => {
                let managers = pids(node, MANAGER)?;
                let manager = managers.first().context("no cluster manager")?;
                signal(node, *manager, "KILL")
            }
            Kind::KillWorker => {
                let workers = pids(node, WORKER)?;
                let chosen = workers.get(self.choice % workers.len().max(1));
                // one that has nothing to do ends by itself, perhaps in between
                chosen.map_or(Ok(()), |worker| {
                    signal(node, *worker, "KILL").or_else(|_| signal(node, 1, "0"))
                })
            }
            Kind::PowerOff => node.power_off(),
            Kind::Recover => command(cluster, victim, &["recover"]),
            Kind::Stop => command(cluster, victim, &["stop"]),
            Kind::Ban => command(cluster, victim, &["ban", "300"]),
            Kind::ReloadIps => {
                let table = node.path("/etc/ctdb/public_addresses");
                let text = fs::read_to_string(&table)?;
                let other = match text.strip_suffix(ADDRESS) {
                    Some(without) => without.to_owned(),
                    None => text + ADDRESS,
                };
                fs::write(table, other)?;
                command(cluster, victim, &["reloadips"])
            }
            Kind::KillSmbd => end_smbd(node),
        }
    }

    /// Lets a node that is out come back; boots one that is off. What only that node's copies had is lost, a file closed
    /// there perhaps still open for all others, and held by an smbd that knows nothing of it. So smbd there ends first, as
    /// docs/operations.md says.
    pub(super) fn end(&self, cluster: &mut Cluster, victim: usize) -> Result<()> {
        if self.kind.lasts() {
            end_smbd(&cluster.nodes[victim])?;
        }
        match self.kind {
            Kind::Stop => command(cluster, victim, &["continue"]),
            Kind::Ban => command(cluster, victim, &["unban"]),
            Kind::PowerOff => cluster.nodes[victim].boot(),
            _ => Ok(()),
        }
    }
}

fn end_smbd(node: &Node) -> Result<()> {
    node.sh("pkill -9 -x smbd || true").map(drop)
}

fn command(cluster: &Cluster, node: usize, args: &[&str]) -> Result<()> {
    within(COMMAND, || cluster.nodes[node].ctdb(args).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spared_node_does_not_die_and_all_happens_to_others() {
        let mut chance = Chance::new(3);
        for _ in 0..1000 {
            let fault = Fault::by(&mut chance);
            for (leader, spared) in [(0, 0), (1, 0), (2, 1), (2, 2)] {
                let victim = fault.victim(leader, spared, 3);
                assert!(victim < 3);
                assert!(!fault.kind.is_death() || victim != spared);
                assert!(fault.kind.is_death() || fault.of_leader == (victim == leader));
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_with_all_kinds() {
        let plan = |seed| {
            let mut chance = Chance::new(seed);
            (0..100).map(|_| Fault::by(&mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(plan(1), plan(1));
        let kinds: std::collections::BTreeSet<_> = plan(1).iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds.len(), KINDS.len());
    }
}

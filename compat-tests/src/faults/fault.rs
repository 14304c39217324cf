//! What can go wrong with a node, and how: a plan by chance, and its carrying out.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::cluster::Cluster;
use crate::deaths::scene::{ctdbd, pids};
use crate::etcd::{COUNT, Servers};
use crate::host::{address, ip};
use crate::hostile::chance::Chance;
use crate::node::Node;

/// Ours, and C's.
const MANAGERS: &str = "ctdb-clusterd|ctdb_recoverd";
/// As the kernel names them, in 15 characters.
const WORKERS: &str = "ctdb-database-w";
/// Where a full disk's space is.
const FILLER: &str = "/var/lib/ctdb/filler";
/// Nobody's.
const NOWHERE: &str = "02:00:00:00:00:01";
/// A bad line: its delay, or if the kernel knows none its rate, with the queue that comes of it.
const SLOW: [&str; 2] = [
    "netem delay 200ms 100ms",
    "tbf rate 512kbit burst 3000 latency 2000ms",
];

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// ctdbd is killed.
    KillDaemon,
    /// The cluster manager is killed.
    KillManager,
    /// ctdbd is stopped for a time.
    HangDaemon,
    /// The cluster manager is stopped for a time.
    HangManager,
    /// The node's process 1 is killed, and all others with it.
    PowerOff,
    /// The same once its cable is pulled: the others' connections to it stay, half open.
    HalfOpen,
    /// Its cable is pulled for a time.
    LinkDown,
    /// What it sends to one other node is dropped for a time, but not what comes from there.
    OneWay,
    /// Its line is slow for a time.
    Slow,
    /// What reads and commits for its ctdbd is stopped for a time, as by a disk that hangs.
    HangWorkers,
    /// Its disk is full for a time.
    DiskFull,
    /// A server of etcd is killed, the leader of them or another, and started again after a time.
    KillEtcd,
}

impl Kind {
    /// Whether it lasts for a time of its own; otherwise the node is started again once the others go on.
    pub(super) fn lasts(self) -> bool {
        !matches!(
            self,
            Self::KillDaemon | Self::KillManager | Self::PowerOff | Self::HalfOpen
        )
    }

    /// Whether the node is lost to the others at once.
    pub(super) fn is_death(self) -> bool {
        matches!(self, Self::KillDaemon | Self::PowerOff | Self::HalfOpen)
    }

    /// Whether it happens to no node: nobody is to notice.
    pub(super) fn is_elsewhere(self) -> bool {
        self == Self::KillEtcd
    }

    /// Whether it is between nodes: either side may have changed what the other one does not have.
    pub(super) fn is_of_network(self) -> bool {
        matches!(self, Self::LinkDown | Self::OneWay | Self::Slow)
    }
}

/// Whose; of etcd's servers one leads too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The node that leads.
    Leader,
    /// One that does not.
    Follower,
}

/// One fault of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) role: Role,
    /// How long, if it lasts.
    pub(super) time: Duration,
    /// Which of the others, where there is a choice.
    pub(super) other: usize,
}

impl Fault {
    /// The next one by chance.
    pub(super) fn by(chance: &mut Chance, kinds: &[Kind], longest: usize) -> Self {
        let kind = *chance.pick(kinds).unwrap_or(&Kind::KillDaemon);
        let role = *chance
            .pick(&[Role::Leader, Role::Follower])
            .unwrap_or(&Role::Leader);
        let seconds = 1 + chance.below(longest.max(1));
        Self {
            kind,
            role,
            time: Duration::from_secs(seconds as u64),
            other: chance.below(usize::from(u16::MAX)),
        }
    }

    /// The node that it happens to.
    pub(super) fn victim(&self, leader: usize, nodes: usize) -> usize {
        match self.role {
            Role::Leader => leader,
            Role::Follower => (leader + 1 + self.other % (nodes - 1)) % nodes,
        }
    }

    /// The server of etcd that it happens to.
    fn server(&self, leader: usize) -> usize {
        self.victim(leader, COUNT)
    }

    /// Lets it happen.
    pub(super) fn begin(
        &self,
        cluster: &mut Cluster,
        servers: Option<&mut Servers>,
        victim: usize,
    ) -> Result<Begun> {
        let peer = (victim + 1 + self.other / 16 % (cluster.nodes.len() - 1)) % cluster.nodes.len();
        let node = &mut cluster.nodes[victim];
        let (mut stopped, mut server) = (Vec::new(), None);
        match self.kind {
            Kind::KillDaemon => node.kill_ctdbd()?,
            Kind::KillManager => signal(node, manager(node)?, "KILL")?,
            Kind::HangDaemon => stopped.push(ctdbd(node)?),
            Kind::HangManager => stopped.push(manager(node)?),
            Kind::PowerOff => node.power_off()?,
            Kind::HalfOpen => {
                ip(&format!("link set v{victim} down"))?;
                node.power_off()?;
            }
            Kind::LinkDown => ip(&format!("link set v{victim} down"))?,
            Kind::OneWay => node
                .sh(&format!(
                    "ip neigh replace {} lladdr {NOWHERE} dev eth0 nud permanent",
                    address(peer)
                ))
                .map(drop)?,
            Kind::Slow => node.sh(&slow_down()).map(drop)?,
            Kind::HangWorkers => stopped.extend(pids(node, WORKERS)?),
            Kind::DiskFull => node
                .sh(&format!("cat /dev/zero >{FILLER} 2>/dev/null; true"))
                .map(drop)?,
            Kind::KillEtcd => {
                let servers = servers.context("no etcd")?;
                let number = self.server(servers.leader()?);
                servers.kill_one(number)?;
                server = Some(number);
            }
        }
        if self.kind == Kind::HangWorkers {
            // an idle one may have ended in between
            stopped.retain(|pid| signal(node, *pid, "STOP").is_ok());
        } else {
            stopped
                .iter()
                .try_for_each(|pid| signal(node, *pid, "STOP"))?;
        }
        Ok(Begun {
            peer,
            stopped,
            server,
        })
    }

    /// Makes it good again; a node without a daemon is given one.
    pub(super) fn end(
        &self,
        cluster: &mut Cluster,
        servers: Option<&mut Servers>,
        victim: usize,
        begun: &Begun,
    ) -> Result<()> {
        if let (Some(servers), Some(number)) = (servers, begun.server) {
            servers.start_one(number)?;
        }
        let node = &mut cluster.nodes[victim];
        for &pid in &begun.stopped {
            // it may have been killed by who watches it
            let _ = signal(node, pid, "CONT");
        }
        match self.kind {
            Kind::PowerOff | Kind::HalfOpen => node.boot()?,
            Kind::LinkDown => ip(&format!("link set v{victim} up"))?,
            Kind::OneWay => node
                .sh(&format!("ip neigh del {} dev eth0", address(begun.peer)))
                .map(drop)?,
            Kind::Slow => node.sh("tc qdisc del dev eth0 root").map(drop)?,
            Kind::DiskFull => node.sh(&format!("rm -f {FILLER}")).map(drop)?,
            Kind::KillDaemon
            | Kind::KillManager
            | Kind::HangDaemon
            | Kind::HangManager
            | Kind::HangWorkers
            | Kind::KillEtcd => {}
        }
        Ok(())
    }
}

/// What has to be known to end it.
#[derive(Debug)]
pub(super) struct Begun {
    peer: usize,
    stopped: Vec<u32>,
    /// Of etcd, that was killed.
    server: Option<usize>,
}

fn slow_down() -> String {
    let ways = SLOW.map(|way| format!("tc qdisc add dev eth0 root {way}"));
    ways.join(" 2>/dev/null || ")
}

fn manager(node: &Node) -> Result<u32> {
    let pids = pids(node, MANAGERS)?;
    pids.first().copied().context("no cluster manager")
}

fn signal(node: &Node, pid: u32, signal: &str) -> Result<()> {
    node.sh(&format!("kill -{signal} {pid}")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_victim_of_a_follower_never_leads() {
        let mut chance = Chance::new(3);
        for _ in 0..100 {
            let fault = Fault::by(&mut chance, Kind::value_variants(), 60);
            let victim = fault.victim(1, 5);
            assert_eq!(victim == 1, fault.role == Role::Leader);
            assert!((1..=60).contains(&fault.time.as_secs()));
        }
    }

    #[test]
    fn a_seed_is_a_plan() {
        let plan = |seed| {
            let mut chance = Chance::new(seed);
            [0; 5].map(|_| Fault::by(&mut chance, Kind::value_variants(), 60))
        };
        assert_eq!(plan(4), plan(4));
        assert_ne!(plan(4), plan(5));
    }
}

//! What the daemons of a node have: descriptors, locks, processes, memory.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};

use super::lines;
use crate::deaths::scene::{ctdbd, pids, resident};
use crate::node::Node;

/// How much memory may have grown, in KiB.
const GROWTH: u64 = 8 * 1024;
/// Processes that come and go with the load, as the kernel names them.
const WORKER: &str = "ctdb-database-w";

/// One look at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pid: u32,
    descriptors: usize,
    /// Rows of /proc/locks that ctdbd has.
    locks: usize,
    workers: usize,
    /// All other processes of the project, by name.
    processes: BTreeMap<String, usize>,
    /// KiB of ctdbd and of all others together.
    memory: (u64, u64),
}

impl State {
    pub(crate) fn of(node: &Node) -> Result<Self> {
        let pid = ctdbd(node)?;
        let descriptors = lines(node, &format!("ls /proc/{pid}/fd"))?.len();
        let rows = lines(node, "cat /proc/locks")?;
        let is_its = |row: &&String| row.split_whitespace().any(|word| word == pid.to_string());
        let mut processes = BTreeMap::new();
        let mut others = 0;
        for name in lines(node, "ps -eo comm= | grep ^ctdb || true")? {
            *processes.entry(name).or_default() += 1;
        }
        for other in pids(node, "ctdb-clusterd")?
            .into_iter()
            .chain(pids(node, "ctdb_recoverd")?)
        {
            others += resident(node, other)?;
        }
        Ok(Self {
            pid,
            descriptors,
            locks: rows.iter().filter(is_its).count(),
            workers: processes.remove(WORKER).unwrap_or(0),
            processes,
            memory: (resident(node, pid)?, others),
        })
    }

    /// The same without its workers and their descriptors.
    pub(crate) fn without_workers(&self) -> Self {
        Self {
            descriptors: self.descriptors.saturating_sub(2 * self.workers),
            workers: 0,
            ..self.clone()
        }
    }

    /// ctdbd's process, as the node numbers it.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// All processes of the project but workers, by name.
    pub(crate) fn processes(&self) -> &BTreeMap<String, usize> {
        &self.processes
    }

    /// It has no more descriptors and locks than before, but for so many of either; both without workers.
    pub(crate) fn check_counts(&self, before: &Self, more: usize) -> Result<()> {
        ensure!(
            self.descriptors <= before.descriptors + more,
            "descriptors: {}, then {}",
            before.descriptors,
            self.descriptors
        );
        ensure!(
            self.locks <= before.locks + more,
            "locks: {}, then {}",
            before.locks,
            self.locks
        );
        Ok(())
    }

    /// It has no more than before, workers of that time not counted: each has a socket and a process.
    pub(crate) fn check(&self, before: &Self) -> Result<()> {
        self.check_but_memory(before)?;
        let grown = |now: u64, then: u64| now.saturating_sub(then);
        let (daemon, manager) = (
            grown(self.memory.0, before.memory.0),
            grown(self.memory.1, before.memory.1),
        );
        ensure!(
            daemon <= GROWTH && manager <= GROWTH,
            "{daemon} and {manager} KiB more"
        );
        Ok(())
    }

    /// The same, memory aside.
    pub(crate) fn check_but_memory(&self, before: &Self) -> Result<()> {
        ensure!(self.pid == before.pid, "it is another daemon");
        let (now, then) = (self.descriptors, before.descriptors - 2 * before.workers);
        ensure!(
            now <= then,
            "descriptors: {then} and {} workers, then {now}",
            before.workers
        );
        ensure!(
            self.locks == before.locks,
            "locks: {}, then {}",
            before.locks,
            self.locks
        );
        ensure!(
            self.processes == before.processes,
            "processes: {:?}, then {:?}",
            before.processes,
            self.processes
        );
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            locks,
            workers,
            processes,
            memory,
            ..
        } = self;
        write!(
            f,
            "{descriptors} descriptors, {locks} locks, {workers} workers, {processes:?}, \
             {} KiB of ctdbd, {} KiB of its manager",
            memory.0, memory.1
        )
    }
}

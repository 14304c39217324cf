//! The workloads that are more than one call of `ctdb-load`.

use std::cell::Cell;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::load::{Clients, Done};
use super::processes::Daemon;
use super::statistics::smallest_share;
use super::workloads::{Amounts, Measured};
use super::{Row, trace};
use crate::cluster::Cluster;
use crate::report::within;

/// The database of the recoveries and of the traverse.
const RECORDS: &str = "bench_records.tdb";
/// Longer than RerecoveryTimeout of the test clusters, in which a leader begins no other recovery.
const BETWEEN_RECOVERIES: Duration = Duration::from_millis(2200);
/// RecoverInterval.
const LEADERS_ROUND: Duration = Duration::from_secs(1);
/// Round trips that are asked at once.
const BURST: u32 = 64;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// A cluster that is measured.
#[derive(Debug)]
pub struct Bench<'a> {
    /// All its nodes are OK.
    pub cluster: &'a Cluster,
    /// What makes it work.
    pub clients: Clients<'a>,
    /// How much of it.
    pub amounts: Amounts,
    /// Where upstream's test programs are, if they are.
    pub(super) upstream: Option<PathBuf>,
    /// How many records there are.
    filled: Cell<usize>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of nodes, and bytes to be shown as MiB"
)]
impl<'a> Bench<'a> {
    /// Measures a cluster.
    ///
    /// # Errors
    /// The program of the clients is not there.
    pub fn new(cluster: &'a Cluster, amounts: Amounts, upstream: Option<PathBuf>) -> Result<Self> {
        let clients = Clients::new(cluster, amounts.seconds)?;
        Ok(Self {
            cluster,
            clients,
            amounts,
            upstream,
            filled: Cell::new(0),
        })
    }

    /// Whether there is more than one node.
    #[must_use]
    pub fn has_several(&self) -> bool {
        self.cluster.nodes.len() > 1
    }

    /// All nodes do the same.
    pub(super) fn shared(
        &self,
        words: &str,
        all: Row,
        share: Row,
        put: &mut dyn FnMut(Measured),
    ) -> Result<()> {
        self.put_shared(self.clients.on_all(words)?, all, share, put);
        Ok(())
    }

    /// What all nodes did together, and how evenly.
    pub(super) fn put_shared(
        &self,
        done: Done,
        all: Row,
        share: Row,
        put: &mut dyn FnMut(Measured),
    ) {
        if self.has_several() {
            let smallest = smallest_share(&done.rates()).unwrap_or_default();
            put(Measured::plain(share, smallest));
        }
        put(Measured::rate(all, done));
    }

    /// Several clients on each node count in one record: what they did together, and the share of the slowest.
    pub(super) fn contended_by_many(&self, put: &mut dyn FnMut(Measured)) -> Result<()> {
        let clients = self.amounts.contenders;
        let words = format!("contended-fetch --clients {clients}");
        let done = self.clients.on_all(&words)?;
        let slowest = |line: &serde_json::Value| line["slowest_client"].as_f64();
        let slowest = done
            .raw
            .iter()
            .map(|line| slowest(line).unwrap_or_default());
        let slowest = slowest.fold(f64::INFINITY, f64::min);
        let all = self.cluster.nodes.len() as f64 * f64::from(clients);
        let share = slowest * all / done.operations().max(1.0);
        put(Measured::plain(Row::ContendedManyShare, share));
        put(Measured::rate(Row::ContendedMany, done));
        Ok(())
    }

    pub(super) fn packets(&self, put: &mut dyn FnMut(Measured)) -> Result<()> {
        let done = self
            .clients
            .on_one(&format!("packets --count {}", self.amounts.packets))?;
        let daemon = done.cpu_us().unwrap_or_default();
        let clients = done.raw;
        put(Measured {
            clients,
            ..Measured::plain(Row::PacketCpu, daemon)
        });
        for (row, burst) in [(Row::PacketCalls, 1), (Row::BurstCalls, BURST)] {
            put(Measured::plain(row, trace::system_calls(self, burst)?));
        }
        Ok(())
    }

    pub(super) fn recoveries(&self, put: &mut dyn FnMut(Measured)) -> Result<()> {
        self.fill(self.amounts.records)?;
        put(self.recovery(Row::Recovery10k)?);
        self.fill(self.amounts.many_records)?;
        put(self.recovery(Row::Recovery100k)?);
        Ok(())
    }

    /// The mean of some recoveries. A leader looks once a second whether one is wanted, so they are asked for at
    /// moments that are spread over that second.
    fn recovery(&self, row: Row) -> Result<Measured> {
        let mut clients = Vec::new();
        let mut seconds = 0.0;
        let count = self.amounts.recoveries;
        for number in 0..count {
            sleep(BETWEEN_RECOVERIES + LEADERS_ROUND * number / count);
            let done = self.clients.on_one("recover")?;
            seconds += done.seconds();
            clients.extend(done.raw);
        }
        Ok(Measured {
            row,
            value: seconds / f64::from(count),
            cpu_us: None,
            clients,
        })
    }

    /// Has the nodes create that many records in all, unless they are there already.
    fn fill(&self, records: usize) -> Result<()> {
        if self.filled.get() < records {
            let each = records.div_ceil(self.cluster.nodes.len());
            let words = format!("fill --database {RECORDS} --records {each} --size 100");
            self.clients.on_all(&words)?;
            self.filled.set(records);
        }
        Ok(())
    }

    pub(super) fn traverse(&self) -> Result<Measured> {
        self.fill(self.amounts.many_records)?;
        let done = self
            .clients
            .on_one(&format!("traverse --database {RECORDS}"))?;
        let (seen, there) = (done.operations(), self.amounts.many_records as f64);
        ensure!(seen >= there, "the traverse saw {seen} of {there} records");
        Ok(Measured::of(Row::Traverse100k, done.seconds(), done))
    }

    /// What clients of the first node have to wait for while a database with many records is vacuumed and repacked, and
    /// while it is recovered: the longest of their waits.
    pub(super) fn stalls(&self, put: &mut dyn FnMut(Measured)) -> Result<()> {
        let done = self.stall("vacuum")?;
        let same = stall_of(&done, "same")?;
        let other = stall_of(&done, "other")?;
        put(Measured::plain(Row::StallVacuumSame, same));
        put(Measured::of(Row::StallVacuumOther, other, done));
        sleep(BETWEEN_RECOVERIES);
        let done = self.stall("recovery")?;
        let other = stall_of(&done, "other")?;
        put(Measured::of(Row::StallRecoveryOther, other, done));
        Ok(())
    }

    fn stall(&self, beside: &str) -> Result<Done> {
        let records = self.amounts.many_records;
        self.clients.on_one(&format!(
            "stall --database bench_stall_{beside}.tdb --records {records} --beside {beside}"
        ))
    }

    /// Milliseconds of CPU in a second, of the daemon of one node, nothing being connected.
    pub(super) fn idle(&self) -> Result<f64> {
        sleep(self.amounts.idle);
        let (before, begin) = (self.daemons_cpu()?, Instant::now());
        sleep(self.amounts.idle);
        let used = self.daemons_cpu()?.saturating_sub(before);
        let watched = begin.elapsed().as_secs_f64() * self.cluster.nodes.len() as f64;
        Ok(used.as_secs_f64() * 1000.0 / watched)
    }

    fn daemons_cpu(&self) -> Result<Duration> {
        self.cluster
            .nodes
            .iter()
            .map(|node| Daemon::of(node).map(Daemon::cpu))
            .sum()
    }

    /// The mean of all nodes.
    pub(super) fn memory(&self, put: &mut dyn FnMut(Measured)) -> Result<()> {
        let (mut resident, mut proportional) = (0, 0);
        for node in &self.cluster.nodes {
            let daemon = Daemon::of(node)?;
            resident += daemon.resident()?;
            proportional += daemon.proportional()?;
        }
        let mean = |bytes: u64| bytes as f64 / MEBIBYTE / self.cluster.nodes.len() as f64;
        put(Measured::plain(Row::Resident, mean(resident)));
        put(Measured::plain(Row::Proportional, mean(proportional)));
        let with_clients = self.resident_with_clients()? as f64 / MEBIBYTE;
        put(Measured::plain(Row::ResidentClients, with_clients));
        Ok(())
    }
}

/// How long clients stay connected for the sake of it, and how long they may take to connect, in seconds.
const CONNECTED: u64 = 4;
const CONNECTING: u64 = 3;

impl Bench<'_> {
    /// Resident memory of the first node's daemon while many clients are connected.
    fn resident_with_clients(&self) -> Result<u64> {
        let connections = self.amounts.connections;
        let daemon = Daemon::of(&self.cluster.nodes[0])?;
        let before = daemon.descriptors()?;
        let words = format!("idle --connections {connections}");
        self.clients.beside(&words, CONNECTED, || {
            within(CONNECTING, || {
                let now = daemon.descriptors()?;
                ensure!(now >= before + connections, "{now} descriptors");
                Ok(())
            })?;
            daemon.resident()
        })
    }
}

/// The longest wait of one of the watchers, in milliseconds.
fn stall_of(done: &Done, watcher: &str) -> Result<f64> {
    let line = done.raw.first().context("no client")?;
    let longest = line["stall_ms"][watcher]["during"].as_f64();
    longest.with_context(|| format!("{watcher}: no wait in {line}"))
}

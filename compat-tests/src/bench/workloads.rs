//! The workloads of a turn, in the order in which they run.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use super::load::Done;
use super::measure::Bench;
use super::{Row, trace};

/// What the cluster is made to do. Those that leave many databases or records behind come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "Workload::rows says what each measures")]
pub enum Workload {
    /// Runs by itself, with the daemon under valgrind.
    Instructions,
    /// Before the others: nothing is left to vacuum.
    Idle,
    Packets,
    MessageRing,
    TunnelRing,
    FetchRing,
    ContendedFetch,
    ContendedMany,
    GLock,
    Persistent,
    Replicated,
    /// Only where its programs are.
    Upstream,
    Recovery,
    Traverse,
    Stalls,
    Memory,
    Attach,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Amounts {
    /// How long each rate is measured.
    pub seconds: u64,
    /// Records of the smaller recovery.
    pub records: usize,
    /// Records of the greater recovery and of the traverse.
    pub many_records: usize,
    /// Recoveries of each size, of which the mean counts.
    pub recoveries: u32,
    /// Round trips whose CPU time is measured.
    pub packets: u32,
    /// Round trips whose system calls are counted.
    pub traced_packets: u32,
    /// Clients on each node that want one record.
    pub contenders: u32,
    /// Clients that are connected with a daemon while its memory is measured.
    pub connections: usize,
    /// Databases to attach.
    pub databases: u32,
    /// How long a cluster is watched that does nothing, after as long without being watched.
    pub idle: Duration,
}

impl Amounts {
    /// What a result is made with.
    #[must_use]
    pub fn full(seconds: u64) -> Self {
        Self {
            seconds,
            records: 10_000,
            many_records: 100_000,
            recoveries: 4,
            packets: 20_000,
            traced_packets: 2_000,
            contenders: 8,
            connections: 1_000,
            databases: 50,
            idle: Duration::from_secs(5),
        }
    }

    /// What shows that everything runs; the figures mean little.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            seconds: 1,
            records: 500,
            many_records: 2_000,
            recoveries: 1,
            packets: 1_000,
            traced_packets: 200,
            contenders: 2,
            connections: 50,
            databases: 3,
            idle: Duration::from_millis(500),
        }
    }
}

/// A value of a row, and what it was made of.
#[derive(Debug)]
pub struct Measured {
    /// What was measured.
    pub row: Row,
    /// In the row's unit.
    pub value: f64,
    /// See `Sample`.
    pub cpu_us: Option<f64>,
    /// See `Sample`.
    pub clients: Vec<serde_json::Value>,
}

impl Measured {
    pub(super) fn plain(row: Row, value: f64) -> Self {
        Self {
            row,
            value,
            cpu_us: None,
            clients: Vec::new(),
        }
    }

    pub(super) fn of(row: Row, value: f64, done: Done) -> Self {
        Self {
            row,
            value,
            cpu_us: done.cpu_us(),
            clients: done.raw,
        }
    }

    pub(super) fn rate(row: Row, done: Done) -> Self {
        Self::of(row, done.rate(), done)
    }
}

impl Workload {
    /// What it measures on that many nodes.
    #[must_use]
    pub fn rows(self, nodes: usize) -> Vec<Row> {
        let with_several: &[Row] = match self {
            Self::ContendedFetch => &[Row::ContendedFetchShare],
            Self::Persistent => &[Row::PersistentAll, Row::PersistentShare],
            Self::Replicated => &[Row::ReplicatedAll, Row::ReplicatedShare],
            Self::Upstream => &[
                Row::UpstreamPersistentAll,
                Row::UpstreamPersistentShare,
                Row::UpstreamReplicatedAll,
                Row::UpstreamReplicatedShare,
            ],
            _ => &[],
        };
        let always: &[Row] = match self {
            Self::Instructions => &[Row::PacketInstructions],
            Self::Packets => &[Row::PacketCalls, Row::BurstCalls, Row::PacketCpu],
            Self::MessageRing => &[Row::MessageRing],
            Self::TunnelRing => &[Row::TunnelRing],
            Self::FetchRing => &[Row::FetchRing],
            Self::ContendedFetch => &[Row::ContendedFetch],
            Self::ContendedMany => &[Row::ContendedMany, Row::ContendedManyShare],
            Self::GLock => &[Row::GLock],
            Self::Persistent => &[Row::PersistentOne],
            Self::Replicated => &[Row::ReplicatedOne],
            Self::Upstream => &[Row::UpstreamPersistentOne, Row::UpstreamReplicatedOne],
            Self::Recovery => &[Row::Recovery10k, Row::Recovery100k],
            Self::Traverse => &[Row::Traverse100k],
            Self::Stalls => &[
                Row::StallVacuumOther,
                Row::StallVacuumSame,
                Row::StallRecoveryOther,
            ],
            Self::Idle => &[Row::IdleCpu],
            Self::Memory => &[Row::Resident, Row::ResidentClients, Row::Proportional],
            Self::Attach => &[Row::Attach],
        };
        let several = if nodes > 1 { with_several } else { &[] };
        always.iter().chain(several).copied().collect()
    }

    /// Runs it, and hands each value on as soon as it is there.
    ///
    /// # Errors
    /// Clients or daemons fail; the rows that were not handed on have no value.
    pub fn run(self, bench: &Bench, put: &mut dyn FnMut(Measured)) -> Result<()> {
        match self {
            Self::Instructions => put(Measured::plain(
                Row::PacketInstructions,
                trace::instructions(bench)?,
            )),
            Self::Packets => bench.packets(put)?,
            Self::MessageRing => put(Measured::rate(
                Row::MessageRing,
                bench.clients.on_all("message-ring")?,
            )),
            Self::TunnelRing => put(Measured::rate(
                Row::TunnelRing,
                bench.clients.on_all("tunnel-ring")?,
            )),
            Self::FetchRing => put(Measured::rate(
                Row::FetchRing,
                bench.clients.on_all("fetch-ring --size 100")?,
            )),
            Self::ContendedFetch => {
                bench.shared(
                    "contended-fetch",
                    Row::ContendedFetch,
                    Row::ContendedFetchShare,
                    put,
                )?;
            }
            Self::ContendedMany => bench.contended_by_many(put)?,
            Self::GLock => put(Measured::rate(Row::GLock, bench.clients.on_all("g-lock")?)),
            Self::Persistent => {
                let words = "transaction --model persistent";
                put(Measured::rate(
                    Row::PersistentOne,
                    bench.clients.on_one(words)?,
                ));
                if bench.has_several() {
                    bench.shared(words, Row::PersistentAll, Row::PersistentShare, put)?;
                }
            }
            Self::Replicated => {
                let words = "transaction --model replicated";
                put(Measured::rate(
                    Row::ReplicatedOne,
                    bench.clients.on_one(words)?,
                ));
                if bench.has_several() {
                    bench.shared(words, Row::ReplicatedAll, Row::ReplicatedShare, put)?;
                }
            }
            Self::Upstream => {
                let persistent = [
                    Row::UpstreamPersistentOne,
                    Row::UpstreamPersistentAll,
                    Row::UpstreamPersistentShare,
                ];
                bench.upstream_transactions("persistent", persistent, put)?;
                let replicated = [
                    Row::UpstreamReplicatedOne,
                    Row::UpstreamReplicatedAll,
                    Row::UpstreamReplicatedShare,
                ];
                bench.upstream_transactions("replicated", replicated, put)?;
            }
            Self::Recovery => bench.recoveries(put)?,
            Self::Traverse => put(bench.traverse()?),
            Self::Stalls => bench.stalls(put)?,
            Self::Idle => put(Measured::plain(Row::IdleCpu, bench.idle()?)),
            Self::Memory => bench.memory(put)?,
            Self::Attach => {
                let words = format!("attach --count {}", bench.amounts.databases);
                put(Measured::rate(Row::Attach, bench.clients.on_one(&words)?));
            }
        }
        Ok(())
    }
}

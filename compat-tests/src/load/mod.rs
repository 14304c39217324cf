//! Load for one node's daemon: what `ctdb-load` does.
//!
//! The program is a client of its node's ctdbd, of ours and of C's alike. The same workload runs on
//! every participating node at the same time; they meet first (`meeting`), and each prints what it
//! did itself.
//!
//! It measures daemons, so its own part is kept small and the same for both: one thread, everything
//! awaited and nothing polled.

mod contended;
mod controls;
mod meeting;
mod records;
mod recovery;
mod rings;
mod run;
mod stall;
mod summary;
mod transactions;
mod traverse;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use wire::types::{DbFlags, GLockMode};

pub use summary::Summary;

use run::Run;

/// The longest that one control or call may take. Longer than the daemons' own time-outs.
const LIMIT: Duration = Duration::from_secs(60);

/// How all locks are taken here.
const WRITE: GLockMode = GLockMode::Write;

/// Work for one node's ctdbd, and how fast it was done.
///
/// Ends with one line of JSON: what was done on this node, in how many seconds. SIGTERM ends a
/// workload early, but with its line.
#[derive(Debug, Parser)]
#[command(name = "ctdb-load", version)]
pub struct Options {
    /// The daemon's socket.
    #[arg(long, global = true, default_value = "/run/ctdb/ctdbd.socket")]
    socket: PathBuf,
    /// The workload runs on nodes 0 to N-1 at the same time, which meet first.
    #[arg(long, global = true, default_value_t = 1, value_name = "N")]
    participants: u32,
    /// How long, for workloads without an end of their own: 5, but for `write`, which goes on until
    /// SIGTERM.
    #[arg(long, global = true, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
    #[command(subcommand)]
    workload: Workload,
}

/// What is done.
#[derive(Debug, Subcommand)]
enum Workload {
    /// A message from node to node. An operation is a receipt here, its latency a whole round.
    MessageRing,
    /// The same through a tunnel.
    TunnelRing,
    /// A record from node to node: each locks it, writes it, and tells the next.
    FetchRing {
        /// The size of its value.
        #[arg(long, default_value_t = 100, value_name = "B")]
        size: usize,
    },
    /// One record, counted in by all nodes as fast as they can. It is an error if an increment is
    /// missing at the end.
    ContendedFetch {
        /// How many clients count on each node.
        #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
        clients: u32,
    },
    /// One of several clients of `contended-fetch`.
    #[command(hide = true)]
    Count {
        /// The record.
        #[arg(long)]
        key: String,
    },
    /// One global lock, locked and unlocked by all nodes.
    GLock,
    /// Two counters incremented in one transaction, one of this node and one of all. It is an error if
    /// an increment is missing at the end.
    Transaction {
        /// The kind of the database.
        #[arg(long, value_enum)]
        model: Model,
    },
    /// Records made on this node; on each node others.
    Fill(Fill),
    /// Round trips with the local daemon, of a control that costs it nearly nothing.
    Packets {
        /// How many.
        #[arg(long, value_name = "N")]
        count: u64,
        /// So many asked at once, and none more before all are answered.
        #[arg(long, default_value_t = 1, value_name = "N")]
        burst: u32,
    },
    /// Connected, and nothing else.
    Idle {
        /// So many times.
        #[arg(long, default_value_t = 1, value_name = "N")]
        connections: u32,
    },
    /// New databases attached, one after the other.
    Attach(Attach),
    /// How long clients of this node wait while a database is vacuumed and repacked, or recovered.
    Stall(Stall),
    /// A recovery, asked for as `ctdb recover` does, until all active nodes have it behind them.
    Recover,
    /// All records of a database, from all nodes.
    Traverse(Database),
    /// Counters of records incremented, for tests in which daemons die. See [`write`].
    Write(Write),
    /// Every key of a database and its counter, a line each, as the cluster has them.
    Dump(Database),
}

/// What is written, and what is noted of it.
#[derive(Clone, Debug, Args)]
struct Write {
    /// The kind of the database, which is `load_write_MODEL.tdb`.
    #[arg(long, value_enum)]
    model: Model,
    /// A line is appended for every write: `NANOSECONDS MODEL KEY COUNTER` when it is acknowledged,
    /// with `unknown` at the end if it may or may not have been done.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// How many keys, of each sort.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// At most so many writes a second: a volatile record that nobody else wants is written in
    /// microseconds, and a journal of all that helps nobody.
    #[arg(long, default_value_t = 1000, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

/// Which records are made.
#[derive(Clone, Debug, Args)]
struct Fill {
    #[command(flatten)]
    database: Database,
    /// How many.
    #[arg(long, value_name = "N")]
    records: u64,
    /// The size of each value.
    #[arg(long, value_name = "B")]
    size: usize,
}

/// What is done to a database while others work.
#[derive(Clone, Debug, Args)]
struct Stall {
    /// Its name.
    #[arg(long, value_name = "NAME")]
    database: String,
    /// How many records are made in it before.
    #[arg(long, value_name = "N")]
    records: u64,
    /// The size of each value.
    #[arg(long, default_value_t = 100, value_name = "B")]
    size: usize,
    /// What is done then.
    #[arg(long, value_enum)]
    beside: Beside,
}

/// What clients may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Beside {
    /// Of half the records the value is taken away before.
    Vacuum,
    Recovery,
    Nothing,
}

/// Which databases are made.
#[derive(Debug, Args)]
struct Attach {
    /// How many.
    #[arg(long, value_name = "N")]
    count: u32,
    /// Of which kind.
    #[arg(long, value_enum, default_value_t = Model::Volatile)]
    model: Model,
}

/// Which database.
#[derive(Clone, Debug, Args)]
struct Database {
    /// Its name, as it is attached by.
    #[arg(long = "database", value_name = "NAME")]
    name: String,
    /// Its kind.
    #[arg(long, value_enum, default_value_t = Model::Volatile)]
    model: Model,
}

/// The kinds of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Model {
    Volatile,
    Persistent,
    Replicated,
}

impl Model {
    const fn name(self) -> &'static str {
        match self {
            Self::Volatile => "volatile",
            Self::Persistent => "persistent",
            Self::Replicated => "replicated",
        }
    }

    const fn flags(self) -> DbFlags {
        match self {
            Self::Volatile => DbFlags::empty(),
            Self::Persistent => DbFlags::PERSISTENT,
            Self::Replicated => DbFlags::REPLICATED,
        }
    }
}

impl Workload {
    const fn name(&self) -> &'static str {
        match self {
            Self::MessageRing => "message-ring",
            Self::TunnelRing => "tunnel-ring",
            Self::FetchRing { .. } => "fetch-ring",
            Self::ContendedFetch { .. } => "contended-fetch",
            Self::Count { .. } => "count",
            Self::GLock => "g-lock",
            Self::Transaction { .. } => "transaction",
            Self::Fill(_) => "fill",
            Self::Packets { .. } => "packets",
            Self::Idle { .. } => "idle",
            Self::Attach(_) => "attach",
            Self::Stall(_) => "stall",
            Self::Recover => "recover",
            Self::Traverse(_) => "traverse",
            Self::Write(_) => "write",
            Self::Dump(_) => "dump",
        }
    }
}

/// Does the work.
///
/// # Errors
/// The daemon cannot be reached or refuses something, other nodes do not come, or what was done is
/// not what is there afterwards.
pub async fn run(options: &Options) -> Result<Summary> {
    ensure!(options.participants > 0, "--participants 0");
    if let Workload::Write(write) = &options.workload {
        return write::run(options, write).await;
    }
    let mut run = Run::start(options).await?;
    let measured = match &options.workload {
        Workload::MessageRing => rings::messages(&mut run).await?,
        Workload::TunnelRing => rings::tunnels(&mut run).await?,
        Workload::FetchRing { size } => records::fetch_ring(&mut run, *size).await?,
        Workload::ContendedFetch { clients: 1 } => contended::fetch(&mut run).await?,
        Workload::ContendedFetch { clients } => {
            contended::by_many(&mut run, &options.socket, *clients).await?
        }
        Workload::Count { key } => contended::count(&mut run, key).await?,
        Workload::GLock => transactions::g_lock(&mut run).await?,
        Workload::Transaction { model } => transactions::transactions(&mut run, *model).await?,
        Workload::Fill(fill) => records::fill(&mut run, fill).await?,
        Workload::Packets { count, burst } => controls::packets(&mut run, *count, *burst).await?,
        Workload::Idle { connections } => {
            controls::idle(&mut run, &options.socket, *connections).await?
        }
        Workload::Attach(attach) => controls::attach(&mut run, attach).await?,
        Workload::Stall(wanted) => stall::stall(&mut run, &options.socket, wanted).await?,
        Workload::Recover => recovery::recover(&mut run).await?,
        Workload::Traverse(database) => traverse::count(&mut run, database).await?,
        Workload::Dump(database) => traverse::dump(&mut run, database).await?,
        Workload::Write(_) => unreachable!("has no run"),
    };
    run.client.flush(LIMIT).await?;
    let node = (run.node(), options.participants);
    Ok(measured.summary(options.workload.name(), node))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_stand_on_either_side_of_the_workload() {
        let parse = |words: &str| Options::try_parse_from(words.split(' '));
        let before = parse("ctdb-load --participants 3 --seconds 0.5 idle").unwrap();
        let after = parse("ctdb-load idle --participants 3 --seconds 0.5").unwrap();
        for options in [before, after] {
            assert_eq!(options.participants, 3);
            assert_eq!(options.seconds, Some(Duration::from_millis(500)));
            assert_eq!(options.workload.name(), "idle");
        }
        assert!(parse("ctdb-load --seconds -1 idle").is_err());
        assert!(parse("ctdb-load traverse").is_err());
    }
}

//! How long a node's clients wait while a database is vacuumed, repacked or recovered.
//!
//! Two threads are clients of their own, each of one database: the one that it is done to, and another. Each makes one new
//! record after the other, which needs the daemon, the chain's lock and a free piece of the file, and notes how long the
//! longest took; first for a while in which nothing happens, then while it is done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Client, Pnn};
use serde::Serialize;
use wire::DbId;
use wire::control::{DbVacuum as DbVacuumControl, SetTunable};
use wire::types::{DbVacuum, Tunable};

use super::run::Run;
use super::summary::{Measured, Meter};
use super::{Beside, LIMIT, Model, Stall, records, recovery};

/// How long nothing is done before, and how long it may go on behind its answer: the file is repacked then.
const QUIET: Duration = Duration::from_secs(1);
/// Between two records of a watcher.
const BREATH: Duration = Duration::from_micros(300);
/// What is never due within a run.
const NEVER: u32 = 3600;
const VACUUM_INTERVAL: u32 = 10;
const REPACK_LIMIT: u32 = 10_000;

/// The longest waits, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Longest {
    /// While nothing was done.
    before: f64,
    /// While it was done.
    during: f64,
}

/// Of both watchers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Stalls {
    other: Longest,
    same: Longest,
}

/// What the watchers are to note their waits as.
const BEFORE: u8 = 0;
const DURING: u8 = 1;
const OVER: u8 = 2;

pub(super) async fn stall(run: &mut Run, socket: &Path, stall: &Stall) -> Result<Measured> {
    ensure!(run.participants == 1, "stall runs on one node");
    let nodes = recovery::active_nodes(&run.client).await?;
    tune(&run.client, &nodes, NEVER, 1).await?;
    let db = filled(run, stall).await?;
    let phase = Arc::new(AtomicU8::new(BEFORE));
    let same = watch(socket, &stall.database, &phase);
    let other = watch(socket, "load_stall_other.tdb", &phase);
    tokio::time::sleep(QUIET).await;
    phase.store(DURING, Ordering::Relaxed);
    let mut meter = Meter::start();
    let begun = Instant::now();
    match stall.beside {
        Beside::Nothing => {}
        Beside::Vacuum => vacuum(&run.client, db, &nodes).await?,
        Beside::Recovery => drop(recovery::once(&run.client, &run.stop).await?),
    }
    meter.done(begun.elapsed());
    tokio::time::sleep(QUIET).await;
    phase.store(OVER, Ordering::Relaxed);
    let stalls = Stalls {
        other: joined(other)?,
        same: joined(same)?,
    };
    tune(&run.client, &nodes, VACUUM_INTERVAL, REPACK_LIMIT).await?;
    Ok(meter.finish().with_stalls(stalls))
}

/// Makes the records, and closes the database: a process has it open once, and the watcher of it is another thread.
async fn filled(run: &Run, stall: &Stall) -> Result<DbId> {
    let db = run.open(&stall.database, Model::Volatile).await?;
    records::half_emptied(run, &db, stall).await?;
    Ok(db.id())
}

/// Vacuuming when it is asked for and never by itself; after each run the file is repacked, if anything is free.
async fn tune(client: &Client, nodes: &[Pnn], interval: u32, limit: u32) -> Result<()> {
    for node in nodes {
        for (name, value) in [("VacuumInterval", interval), ("RepackLimit", limit)] {
            let tunable = Tunable {
                name: name.to_owned(),
                value,
            };
            client.control::<SetTunable>(*node, &tunable, LIMIT).await?;
        }
    }
    Ok(())
}

/// Twice on all nodes: what one gives to its location master, that one removes.
async fn vacuum(client: &Client, db: DbId, nodes: &[Pnn]) -> Result<()> {
    let request = DbVacuum {
        db,
        full_vacuum_run: true,
    };
    for node in nodes.iter().chain(nodes) {
        client
            .control::<DbVacuumControl>(*node, &request, LIMIT)
            .await?;
    }
    Ok(())
}

fn watch(socket: &Path, name: &str, phase: &Arc<AtomicU8>) -> JoinHandle<Result<Longest>> {
    let (socket, name, phase): (PathBuf, String, _) =
        (socket.to_owned(), name.to_owned(), phase.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        tokio::task::LocalSet::new().block_on(&runtime, watching(&socket, &name, &phase))
    })
}

async fn watching(socket: &Path, name: &str, phase: &AtomicU8) -> Result<Longest> {
    let client = Client::connect(socket).await?;
    let db = client
        .open_database(name, Model::Volatile.flags(), LIMIT)
        .await?;
    let mut longest = [Duration::ZERO; 2];
    let id = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_nanos();
    for number in 0_u64.. {
        let key = format!("watch-{id:x}-{number}").into_bytes();
        let asked = Instant::now();
        db.lock_record(&key, LIMIT).await?.store(&[b'x'; 100])?;
        let took = asked.elapsed();
        // by the end of the wait: what begins before and lasts is of what is done
        match longest.get_mut(usize::from(phase.load(Ordering::Relaxed))) {
            Some(longest) => *longest = took.max(*longest),
            None => break,
        }
        tokio::time::sleep(BREATH).await;
    }
    let [before, during] = longest.map(|time| (time.as_secs_f64() * 1e5).round() / 100.0);
    Ok(Longest { before, during })
}

fn joined(watcher: JoinHandle<Result<Longest>>) -> Result<Longest> {
    watcher.join().ok().context("a watcher panicked")?
}

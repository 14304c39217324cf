//! One record that all nodes want.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::Database;
use serde::Deserialize;

use super::records::counter;
use super::run::Run;
use super::summary::{Measured, Meter};
use super::{LIMIT, Model};

const DATABASE: &str = "load_contended.tdb";

/// All nodes count in one record. None of their writes may be missing at the end.
pub(super) async fn fetch(run: &mut Run) -> Result<Measured> {
    let db = run.open(DATABASE, Model::Volatile).await?;
    run.meet().await?;
    let key = key(run);
    let measured = increment(run, &db, &key).await?;
    check(run, &db, &key, measured.operations()).await?;
    Ok(measured)
}

fn key(run: &Run) -> String {
    format!("counter-{:x}", run.id())
}

async fn increment(run: &Run, db: &Database, key: &str) -> Result<Measured> {
    let mut meter = Meter::start();
    while !run.stop.is_over() {
        let asked = Instant::now();
        let mut record = db.lock_record(key.as_bytes(), LIMIT).await?;
        let next = counter(record.value()).wrapping_add(1);
        record.store(&next.to_ne_bytes())?;
        drop(record);
        meter.done(asked.elapsed());
    }
    Ok(meter.finish())
}

async fn check(run: &mut Run, db: &Database, key: &str, own: u64) -> Result<()> {
    let written = run.sum(own).await?;
    let found = counter(db.lock_record(key.as_bytes(), LIMIT).await?.value());
    ensure!(
        found == written,
        "the counter is {found} after {written} increments on all nodes"
    );
    Ok(())
}

/// What a client of `by_many` says at its end.
#[derive(Deserialize)]
struct Line {
    operations: u64,
    seconds: f64,
}

/// The same with several clients on each node: processes, as smbds are, since a process has a file open once.
pub(super) async fn by_many(run: &mut Run, socket: &Path, clients: u32) -> Result<Measured> {
    run.meet().await?;
    let key = key(run);
    let started: Result<Vec<Child>> = (0..clients)
        .map(|_| start(socket, &key, run.seconds()))
        .collect();
    let mut lines: Vec<Line> = Vec::new();
    for child in started? {
        // not on this thread: other nodes may still ask whether this one is here
        let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await??;
        ensure!(output.status.success(), "a client: {}", output.status);
        lines.push(serde_json::from_slice(&output.stdout).context("a client")?);
    }
    let operations = lines.iter().map(|line| line.operations).sum();
    let slowest = lines.iter().map(|line| line.operations).min();
    let seconds = lines.iter().map(|line| line.seconds).fold(0.0, f64::max);
    let db = run.open(DATABASE, Model::Volatile).await?;
    check(run, &db, &key, operations).await?;
    let took = Duration::try_from_secs_f64(seconds)?;
    Ok(Measured::of_several(operations, took, slowest))
}

fn start(socket: &Path, key: &str, time: Duration) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--socket").arg(socket);
    command.args(["--seconds", &time.as_secs_f64().to_string()]);
    command.args(["count", "--key", key]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().context("a client")
}

/// What each of them does.
pub(super) async fn count(run: &mut Run, key: &str) -> Result<Measured> {
    let db = run.open(DATABASE, Model::Volatile).await?;
    run.meet().await?;
    increment(run, &db, key).await
}

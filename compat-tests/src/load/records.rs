//! Records of volatile databases, moved between the nodes and written.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, ensure};
use client::{Database, Srvid};
use tokio::task::JoinSet;

use super::rings::Rounds;
use super::run::{Run, Stop};
use super::summary::{Measured, Meter};
use super::{Beside, Fill, LIMIT, Model, Stall};

/// In the range of test programs.
const ADDRESS: Srvid = Srvid(Srvid::TEST_RANGE.0 | 0x6665_7463);
/// Records that are made at the same time: the daemon has something to do while an answer is on
/// its way.
const AT_ONCE: usize = 64;
/// Records of one transaction.
const BATCH: u64 = 1000;

/// Each node in turn locks the record, writes it, and tells the next one.
pub(super) async fn fetch_ring(run: &mut Run, size: usize) -> Result<Measured> {
    ensure!(size >= 8, "--size {size}: at least 8 bytes");
    let db = run.open("load_fetch_ring.tdb", Model::Volatile).await?;
    let mut messages = run.client.register(ADDRESS).await?;
    run.meet().await?;
    let (next, mut over) = (run.next(), run.stop.over());
    let mut value = vec![0; size];
    let mut rounds = Rounds::start();
    let mut mine = run.is_first();
    loop {
        if mine {
            write_next(&db, &mut value).await?;
            run.client.message(next, ADDRESS, b"")?;
        }
        tokio::select! {
            biased;
            message = messages.recv() => message.map(drop)?,
            () = &mut over => return Ok(rounds.finish()),
        }
        rounds.received();
        mine = true;
    }
}

async fn write_next(db: &Database, value: &mut [u8]) -> Result<()> {
    let mut record = db.lock_record(b"ring", LIMIT).await?;
    let next = counter(record.value()).wrapping_add(1);
    value[..8].copy_from_slice(&next.to_ne_bytes());
    Ok(record.store(value)?)
}

/// The number in the first 8 bytes; 0 in a new record.
pub(super) fn counter(value: &[u8]) -> u64 {
    value
        .first_chunk()
        .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// Makes records whose keys name this node.
pub(super) async fn fill(run: &mut Run, fill: &Fill) -> Result<Measured> {
    let db = run.open(&fill.database.name, fill.database.model).await?;
    run.meet().await?;
    match fill.database.model {
        Model::Volatile => fill_volatile(run, db, fill).await,
        _ => fill_by_transactions(run, &db, fill).await,
    }
}

fn key(node: u32, number: u64) -> Vec<u8> {
    format!("fill-{node}-{number}").into_bytes()
}

async fn fill_volatile(run: &Run, db: Database, fill: &Fill) -> Result<Measured> {
    fill_many(run, db, fill, Emptied::None).await
}

/// Makes the records of a database that is to be vacuumed: every second one loses its value again.
pub(super) async fn half_emptied(run: &Run, db: &Database, stall: &Stall) -> Result<Measured> {
    let emptied = match stall.beside {
        Beside::Vacuum => Emptied::EverySecond,
        Beside::Recovery | Beside::Nothing => Emptied::None,
    };
    let fill = Fill {
        database: super::Database {
            name: stall.database.clone(),
            model: Model::Volatile,
        },
        records: stall.records,
        size: stall.size,
    };
    fill_many(run, db.clone(), &fill, emptied).await
}

/// Which records lose their value again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Emptied {
    None,
    EverySecond,
}

async fn fill_many(run: &Run, db: Database, fill: &Fill, emptied: Emptied) -> Result<Measured> {
    let next = Rc::new(Cell::new(0));
    let mut tasks = JoinSet::new();
    let mut meters = vec![Meter::start()];
    for _ in 0..AT_ONCE {
        let filling = Filling {
            db: db.clone(),
            node: run.node(),
            fill: fill.clone(),
            next: next.clone(),
            emptied,
            stop: run.stop.clone(),
        };
        tasks.spawn_local(filling.run());
    }
    while let Some(meter) = tasks.join_next().await {
        meters.push(meter??);
    }
    Ok(Meter::all(meters).finish())
}

/// One of several tasks that take the numbers in turn.
struct Filling {
    db: Database,
    node: u32,
    fill: Fill,
    next: Rc<Cell<u64>>,
    emptied: Emptied,
    stop: Stop,
}

impl Filling {
    async fn run(self) -> Result<Meter> {
        let value = vec![b'x'; self.fill.size];
        let mut meter = Meter::start();
        while self.next.get() < self.fill.records && !self.stop.is_wanted() {
            let number = self.next.get();
            let key = key(self.node, number);
            self.next.set(number + 1);
            let asked = Instant::now();
            let mut record = self.db.lock_record(&key, LIMIT).await?;
            record.store(&value)?;
            if self.emptied == Emptied::EverySecond && number.is_multiple_of(2) {
                record.delete()?;
            }
            drop(record);
            meter.done(asked.elapsed());
        }
        Ok(meter)
    }
}

async fn fill_by_transactions(run: &mut Run, db: &Database, fill: &Fill) -> Result<Measured> {
    let locks = run.locks().await?;
    let value = vec![b'x'; fill.size];
    let mut meter = Meter::start();
    let mut number = 0;
    while number < fill.records && !run.stop.is_wanted() {
        let asked = Instant::now();
        let mut transaction = db.begin(&locks, super::WRITE, LIMIT).await?;
        let end = (number + BATCH).min(fill.records);
        for number in number..end {
            transaction.store(&key(run.node(), number), &value)?;
        }
        transaction.commit(LIMIT).await?;
        meter.batch(end - number, asked.elapsed());
        number = end;
    }
    Ok(meter.finish())
}

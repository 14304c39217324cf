//! Global locks and transactions.

use std::time::Instant;

use anyhow::{Result, ensure};
use client::{Database, GLocks};

use super::records::counter;
use super::run::Run;
use super::summary::{Measured, Meter};
use super::{LIMIT, Model, WRITE};

/// One lock, locked and unlocked by all nodes.
pub(super) async fn g_lock(run: &mut Run) -> Result<Measured> {
    let locks = run.locks().await?;
    run.meet().await?;
    let mut meter = Meter::start();
    while !run.stop.is_over() {
        let asked = Instant::now();
        let lock = locks.lock(b"load\0", (WRITE, 0), LIMIT).await?;
        lock.unlock(LIMIT).await?;
        meter.done(asked.elapsed());
    }
    let measured = meter.finish();
    // a client that is gone answers nobody who found it in the record
    run.sum(0).await?;
    Ok(measured)
}

/// Each transaction reads and increments a counter of its node's and one of all nodes. At the end each
/// of them is what was counted.
pub(super) async fn transactions(run: &mut Run, model: Model) -> Result<Measured> {
    ensure!(
        model != Model::Volatile,
        "transactions are not for volatile databases"
    );
    let name = match model {
        Model::Persistent => "load_persistent.tdb",
        _ => "load_replicated.tdb",
    };
    let db = run.open(name, model).await?;
    let locks = run.locks().await?;
    run.meet().await?;
    let keys = [
        format!("shared-{:x}", run.id()),
        format!("node{}-{:x}", run.node(), run.id()),
    ];
    let mut meter = Meter::start();
    while !run.stop.is_over() {
        let asked = Instant::now();
        count(&db, &locks, &keys).await?;
        meter.done(asked.elapsed());
    }
    let measured = meter.finish();
    let all = run.sum(measured.operations()).await?;
    // a transaction, so that all that were committed are here
    let last = db.begin(&locks, WRITE, LIMIT).await?;
    for (key, wanted) in keys.iter().zip([all, measured.operations()]) {
        let found = counter(&last.fetch(key.as_bytes())?);
        ensure!(
            found == wanted,
            "{key} is {found} after {wanted} transactions"
        );
    }
    last.cancel(LIMIT).await?;
    Ok(measured)
}

async fn count(db: &Database, locks: &GLocks, keys: &[String]) -> Result<()> {
    let mut transaction = db.begin(locks, WRITE, LIMIT).await?;
    for key in keys {
        let next = counter(&transaction.fetch(key.as_bytes())?).wrapping_add(1);
        transaction.store(key.as_bytes(), &next.to_ne_bytes())?;
    }
    Ok(transaction.commit(LIMIT).await?)
}

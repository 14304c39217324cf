//! Whole databases, read from all nodes.

use anyhow::Result;

use std::io::Write as _;

use wire::types::SEQNUM_KEY;

use super::records::counter;
use super::run::Run;
use super::summary::{Measured, Meter};
use super::{Database, LIMIT};

pub(super) async fn count(run: &mut Run, database: &Database) -> Result<Measured> {
    let db = run.attach(&database.name, database.model).await?.id;
    run.meet().await?;
    let mut meter = Meter::start();
    let mut records = run.client.traverse(db, LIMIT).await?;
    let mut over = run.stop.wanted();
    loop {
        tokio::select! {
            biased;
            record = records.next() => match record? {
                Some(_) => meter.items(1),
                None => return Ok(meter.finish()),
            },
            () = &mut over => return Ok(meter.finish()),
        }
    }
}

/// Prints each key and its counter. What is no counter of this program's is printed as 0.
pub(super) async fn dump(run: &mut Run, database: &Database) -> Result<Measured> {
    let db = run.attach(&database.name, database.model).await?.id;
    run.meet().await?;
    let mut meter = Meter::start();
    let mut records = run.client.traverse(db, LIMIT).await?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    while let Some(record) = records.next().await? {
        if record.key != SEQNUM_KEY {
            let key = String::from_utf8_lossy(&record.key);
            writeln!(out, "{key} {}", counter(&record.value))?;
            meter.items(1);
        }
    }
    out.flush()?;
    Ok(meter.finish())
}

//! Whole databases, read from all nodes.

use anyhow::Result;

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

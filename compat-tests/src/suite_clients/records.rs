//! One record: written past the rules by UPDATE_RECORD, or read from a copy that is lent.

use anyhow::{Context, Result};
use client::{Client, Database, Pnn};
use wire::ReqId;
use wire::control::UpdateRecord;
use wire::types::{RecBuffer, RecordHeader};

use super::options::{Kind, OnDatabase};

/// Moves a volatile record here and stores its sequence number, ten higher, as its value.
pub(super) async fn update(options: &OnDatabase) -> Result<()> {
    let (client, database) = options.open(Kind::Volatile).await?;
    let key = options.key.as_bytes();
    let limit = options.common.time_limit();
    let record = database.lock_record(key, limit).await?;
    let mut header = *record.header();
    drop(record);
    header.rsn += 10;
    let value = header.rsn.to_string();
    store(&client, &database, options, (header, value.as_bytes())).await
}

/// Stores a value in this node's copy of a persistent record, its sequence number one higher.
pub(super) async fn update_persistent(options: &OnDatabase) -> Result<()> {
    let value = options
        .value
        .as_deref()
        .context("please specify key value (-v)")?;
    let (client, database) = options.open(Kind::Persistent).await?;
    let header = database.peek(options.key.as_bytes(), |record| record.header)?;
    let mut header = header.unwrap_or(RecordHeader {
        dmaster: client.pnn(),
        ..RecordHeader::default()
    });
    header.rsn += 1;
    store(&client, &database, options, (header, value.as_bytes())).await
}

/// UPDATE_RECORD, of this node's own daemon.
async fn store(
    client: &Client,
    database: &Database,
    options: &OnDatabase,
    (header, value): (RecordHeader, &[u8]),
) -> Result<()> {
    let mut buffer = RecBuffer::new(database.id());
    buffer.push(ReqId(0), Some(header), options.key.as_bytes(), value);
    client
        .control::<UpdateRecord>(Pnn::CURRENT, &buffer, options.common.time_limit())
        .await?;
    Ok(())
}

/// Has a copy lent to this node.
pub(super) async fn fetch(options: &OnDatabase) -> Result<()> {
    let (_client, database) = options.open(Kind::Volatile).await?;
    let limit = options.common.time_limit();
    database.read_only(options.key.as_bytes(), limit).await?;
    Ok(())
}

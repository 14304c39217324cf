//! What the worker that holds a frozen database does with it for a recovery. The daemon only passes on what comes and
//! goes: however large a database is, nobody else waits for it.
//!
//! ```text
//!   daemon                         worker, holding every chain
//!     │ Begin, Wipe, Commit ... ─────▶ one after the other
//!     │ ◀──────────────────── Ordered  each but Push has one answer
//!     │ Pull ────────────────────────▶
//!     │ ◀───────────── Pulled, Pulled  marshall buffers of limited size; then Ordered, with their records
//!     │ Push, Push, Push, Confirm ───▶ stores them; Ordered says whether all could be stored
//! ```
//!
//! The lock ends with [`crate::io::Output::Release`], after all orders before it; a transaction that is open then is
//! given up.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tracing::warn;
use wire::coding::Encode;
use wire::types::{RecBuffer, RecBufferRef};
use wire::{DbId, ReqId};

use crate::io::WorkEvent;
use crate::store::{StoreError, Visitor};

/// Something to do with a frozen database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start a transaction; give up the one that is open.
    Begin,
    /// Give up the transaction, if there is one.
    Cancel,
    /// Show every record.
    Pull(Pull),
    /// Remove every record.
    Wipe,
    /// Store these: a marshall buffer, each value with its header in front. One without even a header is removed.
    Push(Vec<u8>),
    /// Say whether all that was pushed is stored.
    Confirm,
    /// End the transaction: its content is what the database has now.
    Commit,
}

/// How records are to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Of which database.
    pub db: DbId,
    /// Its name, for warnings.
    pub name: String,
    /// A marshall buffer ends with the record that makes it longer than this (RecBufferSizeLimit).
    pub buffer_limit: u32,
    /// More records than this are worth a warning (DBRecordCountWarn); 0: no number is.
    pub count_warn: u32,
    /// The same for the bytes of a record (DBRecordSizeWarn).
    pub record_size_warn: u32,
    /// The same for the bytes of all (DBSizeWarn).
    pub size_warn: u32,
}

/// The file of a frozen database, to whoever holds its locks.
pub trait Frozen {
    /// Starts a transaction.
    fn begin(&mut self) -> Result<(), StoreError>;
    /// Commits it: durable for a persistent database when this returns. A failure ends it too, and nothing has changed.
    fn commit(&mut self) -> Result<(), StoreError>;
    /// Gives it up.
    fn cancel(&mut self) -> Result<(), StoreError>;
    /// Empties the database, inside a transaction.
    fn wipe(&mut self) -> Result<(), StoreError>;
    /// Shows each key with its raw value (header in front). The visitor may stop early.
    fn traverse(&mut self, visit: &mut Visitor<'_>) -> Result<(), StoreError>;
    /// Writes a raw value, header in front.
    fn store(&mut self, key: &[u8], raw: &[u8]) -> Result<(), StoreError>;
    /// Removes a record; removing an absent one is no error.
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError>;
}

/// Whoever is told what became of an order. It may have gone away.
pub type Tell<'a> = dyn FnMut(WorkEvent) -> ControlFlow<()> + 'a;

/// Carries out the orders for one frozen database.
#[derive(Debug, Default)]
pub struct Clerk {
    in_transaction: bool,
    /// Why something that was pushed could not be stored.
    spoiled: Option<String>,
}

impl Clerk {
    /// Does what is ordered, and tells what comes of it.
    pub fn carry_out(&mut self, file: &mut dyn Frozen, order: Order, tell: &mut Tell<'_>) {
        let done = match order {
            Order::Push(records) => return self.push(file, &records),
            Order::Begin => self.begin(file),
            Order::Cancel => self.cancel(file),
            Order::Pull(pull) => show_all(file, &pull, tell),
            Order::Wipe => self.wipe(file),
            Order::Confirm => self.spoiled.take().map_or(Ok(0), Err),
            Order::Commit => self.commit(file),
        };
        // nobody listens any more: nobody is told
        let _ = tell(WorkEvent::Ordered(done));
    }

    /// The lock is about to end.
    ///
    /// # Errors
    /// The transaction could not be given up.
    pub fn release(&mut self, file: &mut dyn Frozen) -> Result<(), String> {
        self.spoiled = None;
        self.cancel(file).map(drop)
    }

    fn begin(&mut self, file: &mut dyn Frozen) -> Result<u32, String> {
        self.cancel(file)?;
        self.spoiled = None;
        file.begin().map_err(text)?;
        self.in_transaction = true;
        Ok(0)
    }

    fn cancel(&mut self, file: &mut dyn Frozen) -> Result<u32, String> {
        if core::mem::take(&mut self.in_transaction) {
            file.cancel().map_err(text)?;
        }
        Ok(0)
    }

    fn wipe(&mut self, file: &mut dyn Frozen) -> Result<u32, String> {
        if !self.in_transaction {
            return Err("no transaction".into());
        }
        file.wipe().map_err(text).map(|()| 0)
    }

    fn commit(&mut self, file: &mut dyn Frozen) -> Result<u32, String> {
        if !core::mem::take(&mut self.in_transaction) {
            return Err("no transaction".into());
        }
        file.commit().map_err(text).map(|()| 0)
    }

    fn push(&mut self, file: &mut dyn Frozen, records: &[u8]) {
        if let Err(why) = store_all(file, records) {
            self.spoiled.get_or_insert(why);
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn text(why: StoreError) -> String {
    why.to_string()
}

fn store_all(file: &mut dyn Frozen, records: &[u8]) -> Result<(), String> {
    let buffer = RecBufferRef::from_bytes(records).map_err(|why| why.to_string())?;
    for record in buffer.records() {
        let record = record.map_err(|why| why.to_string())?;
        match record.data {
            [] => file.delete(record.key),
            raw => file.store(record.key, raw),
        }
        .map_err(text)?;
    }
    Ok(())
}

/// Shows every record; gives their number.
fn show_all(file: &mut dyn Frozen, pull: &Pull, tell: &mut Tell<'_>) -> Result<u32, String> {
    let mut buffer = RecBuffer::new(pull.db);
    let mut sizes = Sizes::default();
    let mut gone = false;
    file.traverse(&mut |key, value| {
        sizes.add(pull, key, value);
        buffer.push(ReqId(0), None, key, value);
        if buffer.buf.len() < pull.buffer_limit as usize {
            return ControlFlow::Continue(());
        }
        let told = tell(WorkEvent::Pulled(buffer.to_bytes()));
        // its memory is that of the next one
        buffer.clear();
        gone = told.is_break();
        told
    })
    .map_err(text)?;
    if !gone && buffer.count > 0 {
        gone = tell(WorkEvent::Pulled(buffer.to_bytes())).is_break();
    }
    if gone {
        return Err("nobody takes the records".into());
    }
    sizes.warn(pull);
    Ok(u32::try_from(sizes.records).unwrap_or(u32::MAX))
}

/// What a database has in it, for the warnings about large ones. C 4.17 has the tunables and ctdb-tunables(7) describes
/// the warnings, but the code that gave them went with the serial recovery of 4.3; the words are those.
#[derive(Debug, Default)]
struct Sizes {
    records: u64,
    bytes: u64,
}

impl Sizes {
    fn add(&mut self, pull: &Pull, key: &[u8], value: &[u8]) {
        let size = (key.len() + value.len()) as u64;
        self.records += 1;
        self.bytes = self.bytes.saturating_add(size);
        if exceeds(size, pull.record_size_warn) {
            let name = &pull.name;
            warn!("Data record in {name} is big. Record size is {size} bytes");
        }
    }

    fn warn(&self, pull: &Pull) {
        let (Self { records, bytes }, name) = (self, &pull.name);
        if exceeds(*records, pull.count_warn) {
            warn!("Database {name} is big. Contains {records} records");
        }
        if exceeds(*bytes, pull.size_warn) {
            warn!("Database {name} is big. Contains {bytes} bytes");
        }
    }
}

/// 0 means no limit.
fn exceeds(value: u64, limit: u32) -> bool {
    limit > 0 && value > u64::from(limit)
}

//! Writing a record of a volatile database: it is moved here and its chain is locked, so that neither
//! the daemon nor another client of this node touches it.
//!
//! ```text
//!  lock the chain -> look at the header
//!      we are its data master, and have lent no copies  -> RecordLock
//!      otherwise: unlock, have the daemon move it here, and look again
//! ```
//!
//! Between the daemon's answer and the lock it may have been moved on. Then all is repeated; nodes
//! that want the same record take turns by the order in which their daemons are asked.

use std::time::Duration;

use tdb::StoreMode;
use wire::Srvid;
use wire::coding::Encode;
use wire::control::ScheduleForDeletion;
use wire::packet::CallFlags;
use wire::types::{KeyData, RECORD_HEADER_SIZE, RecordHeader};

use super::claims::{Claim, claim};
use super::open::{Database, Deadline, Patience};
use super::{DatabaseKind, read};
use crate::error::{Error, Result};

/// A record of which this node is data master, with its chain locked until this is dropped. While it
/// is, the daemon cannot touch the record, and other clients of the node wait: keep it short.
#[derive(Debug)]
pub struct RecordLock<'a> {
    chain: ChainLock<'a>,
    /// Given back after the lock.
    _claim: Claim<'a>,
    header: RecordHeader,
    stored: Vec<u8>,
}

/// The lock of a record's chain, until it is dropped. Locks of one thread count: what the thread reads
/// of the chain meanwhile does not wait.
#[derive(Debug)]
#[must_use]
pub(super) struct ChainLock<'a> {
    db: &'a Database,
    key: &'a [u8],
}

impl Database {
    /// Moves a record here and locks it. A record that does not exist is made, without a value.
    ///
    /// # Errors
    /// [`Error::TimedOut`](crate::Error::TimedOut) if that takes longer than `timeout`, and what a
    /// call may fail with, also if the record is here; [`Error::WrongKind`](crate::Error::WrongKind) if the database is not
    /// volatile; [`Error::Tdb`](crate::Error::Tdb).
    pub async fn lock_record<'a>(
        &'a self,
        key: &'a [u8],
        timeout: Duration,
    ) -> Result<RecordLock<'a>> {
        let volatile = self.kind() == DatabaseKind::Volatile;
        self.must_be(volatile, "lock_record")?;
        let deadline = Deadline::after(timeout);
        let claim = claim(&self.file.claims, key, deadline, self.node()).await?;
        loop {
            self.lock_chain(key, deadline).await?;
            let chain = ChainLock { db: self, key };
            if let Some((header, stored)) = chain.look()? {
                // the next daemon may begin anew, without this record
                if self.client.is_closed() {
                    return Err(Error::Disconnected);
                }
                return Ok(RecordLock {
                    chain,
                    _claim: claim,
                    header,
                    stored,
                });
            }
            drop(chain);
            let left = deadline.left("lock_record", self.node())?;
            self.client
                .move_here((self.id(), key), CallFlags::IMMEDIATE_MIGRATION, left)
                .await?;
        }
    }
}

impl Database {
    /// For a read that must not wait in the system call: holds the chain; nothing if it may.
    pub(super) async fn hold_chain<'a>(
        &'a self,
        key: &'a [u8],
        deadline: Deadline,
    ) -> Result<Option<ChainLock<'a>>> {
        if self.patience() == Patience::Block {
            return Ok(None);
        }
        self.lock_chain(key, deadline).await?;
        Ok(Some(ChainLock { db: self, key }))
    }
}

impl ChainLock<'_> {
    /// The record, if it can be written here.
    fn look(&self) -> Result<Option<(RecordHeader, Vec<u8>)>> {
        let Some(stored) = self.db.file.tdb.fetch(self.key)? else {
            return Ok(None);
        };
        let (header, _) = RecordHeader::split(&stored)?;
        let writable = read::is_writable(&header, self.db.node());
        Ok(writable.then_some((header, stored)))
    }
}

impl RecordLock<'_> {
    /// Its header. What clients write leaves it as it is (`db_ctdb_ltdb_store`, dbwrap_ctdb.c, 4.17.12).
    #[must_use]
    pub const fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// Its value; empty if there is none.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.stored.get(RECORD_HEADER_SIZE..).unwrap_or_default()
    }

    /// Writes a value. [`value`](Self::value) is the new one then.
    ///
    /// # Errors
    /// [`Error::Tdb`](crate::Error::Tdb).
    pub fn store(&mut self, value: &[u8]) -> Result<()> {
        self.stored.clear();
        self.header.encode(&mut self.stored);
        self.stored.extend_from_slice(value);
        let ChainLock { db, key } = self.chain;
        Ok(db.file.tdb.store(key, &self.stored, StoreMode::Replace)?)
    }

    /// Deletes the record: it stays, without a value, until vacuuming has removed it on all nodes,
    /// for which the daemon is told of it.
    ///
    /// # Errors
    /// [`Error::Tdb`](crate::Error::Tdb), and those of sending: then the record is empty, and is found
    /// by vacuuming later.
    pub fn delete(&mut self) -> Result<()> {
        self.store(&[])?;
        let ChainLock { db, key } = self.chain;
        let request = KeyData {
            db: db.id(),
            header: self.header,
            key: key.to_vec(),
        };
        db.client
            .notify_control::<ScheduleForDeletion>(db.node(), Srvid(0), &request)
    }
}

impl Drop for ChainLock<'_> {
    fn drop(&mut self) {
        // it was locked, so this does not fail
        let _ = self.db.file.tdb.unlock_chain(self.key);
    }
}

//! Reading without a lock.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use wire::Pnn;
use wire::packet::CallFlags;
use wire::types::{RecordFlags, RecordHeader};

use super::DatabaseKind;
use super::open::{Database, Deadline};
use crate::error::Result;

/// This node's copy of a record, where it lies in the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRecord<'a> {
    /// Its header.
    pub header: RecordHeader,
    /// Its value; empty if it was deleted, or is not here.
    pub value: &'a [u8],
}

/// Whether a client of this node may write the record (`db_ctdb_can_use_local_hdr`, dbwrap_ctdb.c,
/// 4.17.12).
pub(super) fn is_writable(header: &RecordHeader, node: Pnn) -> bool {
    header.dmaster == node && !header.flags.contains(RecordFlags::RO_HAVE_DELEGATIONS)
}

/// Whether the copy of this node may be read as the record (the same, for reading).
fn is_readable(header: &RecordHeader, node: Pnn) -> bool {
    header.dmaster == node || header.flags.contains(RecordFlags::RO_HAVE_READONLY)
}

impl Database {
    /// Shows this node's copy, whether it is the record or an old state of it; none if there is no
    /// copy.
    ///
    /// # Errors
    /// [`Error::Tdb`](crate::Error::Tdb), [`Error::Protocol`](crate::Error::Protocol) if it has no header.
    pub fn peek<R>(
        &self,
        key: &[u8],
        parser: impl FnOnce(LocalRecord<'_>) -> R,
    ) -> Result<Option<R>> {
        let parse = |stored: &[u8]| {
            let (header, value) = RecordHeader::split(stored)?;
            Ok(parser(LocalRecord { header, value }))
        };
        self.file.tdb.parse(key, parse)?.transpose()
    }

    /// The record's value; empty if it has none. If this node does not have it, the daemon fetches it
    /// without moving it. It may have changed when this returns.
    ///
    /// # Errors
    /// Those of a call, and of [`peek`](Self::peek).
    pub async fn read(&self, key: &[u8], timeout: Duration) -> Result<Bytes> {
        let deadline = Deadline::after(timeout);
        match self.readable_copy(key, deadline).await? {
            Some(value) => Ok(value),
            None if self.kind() == DatabaseKind::Volatile => {
                let left = deadline.left("read", self.node())?;
                self.client.fetch(self.id(), key, left).await
            }
            // every node has all there is
            None => Ok(Bytes::new()),
        }
    }

    /// The same, but has a copy lent to this node, which is read here from then on until somebody
    /// writes the record. Only for databases with [`DbFlags::READONLY`](wire::types::DbFlags::READONLY);
    /// in others the record is moved here.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and [`Error::TimedOut`](crate::Error::TimedOut) if the copy is
    /// taken back each time before it is read, until `timeout`.
    pub async fn read_only(&self, key: &[u8], timeout: Duration) -> Result<Bytes> {
        let volatile = self.kind() == DatabaseKind::Volatile;
        self.must_be(volatile, "read_only")?;
        let deadline = Deadline::after(timeout);
        let flags = CallFlags::IMMEDIATE_MIGRATION | CallFlags::WANT_READONLY;
        loop {
            if let Some(value) = self.readable_copy(key, deadline).await? {
                return Ok(value);
            }
            let left = deadline.left("read_only", self.node())?;
            self.client.move_here((self.id(), key), flags, left).await?;
        }
    }

    async fn readable_copy(&self, key: &[u8], deadline: Deadline) -> Result<Option<Bytes>> {
        let _held = self.hold_chain(key, deadline).await?;
        let volatile = self.kind() == DatabaseKind::Volatile;
        let node = self.node();
        let copy = self.peek(key, |record| {
            let readable = !volatile || is_readable(&record.header, node);
            readable.then(|| Bytes::copy_from_slice(record.value))
        })?;
        Ok(copy.flatten())
    }

    /// Shows this node's copies of all records, in no order, until the visitor breaks off; how many
    /// were shown.
    ///
    /// # Errors
    /// [`Error::Tdb`](crate::Error::Tdb), [`Error::Protocol`](crate::Error::Protocol) if one has no
    /// header.
    pub fn traverse_local(
        &self,
        mut visitor: impl FnMut(&[u8], LocalRecord<'_>) -> ControlFlow<()>,
    ) -> Result<usize> {
        let mut damaged = None;
        let shown =
            self.file
                .tdb
                .traverse_read(|key, stored| match RecordHeader::split(stored) {
                    Ok((header, value)) => visitor(key, LocalRecord { header, value }),
                    Err(error) => {
                        damaged = Some(error);
                        ControlFlow::Break(())
                    }
                })?;
        damaged.map_or(Ok(shown), |error| Err(error.into()))
    }
}

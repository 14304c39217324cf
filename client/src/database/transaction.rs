//! Writing to persistent and replicated databases: all changes on all nodes, or none.
//!
//! ```text
//!  begin    global lock "transaction_db_0x........"     (one writer in the cluster)
//!  fetch    what this transaction wrote, or the local file, which all nodes have
//!  commit   sequence number + 1; TRANS3_COMMIT with all changes
//!              0        done
//!              other    a recovery has been: is the sequence number this commit's?  yes: done
//!                                                                         as before: once more
//!  end      unlock
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use wire::coding::{Decode, Encode};
use wire::control::Trans3Commit;
use wire::types::{GLockMode, RecBuffer, RecBufferRef, Record, RecordHeader, SEQNUM_KEY};
use wire::{Pnn, ReqId};

use super::DatabaseKind;
use super::open::{Database, Deadline};
use crate::error::{Error, Result};
use crate::g_lock::{GLock, GLocks};

/// How long after a refused commit it is tried again, at first and at last: while a recovery lasts, a
/// C daemon refuses at once.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// A transaction under way. Dropping it cancels it.
#[derive(Debug)]
pub struct Transaction<'a> {
    db: &'a Database,
    lock: GLock,
    mode: GLockMode,
    /// A deleted record has no value.
    writes: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Database {
    /// Begins a transaction, waiting for others. With [`GLockMode::Read`] it can only read, together
    /// with other readers.
    ///
    /// # Errors
    /// Those of [`GLocks::lock`]; [`Error::WrongKind`] for a volatile database.
    pub async fn begin<'a>(
        &'a self,
        locks: &GLocks,
        mode: GLockMode,
        timeout: Duration,
    ) -> Result<Transaction<'a>> {
        let replicated = self.kind() != DatabaseKind::Volatile;
        self.must_be(replicated, "begin")?;
        let name = format!("transaction_db_{}\0", self.id());
        let lock = locks
            .lock(name.as_bytes(), (mode, self.id().0), timeout)
            .await?;
        Ok(Transaction {
            db: self,
            lock,
            mode,
            writes: BTreeMap::new(),
        })
    }

    /// How many transactions this node's copy has seen; 0 in a volatile database.
    ///
    /// # Errors
    /// [`Error::Tdb`], [`Error::Protocol`].
    pub fn sequence_number(&self) -> Result<u64> {
        let number = self.peek(SEQNUM_KEY, |record| match record.value {
            // made, and never written
            [] => Ok(0),
            value => u64::from_bytes(value),
        })?;
        Ok(number.transpose()?.unwrap_or(0))
    }
}

impl Database {
    /// The same, waiting for the chain lock as its [`Patience`](super::Patience) says.
    ///
    /// # Errors
    /// Those of [`sequence_number`](Self::sequence_number), and [`Error::TimedOut`].
    pub async fn sequence_number_within(&self, timeout: Duration) -> Result<u64> {
        let _held = self
            .hold_chain(SEQNUM_KEY, Deadline::after(timeout))
            .await?;
        self.sequence_number()
    }
}

impl Transaction<'_> {
    /// A record's value as this transaction sees it; empty if there is none.
    ///
    /// # Errors
    /// [`Error::Tdb`], [`Error::Protocol`].
    pub fn fetch(&self, key: &[u8]) -> Result<Vec<u8>> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.stored(key)?.1),
        }
    }

    /// The same, waiting for the chain lock as the database's [`Patience`](super::Patience) says.
    ///
    /// # Errors
    /// Those of [`fetch`](Self::fetch), and [`Error::TimedOut`].
    pub async fn fetch_within(&self, key: &[u8], timeout: Duration) -> Result<Vec<u8>> {
        let _held = self.db.hold_chain(key, Deadline::after(timeout)).await?;
        self.fetch(key)
    }

    /// Writes a value at the end of the transaction.
    ///
    /// # Errors
    /// [`Error::WrongKind`] in a transaction that only reads.
    pub fn store(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.db.must_be(self.mode == GLockMode::Write, "store")?;
        self.writes.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    /// Deletes a record at the end of the transaction.
    ///
    /// # Errors
    /// Those of [`store`](Self::store).
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.store(key, &[])
    }

    /// Ends the transaction without writing anything.
    ///
    /// # Errors
    /// Those of [`GLock::unlock`].
    pub async fn cancel(self, timeout: Duration) -> Result<()> {
        self.lock.unlock(timeout).await
    }

    /// Writes everything on all active nodes.
    ///
    /// # Errors
    /// [`Error::CommitUnknown`] if there is no answer in time or the connection ends; with any other
    /// error nothing is written.
    pub async fn commit(self, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(timeout);
        let changes = self.changes(deadline).await?;
        if !changes.is_empty() {
            self.write(changes, deadline).await?;
        }
        // what is written is written; a lock that is not given back others find out about
        let left = deadline.left("g_lock", self.db.node()).unwrap_or(SHORT);
        if let Err(error) = self.lock.unlock(left).await {
            tracing::debug!(%error, "a transaction's lock was not released");
        }
        Ok(())
    }

    /// Header and value of the local copy.
    fn stored(&self, key: &[u8]) -> Result<(RecordHeader, Vec<u8>)> {
        let stored = self
            .db
            .peek(key, |record| (record.header, record.value.to_vec()))?;
        Ok(stored.unwrap_or((NEW, Vec::new())))
    }

    /// What differs from the local copy, with the headers that the records are to have.
    async fn changes(&self, deadline: Deadline) -> Result<RecBuffer> {
        let mut changes = RecBuffer::new(self.db.id());
        for (key, value) in &self.writes {
            let _held = self.db.hold_chain(key, deadline).await?;
            let (header, old) = self.stored(key)?;
            if old != *value {
                self.push(&mut changes, header, (key, value));
            }
        }
        Ok(changes)
    }

    fn push(&self, changes: &mut RecBuffer, old: RecordHeader, (key, value): (&[u8], &[u8])) {
        let header = next(old, self.db.node());
        changes.push(ReqId(0), Some(header), key, value);
    }

    async fn write(&self, mut changes: RecBuffer, deadline: Deadline) -> Result<()> {
        let held = self.db.hold_chain(SEQNUM_KEY, deadline).await?;
        let before = self.db.sequence_number()?;
        let number = before.wrapping_add(1).to_ne_bytes();
        let (header, _) = self.stored(SEQNUM_KEY)?;
        drop(held);
        self.push(&mut changes, header, (SEQNUM_KEY, &number));
        let mut pause = PAUSES.0;
        loop {
            let Err(refused) = self.send(&changes, before, deadline).await? else {
                return Ok(());
            };
            // smbd and upstream's clients take a refusal as the end of a recovery
            let held = self.db.hold_chain(SEQNUM_KEY, deadline).await;
            let held = held.map_err(|error| self.unknown(before, error.to_string()))?;
            let now = self.db.sequence_number()?;
            let ours = self.is_stored(&changes)?;
            drop(held);
            if ours {
                return Ok(());
            }
            if now != before {
                return Err(self.unknown(before, format!("it is {now} now")));
            }
            let left = deadline
                .left("TRANS3_COMMIT", self.db.node())
                .map_err(|_| self.unknown(before, refused))?;
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Whether these are what the local copy has. The sequence number alone may be another node's: one that this node has
    /// lost for a while knows nothing of the locks here.
    fn is_stored(&self, changes: &RecBuffer) -> Result<bool> {
        let bytes = changes.to_bytes();
        for change in RecBufferRef::from_bytes(&bytes)?.records_with_header() {
            let change = change?;
            let (stored, value) = self.stored(change.key)?;
            if !is_of(change, (&stored, &value), self.db.kind()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends the changes; an inner error is the daemon's refusal.
    async fn send(
        &self,
        changes: &RecBuffer,
        before: u64,
        deadline: Deadline,
    ) -> Result<std::result::Result<(), String>> {
        let node = self.db.node();
        let left = deadline
            .left("TRANS3_COMMIT", node)
            .map_err(|error| self.unknown(before, error.to_string()))?;
        let client = &self.db.client;
        match client.control::<Trans3Commit>(node, changes, left).await {
            Ok(answer) if answer.status == 0 => Ok(Ok(())),
            Ok(answer) => Ok(Err(format!("status {}", answer.status))),
            Err(error @ Error::Refused { .. }) => Ok(Err(error.to_string())),
            Err(error @ (Error::TimedOut { .. } | Error::Disconnected)) => {
                Err(self.unknown(before, error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    fn unknown(&self, before: u64, reason: String) -> Error {
        let name = self.db.info().name.clone();
        Error::CommitUnknown {
            name,
            before,
            reason,
        }
    }
}

/// The header of a record that this node writes.
fn next(old: RecordHeader, node: Pnn) -> RecordHeader {
    RecordHeader {
        rsn: old.rsn.wrapping_add(1),
        dmaster: node,
        ..old
    }
}

/// Whether a record is what a change has made of it. A recovery leaves a persistent database's headers as they are; a
/// replicated one's have the leader as their node from then on.
fn is_of(change: Record<'_>, stored: (&RecordHeader, &[u8]), kind: DatabaseKind) -> bool {
    let (header, value) = stored;
    let same = |ours: RecordHeader| {
        let same_node = ours.dmaster == header.dmaster || kind == DatabaseKind::Replicated;
        ours.rsn == header.rsn && same_node
    };
    // of a deleted record nothing may be left
    value == change.data && (value.is_empty() || change.header.is_some_and(same))
}

/// For unlocking after a commit that took all its time.
const SHORT: Duration = Duration::from_secs(5);

/// What a record that is not there counts as (`ctdb_ltdb_fetch`, client_db.c, 4.17.12).
const NEW: RecordHeader = RecordHeader {
    rsn: 0,
    dmaster: Pnn::UNKNOWN,
    reserved: 0,
    flags: wire::types::RecordFlags::empty(),
};

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Pnn = Pnn(1);

    fn change(data: &[u8]) -> Record<'_> {
        Record {
            reqid: ReqId(0),
            header: Some(next(NEW, ME)),
            key: b"k",
            data,
        }
    }

    #[test]
    fn another_nodes_commit_is_not_taken_for_this_one() {
        use DatabaseKind::{Persistent, Replicated};
        let (ours, theirs) = (next(NEW, ME), next(NEW, Pnn(2)));
        let later = next(ours, ME);
        let is = |header, value: &[u8], kind| is_of(change(b"5"), (header, value), kind);
        assert!(is(&ours, b"5", Persistent));
        assert!(!is(&theirs, b"5", Persistent), "the same by another node");
        assert!(is(&theirs, b"5", Replicated), "after a recovery of node 2");
        for kind in [Persistent, Replicated] {
            assert!(!is(&ours, b"4", kind));
            assert!(!is(&later, b"5", kind), "written once more");
        }
    }

    #[test]
    fn of_a_deleted_record_nothing_is_left() {
        let deleted = change(b"");
        assert!(is_of(deleted, (&NEW, b""), DatabaseKind::Persistent));
        assert!(!is_of(deleted, (&NEW, b"5"), DatabaseKind::Persistent));
    }
}

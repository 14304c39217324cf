//! The local copies of the databases, as the engine sees them: a synchronous trait that the daemon implements over
//! libtdb and the tests over ordered maps.
//!
//! Nothing here waits. A chain lock that somebody else holds is [`Lock::Busy`]; waiting for it is a job for a worker
//! process (see [`crate::io::Output::Work`]).

use std::ops::ControlFlow;

use wire::{
    DbId,
    tunables::Tunables,
    types::{DbFlags, RecordHeader},
};

/// Why the local copy could not be read or written. The text names the database, the operation and libtdb's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No database of this id is attached.
    #[error("database {0} is not attached")]
    Unknown(DbId),
    /// The file cannot be used at all; the engine must not go on as if the record were absent.
    #[error("{0}")]
    Failed(String),
}

/// The answer to an attempt to lock a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// This process holds the chain lock now.
    Held,
    /// Another process holds it.
    Busy,
}

/// One record as stored: the header in front, the value behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Sequence number, data master and flags.
    pub header: RecordHeader,
    /// The value; empty for a record that was deleted or only located.
    pub data: Vec<u8>,
}

/// What opening a database gave.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Opened {
    /// Where the file is: clients open it themselves (GETDBPATH).
    pub path: String,
    /// libtdb's open flags that clients must use (DB_OPEN_FLAGS).
    pub open_flags: u32,
    /// Hash chains of the file.
    pub hash_size: u32,
}

/// Looks at a key and its raw value (header in front), and says whether to go on.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Access to the local tdb files of this node.
///
/// Chain locks nest neither here nor in libtdb: the engine takes at most one at a time.
pub trait Store {
    /// Opens (creating it if need be) the file of database `name`; `flags` decide directory and open flags.
    fn open(&mut self, db: DbId, name: &str, flags: DbFlags) -> Result<Opened, StoreError>;
    /// Tunables were set: those about files count for databases that are opened from now on.
    fn tunables_changed(&mut self, _: &Tunables) {}
    /// Closes a database that is being detached.
    fn close(&mut self, db: DbId);
    /// How many bytes the file has; 0 where that cannot be found out.
    fn size(&self, db: DbId) -> u64;

    /// Tries to lock the chain of `key`.
    fn try_lock(&mut self, db: DbId, key: &[u8]) -> Result<Lock, StoreError>;
    /// Gives back what [`Store::try_lock`] got.
    fn unlock(&mut self, db: DbId, key: &[u8]);
    /// A worker process holds the chain of `key` for us: access it without locking.
    fn mark(&mut self, db: DbId, key: &[u8]);
    /// Ends [`Store::mark`]; the worker lets go afterwards.
    fn unmark(&mut self, db: DbId, key: &[u8]);

    /// The record of `key`; `None` where there is none, or one too short to have a header.
    fn fetch(&mut self, db: DbId, key: &[u8]) -> Result<Option<Stored>, StoreError>;
    /// Writes header and value.
    fn store(
        &mut self,
        db: DbId,
        key: &[u8],
        header: &RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError>;
    /// Removes the record; removing an absent one is no error.
    fn delete(&mut self, db: DbId, key: &[u8]) -> Result<(), StoreError>;

    /// A worker process holds every chain of the frozen database for us: its records can be read.
    fn mark_all(&mut self, db: DbId) -> Result<(), StoreError>;
    /// Ends [`Store::mark_all`].
    fn unmark_all(&mut self, db: DbId);
    /// Counts changes from now on (`tdb_enable_seqnum`).
    fn enable_seqnum(&mut self, db: DbId);
    /// The count of changes.
    fn seqnum(&mut self, db: DbId) -> u32;
    /// Counts a change that happened on another node.
    fn bump_seqnum(&mut self, db: DbId);

    /// Why the database may not be trusted; `None` for a healthy one.
    fn unhealthy_reason(&mut self, db: DbId) -> Option<String>;
    /// Records that the database is, or is no longer, to be trusted; kept over restarts.
    fn set_unhealthy(&mut self, db: DbId, reason: Option<&str>) -> Result<(), StoreError>;
}

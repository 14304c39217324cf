//! Worker processes: whatever may block on a tdb lock or on the disk happens there, never in ctdbd.
//!
//! A tdb may be open only once in a process (closing a second descriptor drops the locks of the first), and a robust
//! mutex is unlocked only by the thread that took it. So each job runs in a process with a `tdb_context` of its own:
//! waiting for a chain, for all chains, committing a transaction, walking a whole database. The processes live on and are
//! used again; upstream makes a new one each time (`ctdb_lock.c`, `ctdb_update_record.c`, `ctdb_traverse.c`).
//!
//! ```text
//!   ctdbd                                                  │ ctdb-database-worker
//!   Pool ──commands──▶ actor: Dispatch ──▶ process task ◀──┼──▶ serve (blocking, one job at a time)
//!        ◀── events ──        ▲  who runs what    │ frames │      apply: commits    walk: traverses
//!                             └──── reports ──────┘        │
//! ```
//!
//! A worker ends with its parent, and with its end of the socket; killing it is safe at any moment: the kernel gives back
//! file locks and robust mutexes, and libtdb rolls a torn transaction back.

mod apply;
mod dispatch;
mod lane;
mod patience;
mod pool;
mod process;
pub mod protocol;
mod repack;
pub mod serve;
mod walk;
mod whole;

use std::path::PathBuf;

use wire::types::DbFlags;
use wire::{DbId, Pnn};

use crate::logging::LogHandle;

pub use apply::{ApplyError, Plan, plan};
pub use pool::Pool;
pub use walk::Filter;

/// The program `ctdb-database-worker`.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What it is to log as; without one it says its notices on standard error.
    pub log: Option<LogHandle>,
}

impl From<PathBuf> for Program {
    fn from(path: PathBuf) -> Self {
        Self { path, log: None }
    }
}

/// One attached database, as a worker opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFile {
    /// Its id.
    pub db: DbId,
    /// Its name, for the log and for the list of processes.
    pub name: String,
    /// The tdb file.
    pub path: PathBuf,
    /// libtdb's open flags, the same as ctdbd's own.
    pub flags: u32,
    /// Hash chains, should the file have to be made.
    pub hash_size: u32,
}

/// Keys with what is stored under them: header and value.
pub type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Names a job. The caller chooses it, and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Work that may block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Wait for the chain lock of a key and hold it until released.
    LockRecord {
        /// Any key of the chain.
        key: Vec<u8>,
    },
    /// Wait for every chain of the database and hold them until released.
    LockAll,
    /// Apply a marshall buffer in one transaction: every record, or none.
    Commit {
        /// `ctdb_marshall_buffer`, each value with its header in front.
        records: Vec<u8>,
        /// What kind of database it is: what counts as older depends on it.
        kind: DbFlags,
    },
    /// Read every record. It holds a lock on the record it has arrived at, so a freeze gives walks up first.
    Traverse {
        /// Only records with a header that names this data master (volatile databases); `None`: every record.
        only_dmaster: Option<Pnn>,
        /// With `only_dmaster`: also records without a value.
        with_empty: bool,
    },
    /// Gather the free space of the file into few pieces, if it is in at least so many. Others go on meanwhile.
    Repack {
        /// RepackLimit.
        limit: u32,
    },
}

/// What became of a job. After [`Pool::release`] events that were already under way may still arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The lock is held for us, until [`Pool::release`].
    Locked,
    /// The job could not be done; it is over.
    Failed {
        /// Why, for the log.
        reason: String,
    },
    /// The worker died over the job, or while it held the lock for us; it is over.
    Lost {
        /// How it ended.
        reason: String,
    },
    /// The commit is over.
    Committed {
        /// 0: all of it is in the database; otherwise none of it.
        status: i32,
        /// Why not.
        reason: String,
    },
    /// Keys and values (header in front) of a traverse; each such event costs one [`Pool::credit`].
    Records(Records),
    /// The traverse is over; all its records were delivered before.
    Traversed {
        /// How many records there were.
        count: u64,
    },
    /// A marshall buffer of records that the holder of the database was ordered to show.
    Pulled(Vec<u8>),
    /// The holder has carried out the oldest of its orders ([`Pool::order`]), or says why not.
    Ordered(Result<u32, String>),
    /// The file was looked at.
    Repacked {
        /// How many free pieces it had.
        free: u64,
        /// Whether records were moved for that.
        repacked: bool,
    },
}

/// How many processes there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Record locks waited for or held at a time in one database (tunable `LockProcessesPerDB`).
    pub locks_per_db: u32,
    /// Traverses at a time in one database.
    pub walks_per_db: u32,
    /// Waiters of one database that nobody waits for any more (see [`Pool::release`]).
    pub abandoned_per_db: usize,
    /// Processes of one database kept while there is nothing to do.
    pub idle_per_db: usize,
    /// The same for all databases together.
    pub idle_in_all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            locks_per_db: 200,
            walks_per_db: 4,
            abandoned_per_db: 16,
            idle_per_db: 4,
            idle_in_all: 32,
        }
    }
}

//! Opening the tdb file of an attached database.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tdb::{Flags, OpenOptions, Tdb};
use wire::types::DbFlags;
use wire::{DbId, Pnn};

use super::claims::Claims;
use super::{DatabaseInfo, DatabaseKind};
use crate::connection::Client;
use crate::error::{Error, Result};

thread_local! {
    /// What this thread has open.
    static OPEN: RefCell<BTreeMap<PathBuf, Weak<File>>> = const { RefCell::new(BTreeMap::new()) };
}

/// How a chain lock is waited for that another process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// As smbd does: in the system call, woken at once, for as long as it takes; the whole thread
    /// waits. Chain locks are held for microseconds, but through a recovery by the daemon, and for
    /// ever by a client that is stopped.
    #[default]
    Block,
    /// The lock is tried every few milliseconds, until the deadline; other tasks go on. For a thread
    /// whose tasks have nothing to do with each other: a task that waits in the system call would keep
    /// another one from giving back what is waited for. Reads that take a time-out, and transactions'
    /// commits, keep to it too.
    Try,
}

/// What all users of one file share.
#[derive(Debug)]
pub(super) struct File {
    pub(super) tdb: Tdb,
    pub(super) claims: Claims,
}

/// An open database. Clones share it. Dropping the last one closes it, which the daemon's start waits
/// for: a program that has lost its daemon should drop its volatile databases at once.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) client: Client,
    pub(super) file: Rc<File>,
    info: Rc<DatabaseInfo>,
    patience: Patience,
}

impl Client {
    /// Attaches a database and opens it. The first one with mutexes makes libtdb fork for a moment
    /// ([`tdb::mutexes_supported`]). `timeout` is for each of the controls.
    ///
    /// # Errors
    /// Those of [`Client::attach`]; [`Error::Tdb`]: also if another thread has it open.
    pub async fn open_database(
        &self,
        name: &str,
        flags: DbFlags,
        timeout: Duration,
    ) -> Result<Database> {
        let info = self.attach(name, flags, timeout).await?;
        let file = open(&info.path, info.open_flags)?;
        Ok(Database {
            client: self.clone(),
            file,
            info: Rc::new(info),
            patience: Patience::default(),
        })
    }
}

fn open(path: &Path, flags: i32) -> Result<Rc<File>> {
    OPEN.with_borrow_mut(|open| {
        open.retain(|_, file| file.strong_count() > 0);
        if let Some(file) = open.get(path).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let options = OpenOptions {
            flags: Flags::from_bits_retain(flags.cast_unsigned()),
            // the daemon has made it
            create: false,
            ..OpenOptions::default()
        };
        let file = Rc::new(File {
            tdb: Tdb::open(path, &options)?,
            claims: Claims::default(),
        });
        open.insert(path.to_owned(), Rc::downgrade(&file));
        Ok(file)
    })
}

impl Database {
    /// Its number in all packets.
    #[must_use]
    pub fn id(&self) -> DbId {
        self.info.id
    }

    /// What the daemon said of it.
    #[must_use]
    pub fn info(&self) -> &DatabaseInfo {
        &self.info
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> DatabaseKind {
        DatabaseKind::from_flags(self.info.flags)
    }

    /// The client that it was opened by.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The same database, with another way to wait for chain locks.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    pub(super) const fn patience(&self) -> Patience {
        self.patience
    }

    pub(super) fn node(&self) -> Pnn {
        self.client.pnn()
    }

    /// Refuses an operation that this kind does not know.
    pub(super) fn must_be(&self, right: bool, operation: &'static str) -> Result<()> {
        match right {
            true => Ok(()),
            false => Err(Error::WrongKind {
                name: self.info.name.clone(),
                operation,
            }),
        }
    }

    /// Locks a record's chain.
    pub(super) async fn lock_chain(&self, key: &[u8], deadline: Deadline) -> Result<()> {
        if self.patience == Patience::Block {
            return Ok(self.file.tdb.lock_chain(key)?);
        }
        let mut pause = SHORTEST_PAUSE;
        while !self.file.tdb.try_lock_chain(key)? {
            let left = deadline.left("chain lock", self.node())?;
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}

/// Between two tries of a chain lock, at first.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// And after a while.
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// When an operation of several steps has to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// From now on; one too far to be told is none.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// What is left, or [`Error::TimedOut`] with the operation and the node.
    pub(crate) fn left(self, name: &'static str, destination: Pnn) -> Result<Duration> {
        let Some(end) = self.0 else {
            return Ok(Duration::MAX);
        };
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(Error::TimedOut { name, destination }),
        }
    }
}

//! The local copies of the databases: one `tdb_context` for each, the only one in this process.
//!
//! Nothing here waits for another process for long. A lock that somebody holds is a job for a worker process
//! ([`crate::workers`]), which then holds it for us, and the chain or the database is *marked* meanwhile.

mod opening;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use database::store::{Lock, Opened, Store, StoreError, Stored};
use tdb::{Flags, OpenOptions, StoreMode, Tdb};
use tracing::{error, info};
use wire::coding::Encode;
use wire::tunables::Tunables;
use wire::types::{DbFlags, RecordHeader};
use wire::{DbId, Pnn};

/// Where the files are and how they are opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node; its number ends each file's name.
    pub pnn: Pnn,
    /// Folder of volatile and replicated databases.
    pub volatile_dir: PathBuf,
    /// Folder of persistent databases.
    pub persistent_dir: PathBuf,
    /// Folder of the daemon's own state.
    pub state_dir: PathBuf,
    /// Hash chains of a new file (DatabaseHashSize).
    pub hash_size: u32,
    /// Dead records that libtdb may leave in a chain (DatabaseMaxDead).
    pub max_dead: u32,
    /// Robust mutexes in volatile databases (`tdb mutexes`).
    pub mutexes: bool,
}

/// How often, and at what distance, a record that somebody is just writing is tried again: a commit holds its locks
/// while it syncs.
const TRIES: u32 = 200;
const BETWEEN_TRIES: Duration = Duration::from_micros(500);

/// One attached database.
struct Attached {
    name: String,
    tdb: Tdb,
}

/// The attached databases.
pub struct TdbStore {
    settings: Settings,
    databases: BTreeMap<DbId, Attached>,
    /// Persistent databases that may not be trusted: reason by name, both without a NUL, as upstream has it.
    health: Tdb,
}

impl TdbStore {
    /// Opens the record of unhealthy databases, and waits for processes that an earlier daemon has left behind to close
    /// its volatile databases. Before the runtime starts: libtdb forks to find out about mutexes.
    ///
    /// # Errors
    /// If the record cannot be used, or a process does not close a database: its number is in the text.
    pub fn new(mut settings: Settings) -> anyhow::Result<Self> {
        settings.mutexes = settings.mutexes && tdb::mutexes_supported();
        settings.wait_for_leftovers()?;
        let path = settings
            .state_dir
            .join(format!("persistent_health.tdb.{}", settings.pnn));
        let options = OpenOptions {
            flags: Flags::DISALLOW_NESTING,
            create: true,
            ..OpenOptions::default()
        };
        let health = Tdb::open(&path, &options).context("the record of unhealthy databases")?;
        health
            .check()
            .context("the record of unhealthy databases")?;
        Ok(Self {
            settings,
            databases: BTreeMap::new(),
            health,
        })
    }

    fn attached(&self, db: DbId) -> Result<&Attached, StoreError> {
        self.databases.get(&db).ok_or(StoreError::Unknown(db))
    }

    fn tdb(&self, db: DbId) -> Result<&Tdb, StoreError> {
        self.attached(db).map(|attached| &attached.tdb)
    }

    fn health_of(&self, name: &str) -> Result<Option<String>, StoreError> {
        let reason = self.health.fetch(name.as_bytes()).map_err(failed)?;
        let reason = reason.filter(|reason| !reason.is_empty());
        Ok(reason.map(|reason| String::from_utf8_lossy(&reason).into_owned()))
    }

    /// Does something with a record, under a lock of its chain that is there already or taken for the moment. libtdb
    /// itself would wait for the chain without end.
    fn with_chain<R>(
        &self,
        db: DbId,
        key: &[u8],
        work: impl FnOnce(&Tdb) -> tdb::Result<R>,
    ) -> Result<R, StoreError> {
        let tdb = self.tdb(db)?;
        for _ in 0..TRIES {
            if tdb.try_lock_chain(key).map_err(failed)? {
                let result = work(tdb);
                tdb.unlock_chain(key).map_err(failed)?;
                return result.map_err(failed);
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
        let path = tdb.path().display();
        let text = format!("{path}: a record is locked by another process");
        Err(StoreError::Failed(text))
    }

    /// Does what can only fail by a mistake in this program.
    fn report(&self, db: DbId, work: impl FnOnce(&Tdb) -> tdb::Result<()>) {
        if let Ok(tdb) = self.tdb(db)
            && let Err(error) = work(tdb)
        {
            error!(%error, "a lock is not as it should be");
        }
    }
}

impl Store for TdbStore {
    fn open(&mut self, db: DbId, name: &str, kind: DbFlags) -> Result<Opened, StoreError> {
        if self.databases.contains_key(&db) {
            return Err(StoreError::Failed(format!("{name} is attached already")));
        }
        let persistent = kind.contains(DbFlags::PERSISTENT);
        if persistent && let Some(reason) = self.health_of(name)? {
            let text = format!("tdb {name} is marked as unhealthy: {reason}");
            error!("{text}");
            return Err(StoreError::Failed(text));
        }
        let tdb = self.settings.open(name, kind)?;
        let opened = Opened {
            path: tdb.path().display().to_string(),
            open_flags: tdb.flags().bits(),
            hash_size: tdb.hash_size(),
        };
        let name = name.to_owned();
        self.databases.insert(db, Attached { name, tdb });
        Ok(opened)
    }

    fn tunables_changed(&mut self, tunables: &Tunables) {
        self.settings.hash_size = tunables.database_hash_size;
        self.settings.max_dead = tunables.database_max_dead;
    }

    fn close(&mut self, db: DbId) {
        self.databases.remove(&db);
    }

    fn size(&self, db: DbId) -> u64 {
        // not as it is mapped here: others make it grow
        let file = self.tdb(db).ok().map(Tdb::path);
        file.and_then(|path| path.metadata().ok())
            .map_or(0, |metadata| metadata.len())
    }

    fn try_lock(&mut self, db: DbId, key: &[u8]) -> Result<Lock, StoreError> {
        let held = self.tdb(db)?.try_lock_chain(key).map_err(failed)?;
        Ok(if held { Lock::Held } else { Lock::Busy })
    }

    fn unlock(&mut self, db: DbId, key: &[u8]) {
        self.report(db, |tdb| tdb.unlock_chain(key));
    }

    fn mark(&mut self, db: DbId, key: &[u8]) {
        self.report(db, |tdb| tdb.mark_chain(key));
    }

    fn unmark(&mut self, db: DbId, key: &[u8]) {
        self.report(db, |tdb| tdb.unmark_chain(key));
    }

    fn fetch(&mut self, db: DbId, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        let split = |stored: &[u8]| {
            let (header, data) = RecordHeader::split(stored).ok()?;
            Some(Stored {
                header,
                data: data.to_vec(),
            })
        };
        let stored = self.with_chain(db, key, |tdb| tdb.parse(key, split))?;
        Ok(stored.flatten())
    }

    fn store(
        &mut self,
        db: DbId,
        key: &[u8],
        header: &RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        let header = header.to_bytes();
        self.with_chain(db, key, |tdb| {
            tdb.storev(key, &[&header, data], StoreMode::Replace)
                .inspect_err(|_| say_if_full(tdb.path()))
        })
    }

    fn delete(&mut self, db: DbId, key: &[u8]) -> Result<(), StoreError> {
        self.with_chain(db, key, |tdb| tdb.delete(key).map(drop))
    }

    fn mark_all(&mut self, db: DbId) -> Result<(), StoreError> {
        self.tdb(db)?.mark_all().map_err(failed)
    }

    fn unmark_all(&mut self, db: DbId) {
        self.report(db, Tdb::unmark_all);
    }

    fn enable_seqnum(&mut self, db: DbId) {
        if let Ok(tdb) = self.tdb(db) {
            tdb.enable_seqnum();
        }
    }

    fn seqnum(&mut self, db: DbId) -> u32 {
        self.tdb(db).map_or(0, Tdb::seqnum)
    }

    fn bump_seqnum(&mut self, db: DbId) {
        if let Ok(tdb) = self.tdb(db) {
            tdb.bump_seqnum();
        }
    }

    fn unhealthy_reason(&mut self, db: DbId) -> Option<String> {
        let name = &self.databases.get(&db)?.name;
        // a record of health that cannot be read speaks for nobody's health
        self.health_of(name)
            .unwrap_or_else(|error| Some(error.to_string()))
    }

    fn set_unhealthy(&mut self, db: DbId, reason: Option<&str>) -> Result<(), StoreError> {
        let name = &self.attached(db)?.name;
        let key = name.as_bytes();
        match reason {
            Some(reason) => {
                error!(db = name, reason, "Updated db health");
                self.health
                    .store(key, reason.as_bytes(), StoreMode::Replace)
            }
            None => {
                info!(db = name, "Updated db health: OK");
                self.health.delete(key).map(drop)
            }
        }
        .map_err(failed)
    }
}

/// libtdb does not say why a file cannot grow.
pub(crate) fn say_if_full(file: &std::path::Path) {
    if sys::dir::is_full(file) {
        error!(file = %file.display(), "no space left on the file system of a database");
    }
}

fn failed(error: tdb::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

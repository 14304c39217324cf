//! The local copies of the databases: one `tdb_context` for each, the only one in this process.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use database::store::{Lock, Opened, Store, StoreError, Stored};
use tdb::{Flags, OpenOptions, StoreMode, Tdb};
use tracing::warn;
use wire::coding::Encode;
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

/// How long to wait for another process to close a volatile file before giving up.
const HOLDER_WAIT: Duration = Duration::from_secs(20);

/// The attached databases.
pub struct TdbStore {
    settings: Settings,
    databases: BTreeMap<DbId, (String, Tdb)>,
    /// Persistent databases that may not be trusted, by name, with the reason.
    health: Tdb,
}

impl TdbStore {
    /// Opens the record of unhealthy databases. Before the runtime starts: libtdb forks to find out about mutexes.
    ///
    /// # Errors
    /// If that file cannot be used.
    pub fn new(mut settings: Settings) -> anyhow::Result<Self> {
        settings.mutexes = settings.mutexes && tdb::mutexes_supported();
        let path = settings
            .state_dir
            .join(format!("persistent_health.tdb.{}", settings.pnn));
        let options = OpenOptions {
            flags: Flags::DISALLOW_NESTING,
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

    fn tdb(&self, db: DbId) -> Result<&Tdb, StoreError> {
        self.databases
            .get(&db)
            .map(|(_, tdb)| tdb)
            .ok_or(StoreError::Unknown(db))
    }

    /// Open flags by kind (`ctdb_db_tdb_flags`, 4.17.12).
    fn flags(&self, kind: DbFlags) -> Flags {
        let scratch = Flags::NOSYNC | Flags::CLEAR_IF_FIRST | Flags::INCOMPATIBLE_HASH;
        let own = if kind.contains(DbFlags::PERSISTENT) {
            Flags::empty()
        } else if self.settings.mutexes && !kind.contains(DbFlags::REPLICATED) {
            scratch | Flags::MUTEX_LOCKING
        } else {
            scratch
        };
        own | Flags::DISALLOW_NESTING
    }
}

impl Store for TdbStore {
    fn open(&mut self, db: DbId, name: &str, kind: DbFlags) -> Result<Opened, StoreError> {
        let persistent = kind.contains(DbFlags::PERSISTENT);
        let folder = if persistent {
            &self.settings.persistent_dir
        } else {
            &self.settings.volatile_dir
        };
        let path = folder.join(format!("{name}.{}", self.settings.pnn));
        let flags = self.flags(kind);
        if flags.contains(Flags::CLEAR_IF_FIRST) {
            wait_for_others(&path)?;
        }
        let options = OpenOptions {
            hash_size: self.settings.hash_size,
            flags,
            ..OpenOptions::default()
        };
        let tdb = Tdb::open(&path, &options).map_err(failed)?;
        if persistent {
            // a damaged file is for people to look at: it is neither used nor wiped
            tdb.check().map_err(failed)?;
        }
        tdb.set_max_dead(self.settings.max_dead);
        let opened = Opened {
            path: path.display().to_string(),
            open_flags: tdb.flags().bits(),
            hash_size: self.settings.hash_size,
        };
        self.databases.insert(db, (name.to_owned(), tdb));
        Ok(opened)
    }

    fn close(&mut self, db: DbId) {
        self.databases.remove(&db);
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
        Ok(self.tdb(db)?.parse(key, split).map_err(failed)?.flatten())
    }

    fn store(
        &mut self,
        db: DbId,
        key: &[u8],
        header: &RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        self.tdb(db)?
            .storev(key, &[&header.to_bytes(), data], StoreMode::Replace)
            .map_err(failed)
    }

    fn delete(&mut self, db: DbId, key: &[u8]) -> Result<(), StoreError> {
        self.tdb(db)?.delete(key).map(drop).map_err(failed)
    }

    fn mark_all(&mut self, db: DbId) -> Result<(), StoreError> {
        self.tdb(db)?.mark_all().map_err(failed)
    }

    fn unmark_all(&mut self, db: DbId) {
        self.report(db, Tdb::unmark_all);
    }

    fn begin(&mut self, db: DbId) -> Result<(), StoreError> {
        self.without_locks(db, Tdb::begin)
    }

    fn commit(&mut self, db: DbId) -> Result<(), StoreError> {
        self.without_locks(db, Tdb::commit)
    }

    fn cancel(&mut self, db: DbId) -> Result<(), StoreError> {
        self.without_locks(db, Tdb::cancel)
    }

    fn wipe(&mut self, db: DbId) -> Result<(), StoreError> {
        self.without_locks(db, Tdb::wipe_all)
    }

    fn traverse(
        &mut self,
        db: DbId,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.tdb(db)?.traverse_read(visit).map(drop).map_err(failed)
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
        let (name, _) = self.databases.get(&db)?;
        let reason = self.health.fetch(name.as_bytes()).ok()??;
        (!reason.is_empty()).then(|| String::from_utf8_lossy(&reason).into_owned())
    }

    fn set_unhealthy(&mut self, db: DbId, reason: Option<&str>) -> Result<(), StoreError> {
        let Some((name, _)) = self.databases.get(&db) else {
            return Err(StoreError::Unknown(db));
        };
        let key = name.as_bytes();
        match reason {
            Some(reason) => self
                .health
                .store(key, reason.as_bytes(), StoreMode::Replace),
            None => self.health.delete(key).map(drop),
        }
        .map_err(failed)
    }
}

impl TdbStore {
    /// Does something to a frozen database, whose locks a worker holds for us.
    fn without_locks(
        &self,
        db: DbId,
        work: impl FnOnce(&Tdb) -> tdb::Result<()>,
    ) -> Result<(), StoreError> {
        self.tdb(db)?
            .without_locks(work)
            .and_then(|done| done)
            .map_err(failed)
    }

    /// Does what can only fail by a mistake in this program.
    fn report(&self, db: DbId, work: impl FnOnce(&Tdb) -> tdb::Result<()>) {
        if let Ok(tdb) = self.tdb(db)
            && let Err(error) = work(tdb)
        {
            tracing::error!(%error, "a lock is not as it should be");
        }
    }
}

fn failed(error: tdb::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// A volatile file that another process still has open would not be cleared, and its records belong to no generation.
/// Such a process (a stopped smbd) is waited for, and then named; its file is never truncated under it.
fn wait_for_others(path: &Path) -> Result<(), StoreError> {
    let start = Instant::now();
    let mut told = false;
    loop {
        let holder = tdb::active_holder(path)
            .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
        let Some(pid) = holder else { return Ok(()) };
        if start.elapsed() > HOLDER_WAIT {
            let text = format!(
                "{} is still open in process {pid}: end that process",
                path.display()
            );
            return Err(StoreError::Failed(text));
        }
        if !told {
            warn!(file = %path.display(), pid, "waiting for a process to close a volatile database");
            told = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

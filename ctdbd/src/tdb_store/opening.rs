//! How files are opened: their names and flags, and the rules by which none that is in use or damaged is ever wiped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use database::store::StoreError;
use tdb::{Flags, OpenOptions, Tdb};
use tracing::{error, warn};
use wire::Pnn;
use wire::types::DbFlags;

use super::{Settings, failed, say_if_full};

/// How long the start of the daemon waits for what an earlier one's clients have not closed yet.
const WAIT_AT_START: Duration = Duration::from_secs(20);
/// How long an attach waits, and everything else with it.
const WAIT_AT_ATTACH: Duration = Duration::from_secs(2);

impl Settings {
    /// The file of a database (`ctdb_local_attach`, 4.17.12).
    pub(super) fn path(&self, name: &str, kind: DbFlags) -> PathBuf {
        let folder = match kind.contains(DbFlags::PERSISTENT) {
            true => &self.persistent_dir,
            false => &self.volatile_dir,
        };
        folder.join(format!("{name}.{}", self.pnn))
    }

    /// Open flags by kind (`ctdb_db_tdb_flags`, 4.17.12). Replicated databases keep fcntl locks: a transaction on one with
    /// mutexes locks and unlocks every single chain.
    pub(super) fn flags(&self, kind: DbFlags) -> Flags {
        let scratch = Flags::NOSYNC | Flags::CLEAR_IF_FIRST | Flags::INCOMPATIBLE_HASH;
        let own = if kind.contains(DbFlags::PERSISTENT) {
            Flags::empty()
        } else if self.mutexes && !kind.contains(DbFlags::REPLICATED) {
            scratch | Flags::MUTEX_LOCKING
        } else {
            scratch
        };
        own | Flags::DISALLOW_NESTING
    }

    /// Opens the file of a database: an empty one if it is not persistent, a sound one if it is.
    pub(super) fn open(&self, name: &str, kind: DbFlags) -> Result<Tdb, StoreError> {
        let path = self.path(name, kind);
        let persistent = kind.contains(DbFlags::PERSISTENT);
        if !persistent {
            wait_until_released(&path, Instant::now() + WAIT_AT_ATTACH)?;
        }
        let options = OpenOptions {
            hash_size: self.hash_size,
            flags: self.flags(kind),
            create: true,
            ..OpenOptions::default()
        };
        let tdb = Tdb::open(&path, &options)
            .inspect_err(|_| say_if_full(path.parent().unwrap_or(&path)))
            .map_err(failed)?;
        match persistent {
            // a damaged file is for people to look at: it is neither used nor wiped
            true => tdb.check().map_err(failed)?,
            false => check_empty(&tdb)?,
        }
        tdb.set_max_dead(self.max_dead);
        Ok(tdb)
    }

    /// Waits until no other process has a volatile file of this node open.
    pub(super) fn wait_for_leftovers(&self) -> Result<(), StoreError> {
        let until = Instant::now() + WAIT_AT_START;
        let files = files_of(&self.volatile_dir, self.pnn);
        let files = files.map_err(|error| unusable(&self.volatile_dir, &error))?;
        let mut files = files.into_iter();
        files.try_for_each(|path| wait_until_released(&path, until))
    }
}

/// The files of this node in a folder.
fn files_of(folder: &Path, pnn: Pnn) -> io::Result<Vec<PathBuf>> {
    let ending = format!(".tdb.{pnn}");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(&ending) {
            found.push(path);
        }
    }
    Ok(found)
}

/// A volatile file that another process still has open would not be cleared, and its records belong to no generation.
/// Such a process (a stopped smbd) is waited for, and then named; its file is never truncated under it.
fn wait_until_released(path: &Path, until: Instant) -> Result<(), StoreError> {
    let mut told = false;
    loop {
        let holder = tdb::active_holder(path).map_err(|error| unusable(path, &error))?;
        let Some(pid) = holder else { return Ok(()) };
        let file = path.display();
        if Instant::now() >= until {
            let text = format!("{file} is still open in process {pid}: end that process");
            error!("{text}");
            return Err(StoreError::Failed(text));
        }
        if !told {
            warn!(%file, pid, "waiting for a process to close a volatile database");
            told = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Nobody else had it open, so libtdb has cleared it; or somebody came in between.
fn check_empty(tdb: &Tdb) -> Result<(), StoreError> {
    let records = tdb.traverse_read(|_, _| std::ops::ControlFlow::Continue(()));
    match records.map_err(failed)? {
        0 => Ok(()),
        _ => {
            let path = tdb.path().display();
            let text = format!("tdb '{path}' not empty on attach");
            Err(StoreError::Failed(text))
        }
    }
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Failed(format!("{}: {error}", path.display()))
}

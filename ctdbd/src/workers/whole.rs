//! A database that this worker has locked as a whole, as a recovery uses it.
//!
//! libtdb refuses to begin a transaction while its context counts any lock as held. So around `begin`, `commit` and
//! `cancel` that count is taken away, as under a mark, and no locks are taken: those of the kernel, which keep everybody
//! else out, stay with this process all the time.

use database::frozen::Frozen;
use database::store::{StoreError, Visitor};
use tdb::{StoreMode, Tdb};

use crate::tdb_store::say_if_full;

/// The file, whose locks are held here.
pub(super) struct Whole<'a>(pub(super) &'a Tdb);

impl Whole<'_> {
    fn without_locks(&self, work: impl FnOnce(&Tdb) -> tdb::Result<()>) -> tdb::Result<()> {
        self.0.without_locks(work).and_then(|done| done)
    }

    /// The end of a transaction: the locks count again.
    fn ends(&self, work: impl FnOnce(&Tdb) -> tdb::Result<()>) -> Result<(), StoreError> {
        let done = self.without_locks(work);
        self.0.mark_all().map_err(failed)?;
        done.map_err(failed)
    }
}

impl Frozen for Whole<'_> {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.0.unmark_all().map_err(failed)?;
        let begun = self.without_locks(Tdb::begin);
        if begun.is_err() {
            self.0.mark_all().map_err(failed)?;
        }
        begun.map_err(failed)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.ends(|tdb| tdb.commit().inspect_err(|_| say_if_full(tdb.path())))
    }

    fn cancel(&mut self) -> Result<(), StoreError> {
        self.ends(Tdb::cancel)
    }

    fn wipe(&mut self) -> Result<(), StoreError> {
        self.without_locks(Tdb::wipe_all).map_err(failed)
    }

    fn traverse(&mut self, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        // the lock that a traverse takes may be with somebody who waits for ours
        let traversed = self.without_locks(|tdb| tdb.traverse_read(visit).map(drop));
        traversed.map_err(failed)
    }

    fn store(&mut self, key: &[u8], raw: &[u8]) -> Result<(), StoreError> {
        let stored = self.0.store(key, raw, StoreMode::Replace);
        stored
            .inspect_err(|_| say_if_full(self.0.path()))
            .map_err(failed)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.0.delete(key).map(drop).map_err(failed)
    }
}

fn failed(error: tdb::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

//! Databases in memory. Also a part of the fuzz targets.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use database::frozen::Frozen;
use database::store::{Lock, Opened, Store, StoreError, Stored, Visitor};
use wire::DbId;
use wire::coding::Encode;
use wire::types::{DbFlags, RecordHeader};

/// The records of one database.
pub(super) type Records = BTreeMap<Vec<u8>, Stored>;

/// Databases in memory; a clone is another view of the same.
#[derive(Default, Clone)]
pub(super) struct MapStore {
    databases: Rc<RefCell<BTreeMap<DbId, Records>>>,
    /// The sequence number of all files.
    pub(super) seqnum: Rc<Cell<u32>>,
    /// Why no file can be trusted.
    pub(super) unhealthy: Rc<RefCell<Option<String>>>,
    saved: BTreeMap<DbId, Records>,
}

impl MapStore {
    pub(super) fn with<T>(
        &self,
        db: DbId,
        use_it: impl FnOnce(&mut Records) -> T,
    ) -> Result<T, StoreError> {
        let mut databases = self.databases.borrow_mut();
        let records = databases.get_mut(&db).ok_or(StoreError::Unknown(db))?;
        Ok(use_it(records))
    }
}

/// One of the databases, frozen, to the worker that holds it.
pub(super) struct Held<'a> {
    pub(super) store: &'a mut MapStore,
    pub(super) db: DbId,
}

impl Frozen for Held<'_> {
    fn begin(&mut self) -> Result<(), StoreError> {
        let records = self.store.with(self.db, |records| records.clone())?;
        self.store.saved.insert(self.db, records);
        Ok(())
    }
    fn commit(&mut self) -> Result<(), StoreError> {
        let saved = self.store.saved.remove(&self.db);
        saved
            .map(drop)
            .ok_or(StoreError::Failed("no transaction".into()))
    }
    fn cancel(&mut self) -> Result<(), StoreError> {
        let saved = self.store.saved.remove(&self.db);
        let saved = saved.ok_or(StoreError::Failed("no transaction".into()))?;
        self.store.with(self.db, |records| *records = saved)
    }
    fn wipe(&mut self) -> Result<(), StoreError> {
        self.store.with(self.db, Records::clear)
    }
    fn traverse(&mut self, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        self.store.with(self.db, |records| {
            for (key, stored) in records {
                let raw = [stored.header.to_bytes(), stored.data.clone()].concat();
                if visit(key, &raw).is_break() {
                    break;
                }
            }
        })
    }
    fn store(&mut self, key: &[u8], raw: &[u8]) -> Result<(), StoreError> {
        let split = RecordHeader::split(raw);
        let (header, data) = split.map_err(|why| StoreError::Failed(why.to_string()))?;
        self.store.store(self.db, key, &header, data)
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.store.delete(self.db, key)
    }
}

impl Store for MapStore {
    fn open(&mut self, db: DbId, name: &str, _: DbFlags) -> Result<Opened, StoreError> {
        self.databases.borrow_mut().entry(db).or_default();
        Ok(Opened {
            path: name.to_owned(),
            open_flags: 0,
            hash_size: 1,
        })
    }
    fn close(&mut self, db: DbId) {
        self.databases.borrow_mut().remove(&db);
    }
    fn size(&self, db: DbId) -> u64 {
        let databases = self.databases.borrow();
        databases
            .get(&db)
            .map_or(0, |records| records.len() as u64 * 1024)
    }
    fn try_lock(&mut self, _: DbId, _: &[u8]) -> Result<Lock, StoreError> {
        Ok(Lock::Held)
    }
    fn unlock(&mut self, _: DbId, _: &[u8]) {}
    fn mark(&mut self, _: DbId, _: &[u8]) {}
    fn unmark(&mut self, _: DbId, _: &[u8]) {}
    fn fetch(&mut self, db: DbId, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        self.with(db, |records| records.get(key).cloned())
    }
    fn store(
        &mut self,
        db: DbId,
        key: &[u8],
        header: &RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        let stored = Stored {
            header: *header,
            data: data.to_vec(),
        };
        self.with(db, |records| drop(records.insert(key.to_vec(), stored)))
    }
    fn delete(&mut self, db: DbId, key: &[u8]) -> Result<(), StoreError> {
        self.with(db, |records| drop(records.remove(key)))
    }
    fn mark_all(&mut self, _: DbId) -> Result<(), StoreError> {
        Ok(())
    }
    fn unmark_all(&mut self, _: DbId) {}
    fn enable_seqnum(&mut self, _: DbId) {}
    fn seqnum(&mut self, _: DbId) -> u32 {
        self.seqnum.get()
    }
    fn bump_seqnum(&mut self, _: DbId) {
        self.seqnum.update(|seqnum| seqnum + 1);
    }
    fn unhealthy_reason(&mut self, _: DbId) -> Option<String> {
        self.unhealthy.borrow().clone()
    }
    fn set_unhealthy(&mut self, _: DbId, _: Option<&str>) -> Result<(), StoreError> {
        Ok(())
    }
}

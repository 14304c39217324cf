//! A node's database files: what is in them, what of it is synced, who has locked what.
//!
//! The files outlive the daemon. Locks are those of libtdb: on a chain of keys, or on all chains; a commit needs all for
//! a moment. Whoever asks for everything is not overtaken.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use database::frozen::Frozen;
use database::io::WorkId;
use database::store::{Lock, Opened, Store, StoreError, Stored, Visitor};
use wire::coding::Encode;
use wire::types::{DbFlags, RecordHeader};
use wire::{ClientId, DbId};

use crate::mutation::Mutation;

/// Records by key.
pub(crate) type Records = BTreeMap<Vec<u8>, Stored>;

/// Versions by key.
pub(crate) type Tags = BTreeMap<Vec<u8>, u64>;

/// Chains of a file: few, so that keys share them.
const CHAINS: u32 = 5;
/// What a record adds to the size of its file.
const SIZE_OF_RECORD: u64 = 4 << 20;

/// The chain of a key.
pub(crate) fn chain(key: &[u8]) -> u32 {
    wire::key_hash(key) % CHAINS
}

/// Who locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Worker(WorkId),
    Client(ClientId),
}

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Chain(u32),
    All,
}

/// The locks of one file.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: BTreeMap<Owner, Extent>,
    waiting: VecDeque<(Owner, Extent)>,
}

impl Locks {
    fn is_free(&self, extent: Extent) -> bool {
        self.held.values().all(|held| match (held, extent) {
            (Extent::Chain(a), Extent::Chain(b)) => *a != b,
            _ => false,
        })
    }

    /// True: granted at once.
    pub(crate) fn request(&mut self, owner: Owner, extent: Extent) -> bool {
        let overtakes = self
            .waiting
            .iter()
            .any(|(_, waiting)| *waiting == Extent::All || *waiting == extent);
        let granted = self.is_free(extent) && !overtakes;
        if granted {
            self.held.insert(owner, extent);
        } else {
            self.waiting.push_back((owner, extent));
        }
        granted
    }

    /// Unlocks, or ends the waiting; tells who has a lock now.
    pub(crate) fn release(&mut self, owner: Owner) -> Vec<Owner> {
        self.held.remove(&owner);
        self.waiting.retain(|(waiting, _)| *waiting != owner);
        self.grant()
    }

    fn grant(&mut self) -> Vec<Owner> {
        let mut granted = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting);
        while let Some((owner, extent)) = waiting.pop_front() {
            let behind_all = self.waiting.iter().any(|(_, held)| *held == Extent::All);
            if !behind_all && self.is_free(extent) {
                self.held.insert(owner, extent);
                granted.push(owner);
            } else {
                self.waiting.push_back((owner, extent));
            }
        }
        granted
    }

    /// A planted bug: everything is locked, whoever else has a lock.
    pub(crate) fn force(&mut self, owner: Owner) {
        self.held.insert(owner, Extent::All);
    }

    pub(crate) fn holds(&self, owner: Owner) -> bool {
        self.held.contains_key(&owner)
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = Owner> + '_ {
        let waiting = self.waiting.iter().map(|(owner, _)| *owner);
        self.held.keys().copied().chain(waiting)
    }

    /// Whether a worker holds everything.
    fn all_held(&self) -> bool {
        self.held.values().any(|extent| *extent == Extent::All)
    }

    fn worker_holds(&self, chain: u32) -> bool {
        self.held.iter().any(|(owner, extent)| {
            matches!(owner, Owner::Worker(_)) && *extent == Extent::Chain(chain)
        })
    }
}

/// One database file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) flags: DbFlags,
    pub(crate) records: Records,
    /// What survives a loss of power, of a persistent file.
    pub(crate) synced: Records,
    /// What was there before the transaction of a recovery.
    saved: Option<(Records, Tags)>,
    pub(crate) locks: Locks,
    /// The newest version of each key that this copy has had.
    pub(crate) tags: Tags,
    /// Versions that it was lent, or that it made room for.
    pub(crate) hints: Tags,
    attached: bool,
    seqnum: u32,
}

impl File {
    pub(crate) fn is_persistent(&self) -> bool {
        self.flags.contains(DbFlags::PERSISTENT)
    }

    pub(crate) fn is_volatile(&self) -> bool {
        self.flags.is_volatile()
    }
}

/// What the daemon did to its files in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trace {
    /// A record was written or removed.
    Wrote(DbId, Vec<u8>),
    /// A recovery's transaction began: this is what the copy was.
    Began(DbId),
    /// Its records went to the leader.
    Pulled(DbId),
    /// It was committed.
    Committed(DbId),
    /// The file was emptied by whoever opened it first.
    Cleared(DbId),
    /// Something that libtdb would not let pass.
    Broken(String),
}

/// All files of a node.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<DbId, File>,
    pub(crate) trace: Vec<Trace>,
    /// What each copy was when the transaction of a recovery began.
    pub(crate) before: BTreeMap<DbId, (Records, Tags, Tags)>,
    /// The chain that the daemon itself has locked.
    own: Option<(DbId, u32)>,
    marked: Option<(DbId, u32)>,
    all_marked: Option<DbId>,
    pub(crate) mutation: Option<Mutation>,
    me: u32,
}

impl Disk {
    pub(crate) fn new(me: u32, mutation: Option<Mutation>) -> Self {
        Self {
            me,
            mutation,
            ..Self::default()
        }
    }

    fn file(&mut self, db: DbId) -> Result<&mut File, StoreError> {
        self.files
            .get_mut(&db)
            .filter(|file| file.attached)
            .ok_or(StoreError::Unknown(db))
    }

    /// The daemon may touch the record: it holds the chain, or nobody does.
    fn reach(&mut self, db: DbId, key: &[u8]) -> Result<&mut File, StoreError> {
        let chain = chain(key);
        let held = self.own == Some((db, chain))
            || self.marked == Some((db, chain))
            || self.all_marked == Some(db);
        let file = self.file(db)?;
        let in_transaction = file.saved.is_some();
        if held || in_transaction || file.locks.is_free(Extent::Chain(chain)) {
            Ok(file)
        } else {
            Err(StoreError::Failed(format!("{}: locked", file.name)))
        }
    }

    /// The daemon is gone: its workers' locks are free, its transactions never were. Tells which clients hold locks now.
    pub(crate) fn daemon_gone(&mut self, power: bool) -> Vec<(DbId, Owner)> {
        (self.own, self.marked, self.all_marked) = (None, None, None);
        let mut granted = Vec::new();
        for (db, file) in &mut self.files {
            file.attached = false;
            if let Some(saved) = file.saved.take() {
                (file.records, file.tags) = saved;
            }
            if power && file.is_persistent() {
                file.records.clone_from(&file.synced);
            }
            let workers: Vec<Owner> = file
                .locks
                .owners()
                .filter(|owner| matches!(owner, Owner::Worker(_)))
                .collect();
            for worker in workers {
                granted.extend(file.locks.release(worker).into_iter().map(|who| (*db, who)));
            }
        }
        granted.retain(|(db, who)| {
            self.files[db].locks.holds(*who) && matches!(who, Owner::Client(_))
        });
        granted
    }

    /// A worker has applied a commit, and synced it.
    pub(crate) fn applied(&mut self, db: DbId, plan: Vec<(Vec<u8>, Stored)>, sync: bool) {
        if let Some(file) = self.files.get_mut(&db) {
            file.records.extend(plan);
            file.seqnum += 1;
            if sync {
                file.synced.clone_from(&file.records);
            }
        }
    }

    fn broken(&mut self, what: &str) {
        self.trace.push(Trace::Broken(what.to_owned()));
    }
}

/// What the daemon has of its node's files.
#[derive(Clone)]
pub(crate) struct SimStore(pub(crate) Rc<RefCell<Disk>>);

impl Store for SimStore {
    fn open(&mut self, db: DbId, name: &str, flags: DbFlags) -> Result<Opened, StoreError> {
        let disk = &mut *self.0.borrow_mut();
        let file = disk.files.entry(db).or_insert_with(|| File {
            name: name.to_owned(),
            flags,
            records: Records::new(),
            synced: Records::new(),
            saved: None,
            locks: Locks::default(),
            tags: BTreeMap::new(),
            hints: BTreeMap::new(),
            attached: false,
            seqnum: 0,
        });
        if !flags.contains(DbFlags::PERSISTENT) && disk.mutation != Some(Mutation::KeepVolatile) {
            file.records.clear();
            file.tags.clear();
            file.hints.clear();
            disk.trace.push(Trace::Cleared(db));
        }
        file.attached = true;
        Ok(Opened {
            path: name.to_owned(),
            open_flags: 0,
            hash_size: CHAINS,
        })
    }

    fn close(&mut self, db: DbId) {
        if let Some(file) = self.0.borrow_mut().files.get_mut(&db) {
            file.attached = false;
        }
    }

    /// A few records make a large database: in which order databases are recovered differs.
    fn size(&self, db: DbId) -> u64 {
        let disk = self.0.borrow();
        let records = disk.files.get(&db).map_or(0, |file| file.records.len());
        records as u64 * SIZE_OF_RECORD
    }

    fn try_lock(&mut self, db: DbId, key: &[u8]) -> Result<Lock, StoreError> {
        let disk = &mut *self.0.borrow_mut();
        let extent = Extent::Chain(chain(key));
        let file = disk.file(db)?;
        let waits = file
            .locks
            .waiting
            .iter()
            .any(|(_, extent)| *extent == Extent::All);
        if waits || !file.locks.is_free(extent) {
            return Ok(Lock::Busy);
        }
        if disk.own.replace((db, chain(key))).is_some() {
            disk.broken("two chain locks at a time");
        }
        Ok(Lock::Held)
    }

    fn unlock(&mut self, db: DbId, key: &[u8]) {
        let disk = &mut *self.0.borrow_mut();
        if disk.own.take() != Some((db, chain(key))) {
            disk.broken("unlocked what was not locked");
        }
    }

    fn mark(&mut self, db: DbId, key: &[u8]) {
        let disk = &mut *self.0.borrow_mut();
        let held = disk.files[&db].locks.worker_holds(chain(key));
        if !held || disk.marked.replace((db, chain(key))).is_some() {
            disk.broken("marked a chain that no worker holds");
        }
    }

    fn unmark(&mut self, db: DbId, key: &[u8]) {
        let disk = &mut *self.0.borrow_mut();
        if disk.marked.take() != Some((db, chain(key))) {
            disk.broken("unmarked what was not marked");
        }
    }

    fn fetch(&mut self, db: DbId, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        let disk = &mut *self.0.borrow_mut();
        disk.reach(db, key)
            .map(|file| file.records.get(key).cloned())
    }

    fn store(
        &mut self,
        db: DbId,
        key: &[u8],
        header: &RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        let disk = &mut *self.0.borrow_mut();
        let (mutation, me) = (disk.mutation, disk.me);
        let file = disk.reach(db, key)?;
        let mut stored = Stored {
            header: *header,
            data: data.to_vec(),
        };
        if let Some(mutation) = mutation.filter(|_| file.is_volatile()) {
            mutation.on_store(me, file.records.get(key), &mut stored);
        }
        file.records.insert(key.to_vec(), stored);
        disk.trace.push(Trace::Wrote(db, key.to_vec()));
        Ok(())
    }

    fn delete(&mut self, db: DbId, key: &[u8]) -> Result<(), StoreError> {
        let disk = &mut *self.0.borrow_mut();
        disk.reach(db, key)?.records.remove(key);
        disk.trace.push(Trace::Wrote(db, key.to_vec()));
        Ok(())
    }

    fn mark_all(&mut self, db: DbId) -> Result<(), StoreError> {
        let disk = &mut *self.0.borrow_mut();
        if !disk.file(db)?.locks.all_held() {
            disk.broken("marked a database that no worker holds");
        }
        disk.all_marked = Some(db);
        Ok(())
    }

    fn unmark_all(&mut self, _: DbId) {
        self.0.borrow_mut().all_marked = None;
    }

    fn enable_seqnum(&mut self, _: DbId) {}

    fn seqnum(&mut self, db: DbId) -> u32 {
        self.0.borrow_mut().file(db).map_or(0, |file| file.seqnum)
    }

    fn bump_seqnum(&mut self, db: DbId) {
        if let Ok(file) = self.0.borrow_mut().file(db) {
            file.seqnum += 1;
        }
    }

    fn unhealthy_reason(&mut self, _: DbId) -> Option<String> {
        None
    }

    fn set_unhealthy(&mut self, _: DbId, _: Option<&str>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A frozen file, to the worker that holds it.
pub(crate) struct Held {
    pub(crate) disk: Rc<RefCell<Disk>>,
    pub(crate) db: DbId,
}

impl Frozen for Held {
    fn begin(&mut self) -> Result<(), StoreError> {
        let disk = &mut *self.disk.borrow_mut();
        let file = disk.file(self.db)?;
        let frozen = file.locks.all_held();
        let before = (file.records.clone(), file.tags.clone());
        let hints = file.hints.clone();
        if file.saved.replace(before.clone()).is_some() {
            return Err(StoreError::Failed("a transaction in a transaction".into()));
        }
        disk.before.insert(self.db, (before.0, before.1, hints));
        disk.trace.push(Trace::Began(self.db));
        if !frozen {
            disk.broken("a recovery's transaction on a database in use");
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let disk = &mut *self.disk.borrow_mut();
        let file = disk.file(self.db)?;
        if file.saved.take().is_none() {
            return Err(StoreError::Failed("no transaction".into()));
        }
        if file.is_persistent() {
            file.synced.clone_from(&file.records);
        }
        disk.trace.push(Trace::Committed(self.db));
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), StoreError> {
        let disk = &mut *self.disk.borrow_mut();
        let file = disk.file(self.db)?;
        let saved = file.saved.take();
        (file.records, file.tags) = saved.ok_or(StoreError::Failed("no transaction".into()))?;
        Ok(())
    }

    fn wipe(&mut self) -> Result<(), StoreError> {
        let disk = &mut *self.disk.borrow_mut();
        let keep = disk.mutation == Some(Mutation::NoWipe);
        let file = disk.file(self.db)?;
        if !keep {
            file.records.clear();
        }
        Ok(())
    }

    fn traverse(&mut self, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        let disk = &mut *self.disk.borrow_mut();
        if disk.file(self.db)?.saved.is_some() {
            disk.trace.push(Trace::Pulled(self.db));
        }
        for (key, stored) in &disk.file(self.db)?.records {
            let raw = [stored.header.to_bytes(), stored.data.clone()].concat();
            if visit(key, &raw).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn store(&mut self, key: &[u8], raw: &[u8]) -> Result<(), StoreError> {
        let split = RecordHeader::split(raw);
        let (header, data) = split.map_err(|why| StoreError::Failed(why.to_string()))?;
        SimStore(self.disk.clone()).store(self.db, key, &header, data)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        SimStore(self.disk.clone()).delete(self.db, key)
    }
}

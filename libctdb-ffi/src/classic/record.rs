//! Records: moved to this node by the daemon, locked and written here.
//!
//! ```text
//!  lock the chain -> look at the header
//!      this node is its data master, and has lent no copies -> the lock is the application's
//!      for reading only: a lent copy will do as well        -> the same
//!      otherwise: unlock, have the daemon move it here, and look again
//! ```
//!
//! Between the daemon's answer and the lock the record may have moved on; then all is repeated. A persistent
//! database has all records on all nodes: they can be locked and read, never written.

use std::cell::Cell;
use std::ffi::c_void;
use std::rc::Rc;

use tdb::{StoreMode, Tdb};
use tdb_sys::TDB_DATA;
use wire::Pnn;
use wire::coding::Encode;
use wire::packet::{Body, CallFlags, ReqCall, function};
use wire::types::{RECORD_HEADER_SIZE, RecordFlags, RecordHeader};

use super::connection::Reply;
use super::database::Database;
use super::handle::{ctdb_db, ctdb_lock, pointer};
use super::log::Severity;
use crate::guard::set_errno;

/// What a lock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    Read,
}

/// A record whose chain is locked.
#[derive(Debug)]
pub(super) struct Lock {
    db: Rc<Database>,
    key: Box<[u8]>,
    mode: Mode,
    header: RecordHeader,
    /// Header and value as they were when it was locked. The application points into it, so it stays.
    stored: Vec<u8>,
    held: Cell<bool>,
}

/// What looking at a record has come to.
enum Look {
    Locked(Rc<Lock>),
    Elsewhere,
    /// `errno` says why.
    Failed,
}

/// What `ctdb_readrecordlock_async` calls.
#[expect(non_camel_case_types, reason = "the name in C")]
pub type ctdb_rrl_callback_t = Option<
    unsafe extern "C" fn(
        ctdb_db: *mut ctdb_db,
        lock: *mut ctdb_lock,
        data: TDB_DATA,
        private_data: *mut c_void,
    ),
>;

/// What has a lock, or none after a failure.
type Granted = Box<dyn FnOnce(&Rc<Database>, Option<Rc<Lock>>)>;

/// Whether the copy of this node may be used (`db_ctdb_can_use_local_hdr`, dbwrap_ctdb.c, 4.17.12).
fn is_usable(header: &RecordHeader, mode: Mode, node: Option<Pnn>) -> bool {
    let master = Some(header.dmaster) == node;
    match mode {
        Mode::Write => master && !header.flags.contains(RecordFlags::RO_HAVE_DELEGATIONS),
        Mode::Read => master || header.flags.contains(RecordFlags::RO_HAVE_READONLY),
    }
}

/// Locks a record: `granted` has it at once, or when it has come here. False if nothing was begun.
pub(super) fn lock(
    db: &Rc<Database>,
    key: &[u8],
    mode: Mode,
    granted: impl FnOnce(&Rc<Database>, Option<Rc<Lock>>) + 'static,
) -> bool {
    if !db.connection.locks.borrow().is_empty() {
        let text = format_args!("a record is locked already");
        db.connection.log(Severity::Alert, text);
        return false;
    }
    match db.look(key, mode) {
        Look::Locked(lock) => {
            granted(db, Some(lock));
            true
        }
        Look::Failed => false,
        Look::Elsewhere => {
            // there is nothing to lend of a record that may not exist
            let mode = if db.is_absent(key) { Mode::Write } else { mode };
            db.fetch(key.into(), mode, Box::new(granted))
        }
    }
}

impl Database {
    /// Locks a record that is here.
    fn look(self: &Rc<Self>, key: &[u8], mode: Mode) -> Look {
        let found = self.with_tdb(|tdb| {
            tdb.lock_chain(key)?;
            let looked = self.stored(tdb, key, mode);
            if !matches!(looked, Ok(Some(_))) {
                tdb.unlock_chain(key)?;
            }
            looked
        });
        match found {
            None => Look::Failed,
            Some(None) => Look::Elsewhere,
            Some(Some((header, stored))) => Look::Locked(self.locked(key, mode, (header, stored))),
        }
    }

    /// The record, if it may be used as it is here.
    fn stored(
        &self,
        tdb: &Tdb,
        key: &[u8],
        mode: Mode,
    ) -> tdb::Result<Option<(RecordHeader, Vec<u8>)>> {
        let stored = tdb.fetch(key)?.unwrap_or_default();
        let record = match RecordHeader::split(&stored) {
            Ok((header, _)) => Some((header, stored)),
            Err(_) if self.persistent => {
                let header = RecordHeader::default();
                Some((header, header.to_bytes()))
            }
            Err(_) => None,
        };
        let node = self.connection.pnn.get();
        Ok(record.filter(|(header, _)| self.persistent || is_usable(header, mode, node)))
    }

    fn locked(
        self: &Rc<Self>,
        key: &[u8],
        mode: Mode,
        (header, stored): (RecordHeader, Vec<u8>),
    ) -> Rc<Lock> {
        let lock = Rc::new(Lock {
            db: self.clone(),
            key: key.into(),
            mode,
            header,
            stored,
            held: Cell::new(true),
        });
        self.connection.locks.borrow_mut().push(lock.clone());
        lock
    }

    /// Has the daemon move a record here, and locks it then.
    fn fetch(self: &Rc<Self>, key: Box<[u8]>, mode: Mode, granted: Granted) -> bool {
        if !self.connection.accepts(key.len()) {
            return false;
        }
        self.send_fetch(key, mode, granted);
        true
    }

    fn send_fetch(self: &Rc<Self>, key: Box<[u8]>, mode: Mode, granted: Granted) {
        let mut flags = CallFlags::IMMEDIATE_MIGRATION;
        flags.set(CallFlags::WANT_READONLY, mode == Mode::Read);
        let call = ReqCall {
            flags,
            db: self.id,
            callid: function::FETCH,
            hopcount: 0,
            key: &key.clone(),
            calldata: &[],
        };
        let db = Rc::downgrade(self);
        self.connection
            .ask(Pnn::CURRENT, Body::ReqCall(call), move |_, reply| {
                // detached meanwhile: nobody is to be called for it
                let Some(db) = db.upgrade().filter(|db| db.is_open()) else {
                    return;
                };
                match reply {
                    Reply::Call(reply) if reply.status == 0 => db.fetched(key, mode, granted),
                    other => {
                        set_errno(libc::EREMOTEIO);
                        db.connection.log(
                            Severity::Err,
                            format_args!("a record could not be fetched: {other}"),
                        );
                        granted(&db, None);
                    }
                }
            });
    }

    fn fetched(self: &Rc<Self>, key: Box<[u8]>, mode: Mode, granted: Granted) {
        match self.look(&key, mode) {
            Look::Locked(lock) => granted(self, Some(lock)),
            Look::Failed => granted(self, None),
            // another node was faster
            Look::Elsewhere => self.send_fetch(key, mode, granted),
        }
    }

    /// Whether the record is absent here: then even a reader has it moved.
    fn is_absent(&self, key: &[u8]) -> bool {
        self.with_tdb(|tdb| tdb.exists(key)) == Some(false)
    }

    /// The lock that C means, among those that are held.
    fn held_lock(&self, raw: *mut ctdb_lock) -> Option<Rc<Lock>> {
        let locks = self.connection.locks.borrow();
        let mut all = locks.iter();
        all.find(|lock| pointer::<ctdb_lock>(lock) == raw).cloned()
    }

    /// Releases the lock that C means.
    pub(super) fn release_lock(self: &Rc<Self>, raw: *mut ctdb_lock) {
        let Some(lock) = self.held_lock(raw) else {
            set_errno(libc::EBADF);
            let text = format_args!("released what is not locked: {raw:p}");
            return self.connection.log(Severity::Alert, text);
        };
        if !Rc::ptr_eq(&lock.db, self) {
            set_errno(libc::EBADF);
            let text = format_args!("released a lock of another database");
            self.connection.log(Severity::Alert, text);
        }
        lock.forget();
    }

    /// Releases all locks in this database.
    pub(super) fn release_all(self: &Rc<Self>) {
        let ours = |lock: &mut Rc<Lock>| Rc::ptr_eq(&lock.db, self);
        let locks: Vec<_> = self
            .connection
            .locks
            .borrow_mut()
            .extract_if(.., ours)
            .collect();
        locks.iter().for_each(|lock| lock.release());
    }

    /// Writes a value under a lock; `errno` if that is refused or fails.
    pub(super) fn write(self: &Rc<Self>, raw: *mut ctdb_lock, value: &[u8]) -> bool {
        let lock = self.held_lock(raw);
        let refusal = match &lock {
            None => Some((libc::EBADF, "the lock was released")),
            Some(lock) => self.refusal(lock),
        };
        if let Some((errno, why)) = refusal {
            set_errno(errno);
            self.connection
                .log(Severity::Alert, format_args!("cannot write: {why}"));
            return false;
        }
        lock.is_some_and(|lock| self.store(&lock, value))
    }

    fn refusal(self: &Rc<Self>, lock: &Lock) -> Option<(i32, &'static str)> {
        if !Rc::ptr_eq(&lock.db, self) {
            Some((libc::EBADF, "the lock is of another database"))
        } else if self.persistent {
            Some((libc::EINVAL, "the database is persistent"))
        } else if lock.mode == Mode::Read {
            Some((libc::EBADF, "the lock is for reading"))
        } else {
            None
        }
    }

    fn store(&self, lock: &Lock, value: &[u8]) -> bool {
        let header = lock.header.to_bytes();
        let compare = |stored: &[u8]| match stored.strip_prefix(&header[..]) {
            Some(old) if old == value => Stored::Same,
            Some(_) => Stored::Other,
            None => Stored::Foreign,
        };
        match self.with_tdb(|tdb| tdb.parse(&lock.key, compare)) {
            None => false,
            Some(Some(Stored::Same)) => true,
            Some(Some(Stored::Other)) => {
                let parts = [&header[..], value];
                self.with_tdb(|tdb| tdb.storev(&lock.key, &parts, StoreMode::Replace))
                    .is_some()
            }
            Some(Some(Stored::Foreign) | None) => {
                set_errno(libc::EINVAL);
                let text = format_args!("a record was changed under its lock");
                self.connection.log(Severity::Alert, text);
                false
            }
        }
    }
}

/// What is in the file, beside what is to be written.
enum Stored {
    Same,
    Other,
    /// Another header than the locked record had.
    Foreign,
}

impl Lock {
    /// The value as it was when the record was locked.
    pub(super) fn value(&self) -> &[u8] {
        self.stored.get(RECORD_HEADER_SIZE..).unwrap_or_default()
    }

    /// Gives the record back.
    pub(super) fn forget(&self) {
        let this = |lock: &Rc<Self>| std::ptr::eq(&**lock, self);
        self.db
            .connection
            .locks
            .borrow_mut()
            .retain(|lock| !this(lock));
        self.release();
    }

    /// Gives the chain back.
    fn release(&self) {
        if self.held.replace(false) {
            self.db.with_tdb(|tdb| tdb.unlock_chain(&self.key));
        }
    }
}

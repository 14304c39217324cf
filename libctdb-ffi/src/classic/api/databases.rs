//! Databases and records.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::rc::Rc;
use std::slice;

use tdb_sys::TDB_DATA;

use super::{
    ctdb_callback_t, ctdb_connection, ctdb_db, ctdb_lock, ctdb_request, ctdb_rrl_callback_t,
    ctdb_traverse_callback_t,
};
use crate::classic::control::{connection, wait};
use crate::classic::database::{self, Database};
use crate::classic::handle::{borrow, give, pointer, take_back};
use crate::classic::message::data;
use crate::classic::record::{self, Lock, Mode};
use crate::classic::request::{Kind, Request};
use crate::classic::traverse;
use crate::guard::{guard, set_errno};

/// The bytes that C means.
pub(super) unsafe fn bytes(data: &TDB_DATA) -> &[u8] {
    if data.dptr.is_null() {
        return &[];
    }
    // SAFETY: C's bytes, for as long as the call.
    unsafe { slice::from_raw_parts(data.dptr, data.dsize) }
}

fn invalid() {
    set_errno(libc::EINVAL);
}

/// Attaches a database, which is created if need be. `tdb_flags` are handed to the daemon; 0 will do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_attachdb_send(
    ctdb: *mut ctdb_connection,
    name: *const c_char,
    persistent: bool,
    tdb_flags: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    let sent = guard(None, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) }?;
        if name.is_null() {
            invalid();
            return None;
        }
        // SAFETY: C's string.
        let name = unsafe { CStr::from_ptr(name) };
        let request = Request::new(&connection, Kind::Attach, callback, cbdata);
        let sent = database::attach(&connection, (name, persistent), tdb_flags, &request);
        sent.then(|| request.publish(&connection))
    });
    sent.unwrap_or(ptr::null_mut())
}

/// The database, opened; NULL and errno if that is not possible. A process opens a database once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_attachdb_recv(
    ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
) -> *mut ctdb_db {
    let opened = guard(None, || {
        // SAFETY: C's handles.
        let (connection, request) = unsafe { (connection(ctdb)?, borrow(req)) };
        let Some(request) = request else {
            invalid();
            return None;
        };
        database::open(&connection, &request).map(give)
    });
    opened.unwrap_or(ptr::null_mut())
}

/// Both of them, waiting for the answers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_attachdb(
    ctdb: *mut ctdb_connection,
    name: *const c_char,
    persistent: bool,
    tdb_flags: u32,
) -> *mut ctdb_db {
    let opened = guard(None, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) }?;
        if name.is_null() {
            invalid();
            return None;
        }
        // SAFETY: C's string.
        let name = unsafe { CStr::from_ptr(name) };
        let request = Request::new(&connection, Kind::Attach, None, ptr::null_mut());
        let sent = database::attach(&connection, (name, persistent), tdb_flags, &request);
        let opened =
            (sent && wait(&connection, &request)).then(|| database::open(&connection, &request))?;
        opened.map(give)
    });
    opened.unwrap_or(ptr::null_mut())
}

/// Closes a database; the daemon keeps it. What is locked in it is released, and what was asked about it is not
/// answered any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_detachdb(_ctdb: *mut ctdb_connection, db: *mut ctdb_db) {
    guard((), || {
        if !db.is_null() {
            // SAFETY: C's handle, which ends here.
            unsafe { take_back(db) }.close();
        }
    });
}

/// Locks a record for writing, having it moved to this node if it is elsewhere. The callback has the lock and
/// the value, which is good until the lock is released; it is called at once if the record is here. A lock that is
/// NULL tells of a failure. One record a connection: false while one is locked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_readrecordlock_async(
    ctdb_db: *mut ctdb_db,
    key: TDB_DATA,
    callback: ctdb_rrl_callback_t,
    cbdata: *mut c_void,
) -> bool {
    // SAFETY: C's handle and bytes.
    unsafe { lock_async(ctdb_db, &key, Mode::Write, (callback, cbdata)) }
}

/// The same for reading only: a copy that is lent to this node will do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_readonlyrecordlock_async(
    ctdb_db: *mut ctdb_db,
    key: TDB_DATA,
    callback: ctdb_rrl_callback_t,
    cbdata: *mut c_void,
) -> bool {
    // SAFETY: C's handle and bytes.
    unsafe { lock_async(ctdb_db, &key, Mode::Read, (callback, cbdata)) }
}

unsafe fn lock_async(
    db: *mut ctdb_db,
    key: &TDB_DATA,
    mode: Mode,
    (callback, cbdata): (ctdb_rrl_callback_t, *mut c_void),
) -> bool {
    guard(false, || {
        // SAFETY: C's handle and bytes.
        let (db, key) = unsafe { (borrow(db), bytes(key)) };
        let Some(db) = db else {
            invalid();
            return false;
        };
        record::lock(&db, key, mode, move |db, lock| {
            let Some(callback) = callback else {
                // nobody could release it
                lock.iter().for_each(|lock| lock.forget());
                return;
            };
            let value = lock.as_ref().map(|lock| data(lock.value()));
            let lock = lock.as_ref().map_or(ptr::null_mut(), pointer);
            // SAFETY: the function and its argument are as the application gave them, to be called together;
            // the lock lives until it is released.
            unsafe {
                callback(
                    pointer(db),
                    lock,
                    value.unwrap_or(traverse::NOTHING),
                    cbdata,
                )
            };
        })
    })
}

/// Locks a record for writing and waits until it is here. NULL if that fails, or while another one is locked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_readrecordlock(
    ctdb: *mut ctdb_connection,
    ctdb_db: *mut ctdb_db,
    key: TDB_DATA,
    data: *mut TDB_DATA,
) -> *mut ctdb_lock {
    let locked = guard(None, || {
        // SAFETY: C's handles and bytes.
        let (_, db, key) = unsafe { (connection(ctdb)?, borrow(ctdb_db), bytes(&key)) };
        let Some(db) = db else {
            invalid();
            return None;
        };
        let lock = lock_and_wait(&db, key)?;
        if !data.is_null() {
            // SAFETY: it can be written.
            unsafe { data.write(self::data(lock.value())) };
        }
        Some(pointer(&lock))
    });
    locked.unwrap_or(ptr::null_mut())
}

/// What a synchronous lock waits for.
#[derive(Default)]
struct Slot {
    answer: RefCell<Option<Option<Rc<Lock>>>>,
    given_up: Cell<bool>,
}

fn lock_and_wait(db: &Rc<Database>, key: &[u8]) -> Option<Rc<Lock>> {
    let slot = Rc::new(Slot::default());
    let filled = slot.clone();
    let asked = record::lock(db, key, Mode::Write, move |_, lock| {
        if filled.given_up.get() {
            lock.iter().for_each(|lock| lock.forget());
        } else {
            filled.answer.replace(Some(lock));
        }
    });
    let there = || slot.answer.borrow().is_some();
    if !asked || !db.connection.wait(there) {
        slot.given_up.set(true);
    }
    slot.answer.take().flatten()
}

/// Writes the value of a record that is locked, and keeps the lock. False and errno if it is locked for reading
/// or not any more (EBADF), or the database is persistent (EINVAL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_writerecord(
    ctdb_db: *mut ctdb_db,
    lock: *mut ctdb_lock,
    data: TDB_DATA,
) -> bool {
    guard(false, || {
        // SAFETY: C's handle and bytes; the lock is looked for among those that are held.
        let (db, value) = unsafe { (borrow(ctdb_db), bytes(&data)) };
        if db.is_none() {
            invalid();
        }
        db.is_some_and(|db| db.write(lock, value))
    })
}

/// Releases a record, as soon as possible: other processes of the node wait for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_release_lock(ctdb_db: *mut ctdb_db, lock: *mut ctdb_lock) {
    guard((), || {
        // SAFETY: C's handle; the lock is looked for among those that are held.
        if let Some(db) = unsafe { borrow(ctdb_db) } {
            db.release_lock(lock);
        }
    });
}

/// Shows all records of a database, wherever in the cluster they are: the callback is called for each, and then
/// once more for the end or a failure. If it returns something else than 0, it is not called any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_traverse_async(
    ctdb_db: *mut ctdb_db,
    callback: ctdb_traverse_callback_t,
    cbdata: *mut c_void,
) -> bool {
    guard(false, || {
        // SAFETY: C's handle.
        let db = unsafe { borrow(ctdb_db) };
        if db.is_none() {
            invalid();
        }
        db.is_some_and(|db| traverse::start(&db, callback, cbdata))
    })
}

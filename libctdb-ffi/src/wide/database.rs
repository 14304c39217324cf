//! Databases: attaching them, and what takes no more than one call.

use std::ffi::{CString, c_char, c_int, c_void};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use client::{Database, DatabaseInfo};
use wire::DbId;
use wire::control::{DbGetHealth, GetDbMap, GetDbName, GetDbPath, GetDbSeqnum, GetDbStatistics};
use wire::types::{DbFlags, DbSeqnum};

use super::border::{self, Outcome};
use super::cluster::{as_json, ask};
use super::connection::{ctdbx_client, number};
use super::failure::{CTDBX_INVALID, Failure};
use super::memory::{self, ctdbx_blob};
use super::state::{Attached, Deadline};

/// For ctdbx_attach(): records move between the nodes, and are lost with them. Written under record
/// locks.
pub const CTDBX_VOLATILE: u32 = 0;
/// The same: all nodes have all records on disk. Written in transactions.
pub const CTDBX_PERSISTENT: u32 = 1;
/// In addition to VOLATILE: read-only copies may be lent (ctdbx_read_copy()). Cannot be undone.
pub const CTDBX_READONLY: u32 = 2;
/// In addition to VOLATILE: hot records stay on a node for a while. Cannot be undone.
pub const CTDBX_STICKY: u32 = 4;
/// The same as PERSISTENT, but lost when all nodes are down.
pub const CTDBX_REPLICATED: u32 = 8;

/// An attached database. Any number of threads may use it at the same time.
#[derive(Debug)]
pub struct ctdbx_db {
    pub(super) client: Arc<ctdbx_client>,
    /// Its number on the library's thread.
    pub(super) key: u64,
    id: DbId,
    name: CString,
    path: CString,
}

/// A database that a node has attached.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ctdbx_database_info {
    /// Its number, the hash of its name.
    pub id: u32,
    /// CTDBX_PERSISTENT and its like.
    pub flags: u32,
}

/// Databases, to be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_database_list {
    /// How many.
    pub count: usize,
    /// The databases.
    pub items: *mut ctdbx_database_info,
}

impl ctdbx_db {
    fn attach(
        client: Arc<ctdbx_client>,
        (name, flags): (String, DbFlags),
        timeout: c_int,
    ) -> Outcome<Self> {
        let key = number();
        let info = client.run_within(
            ("attach", timeout),
            move |connection, deadline| async move {
                let attached = Attached::new(name, flags);
                let info = attached.get(&connection, deadline).await?.info().clone();
                let mut all = connection.databases.borrow_mut();
                all.insert(key, Rc::new(attached));
                Ok(info)
            },
        )?;
        let DatabaseInfo { id, name, path, .. } = info;
        let text = |text: Vec<u8>| {
            CString::new(text).map_err(|_| Failure::new(CTDBX_INVALID, "a name with a NUL"))
        };
        Ok(Self {
            client,
            key,
            id,
            name: text(name.into_bytes())?,
            path: text(path.into_os_string().into_encoded_bytes())?,
        })
    }

    /// Does something with the open database, within a time-out in milliseconds.
    pub(super) fn run<T, F>(
        &self,
        (name, timeout): (&'static str, c_int),
        work: impl FnOnce(Database, Deadline) -> F + Send + 'static,
    ) -> Outcome<T>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + 'static,
    {
        let key = self.key;
        self.client
            .run_within((name, timeout), move |connection, deadline| async move {
                let db = connection.database(key, deadline).await?;
                work(db, deadline).await
            })
    }
}

/// Attaches a database on this node, and makes it if it is not there.
///
/// `flags`: CTDBX_VOLATILE, CTDBX_PERSISTENT or CTDBX_REPLICATED, and CTDBX_READONLY, CTDBX_STICKY.
/// A name has one kind in the cluster, the one it was first attached with. `*db` is to be given to
/// ctdbx_detach() in the end.
///
/// The file is opened once in the process, whatever number of handles and connections there are for
/// it. CTDBX_IN_USE: something else in this process, such as the API of ctdb.h, has it open.
/// Opening the first database makes libtdb fork once, for a moment, and install a handler for
/// SIGCHLD that calls the one that was there.
///
/// # Safety
/// `client` is a valid handle, `name` a terminated text, `db` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_attach(
    client: *const ctdbx_client,
    name: *const c_char,
    flags: u32,
    timeout: c_int,
    db: *mut *mut ctdbx_db,
) -> c_int {
    border::enter(|| {
        border::wanted(db)?;
        let flags = kind(flags)?;
        // SAFETY: the caller's
        let (client, name) = unsafe { (border::shared(client)?, border::text(name)?) };
        let attached = ctdbx_db::attach(client, (name.to_owned(), flags), timeout)?;
        // SAFETY: checked above
        unsafe { border::put(db, border::give(Arc::new(attached))) };
        Ok(())
    })
}

/// Flags that make sense together.
fn kind(flags: u32) -> Outcome<DbFlags> {
    const KNOWN: u32 = CTDBX_PERSISTENT | CTDBX_READONLY | CTDBX_STICKY | CTDBX_REPLICATED;
    let known = u8::try_from(flags & KNOWN).unwrap_or_default();
    if flags & !KNOWN != 0 {
        return Err(Failure::invalid("unknown flags"));
    }
    let flags = DbFlags::from_bits_retain(known);
    let lasting = flags & (DbFlags::PERSISTENT | DbFlags::REPLICATED);
    let volatile = flags & (DbFlags::READONLY | DbFlags::STICKY);
    if lasting.bits().count_ones() > 1 || !(lasting.is_empty() || volatile.is_empty()) {
        return Err(Failure::invalid("these flags do not go together"));
    }
    Ok(flags)
}

/// Ends the use of a database and frees its handle; NULL is fine. Locks and transactions of it stay
/// as they are. The daemon keeps the database.
///
/// # Safety
/// `db` is NULL or a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_detach(db: *mut ctdbx_db) {
    let _ = border::returning(|| {
        // SAFETY: the caller's
        let Some(db) = (unsafe { border::take(db) }) else {
            return Ok(());
        };
        let key = db.key;
        db.client.run(move |connection| async move {
            let attached = connection.databases.borrow_mut().remove(&key);
            drop(attached);
            Ok(())
        })
    });
}

/// The number of a database, the hash of its name; 0 if the handle is no good.
///
/// # Safety
/// `db` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_db_id(db: *const ctdbx_db) -> u32 {
    // SAFETY: the caller's
    border::returning(|| Ok(unsafe { border::shared(db) }?.id.0)).unwrap_or(0)
}

/// The name of a database, valid as long as the handle; NULL if the handle is no good.
///
/// # Safety
/// `db` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_db_name(db: *const ctdbx_db) -> *const c_char {
    // SAFETY: the caller's
    let name = border::returning(|| Ok(unsafe { border::shared(db) }?.name.as_ptr()));
    name.unwrap_or(std::ptr::null())
}

/// The tdb file of a database, valid as long as the handle; NULL if the handle is no good. Nothing in
/// this process may open it: closing it again would drop the locks of the process.
///
/// # Safety
/// `db` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_db_path(db: *const ctdbx_db) -> *const c_char {
    // SAFETY: the caller's
    let path = border::returning(|| Ok(unsafe { border::shared(db) }?.path.as_ptr()));
    path.unwrap_or(std::ptr::null())
}

/// The value of a record, as it is somewhere in the cluster, which does not move the record; `size`
/// is 0 if there is none. It may have changed when this returns. `value->data` is to be freed with
/// ctdbx_free().
///
/// # Safety
/// `db` is a valid handle; `size` bytes can be read at `key`; `value` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_read(
    db: *const ctdbx_db,
    key: *const c_void,
    size: usize,
    timeout: c_int,
    value: *mut ctdbx_blob,
) -> c_int {
    border::enter(|| {
        border::wanted(value)?;
        // SAFETY: the caller's
        let (db, key) = unsafe { (border::shared(db)?, border::bytes(key, size)?) };
        let key = key.to_vec();
        let found = db.run(("read", timeout), move |db, deadline| async move {
            Ok(db.read(&key, deadline.left()).await?)
        })?;
        // SAFETY: checked above
        unsafe { hand_over(&found, value) }
    })
}

/// The same, but has a copy of the record lent to this node, which is read here from then on, until
/// somebody writes the record. For databases with CTDBX_READONLY; in other volatile ones the record
/// is moved here.
///
/// # Safety
/// `db` is a valid handle; `size` bytes can be read at `key`; `value` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_read_copy(
    db: *const ctdbx_db,
    key: *const c_void,
    size: usize,
    timeout: c_int,
    value: *mut ctdbx_blob,
) -> c_int {
    border::enter(|| {
        border::wanted(value)?;
        // SAFETY: the caller's
        let (db, key) = unsafe { (border::shared(db)?, border::bytes(key, size)?) };
        let key = key.to_vec();
        let found = db.run(("read_copy", timeout), move |db, deadline| async move {
            Ok(db.read_only(&key, deadline.left()).await?)
        })?;
        // SAFETY: checked above
        unsafe { hand_over(&found, value) }
    })
}

/// # Safety
/// `value` can be written.
unsafe fn hand_over(found: &Bytes, value: *mut ctdbx_blob) -> Outcome<()> {
    let blob = memory::blob(found)?;
    // SAFETY: the caller's
    unsafe { border::put(value, blob) };
    Ok(())
}

/// Writes a record of a volatile database: locks it, stores the value, and unlocks it, all at once.
/// An empty value deletes the record.
///
/// # Safety
/// `db` is a valid handle; the bytes at `key` and `value` can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_store(
    db: *const ctdbx_db,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
    timeout: c_int,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let db = unsafe { border::shared(db) }?;
        // SAFETY: the caller's
        let (key, value) = unsafe {
            (
                border::bytes(key, key_size)?,
                border::bytes(value, value_size)?,
            )
        };
        let (key, value) = (key.to_vec(), value.to_vec());
        db.run(("store", timeout), move |db, deadline| async move {
            let mut record = db.lock_record(&key, deadline.left()).await?;
            match value.is_empty() {
                true => record.delete()?,
                false => record.store(&value)?,
            }
            Ok(())
        })
    })
}

/// How many transactions a persistent or replicated database has seen, as this node has it; 0 of a
/// volatile one.
///
/// # Safety
/// `db` is a valid handle, `number` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_sequence_number(
    db: *const ctdbx_db,
    timeout: c_int,
    number: *mut u64,
) -> c_int {
    border::enter(|| {
        border::wanted(number)?;
        // SAFETY: the caller's
        let db = unsafe { border::shared(db) }?;
        let seen = db.run(("sequence_number", timeout), |db, deadline| async move {
            Ok(db.sequence_number_within(deadline.left()).await?)
        })?;
        // SAFETY: checked above
        unsafe { border::put(number, seen) };
        Ok(())
    })
}

/// The databases that a node has attached.
///
/// # Safety
/// `client` is a valid handle, `databases` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_databases(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    databases: *mut *mut ctdbx_database_list,
) -> c_int {
    border::enter(|| {
        border::wanted(databases)?;
        // SAFETY: the caller's
        let (_, map) = unsafe { ask::<GetDbMap>(client, (node, timeout), ()) }?;
        let items: Vec<_> = map
            .dbs
            .iter()
            .map(|db| ctdbx_database_info {
                id: db.db.0,
                flags: db.flags.bits().into(),
            })
            .collect();
        let count = items.len();
        let list = memory::with_tail(&items, |items| ctdbx_database_list { count, items })?;
        // SAFETY: checked above
        unsafe { border::put(databases, list) };
        Ok(())
    })
}

/// The name of a database of a node, by its number, to be freed with ctdbx_free().
///
/// # Safety
/// `client` is a valid handle, `name` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_database_name(
    client: *const ctdbx_client,
    node: u32,
    id: u32,
    timeout: c_int,
    name: *mut *mut c_char,
) -> c_int {
    border::enter(|| {
        border::wanted(name)?;
        // SAFETY: the caller's
        let (_, text) = unsafe { ask::<GetDbName>(client, (node, timeout), DbId(id)) }?;
        let text = memory::text(&text)?;
        // SAFETY: checked above
        unsafe { border::put(name, text) };
        Ok(())
    })
}

/// The file of a database on a node, by its number, to be freed with ctdbx_free().
///
/// # Safety
/// `client` is a valid handle, `path` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_database_path(
    client: *const ctdbx_client,
    node: u32,
    id: u32,
    timeout: c_int,
    path: *mut *mut c_char,
) -> c_int {
    border::enter(|| {
        border::wanted(path)?;
        // SAFETY: the caller's
        let (_, text) = unsafe { ask::<GetDbPath>(client, (node, timeout), DbId(id)) }?;
        let text = memory::text(&text)?;
        // SAFETY: checked above
        unsafe { border::put(path, text) };
        Ok(())
    })
}

/// Why a database of a node must not be used, to be freed with ctdbx_free(); NULL if it may.
///
/// # Safety
/// `client` is a valid handle, `reason` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_database_health(
    client: *const ctdbx_client,
    node: u32,
    id: u32,
    timeout: c_int,
    reason: *mut *mut c_char,
) -> c_int {
    border::enter(|| {
        border::wanted(reason)?;
        // SAFETY: the caller's
        let (_, text) = unsafe { ask::<DbGetHealth>(client, (node, timeout), DbId(id)) }?;
        let text = text.map(|text| memory::text(&text)).transpose()?;
        // SAFETY: checked above
        unsafe { border::put(reason, text.unwrap_or(std::ptr::null_mut())) };
        Ok(())
    })
}

/// The sequence number of a database of a node, by its number.
///
/// # Safety
/// `client` is a valid handle, `number` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_database_sequence_number(
    client: *const ctdbx_client,
    node: u32,
    id: u32,
    timeout: c_int,
    number: *mut u64,
) -> c_int {
    border::enter(|| {
        border::wanted(number)?;
        let request = DbSeqnum { db: DbId(id) };
        // SAFETY: the caller's
        let (_, seen) = unsafe { ask::<GetDbSeqnum>(client, (node, timeout), request) }?;
        // SAFETY: checked above
        unsafe { border::put(number, seen) };
        Ok(())
    })
}

/// The counters of a database of a node as a JSON object, to be freed with ctdbx_free(). More may be
/// added.
///
/// # Safety
/// `client` is a valid handle, `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_database_statistics(
    client: *const ctdbx_client,
    node: u32,
    id: u32,
    timeout: c_int,
    json: *mut *mut c_char,
) -> c_int {
    border::enter(|| {
        border::wanted(json)?;
        // SAFETY: the caller's
        let (_, counters) = unsafe { ask::<GetDbStatistics>(client, (node, timeout), DbId(id)) }?;
        let text = as_json(&counters)?;
        // SAFETY: checked above
        unsafe { border::put(json, text) };
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_one_of_three() {
        assert_eq!(kind(CTDBX_VOLATILE).unwrap(), DbFlags::empty());
        assert!(kind(CTDBX_READONLY | CTDBX_STICKY).is_ok());
        for wrong in [
            CTDBX_PERSISTENT | CTDBX_REPLICATED,
            CTDBX_PERSISTENT | CTDBX_READONLY,
            0x10,
            0x100,
        ] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }
}

//! Traverses: all records of a database, wherever they are, as messages.
//!
//! ```text
//!  REGISTER_SRVID, TRAVERSE_START -> one message a record -> one with neither key nor value: the end
//! ```
//!
//! The daemon delivers a message to everybody who has registered its address. It has the process's number
//! in it, which another container may use too, so there is chance in it, and the records repeat a second number.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::hash::{BuildHasher, RandomState};
use std::rc::{Rc, Weak};

use tdb_sys::TDB_DATA;
use wire::coding::Encode;
use wire::control::{self, Control};
use wire::types::{self, RECORD_HEADER_SIZE, Record};
use wire::{Pnn, ReqId, Srvid};

use super::connection::{Connection, Reply};
use super::control::Ask;
use super::database::Database;
use super::handle::{ctdb_connection, ctdb_db, pointer};
use super::log::Severity;
use super::message::{Handler, data};

/// What a traverse calls: for each record, and once at its end.
#[expect(non_camel_case_types, reason = "the name in C")]
pub type ctdb_traverse_callback_t = Option<
    unsafe extern "C" fn(
        ctdb: *mut ctdb_connection,
        ctdb_db: *mut ctdb_db,
        status: c_int,
        key: TDB_DATA,
        data: TDB_DATA,
        private_data: *mut c_void,
    ) -> c_int,
>;

/// A record.
pub const TRAVERSE_STATUS_RECORD: c_int = 0;
/// There are no more records.
pub const TRAVERSE_STATUS_FINISHED: c_int = 1;
/// The traverse has failed; nothing more comes.
pub const TRAVERSE_STATUS_ERROR: c_int = 2;

/// A traverse under way.
struct Traverse {
    db: Weak<Database>,
    srvid: Srvid,
    reqid: ReqId,
    callback: ctdb_traverse_callback_t,
    private: *mut c_void,
    over: Cell<bool>,
}

/// Starts one.
pub(super) fn start(
    db: &Rc<Database>,
    callback: ctdb_traverse_callback_t,
    private: *mut c_void,
) -> bool {
    let connection = &db.connection;
    if !connection.accepts(0) {
        return false;
    }
    let chance = RandomState::new().hash_one(std::process::id());
    let own = (chance & 0x00FF_FFFF) << 32 | u64::from(std::process::id());
    let traverse = Rc::new(Traverse {
        db: Rc::downgrade(db),
        srvid: Srvid(Srvid::CLIENT_RANGE.0 | own),
        reqid: ReqId((chance >> 32) as u32),
        callback,
        private,
        over: Cell::new(false),
    });
    let for_handler = traverse.clone();
    let handler = Handler::work(traverse.srvid, move |connection, message| {
        for_handler.message(connection, message);
    });
    connection.handlers.add(handler.clone());
    let ask = connection.use_once_more(traverse.srvid);
    // the daemon works in order: if this is refused, so is what comes next, or nobody hears of it
    connection.ask_control(Pnn::CURRENT, &ask, |_, _| {});
    let request = types::TraverseStart {
        db: db.id,
        reqid: traverse.reqid,
        srvid: traverse.srvid,
    };
    let bytes = request.to_bytes();
    let ask = Ask::new(control::TraverseStart::OPCODE).data(&bytes);
    connection.ask_control(Pnn::CURRENT, &ask, move |connection, reply| {
        if !matches!(reply, Reply::Control(reply) if reply.status == 0) {
            let text = format_args!("ctdbd does not traverse: {reply}");
            connection.log(Severity::Err, text);
            traverse.end(connection, TRAVERSE_STATUS_ERROR);
        }
    });
    true
}

impl Traverse {
    fn message(&self, connection: &Rc<Connection>, message: &[u8]) {
        match Record::from_bytes(message) {
            _ if self.over.get() => {}
            Ok(record) if record.reqid != self.reqid => {}
            Ok(record) if record.key.is_empty() && record.data.is_empty() => {
                self.end(connection, TRAVERSE_STATUS_FINISHED);
            }
            Ok(record) => self.record(connection, &record),
            Err(error) => {
                let text = format_args!("a traverse met what is no record: {error}");
                connection.log(Severity::Err, text);
                self.end(connection, TRAVERSE_STATUS_ERROR);
            }
        }
    }

    fn record(&self, connection: &Rc<Connection>, record: &Record<'_>) {
        let Some(value @ [_, ..]) = record.data.get(RECORD_HEADER_SIZE..) else {
            // deleted, or never there
            return;
        };
        let stop = self.call(connection, (TRAVERSE_STATUS_RECORD, record.key, value));
        if stop != Some(0) {
            self.stop(connection);
        }
    }

    /// The last call.
    fn end(&self, connection: &Rc<Connection>, status: c_int) {
        if !self.over.get() {
            self.stop(connection);
            self.call(connection, (status, &[], &[]));
        }
    }

    /// No more calls.
    fn stop(&self, connection: &Connection) {
        if !self.over.replace(true) {
            let srvid = self.srvid;
            connection.retire(srvid, move |handlers| handlers.remove_all(srvid));
        }
    }

    /// None if the database was detached.
    fn call(
        &self,
        connection: &Rc<Connection>,
        (status, key, value): (c_int, &[u8], &[u8]),
    ) -> Option<c_int> {
        let db = self.db.upgrade().filter(|db| db.is_open())?;
        let callback = self.callback?;
        let (key, value) = match status {
            TRAVERSE_STATUS_RECORD => (data(key), data(value)),
            _ => (NOTHING, NOTHING),
        };
        // SAFETY: the function and its argument are as the application gave them, to be called together; the
        // bytes and the handles live as long as this call.
        let answer = unsafe {
            callback(
                pointer(connection),
                pointer(&db),
                status,
                key,
                value,
                self.private,
            )
        };
        Some(answer)
    }
}

/// libtdb's `tdb_null`.
pub(super) const NOTHING: TDB_DATA = TDB_DATA {
    dptr: std::ptr::null_mut(),
    dsize: 0,
};

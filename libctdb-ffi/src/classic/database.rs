//! Databases: attached by the daemon, opened here.
//!
//! ```text
//!  DB_ATTACH or DB_ATTACH_PERSISTENT -> the number
//!  GETDBPATH                         -> the file
//!  DB_OPEN_FLAGS                     -> how the daemon has opened it (mutexes); daemons before 4.8 do not know
//!  ctdb_attachdb_recv                   opens it
//! ```
//!
//! A process opens a file once: another attach of the same database fails with EBUSY, until it is detached.

use std::cell::RefCell;
use std::ffi::CStr;
use std::path::PathBuf;
use std::rc::Rc;

use tdb::{Flags, OpenOptions, Tdb};
use wire::coding::{Decode, Encode};
use wire::control::{Control, DbAttach, DbAttachPersistent, DbOpenFlags, GetDbPath};
use wire::{DbId, Pnn, Srvid};

use super::connection::{Connection, Reply};
use super::control::Ask;
use super::log::Severity;
use super::request::{Kind, Outcome, Request};
use crate::guard::set_errno;

/// What is known of a database once the daemon has attached it.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    id: DbId,
    path: PathBuf,
    flags: Flags,
    persistent: bool,
}

/// An attached database, open unless it was detached.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Rc<Connection>,
    pub(super) id: DbId,
    pub(super) persistent: bool,
    tdb: RefCell<Option<Tdb>>,
}

/// Starts to attach a database; `tdb_flags` go to the daemon, as they always did.
pub(super) fn attach(
    connection: &Rc<Connection>,
    (name, persistent): (&CStr, bool),
    tdb_flags: u32,
    request: &Rc<Request>,
) -> bool {
    let name = name.to_bytes_with_nul();
    if !connection.accepts(name.len()) {
        return false;
    }
    let opcode = match persistent {
        true => DbAttachPersistent::OPCODE,
        false => DbAttach::OPCODE,
    };
    let ask = Ask::new(opcode).srvid(Srvid(tdb_flags.into())).data(name);
    let request = request.clone();
    connection.ask_control(Pnn::CURRENT, &ask, move |connection, reply| {
        match good::<DbId>(reply) {
            Some(id) => ask_path(connection, (id, persistent), request),
            None => fail(connection, reply, &request),
        }
    });
    true
}

fn ask_path(connection: &Rc<Connection>, (id, persistent): (DbId, bool), request: Rc<Request>) {
    let data = id.to_bytes();
    let ask = Ask::new(GetDbPath::OPCODE).data(&data);
    connection.ask_control(Pnn::CURRENT, &ask, move |connection, reply| {
        let Some(path) = good::<String>(reply) else {
            return fail(connection, reply, &request);
        };
        let attached = Attached {
            id,
            path: path.into(),
            flags: match persistent {
                true => Flags::CTDB_PERSISTENT,
                false => Flags::DISALLOW_NESTING | Flags::NOSYNC,
            },
            persistent,
        };
        ask_flags(connection, attached, request);
    });
}

fn ask_flags(connection: &Rc<Connection>, attached: Attached, request: Rc<Request>) {
    let data = attached.id.to_bytes();
    let ask = Ask::new(DbOpenFlags::OPCODE).data(&data);
    connection.ask_control(Pnn::CURRENT, &ask, move |connection, reply| {
        let flags = good::<i32>(reply).map(|flags| Flags::from_bits_retain(flags.cast_unsigned()));
        let attached = Attached {
            flags: flags.unwrap_or(attached.flags),
            ..attached
        };
        request.complete(connection, Outcome::Attached(attached));
    });
}

/// The data of an answer that is no refusal.
fn good<T: Decode>(reply: &Reply<'_>) -> Option<T> {
    match reply {
        Reply::Control(reply) if reply.status == 0 => T::from_bytes(reply.data).ok(),
        _ => None,
    }
}

fn fail(connection: &Rc<Connection>, reply: &Reply<'_>, request: &Rc<Request>) {
    connection.log(
        Severity::Err,
        format_args!("ctdbd does not attach the database: {reply}"),
    );
    request.complete(connection, Outcome::Failed(libc::EINVAL));
}

/// Opens what a request has attached; `errno` if that is not possible.
pub(super) fn open(connection: &Rc<Connection>, request: &Request) -> Option<Rc<Database>> {
    let attached = match (&request.kind, &*request.outcome.borrow()) {
        (Kind::Attach, Some(Outcome::Attached(attached))) => attached.clone(),
        (Kind::Attach, Some(Outcome::Failed(errno))) => {
            set_errno(*errno);
            return None;
        }
        (kind, _) => {
            set_errno(libc::EINVAL);
            let text = format_args!("this is no attach that is done: {kind:?}");
            connection.log(Severity::Alert, text);
            return None;
        }
    };
    let options = OpenOptions {
        flags: attached.flags,
        // the daemon has made it
        create: false,
        ..OpenOptions::default()
    };
    match connection.with_tdb(|| Tdb::open(&attached.path, &options)) {
        Ok(tdb) => Some(Rc::new(Database {
            connection: connection.clone(),
            id: attached.id,
            persistent: attached.persistent,
            tdb: RefCell::new(Some(tdb)),
        })),
        Err(error) => {
            set_errno(tdb_errno(&error));
            connection.log(
                Severity::Err,
                format_args!("cannot open a database: {error}"),
            );
            None
        }
    }
}

/// The number in C for what libtdb's wrapper says.
pub(super) fn tdb_errno(error: &tdb::Error) -> i32 {
    match error {
        tdb::Error::Io(_, error) => error.raw_os_error().unwrap_or(libc::EIO),
        tdb::Error::AlreadyOpen(_) => libc::EBUSY,
        tdb::Error::NoExist(_) => libc::ENOENT,
        tdb::Error::Exists(_) => libc::EEXIST,
        tdb::Error::OutOfMemory(_) => libc::ENOMEM,
        tdb::Error::Incompatible(_) | tdb::Error::Invalid(_) => libc::EINVAL,
        tdb::Error::Lock(_) => libc::ENOLCK,
        tdb::Error::ReadOnly(_) => libc::EROFS,
        _ => libc::EIO,
    }
}

impl Database {
    /// Works on the file; EIO, or what libtdb says, in `errno` and a line in the log if that fails.
    pub(super) fn with_tdb<R>(&self, work: impl FnOnce(&Tdb) -> tdb::Result<R>) -> Option<R> {
        let tdb = self.tdb.borrow();
        let Some(tdb) = &*tdb else {
            set_errno(libc::EBADF);
            return None;
        };
        match self.connection.with_tdb(|| work(tdb)) {
            Ok(done) => Some(done),
            Err(error) => {
                set_errno(libc::EIO);
                self.connection
                    .log(Severity::Warning, format_args!("{error}"));
                None
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.tdb.borrow().is_some()
    }

    /// Closes the file; what was locked in it is released.
    pub(super) fn close(self: &Rc<Self>) {
        self.release_all();
        let tdb = self.tdb.take();
        self.connection.with_tdb(|| drop(tdb));
    }
}

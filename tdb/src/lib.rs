//! A safe wrapper of the system libtdb.
//!
//! A [`Tdb`] is one open database file, shared through `fcntl` locks or robust mutexes with every
//! other process that opened it (smbd, the `ctdb` tool, lock processes). Keys and values are plain
//! bytes; what CTDB puts in front of a value is no business of this crate.
//!
//! What libtdb leaves to its caller, and what is done about it here:
//!
//! * **One open per file and process.** Closing *any* descriptor of a file drops all `fcntl` locks
//!   that the process holds on it, the one that keeps `CLEAR_IF_FIRST` openers from wiping a live
//!   database among them. libtdb refuses a second open only after it has opened, and perhaps
//!   truncated, the file. [`Tdb::open`] looks in a registry first and answers
//!   [`Error::AlreadyOpen`]. The same holds for plain reads: never `File::open` a database of this
//!   process ([`is_open`] tells).
//! * **Never a wiped database.** libtdb formats a file whose header it does not recognise when it
//!   may create one. [`Tdb::open`] lets it create only what is missing or empty, so damage is
//!   [`Error::Corrupt`] and the file stays as it was. `CLEAR_IF_FIRST` is the one way to clear.
//! * **Threads.** A robust mutex is unlocked only by the thread that locked it, and a context has
//!   no lock of its own: a `Tdb` is neither `Send` nor `Sync`. Opening and closing change a list
//!   inside libtdb, and are serialised here.
//! * **Callbacks.** [`Tdb::parse`] shows bytes of the memory map, which any other call may move:
//!   calls from inside it give [`Error::Busy`]. A traverse shows copies and allows record calls,
//!   but no transaction. A panic in a callback goes through libtdb's frames as a return value.
//! * **Forks.** `fcntl` locks stay with the parent and mutexes with the thread: a child must not
//!   use a database that its parent opened.
//!
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! send::<tdb::Tdb>();
//! ```
//!
//! The memory map also means that a file which somebody truncates below the size libtdb knows is
//! met with `SIGBUS`, and that bytes shown by `parse` are stable only as long as all processes
//! keep to the chain locks, as all of Samba does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

mod db;
mod error;
mod locks;
mod log;
mod maintenance;
mod options;
mod records;
mod registry;
mod transaction;
mod traverse;

pub use db::Tdb;
pub use error::{Context, Error, Result};
pub use locks::ChainGuard;
pub use log::{Level, Sink, set_log};
pub use options::{Flags, OpenOptions, StoreMode};
pub use registry::{active_holder, is_open};

/// libtdb's Jenkins hash: of a record's key it decides the lmaster, of a database's name (with its
/// final NUL) it is the database id.
#[must_use]
pub fn jenkins_hash(data: &[u8]) -> u32 {
    let mut data = records::data(data);
    // SAFETY: the function reads `dsize` bytes at `dptr`, which `data` borrows.
    unsafe { tdb_sys::tdb_jenkins_hash(&mut data) }
}

/// Whether this system has the robust mutexes that [`Flags::MUTEX_LOCKING`] needs.
///
/// The first call forks a child, which dies while holding a mutex, and meanwhile installs a handler
/// of its own for `SIGCHLD`: make it before there are threads, a runtime or other children.
/// Opening a database with `MUTEX_LOCKING` makes it too. Later calls give the remembered answer.
#[must_use]
pub fn mutexes_supported() -> bool {
    find_out_about_mutexes().unwrap_or(false)
}

/// libtdb finds out with two pipes and a child. Without descriptors it would find out that there are none, and
/// remember that for ever; so this fails before it is asked.
fn find_out_about_mutexes() -> io::Result<bool> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let _serialised = registry::lock();
    if !ASKED.load(Ordering::Relaxed) {
        let _pipes = (io::pipe()?, io::pipe()?);
    }
    ASKED.store(true, Ordering::Relaxed);
    // SAFETY: no arguments; the static state inside is guarded by the registry's lock.
    Ok(unsafe { tdb_sys::tdb_runtime_check_for_robust_mutexes() })
}

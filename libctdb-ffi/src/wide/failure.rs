//! What went wrong, as a C program sees it: a number, and a text that the thread keeps.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};

use client::Error;

/// Success.
pub const CTDBX_OK: c_int = 0;
/// An argument is wrong: a NULL where none may be, a text that is not UTF-8.
pub const CTDBX_INVALID: c_int = 1;
/// Nobody listens at the socket, or this process may not talk to it.
pub const CTDBX_CONNECT: c_int = 2;
/// The connection is gone. With CTDBX_RECONNECT the next call waits for a new one.
pub const CTDBX_DISCONNECTED: c_int = 3;
/// Not done in time. What was sent may still be done.
pub const CTDBX_TIMED_OUT: c_int = 4;
/// The daemon refused; ctdbx_error_status() has its status.
pub const CTDBX_REFUSED: c_int = 5;
/// The daemon, or a database's file, holds something that cannot be understood.
pub const CTDBX_PROTOCOL: c_int = 6;
/// Too much is waiting: the daemon does not read, or too many requests have no reply.
pub const CTDBX_LIMIT: c_int = 7;
/// Somebody else has it: another client the tunnel, another part of this process the database.
pub const CTDBX_IN_USE: c_int = 8;
/// The kind of the database does not know this operation.
pub const CTDBX_WRONG_KIND: c_int = 9;
/// The daemon has marked the database as not to be used.
pub const CTDBX_UNHEALTHY: c_int = 10;
/// The database's file could not be opened, read, locked or written.
pub const CTDBX_FILE: c_int = 11;
/// Whether the transaction was committed is not known: ctdbx_sequence_number() tells, once the
/// cluster is well.
pub const CTDBX_COMMIT_UNKNOWN: c_int = 12;
/// The lock or transaction ended before, with the connection that it belonged to.
pub const CTDBX_LOST: c_int = 13;
/// The handle belongs to the parent of this process.
pub const CTDBX_FORKED: c_int = 14;
/// There is no memory for the result.
pub const CTDBX_NO_MEMORY: c_int = 15;
/// A fault in the library.
pub const CTDBX_INTERNAL: c_int = 16;
/// There are no more records. Not an error.
pub const CTDBX_END: c_int = 17;
/// The system does not give what is needed: a descriptor, a thread.
pub const CTDBX_SYSTEM: c_int = 18;

/// Why a call failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    code: c_int,
    /// The daemon's status; 0 if it is not the daemon that refused.
    status: i32,
    text: String,
}

impl Failure {
    pub(super) fn new(code: c_int, text: impl Into<String>) -> Self {
        Self {
            code,
            status: 0,
            text: text.into(),
        }
    }

    pub(super) fn invalid(text: &str) -> Self {
        Self::new(CTDBX_INVALID, text)
    }

    pub(super) fn lost(what: &str) -> Self {
        Self::new(CTDBX_LOST, format!("the {what} ended with its connection"))
    }

    /// The connection was closed by this program.
    pub(super) fn closed() -> Self {
        Error::Disconnected.into()
    }

    /// The library's thread is gone, or the job panicked.
    pub(super) fn internal(what: &str) -> Self {
        Self::new(CTDBX_INTERNAL, format!("a fault in the library: {what}"))
    }

    /// Keeps it for the thread, and returns its number.
    pub(super) fn keep(self) -> c_int {
        let code = self.code;
        let text = CString::new(self.text.replace('\0', " ")).unwrap_or_default();
        // a thread that is ending has nobody who would ask
        let _ = LAST.try_with(|last| last.replace((text, self.status)));
        code
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, status) = match &error {
            Error::Connect { .. } => (CTDBX_CONNECT, 0),
            Error::Disconnected => (CTDBX_DISCONNECTED, 0),
            Error::TimedOut { .. } => (CTDBX_TIMED_OUT, 0),
            Error::Refused { status, .. } => (CTDBX_REFUSED, *status),
            Error::Protocol(_) => (CTDBX_PROTOCOL, 0),
            Error::Backlog { .. } | Error::TooManyRequests { .. } | Error::Overrun { .. } => {
                (CTDBX_LIMIT, 0)
            }
            Error::Unhealthy { .. } => (CTDBX_UNHEALTHY, 0),
            Error::Tdb(tdb::Error::AlreadyOpen(_)) | Error::TunnelInUse(_) => (CTDBX_IN_USE, 0),
            Error::Tdb(_) => (CTDBX_FILE, 0),
            Error::WrongKind { .. } => (CTDBX_WRONG_KIND, 0),
            Error::CommitUnknown { .. } => (CTDBX_COMMIT_UNKNOWN, 0),
        };
        let text = error.to_string();
        Self { code, status, text }
    }
}

thread_local! {
    /// Text and status of the last failure on this thread.
    static LAST: RefCell<(CString, i32)> = RefCell::default();
}

/// What the last call that failed on this thread failed with: one line, empty if none has. Valid
/// until the next call of this library on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn ctdbx_error_text() -> *const c_char {
    let text = LAST.try_with(|last| last.borrow().0.as_ptr());
    text.unwrap_or(c"".as_ptr())
}

/// The daemon's status, if the last call that failed on this thread was refused by it; else 0.
#[unsafe(no_mangle)]
pub extern "C" fn ctdbx_error_status() -> i32 {
    LAST.try_with(|last| last.borrow().1).unwrap_or(0)
}

/// What a result's number means, in general. Never NULL, and always valid.
#[unsafe(no_mangle)]
pub extern "C" fn ctdbx_strerror(code: c_int) -> *const c_char {
    describe(code).as_ptr()
}

const fn describe(code: c_int) -> &'static CStr {
    match code {
        CTDBX_OK => c"success",
        CTDBX_INVALID => c"invalid argument",
        CTDBX_CONNECT => c"cannot connect to the daemon",
        CTDBX_DISCONNECTED => c"the connection to the daemon is closed",
        CTDBX_TIMED_OUT => c"not done in time",
        CTDBX_REFUSED => c"refused by the daemon",
        CTDBX_PROTOCOL => c"something cannot be understood",
        CTDBX_LIMIT => c"too much is waiting",
        CTDBX_IN_USE => c"in use by somebody else",
        CTDBX_WRONG_KIND => c"not for a database of this kind",
        CTDBX_UNHEALTHY => c"the database is unhealthy",
        CTDBX_FILE => c"the database's file cannot be used",
        CTDBX_COMMIT_UNKNOWN => c"it is not known whether the transaction is committed",
        CTDBX_LOST => c"ended with its connection",
        CTDBX_FORKED => c"the handle belongs to the parent process",
        CTDBX_NO_MEMORY => c"out of memory",
        CTDBX_INTERNAL => c"a fault in the library",
        CTDBX_END => c"no more records",
        CTDBX_SYSTEM => c"the system does not give what is needed",
        _ => c"unknown result",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_last_failure() {
        let code = Failure::new(CTDBX_INVALID, "with a \0 in it").keep();
        assert_eq!(code, CTDBX_INVALID);
        // SAFETY: the text is this thread's, and nothing has failed since
        let text = unsafe { CStr::from_ptr(ctdbx_error_text()) };
        assert_eq!(text, c"with a   in it");
        std::thread::spawn(|| {
            // SAFETY: as above
            assert!(unsafe { CStr::from_ptr(ctdbx_error_text()) }.is_empty());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn every_number_has_a_text() {
        let texts: Vec<_> = (CTDBX_OK..=CTDBX_SYSTEM).map(describe).collect();
        assert!(!texts.contains(&describe(-1)));
    }
}

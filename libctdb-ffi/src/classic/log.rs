//! The application's log function, and the lines of libtdb for it.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::guard::{errno, set_errno};

/// Lines of a severity up to this one are logged (syslog(3): the smaller the worse). Programs write it.
#[unsafe(no_mangle)]
pub static ctdb_log_level: AtomicI32 = AtomicI32::new(Severity::Warning as c_int);

/// An application's log function. It takes a `va_list`, which only C can make: see shim.c.
#[expect(non_camel_case_types, reason = "the name in C")]
pub type ctdb_log_fn_t = Option<unsafe extern "C" fn()>;

unsafe extern "C" {
    fn libctdb_shim_log(
        function: ctdb_log_fn_t,
        log_priv: *mut c_void,
        severity: c_int,
        text: *const c_char,
    );
}

/// How bad it is, in the numbers of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// The application misuses the library.
    Alert = 1,
    /// What should not be possible.
    Crit = 2,
    /// The daemon is lost, or refuses something.
    Err = 3,
    /// Odd, and survived.
    Warning = 4,
    /// Every step.
    Debug = 7,
}

/// Where a connection's lines go.
#[derive(Debug)]
pub(super) struct Log {
    function: ctdb_log_fn_t,
    private: *mut c_void,
}

thread_local! {
    /// Whose libtdb is at work on this thread.
    static CURRENT: Cell<*const Log> = const { Cell::new(ptr::null()) };
}

impl Log {
    pub(super) const fn new(function: ctdb_log_fn_t, private: *mut c_void) -> Self {
        Self { function, private }
    }

    /// Logs a line, if the level wants it. The application finds `errno` as it is now, and it stays so.
    pub(super) fn write(&self, severity: Severity, text: fmt::Arguments<'_>) {
        let severity = severity as c_int;
        if self.function.is_none() || severity > ctdb_log_level.load(Ordering::Relaxed) {
            return;
        }
        let before = errno();
        let text = CString::new(text.to_string().replace('\0', "?")).unwrap_or_default();
        set_errno(before);
        // SAFETY: the function and its argument are as the application gave them, to be called together; the
        // text is terminated.
        unsafe { libctdb_shim_log(self.function, self.private, severity, text.as_ptr()) };
        set_errno(before);
    }

    /// What libtdb says during `work` is logged here.
    pub(super) fn with_tdb<R>(&self, work: impl FnOnce() -> R) -> R {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tdb::set_log(tdb_line));
        let _restored = Restored(CURRENT.replace(self));
        work()
    }
}

/// Sets [`CURRENT`] back, also after a panic.
struct Restored(*const Log);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Receives each line of libtdb in this process.
fn tdb_line(level: tdb::Level, text: &str) {
    let severity = match level {
        tdb::Level::Fatal => Severity::Crit,
        tdb::Level::Error => Severity::Err,
        tdb::Level::Warning => Severity::Warning,
        tdb::Level::Trace => Severity::Debug,
    };
    // SAFETY: it is null, or points to the `Log` that `with_tdb` of this very thread has borrowed.
    if let Some(log) = unsafe { CURRENT.get().as_ref() } {
        log.write(severity, format_args!("TDB error: {text}"));
    }
}

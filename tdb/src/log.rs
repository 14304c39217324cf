//! libtdb's log lines: kept as the detail of an error, and handed to one sink for the process.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, c_char, c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// How bad libtdb finds it (`enum tdb_debug_level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The database is damaged, or an invariant is broken.
    Fatal,
    /// An operation fails.
    Error,
    /// Something odd that is survived, or is about to be reported otherwise.
    Warning,
    /// Everything else; expected lock conflicts among it.
    Trace,
}

impl Level {
    fn from_c(level: c_int) -> Self {
        match level {
            0 => Self::Fatal,
            1 => Self::Error,
            2 => Self::Warning,
            _ => Self::Trace,
        }
    }
}

/// Receives a level and a line without its line end.
pub type Sink = fn(Level, &str);

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Sends the log lines of all databases of this process to `sink`, as `path: text`. libtdb is in the
/// middle of something then: the sink must not call this crate.
pub fn set_log(sink: Sink) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Some(sink);
}

/// What callbacks from inside libtdb share with the [`Tdb`](crate::Tdb) they belong to. libtdb
/// holds a pointer to it as its `log_private`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct State {
    /// First, as `tdb_sys_log` wants it.
    write: tdb_sys::SinkFn,
    pub(crate) path: Arc<Path>,
    /// The last line that the operation under way caused.
    detail: RefCell<String>,
    /// libtdb is inside a callback which must not call it again.
    pub(crate) sealed: Cell<bool>,
    /// How many traverses are under way, one inside the other.
    pub(crate) traverses: Cell<u32>,
}

impl State {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            write,
            path: Arc::from(path),
            detail: RefCell::default(),
            sealed: Cell::new(false),
            traverses: Cell::new(0),
        }
    }

    /// Forgets what an earlier operation logged.
    pub(crate) fn forget_detail(&self) {
        let mut detail = self.detail.borrow_mut();
        if !detail.is_empty() {
            detail.clear();
        }
    }

    pub(crate) fn detail(&self) -> String {
        self.detail.borrow().clone()
    }

    pub(crate) fn logged(&self) -> bool {
        !self.detail.borrow().is_empty()
    }

    fn receive(&self, level: Level, text: &str) {
        // Traces report what the return value says better, or nothing that went wrong.
        if level < Level::Trace {
            *self.detail.borrow_mut() = text.to_owned();
        }
        let sink = *SINK.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = sink {
            let outer = self.sealed.replace(true);
            sink(level, &format!("{}: {text}", self.path.display()));
            self.sealed.set(outer);
        }
    }
}

/// What `tdb_sys_log` calls with the formatted line.
unsafe extern "C" fn write(sink: *mut c_void, level: c_int, text: *const c_char) {
    // SAFETY: `Tdb::open` gave libtdb a pointer to a `State` that outlives the context, and only
    // shared references to it exist.
    let state = unsafe { &*sink.cast::<State>() };
    // SAFETY: the shim passes a string that vsnprintf has terminated.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // A panic must not unwind into C, and there is nobody to report it to but its own hook.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        state.receive(Level::from_c(level), text.trim_end());
    }));
}

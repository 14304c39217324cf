//! Opening, closing, and what every operation shares.

use std::{
    ffi::{CString, c_int},
    io,
    os::{
        fd::{BorrowedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr::NonNull,
    rc::Rc,
};

use crate::{
    error::{Context, Error, Result},
    log::State,
    options::{Flags, OpenOptions},
    registry::{self, FileId},
};

/// One open database; closed when dropped, an open transaction is cancelled then.
///
/// Neither `Send` nor `Sync`: robust mutexes belong to the thread that locked them.
#[derive(Debug)]
pub struct Tdb {
    /// Valid until `drop`. Only `raw` hands it out.
    raw: NonNull<tdb_sys::tdb_context>,
    /// libtdb points to it too, so it is never moved and dropped last.
    pub(crate) state: Rc<State>,
    id: Option<FileId>,
}

impl Tdb {
    /// Opens the database at `path`. With [`Flags::INTERNAL`] the path is but a name.
    ///
    /// libtdb waits for other processes that are just opening or recovering the same file.
    ///
    /// # Errors
    /// [`Error::AlreadyOpen`] if this process has the file open, before it is touched;
    /// [`Error::Corrupt`] or [`Error::Incompatible`] for a file that libtdb cannot use, which is
    /// left as it is; [`Error::NoExist`], [`Error::Exists`], [`Error::Invalid`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let state = Rc::new(State::new(path.as_ref()));
        let internal = options.flags.contains(Flags::INTERNAL);
        let invalid = |reason: &str| Error::Invalid(Context::new(&state.path, "open").with(reason));

        if let Some(reason) = options.flags.contradiction(options.read_only) {
            return Err(invalid(reason));
        }
        let name = CString::new(state.path.as_os_str().as_bytes())
            .map_err(|_| invalid("the path contains a NUL"))?;
        let hash_size = c_int::try_from(options.hash_size)
            .map_err(|_| invalid("the hash size does not fit into an int"))?;

        if options.flags.contains(Flags::MUTEX_LOCKING) {
            crate::find_out_about_mutexes().map_err(|error| open_error(&state, error))?;
        }
        let mut open = registry::lock();
        let found = match internal {
            true => None,
            false => registry::examine(&state.path).map_err(|error| open_error(&state, error))?,
        };
        if found.is_some_and(|(id, _)| open.contains(&id)) {
            return Err(Error::AlreadyOpen(Context::new(&state.path, "open")));
        }
        let filled = found.is_some_and(|(_, length)| length > 0);
        let raw = open_context(&name, hash_size, options, filled, &state)?;
        let mut tdb = Self {
            raw,
            state,
            id: None,
        };
        if let Some(fd) = tdb.fd() {
            // Without its identity the file could be opened twice. `tdb` is dropped after `open`.
            let id = match registry::id_of(fd) {
                Ok(id) => id,
                Err(error) => {
                    drop(open);
                    return Err(Error::Io(tdb.context("open"), error));
                }
            };
            open.insert(id);
            tdb.id = Some(id);
        }
        Ok(tdb)
    }

    /// The path that the database was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.state.path
    }

    /// The descriptor, for looking at: neither duplicate it nor lock it, since closing any
    /// descriptor of the file drops libtdb's locks. `None` for an internal database.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the context is valid, and the call only reads it.
        let fd: RawFd = unsafe { tdb_sys::tdb_fd(self.raw()) };
        // SAFETY: libtdb keeps the descriptor open for as long as the context lives.
        (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    pub(crate) fn raw(&self) -> *mut tdb_sys::tdb_context {
        self.raw.as_ptr()
    }

    /// Begins an operation on records: to be called before libtdb is.
    pub(crate) fn enter(&self, operation: &'static str) -> Result<()> {
        if self.state.sealed.get() {
            return Err(Error::Busy(Context::new(&self.state.path, operation)));
        }
        self.state.forget_detail();
        Ok(())
    }

    /// Begins an operation that a traverse under way would not survive.
    pub(crate) fn enter_alone(&self, operation: &'static str) -> Result<()> {
        if self.state.traverses.get() > 0 {
            return Err(Error::Busy(Context::new(&self.state.path, operation)));
        }
        self.enter(operation)
    }

    pub(crate) fn code(&self) -> tdb_sys::TDB_ERROR {
        // SAFETY: the context is valid, and the call only reads it.
        unsafe { tdb_sys::tdb_error(self.raw()) }
    }

    pub(crate) fn context(&self, operation: &'static str) -> Context {
        Context::new(&self.state.path, operation).with(self.state.detail())
    }

    /// The error of a call that has just failed.
    pub(crate) fn error(&self, operation: &'static str) -> Error {
        let errno = io::Error::last_os_error();
        Error::from_code(self.code(), self.context(operation), errno)
    }

    /// Translates libtdb's usual answer: -1 is an error.
    pub(crate) fn answer(&self, operation: &'static str, answer: c_int) -> Result<()> {
        match answer {
            -1 => Err(self.error(operation)),
            _ => Ok(()),
        }
    }
}

impl Drop for Tdb {
    fn drop(&mut self) {
        let mut open = registry::lock();
        // SAFETY: the context is valid and nothing uses it after this. Closing fails only in ways
        // that leave nothing to do (a close or munmap that reports an error).
        unsafe { tdb_sys::tdb_close(self.raw()) };
        if let Some(id) = self.id {
            open.remove(&id);
        }
    }
}

/// Calls libtdb, with the registry locked. `filled` says that the file exists and is not empty.
fn open_context(
    name: &CString,
    hash_size: c_int,
    options: &OpenOptions,
    filled: bool,
    state: &Rc<State>,
) -> Result<NonNull<tdb_sys::tdb_context>> {
    let log = tdb_sys::tdb_logging_context {
        log_fn: Some(tdb_sys::tdb_sys_log),
        log_private: Rc::as_ptr(state).cast_mut().cast(),
    };
    // SAFETY: the name is terminated, `log` is copied, and the state it points to begins with a
    // `SinkFn` and outlives the context. The registry's lock keeps other threads away from
    // libtdb's list.
    let raw = unsafe {
        tdb_sys::tdb_open_ex(
            name.as_ptr(),
            hash_size,
            options.flags.bits().cast_signed(),
            open_flags(options, filled),
            options.mode,
            &log,
            None,
        )
    };
    NonNull::new(raw).ok_or_else(|| open_error(state, io::Error::last_os_error()))
}

/// The flags for open(2). libtdb takes O_CREAT as leave to format a file whose header it does not
/// know, so a file with content is opened without. (CLEAR_IF_FIRST clears all the same.)
fn open_flags(options: &OpenOptions, filled: bool) -> c_int {
    let mut flags = match options.read_only {
        true => libc::O_RDONLY,
        false => libc::O_RDWR,
    };
    if options.create && (options.exclusive || !filled) {
        flags |= libc::O_CREAT;
    }
    if options.create && options.exclusive {
        flags |= libc::O_EXCL;
    }
    flags
}

/// libtdb reports a failed open by `errno` alone. What the caller got wrong was refused before, so
/// the errors of its own making speak of the file.
fn open_error(state: &State, error: io::Error) -> Error {
    let context = Context::new(&state.path, "open").with(state.detail());
    match error.raw_os_error() {
        Some(libc::EIO) => Error::Corrupt(context),
        Some(libc::EINVAL | libc::ENOSYS) if context.detail.contains("hash_size") => {
            Error::Corrupt(context)
        }
        Some(libc::EINVAL) if context.detail.contains("hash size") => Error::Corrupt(context),
        Some(libc::EINVAL | libc::ENOSYS) => Error::Incompatible(context),
        Some(libc::EBUSY) => Error::AlreadyOpen(context),
        Some(libc::EEXIST) => Error::Exists(context),
        Some(libc::ENOENT) => Error::NoExist(context),
        Some(libc::ENOMEM) => Error::OutOfMemory(context),
        _ => Error::Io(context, error),
    }
}

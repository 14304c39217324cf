//! What can go wrong, with the database and the operation in every message.

use std::{fmt, io, path::Path, sync::Arc};

/// The outcome of a database operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Where an error happened.
#[derive(Clone, Debug)]
pub struct Context {
    /// The path that the database was opened by.
    pub path: Arc<Path>,
    /// The method of [`Tdb`](crate::Tdb).
    pub operation: &'static str,
    /// What libtdb logged on the way, or a reason of our own; may be empty.
    pub detail: String,
}

impl Context {
    pub(crate) fn new(path: &Arc<Path>, operation: &'static str) -> Self {
        Self {
            path: Arc::clone(path),
            operation,
            detail: String::new(),
        }
    }

    pub(crate) fn with(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn say<'a>(&'a self, problem: &'a dyn fmt::Display) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            write!(f, "{}: {}: {problem}", self.path.display(), self.operation)?;
            if self.detail.is_empty() {
                return Ok(());
            }
            write!(f, " ({})", self.detail)
        })
    }
}

/// Why an operation failed. Each variant corresponds to one or more of libtdb's `TDB_ERR_*`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The content contradicts itself: `TDB_ERR_CORRUPT`, a header that is none, or an offset
    /// beyond the end of the file (which libtdb calls `TDB_ERR_IO`). The file was left as it is.
    #[error("{}", .0.say(&"the database is corrupt"))]
    Corrupt(Context),
    /// The header is in order but does not fit the open flags or this libtdb: mutexes without
    /// [`MUTEX_LOCKING`](crate::Flags::MUTEX_LOCKING) or the other way, another hash function,
    /// unknown features.
    #[error("{}", .0.say(&"the file does not suit"))]
    Incompatible(Context),
    /// The system refused: `TDB_ERR_IO`, or opening failed with this error.
    #[error("{}", .0.say(.1))]
    Io(Context, #[source] io::Error),
    /// A lock was not got or is not held: `TDB_ERR_LOCK` and its kin. The `try_` methods answer
    /// `false` instead when another process holds it.
    #[error("{}", .0.say(&"lock error"))]
    Lock(Context),
    /// The record (with `StoreMode::Insert`) or the file (with `exclusive`) is there already.
    #[error("{}", .0.say(&"exists already"))]
    Exists(Context),
    /// No such record (with `StoreMode::Modify`), or no such file.
    #[error("{}", .0.say(&"does not exist"))]
    NoExist(Context),
    /// No memory, or a record of more than 32 bits of length.
    #[error("{}", .0.say(&"out of memory"))]
    OutOfMemory(Context),
    /// The database was opened read-only, or is being traversed by `traverse_read`.
    #[error("{}", .0.say(&"the database is read-only"))]
    ReadOnly(Context),
    /// An argument, or a combination of flags, that cannot be.
    #[error("{}", .0.say(&"invalid use"))]
    Invalid(Context),
    /// A transaction inside a transaction, in a database that disallows it.
    #[error("{}", .0.say(&"a transaction is open already"))]
    Nesting(Context),
    /// This process has the file open; see the crate's documentation.
    #[error("{}", .0.say(&"this process has the database open already"))]
    AlreadyOpen(Context),
    /// The call came from inside a callback that does not allow it.
    #[error("{}", .0.say(&"not possible inside a callback of the database"))]
    Busy(Context),
}

impl Error {
    /// Where it happened.
    #[must_use]
    pub fn context(&self) -> &Context {
        match self {
            Self::Io(context, _) => context,
            Self::Corrupt(context)
            | Self::Incompatible(context)
            | Self::Lock(context)
            | Self::Exists(context)
            | Self::NoExist(context)
            | Self::OutOfMemory(context)
            | Self::ReadOnly(context)
            | Self::Invalid(context)
            | Self::Nesting(context)
            | Self::AlreadyOpen(context)
            | Self::Busy(context) => context,
        }
    }

    /// Whether the file cannot be trusted any more.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }

    /// From libtdb's code and the `errno` of the failed call.
    pub(crate) fn from_code(code: tdb_sys::TDB_ERROR, context: Context, errno: io::Error) -> Self {
        match code {
            tdb_sys::TDB_ERR_CORRUPT => Self::Corrupt(context),
            // tdb_oob (io.c, 1.4.8) reports a pointer that leads out of the file as an I/O error.
            tdb_sys::TDB_ERR_IO if context.detail.contains("beyond eof") => Self::Corrupt(context),
            tdb_sys::TDB_ERR_LOCK | tdb_sys::TDB_ERR_NOLOCK | tdb_sys::TDB_ERR_LOCK_TIMEOUT => {
                Self::Lock(context)
            }
            tdb_sys::TDB_ERR_OOM => Self::OutOfMemory(context),
            tdb_sys::TDB_ERR_EXISTS => Self::Exists(context),
            tdb_sys::TDB_ERR_NOEXIST => Self::NoExist(context),
            tdb_sys::TDB_ERR_EINVAL => Self::Invalid(context),
            tdb_sys::TDB_ERR_RDONLY => Self::ReadOnly(context),
            tdb_sys::TDB_ERR_NESTING => Self::Nesting(context),
            _ => Self::Io(context, errno),
        }
    }
}

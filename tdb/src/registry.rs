//! Which files this process has open as databases, and the lock around libtdb's own list.

use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata},
    io,
    mem::zeroed,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A file's identity: device and inode.
pub(crate) type FileId = (u64, u64);

static OPEN: Mutex<BTreeSet<FileId>> = Mutex::new(BTreeSet::new());

/// Held while anything is opened or closed: libtdb's list of contexts has no lock of its own.
pub(crate) fn lock() -> MutexGuard<'static, BTreeSet<FileId>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// What a path leads to, by `stat`: an `open` and `close` would drop the process's locks.
pub(crate) fn examine(path: &Path) -> io::Result<Option<(FileId, u64)>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((id(&metadata), metadata.len()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn id_of(fd: BorrowedFd<'_>) -> io::Result<FileId> {
    // SAFETY: an all-zero `stat` is a valid value of that plain struct.
    let mut stat: libc::stat = unsafe { zeroed() };
    // SAFETY: the descriptor is open as long as it is borrowed, and `stat` may be written.
    match unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) } {
        0 => Ok((stat.st_dev, stat.st_ino)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether this process has the file at `path` open as a database, by whatever name. If so, nobody
/// may open and close it in any other way: that would drop the database's locks.
///
/// # Errors
/// What `stat` reports, but for a missing file, which is not open.
pub fn is_open(path: &Path) -> io::Result<bool> {
    let open = lock();
    Ok(examine(path)?.is_some_and(|(id, _)| open.contains(&id)))
}

/// The offset of the lock that every user of a `CLEAR_IF_FIRST` database holds for reading
/// (`ACTIVE_LOCK` in libtdb's tdb_private.h, 1.4.8).
const ACTIVE_LOCK: libc::off_t = 4;

/// A process, other than this one, because of which opening `path` with `CLEAR_IF_FIRST` would
/// not clear it: its process id, 0 when that belongs to another pid namespace.
///
/// # Errors
/// `ResourceBusy` when this process itself has the database open; otherwise what the system says.
pub fn active_holder(path: &Path) -> io::Result<Option<u32>> {
    let open = lock();
    let Some((id, _)) = examine(path)? else {
        return Ok(None);
    };
    if open.contains(&id) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let file = File::open(path)?;
    // SAFETY: an all-zero `flock` is a valid value of that plain struct.
    let mut conflict: libc::flock = unsafe { zeroed() };
    conflict.l_type = libc::F_WRLCK as libc::c_short;
    conflict.l_whence = libc::SEEK_SET as libc::c_short;
    conflict.l_start = ACTIVE_LOCK;
    conflict.l_len = 1;
    // SAFETY: F_GETLK reads and writes the one `flock` it is given.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut conflict) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let held = conflict.l_type != libc::F_UNLCK as libc::c_short;
    Ok(held.then(|| u32::try_from(conflict.l_pid).unwrap_or(0)))
}

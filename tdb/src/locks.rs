//! Locks of one hash chain and of the whole database.
//!
//! A chain lock covers every key of the same chain. Locks count: each needs its own unlock. They
//! are held across calls on purpose; [`Tdb::chain_guard`] is for the short ones.

use std::{ffi::c_int, io, os::fd::AsRawFd};

use crate::{
    db::Tdb,
    error::{Error, Result},
    records::data,
};

/// A chain lock that ends with its scope.
#[derive(Debug)]
pub struct ChainGuard<'a> {
    tdb: &'a Tdb,
    key: &'a [u8],
}

impl Drop for ChainGuard<'_> {
    fn drop(&mut self) {
        // It was locked, so this fails only if somebody unlocked it by hand.
        let _ = self.tdb.unlock_chain(self.key);
    }
}

type ChainCall = unsafe extern "C" fn(*mut tdb_sys::tdb_context, tdb_sys::TDB_DATA) -> c_int;
type WholeCall = unsafe extern "C" fn(*mut tdb_sys::tdb_context) -> c_int;

fn clear_errno() {
    // SAFETY: the location is this thread's own and always valid.
    unsafe { *libc::__errno_location() = 0 };
}

impl Tdb {
    fn chain(&self, operation: &'static str, key: &[u8], call: ChainCall) -> Result<c_int> {
        self.enter(operation)?;
        clear_errno();
        // SAFETY: `call` is one of libtdb's chain functions; the context is valid, and `key`,
        // which is only hashed, lives across the call.
        Ok(unsafe { call(self.raw(), data(key)) })
    }

    fn whole(&self, operation: &'static str, call: WholeCall) -> Result<c_int> {
        self.enter(operation)?;
        clear_errno();
        // SAFETY: `call` is one of libtdb's functions on the whole database, which is valid.
        Ok(unsafe { call(self.raw()) })
    }

    /// For the calls that must not wait: a conflict is no error. `fcntl` says EAGAIN or EACCES,
    /// a mutex EBUSY or EAGAIN; refusals of libtdb's own making leave `errno` alone.
    fn tried(&self, operation: &'static str, answer: c_int) -> Result<bool> {
        if answer != -1 {
            return Ok(true);
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES | libc::EBUSY) => Ok(false),
            _ => Err(self.error(operation)),
        }
    }

    /// libtdb sets no error code when it is asked to unlock what it does not hold.
    fn released(&self, operation: &'static str, answer: c_int) -> Result<()> {
        match answer {
            -1 => Err(Error::Lock(self.context(operation))),
            _ => Ok(()),
        }
    }

    /// Locks the chain of `key` for writing, waiting for other processes.
    ///
    /// # Errors
    /// [`Error::Lock`], also when the whole database is locked for reading here;
    /// [`Error::ReadOnly`].
    pub fn lock_chain(&self, key: &[u8]) -> Result<()> {
        let answer = self.chain("lock_chain", key, tdb_sys::tdb_chainlock)?;
        self.answer("lock_chain", answer)
    }

    /// Locks the chain of `key` for writing; `false` if another process holds a lock on it.
    ///
    /// # Errors
    /// As [`lock_chain`](Self::lock_chain).
    pub fn try_lock_chain(&self, key: &[u8]) -> Result<bool> {
        let answer = self.chain("try_lock_chain", key, tdb_sys::tdb_chainlock_nonblock)?;
        self.tried("try_lock_chain", answer)
    }

    /// Gives back one write lock of the chain of `key`.
    ///
    /// # Errors
    /// [`Error::Lock`] if it is not held.
    pub fn unlock_chain(&self, key: &[u8]) -> Result<()> {
        let answer = self.chain("unlock_chain", key, tdb_sys::tdb_chainunlock)?;
        self.released("unlock_chain", answer)
    }

    /// Locks the chain of `key` for writing as long as the guard lives.
    ///
    /// # Errors
    /// As [`lock_chain`](Self::lock_chain).
    pub fn chain_guard<'a>(&'a self, key: &'a [u8]) -> Result<ChainGuard<'a>> {
        self.lock_chain(key)?;
        Ok(ChainGuard { tdb: self, key })
    }

    /// Locks the chain of `key` for reading. (With mutexes a read lock excludes readers too.)
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn lock_chain_read(&self, key: &[u8]) -> Result<()> {
        let answer = self.chain("lock_chain_read", key, tdb_sys::tdb_chainlock_read)?;
        self.answer("lock_chain_read", answer)
    }

    /// Locks the chain of `key` for reading; `false` if another process excludes that.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn try_lock_chain_read(&self, key: &[u8]) -> Result<bool> {
        let answer = self.chain(
            "try_lock_chain_read",
            key,
            tdb_sys::tdb_chainlock_read_nonblock,
        )?;
        self.tried("try_lock_chain_read", answer)
    }

    /// Gives back one read lock of the chain of `key`.
    ///
    /// # Errors
    /// [`Error::Lock`] if it is not held.
    pub fn unlock_chain_read(&self, key: &[u8]) -> Result<()> {
        let answer = self.chain("unlock_chain_read", key, tdb_sys::tdb_chainunlock_read)?;
        self.released("unlock_chain_read", answer)
    }

    /// Counts the chain of `key` as locked for writing because another process holds that lock on
    /// our behalf. Nothing is locked; without that process the file is open to damage.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn mark_chain(&self, key: &[u8]) -> Result<()> {
        let answer = self.chain("mark_chain", key, tdb_sys::tdb_chainlock_mark)?;
        self.answer("mark_chain", answer)
    }

    /// Ends [`mark_chain`](Self::mark_chain), before the other process unlocks.
    ///
    /// # Errors
    /// [`Error::Lock`] if it is not marked.
    pub fn unmark_chain(&self, key: &[u8]) -> Result<()> {
        let answer = self.chain("unmark_chain", key, tdb_sys::tdb_chainlock_unmark)?;
        self.released("unmark_chain", answer)
    }

    /// Locks all chains for writing, waiting for other processes. Chain locks must not be held.
    /// (With mutexes this visits every chain: see `hash_size`.)
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn lock_all(&self) -> Result<()> {
        let answer = self.whole("lock_all", tdb_sys::tdb_lockall)?;
        self.answer("lock_all", answer)
    }

    /// Locks all chains for writing; `false` if another process holds any lock.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn try_lock_all(&self) -> Result<bool> {
        let answer = self.whole("try_lock_all", tdb_sys::tdb_lockall_nonblock)?;
        self.tried("try_lock_all", answer)
    }

    /// Ends [`lock_all`](Self::lock_all).
    ///
    /// # Errors
    /// [`Error::Lock`] if it is not held.
    pub fn unlock_all(&self) -> Result<()> {
        let answer = self.whole("unlock_all", tdb_sys::tdb_unlockall)?;
        self.released("unlock_all", answer)
    }

    /// Locks all chains for reading.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn lock_all_read(&self) -> Result<()> {
        let answer = self.whole("lock_all_read", tdb_sys::tdb_lockall_read)?;
        self.answer("lock_all_read", answer)
    }

    /// Locks all chains for reading; `false` if another process excludes that.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn try_lock_all_read(&self) -> Result<bool> {
        let answer = self.whole("try_lock_all_read", tdb_sys::tdb_lockall_read_nonblock)?;
        self.tried("try_lock_all_read", answer)
    }

    /// Ends [`lock_all_read`](Self::lock_all_read).
    ///
    /// # Errors
    /// [`Error::Lock`] if it is not held.
    pub fn unlock_all_read(&self) -> Result<()> {
        let answer = self.whole("unlock_all_read", tdb_sys::tdb_unlockall_read)?;
        self.released("unlock_all_read", answer)
    }

    /// Counts the whole database as locked for writing because another process holds that lock on
    /// our behalf.
    ///
    /// # Errors
    /// [`Error::Lock`], also when a dead process left a transaction to recover: that cannot be
    /// done under a mark.
    pub fn mark_all(&self) -> Result<()> {
        let answer = self.whole("mark_all", tdb_sys::tdb_lockall_mark)?;
        self.answer("mark_all", answer)
    }

    /// Ends [`mark_all`](Self::mark_all), before the other process unlocks.
    ///
    /// # Errors
    /// [`Error::Lock`] if it is not marked.
    pub fn unmark_all(&self) -> Result<()> {
        let answer = self.whole("unmark_all", tdb_sys::tdb_lockall_unmark)?;
        self.released("unmark_all", answer)
    }

    /// Whether some other process is in the middle of a traverse: it has a lock on the record that it has arrived at
    /// (`tdb_lock_record`, 1.4.8), and goes on from there. While a chain is locked here, no traverse can arrive in it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] for a database without a file.
    pub fn is_traversed_elsewhere(&self) -> Result<bool> {
        let operation = "is_traversed_elsewhere";
        self.enter(operation)?;
        let Some(fd) = self.fd() else {
            return Err(Error::Invalid(self.context(operation).with("no file")));
        };
        let mut lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: self.first_record(),
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open, and the lock lives across the call, which only asks.
        match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETLK, &raw mut lock) } {
            -1 => Err(self.error(operation)),
            _ => Ok(lock.l_type != libc::F_UNLCK as libc::c_short),
        }
    }

    /// Where records begin in the file: locks before are those of chains (`TDB_DATA_START`, 1.4.8).
    fn first_record(&self) -> libc::off_t {
        const HEADER: libc::off_t = 168;
        HEADER + 4 * (libc::off_t::from(self.hash_size()) + 1)
    }
}

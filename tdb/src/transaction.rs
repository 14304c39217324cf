//! Transactions: all changes or none, also across a crash unless `NOSYNC`.
//!
//! libtdb refuses to begin while this process holds, or has marked, any lock. A database that a
//! lock process keeps frozen for us is therefore not marked but accessed by
//! [`Tdb::without_locks`], around `begin` and around `commit` (as C's ctdb_freeze.c does; between
//! the two the transaction itself counts as the whole-database lock).

use crate::{
    db::Tdb,
    error::{Error, Result},
    options::Flags,
};

/// Takes `NOLOCK` away again, also when the work panics.
struct LocksRestored<'a> {
    tdb: &'a Tdb,
    before: Flags,
}

impl Drop for LocksRestored<'_> {
    fn drop(&mut self) {
        if !self.before.contains(Flags::NOLOCK) {
            // It fails only for a database that was opened without locks.
            let _ = self.tdb.remove_flags(Flags::NOLOCK);
        }
    }
}

impl Tdb {
    /// Starts a transaction, waiting for the one of another process. No locks may be held.
    ///
    /// # Errors
    /// [`Error::Nesting`] inside a transaction with `DISALLOW_NESTING`; [`Error::Lock`] if locks
    /// are held; [`Error::Invalid`] if read-only or internal; [`Error::Busy`] in a traverse.
    pub fn begin(&self) -> Result<()> {
        self.enter_alone("begin")?;
        // SAFETY: the context is valid.
        let answer = unsafe { tdb_sys::tdb_transaction_start(self.raw()) };
        self.answer("begin", answer)
    }

    /// Starts a transaction; `false` if another process is in one. It still waits for chain locks
    /// of other processes (`_tdb_transaction_start`, 1.4.8).
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn try_begin(&self) -> Result<bool> {
        self.enter_alone("try_begin")?;
        // SAFETY: the context is valid.
        match unsafe { tdb_sys::tdb_transaction_start_nonblock(self.raw()) } {
            -1 if self.code() == tdb_sys::TDB_ERR_NOLOCK => Ok(false),
            answer => self.answer("try_begin", answer).map(|()| true),
        }
    }

    /// Whether this database is in a transaction, of [`begin`](Self::begin) or of `repack`.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        // SAFETY: the context is valid, and the call only reads it.
        unsafe { tdb_sys::tdb_transaction_active(self.raw()) }
    }

    /// The first half of a commit: everything that can fail for lack of space is done, and
    /// nobody else can write until `commit` or `cancel`.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a transaction; otherwise the transaction is over, cancelled.
    pub fn prepare_commit(&self) -> Result<()> {
        self.enter_transaction("prepare_commit")?;
        // SAFETY: the context is valid.
        let answer = unsafe { tdb_sys::tdb_transaction_prepare_commit(self.raw()) };
        self.answer("prepare_commit", answer)
    }

    /// Makes the changes of the transaction visible, and durable unless `NOSYNC`.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a transaction; otherwise the transaction is over, and the old
    /// content stands.
    pub fn commit(&self) -> Result<()> {
        self.enter_transaction("commit")?;
        // SAFETY: the context is valid.
        let answer = unsafe { tdb_sys::tdb_transaction_commit(self.raw()) };
        self.answer("commit", answer)
    }

    /// Drops the changes of the transaction.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a transaction.
    pub fn cancel(&self) -> Result<()> {
        self.enter_transaction("cancel")?;
        // SAFETY: the context is valid.
        let answer = unsafe { tdb_sys::tdb_transaction_cancel(self.raw()) };
        self.answer("cancel", answer)
    }

    /// Calls `work` while this process takes no locks at all (`NOLOCK`). Only while another process
    /// holds the whole database on our behalf: without it the file is open to damage.
    ///
    /// # Errors
    /// [`Error::Busy`] inside `parse`.
    pub fn without_locks<R>(&self, work: impl FnOnce(&Self) -> R) -> Result<R> {
        self.enter("without_locks")?;
        let _restored = LocksRestored {
            tdb: self,
            before: self.flags(),
        };
        self.add_flags(Flags::NOLOCK)?;
        Ok(work(self))
    }

    fn enter_transaction(&self, operation: &'static str) -> Result<()> {
        self.enter_alone(operation)?;
        match self.in_transaction() {
            true => Ok(()),
            false => {
                let context = self.context(operation).with("no transaction is open");
                Err(Error::Invalid(context))
            }
        }
    }
}

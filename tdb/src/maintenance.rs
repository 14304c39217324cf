//! The database as a whole: numbers, flags, checks, wiping and repacking.

use std::{
    ffi::{CStr, c_int},
    ptr,
};

use crate::{
    db::Tdb,
    error::{Error, Result},
    options::Flags,
};

impl Tdb {
    /// Deletes all records under the whole-database lock.
    ///
    /// # Errors
    /// [`Error::Lock`], [`Error::ReadOnly`], [`Error::Corrupt`], [`Error::Io`], [`Error::Busy`].
    pub fn wipe_all(&self) -> Result<()> {
        self.enter_alone("wipe_all")?;
        // SAFETY: the context is valid.
        let answer = unsafe { tdb_sys::tdb_wipe_all(self.raw()) };
        self.answer("wipe_all", answer)
    }

    /// Writes all records anew, in one transaction, so that free space is in one piece. It takes
    /// time and memory for the whole database.
    ///
    /// # Errors
    /// As [`begin`](Self::begin) and [`commit`](Self::commit).
    pub fn repack(&self) -> Result<()> {
        self.enter_alone("repack")?;
        // libtdb opens a temporary database for it, so its list is about to change.
        let _serialised = crate::registry::lock();
        // SAFETY: the context is valid, and other threads are kept from libtdb's list.
        let answer = unsafe { tdb_sys::tdb_repack(self.raw()) };
        self.answer("repack", answer)
    }

    /// Reads the whole file and checks that all records, chains and free space fit together.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with what was found first; [`Error::Lock`], [`Error::Io`].
    pub fn check(&self) -> Result<()> {
        self.enter_alone("check")?;
        // SAFETY: the context is valid, and there is no callback to be called.
        let answer = unsafe { tdb_sys::tdb_check(self.raw(), None, ptr::null_mut()) };
        self.answer("check", answer)
    }

    /// The sequence number, which changes of a database with [`Flags::SEQNUM`] increment.
    #[must_use]
    pub fn seqnum(&self) -> u32 {
        // SAFETY: the context is valid; four bytes of the header are read.
        unsafe { tdb_sys::tdb_get_seqnum(self.raw()) }.cast_unsigned()
    }

    /// Increments the sequence number without locking; nothing without [`Flags::SEQNUM`].
    pub fn bump_seqnum(&self) {
        // SAFETY: the context is valid; four bytes of the header are written, which moves nothing.
        unsafe { tdb_sys::tdb_increment_seqnum_nonblock(self.raw()) };
    }

    /// Begins to count changes, in this process: others that store need the flag too.
    pub fn enable_seqnum(&self) {
        // SAFETY: the context is valid; a flag in it is set.
        unsafe { tdb_sys::tdb_enable_seqnum(self.raw()) };
    }

    /// The flags in force, with those that libtdb added.
    #[must_use]
    pub fn flags(&self) -> Flags {
        // SAFETY: the context is valid, and the call only reads it.
        let bits = unsafe { tdb_sys::tdb_get_flags(self.raw()) };
        Flags::from_bits_retain(bits.cast_unsigned())
    }

    /// Adds flags: `NOLOCK`, `NOSYNC`, `SEQNUM`, `VOLATILE`, or one of the two on nesting, which
    /// replaces the other. Locks held must be given back under the same `NOLOCK` as they were taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other flags.
    pub fn add_flags(&self, flags: Flags) -> Result<()> {
        self.enter_flags("add_flags", flags)?;
        // SAFETY: the context is valid, and none of these flags says how its memory is managed.
        unsafe { tdb_sys::tdb_add_flags(self.raw(), flags.bits()) };
        Ok(())
    }

    /// Takes flags away; the same ones as in [`add_flags`](Self::add_flags).
    ///
    /// # Errors
    /// [`Error::Invalid`] for other flags, and for `NOLOCK` of a database that was opened so.
    pub fn remove_flags(&self, flags: Flags) -> Result<()> {
        self.enter_flags("remove_flags", flags)?;
        // SAFETY: as in `add_flags`.
        unsafe { tdb_sys::tdb_remove_flags(self.raw(), flags.bits()) };
        match self.flags().intersects(flags) {
            true => Err(self.invalid_flags("remove_flags", flags)),
            false => Ok(()),
        }
    }

    fn enter_flags(&self, operation: &'static str, flags: Flags) -> Result<()> {
        self.enter(operation)?;
        let both = Flags::ALLOW_NESTING | Flags::DISALLOW_NESTING;
        match Flags::CHANGEABLE.contains(flags) && !flags.contains(both) {
            true => Ok(()),
            false => Err(self.invalid_flags(operation, flags)),
        }
    }

    fn invalid_flags(&self, operation: &'static str, flags: Flags) -> Error {
        Error::Invalid(self.context(operation).with(format!("{flags:?}")))
    }

    /// The number of hash chains of the file.
    #[must_use]
    pub fn hash_size(&self) -> u32 {
        // SAFETY: the context is valid, and the call only reads it.
        unsafe { tdb_sys::tdb_hash_size(self.raw()) }.cast_unsigned()
    }

    /// The size of the file in bytes, without mutexes, as far as this process has noticed.
    #[must_use]
    pub fn map_size(&self) -> usize {
        // SAFETY: the context is valid, and the call only reads it.
        unsafe { tdb_sys::tdb_map_size(self.raw()) }
    }

    /// The number of pieces of free space, before neighbours were merged (which this does, unless
    /// read-only). The free list is checked first, since `tdb_freelist_size` (1.4.8) follows a
    /// loop for ever.
    ///
    /// # Errors
    /// [`Error::Lock`], [`Error::Corrupt`], [`Error::Io`].
    pub fn freelist_size(&self) -> Result<usize> {
        self.validate_freelist()?;
        self.enter("freelist_size")?;
        // SAFETY: the context is valid.
        let size = unsafe { tdb_sys::tdb_freelist_size(self.raw()) };
        usize::try_from(size).map_err(|_| self.error("freelist_size"))
    }

    /// As [`freelist_size`](Self::freelist_size), without the check, which takes many times as long and keeps
    /// others from getting space meanwhile. In a file with a loop it waits for ever, as any store does that needs
    /// space there.
    ///
    /// # Errors
    /// [`Error::Lock`], [`Error::Corrupt`], [`Error::Io`].
    pub fn free_pieces(&self) -> Result<usize> {
        self.enter("free_pieces")?;
        // SAFETY: the context is valid.
        let size = unsafe { tdb_sys::tdb_freelist_size(self.raw()) };
        usize::try_from(size).map_err(|_| self.error("free_pieces"))
    }

    /// Checks the free list for loops, and gives its length.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Lock`], [`Error::Io`].
    pub fn validate_freelist(&self) -> Result<usize> {
        self.enter("validate_freelist")?;
        let mut count: c_int = 0;
        // libtdb remembers what it has seen in an internal database of its own.
        let _serialised = crate::registry::lock();
        // SAFETY: the context is valid, and other threads are kept from libtdb's list.
        let answer = unsafe { tdb_sys::tdb_validate_freelist(self.raw(), &mut count) };
        self.answer("validate_freelist", answer)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// libtdb's page of text about sizes and fragmentation. The file is checked first, since
    /// `tdb_summary` (1.4.8) walks it believing every length, for ever if they lead round.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn summary(&self) -> Result<String> {
        self.check()?;
        self.enter_alone("summary")?;
        // SAFETY: the context is valid.
        let text = unsafe { tdb_sys::tdb_summary(self.raw()) };
        if text.is_null() {
            return Err(self.error("summary"));
        }
        // SAFETY: libtdb gives a terminated string in memory of malloc.
        let summary = unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned();
        // SAFETY: the caller is to free it, and it is not used again.
        unsafe { libc::free(text.cast()) };
        Ok(summary)
    }

    /// How many dead records a chain may keep for reuse before deleting frees their space.
    pub fn set_max_dead(&self, records: u32) {
        let records = c_int::try_from(records).unwrap_or(c_int::MAX);
        // SAFETY: the context is valid; a number in it is set.
        unsafe { tdb_sys::tdb_set_max_dead(self.raw(), records) };
    }
}

//! How a database is opened and written.

use bitflags::bitflags;

bitflags! {
    /// libtdb's `TDB_*` open flags.
    ///
    /// CTDB opens volatile databases with 0x1c41 (`CLEAR_IF_FIRST | NOSYNC | DISALLOW_NESTING |
    /// INCOMPATIBLE_HASH | MUTEX_LOCKING`), and persistent ones with 0x400 (`DISALLOW_NESTING`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Flags: u32 {
        /// Clear the database if no other process has it open with this flag.
        const CLEAR_IF_FIRST = tdb_sys::TDB_CLEAR_IF_FIRST;
        /// In memory only: no file, no locks, no transactions.
        const INTERNAL = tdb_sys::TDB_INTERNAL;
        /// Take no locks at all.
        const NOLOCK = tdb_sys::TDB_NOLOCK;
        /// Read and write the file instead of mapping it.
        const NOMMAP = tdb_sys::TDB_NOMMAP;
        /// The file has the other byte order (set by libtdb).
        const CONVERT = tdb_sys::TDB_CONVERT;
        /// The file is big-endian (set by libtdb).
        const BIGENDIAN = tdb_sys::TDB_BIGENDIAN;
        /// Transactions do not sync to disk.
        const NOSYNC = tdb_sys::TDB_NOSYNC;
        /// Count changes in a sequence number.
        const SEQNUM = tdb_sys::TDB_SEQNUM;
        /// Keep up to five dead records in a chain for reuse.
        const VOLATILE = tdb_sys::TDB_VOLATILE;
        /// Transactions may nest (libtdb's default).
        const ALLOW_NESTING = tdb_sys::TDB_ALLOW_NESTING;
        /// Transactions must not nest.
        const DISALLOW_NESTING = tdb_sys::TDB_DISALLOW_NESTING;
        /// The Jenkins hash instead of the old one, for a new file.
        const INCOMPATIBLE_HASH = tdb_sys::TDB_INCOMPATIBLE_HASH;
        /// Chain locks are robust mutexes inside the file. A new file needs `CLEAR_IF_FIRST` too.
        const MUTEX_LOCKING = tdb_sys::TDB_MUTEX_LOCKING;

        /// CTDB's volatile databases.
        const CTDB_VOLATILE = 0x1c41;
        /// CTDB's persistent databases.
        const CTDB_PERSISTENT = 0x0400;
    }
}

impl Flags {
    /// What may change while the database is open. The others decide how the file is mapped, or
    /// describe it.
    pub(crate) const CHANGEABLE: Self = Self::NOLOCK
        .union(Self::NOSYNC)
        .union(Self::SEQNUM)
        .union(Self::VOLATILE)
        .union(Self::ALLOW_NESTING)
        .union(Self::DISALLOW_NESTING);

    /// Why libtdb could not open anything with these flags.
    pub(crate) fn contradiction(self, read_only: bool) -> Option<&'static str> {
        let mutexes = self.contains(Self::MUTEX_LOCKING);
        if self.contains(Self::ALLOW_NESTING | Self::DISALLOW_NESTING) {
            Some("ALLOW_NESTING and DISALLOW_NESTING exclude each other")
        } else if mutexes && self.contains(Self::INTERNAL) {
            Some("MUTEX_LOCKING and INTERNAL exclude each other")
        } else if mutexes && self.contains(Self::NOMMAP) {
            Some("MUTEX_LOCKING and NOMMAP exclude each other")
        } else if read_only && self.contains(Self::INTERNAL) {
            Some("an INTERNAL database cannot be read-only")
        } else {
            None
        }
    }
}

/// How to open a database. The default opens or creates a plain file for reading and writing,
/// mode 0600, with libtdb's own number of chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Number of hash chains of a new file; 0 is libtdb's default (131). CTDB's is 100001.
    pub hash_size: u32,
    /// The open flags.
    pub flags: Flags,
    /// Create the file if it is missing (or empty).
    pub create: bool,
    /// With `create`: fail if the file exists.
    pub exclusive: bool,
    /// Open for reading; libtdb then takes no locks and clears nothing.
    pub read_only: bool,
    /// Permission bits of a new file, before the umask.
    pub mode: u32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            hash_size: 0,
            flags: Flags::empty(),
            create: true,
            exclusive: false,
            read_only: false,
            mode: 0o600,
        }
    }
}

/// What a store expects of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreMode {
    /// Nothing: create or overwrite.
    #[default]
    Replace,
    /// That there is none yet.
    Insert,
    /// That there is one.
    Modify,
}

impl StoreMode {
    pub(crate) fn to_c(self) -> i32 {
        let flag = match self {
            Self::Replace => tdb_sys::TDB_REPLACE,
            Self::Insert => tdb_sys::TDB_INSERT,
            Self::Modify => tdb_sys::TDB_MODIFY,
        };
        flag.cast_signed()
    }
}

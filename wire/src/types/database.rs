//! Databases: which there are, and what controls say about them.

use crate::coding::{wire_flags, wire_struct};
use crate::types::RecordHeader;
use crate::{DbId, Generation, Pnn, ReqId, Srvid};

/// For DB_PULL: records of any lmaster.
pub const LMASTER_ANY: u32 = 0xFFFF_FFFF;

wire_flags! {
    /// What kind of database it is.
    pub struct DbFlags: u8 {
        /// Kept on disk, written in transactions.
        const PERSISTENT = 0x1;
        /// Hands out read-only delegations.
        const READONLY = 0x2;
        /// Keeps hot records for a while.
        const STICKY = 0x4;
        /// Written in transactions, not kept.
        const REPLICATED = 0x8;
    }
}

impl DbFlags {
    /// Neither persistent nor replicated: its records migrate from node to node.
    #[must_use]
    pub fn is_volatile(self) -> bool {
        !self.intersects(Self::PERSISTENT | Self::REPLICATED)
    }
}

wire_struct! {
    /// A database as GET_DBMAP lists it: 8 bytes.
    pub struct DbIdFlags {
        /// Its number.
        pub db: DbId,
        /// Its kind.
        pub flags: DbFlags => pad 3,
    }

    /// GET_DBMAP: a count and the databases.
    pub struct DbMap {
        /// In the order they were attached, newest first.
        pub dbs: Vec<DbIdFlags>,
    }

    /// How large a database is: 8 bytes.
    pub struct DbSize {
        /// Its number.
        pub db: DbId,
        /// Its file, in KiB.
        pub kib: u32,
    }

    /// RECOVERY_WANTED, a message of this implementation: a count and the sender's databases.
    pub struct DbSizes {
        /// In any order.
        pub dbs: Vec<DbSize>,
    }

    /// GET_DB_SEQNUM's request: the database in 8 bytes.
    pub struct DbSeqnum {
        /// Which database.
        pub db: DbId => pad 4,
    }

    /// PULL_DB, retired.
    pub struct PullDb {
        /// Which database.
        pub db: DbId,
        /// Only records of this lmaster, or [`LMASTER_ANY`].
        pub lmaster: u32,
    }

    /// DB_PULL, DB_PUSH_START: 16 bytes.
    pub struct PullDbExt {
        /// Which database.
        pub db: DbId,
        /// Only records of this lmaster, or [`LMASTER_ANY`].
        pub lmaster: u32,
        /// Where the records go, as messages.
        pub srvid: Srvid,
    }

    /// DB_VACUUM: 5 bytes.
    pub struct DbVacuum {
        /// Which database.
        pub db: DbId,
        /// Walk the whole database, not only the records known as deleted.
        pub full_vacuum_run: bool,
    }

    /// WIPE_DATABASE, DB_TRANSACTION_START, DB_TRANSACTION_COMMIT.
    pub struct TransDb {
        /// Which database.
        pub db: DbId,
        /// The recovery's generation.
        pub transaction: Generation,
    }

    /// TRAVERSE_START, TRAVERSE_KILL: 16 bytes.
    pub struct TraverseStart {
        /// Which database.
        pub db: DbId,
        /// The client's number for this traverse.
        pub reqid: ReqId,
        /// Where the client wants the records.
        pub srvid: Srvid,
    }

    /// TRAVERSE_START_EXT: 24 bytes.
    pub struct TraverseStartExt {
        /// Which database.
        pub db: DbId,
        /// The client's number for this traverse.
        pub reqid: ReqId,
        /// Where the client wants the records.
        pub srvid: Srvid,
        /// Whether deleted records (no data) are wanted too.
        pub with_empty_records: bool => pad 7,
    }

    /// TRAVERSE_ALL: 24 bytes.
    pub struct TraverseAll {
        /// Which database.
        pub db: DbId,
        /// The starting node's number for this traverse.
        pub reqid: ReqId,
        /// The starting node.
        pub pnn: Pnn,
        /// The client's number for this traverse.
        pub client_reqid: ReqId,
        /// Where the client wants the records.
        pub srvid: Srvid,
    }

    /// TRAVERSE_ALL_EXT: 32 bytes.
    pub struct TraverseAllExt {
        /// Which database.
        pub db: DbId,
        /// The starting node's number for this traverse.
        pub reqid: ReqId,
        /// The starting node.
        pub pnn: Pnn,
        /// The client's number for this traverse.
        pub client_reqid: ReqId,
        /// Where the client wants the records.
        pub srvid: Srvid,
        /// Whether deleted records (no data) are wanted too.
        pub with_empty_records: bool => pad 7,
    }

    /// SCHEDULE_FOR_DELETION: db, 4 bytes of padding, header, keylen, key.
    pub struct KeyData {
        /// Which database.
        pub db: DbId => pad 4,
        /// The record's header when it was emptied.
        pub header: RecordHeader,
        /// The record's key.
        pub key: Vec<u8>,
    }

    /// PUSH_RECORD (after 4.17): a record that smbd has written, for all active nodes, without an answer.
    pub struct PushRecord {
        /// The sender's; in another one the copy is not kept.
        pub generation: Generation,
        /// Which database.
        pub db: DbId,
        /// The record's header; its data master has stored a newer one.
        pub header: RecordHeader,
        /// The record's key.
        pub key: Vec<u8>,
        /// The record's value, without header.
        pub value: Vec<u8>,
    }
}

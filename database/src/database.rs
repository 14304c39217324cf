//! One attached database: its kind, its generation and everything that waits for it.

use std::collections::{BTreeMap, VecDeque};

use wire::types::{DbFlags, DbStatistics, HOT_KEYS, HotKey};
use wire::{DbId, Generation};

use crate::cluster_view::ClusterView;
use crate::commit::{Applying, Commit};
use crate::freeze::Freeze;
use crate::hot_keys::Migrations;
use crate::io::WorkId;
use crate::migration::{Fetching, LockWait, Parked};
use crate::readonly::Delegations;
use crate::recovery::{Ordered, Push};
use crate::residence::Residents;
use crate::seqnum::Seqnum;
use crate::sticky::Sticky;
use crate::store::Opened;
use crate::vacuum::Vacuum;

/// How an attached database is, to be looked at from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseState {
    /// The recovery that last gave it its content.
    pub generation: Generation,
    /// Nobody uses it.
    pub frozen: bool,
    /// Nobody uses it, or soon nobody will.
    pub freezing: bool,
    /// Whether a recovery believes its records.
    pub trusted: bool,
}

/// A database that is attached on this node.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) id: DbId,
    pub(crate) name: String,
    pub(crate) flags: DbFlags,
    pub(crate) opened: Opened,
    /// Databases are listed by this, the newest first.
    pub(crate) attached: u64,
    /// The recovery that last gave this database its content.
    pub(crate) generation: Generation,
    pub(crate) freeze: Freeze,
    /// Volatile records that were written while the node was not part of the cluster must not be pulled.
    pub(crate) invalid_records: bool,
    /// Packets for keys whose chain somebody else has locked, in order of arrival.
    pub(crate) lock_waits: BTreeMap<Vec<u8>, LockWait>,
    /// Packets that came while the database was frozen, or not yet of the present generation.
    pub(crate) frozen_queue: Vec<Parked>,
    /// Keys that a client's call is fetching from another node, with the local calls that wait for the outcome.
    pub(crate) fetching: BTreeMap<Vec<u8>, Fetching>,
    pub(crate) delegations: Delegations,
    pub(crate) sticky: Sticky,
    /// Records that came a moment ago.
    pub(crate) residents: Residents,
    pub(crate) migrations: Migrations,
    /// The transaction that a local client is committing on all nodes.
    pub(crate) commit: Option<Commit>,
    /// UPDATE_RECORDs that a worker applies to the local copy, in order.
    pub(crate) applying: BTreeMap<WorkId, Applying>,
    pub(crate) push: Option<Push>,
    /// What the worker that holds the frozen database has still to do, in order.
    pub(crate) orders: VecDeque<Ordered>,
    pub(crate) seqnum: Option<Seqnum>,
    pub(crate) vacuum: Vacuum,
    pub(crate) statistics: DbStatistics,
}

impl Database {
    pub(crate) fn new(
        id: DbId,
        name: String,
        flags: DbFlags,
        opened: Opened,
        attached: u64,
        generation: Generation,
    ) -> Self {
        Self {
            id,
            name,
            flags,
            opened,
            attached,
            generation,
            freeze: Freeze::default(),
            invalid_records: false,
            lock_waits: BTreeMap::new(),
            frozen_queue: Vec::new(),
            fetching: BTreeMap::new(),
            delegations: Delegations::default(),
            sticky: Sticky::default(),
            residents: Residents::default(),
            migrations: Migrations::default(),
            commit: None,
            applying: BTreeMap::new(),
            push: None,
            orders: VecDeque::new(),
            seqnum: None,
            vacuum: Vacuum::default(),
            statistics: DbStatistics::default(),
        }
    }

    pub(crate) fn state(&self) -> DatabaseState {
        DatabaseState {
            generation: self.generation,
            frozen: self.freeze.is_frozen(),
            freezing: self.freeze.has_begun(),
            trusted: !self.invalid_records,
        }
    }

    /// Between a new vnnmap and the recovery of this database its records are where the old map says, and nobody can be
    /// told: the new location master of a key would make it anew beside the one that the old one knows of.
    pub(crate) fn is_of(&self, view: &ClusterView) -> bool {
        self.generation == view.vnn_map.generation
    }

    /// Neither persistent nor replicated: records migrate.
    pub(crate) fn is_volatile(&self) -> bool {
        self.flags.is_volatile()
    }

    pub(crate) fn is_persistent(&self) -> bool {
        self.flags.contains(DbFlags::PERSISTENT)
    }

    /// GET_DB_STATISTICS. C always sends the full number of hot keys, most of them empty.
    pub(crate) fn statistics_reply(&self) -> DbStatistics {
        let mut statistics = self.statistics.clone();
        statistics.hot_keys.resize_with(HOT_KEYS, HotKey::default);
        statistics.num_hot_keys = HOT_KEYS as u32;
        statistics
    }
}

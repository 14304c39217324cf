//! What is known of a run from outside, and the rules that follow from it.
//!
//! Every value that a client writes to a volatile record is a *version*: numbers that only grow. A *lineage* is what the
//! records are in one generation. Every copy has a *tag* for each key: the newest version that the node had when it was
//! data master or passed the record on.

mod commits;
mod modes;
mod records;
mod recoveries;
mod traverses;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use wire::{ClientId, DbId, Generation, Pnn, Time};

use crate::world::CommitId;
use commits::Acknowledged;
use recoveries::Recovery;
use traverses::Walk;

/// Versions by key.
pub(crate) type Versions = BTreeMap<Vec<u8>, u64>;

/// What a copy was when the transaction of a recovery began on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prior {
    generation: Generation,
    /// Whether its records counted.
    trusted: bool,
    /// Which transaction.
    begun: u64,
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    last_version: u64,
    /// Versions that are deletions.
    deleted: BTreeSet<u64>,
    lineages: BTreeMap<(DbId, Generation), Versions>,
    /// The last deletion of each key, written over or not.
    deletions: BTreeMap<(DbId, Generation), Versions>,
    /// Versions that came to a node with a packet.
    arrived: BTreeMap<(usize, DbId, Vec<u8>), u64>,
    recoveries: BTreeMap<(DbId, Generation), Recovery>,
    /// The location masters of each generation.
    maps: BTreeMap<Generation, Vec<Pnn>>,
    recovered: u64,
    /// Transactions of recoveries, counted over all nodes.
    last_begun: u64,
    /// Those of them whose records the leader has had.
    pulled: BTreeSet<u64>,
    /// Traverses that go on, by node and client.
    walks: BTreeMap<(usize, ClientId), Walk>,
    last_commit: CommitId,
    acknowledged: BTreeMap<CommitId, Acknowledged>,
    /// Managers that know that they have lost the cluster lock.
    lost_lock: BTreeSet<usize>,
    /// When the holder lost it, whether it knows or not.
    pub(crate) lock_lost_at: BTreeMap<usize, Time>,
    /// Questions of managers that begin a recovery of a database, by node and token.
    begun: BTreeMap<(usize, u64), (DbId, Generation, usize)>,
}

impl Oracle {
    pub(crate) fn new_commit(&mut self) -> CommitId {
        self.last_commit += 1;
        self.last_commit
    }

    pub(crate) fn recoveries(&self) -> u64 {
        self.recovered
    }

    pub(crate) fn has_lock(&mut self, n: usize) {
        self.lost_lock.remove(&n);
        self.lock_lost_at.remove(&n);
    }

    pub(crate) fn lost_lock(&mut self, n: usize) {
        self.lost_lock.insert(n);
    }

    pub(crate) fn forget_manager(&mut self, n: usize) {
        self.lost_lock.remove(&n);
        self.lock_lost_at.remove(&n);
        self.begun.retain(|(node, _), _| *node != n);
    }

    /// Whether a record of this version has no value.
    fn is_empty(&self, version: u64) -> bool {
        version == 0 || self.deleted.contains(&version)
    }
}

/// The version that a value says it is; none for an empty one.
fn version_of(data: &[u8]) -> Option<u64> {
    let bytes = data.get(..8)?.try_into().ok()?;
    Some(u64::from_le_bytes(bytes))
}

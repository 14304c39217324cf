//! One machine: its files, its daemon if it runs, its workers and clients.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ctdbd::daemon::Daemon;
use database::io::WorkId;
use wire::{ClientId, DbId, Generation, Time};

use super::clients::Client;
use super::managers::Clusterd;
use super::workers::Running;
use crate::disk::Disk;
use crate::mutation::Mutation;
use crate::oracle::Prior;
use crate::script::CLIENTS;

/// A node.
pub(crate) struct Node {
    pub(crate) disk: Rc<RefCell<Disk>>,
    pub(crate) daemon: Option<Daemon>,
    /// Counts starts and ends of the daemon: what was meant for one life does not reach the next.
    pub(crate) life: u64,
    pub(super) started: Time,
    /// The timer that is set.
    pub(super) armed: Option<Time>,
    pub(super) manager: Option<Clusterd>,
    pub(super) managers: u64,
    pub(super) jobs: BTreeMap<WorkId, Running>,
    pub(super) clients: BTreeMap<ClientId, Client>,
    /// Who is in which place now.
    pub(super) places: [Option<ClientId>; CLIENTS as usize],
    pub(super) last_client: u32,
    pub(super) hung_until: Time,
    /// A start is planned.
    pub(super) starting: bool,
    /// What each database was when a recovery last began on it.
    pub(crate) prior: BTreeMap<DbId, Prior>,
    /// In which generation the daemon last accepted a commit of a recovery.
    pub(crate) accepted: BTreeMap<DbId, Generation>,
    pub(crate) was_in_recovery: bool,
    /// What is frozen while it is inactive.
    pub(crate) still: BTreeSet<DbId>,
    /// The clients that the daemon knows of.
    pub(super) known: BTreeSet<ClientId>,
    /// Its workers were killed: freezes end, and come again.
    pub(crate) restless_until: Time,
}

impl Node {
    pub(super) fn new(n: usize, mutation: Option<Mutation>) -> Self {
        Self {
            disk: Rc::new(RefCell::new(Disk::new(n as u32, mutation))),
            daemon: None,
            life: 0,
            started: Time::ZERO,
            armed: None,
            manager: None,
            managers: 0,
            jobs: BTreeMap::new(),
            clients: BTreeMap::new(),
            places: [None; CLIENTS as usize],
            last_client: 0,
            hung_until: Time::ZERO,
            starting: false,
            prior: BTreeMap::new(),
            accepted: BTreeMap::new(),
            was_in_recovery: true,
            still: BTreeSet::new(),
            known: BTreeSet::new(),
            restless_until: Time::ZERO,
        }
    }

    /// The daemon's own time.
    pub(super) fn time(&self, now: Time) -> Time {
        Time(now.0.saturating_sub(self.started.0))
    }

    /// The generation of a database here; none if it is not in use.
    pub(crate) fn generation(&self, db: DbId) -> Option<Generation> {
        let state = self.daemon.as_ref()?.database(db)?;
        (!state.frozen && state.generation != Generation::INVALID).then_some(state.generation)
    }

    /// A client of this machine still has the files of an earlier daemon open.
    pub(super) fn has_leftovers(&self) -> bool {
        self.clients.values().any(|client| client.life != self.life)
    }
}

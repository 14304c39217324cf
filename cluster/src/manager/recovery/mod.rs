//! The recovery: the leader makes the active nodes agree on every record.
//!
//! ```text
//!   Nodemap -> Verify -> Capabilities -> Generations -> DbMap -> Activate -> Start -> VnnMap
//!                                                                                       |
//!                               complete <- End <- Normalize <- Databases <-------------+
//!                                  any failure ends the recovery; the leader tries again
//! ```
//!
//! The participants are the connected nodes that say of themselves that they are active. Each is
//! asked the same in each phase, and all must do it, or the recovery fails with a culprit. In
//! `Databases` some databases at a time go through [`database`]'s machine, each up to three times; the
//! small ones first, since their users wait for as long as they are not done ([`sizes`]).
//! The order and the conditions are those of `ctdb_recovery_helper.c`, 4.17.12, except that one
//! lost node ends it at once, and that the nodes are asked for their generations ([`origins`]).

pub(super) mod database;
mod merge;
mod origins;
mod pull;
mod push;
mod sizes;

use std::collections::{BTreeMap, VecDeque};

use database::{Database, Fault, Setup, Spec};
pub(super) use origins::Origins;
pub(super) use sizes::Sizes;
use tracing::{error, info, warn};
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::types::{Capabilities, DbFlags, DbMap, NodeFlags, NodeMap, RecoveryMode, VnnMap};
use wire::{DbId, Pnn, Srvid};

use super::gather::{Failure, Gather};
use super::io::{ControlAnswer, ControlFailure, Token};
use super::ports::Io;
use super::view::View;

/// How many databases are recovered at once: it bounds the memory for merged copies.
const AT_ONCE: usize = 8;
/// How often a database is tried, and how many faults of a node are too many (`NUM_RETRIES`, 4.17.12).
const ATTEMPTS: u32 = 3;

/// Where the recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Nodemap,
    Verify,
    Capabilities,
    Generations,
    DbMap,
    Activate,
    Start,
    VnnMap,
    Databases,
    Normalize,
    End,
    Complete,
    Failed,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// All participants did what they were asked.
    Answered,
    /// One did not.
    Fault,
}

/// The whole machine.
pub(super) const fn next(phase: Phase, event: Event) -> Phase {
    match (phase, event) {
        (Phase::Complete | Phase::Failed, _) => phase,
        (_, Event::Fault) => Phase::Failed,
        (Phase::Nodemap, Event::Answered) => Phase::Verify,
        (Phase::Verify, Event::Answered) => Phase::Capabilities,
        (Phase::Capabilities, Event::Answered) => Phase::Generations,
        (Phase::Generations, Event::Answered) => Phase::DbMap,
        (Phase::DbMap, Event::Answered) => Phase::Activate,
        (Phase::Activate, Event::Answered) => Phase::Start,
        (Phase::Start, Event::Answered) => Phase::VnnMap,
        (Phase::VnnMap, Event::Answered) => Phase::Databases,
        (Phase::Databases, Event::Answered) => Phase::Normalize,
        (Phase::Normalize, Event::Answered) => Phase::End,
        (Phase::End, Event::Answered) => Phase::Complete,
    }
}

/// How far the recovery has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    /// All nodes are in normal mode with the same records.
    Complete,
    /// It is to be tried again.
    Failed {
        /// Who gets a banning credit for it.
        blame: Vec<Pnn>,
        /// Who is to be banned at once: a database failed on it too often.
        ban: Option<Pnn>,
    },
}

/// A recovery in progress.
#[derive(Debug)]
pub(super) struct Recovery {
    phase: Phase,
    setup: Setup,
    gather: Gather,
    /// The nodes that our own node map has as inactive: they may fail to answer.
    inactive: Vec<Pnn>,
    capabilities: BTreeMap<Pnn, Capabilities>,
    sizes: Sizes,
    waiting: VecDeque<Spec>,
    running: BTreeMap<DbId, Database>,
    attempts: BTreeMap<DbId, u32>,
    credits: BTreeMap<Pnn, u32>,
    total: usize,
    recovered: usize,
}

impl Recovery {
    /// Starts one, with a new generation.
    pub(super) fn begin(io: &mut Io<'_>, view: &View, sizes: &Sizes, origins: Origins) -> Self {
        let setup = Setup {
            leader: view.pnn,
            generation: io.new_generation(),
            nodes: vec![view.pnn],
            timeout: view.control_timeout(),
            buffer_limit: view.tunables.rec_buffer_size_limit as usize,
            origins,
        };
        let mut recovery = Self {
            phase: Phase::Nodemap,
            setup,
            gather: Gather::default(),
            inactive: Vec::new(),
            capabilities: BTreeMap::new(),
            sizes: sizes.clone(),
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            attempts: BTreeMap::new(),
            credits: BTreeMap::new(),
            total: 0,
            recovered: 0,
        };
        recovery.enter(io);
        recovery
    }

    /// Ends the recovery where it is; late replies find nobody. What the next attempt has to know is left.
    pub(super) fn abandon(mut self, io: &mut Io<'_>) -> Origins {
        for database in self.running.values_mut() {
            database.abandon(io);
        }
        self.setup.origins
    }

    /// A node has said how large its databases are.
    pub(super) fn note_sizes(&mut self, sizes: &Sizes) {
        self.sizes = sizes.clone();
    }

    /// Takes records that were pulled.
    pub(super) fn handle_records(&mut self, srvid: Srvid, data: &[u8]) {
        for database in self.running.values_mut() {
            database.handle_records(srvid, data);
        }
    }

    /// Takes a reply, if it is one of the recovery's.
    pub(super) fn handle_reply(
        &mut self,
        io: &mut Io<'_>,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) -> Option<Progress> {
        if self.gather.take(token, result).is_some() {
            return Some(self.advance(io));
        }
        let mut databases = self.running.iter_mut();
        let (db, progress) = databases.find_map(|(db, database)| {
            Some((*db, database.handle_reply(io, &self.setup, token, result)?))
        })?;
        Some(match progress {
            database::Progress::Waiting => Progress::Waiting,
            database::Progress::Done => self.on_database_done(io, db),
            database::Progress::Failed(fault) => self.on_database_failed(io, db, &fault),
        })
    }

    /// Goes on when the phase has all its answers.
    fn advance(&mut self, io: &mut Io<'_>) -> Progress {
        if self.gather.is_waiting() {
            return Progress::Waiting;
        }
        let event = match self.check() {
            Ok(()) => Event::Answered,
            Err(blame) => {
                error!(phase = ?self.phase, "recovery failed");
                return self.fail(blame, None);
            }
        };
        self.done();
        self.phase = next(self.phase, event);
        self.enter(io)
    }

    fn fail(&mut self, blame: Vec<Pnn>, ban: Option<Pnn>) -> Progress {
        self.phase = next(self.phase, Event::Fault);
        Progress::Failed { blame, ban }
    }

    /// Asks the participants for what the phase is about.
    fn enter(&mut self, io: &mut Io<'_>) -> Progress {
        let request = match self.phase {
            Phase::Nodemap | Phase::Verify => Request::GetNodemap,
            Phase::Capabilities => Request::GetCapabilities,
            Phase::Generations => Request::GetVnnMap,
            Phase::DbMap => Request::GetDbMap,
            Phase::Activate => Request::SetRecmode(RecoveryMode::Active),
            Phase::Start => Request::StartRecovery,
            Phase::VnnMap => {
                self.setup.origins.begin(self.setup.generation);
                Request::SetVnnMap(self.vnnmap())
            }
            Phase::Databases => {
                self.sizes.sort(self.waiting.make_contiguous());
                return self.start_databases(io);
            }
            Phase::Normalize => Request::SetRecmode(RecoveryMode::Normal),
            Phase::End => Request::EndRecovery,
            Phase::Complete => return Progress::Complete,
            Phase::Failed => return Progress::Waiting,
        };
        let nodes = self.setup.nodes.iter().copied();
        self.gather = Gather::ask(
            io,
            nodes,
            &request,
            ControlFlags::empty(),
            self.setup.timeout,
        );
        Progress::Waiting
    }

    /// The lmasters among the participants, or the leader alone.
    fn vnnmap(&self) -> VnnMap {
        let is_lmaster = |pnn: &Pnn| {
            self.capabilities
                .get(pnn)
                .is_some_and(|c| c.contains(Capabilities::LMASTER))
        };
        let mut map: Vec<Pnn> = self
            .setup
            .nodes
            .iter()
            .copied()
            .filter(is_lmaster)
            .collect();
        if map.is_empty() {
            warn!("No active lmasters found. Adding leader anyway");
            map.push(self.setup.leader);
        }
        VnnMap {
            generation: self.setup.generation,
            map,
        }
    }

    /// Looks at the answers; the error is whom to blame.
    fn check(&mut self) -> Result<(), Vec<Pnn>> {
        let failures = self.gather.failures();
        for (pnn, failure) in &failures {
            error!(%pnn, %failure, phase = ?self.phase, "control failed in recovery");
        }
        if self.phase != Phase::Verify && !failures.is_empty() {
            return Err(to_blame(&failures));
        }
        let garbled = |(pnn, _): (Pnn, Failure)| vec![pnn];
        match self.phase {
            Phase::Nodemap => self.take_nodemap(self.gather.decode().map_err(garbled)?),
            Phase::Verify => {
                self.take_participants(self.gather.decode().map_err(garbled)?, &failures)
            }
            Phase::Capabilities => {
                self.capabilities = self.gather.decode().map_err(garbled)?;
                Ok(())
            }
            Phase::Generations => {
                let maps = self.gather.decode().map_err(garbled)?;
                self.setup.origins.learn(maps);
                Ok(())
            }
            Phase::DbMap => self.take_dbmaps(self.gather.decode().map_err(garbled)?),
            _ => Ok(()),
        }
    }

    fn take_nodemap(&mut self, mut maps: BTreeMap<Pnn, NodeMap>) -> Result<(), Vec<Pnn>> {
        let nodemap = maps.remove(&self.setup.leader).ok_or_else(Vec::new)?;
        let nodes = &nodemap.nodes;
        let connected = nodes
            .iter()
            .filter(|n| !n.flags.contains(NodeFlags::DISCONNECTED));
        self.setup.nodes = connected.map(|node| node.pnn).collect();
        self.inactive = nodes
            .iter()
            .filter(|n| n.flags.is_inactive())
            .map(|node| node.pnn)
            .collect();
        self.leader_takes_part()
    }

    /// Keeps the nodes that say of themselves that they are active.
    fn take_participants(
        &mut self,
        maps: BTreeMap<Pnn, NodeMap>,
        failures: &[(Pnn, Failure)],
    ) -> Result<(), Vec<Pnn>> {
        let needed: Vec<_> = failures
            .iter()
            .filter(|(pnn, _)| !self.inactive.contains(pnn))
            .cloned()
            .collect();
        if !needed.is_empty() {
            return Err(to_blame(&needed));
        }
        let is_active = |(pnn, map): &(Pnn, NodeMap)| {
            map.get(*pnn).is_some_and(|node| !node.flags.is_inactive())
        };
        self.setup.nodes = maps
            .into_iter()
            .filter(is_active)
            .map(|(pnn, _)| pnn)
            .collect();
        self.leader_takes_part()
    }

    /// A leader that was banned or stopped must not recover the cluster (bug 16082 of upstream).
    fn leader_takes_part(&self) -> Result<(), Vec<Pnn>> {
        let leader = self.setup.leader;
        if self.setup.nodes.contains(&leader) && !self.inactive.contains(&leader) {
            return Ok(());
        }
        error!("This node can no longer be leader, abort recovery");
        Err(Vec::new())
    }

    /// The union of the databases of all participants.
    fn take_dbmaps(&mut self, maps: BTreeMap<Pnn, DbMap>) -> Result<(), Vec<Pnn>> {
        let mut specs: BTreeMap<DbId, Spec> = BTreeMap::new();
        for (pnn, map) in maps {
            for entry in map.dbs {
                // These are set where a client asked for them; an attach cannot carry them.
                let flags = entry.flags - (DbFlags::READONLY | DbFlags::STICKY);
                let spec = specs.entry(entry.db).or_insert_with(|| Spec {
                    db: entry.db,
                    flags,
                    holders: Vec::new(),
                });
                if spec.flags != flags {
                    let (db, a, b) = (entry.db, flags.bits(), spec.flags.bits());
                    error!("Incompatible database flags for {db} (0x{a:x} != 0x{b:x})");
                    return Err(vec![pnn]);
                }
                if !spec.holders.contains(&pnn) {
                    spec.holders.push(pnn);
                }
            }
        }
        self.total = specs.len();
        self.waiting = specs.into_values().collect();
        Ok(())
    }

    fn start_databases(&mut self, io: &mut Io<'_>) -> Progress {
        while let Some(spec) = self.waiting.front()
            && self.running.len() < AT_ONCE
            && self.sizes.may_join(spec.db, self.running.keys())
            && let Some(spec) = self.waiting.pop_front()
        {
            self.running
                .insert(spec.db, Database::begin(io, &self.setup, spec));
        }
        if !self.running.is_empty() {
            return Progress::Waiting;
        }
        self.done();
        self.phase = next(self.phase, Event::Answered);
        self.enter(io)
    }

    fn on_database_done(&mut self, io: &mut Io<'_>, db: DbId) -> Progress {
        self.running.remove(&db);
        self.recovered += 1;
        self.start_databases(io)
    }

    fn on_database_failed(&mut self, io: &mut Io<'_>, db: DbId, fault: &Fault) -> Progress {
        let Some(failed) = self.running.remove(&db) else {
            return Progress::Waiting;
        };
        if fault.failure == Failure::Gone {
            return self.give_up_databases(io, None);
        }
        let credits = self.credits.entry(fault.node).or_default();
        *credits += u32::from(fault.credit);
        let ban = (*credits >= ATTEMPTS).then_some(fault.node);
        let attempts = self.attempts.entry(db).or_default();
        *attempts += 1;
        if *attempts >= ATTEMPTS {
            return self.give_up_databases(io, Some((fault.node, ban)));
        }
        info!("recover database {db}, attempt {}", *attempts + 1);
        let again = Database::begin(io, &self.setup, failed.spec().clone());
        self.running.insert(db, again);
        Progress::Waiting
    }

    fn give_up_databases(
        &mut self,
        io: &mut Io<'_>,
        culprit: Option<(Pnn, Option<Pnn>)>,
    ) -> Progress {
        for database in self.running.values_mut() {
            database.abandon(io);
        }
        self.running.clear();
        self.done();
        match culprit {
            Some((node, ban)) => self.fail(vec![node], ban),
            None => self.fail(Vec::new(), None),
        }
    }

    /// The log lines of upstream's helper.
    fn done(&self) {
        match self.phase {
            Phase::Activate => info!("Set recovery mode to ACTIVE"),
            Phase::Start => info!("start_recovery event finished"),
            Phase::VnnMap => info!("updated VNNMAP"),
            Phase::Databases => {
                info!("{} of {} databases recovered", self.recovered, self.total);
            }
            Phase::Normalize => info!("Set recovery mode to NORMAL"),
            Phase::End => info!("recovered event finished"),
            _ => {}
        }
    }
}

/// A node that is gone is no culprit.
fn to_blame(failures: &[(Pnn, Failure)]) -> Vec<Pnn> {
    let guilty = failures
        .iter()
        .filter(|(_, failure)| *failure != Failure::Gone);
    guilty.map(|(pnn, _)| *pnn).collect()
}

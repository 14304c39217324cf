//! The recovery of one database.
//!
//! ```text
//!   Naming -> Attaching -> Freezing -> Beginning -+-> Counting -+-> Pulling
//!                                                 +-------------+      |
//!                                                                      v
//!   Thawing <- Committing <- Confirming <- Pushing <- Opening <- Wiping
//!      |                                    |  ^
//!      v                                    +--+ more records
//!    done                  any failure ends the attempt
//! ```
//!
//! In each state all participants are asked the same and must all do it. Two states are special:
//! a volatile database is pulled from all nodes at once and merged; a persistent or replicated
//! one only from the node with the highest sequence number. Pushed records are messages, of which
//! C's daemon drops none but which nothing holds back either: after some of them each node is
//! pinged, and since nothing overtakes on a connection its answer says that it has them.

use core::iter::Peekable;
use core::time::Duration;
use std::collections::BTreeMap;

use tracing::{debug, error, info};
use wire::coding::Decode;
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::types::{DbFlags, DbSeqnum, LMASTER_ANY, PullDbExt, RecBuffer, TransDb};
use wire::{DbId, Generation, Pnn, Srvid};

use super::merge::{Buffers, Merge};
use crate::manager::gather::{Failure, Gather};
use crate::manager::io::{ControlAnswer, ControlFailure, Output, Token};
use crate::manager::ports::Io;

/// How many messages each node is sent before it must show that it has them.
const PUSH_WINDOW: usize = 8;

/// What the databases of one recovery have in common.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) leader: Pnn,
    pub(super) generation: Generation,
    /// All participants.
    pub(super) nodes: Vec<Pnn>,
    /// For each control.
    pub(super) timeout: Duration,
    /// RecBufferSizeLimit, in bytes.
    pub(super) buffer_limit: usize,
}

/// A database as the nodes' database maps have it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) db: DbId,
    /// Without those that clients set (READONLY, STICKY).
    pub(super) flags: DbFlags,
    /// The nodes that have it attached.
    pub(super) holders: Vec<Pnn>,
}

impl Spec {
    /// Whether its copies are compared by sequence number, not by record.
    fn is_counted(&self) -> bool {
        self.flags
            .intersects(DbFlags::PERSISTENT | DbFlags::REPLICATED)
    }
}

/// Where the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum State {
    Naming,
    Attaching,
    Freezing,
    Beginning,
    Counting,
    Pulling,
    Wiping,
    Opening,
    Pushing,
    Confirming,
    Committing,
    Thawing,
    Done,
    Failed,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum Event {
    /// All nodes did what they were asked.
    Answered,
    /// The same, and the copies are to be compared by sequence number.
    AnsweredCounted,
    /// The same, and there are records left to push.
    AnsweredMore,
    /// A node did not.
    Fault,
}

/// The whole machine.
pub(in crate::manager) const fn next(state: State, event: Event) -> State {
    match (state, event) {
        (State::Done | State::Failed, _) => state,
        (_, Event::Fault) => State::Failed,
        (State::Naming, _) => State::Attaching,
        (State::Attaching, _) => State::Freezing,
        (State::Freezing, _) => State::Beginning,
        (State::Beginning, Event::AnsweredCounted) => State::Counting,
        (State::Beginning | State::Counting, _) => State::Pulling,
        (State::Pulling, _) => State::Wiping,
        (State::Wiping, _) => State::Opening,
        (State::Opening, _) | (State::Pushing, Event::AnsweredMore) => State::Pushing,
        (State::Pushing, _) => State::Confirming,
        (State::Confirming, _) => State::Committing,
        (State::Committing, _) => State::Thawing,
        (State::Thawing, _) => State::Done,
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) node: Pnn,
    pub(super) failure: Failure,
    /// Whether the node is to get a banning credit for it, as upstream has it.
    pub(super) credit: bool,
}

/// How far an attempt has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    Done,
    Failed(Fault),
}

#[derive(Debug)]
struct Pull {
    node: Pnn,
    received: u32,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Database {
    spec: Spec,
    state: State,
    name: String,
    gather: Gather,
    newest: Option<Pnn>,
    pulls: BTreeMap<Srvid, Pull>,
    merge: Option<Merge>,
    push_to: Srvid,
    buffers: Option<Peekable<Buffers>>,
    pushed: u32,
}

impl Database {
    /// Starts an attempt.
    pub(super) fn begin(io: &mut Io<'_>, setup: &Setup, spec: Spec) -> Self {
        info!("recover database {}", spec.db);
        let persistent = spec.flags.contains(DbFlags::PERSISTENT);
        let mut database = Self {
            merge: Some(Merge::new(spec.db, setup.leader, persistent)),
            spec,
            state: State::Naming,
            name: String::new(),
            gather: Gather::default(),
            newest: None,
            pulls: BTreeMap::new(),
            push_to: io.fresh_srvid(),
            buffers: None,
            pushed: 0,
        };
        database.enter(io, setup);
        database
    }

    pub(super) const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Takes a reply, if it is one of this database's.
    pub(super) fn handle_reply(
        &mut self,
        io: &mut Io<'_>,
        setup: &Setup,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) -> Option<Progress> {
        self.gather.take(token, result)?;
        if let Some(node) = self.gather.gone() {
            // Without that node nothing can succeed: do not wait for the others.
            let fault = Fault {
                node,
                failure: Failure::Gone,
                credit: false,
            };
            return Some(self.fail(io, fault));
        }
        while !self.gather.is_waiting() {
            let event = match self.check() {
                Ok(event) => event,
                Err(fault) => return Some(self.fail(io, fault)),
            };
            self.leave(io);
            self.state = next(self.state, event);
            if self.state == State::Done {
                return Some(Progress::Done);
            }
            self.enter(io, setup);
        }
        Some(Progress::Waiting)
    }

    /// Takes records, if they were sent to one of this database's pulls.
    pub(super) fn handle_records(&mut self, srvid: Srvid, data: &[u8]) {
        let (Some(pull), Some(merge)) = (self.pulls.get_mut(&srvid), &mut self.merge) else {
            return;
        };
        let records = match RecBuffer::from_bytes(data) {
            Ok(records) if records.db == self.spec.db => records,
            Ok(records) => {
                error!(
                    "Invalid dbid:{} for DB_PULL messages for {}",
                    records.db, self.name
                );
                return;
            }
            Err(err) => {
                error!(%err, "Invalid data received for DB_PULL messages");
                return;
            }
        };
        // Records that are not counted make the count differ, and that fails the pull.
        match merge.add(pull.node, &records) {
            Ok(()) => pull.received = pull.received.saturating_add(records.count),
            Err(err) => error!(%err, "Failed to add records for {}", self.name),
        }
    }

    /// Gives up the SRVIDs that are still registered.
    pub(super) fn abandon(&mut self, io: &mut Io<'_>) {
        for srvid in core::mem::take(&mut self.pulls).into_keys() {
            io.push(Output::DeregisterSrvid(srvid));
        }
    }

    fn fail(&mut self, io: &mut Io<'_>, fault: Fault) -> Progress {
        error!(
            db = self.name, node = %fault.node, failure = %fault.failure,
            "database recovery failed in state {:?}", self.state
        );
        self.abandon(io);
        self.state = next(self.state, Event::Fault);
        Progress::Failed(fault)
    }

    /// Asks the nodes for what the state is about.
    fn enter(&mut self, io: &mut Io<'_>, setup: &Setup) {
        let db = self.spec.db;
        let transaction = TransDb {
            db,
            transaction: setup.generation,
        };
        let request = match self.state {
            State::Naming => return self.ask(io, setup, &Request::GetDbName(db)),
            State::Attaching => return self.attach(io, setup),
            State::Pulling => return self.pull(io, setup),
            State::Pushing => return self.push(io, setup),
            State::Freezing => Request::DbFreeze(db),
            State::Beginning => Request::DbTransactionStart(transaction),
            State::Counting => Request::GetDbSeqnum(DbSeqnum { db }),
            State::Wiping => Request::WipeDatabase(transaction),
            State::Opening => Request::DbPushStart(PullDbExt {
                db,
                lmaster: 0,
                srvid: self.push_to,
            }),
            State::Confirming => Request::DbPushConfirm(db),
            State::Committing => Request::DbTransactionCommit(transaction),
            State::Thawing => Request::DbThaw(db),
            State::Done | State::Failed => return,
        };
        self.ask(io, setup, &request);
    }

    fn ask(&mut self, io: &mut Io<'_>, setup: &Setup, request: &Request) {
        let nodes = match self.state {
            State::Naming => &self.spec.holders,
            _ => &setup.nodes,
        };
        let nodes = nodes.iter().copied();
        self.gather = Gather::ask(io, nodes, request, ControlFlags::empty(), setup.timeout);
    }

    fn attach(&mut self, io: &mut Io<'_>, setup: &Setup) {
        let name = self.name.clone();
        let request = if self.spec.flags.contains(DbFlags::PERSISTENT) {
            Request::DbAttachPersistent(name)
        } else if self.spec.flags.contains(DbFlags::REPLICATED) {
            Request::DbAttachReplicated(name)
        } else {
            Request::DbAttach(name)
        };
        let missing = setup
            .nodes
            .iter()
            .copied()
            .filter(|pnn| !self.spec.holders.contains(pnn));
        let flags = ControlFlags::ATTACH_RECOVERY;
        self.gather = Gather::ask(io, missing, &request, flags, setup.timeout);
    }

    fn pull(&mut self, io: &mut Io<'_>, setup: &Setup) {
        let sources = match self.newest {
            Some(newest) => vec![newest],
            None => setup.nodes.clone(),
        };
        self.gather = Gather::default();
        for node in sources {
            let srvid = io.fresh_srvid();
            io.push(Output::RegisterSrvid(srvid));
            self.pulls.insert(srvid, Pull { node, received: 0 });
            let what = PullDbExt {
                db: self.spec.db,
                lmaster: LMASTER_ANY,
                srvid,
            };
            let request = Request::DbPull(what);
            self.gather
                .add(io, node, request, ControlFlags::empty(), setup.timeout);
        }
    }

    fn push(&mut self, io: &mut Io<'_>, setup: &Setup) {
        let merge = &mut self.merge;
        let buffers = self.buffers.get_or_insert_with(|| {
            let merge = merge
                .take()
                .unwrap_or(Merge::new(self.spec.db, setup.leader, false));
            merge.into_buffers(setup.buffer_limit).peekable()
        });
        for (count, data) in buffers.by_ref().take(PUSH_WINDOW) {
            debug!("Pushing buffer with {count} records for db {}", self.name);
            self.pushed = self.pushed.saturating_add(count);
            for &destination in &setup.nodes {
                let data = data.clone();
                io.push(Output::Message {
                    destination,
                    srvid: self.push_to,
                    data,
                });
            }
        }
        if buffers.peek().is_some() {
            self.ask(io, setup, &Request::Ping);
        } else {
            self.gather = Gather::default();
        }
    }

    /// Frees what the state needed.
    fn leave(&mut self, io: &mut Io<'_>) {
        if self.state == State::Pulling {
            self.abandon(io);
        }
    }

    /// Looks at the answers to what the state asked.
    fn check(&mut self) -> Result<Event, Fault> {
        if let Some((node, failure)) = self.gather.failures().into_iter().next() {
            let credit = matches!(
                self.state,
                State::Attaching | State::Freezing | State::Pulling
            );
            return Err(Fault {
                node,
                failure,
                credit,
            });
        }
        match self.state {
            State::Naming => self.check_names()?,
            State::Attaching => self.check_ids()?,
            State::Beginning if self.spec.is_counted() => return Ok(Event::AnsweredCounted),
            State::Counting => self.find_newest()?,
            State::Pulling => self.check_pulls()?,
            State::Pushing => return Ok(self.check_more()),
            State::Confirming => self.check_pushes()?,
            _ => {}
        }
        Ok(Event::Answered)
    }

    fn check_more(&mut self) -> Event {
        let more = self
            .buffers
            .as_mut()
            .is_some_and(|buffers| buffers.peek().is_some());
        if more {
            Event::AnsweredMore
        } else {
            Event::Answered
        }
    }

    fn answers<T: Decode>(&self) -> Result<BTreeMap<Pnn, T>, Fault> {
        self.gather.decode().map_err(|(node, failure)| Fault {
            node,
            failure,
            credit: true,
        })
    }

    fn check_names(&mut self) -> Result<(), Fault> {
        for (node, name) in self.answers::<String>()? {
            if self.name.is_empty() {
                self.name = name;
            } else if self.name != name {
                let (db, ours) = (self.spec.db, &self.name);
                error!("Incompatible database name for {db} ({name} != {ours}) on node {node}");
                return Err(Fault {
                    node,
                    failure: Failure::Garbled,
                    credit: true,
                });
            }
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<(), Fault> {
        match self
            .answers::<DbId>()?
            .into_iter()
            .find(|(_, db)| *db != self.spec.db)
        {
            Some((node, db)) => {
                error!(
                    "Node {node} attached {} as {db}, not {}",
                    self.name, self.spec.db
                );
                Err(Fault {
                    node,
                    failure: Failure::Garbled,
                    credit: true,
                })
            }
            None => Ok(()),
        }
    }

    /// The first of the nodes with the highest sequence number.
    fn find_newest(&mut self) -> Result<(), Fault> {
        let seqnums = self.answers::<u64>()?;
        let newest = seqnums.iter().rev().max_by_key(|(_, seqnum)| **seqnum);
        if let Some((node, seqnum)) = newest {
            info!(
                "Pull persistent db {} from node {node} with seqnum 0x{seqnum:x}",
                self.name
            );
            self.newest = Some(*node);
        }
        Ok(())
    }

    fn check_pulls(&self) -> Result<(), Fault> {
        let counts = self.answers::<u32>()?;
        for pull in self.pulls.values() {
            let (node, received) = (pull.node, pull.received);
            let sent = counts.get(&node).copied().unwrap_or_default();
            if sent != received {
                error!(
                    "mismatch ({sent} != {received}) in DB_PULL records for db {}",
                    self.name
                );
                return Err(Fault {
                    node,
                    failure: Failure::Garbled,
                    credit: true,
                });
            }
            info!(
                "Pulled {received} records for db {} from node {node}",
                self.name
            );
        }
        Ok(())
    }

    fn check_pushes(&self) -> Result<(), Fault> {
        let pushed = self.pushed;
        for (node, received) in self.answers::<u32>()? {
            if received != pushed {
                let name = &self.name;
                error!("Node {node} received {received} of {pushed} records for {name}");
                return Err(Fault {
                    node,
                    failure: Failure::Garbled,
                    credit: false,
                });
            }
        }
        info!("Pushed {pushed} records for db {}", self.name);
        Ok(())
    }
}

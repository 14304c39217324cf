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
//! one only from the node with the highest sequence number, of several by [`super::origins`]. And while records are pushed, a ping
//! after each window of messages keeps them from piling up.

use core::time::Duration;
use std::collections::BTreeMap;

use tracing::{error, info};
use wire::coding::Decode;
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::types::{DbFlags, DbSeqnum, LMASTER_ANY, PullDbExt, TransDb};
use wire::{DbId, Generation, Pnn, Srvid};

use super::merge::Merge;
use super::origins::Origins;
use super::pull::Pulls;
use super::push::Push;
use crate::manager::gather::{Failure, Gather};
use crate::manager::io::{ControlAnswer, ControlFailure, Token};
use crate::manager::ports::Io;

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
    pub(super) origins: Origins,
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
        !self.flags.is_volatile()
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

/// One attempt.
#[derive(Debug)]
pub(super) struct Database {
    spec: Spec,
    state: State,
    name: String,
    gather: Gather,
    newest: Option<Pnn>,
    pulls: Option<Pulls>,
    merge: Option<Merge>,
    push: Option<Push>,
}

impl Database {
    /// Starts an attempt.
    pub(super) fn begin(io: &mut Io<'_>, setup: &Setup, spec: Spec) -> Self {
        info!("recover database {}", spec.db);
        let mut database = Self {
            spec,
            state: State::Naming,
            name: String::new(),
            gather: Gather::default(),
            newest: None,
            pulls: None,
            merge: None,
            push: None,
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
            let event = match self.check(setup) {
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
        if let Some(pulls) = &mut self.pulls {
            pulls.handle_records(srvid, data);
        }
    }

    /// Gives up the SRVIDs that are still registered.
    pub(super) fn abandon(&mut self, io: &mut Io<'_>) {
        self.merge = self.pulls.take().map(|pulls| pulls.end(io));
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
            State::Opening => Request::DbPushStart(self.open(io, setup)),
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
        let (db, leader) = (self.spec.db, setup.leader);
        let merge = Merge::new(db, leader, self.spec.flags.contains(DbFlags::PERSISTENT));
        let newest = self.newest.map(|newest| vec![newest]);
        let sources = newest.unwrap_or_else(|| setup.nodes.clone());
        let (pulls, gather) = Pulls::begin(io, setup, merge, db, &sources);
        (self.pulls, self.gather) = (Some(pulls), gather);
    }

    fn open(&mut self, io: &mut Io<'_>, setup: &Setup) -> PullDbExt {
        // Anything else would leave the nodes with an empty database.
        let merge = self
            .merge
            .take()
            .expect("records are merged before they are pushed");
        let push = Push::new(io, merge, setup.buffer_limit);
        let (db, srvid) = (self.spec.db, push.srvid());
        self.push = Some(push);
        PullDbExt {
            db,
            lmaster: LMASTER_ANY,
            srvid,
        }
    }

    fn push(&mut self, io: &mut Io<'_>, setup: &Setup) {
        self.gather = Gather::default();
        let Some(push) = &mut self.push else { return };
        push.send_window(io, &setup.nodes);
        if push.has_more() {
            self.ask(io, setup, &Request::Ping);
        }
    }

    /// Frees what the state needed.
    fn leave(&mut self, io: &mut Io<'_>) {
        if self.state == State::Pulling {
            self.abandon(io);
        }
    }

    /// Looks at the answers to what the state asked.
    fn check(&mut self, setup: &Setup) -> Result<Event, Fault> {
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
            State::Counting => self.find_newest(setup)?,
            State::Pulling => self.check_pulls()?,
            State::Pushing => return Ok(self.check_more()),
            State::Confirming => self.check_pushes()?,
            _ => {}
        }
        Ok(Event::Answered)
    }

    fn check_more(&mut self) -> Event {
        let more = self.push.as_mut().is_some_and(Push::has_more);
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

    /// The node with the highest sequence number; of several one whose copy is right, of those the first.
    fn find_newest(&mut self, setup: &Setup) -> Result<(), Fault> {
        let seqnums = self.answers::<u64>()?;
        let origin = |node: Pnn| setup.origins.origin(node, setup.leader);
        let seqnums = seqnums.iter().rev();
        let newest = seqnums.max_by_key(|(node, seqnum)| (**seqnum, origin(**node)));
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
        let sent = self.answers()?;
        let check = self
            .pulls
            .as_ref()
            .map_or(Ok(()), |pulls| pulls.check(&self.name, &sent));
        check.map_err(|node| Fault {
            node,
            failure: Failure::Garbled,
            credit: true,
        })
    }

    fn check_pushes(&self) -> Result<(), Fault> {
        let received = self.answers()?;
        let check = self
            .push
            .as_ref()
            .map_or(Ok(()), |push| push.check(&self.name, &received));
        check.map_err(|node| Fault {
            node,
            failure: Failure::Garbled,
            credit: false,
        })
    }
}

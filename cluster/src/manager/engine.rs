//! The machines of a manager, and the way inputs take to them.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use tracing::{debug, warn};
use wire::message::Message;
use wire::types::{NodeAndFlags, SrvidMessage};
use wire::{MemoryReport, Pnn, Srvid};

use super::census::Census;
use super::cluster_lock::ClusterLock;
use super::culprit::Culprits;
use super::election::Election;
use super::gather::judge;
use super::io::{ControlAnswer, ControlFailure, Input, Output, Settings, Token};
use super::leader::Leadership;
use super::member::Member;
use super::monitor::{Home, Peers};
use super::ports::Io;
use super::recovery::{Origins, Recovery, Sizes};
use super::requests::{Gate, SRVIDS};
use super::stragglers::Stragglers;
use super::takeover::Takeover;
use super::view::View;
use crate::Time;

/// A control whose outcome matters to nothing but the log, or to one flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// FREEZE of the own databases, because the node is inactive.
    Freeze,
    /// SET_BAN_STATE.
    Ban(Pnn),
}

/// All machines of one manager.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) view: View,
    // who leads
    pub(super) leadership: Leadership,
    pub(super) election: Election,
    pub(super) lock: ClusterLock,
    /// The membership with a coordinator, if there is one.
    pub(super) member: Option<Member>,
    /// Unix time since when this node has been active: the older wins elections.
    pub(super) active_since: Duration,
    wall_clock: Duration,
    // what the leader does
    census: Census,
    pub(super) home: Home,
    pub(super) peers: Peers,
    pub(super) next_round: Time,
    /// Since when the own daemon has owed an answer, whatever it is.
    pub(super) unanswered_since: Option<Time>,
    pub(super) culprits: Culprits,
    pub(super) stragglers: Stragglers,
    pub(super) recovery: Option<Recovery>,
    /// Of the databases, as the nodes' daemons have said.
    pub(super) sizes: Sizes,
    pub(super) origins: Origins,
    pub(super) need_recovery: bool,
    pub(super) takeover: Takeover,
    pub(super) need_takeover: bool,
    /// Nodes that are to get addresses in the next takeover run.
    pub(super) rebalance: BTreeSet<Pnn>,
    /// Those of the takeover run in progress.
    pub(super) rebalancing: BTreeSet<Pnn>,
    pub(super) failover_disabled: bool,
    /// Whether the takeover run in progress is the end of a recovery.
    pub(super) ends_recovery: bool,
    // what others asked
    pub(super) takeover_gate: Gate,
    pub(super) recovery_gate: Gate,
    pub(super) takeover_requests: Vec<SrvidMessage>,
    pub(super) chores: BTreeMap<Token, Chore>,
    pub(super) frozen_on_inactive: bool,
}

impl Engine {
    pub(super) fn new(settings: Settings, io: &mut Io<'_>) -> Self {
        for srvid in SRVIDS {
            io.push(Output::RegisterSrvid(srvid));
        }
        let mut view = View::new(settings.pnn, settings.leader_capability);
        view.is_member = settings.coordinator.is_none();
        Self {
            view,
            leadership: Leadership::new(settings.leader_timeout, io.now),
            election: Election::new(),
            lock: ClusterLock::new(settings.cluster_lock, settings.coordinator.is_some()),
            member: settings.coordinator.map(Member::new),
            active_since: settings.wall_clock + io.now.since(Time::ZERO),
            wall_clock: settings.wall_clock,
            census: Census::new(io.now),
            home: Home::default(),
            peers: Peers::default(),
            next_round: io.now,
            unanswered_since: None,
            culprits: Culprits::default(),
            stragglers: Stragglers::default(),
            recovery: None,
            sizes: Sizes::default(),
            origins: Origins::default(),
            need_recovery: false,
            takeover: Takeover::default(),
            need_takeover: false,
            rebalance: BTreeSet::new(),
            rebalancing: BTreeSet::new(),
            failover_disabled: settings.failover_disabled,
            ends_recovery: false,
            takeover_gate: Gate::new("takeover runs"),
            recovery_gate: Gate::new("recoveries"),
            takeover_requests: Vec::new(),
            chores: BTreeMap::new(),
            frozen_on_inactive: false,
        }
    }

    pub(super) fn handle(&mut self, io: &mut Io<'_>, input: Input) {
        if input.is_of_daemon() {
            self.unanswered_since = None;
        }
        match input {
            Input::Message {
                source,
                srvid,
                data,
            } => self.route_message(io, source, srvid, &data),
            Input::ControlReply { token, result } => self.route_reply(io, token, &result),
            Input::Lock(event) => self.on_lock(io, &event),
            Input::Coordinator(news) => self.on_coordinator(io, &news),
            Input::Timer => {}
        }
        self.run_timers(io);
    }

    pub(super) fn poll_timeout(&self) -> Time {
        let others = self
            .leadership
            .poll_timeout()
            .min(self.election.poll_timeout());
        let census = if self.keeps_census() {
            self.census.poll_timeout()
        } else {
            Time::NEVER
        };
        others
            .min(self.next_round)
            .min(census)
            .min(self.lock.poll_timeout())
            .min(
                self.member
                    .as_ref()
                    .map_or(Time::NEVER, Member::poll_timeout),
            )
    }

    fn keeps_census(&self) -> bool {
        self.leadership.is_ours() && !self.lock.is_enabled()
    }

    /// The time of day, which ballots carry.
    pub(super) fn unix_time(&self, now: Time) -> Duration {
        self.wall_clock + now.since(Time::ZERO)
    }

    /// Makes the next round begin at once.
    pub(super) fn hurry(&mut self, io: &Io<'_>) {
        self.next_round = self.next_round.min(io.now);
    }

    fn run_timers(&mut self, io: &mut Io<'_>) {
        self.run_member_timers(io);
        self.run_leader_timers(io);
        if self.next_round <= io.now {
            self.begin_round(io);
        }
        if self.keeps_census() {
            self.census
                .run(io.now, self.view.pnn, &self.view.nodemap.nodes);
        }
    }

    fn route_message(&mut self, io: &mut Io<'_>, source: Pnn, srvid: Srvid, data: &[u8]) {
        if srvid.is_recovery() {
            if let Some(recovery) = &mut self.recovery {
                recovery.handle_records(srvid, data);
            }
            return;
        }
        match Message::decode(srvid, data) {
            Ok(message) => self.on_message(io, source, message),
            Err(err) => warn!(%source, %srvid, %err, "Unable to parse message"),
        }
    }

    fn route_reply(
        &mut self,
        io: &mut Io<'_>,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) {
        if let Some(answers) = self.home.handle_reply(token, result) {
            if let Some(answers) = answers {
                self.on_home(io, answers);
            }
        } else if let Some(progress) = self.peers.handle_reply(io, &self.view, token, result) {
            self.on_peers(io, progress);
        } else if let Some(progress) = self.takeover.handle_reply(io, token, result) {
            self.on_takeover(io, progress);
        } else if let Some(chore) = self.chores.remove(&token) {
            self.on_chore(chore, judge(result.clone(), false));
        } else if let Some(recovery) = &mut self.recovery {
            match recovery.handle_reply(io, token, result) {
                Some(progress) => self.on_recovery(io, progress),
                None => debug!(?token, "late reply"),
            }
        }
    }

    /// What MEM_DUMP answers.
    pub(super) fn memory_report(&self) -> MemoryReport {
        MemoryReport::new(format!("ctdb-clusterd of node {}", self.view.pnn))
            .part::<NodeAndFlags>("nodes", self.view.nodemap.nodes.len())
            .part::<Leadership>("leadership", 1)
            .part::<Election>("election", usize::from(self.election.in_progress()))
            .part::<ClusterLock>("cluster lock", usize::from(self.lock.is_enabled()))
            .part::<Recovery>("recovery", usize::from(self.recovery.is_some()))
            .part::<Sizes>("sizes of databases", 1)
            .part::<Origins>("origins of databases", 1)
            .part::<Census>("census", 1)
            .part::<Home>("own node", 1)
            .part::<Peers>("other nodes", 1)
            .part::<Culprits>("culprits", 1)
            .part::<Stragglers>("stragglers", 1)
            .part::<Takeover>("takeover run", 1)
            .part::<Gate>("gates", 2)
            .part::<SrvidMessage>("takeover requests", self.takeover_requests.len())
            .part::<(Token, Chore)>("chores", self.chores.len())
    }
}

//! How elections, leadership and the cluster lock work together.

use tracing::{error, info, warn};
use wire::Pnn;
use wire::control::Request;
use wire::message::Message;
use wire::types::{ElectionMessage, NodeFlags, RecoveryMode, TimeVal};

use core::time::Duration;

use super::cluster_lock::Effect as LockEffect;
use super::election::{Ballot, Effect, Event};
use super::engine::Engine;
use super::io::LockEvent;
use super::leader::{Effect as LeaderEffect, Event as LeaderEvent};
use super::ports::Io;
use super::view::seconds;

impl Engine {
    /// Broadcasts, listens in vain, counts votes.
    pub(super) fn run_leader_timers(&mut self, io: &mut Io<'_>) {
        if self.lock.poll_timeout() <= io.now {
            self.lock.release(io);
            self.on_lock_refused(io);
        }
        if self.leadership.silence_due(io.now) {
            self.on_silence(io);
        }
        while let Some(event) = self.election.due(io.now) {
            self.step_election(io, event, None);
        }
        if self.leadership.broadcast_due(io.now) && !self.election.in_progress() {
            self.broadcast_leader(io, self.view.pnn);
        }
    }

    fn on_silence(&mut self, io: &mut Io<'_>) {
        if self.election.in_progress() || !self.view.can_lead() || self.is_daemon_mute(io) {
            self.leadership.be_patient(io.now);
            return;
        }
        info!("Leader broadcast timeout");
        if self.leadership.step(io.now, LeaderEvent::Silence) == LeaderEffect::Elect {
            self.call_election(io);
        }
    }

    /// Starts an election, unless there is one.
    pub(super) fn call_election(&mut self, io: &mut Io<'_>) {
        if self.election.in_progress() || self.is_election_moot(io) {
            return;
        }
        error!("Start election");
        if self.lock.is_held() {
            self.become_leader(io);
        } else if self.lock.is_enabled() {
            self.step_election(io, Event::Race, None);
        } else {
            self.step_election(io, Event::Call, None);
        }
    }

    /// This node is not to lead any longer: it was stopped or banned, or lost the leader role.
    pub(super) fn step_down(&mut self, io: &mut Io<'_>) {
        info!("This node can no longer be leader");
        self.lock.release(io);
        self.on_resigned(io);
        self.stop_governing(io);
        self.leadership.step(io.now, LeaderEvent::Forget);
        // With a lock the others race when they miss our broadcasts. Without, a ballot that
        // cannot win makes them vote at once.
        if !self.lock.is_enabled() {
            self.call_election(io);
        }
    }

    fn become_leader(&mut self, io: &mut Io<'_>) {
        self.leadership.step(io.now, LeaderEvent::Lead);
        self.need_recovery = true;
        self.hurry(io);
        self.run_broadcast(io);
    }

    fn run_broadcast(&mut self, io: &mut Io<'_>) {
        if self.leadership.broadcast_due(io.now) {
            self.broadcast_leader(io, self.view.pnn);
        }
    }

    fn broadcast_leader(&self, io: &mut Io<'_>, leader: Pnn) {
        io.message(Pnn::BROADCAST_CONNECTED, &Message::Leader(leader));
    }

    /// Someone, perhaps this node, said who leads.
    pub(super) fn on_leader_broadcast(&mut self, io: &mut Io<'_>, source: Pnn, leader: Pnn) {
        if leader == Pnn::UNKNOWN {
            if source != self.view.pnn {
                self.on_election_announced(io);
            }
        } else if self.election.is_voting() {
            // The winner's period may end before ours. A candidate does not believe it: that
            // broadcast was sent before our ballot arrived.
            if self.election.candidate() != Some(self.view.pnn) && leader != self.view.pnn {
                self.election.nominate(Some(leader));
            }
        } else {
            self.on_leader_claim(io, leader);
        }
    }

    fn on_election_announced(&mut self, io: &mut Io<'_>) {
        self.leadership.be_patient(io.now);
        if self.election.in_progress() {
            return;
        }
        if !self.lock.is_enabled() {
            self.step_election(io, Event::Summons, None);
        } else if self.lock.is_held() {
            self.broadcast_leader(io, self.view.pnn);
        } else if self.view.can_lead() {
            self.step_election(io, Event::Gun, None);
        }
    }

    pub(super) fn on_leader_claim(&mut self, io: &mut Io<'_>, leader: Pnn) {
        if self.is_claim_wrong(leader) {
            return;
        }
        let event = if leader == self.view.pnn {
            LeaderEvent::ClaimForUs
        } else if self.lock.is_held() {
            LeaderEvent::ClaimWithLock(leader)
        } else {
            LeaderEvent::Claim(leader)
        };
        match self.leadership.step(io.now, event) {
            LeaderEffect::Changed => info!("Received leader broadcast, leader={leader}"),
            LeaderEffect::Broadcast => self.broadcast_leader(io, self.view.pnn),
            LeaderEffect::Dispute => {
                warn!("Node {leader} leads, too");
                self.call_election(io);
            }
            LeaderEffect::None | LeaderEffect::Listen | LeaderEffect::Elect => {}
        }
    }

    /// A node stands for leader.
    pub(super) fn on_ballot(&mut self, io: &mut Io<'_>, message: &ElectionMessage) {
        if message.pnn == self.view.pnn {
            return;
        }
        if self.lock.is_enabled() {
            warn!(
                "Node {} votes, but here the cluster lock decides",
                message.pnn
            );
            return;
        }
        let theirs = Ballot {
            pnn: message.pnn,
            connected: message.num_connected,
            since: to_duration(message.priority_time),
            inactive: message.node_flags.is_inactive(),
        };
        let wins = self.view.can_lead() && self.ballot(io).beats(&theirs);
        let event = if wins { Event::Worse } else { Event::Better };
        self.step_election(io, event, Some(message.pnn));
    }

    fn ballot(&self, io: &Io<'_>) -> Ballot {
        let (pnn, inactive) = (self.view.pnn, self.view.is_inactive());
        if !self.view.can_lead() {
            return Ballot {
                pnn,
                connected: 0,
                since: self.unix_time(io.now),
                inactive,
            };
        }
        let connected = u32::try_from(self.view.connected().len()).unwrap_or(u32::MAX);
        Ballot {
            pnn,
            connected,
            since: self.active_since,
            inactive,
        }
    }

    fn cast(&mut self, io: &mut Io<'_>) {
        let ballot = self.ballot(io);
        if self.view.can_lead() {
            self.election.nominate(Some(ballot.pnn));
        }
        let micros = i64::try_from(ballot.since.as_micros()).unwrap_or(i64::MAX);
        let message = ElectionMessage {
            num_connected: ballot.connected,
            priority_time: TimeVal::from_micros(micros),
            pnn: ballot.pnn,
            node_flags: self.view.flags(ballot.pnn).unwrap_or(NodeFlags::empty()),
        };
        io.message(Pnn::BROADCAST_ALL, &Message::Election(message));
    }

    /// Makes a transition of the election and carries its effects out. `other` is whose ballot
    /// it is about.
    fn step_election(&mut self, io: &mut Io<'_>, event: Event, other: Option<Pnn>) {
        let effects = self.election.step(event);
        if self.election.in_progress() {
            self.stop_governing(io);
        }
        for effect in effects {
            self.carry_out(io, *effect, other);
        }
    }

    fn carry_out(&mut self, io: &mut Io<'_>, effect: Effect, other: Option<Pnn>) {
        match effect {
            Effect::Suspend => self.suspend_cluster(io),
            Effect::Announce => self.broadcast_leader(io, Pnn::UNKNOWN),
            Effect::Forget => {
                self.election.nominate(None);
                self.leadership.step(io.now, LeaderEvent::Forget);
            }
            Effect::Cast => self.cast(io),
            Effect::Extend => {
                self.election
                    .extend(io.now, seconds(self.view.tunables.election_timeout));
            }
            Effect::Schedule => self.election.schedule(io.now),
            Effect::Unschedule => self.election.unschedule(),
            Effect::Yield => self.election.nominate(other),
            Effect::TakeLock => self.lock.take(io),
            Effect::Conclude => self.conclude(io),
            Effect::Lead => {
                warn!("Took cluster lock, leader={}", self.view.pnn);
                self.become_leader(io);
            }
        }
    }

    /// Recovery mode ACTIVE stops all traffic between nodes. Nobody waits for it: the winner's
    /// recovery sets it again and makes sure.
    fn suspend_cluster(&self, io: &mut Io<'_>) {
        let mut nodes = self.view.active();
        if nodes.is_empty() {
            nodes.push(self.view.pnn);
        }
        for pnn in nodes {
            io.tell(pnn, Request::SetRecmode(RecoveryMode::Active));
        }
    }

    fn conclude(&mut self, io: &mut Io<'_>) {
        let me = self.view.pnn;
        let winner = self.election.conclude();
        let leader = winner.or(self.leadership.pnn(me)).unwrap_or(Pnn::UNKNOWN);
        warn!("Election period ended, leader={leader}");
        match winner {
            Some(pnn) if pnn != me => {
                self.leadership.step(io.now, LeaderEvent::Follow(pnn));
            }
            Some(_) if self.view.can_lead() => self.become_leader(io),
            _ => self.leadership.be_patient(io.now),
        }
    }

    /// News of the cluster lock.
    pub(super) fn on_lock(&mut self, io: &mut Io<'_>, event: &LockEvent) {
        let (effect, took) = self.lock.handle(io, event);
        match effect {
            LockEffect::Won => self.on_race_won(io, took),
            LockEffect::NotWon => self.on_lock_refused(io),
            LockEffect::Deposed => self.on_deposed(io),
            LockEffect::None | LockEffect::Start | LockEffect::Stop => {}
        }
    }

    fn on_lock_refused(&mut self, io: &mut Io<'_>) {
        self.step_election(io, Event::NotWon, None);
        self.leadership.be_patient(io.now);
    }

    fn on_race_won(&mut self, io: &mut Io<'_>, took: Duration) {
        io.tell(
            self.view.pnn,
            Request::RecdReclockLatency(took.as_secs_f64()),
        );
        if self.view.can_lead() {
            self.step_election(io, Event::Won, None);
        } else {
            self.lock.release(io);
            self.on_resigned(io);
            self.on_lock_refused(io);
        }
    }

    /// The lock is lost: whoever has it now decides, so nothing more is sent, not even an answer.
    /// If nobody is heard for the leader time-out, there will be an election.
    fn on_deposed(&mut self, io: &mut Io<'_>) {
        self.drop_government(io);
        self.leadership.step(io.now, LeaderEvent::Forget);
    }
}

/// A time of a ballot; one before 1970 is as old as can be.
fn to_duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.seconds).unwrap_or_default();
    let micros = u64::try_from(time.microseconds).unwrap_or_default();
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros))
}

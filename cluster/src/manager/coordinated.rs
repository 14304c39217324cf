//! What a coordinator's word means for the machines of the manager. Its leader key takes the place of the cluster lock: who
//! has it leads, and the race for it begins as soon as it is gone.

use core::time::Duration;

use tracing::{error, info, warn};
use wire::Pnn;
use wire::control::Request;
use wire::types::{NodeFlags, RecoveryMode};

use super::engine::Engine;
use super::io::{LockEvent, Output};
use super::leader::Event as LeaderEvent;
use super::member::{Effect, Event, Member};
use super::ports::Io;
use crate::coordinator::{Action, Notification};
use crate::fence;

impl Engine {
    /// News of the coordinator; of none where there is none.
    pub(super) fn on_coordinator(&mut self, io: &mut Io<'_>, news: &Notification) {
        let Some(member) = &mut self.member else {
            return;
        };
        match *news {
            Notification::Started => member.attached(io.now),
            Notification::Joined {
                number,
                revision,
                seconds,
            } => {
                let lease = Duration::from_secs(seconds.into());
                let event = member.joined(io.now, number, revision, lease);
                self.step_member(io, event);
            }
            Notification::Renewed { number } => {
                let event = member.renewed(io.now, number);
                self.step_member(io, event);
            }
            Notification::Expired => self.step_member(io, Some(Event::Ended)),
            Notification::Member { pnn, revision } => self.on_member(io, pnn, revision, true),
            Notification::MemberGone { pnn, revision } => self.on_member(io, pnn, revision, false),
            Notification::Leader { pnn, revision } => self.on_leader_key(io, pnn, revision),
            Notification::LeaderGone => self.on_leader_key_gone(io),
            // the answer to an attempt that has succeeded all the same comes late
            Notification::Contended if self.lock.is_taking() => {
                self.on_lock(io, &LockEvent::Contended);
            }
            Notification::Contended => {}
            Notification::Failed { ref reason } => warn!(%reason, "the coordinator has a problem"),
        }
    }

    pub(super) fn run_member_timers(&mut self, io: &mut Io<'_>) {
        let Some(member) = &mut self.member else {
            return;
        };
        if member.is_over(io.now) {
            error!("The lease with the coordinator could not be renewed in time");
            self.step_member(io, Some(Event::Ended));
        }
        if let Some(action) = self
            .member
            .as_mut()
            .and_then(|m| m.due(io.now, self.view.pnn))
        {
            io.push(Output::Coordinator(action));
        }
    }

    /// Makes the transition, carries its effects out, and tells the own daemon.
    fn step_member(&mut self, io: &mut Io<'_>, event: Option<Event>) {
        let (Some(member), Some(event)) = (&mut self.member, event) else {
            return;
        };
        for effect in member.step(io.now, event) {
            match effect {
                Effect::Admit => self.on_admitted(io),
                Effect::Prolong => {}
                Effect::Depose => self.on_membership_ended(io),
            }
        }
        self.tell_standing(io);
    }

    fn on_admitted(&mut self, io: &Io<'_>) {
        let revision = self.member.as_ref().map(Member::revision);
        info!(revision, "This node is a member of the cluster");
        self.view.is_member = true;
        self.leadership.be_patient(io.now);
    }

    /// Whoever leads now decides; nothing more is sent, as when a cluster lock is lost.
    fn on_membership_ended(&mut self, io: &mut Io<'_>) {
        error!("This node is no member of the cluster any more");
        self.view.is_member = false;
        self.end_term(io);
        self.drop_government(io);
        self.leadership.step(io.now, LeaderEvent::Forget);
    }

    fn on_member(&mut self, io: &mut Io<'_>, pnn: Pnn, revision: u64, is_there: bool) {
        let Some(member) = &mut self.member else {
            return;
        };
        let newer = revision > member.revision();
        if pnn == self.view.pnn && member.is_in() && newer {
            if is_there {
                error!("Another daemon is member as node {pnn}");
            }
            return self.step_member(io, Some(Event::Ended));
        }
        if pnn != self.view.pnn {
            member.raise_floor(pnn, revision);
            info!(%pnn, revision, "{}", if is_there { "member" } else { "no member any more" });
        }
        self.tell_standing(io);
        self.hurry(io);
    }

    fn on_leader_key(&mut self, io: &mut Io<'_>, pnn: Pnn, revision: u64) {
        let Some(member) = &mut self.member else {
            return;
        };
        if !member.leads(pnn, revision) {
            return;
        }
        if pnn != self.view.pnn {
            self.end_term(io);
            self.tell_standing(io);
            if self.view.is_member {
                self.on_leader_claim(io, pnn);
            }
        } else if self.lock.is_held() && member.term == revision {
            // nothing new
        } else if self.lock.is_taking() && member.is_in() {
            member.begin_term(io.now, revision);
            self.tell_standing(io);
            self.on_lock(io, &LockEvent::Taken);
        } else {
            // what an earlier process, or an attempt that was given up, has left
            self.end_term(io);
            io.push(Output::Coordinator(Action::Resign));
        }
    }

    fn on_leader_key_gone(&mut self, io: &mut Io<'_>) {
        let Some(member) = &mut self.member else {
            return;
        };
        member.leader = None;
        self.end_term(io);
        self.tell_standing(io);
        if self.view.can_lead() && !self.election.in_progress() {
            self.leadership.step(io.now, LeaderEvent::Forget);
            self.call_election(io);
        }
    }

    /// The leader key is another's, or nobody's.
    fn end_term(&mut self, io: &mut Io<'_>) {
        if let Some(member) = &mut self.member {
            member.term = 0;
        }
        if self.lock.is_held() {
            self.on_lock(io, &LockEvent::Lost);
        }
    }

    /// The leader key was given back.
    pub(super) fn on_resigned(&mut self, io: &mut Io<'_>) {
        if let Some(member) = self.member.as_mut().filter(|member| member.term != 0) {
            member.term = 0;
            self.tell_standing(io);
        }
    }

    /// Whether there is a coordinator that keeps this node from calling an election. While a leader is out of reach but
    /// has its key, this node has no part in the cluster: it waits in recovery mode.
    pub(super) fn is_election_moot(&mut self, io: &mut Io<'_>) -> bool {
        let me = self.view.pnn;
        match &self.member {
            None => false,
            Some(member) if !member.is_in() => true,
            Some(member) => match member.leader.filter(|leader| *leader != me) {
                None => false,
                Some(leader) => {
                    error!("Node {leader} leads and cannot be heard");
                    io.tell(me, Request::SetRecmode(RecoveryMode::Active));
                    true
                }
            },
        }
    }

    /// Whether a broadcast names whom the coordinator does not.
    pub(super) fn is_claim_wrong(&self, claimed: Pnn) -> bool {
        self.member
            .as_ref()
            .is_some_and(|member| !member.is_in() || member.leader.is_some_and(|l| l != claimed))
    }

    /// Whether a recovery has to wait: after the coordinator, or the nodes, were away, they come back one by one.
    pub(super) fn waits_for_members(&self, io: &Io<'_>) -> bool {
        let nodes = || self.view.nodemap.nodes.iter().map(|node| node.flags);
        let is_missing = |flags: NodeFlags| {
            flags.contains(NodeFlags::DISCONNECTED) && !flags.contains(NodeFlags::DELETED)
        };
        let waits = self
            .member
            .as_ref()
            .is_some_and(|member| member.is_patient(io.now))
            && nodes().any(is_missing);
        if waits {
            info!("Not all nodes are back with the coordinator, waiting for them");
        }
        waits
    }

    fn tell_standing(&self, io: &mut Io<'_>) {
        if let Some(member) = &self.member {
            io.push(Output::Message {
                destination: self.view.pnn,
                srvid: fence::STANDING,
                data: member.standing().to_bytes(),
            });
        }
    }
}

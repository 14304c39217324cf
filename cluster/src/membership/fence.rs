//! The fence around a node that has to be a member by a coordinator's word: none of the others listens to it, and it to none
//! of them, unless both are members.
//!
//! ```text
//!             Standing, in time
//!   Out ----------------------------> In --+ Standing of the same membership: longer
//!    ^     say hello to all            | ^-+
//!    |                                 |
//!    +---------------------------------+
//!      Standing of none, or of another membership; the time is over; the daemon ends:
//!      freeze, release the public addresses, drop all connections
//! ```
//!
//! A connection counts when both its ends have said hello ([`Hello`]), and the other's membership is none that the
//! coordinator has ended since. Until then nothing that comes by it has any effect: what a node sent before it lost its
//! lease, and what it sends because it does not know yet, is refused. Of two leaders only the later one may end a recovery.
//!
//! The time is looked at before anything else in each step, so a daemon that was stopped for a while finds out first.
//! Nothing is marked as invalid in the databases of a node that freezes itself here: if the coordinator was away for all of
//! them, they go on with what they have.

use core::time::Duration;
use std::collections::BTreeMap;

use wire::types::RunState;
use wire::{Generation, Pnn};

use super::{Membership, Notification, Output, Outputs, peer};
use crate::Time;
use crate::fence::{HELLO, Hello, Standing};

/// What this half is told of the coordinator, at its start.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FenceSettings {
    /// The coordinator and the cluster there; all nodes must have the same.
    pub setting: String,
    /// CLOCK_MONOTONIC at [`Time::ZERO`].
    pub monotonic_clock: Duration,
}

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Out,
    In,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The node is a member.
    Member,
    /// The node is a member, but was none for a moment.
    Anew,
    /// The node is a member no longer, or may be.
    Over,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Keep,
    /// Let the others in who are members.
    Open,
    /// Freeze, and drop the others.
    Close,
    /// One after the other.
    CloseAndOpen,
}

pub(super) const fn step(state: State, event: Event) -> (State, Effect) {
    match (state, event) {
        (State::Out, Event::Member | Event::Anew) => (State::In, Effect::Open),
        (State::Out, Event::Over) => (State::Out, Effect::Keep),
        (State::In, Event::Member) => (State::In, Effect::Keep),
        (State::In, Event::Anew) => (State::In, Effect::CloseAndOpen),
        (State::In, Event::Over) => (State::Out, Effect::Close),
    }
}

/// What is known of another node's end of a connection.
#[derive(Debug, Default)]
struct End {
    is_up: bool,
    hello: Option<Hello>,
    complained: bool,
}

/// The machine, and what it knows of the others.
#[derive(Debug)]
pub(super) struct Fence {
    settings: FenceSettings,
    state: State,
    until: Time,
    standing: Standing,
    ends: BTreeMap<Pnn, End>,
    floors: BTreeMap<Pnn, u64>,
    latest_term: u64,
}

impl Fence {
    pub(super) const fn new(settings: FenceSettings) -> Self {
        Self {
            settings,
            state: State::Out,
            until: Time::NEVER,
            standing: Standing {
                until: 0,
                revision: 0,
                term: 0,
                latest_term: 0,
                floors: Vec::new(),
            },
            ends: BTreeMap::new(),
            floors: BTreeMap::new(),
            latest_term: 0,
        }
    }

    fn is_in(&self) -> bool {
        self.state == State::In
    }

    fn handle(&mut self, event: Event) -> Effect {
        let (state, effect) = step(self.state, event);
        self.state = state;
        if state == State::Out {
            self.until = Time::NEVER;
            self.standing.term = 0;
        }
        effect
    }

    fn hello(&self) -> Hello {
        let (revision, term) = match self.state {
            State::In => (self.standing.revision, self.standing.term),
            State::Out => (0, 0),
        };
        let setting = self.settings.setting.clone();
        Hello {
            revision,
            term,
            setting,
        }
    }

    /// Whether that node's packets count.
    fn admits(&self, pnn: Pnn) -> bool {
        let floor = self.floors.get(&pnn).copied().unwrap_or(1).max(1);
        let hello = self.ends.get(&pnn).and_then(|end| end.hello.as_ref());
        self.is_in()
            && hello.is_some_and(|h| h.revision >= floor && h.setting == self.settings.setting)
    }

    fn term_of(&self, pnn: Pnn, me: Pnn) -> u64 {
        if pnn == me {
            return self.standing.term;
        }
        let hello = self.ends.get(&pnn).and_then(|end| end.hello.as_ref());
        hello.map_or(0, |hello| hello.term)
    }

    /// The time on this half's clock.
    fn time(&self, monotonic: u64) -> Time {
        let zero = u64::try_from(self.settings.monotonic_clock.as_nanos()).unwrap_or(u64::MAX);
        Time(monotonic.saturating_sub(zero))
    }
}

impl Membership {
    /// When the fence closes by itself.
    pub(super) fn fence_due(&self) -> Option<Time> {
        let fence = self.fence.as_ref().filter(|fence| fence.is_in())?;
        Some(fence.until)
    }

    /// Whether the time is over: to be asked before anything else in each step of the daemon.
    #[must_use]
    pub fn is_fence_due(&self, now: Time) -> bool {
        self.fence_due().is_some_and(|until| until <= now)
    }

    /// To be called first in each step.
    pub(super) fn watch_fence(&mut self, now: Time, out: &mut Outputs) {
        if self.is_fence_due(now) {
            self.step_fence(
                Event::Over,
                "the lease with the coordinator is nearly over",
                out,
            );
        }
    }

    /// Whether a packet of that node counts; with a coordinator only those of members do.
    #[must_use]
    pub fn admits(&self, from: Pnn) -> bool {
        self.fence.as_ref().is_none_or(|fence| fence.admits(from))
    }

    /// Something other than a hello came from a node that is not admitted. One that never said hello has no coordinator.
    pub(super) fn on_stranger(&mut self, from: Pnn, out: &mut Outputs) {
        let Some(fence) = &mut self.fence else {
            return;
        };
        let end = fence.ends.entry(from).or_default();
        let theirs = match &end.hello {
            None => "another cluster manager, or is a C node".to_owned(),
            Some(hello) if hello.setting != fence.settings.setting => hello.setting.clone(),
            Some(_) => return,
        };
        let reason = format!(
            "Cluster manager configuration inconsistent: this node has {}, node {from} has {theirs}",
            fence.settings.setting
        );
        let complained = core::mem::replace(&mut end.complained, true);
        if self.run_state <= RunState::FirstRecovery {
            self.shut_down(1, reason, out);
        } else if !complained {
            tracing::error!("{reason}; its packets are ignored");
        }
    }

    /// The manager says where this node stands.
    pub(super) fn on_standing(&mut self, now: Time, data: &[u8], out: &mut Outputs) {
        let Some(fence) = &mut self.fence else {
            return;
        };
        let Some(standing) = Standing::from_bytes(data) else {
            return tracing::error!("the manager's standing cannot be read");
        };
        let until = fence.time(standing.until);
        let event = if until <= now || self.run_state == RunState::Shutdown {
            Event::Over
        } else if fence.is_in() && fence.standing.revision != standing.revision {
            Event::Anew
        } else {
            Event::Member
        };
        let news = fence.standing.term != standing.term || event == Event::Anew;
        for &(pnn, floor) in &standing.floors {
            let known = fence.floors.entry(pnn).or_default();
            *known = floor.max(*known);
        }
        fence.latest_term = fence.latest_term.max(standing.latest_term);
        fence.until = until;
        fence.standing = standing;
        self.step_fence(event, "this node is no member by the coordinator", out);
        if news {
            self.greet_all(out);
        }
        self.sort_out(out);
    }

    /// A node introduces itself.
    pub(super) fn on_hello(&mut self, from: Pnn, data: &[u8], out: &mut Outputs) {
        let (Some(fence), Some(hello)) = (&mut self.fence, Hello::from_bytes(data)) else {
            return;
        };
        let alien = hello.setting != fence.settings.setting;
        if !alien {
            fence.latest_term = fence.latest_term.max(hello.term);
        }
        let end = fence.ends.entry(from).or_default();
        end.hello = Some(hello);
        if alien {
            return self.on_stranger(from, out);
        }
        self.sort_out(out);
    }

    /// Both connections with that node are up.
    pub(super) fn fenced_link_up(&mut self, pnn: Pnn, out: &mut Outputs) {
        let Some(fence) = &mut self.fence else {
            return self.on_peer(pnn, peer::Peer::link_up, out);
        };
        fence.ends.entry(pnn).or_default().is_up = true;
        self.greet(pnn, out);
        self.sort_out(out);
    }

    /// One of them broke.
    pub(super) fn fenced_link_down(&mut self, pnn: Pnn, out: &mut Outputs) {
        if let Some(fence) = &mut self.fence {
            let end = fence.ends.entry(pnn).or_default();
            (end.is_up, end.hello) = (false, None);
        }
        self.on_peer(pnn, peer::Peer::link_down, out);
    }

    /// The connections with that node are given up; new ones begin with a hello.
    pub(super) fn forget_hello(&mut self, pnn: Pnn) {
        if let Some(fence) = &mut self.fence {
            fence.ends.remove(&pnn);
        }
    }

    /// Connects with those who are admitted, and drops those who no longer are.
    fn sort_out(&mut self, out: &mut Outputs) {
        let Some(fence) = &self.fence else {
            return;
        };
        let up = fence.ends.iter().filter(|(_, end)| end.is_up);
        let ends: Vec<(Pnn, bool)> = up.map(|(pnn, _)| (*pnn, fence.admits(*pnn))).collect();
        for (pnn, admitted) in ends {
            if admitted {
                self.on_peer(pnn, peer::Peer::link_up, out);
            } else if self.is_connected(pnn) {
                tracing::warn!(%pnn, "is no member any more by the coordinator");
                self.fenced_link_down(pnn, out);
            }
        }
    }

    /// To those who are still strangers hello is said again in each interval.
    pub(super) fn greet_strangers(&self, out: &mut Outputs) {
        let Some(fence) = &self.fence else {
            return;
        };
        let strangers = fence
            .ends
            .iter()
            .filter(|(pnn, end)| end.is_up && !fence.admits(**pnn));
        for (pnn, _) in strangers {
            self.greet(*pnn, out);
        }
    }

    fn greet_all(&self, out: &mut Outputs) {
        let Some(fence) = &self.fence else {
            return;
        };
        for (pnn, _) in fence.ends.iter().filter(|(_, end)| end.is_up) {
            self.greet(*pnn, out);
        }
    }

    fn greet(&self, pnn: Pnn, out: &mut Outputs) {
        if let Some(fence) = &self.fence {
            out.push(Output::Message {
                destination: pnn,
                srvid: HELLO,
                data: fence.hello().to_bytes(),
            });
        }
    }

    fn step_fence(&mut self, event: Event, reason: &str, out: &mut Outputs) {
        let Some(fence) = &mut self.fence else {
            return;
        };
        match fence.handle(event) {
            Effect::Keep => {}
            Effect::Open => self.open_fence(out),
            Effect::Close => self.close_fence(reason, out),
            Effect::CloseAndOpen => {
                self.close_fence(reason, out);
                self.open_fence(out);
            }
        }
    }

    fn open_fence(&self, out: &mut Outputs) {
        tracing::warn!("this node is a member by the coordinator");
        self.greet_all(out);
    }

    fn close_fence(&mut self, reason: &str, out: &mut Outputs) {
        tracing::error!("{reason}: this node freezes its databases and leaves the others");
        self.vnn_map.generation = Generation::INVALID;
        out.notify(Notification::VnnMap(self.vnn_map.clone()));
        self.activate_recovery(reason, out);
        out.notify(Notification::FencedOff);
        for node in self.nodes.map().nodes {
            if node.pnn != self.me && self.is_connected(node.pnn) {
                self.fenced_link_down(node.pnn, out);
            }
        }
    }

    /// The daemon is about to end: the others need not wait for the end of its lease.
    pub(super) fn leave_fence(&mut self, out: &mut Outputs) {
        self.step_fence(Event::Over, "the daemon ends", out);
    }

    /// Why a step of a recovery by that node cannot be made, if it cannot: it does not lead by the coordinator's word.
    pub(super) fn term_refusal(&self, source: Pnn) -> Option<&'static str> {
        let fence = self.fence.as_ref()?;
        let term = fence.term_of(source, self.me);
        if !fence.is_in() {
            Some("Attempt at a recovery while this node is no member")
        } else if term == 0 || term < fence.latest_term {
            Some("Attempt at a recovery by a node that does not lead (any more)")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::table;

    #[test]
    fn table() {
        let states = [State::Out, State::In];
        let events = [Event::Member, Event::Anew, Event::Over];
        insta::assert_snapshot!(table::render(&states, &events, step), @r"
        Out + Member => In, Open
        Out + Anew => In, Open
        Out + Over => Out, Keep
        In + Member => In, Keep
        In + Anew => In, CloseAndOpen
        In + Over => Out, Close
        ");
    }
}

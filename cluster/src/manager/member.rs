//! This node's membership with a coordinator: a lease that has to be renewed, and what the coordinator says of the others.
//!
//! ```text
//!            Joined: admit
//!   Out ----------------------> In --+ Renewed, Joined: prolong
//!    ^                           | ^-+ Replaced: depose, then admit
//!    +---------------------------+
//!         Ended: depose
//! ```
//!
//! A lease counts from the moment it was *asked for*, and for less than it lives: the node has stopped before the
//! coordinator gives its place away. `Ended` is the coordinator's word or this clock, whichever comes first; the own daemon
//! has a clock of its own for it (`membership/fence.rs`), since this process may hang.

use core::time::Duration;
use std::collections::BTreeMap;

use wire::Pnn;

use super::io::CoordinatorSettings;
use crate::Time;
use crate::coordinator::Action;
use crate::fence::Standing;

/// Between two attempts to become a member.
const AGAIN: Duration = Duration::from_secs(1);
/// A lease is renewed so many times in its life, if all goes well.
const RENEWALS: u32 = 5;
/// The least time between the end that this node sees and that of the lease. More of longer leases: a quarter.
const LEAST_MARGIN: Duration = Duration::from_secs(1);

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Out,
    In,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The node is a member, with the revision that is known, if one is.
    Joined,
    /// The node is a member again, after it was none for a moment.
    Replaced,
    /// The lease lives on.
    Renewed,
    /// The lease is over, or may be.
    Ended,
}

/// What follows, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Take part.
    Admit,
    /// Go on taking part.
    Prolong,
    /// Lead no longer, and take no part.
    Depose,
}

/// The whole machine.
pub(super) const fn next(state: State, event: Event) -> (State, &'static [Effect]) {
    match (state, event) {
        (State::Out, Event::Joined | Event::Replaced) => (State::In, &[Effect::Admit]),
        (State::In, Event::Joined | Event::Renewed) => (State::In, &[Effect::Prolong]),
        (State::In, Event::Replaced) => (State::In, &[Effect::Depose, Effect::Admit]),
        (State::In, Event::Ended) => (State::Out, &[Effect::Depose]),
        (State::Out, Event::Renewed | Event::Ended) => (State::Out, &[]),
    }
}

/// The membership of this node, and all that is known of the others'.
#[derive(Debug)]
pub(super) struct Member {
    settings: CoordinatorSettings,
    state: State,
    /// Whether the coordinator's program knows of the membership, and can renew it.
    is_attached: bool,
    revision: u64,
    /// When the membership is no longer safe.
    until: Time,
    /// When to join, or to renew, again.
    next_action: Time,
    /// Questions on their way, and when they were asked.
    asked: BTreeMap<u64, Time>,
    last_number: u64,
    /// Since which revision this node leads; 0: it does not.
    pub(super) term: u64,
    latest_term: u64,
    /// Who leads.
    pub(super) leader: Option<Pnn>,
    floors: BTreeMap<Pnn, u64>,
    /// The daemon has been through no recovery since it was started, or since the membership ended: what the others have may
    /// be newer.
    has_lost_touch: bool,
    /// Until when a leader waits for those who lost touch with it.
    patient_until: Time,
}

impl Member {
    pub(super) const fn new(settings: CoordinatorSettings) -> Self {
        Self {
            settings,
            state: State::Out,
            is_attached: false,
            revision: 0,
            until: Time::NEVER,
            next_action: Time::NEVER,
            asked: BTreeMap::new(),
            last_number: 0,
            term: 0,
            latest_term: 0,
            leader: None,
            floors: BTreeMap::new(),
            has_lost_touch: true,
            patient_until: Time::ZERO,
        }
    }

    pub(super) fn is_in(&self) -> bool {
        self.state == State::In
    }

    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn poll_timeout(&self) -> Time {
        self.until.min(self.next_action)
    }

    /// The coordinator's program is there, and knows nothing.
    pub(super) fn attached(&mut self, now: Time) {
        self.asked.clear();
        self.is_attached = false;
        self.next_action = now;
    }

    /// The question that is due.
    pub(super) fn due(&mut self, now: Time, pnn: Pnn) -> Option<Action> {
        if self.next_action > now {
            return None;
        }
        self.last_number += 1;
        let number = self.last_number;
        let lease = self.settings.lease;
        self.asked.retain(|_, asked| now.since(*asked) < lease);
        self.asked.insert(number, now);
        Some(if self.is_in() && self.is_attached {
            self.next_action = now + lease / RENEWALS;
            Action::Renew { number }
        } else {
            self.next_action = now + AGAIN;
            Action::Join {
                number,
                pnn,
                incarnation: self.settings.incarnation,
                seconds: u32::try_from(lease.as_secs()).unwrap_or(u32::MAX),
            }
        })
    }

    /// Whether the time is over.
    pub(super) fn is_over(&self, now: Time) -> bool {
        self.until <= now
    }

    /// The node has joined: which event that is, if it is not too late to be any.
    pub(super) fn joined(
        &mut self,
        now: Time,
        number: u64,
        revision: u64,
        lease: Duration,
    ) -> Option<Event> {
        let asked = *self.asked.get(&number)?;
        self.settings.lease = lease.max(Duration::from_secs(1));
        let event = if self.revision == 0 || self.revision == revision {
            Event::Joined
        } else {
            Event::Replaced
        };
        let until = asked + (lease - margin(lease));
        if until <= now {
            return None;
        }
        (self.until, self.revision, self.is_attached) = (until, revision, true);
        self.next_action = self.next_action.max(now + lease / RENEWALS);
        Some(event)
    }

    /// The lease was renewed.
    pub(super) fn renewed(&mut self, now: Time, number: u64) -> Option<Event> {
        let lease = self.settings.lease;
        let until = *self.asked.get(&number)? + (lease - margin(lease));
        if !self.is_in() || until <= now {
            return None;
        }
        self.until = self.until.max(until);
        Some(Event::Renewed)
    }

    pub(super) fn step(&mut self, now: Time, event: Event) -> &'static [Effect] {
        let (state, effects) = next(self.state, event);
        self.has_lost_touch |= effects.contains(&Effect::Depose);
        self.state = state;
        if state == State::Out {
            (self.until, self.term, self.is_attached) = (Time::NEVER, 0, false);
            self.asked.clear();
            self.next_action = self.next_action.min(now + AGAIN);
        }
        effects
    }

    /// Nothing older than this counts of a node.
    pub(super) fn raise_floor(&mut self, pnn: Pnn, revision: u64) {
        let floor = self.floors.entry(pnn).or_default();
        *floor = revision.max(*floor);
    }

    /// A node leads. False: that is old news.
    pub(super) fn leads(&mut self, pnn: Pnn, revision: u64) -> bool {
        let is_news = revision >= self.latest_term;
        if is_news {
            (self.latest_term, self.leader) = (revision, Some(pnn));
        }
        is_news
    }

    /// This node leads. If it lost touch, all have: with another one left, that one would lead. They come back one by one,
    /// and a recovery without some of them would lose what only they have: above all where this node has just been started,
    /// and they went on without it.
    pub(super) fn begin_term(&mut self, now: Time, revision: u64) {
        self.term = revision;
        if self.has_lost_touch {
            self.patient_until = now + self.settings.lease;
        }
    }

    /// There has been a recovery.
    pub(super) const fn is_in_touch(&mut self) {
        (self.has_lost_touch, self.patient_until) = (false, Time::ZERO);
    }

    /// The daemon is in normal mode, so there has been a recovery, which another node or an earlier manager has led.
    pub(super) fn daemon_is_normal(&mut self) {
        if self.is_in() && self.leader.is_some() {
            self.is_in_touch();
        }
    }

    pub(super) fn is_patient(&self, now: Time) -> bool {
        now < self.patient_until
    }

    /// What the own daemon has to know.
    pub(super) fn standing(&self) -> Standing {
        let until = if self.is_in() {
            let zero = u64::try_from(self.settings.monotonic_clock.as_nanos()).unwrap_or(u64::MAX);
            zero.saturating_add(self.until.0)
        } else {
            0
        };
        Standing {
            until,
            revision: self.revision,
            term: self.term,
            latest_term: self.latest_term,
            floors: self
                .floors
                .iter()
                .map(|(pnn, floor)| (*pnn, *floor))
                .collect(),
        }
    }
}

fn margin(lease: Duration) -> Duration {
    (lease / 4).max(LEAST_MARGIN).min(lease)
}

//! Who shall lead: by votes, or by a race for the cluster lock.
//!
//! ```text
//!                    Call, Summons, Better, Worse
//!        +------ Idle -----------------------------> Voting <--+ Better, Worse: longer
//!        |        ^ ^                                  |   |   | Resend: vote again
//!        |        | +----------------------------------+   +---+
//!        |        |            PeriodOver
//!        | Race,  |
//!        | Gun    | Won, NotWon
//!        +----> Racing
//! ```
//!
//! Without a cluster lock a node that misses the leader suspends the cluster (recovery mode
//! ACTIVE), says so (a LEADER broadcast of the unknown node) and casts its ballot. A node that
//! would win against a ballot casts its own half a second later; a node that would lose follows
//! it. The election ends when no ballot came for ElectionTimeout.
//!
//! With a cluster lock there are no ballots: the broadcast is the starting gun, everyone tries
//! to take the lock, and the one who gets it leads.
//!
//! There is never an election inside another (bug 16152 of upstream): calls during one are moot.

use core::time::Duration;

use wire::Pnn;

use crate::Time;

/// How long a node waits before it answers a ballot with its own.
const RESEND_AFTER: Duration = Duration::from_millis(500);
/// The period of the first election of a process, when nodes start together.
const FAST_PERIOD: Duration = Duration::from_millis(500);

/// What a node says of itself; the better ballot wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ballot {
    pub(super) pnn: Pnn,
    /// Nodes that it is connected to, itself included. Carried, not compared (4.17.12).
    pub(super) connected: u32,
    /// Unix time since when it has been an active node.
    pub(super) since: Duration,
    /// Whether it is banned, stopped or otherwise out of the game.
    pub(super) inactive: bool,
}

impl Ballot {
    /// Whether this one, of a node that may lead, wins against `other`: an inactive node loses,
    /// then the longest active one wins, then the highest pnn.
    pub(super) fn beats(&self, other: &Self) -> bool {
        other.inactive
            || (other.since, core::cmp::Reverse(other.pnn))
                > (self.since, core::cmp::Reverse(self.pnn))
    }
}

/// Where the election is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Voting,
    Racing,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The leader is missing; no lock is configured.
    Call,
    /// The leader is missing; there is a lock to race for.
    Race,
    /// Another node said that it calls an election; no lock is configured.
    Summons,
    /// The same, and there is a lock to race for.
    Gun,
    /// A ballot came that ours beats.
    Worse,
    /// A ballot came that beats ours.
    Better,
    /// Time to cast our ballot again.
    Resend,
    /// No ballot came for the whole period.
    PeriodOver,
    /// We have the lock.
    Won,
    /// We do not get it.
    NotWon,
}

/// What follows, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Set recovery mode ACTIVE on all active nodes.
    Suspend,
    /// Broadcast that there is no leader.
    Announce,
    /// The leader of before is no longer ours.
    Forget,
    /// Cast our ballot, and be the candidate if we may lead.
    Cast,
    /// (Re)start the period.
    Extend,
    /// Cast our ballot in a moment.
    Schedule,
    /// Do not.
    Unschedule,
    /// The other one is the candidate.
    Yield,
    /// Try to take the lock.
    TakeLock,
    /// The candidate leads.
    Conclude,
    /// We lead.
    Lead,
}

/// The whole machine.
pub(super) const fn next(state: State, event: Event) -> (State, &'static [Effect]) {
    use Effect::*;
    match (state, event) {
        (State::Idle, Event::Call) => (State::Voting, &[Forget, Suspend, Announce, Extend, Cast]),
        (State::Idle, Event::Race) => (State::Racing, &[Forget, Suspend, Announce, TakeLock]),
        (State::Idle, Event::Summons) => (State::Voting, &[Extend]),
        (State::Idle, Event::Gun) => (State::Racing, &[Forget, TakeLock]),
        (State::Idle | State::Voting, Event::Worse) => (State::Voting, &[Extend, Schedule]),
        (State::Idle | State::Voting, Event::Better) => {
            (State::Voting, &[Extend, Unschedule, Yield])
        }
        (State::Voting, Event::Resend) => (State::Voting, &[Cast]),
        (State::Voting, Event::PeriodOver) => (State::Idle, &[Conclude]),
        (State::Racing, Event::Won) => (State::Idle, &[Lead]),
        (State::Racing, Event::NotWon) => (State::Idle, &[]),
        (state, _) => (state, &[]),
    }
}

/// The election as this node sees it.
#[derive(Debug)]
pub(super) struct Election {
    state: State,
    candidate: Option<Pnn>,
    period_ends: Time,
    resend_at: Time,
    first: bool,
}

impl Election {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Idle,
            candidate: None,
            period_ends: Time::NEVER,
            resend_at: Time::NEVER,
            first: true,
        }
    }

    pub(super) fn in_progress(&self) -> bool {
        self.state != State::Idle
    }

    pub(super) fn is_voting(&self) -> bool {
        self.state == State::Voting
    }

    /// Makes the transition; the caller carries the effects out.
    pub(super) fn step(&mut self, event: Event) -> &'static [Effect] {
        let (state, effects) = next(self.state, event);
        self.state = state;
        if state == State::Idle {
            self.period_ends = Time::NEVER;
            self.resend_at = Time::NEVER;
        }
        effects
    }

    pub(super) fn extend(&mut self, now: Time, period: Duration) {
        self.period_ends = now + if self.first { FAST_PERIOD } else { period };
    }

    pub(super) fn schedule(&mut self, now: Time) {
        if self.resend_at == Time::NEVER {
            self.resend_at = now + RESEND_AFTER;
        }
    }

    pub(super) const fn unschedule(&mut self) {
        self.resend_at = Time::NEVER;
    }

    pub(super) const fn nominate(&mut self, candidate: Option<Pnn>) {
        self.candidate = candidate;
    }

    pub(super) const fn candidate(&self) -> Option<Pnn> {
        self.candidate
    }

    /// The end of an election: who is it?
    pub(super) const fn conclude(&mut self) -> Option<Pnn> {
        self.first = false;
        self.candidate.take()
    }

    /// The event that is due, if one is.
    pub(super) fn due(&mut self, now: Time) -> Option<Event> {
        if self.resend_at <= now {
            self.resend_at = Time::NEVER;
            return Some(Event::Resend);
        }
        (self.period_ends <= now).then_some(Event::PeriodOver)
    }

    pub(super) fn poll_timeout(&self) -> Time {
        self.resend_at.min(self.period_ends)
    }
}

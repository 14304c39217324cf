//! Who leads, as this node knows it, and the broadcasts that keep it known.
//!
//! ```text
//!             Follow(n)                    Lead
//!   Unknown -----------> Follower(n)    Unknown ---> Leader
//!      ^                   |   ^ |         ^            |
//!      |   Silence, Forget |   +-+ Follow  |  Forget    |
//!      +-------------------+               +------------+
//! ```
//!
//! A leader broadcasts its pnn every second, and when it has finished a recovery, for a node that
//! was away. A node that hears none for the leader time-out calls an election. Broadcasts can be
//! late: one that names this node while it does not lead, or another node while this one holds the
//! cluster lock, is from the past and changes nothing (bug 15892 of upstream: the lock holder
//! followed a ghost, and nobody led).

use core::time::Duration;

use wire::Pnn;

use crate::Time;

/// How often a leader says that it is there.
const BROADCAST_EVERY: Duration = Duration::from_secs(1);

/// Who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Unknown,
    Follower(Pnn),
    Leader,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A broadcast names this node.
    ClaimForUs,
    /// A broadcast names another; this node holds the cluster lock.
    ClaimWithLock(Pnn),
    /// A broadcast names another; this node has no cluster lock.
    Claim(Pnn),
    /// An election made another node the leader.
    Follow(Pnn),
    /// An election or the cluster lock made this node the leader.
    Lead,
    /// There is no leader any more, or it is not this node.
    Forget,
    /// No broadcast for the leader time-out.
    Silence,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// The leader is alive: wait for its next broadcast.
    Listen,
    /// The leader is another one than before.
    Changed,
    /// Say at once who leads.
    Broadcast,
    /// Two lead: let an election decide.
    Dispute,
    /// Call an election.
    Elect,
}

/// The whole machine.
pub(super) fn next(state: State, event: Event) -> (State, Effect) {
    match (state, event) {
        (State::Leader, Event::ClaimWithLock(_) | Event::Lead) => (state, Effect::Broadcast),
        (State::Leader, Event::Claim(_)) => (state, Effect::Dispute),
        (State::Leader, Event::ClaimForUs | Event::Silence) => (state, Effect::None),
        (_, Event::ClaimForUs | Event::ClaimWithLock(_)) => (state, Effect::None),
        (State::Follower(old), Event::Claim(new)) if old == new => (state, Effect::Listen),
        (_, Event::Claim(new) | Event::Follow(new)) => (State::Follower(new), Effect::Changed),
        (_, Event::Lead) => (State::Leader, Effect::Changed),
        (State::Unknown, Event::Forget) => (state, Effect::Listen),
        (_, Event::Forget) => (State::Unknown, Effect::Changed),
        (_, Event::Silence) => (State::Unknown, Effect::Elect),
    }
}

/// The leader, and when to speak or to worry.
#[derive(Debug)]
pub(super) struct Leadership {
    state: State,
    timeout: Duration,
    silence_at: Time,
    broadcast_at: Time,
}

impl Leadership {
    pub(super) fn new(timeout: Duration, now: Time) -> Self {
        let silence_at = now + timeout;
        Self {
            state: State::Unknown,
            timeout,
            silence_at,
            broadcast_at: Time::NEVER,
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.state == State::Leader
    }

    /// The node that leads, `me` being this one.
    pub(super) const fn pnn(&self, me: Pnn) -> Option<Pnn> {
        match self.state {
            State::Unknown => None,
            State::Follower(pnn) => Some(pnn),
            State::Leader => Some(me),
        }
    }

    /// Makes the transition; the caller carries the effect out.
    pub(super) fn step(&mut self, now: Time, event: Event) -> Effect {
        let (state, effect) = next(self.state, event);
        self.state = state;
        match effect {
            Effect::Listen | Effect::Changed | Effect::Elect => self.listen(now),
            Effect::None | Effect::Broadcast | Effect::Dispute => {}
        }
        effect
    }

    /// (Re)starts the waiting of a follower, or the broadcasts of a leader.
    fn listen(&mut self, now: Time) {
        (self.silence_at, self.broadcast_at) = match self.state {
            State::Leader => (Time::NEVER, now),
            State::Unknown | State::Follower(_) => (now + self.timeout, Time::NEVER),
        };
    }

    /// Waits once more for the whole time-out, if this node does not lead.
    pub(super) fn be_patient(&mut self, now: Time) {
        if self.state != State::Leader {
            self.listen(now);
        }
    }

    /// A leader broadcasts now, and a second later again.
    pub(super) fn speak_up(&mut self, now: Time) {
        self.broadcast_at = self.broadcast_at.min(now);
    }

    /// Whether a leader has to broadcast now.
    pub(super) fn broadcast_due(&mut self, now: Time) -> bool {
        let due = self.broadcast_at <= now;
        if due {
            self.broadcast_at = now + BROADCAST_EVERY;
        }
        due
    }

    pub(super) fn silence_due(&self, now: Time) -> bool {
        self.silence_at <= now
    }

    pub(super) fn poll_timeout(&self) -> Time {
        self.silence_at.min(self.broadcast_at)
    }
}

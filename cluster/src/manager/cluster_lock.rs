//! The cluster lock: who holds it leads, and there can be no other.
//!
//! ```text
//!            take                    Taken
//!   Free ----------->  Taking  ------------------->  Held
//!    ^                   |                            |
//!    +-------------------+----------------------------+
//!      Contended, TimedOut, Failed, release    Lost, release
//! ```
//!
//! The lock is held for the life of a leadership and released with it. The helper process that
//! holds it belongs to the shell; after [`Output::ReleaseLock`] it reports nothing more.

use core::time::Duration;

use tracing::{error, info, warn};

use super::io::{LockEvent, Output};
use super::ports::Io;
use crate::Time;
use crate::coordinator::Action;

/// A helper that says nothing for so long is taken for lost. It gives up by itself after 120
/// seconds (`ctdb_recoverd.c`, 4.17.12).
const HELPER_TIMEOUT: Duration = Duration::from_secs(150);
/// The same for a coordinator's leader key.
const CAMPAIGN_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Taking,
    Held,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Take,
    Release,
    Taken,
    Refused,
    Lost,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// Start the helper.
    Start,
    /// End the helper.
    Stop,
    /// Tell the election that the race is won.
    Won,
    /// Tell the election that the race is not won.
    NotWon,
    /// Step down and send nothing further.
    Deposed,
}

/// The whole machine.
pub(super) const fn next(state: State, event: Event) -> (State, Effect) {
    match (state, event) {
        (State::Free, Event::Take) => (State::Taking, Effect::Start),
        // The helper may report success in the moment we cancel it: end that one, too.
        (State::Free, Event::Taken) => (State::Free, Effect::Stop),
        (State::Free, _) => (State::Free, Effect::None),
        (State::Taking, Event::Taken) => (State::Held, Effect::Won),
        (State::Taking, Event::Refused | Event::Lost) => (State::Free, Effect::NotWon),
        (State::Taking | State::Held, Event::Release) => (State::Free, Effect::Stop),
        (State::Held, Event::Lost | Event::Refused) => (State::Free, Effect::Deposed),
        (state @ (State::Taking | State::Held), Event::Take | Event::Taken) => {
            (state, Effect::None)
        }
    }
}

/// The lock of this node, if one is configured.
#[derive(Debug)]
pub(super) struct ClusterLock {
    path: Option<String>,
    /// The lock is a coordinator's leader key.
    coordinated: bool,
    state: State,
    since: Time,
}

impl ClusterLock {
    pub(super) const fn new(path: Option<String>, coordinated: bool) -> Self {
        Self {
            path,
            coordinated,
            state: State::Free,
            since: Time::ZERO,
        }
    }

    pub(super) const fn is_enabled(&self) -> bool {
        self.path.is_some()
    }

    pub(super) fn is_held(&self) -> bool {
        self.state == State::Held
    }

    pub(super) fn is_taking(&self) -> bool {
        self.state == State::Taking
    }

    /// When the helper should long have answered.
    pub(super) fn poll_timeout(&self) -> Time {
        match self.state {
            State::Taking if self.coordinated => self.since + CAMPAIGN_TIMEOUT,
            State::Taking => self.since + HELPER_TIMEOUT,
            State::Free | State::Held => Time::NEVER,
        }
    }

    pub(super) fn take(&mut self, io: &mut Io<'_>) {
        let path = self.path.as_deref().unwrap_or_default();
        info!("Attempting to take cluster lock ({path})");
        self.since = io.now;
        self.step(io, Event::Take);
    }

    pub(super) fn release(&mut self, io: &mut Io<'_>) {
        match self.state {
            State::Free => return,
            State::Taking => info!("Cancelling cluster lock"),
            State::Held => info!("Releasing cluster lock"),
        }
        self.step(io, Event::Release);
    }

    /// Digests the helper's report. With [`Effect::Won`] comes how long it took.
    pub(super) fn handle(&mut self, io: &mut Io<'_>, event: &LockEvent) -> (Effect, Duration) {
        let event = match event {
            LockEvent::Taken => {
                info!("Cluster lock taken successfully");
                Event::Taken
            }
            LockEvent::Contended => refused("contention"),
            LockEvent::TimedOut => refused("timeout"),
            LockEvent::Failed { reason } => refused(reason),
            LockEvent::Lost => {
                error!("Cluster lock helper terminated");
                Event::Lost
            }
        };
        (self.step(io, event), io.now.since(self.since))
    }

    fn step(&mut self, io: &mut Io<'_>, event: Event) -> Effect {
        let (state, effect) = next(self.state, event);
        self.state = state;
        match effect {
            Effect::Start if self.coordinated => io.push(Output::Coordinator(Action::Campaign)),
            Effect::Start => io.push(Output::TakeLock),
            Effect::Stop if self.coordinated => io.push(Output::Coordinator(Action::Resign)),
            Effect::Stop => io.push(Output::ReleaseLock),
            Effect::None | Effect::Won | Effect::NotWon | Effect::Deposed => {}
        }
        effect
    }
}

fn refused(reason: &str) -> Event {
    warn!("Unable to take cluster lock - {reason}");
    Event::Refused
}

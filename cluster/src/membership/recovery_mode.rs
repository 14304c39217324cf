//! The recovery mode: ACTIVE while a recovery is needed or runs, NORMAL when one has succeeded.
//!
//! ```text
//!              Finish, there is a cluster lock
//!   +--------+ ------------------------------> +----------+
//!   | Active |                                 | Checking |---+ Finish: joins the check
//!   |        | <------------------------------ |          |<--+
//!   +--------+    LockWrong: refused           +----------+
//!    |  ^  ^      Activate: refused                 |
//!    |  |  |                                        | LockHeld
//!    |  |  +---------------- Activate ---------+    |
//!    |  +-- Activate, Begin, Lock*             |    v
//!    |                                       +--------+
//!    +-------------------------------------> | Normal |---+ Begin, Finish, Lock*
//!            Finish, there is none           |        |<--+
//!                                            +--------+
//! ```
//!
//! While Checking the mode is still ACTIVE. A daemon of 4.17.12 ignores an Activate that arrives
//! then and goes to NORMAL all the same, under the feet of the recovery that has just begun; here
//! the check is given up. So it is when a recovery begins whose ACTIVE came before the check: two
//! leaders may command at once.

use super::{OwnToken, Token};

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// ACTIVE.
    Active,
    /// ACTIVE; a leader ended its recovery, and the cluster lock is being tried.
    Checking,
    /// NORMAL.
    Normal,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// SET_RECMODE ACTIVE, or a recovery is needed, or the node became inactive.
    Activate,
    /// START_RECOVERY or SETVNNMAP: what a leader does next after ACTIVE.
    Begin,
    /// SET_RECMODE NORMAL, all other conditions of which hold.
    Finish {
        /// There is a cluster lock to try.
        lock: bool,
    },
    /// The lock is held, or the answer is late: as it should be.
    LockHeld,
    /// The lock could be taken, or the try failed.
    LockWrong,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing changes; a request succeeds.
    Keep,
    /// The mode is ACTIVE now and was NORMAL.
    Activated,
    /// Try the cluster lock.
    Check,
    /// Wait for the check that runs.
    Join,
    /// The mode is NORMAL now; requests that wait succeed.
    Normalised,
    /// Requests that wait fail.
    Refuse,
}

pub(super) fn step(state: State, event: Event) -> (State, Effect) {
    use Event::{Activate, Begin, Finish, LockHeld, LockWrong};
    use State::{Active, Checking, Normal};
    match (state, event) {
        (Active, Activate | Begin | LockHeld | LockWrong) => (Active, Effect::Keep),
        (Active, Finish { lock: false }) => (Normal, Effect::Normalised),
        (Active, Finish { lock: true }) => (Checking, Effect::Check),
        (Checking, Finish { .. }) => (Checking, Effect::Join),
        (Checking, Activate | Begin | LockWrong) => (Active, Effect::Refuse),
        (Checking, LockHeld) => (Normal, Effect::Normalised),
        (Normal, Activate) => (Active, Effect::Activated),
        (Normal, Begin | Finish { .. } | LockHeld | LockWrong) => (Normal, Effect::Keep),
    }
}

/// The machine and what it waits for.
#[derive(Debug)]
pub(super) struct RecoveryMode {
    state: State,
    check: Option<OwnToken>,
    waiting: Vec<Token>,
}

impl RecoveryMode {
    /// A daemon starts in recovery (`ctdb_daemon.c`, 4.17.12).
    pub(super) fn new() -> Self {
        Self {
            state: State::Active,
            check: None,
            waiting: Vec::new(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.state != State::Normal
    }

    pub(super) fn handle(&mut self, event: Event) -> Effect {
        let (state, effect) = step(self.state, event);
        self.state = state;
        if state != State::Checking {
            self.check = None;
        }
        effect
    }

    /// A check has begun.
    pub(super) fn checking(&mut self, check: OwnToken) {
        self.check = Some(check);
    }

    /// Whether this is the check that runs, and not one that was given up.
    pub(super) fn is_check(&self, token: OwnToken) -> bool {
        self.check == Some(token)
    }

    /// A request that is answered when the check ends.
    pub(super) fn wait(&mut self, token: Token) {
        self.waiting.push(token);
    }

    /// All that waited.
    pub(super) fn take_waiting(&mut self) -> Vec<Token> {
        core::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::table;

    #[test]
    fn table() {
        let states = [State::Active, State::Checking, State::Normal];
        let events = [
            Event::Activate,
            Event::Begin,
            Event::Finish { lock: false },
            Event::Finish { lock: true },
            Event::LockHeld,
            Event::LockWrong,
        ];
        insta::assert_snapshot!(table::render(&states, &events, step), @r"
        Active + Activate => Active, Keep
        Active + Begin => Active, Keep
        Active + Finish { lock: false } => Normal, Normalised
        Active + Finish { lock: true } => Checking, Check
        Active + LockHeld => Active, Keep
        Active + LockWrong => Active, Keep
        Checking + Activate => Active, Refuse
        Checking + Begin => Active, Refuse
        Checking + Finish { lock: false } => Checking, Join
        Checking + Finish { lock: true } => Checking, Join
        Checking + LockHeld => Normal, Normalised
        Checking + LockWrong => Active, Refuse
        Normal + Activate => Active, Activated
        Normal + Begin => Normal, Keep
        Normal + Finish { lock: false } => Normal, Keep
        Normal + Finish { lock: true } => Normal, Keep
        Normal + LockHeld => Normal, Keep
        Normal + LockWrong => Normal, Keep
        ");
    }
}

//! The event `startup`: again and again, until it passes.
//!
//! ```text
//!             in STARTUP, not in recovery                Passed
//!   Waiting ------------------------------> Running ------------> Done
//!      ^                                       |
//!      +---------------------------------------+
//!                NotPassed: after 5 seconds
//! ```
//!
//! C waits until no other recovery can be pending, RerecoveryTimeout and 3 seconds after the last
//! one, but for its test mode (`ctdb_wait_until_recovered`, 4.17.12). Here it runs when the first
//! recovery is over.

use core::time::Duration;

use tracing::{error, info};
use wire::Time;
use wire::event::Outcome;
use wire::types::RunState;

use crate::io::{Output, View};

/// Between an event that failed and the next (`ctdb_startup_callback`, 4.17.12).
const PAUSE: Duration = Duration::from_secs(5);

/// Where the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It is to be run.
    #[default]
    Waiting,
    /// It runs.
    Running,
    /// It has passed.
    Done,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is time, and the node is in STARTUP.
    Due,
    /// It passed.
    Passed,
    /// It failed, or was not run.
    NotPassed,
}

/// The whole machine.
pub(crate) const fn step(state: State, event: Event) -> State {
    match (state, event) {
        (State::Waiting, Event::Due) => State::Running,
        (State::Running, Event::Passed) => State::Done,
        (State::Running, Event::NotPassed) => State::Waiting,
        (State::Waiting, Event::Passed | Event::NotPassed)
        | (State::Running, Event::Due)
        | (State::Done, _) => state,
    }
}

/// The machine, and when it goes on.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    state: State,
    not_before: Time,
}

impl Startup {
    /// When the event is to be run.
    pub(crate) fn due(&self, view: &View) -> Option<Time> {
        let may = view.run_state == RunState::Startup && !view.in_recovery;
        (self.state == State::Waiting && may).then_some(self.not_before)
    }

    pub(crate) fn begin(&mut self) {
        self.state = step(self.state, Event::Due);
    }

    pub(crate) fn ended(&mut self, now: Time, outcome: Outcome, out: &mut Vec<Output>) {
        if outcome == Outcome::Passed {
            info!("startup event OK - enabling monitoring");
            self.state = step(self.state, Event::Passed);
            out.push(Output::StartedUp);
        } else {
            error!("startup event failed");
            self.state = step(self.state, Event::NotPassed);
            self.not_before = now + PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn table() {
        let states = [State::Waiting, State::Running, State::Done];
        let events = [Event::Due, Event::Passed, Event::NotPassed];
        insta::assert_snapshot!(table::render(&states, &events, step), @r"
        Waiting + Due => Running
        Waiting + Passed => Waiting
        Waiting + NotPassed => Waiting
        Running + Due => Running
        Running + Passed => Done
        Running + NotPassed => Waiting
        Done + Due => Done
        Done + Passed => Done
        Done + NotPassed => Done
        ");
    }
}

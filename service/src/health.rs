//! Whether the node is well: the event `monitor`, again and again.
//!
//! ```text
//!          Running                Due, may look
//!   Off -----------> Waiting --------------------> Looking
//!    ^                ^ ^  |                         |
//!    | Ending         | +--+ Due, may not look       |
//!    +-- any          +------------------------------+
//!                               Judged
//! ```
//!
//! A node may look when it is RUNNING, active, not in recovery, and has a database that is not
//! frozen. The first look comes half a second after RUNNING. Then, as in C (`ctdb_monitor.c`,
//! 4.17.12), the pause is 2 seconds and twice as long each time up to MonitorInterval; it is 5
//! seconds when the health has changed. Until the first outcome that says something half a second will
//! do: the nodes of a cluster that starts disturb each other's looks.
//!
//! | outcome | what it means |
//! |---|---|
//! | passed | healthy |
//! | failed | unhealthy |
//! | timed out | nothing, but MonitorTimeoutCount of them in a row mean unhealthy |
//! | cancelled | nothing: another event was more important |
//! | lost | nothing, but two in a row mean unhealthy: there is no event daemon |

use core::time::Duration;

use tracing::{error, info};
use wire::Time;
use wire::event::Outcome;
use wire::types::RunState;

use crate::io::{Limits, Milestone, Output, View};

/// From RUNNING to the first look, and between looks that may not be. Other nodes that are still
/// in their first recovery take the news of a healthy node as a reason for one more recovery, so
/// the ends of one recovery on all nodes should come before.
const FIRST: Duration = Duration::from_millis(500);
/// The first pause, in seconds.
const SHORTEST: u32 = 2;
/// The pause after a change, or after an event that was not run, in seconds.
const AFTER_CHANGE: u32 = 5;
/// So many events without an event daemon in a row make the node unhealthy.
const LOST_LIMIT: u32 = 2;

/// Where the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// The daemon does not run yet, or ends.
    #[default]
    Off,
    /// Between two looks.
    Waiting,
    /// The event runs.
    Looking,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The daemon is RUNNING.
    Running,
    /// It is on its way down.
    Ending,
    /// It is time to look.
    Due {
        /// Whether the node may.
        may: bool,
    },
    /// The event ended.
    Judged,
}

/// The whole machine.
pub(crate) const fn step(state: State, event: Event) -> State {
    match (state, event) {
        (_, Event::Ending) => State::Off,
        (State::Off, Event::Running) => State::Waiting,
        (State::Waiting, Event::Due { may: true }) => State::Looking,
        (State::Looking, Event::Judged) => State::Waiting,
        (State::Off | State::Waiting, Event::Judged)
        | (State::Off | State::Looking, Event::Due { .. })
        | (State::Waiting, Event::Due { may: false })
        | (State::Waiting | State::Looking, Event::Running) => state,
    }
}

/// The machine, and when it looks next.
#[derive(Debug)]
pub(crate) struct Health {
    state: State,
    due: Time,
    /// The next pause, in seconds.
    pause: u32,
    timeouts: u32,
    losses: u32,
    /// Some outcome has said something.
    judged: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: State::Off,
            due: Time::NEVER,
            pause: SHORTEST,
            timeouts: 0,
            losses: 0,
            judged: false,
        }
    }
}

impl Health {
    pub(crate) fn due(&self) -> Option<Time> {
        (self.state == State::Waiting).then_some(self.due)
    }

    /// The run state has changed.
    pub(crate) fn entered(&mut self, now: Time, run_state: RunState) {
        let event = match run_state {
            RunState::Running => Event::Running,
            RunState::Shutdown => Event::Ending,
            _ => return,
        };
        self.state = step(self.state, event);
        self.due = now + FIRST;
    }

    /// It is time; whether the event is to be run.
    pub(crate) fn look(&mut self, now: Time, view: &View) -> bool {
        let may = !(view.in_recovery || view.inactive || view.all_frozen);
        self.state = step(self.state, Event::Due { may });
        if !may {
            self.due = now + FIRST;
        }
        self.state == State::Looking
    }

    /// The event ended.
    pub(crate) fn ended(
        &mut self,
        now: Time,
        outcome: Outcome,
        unhealthy: bool,
        limits: &Limits,
        out: &mut Vec<Output>,
    ) {
        if self.state != State::Looking {
            return;
        }
        self.state = step(self.state, Event::Judged);
        let verdict = self.judge(outcome, limits);
        self.judged |= verdict.is_some();
        if outcome == Outcome::Cancelled && !self.judged {
            self.due = now + FIRST;
            return;
        }
        match verdict {
            Some(healthy) if healthy == unhealthy => self.changed(healthy, out),
            _ => {}
        }
        self.due = now + Duration::from_secs(self.pause.into());
        let longest = limits.monitor_interval.max(1);
        self.pause = self.pause.saturating_mul(2).min(longest);
    }

    /// What an outcome says of the node's health, if anything.
    fn judge(&mut self, outcome: Outcome, limits: &Limits) -> Option<bool> {
        match outcome {
            Outcome::Cancelled => {
                info!("Monitoring event was cancelled");
                return None;
            }
            Outcome::Refused => {
                self.pause = AFTER_CHANGE;
                return None;
            }
            Outcome::TimedOut => self.timeouts = self.timeouts.saturating_add(1),
            Outcome::Lost => self.losses = self.losses.saturating_add(1),
            Outcome::Passed | Outcome::Failed | Outcome::Error(_) => {
                (self.timeouts, self.losses) = (0, 0);
            }
        }
        match outcome {
            Outcome::TimedOut if self.timeouts < limits.monitor_timeouts => None,
            Outcome::TimedOut => {
                let limit = limits.monitor_timeouts;
                error!("Maximum monitor timeout count {limit} reached. Making node unhealthy");
                Some(false)
            }
            Outcome::Lost if self.losses < LOST_LIMIT => {
                self.pause = AFTER_CHANGE;
                None
            }
            other => Some(other == Outcome::Passed),
        }
    }

    fn changed(&mut self, healthy: bool, out: &mut Vec<Output>) {
        self.pause = AFTER_CHANGE;
        let milestone = if healthy {
            info!("monitor event OK - node re-enabled");
            Milestone::Healthy
        } else {
            info!("monitor event failed - disabling node");
            Milestone::Unhealthy
        };
        out.push(Output::Health { healthy });
        out.push(Output::Milestone(milestone));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn table() {
        let states = [State::Off, State::Waiting, State::Looking];
        let events = [
            Event::Running,
            Event::Ending,
            Event::Due { may: true },
            Event::Due { may: false },
            Event::Judged,
        ];
        insta::assert_snapshot!(table::render(&states, &events, step), @r"
        Off + Running => Waiting
        Off + Ending => Off
        Off + Due { may: true } => Off
        Off + Due { may: false } => Off
        Off + Judged => Off
        Waiting + Running => Waiting
        Waiting + Ending => Off
        Waiting + Due { may: true } => Looking
        Waiting + Due { may: false } => Waiting
        Waiting + Judged => Waiting
        Looking + Running => Looking
        Looking + Ending => Off
        Looking + Due { may: true } => Looking
        Looking + Due { may: false } => Looking
        Looking + Judged => Waiting
        ");
    }
}

//! Events that were asked for and have not ended: one machine for each.
//!
//! ```text
//!   asked for, no event daemon --> OnTheGround --came up--> Running --reply--> ended
//!        |                            |                       |  |
//!        +---- the event daemon is there ---------------------+  +-- it ended: Lost, or TimedOut if
//!                                     |                       |      it was hanging
//!                                     +-- deadline: Lost      +-- deadline: TimedOut
//! ```
//!
//! The event daemon watches over EventScriptTimeout itself; the deadline here is a little later, so
//! that an event ends even if the event daemon does not.

use core::time::Duration;
use std::collections::BTreeMap;

use tracing::{debug, error};
use wire::event::{Event, LEGACY, Outcome, Request, RunFlags, RunRequest, Text};
use wire::{ReqId, Time};

use crate::io::{EventId, Limits, Output};

/// How much later than the event daemon's own time-out an event is given up.
const GRACE: Duration = Duration::from_secs(5);

/// Who wants to know how an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Another part of the daemon.
    Other(EventId),
    /// [`crate::startup`].
    Startup,
    /// [`crate::health`].
    Monitor,
}

/// An event that was asked for.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) asker: Asker,
    pub(crate) event: Event,
    pub(crate) arguments: String,
    deadline: Time,
    running: bool,
}

impl Flight {
    pub(crate) fn new(
        asker: Asker,
        event: Event,
        arguments: String,
        now: Time,
        limits: &Limits,
    ) -> Self {
        let limit = Duration::from_secs(limits.event.into());
        Self {
            asker,
            event,
            arguments,
            deadline: now + limit + GRACE,
            running: false,
        }
    }

    /// Asks the event daemon for it.
    pub(crate) fn take_off(&mut self, reqid: ReqId, limits: &Limits, out: &mut Vec<Output>) {
        debug!(
            "Running event {} with arguments {}",
            self.event, self.arguments
        );
        self.running = true;
        let request = Request::Run(RunRequest {
            component: Text::from(LEGACY),
            event: Text::from(self.event.name()),
            args: Text::from(self.arguments.as_str()),
            timeout: limits.event,
            flags: RunFlags::empty(),
        });
        out.push(Output::Ask { reqid, request });
    }

    /// What the outcome means for who asked: no recovery waits for a script that hangs. C says the same of
    /// `takeip` and `releaseip` (`ctdb_event_script_run_done`, 4.17.12); here that is for the part that knows
    /// whether the address is there.
    pub(crate) fn judged(&self, outcome: Outcome) -> Outcome {
        let in_recovery = matches!(self.event, Event::StartRecovery | Event::Recovered);
        if in_recovery && outcome == Outcome::TimedOut {
            error!("Ignoring hung script for {} event", self.event);
            return Outcome::Passed;
        }
        outcome
    }
}

/// All of them, by the number of the request.
#[derive(Debug, Default)]
pub(crate) struct Flights(BTreeMap<ReqId, Flight>);

impl Flights {
    pub(crate) fn add(&mut self, reqid: ReqId, flight: Flight) -> &mut Flight {
        self.0.entry(reqid).insert_entry(flight).into_mut()
    }

    /// Whether the event daemon has something to do.
    pub(crate) fn are_running(&self) -> bool {
        self.0.values().any(|flight| flight.running)
    }

    /// Those that wait for the event daemon, in the order in which they were asked for.
    pub(crate) fn on_the_ground(&mut self) -> impl Iterator<Item = (ReqId, &mut Flight)> {
        let flights = self.0.iter_mut().map(|(reqid, flight)| (*reqid, flight));
        flights.filter(|(_, flight)| !flight.running)
    }

    /// The event daemon answered.
    pub(crate) fn land(&mut self, reqid: ReqId) -> Option<Flight> {
        self.0.remove(&reqid)
    }

    /// The event daemon ended: what it was running.
    pub(crate) fn crash(&mut self) -> Vec<Flight> {
        self.0
            .extract_if(.., |_, flight| flight.running)
            .map(|(_, flight)| flight)
            .collect()
    }

    /// Those whose time is over.
    pub(crate) fn overdue(&mut self, now: Time) -> Vec<(Flight, Outcome)> {
        let outcome = |flight: &Flight| match flight.running {
            true => Outcome::TimedOut,
            false => Outcome::Lost,
        };
        self.0
            .extract_if(.., |_, flight| now >= flight.deadline)
            .map(|(_, flight)| {
                let outcome = outcome(&flight);
                (flight, outcome)
            })
            .collect()
    }

    pub(crate) fn first_deadline(&self) -> Option<Time> {
        self.0.values().map(|flight| flight.deadline).min()
    }
}

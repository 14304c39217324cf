//! The service manager of one node: it runs events through the event daemon, and knows by them
//! whether the node is well.
//!
//! ```text
//!                     +------------------------ Service -----------------------+
//!   Run(event) -------> flights.rs  events that were asked for, their time-outs +--> Ask (RUN)
//!   Eventd(reply) ----> watch.rs    does the event daemon live and answer?      +--> Ask (STATUS), Restart
//!   Node(view) -------> startup.rs  the event startup, until it passes          +--> StartedUp
//!   Timer ------------> health.rs   the event monitor, again and again          +--> Health
//!                     +---------------------------------------------------------+--> Done, Milestone
//! ```
//!
//! The scripts are not run here: that is the event daemon's, `ctdb-eventd`, which the shell starts
//! and connects to. It keeps them in order, so a second event waits there for the first, and
//! `monitor` makes place for any other. The events themselves are [`wire::event::Event`]s.
//!
//! Where there is no event daemon at all every event passes at once.
#![forbid(unsafe_code)]

mod flights;
mod health;
mod io;
mod startup;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
mod watch;

use tracing::{error, info};
use wire::event::{Event, Outcome, Reply, Request, StatusRequest, Text};
use wire::{ReqId, Time};

use flights::{Asker, Flight, Flights};
use watch::Watch;

pub use io::{EventId, Eventd, Input, Limits, Milestone, Output, Settings, View};

/// The service manager.
#[derive(Debug)]
pub struct Service {
    present: bool,
    limits: Limits,
    view: View,
    watch: Watch,
    flights: Flights,
    startup: startup::Startup,
    health: health::Health,
    last_reqid: u32,
}

impl Service {
    /// Begins, with an event daemon that is not up yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            present: settings.present,
            limits: settings.limits,
            view: View::default(),
            watch: Watch::default(),
            flights: Flights::default(),
            startup: startup::Startup::default(),
            health: health::Health::default(),
            last_reqid: 0,
        }
    }

    /// Digests one input. The outputs are to be carried out in order.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Run {
                id,
                event,
                arguments,
            } => self.run(now, Asker::Other(id), event, arguments, out),
            Input::Eventd(news) => self.on_eventd(now, news, out),
            Input::Node(view) => self.on_view(now, view),
            Input::Limits(limits) => self.limits = limits,
            Input::Timer => {}
        }
        self.on_time(now, out);
    }

    /// When to call [`Service::handle`] with [`Input::Timer`], if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        [
            self.flights.first_deadline(),
            self.watch.due(self.flights.are_running()),
            self.startup.due(&self.view),
            self.health.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn on_view(&mut self, now: Time, view: View) {
        let before = core::mem::replace(&mut self.view, view);
        if before.run_state != self.view.run_state {
            self.health.entered(now, self.view.run_state);
        }
    }

    fn on_time(&mut self, now: Time, out: &mut Vec<Output>) {
        for (flight, outcome) in self.flights.overdue(now) {
            error!(event = %flight.event, "the event daemon does not answer in time");
            self.ended(now, flight, outcome, out);
        }
        if self.startup.due(&self.view).is_some_and(|due| now >= due) {
            self.startup.begin();
            info!("Running the \"startup\" event.");
            self.run(now, Asker::Startup, Event::Startup, String::new(), out);
        }
        if self.health.due().is_some_and(|due| now >= due) && self.health.look(now, &self.view) {
            self.run(now, Asker::Monitor, Event::Monitor, String::new(), out);
        }
        self.ask_for_life(now, out);
    }
}

/// Events.
impl Service {
    fn run(
        &mut self,
        now: Time,
        asker: Asker,
        event: Event,
        arguments: String,
        out: &mut Vec<Output>,
    ) {
        let flight = Flight::new(asker, event, arguments, now, &self.limits);
        if let Some(outcome) = self.at_once(&flight) {
            return self.ended(now, flight, outcome, out);
        }
        let reqid = self.new_reqid();
        let is_up = self.watch.is_up();
        let flight = self.flights.add(reqid, flight);
        if is_up {
            flight.take_off(reqid, &self.limits, out);
        }
    }

    /// What comes of an event that the event daemon is not asked for.
    fn at_once(&self, flight: &Flight) -> Option<Outcome> {
        let event = flight.event;
        if self.view.in_recovery && !event.runs_in_recovery() {
            error!("Refusing to run event '{event}' while in recovery");
            return Some(Outcome::Refused);
        }
        let arguments = &flight.arguments;
        if arguments.split_ascii_whitespace().count() != event.argument_count() {
            error!("Bad event script arguments '{arguments}' for '{event}'");
            return Some(Outcome::Refused);
        }
        if !self.present {
            return Some(Outcome::Passed);
        }
        // a look at the node's health is not worth waiting for the event daemon
        (event == Event::Monitor && !self.watch.is_up()).then_some(Outcome::Lost)
    }

    fn ended(&mut self, now: Time, flight: Flight, outcome: Outcome, out: &mut Vec<Output>) {
        let outcome = flight.judged(outcome);
        if outcome == Outcome::Passed {
            out.extend(Milestone::of(flight.event).map(Output::Milestone));
        }
        match flight.asker {
            Asker::Other(id) => out.push(Output::Done { id, outcome }),
            Asker::Startup => self.startup.ended(now, outcome, out),
            Asker::Monitor => {
                let limits = &self.limits;
                let unhealthy = self.view.unhealthy;
                self.health.ended(now, outcome, unhealthy, limits, out);
            }
        }
    }

    fn new_reqid(&mut self) -> ReqId {
        self.last_reqid = self.last_reqid.wrapping_add(1);
        ReqId(self.last_reqid)
    }
}

/// The event daemon.
impl Service {
    fn on_eventd(&mut self, now: Time, news: Eventd, out: &mut Vec<Output>) {
        match news {
            Eventd::Up => {
                self.watch.came_up(now);
                for (reqid, flight) in self.flights.on_the_ground() {
                    flight.take_off(reqid, &self.limits, out);
                }
            }
            Eventd::Down => {
                let outcome = self.watch.went_down();
                for flight in self.flights.crash() {
                    error!(event = %flight.event, "the event daemon ended during an event");
                    self.ended(now, flight, outcome, out);
                }
            }
            Eventd::Reply(reqid, reply) => {
                self.watch.heard(now);
                if let Reply::Run(result) = reply
                    && let Some(flight) = self.flights.land(reqid)
                {
                    self.ended(now, flight, Outcome::from_result(result), out);
                }
            }
        }
    }

    /// While an event runs the event daemon is asked something that it can answer at once.
    fn ask_for_life(&mut self, now: Time, out: &mut Vec<Output>) {
        let due = self.watch.due(self.flights.are_running());
        if due.is_none_or(|due| now < due) {
            return;
        }
        if !self.watch.ask(now) {
            let reason = "the event daemon hangs".to_owned();
            return out.push(Output::Restart { reason });
        }
        let request = Request::Status(StatusRequest {
            component: Text::from(wire::event::LEGACY),
            event: Text::from(Event::Init.name()),
        });
        let reqid = self.new_reqid();
        out.push(Output::Ask { reqid, request });
    }
}

//! The deciding side of the cluster: election, leadership, recovery, banning.
//!
//! ```text
//!            Input                                                      Output
//!   message, reply, lock,                                   control, message, lock,
//!   coordinator, timer                                      coordinator, exit
//!              |                                                          ^
//!              v                                                          |
//!   +--------------------------------- engine --------------------------------------+
//!   |  lead:    election  leader  cluster_lock    who leads                          |
//!   |  coordinated:  member                       the same, if a coordinator says it  |
//!   |  govern:  monitor  consistency  culprit     is all well, and whose fault is it |
//!   |           recovery  takeover                make it well                       |
//!   |  requests                                   what others ask of us              |
//!   +--------------------------------------------------------------------------------+
//! ```
//!
//! Each machine is a file with `State`, `Event` and one function that makes the transition; it
//! knows nothing of the others. The engine carries effects from one to the next.

mod census;
mod cluster_lock;
mod consistency;
mod coordinated;
mod culprit;
mod election;
mod engine;
mod gather;
mod govern;
mod io;
mod lead;
mod leader;
mod member;
mod monitor;
mod ports;
mod recovery;
mod requests;
mod stragglers;
mod takeover;
mod view;

#[cfg(test)]
mod tests;

pub use io::{
    ControlAnswer, ControlFailure, CoordinatorSettings, Input, LockEvent, Output, Outputs,
    Settings, Token,
};

use crate::Time;
use engine::Engine;
use ports::Ports;

/// The cluster manager of one node.
#[derive(Debug)]
pub struct Manager {
    ports: Ports,
    engine: Engine,
}

impl Manager {
    /// Starts: registers its SRVIDs and sends its first questions. `seed` feeds generations and
    /// message addresses; it must differ between starts.
    pub fn new(settings: Settings, seed: u64, now: Time, out: &mut Outputs) -> Self {
        let mut ports = Ports::new(settings.pnn, seed);
        let engine = Engine::new(settings, &mut ports.at(now, out));
        Self { ports, engine }
    }

    /// Digests one input. The outputs are to be carried out in order.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Outputs) {
        self.engine.handle(&mut self.ports.at(now, out), input);
    }

    /// When to call [`Manager::handle`] with [`Input::Timer`], if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        Some(self.engine.poll_timeout()).filter(|&time| time != Time::NEVER)
    }
}

//! The deciding side of the cluster: election, leadership, recovery, banning.

mod io;

pub use io::{
    ControlAnswer, ControlFailure, Input, LockEvent, Output, Outputs, Settings, Token,
};

use crate::Time;

/// The cluster manager of one node.
#[derive(Debug)]
pub struct Manager {}

impl Manager {
    /// Starts: registers its SRVIDs and sends its first questions. `seed` feeds generations and
    /// the jitter of elections; it must differ between starts.
    pub fn new(settings: Settings, seed: u64, now: Time, out: &mut Outputs) -> Self {
        let _ = (settings, seed, now, out);
        Self {}
    }

    /// Digests one input. The outputs are to be carried out in order.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Outputs) {
        let _ = (now, input, out);
    }

    /// When to call [`Manager::handle`] with [`Input::Timer`], if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

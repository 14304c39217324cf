//! The node's side of the cluster: what this node knows of the others, and what it answers when a
//! leader or the `ctdb` tool commands it.

mod io;

pub use io::{
    Input, LockOutcome, NodeEntry, Notification, Output, Outputs, OwnToken, Settings, Token,
};

use wire::Pnn;
use wire::control::{Opcode, Request};
use wire::types::{NodeFlags, NodeMap, RunState, VnnMap};

use crate::Time;

/// The node's side of the cluster.
#[derive(Debug)]
pub struct Membership {}

impl Membership {
    /// Starts in run state INIT, every other node disconnected.
    pub fn new(settings: Settings, now: Time, out: &mut Outputs) -> Self {
        let _ = (settings, now, out);
        Self {}
    }

    /// Whether a control is answered here.
    #[must_use]
    pub fn answers(opcode: Opcode) -> bool {
        let _ = opcode;
        false
    }

    /// A packet of any kind came from that node: a sign of life.
    pub fn heard(&mut self, from: Pnn) {
        let _ = from;
    }

    /// Digests one input. The outputs are to be carried out in order.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Outputs) {
        let _ = (now, input, out);
    }

    /// When to call [`Membership::handle`] with [`Input::Timer`], if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

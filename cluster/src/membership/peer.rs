//! What this node knows of the connection with another: one machine for each node.
//!
//! ```text
//!                     LinkUp: joined
//!   +--------------+ ----------------> +-----------+ Interval, heard: silent = 0 \ keepalive
//!   | Disconnected |                   | Connected | Interval, not heard: +1      /  is sent
//!   |              | <---------------- |  silent   |---+
//!   +--------------+   LinkDown: lost  |           |<--+
//!                      Interval, the   +-----------+
//!                      last that may
//!                      be silent: lost
//! ```
//!
//! An interval is KeepaliveInterval long and KeepaliveLimit of them may be silent
//! (`ctdb_keepalive.c`, 4.17.12). Any packet is a sign of life. A lost node loses both its
//! connections and is back when both are up again; what was still on its way is no sign of life.

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// At least one of the two connections is missing.
    Disconnected,
    /// Both are up.
    Connected {
        /// How many intervals in a row nothing came.
        silent: u32,
    },
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Both connections are up.
    LinkUp,
    /// One of them broke.
    LinkDown,
    /// The end of an interval.
    Interval {
        /// Something came within it.
        heard: bool,
        /// KeepaliveLimit.
        limit: u32,
    },
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Keep,
    /// The node is connected now.
    Joined,
    /// The node is disconnected now.
    Lost,
    /// Send it a keepalive.
    Keepalive,
}

pub(super) fn step(state: State, event: Event) -> (State, Effect) {
    use Event::{Interval, LinkDown, LinkUp};
    use State::{Connected, Disconnected};
    match (state, event) {
        (Disconnected, LinkUp) => (Connected { silent: 0 }, Effect::Joined),
        (Disconnected, LinkDown | Interval { .. }) => (Disconnected, Effect::Keep),
        (Connected { .. }, LinkUp) => (state, Effect::Keep),
        (Connected { .. }, LinkDown) => (Disconnected, Effect::Lost),
        (Connected { .. }, Interval { heard: true, .. }) => {
            (Connected { silent: 0 }, Effect::Keepalive)
        }
        (
            Connected { silent },
            Interval {
                heard: false,
                limit,
            },
        ) => {
            let silent = silent.saturating_add(1);
            if silent >= limit {
                (Disconnected, Effect::Lost)
            } else {
                (Connected { silent }, Effect::Keepalive)
            }
        }
    }
}

/// The machine, and whether something came in the present interval.
#[derive(Debug)]
pub(super) struct Peer {
    state: State,
    heard: bool,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            state: State::Disconnected,
            heard: false,
        }
    }

    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    pub(super) fn link_up(&mut self) -> Effect {
        self.handle(Event::LinkUp)
    }

    pub(super) fn link_down(&mut self) -> Effect {
        self.handle(Event::LinkDown)
    }

    pub(super) fn interval(&mut self, limit: u32) -> Effect {
        let heard = core::mem::take(&mut self.heard);
        self.handle(Event::Interval { heard, limit })
    }

    fn handle(&mut self, event: Event) -> Effect {
        let (state, effect) = step(self.state, event);
        self.state = state;
        if effect == Effect::Joined {
            self.heard = false;
        }
        effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::table;

    #[test]
    fn table() {
        let states = [
            State::Disconnected,
            State::Connected { silent: 0 },
            State::Connected { silent: 3 },
        ];
        let events = [
            Event::LinkUp,
            Event::LinkDown,
            Event::Interval {
                heard: true,
                limit: 4,
            },
            Event::Interval {
                heard: false,
                limit: 4,
            },
        ];
        insta::assert_snapshot!(table::render(&states, &events, step), @r"
        Disconnected + LinkUp => Connected { silent: 0 }, Joined
        Disconnected + LinkDown => Disconnected, Keep
        Disconnected + Interval { heard: true, limit: 4 } => Disconnected, Keep
        Disconnected + Interval { heard: false, limit: 4 } => Disconnected, Keep
        Connected { silent: 0 } + LinkUp => Connected { silent: 0 }, Keep
        Connected { silent: 0 } + LinkDown => Disconnected, Lost
        Connected { silent: 0 } + Interval { heard: true, limit: 4 } => Connected { silent: 0 }, Keepalive
        Connected { silent: 0 } + Interval { heard: false, limit: 4 } => Connected { silent: 1 }, Keepalive
        Connected { silent: 3 } + LinkUp => Connected { silent: 3 }, Keep
        Connected { silent: 3 } + LinkDown => Disconnected, Lost
        Connected { silent: 3 } + Interval { heard: true, limit: 4 } => Connected { silent: 0 }, Keepalive
        Connected { silent: 3 } + Interval { heard: false, limit: 4 } => Disconnected, Lost
        ");
    }
}

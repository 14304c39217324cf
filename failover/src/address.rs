//! One public address on this node: which interface it is on, and the one event that may be running
//! for it.
//!
//! ```text
//!                 Take, takeip                Done
//!   Elsewhere ------------------> Taking --------------------> Assigned <-+ Done, still there:
//!    ^  |  ^  \                                                 |   |     | as before
//!    |  |  |   \  Move (it is on some interface), updateip      |   |     |
//!    |  |  |    +-----------------------------> Moving <--------+   |     |
//!    |  |  |                                       |   Move         |     |
//!    |  |  +---------------------------------------+---> Assigned   |     |
//!    |  |        failed: back where it was           passed         |     |
//!    |  |                                                           |     |
//!    |  +---- Release or Drop, present ----> Releasing <------------+     |
//!    |                                          |   |  Release, Drop      |
//!    |         Done, not present any more       |   +---------------------+
//!    +------------------------------------------+
//! ```
//!
//! * In Taking, Moving and Releasing an event is running. Nothing else is begun then: TAKEOVER_IP and
//!   RELEASE_IP are refused, a Drop waits for the end.
//! * A failed takeip leaves the address Assigned, as in C: its scripts may have put it on the interface,
//!   so it has to be released, and "redundant" releases find out whether it is there.
//! * A release counts as done when the kernel does not have the address any more, whatever the scripts
//!   say.

/// Where the address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not on an interface of this node, as far as the daemon knows.
    Elsewhere,
    /// On this interface.
    Assigned(String),
    /// `takeip` is running.
    Taking(String),
    /// `updateip` is running; it may begin on an interface that the daemon does not know of.
    Moving {
        /// From here.
        from: Option<String>,
        /// To here.
        to: String,
    },
    /// `releaseip` is running.
    Releasing(Option<String>),
}

/// What TAKEOVER_IP comes to for an address that this node can have, see [`super::table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It is where it should be.
    Keep,
    /// It has to be put on this interface.
    Take(String),
    /// It is on another interface than this.
    Move(String),
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// TAKEOVER_IP.
    Take(Choice),
    /// RELEASE_IP.
    Release {
        /// The address is on an interface of this machine.
        present: bool,
    },
    /// This node gives up all of its addresses.
    Drop {
        /// The address is on an interface of this machine.
        present: bool,
    },
    /// The running event has ended.
    Done {
        /// Well.
        passed: bool,
        /// The address is on an interface of this machine.
        present: bool,
    },
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing is to be done.
    Nothing,
    /// An event is running already.
    Refuse,
    /// The event of the new state is to be run.
    Run,
    /// The address was not here, and is where the release says.
    Forget,
    /// To be done at the end of the running event.
    Later,
    /// `takeip` passed.
    Taken,
    /// `takeip` failed.
    NotTaken,
    /// `updateip` passed.
    Moved,
    /// `updateip` failed.
    NotMoved,
    /// `releaseip` is over, and the address is gone.
    Released,
    /// `releaseip` is over, and the address is still here.
    NotReleased,
}

pub(crate) fn step(state: State, event: Event) -> (State, Effect) {
    match event {
        Event::Take(choice) => take(state, choice),
        Event::Release { present } => match state {
            State::Elsewhere | State::Assigned(_) => give_up(state, present),
            updating => (updating, Effect::Refuse),
        },
        Event::Drop { present } => match state {
            State::Elsewhere | State::Assigned(_) => give_up(state, present),
            State::Releasing(_) => (state, Effect::Nothing),
            updating => (updating, Effect::Later),
        },
        Event::Done { passed, present } => done(state, passed, present),
    }
}

fn take(state: State, choice: Choice) -> (State, Effect) {
    match (state, choice) {
        (state @ (State::Elsewhere | State::Assigned(_)), Choice::Keep) => (state, Effect::Nothing),
        (State::Elsewhere | State::Assigned(_), Choice::Take(to)) => {
            (State::Taking(to), Effect::Run)
        }
        (State::Elsewhere, Choice::Move(to)) => (State::Moving { from: None, to }, Effect::Run),
        (State::Assigned(from), Choice::Move(to)) if from == to => {
            (State::Assigned(to), Effect::Nothing)
        }
        (State::Assigned(from), Choice::Move(to)) => {
            let from = Some(from);
            (State::Moving { from, to }, Effect::Run)
        }
        (updating, _) => (updating, Effect::Refuse),
    }
}

fn give_up(state: State, present: bool) -> (State, Effect) {
    if present {
        let from = state.interface().map(str::to_owned);
        (State::Releasing(from), Effect::Run)
    } else {
        (State::Elsewhere, Effect::Forget)
    }
}

fn done(state: State, passed: bool, present: bool) -> (State, Effect) {
    match state {
        State::Taking(on) if passed => (State::Assigned(on), Effect::Taken),
        State::Taking(on) => (State::Assigned(on), Effect::NotTaken),
        State::Moving { to, .. } if passed => (State::Assigned(to), Effect::Moved),
        State::Moving { from, .. } => (settled(from), Effect::NotMoved),
        State::Releasing(from) if present => (settled(from), Effect::NotReleased),
        State::Releasing(_) => (State::Elsewhere, Effect::Released),
        quiet @ (State::Elsewhere | State::Assigned(_)) => (quiet, Effect::Nothing),
    }
}

fn settled(on: Option<String>) -> State {
    on.map_or(State::Elsewhere, State::Assigned)
}

impl State {
    /// The interface that it is on, or on its way to; while it is released, still the old one.
    pub(crate) fn interface(&self) -> Option<&str> {
        match self {
            Self::Elsewhere | Self::Releasing(None) => None,
            Self::Assigned(on)
            | Self::Taking(on)
            | Self::Moving { to: on, .. }
            | Self::Releasing(Some(on)) => Some(on),
        }
    }

    /// Whether an event is running.
    pub(crate) const fn is_updating(&self) -> bool {
        !matches!(self, Self::Elsewhere | Self::Assigned(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn table() {
        let from = Some(on("a"));
        let states = [
            State::Elsewhere,
            State::Assigned(on("a")),
            State::Taking(on("a")),
            State::Moving { from, to: on("b") },
            State::Moving {
                from: None,
                to: on("b"),
            },
            State::Releasing(Some(on("a"))),
            State::Releasing(None),
        ];
        let events = [
            Event::Take(Choice::Keep),
            Event::Take(Choice::Take(on("a"))),
            Event::Take(Choice::Move(on("b"))),
            Event::Take(Choice::Move(on("a"))),
            Event::Release { present: true },
            Event::Release { present: false },
            Event::Drop { present: true },
            Event::Drop { present: false },
            Event::Done {
                passed: true,
                present: true,
            },
            Event::Done {
                passed: true,
                present: false,
            },
            Event::Done {
                passed: false,
                present: true,
            },
            Event::Done {
                passed: false,
                present: false,
            },
        ];
        let mut text = String::new();
        for state in &states {
            for event in &events {
                let (next, effect) = step(state.clone(), event.clone());
                text += &format!("{state:?} + {event:?} => {next:?}, {effect:?}\n");
            }
        }
        insta::assert_snapshot!(text.replace('"', ""));
    }
}

//! Whether the event daemon lives, and does not hang.
//!
//! ```text
//!          Up                    Due: STATUS is asked
//!   Down ------> Answering ---------------------------> Asked
//!    ^  ^            ^  |                                | |
//!    |  |            |  | Heard                    Heard | | Due: it hangs, it is to be killed
//!    |  +-- Down ----+--+<-------------------------------+ v
//!    +----- Down ---------------------------------------- Hung
//! ```
//!
//! It is asked while an event runs, and only then. The answer to STATUS does not wait for scripts.
//! C's ctdbd has no such watch, and ends itself when its event daemon ends (`eventd_dead_handler`,
//! 4.17.12).

use core::time::Duration;

use wire::Time;
use wire::event::Outcome;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_secs(2);
/// An event daemon that does not answer for so long hangs. Takeover runs give a node 9 seconds.
const PATIENCE: Duration = Duration::from_secs(6);

/// Where the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It does not run, or there is no connection.
    #[default]
    Down,
    /// It answered, or has just come up.
    Answering,
    /// It was asked.
    Asked,
    /// It did not answer; it is being killed.
    Hung,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// There is a connection.
    Up,
    /// There is none any more.
    Down,
    /// It said something.
    Heard,
    /// It is time to ask, or the answer should have come.
    Due,
}

/// The whole machine.
pub(crate) const fn step(state: State, event: Event) -> State {
    match (state, event) {
        (_, Event::Up) => State::Answering,
        (_, Event::Down) => State::Down,
        (State::Answering | State::Asked, Event::Heard) => State::Answering,
        (State::Answering, Event::Due) => State::Asked,
        (State::Asked, Event::Due) => State::Hung,
        (State::Down | State::Hung, Event::Heard | Event::Due) => state,
    }
}

/// The machine, and since when it is where it is.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: State,
    /// When it was last heard, or asked.
    since: Time,
}

impl Watch {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Answering | State::Asked)
    }

    pub(crate) fn came_up(&mut self, now: Time) {
        self.state = step(self.state, Event::Up);
        self.since = now;
    }

    /// What that means for the events it was running.
    pub(crate) fn went_down(&mut self) -> Outcome {
        let outcome = match self.state {
            State::Hung => Outcome::TimedOut,
            _ => Outcome::Lost,
        };
        self.state = step(self.state, Event::Down);
        outcome
    }

    pub(crate) fn heard(&mut self, now: Time) {
        self.state = step(self.state, Event::Heard);
        self.since = now;
    }

    /// When it is to be asked, or given up.
    pub(crate) fn due(&self, busy: bool) -> Option<Time> {
        match self.state {
            State::Answering if busy => Some(self.since + PAUSE),
            State::Asked => Some(self.since + PATIENCE),
            State::Answering | State::Down | State::Hung => None,
        }
    }

    /// What is due: true to ask, false to give it up.
    pub(crate) fn ask(&mut self, now: Time) -> bool {
        self.state = step(self.state, Event::Due);
        self.since = now;
        self.state == State::Asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn table() {
        let states = [State::Down, State::Answering, State::Asked, State::Hung];
        let events = [Event::Up, Event::Down, Event::Heard, Event::Due];
        insta::assert_snapshot!(table::render(&states, &events, step), @r"
        Down + Up => Answering
        Down + Down => Down
        Down + Heard => Down
        Down + Due => Down
        Answering + Up => Answering
        Answering + Down => Down
        Answering + Heard => Answering
        Answering + Due => Asked
        Asked + Up => Answering
        Asked + Down => Down
        Asked + Heard => Answering
        Asked + Due => Hung
        Hung + Up => Answering
        Hung + Down => Down
        Hung + Heard => Hung
        Hung + Due => Hung
        ");
    }
}

//! The run state of the daemon, which only ever grows.
//!
//! ```text
//!   Init --Initialised--> Setup --SetupDone--> FirstRecovery --RecoveryEnded--> Startup
//!     |                     |                        |                            |
//!     |                     |                        |                     StartupDone
//!     |                     |                        |                            |
//!     +------ Shutdown -----+-----------+------------+---- Shutdown               v
//!                                       v                      |               Running
//!                                    Shutdown <----------------+----- Shutdown ---+
//! ```
//!
//! SetupDone and StartupDone stand for the event scripts `setup` and `startup`.

use wire::types::RunState;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Databases are attached and frozen, the transport runs.
    Initialised,
    /// The event `setup` has passed.
    SetupDone,
    /// A recovery of the whole cluster has ended here (END_RECOVERY).
    RecoveryEnded,
    /// The event `startup` has passed.
    StartupDone,
    /// The daemon ends.
    Shutdown,
}

/// The next state; none if the event changes nothing.
pub(super) fn step(state: RunState, event: Event) -> Option<RunState> {
    use Event::{Initialised, RecoveryEnded, SetupDone, Shutdown, StartupDone};
    match (state, event) {
        (RunState::Shutdown, _) => None,
        (_, Shutdown) => Some(RunState::Shutdown),
        (RunState::Init, Initialised) => Some(RunState::Setup),
        (RunState::Setup, SetupDone) => Some(RunState::FirstRecovery),
        (RunState::FirstRecovery, RecoveryEnded) => Some(RunState::Startup),
        (RunState::Startup, StartupDone) => Some(RunState::Running),
        (_, Initialised | SetupDone | RecoveryEnded | StartupDone) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::table;

    #[test]
    fn table() {
        let states = [
            RunState::Init,
            RunState::Setup,
            RunState::FirstRecovery,
            RunState::Startup,
            RunState::Running,
            RunState::Shutdown,
        ];
        let events = [
            Event::Initialised,
            Event::SetupDone,
            Event::RecoveryEnded,
            Event::StartupDone,
            Event::Shutdown,
        ];
        let next = |state, event| match step(state, event) {
            Some(next) => (next, "entered"),
            None => (state, "-"),
        };
        insta::assert_snapshot!(table::render(&states, &events, next), @"");
    }
}

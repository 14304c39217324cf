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
//! SetupDone and StartupDone stand for the events `setup` and `startup`.

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
    use crate::membership::table::{self, Shown};

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
            Some(next) => (next, Shown("entered")),
            None => (state, Shown("-")),
        };
        insta::assert_snapshot!(table::render(&states, &events, next), @r"
        Init + Initialised => Setup, entered
        Init + SetupDone => Init, -
        Init + RecoveryEnded => Init, -
        Init + StartupDone => Init, -
        Init + Shutdown => Shutdown, entered
        Setup + Initialised => Setup, -
        Setup + SetupDone => FirstRecovery, entered
        Setup + RecoveryEnded => Setup, -
        Setup + StartupDone => Setup, -
        Setup + Shutdown => Shutdown, entered
        FirstRecovery + Initialised => FirstRecovery, -
        FirstRecovery + SetupDone => FirstRecovery, -
        FirstRecovery + RecoveryEnded => Startup, entered
        FirstRecovery + StartupDone => FirstRecovery, -
        FirstRecovery + Shutdown => Shutdown, entered
        Startup + Initialised => Startup, -
        Startup + SetupDone => Startup, -
        Startup + RecoveryEnded => Startup, -
        Startup + StartupDone => Running, entered
        Startup + Shutdown => Shutdown, entered
        Running + Initialised => Running, -
        Running + SetupDone => Running, -
        Running + RecoveryEnded => Running, -
        Running + StartupDone => Running, -
        Running + Shutdown => Shutdown, entered
        Shutdown + Initialised => Shutdown, -
        Shutdown + SetupDone => Shutdown, -
        Shutdown + RecoveryEnded => Shutdown, -
        Shutdown + StartupDone => Shutdown, -
        Shutdown + Shutdown => Shutdown, -
        ");
    }
}

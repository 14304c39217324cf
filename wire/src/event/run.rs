//! Which events there are, and how one ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The folder of CTDB's own scripts.
pub const LEGACY: &str = "legacy";

/// RUN's result if a script failed: ENOEXEC (`event_cmd.c`, 4.17.12).
const SCRIPT_FAILED: i32 = 8;
/// The same if one took too long: ETIMEDOUT.
const TIMED_OUT: i32 = 110;
/// The same if another event took the place of this one: ECANCELED.
const CANCELLED: i32 = 125;
/// What stands for an event daemon that ended before it answered: EPIPE.
const LOST: i32 = 32;

/// An event that the daemon runs, the first argument of CTDB's own scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Event {
    /// Before anything else.
    Init,
    /// Clients are served, databases are frozen.
    Setup,
    /// After the first recovery.
    Startup,
    /// A recovery begins.
    StartRecovery,
    /// A recovery is over.
    Recovered,
    /// An address comes: interface, address, bits of the netmask.
    TakeIp,
    /// An address goes: the same.
    ReleaseIp,
    /// An address moves: interface before, interface after, address, bits of the netmask.
    UpdateIp,
    /// Addresses are about to move; later than 4.17.
    StartIpreallocate,
    /// Addresses have moved.
    Ipreallocated,
    /// Now and then: is the node well?
    Monitor,
    /// The daemon ends.
    Shutdown,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 12] = [
        Self::Init,
        Self::Setup,
        Self::Startup,
        Self::StartRecovery,
        Self::Recovered,
        Self::TakeIp,
        Self::ReleaseIp,
        Self::UpdateIp,
        Self::StartIpreallocate,
        Self::Ipreallocated,
        Self::Monitor,
        Self::Shutdown,
    ];

    /// What scripts know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Setup => "setup",
            Self::Startup => "startup",
            Self::StartRecovery => "startrecovery",
            Self::Recovered => "recovered",
            Self::TakeIp => "takeip",
            Self::ReleaseIp => "releaseip",
            Self::UpdateIp => "updateip",
            Self::StartIpreallocate => "startipreallocate",
            Self::Ipreallocated => "ipreallocated",
            Self::Monitor => "monitor",
            Self::Shutdown => "shutdown",
        }
    }

    /// How many arguments it has, with blanks between (`eventscript.c`, 4.17.12).
    #[must_use]
    pub const fn argument_count(self) -> usize {
        match self {
            Self::TakeIp | Self::ReleaseIp => 3,
            Self::UpdateIp => 4,
            _ => 0,
        }
    }

    /// Whether it may begin while the recovery mode is ACTIVE (the same).
    #[must_use]
    pub const fn runs_in_recovery(self) -> bool {
        match self {
            Self::Init
            | Self::Setup
            | Self::StartRecovery
            | Self::Shutdown
            | Self::ReleaseIp
            | Self::StartIpreallocate
            | Self::Ipreallocated => true,
            Self::Startup | Self::Recovered | Self::TakeIp | Self::UpdateIp | Self::Monitor => {
                false
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Every script succeeded.
    Passed,
    /// A script failed; those behind it were not run.
    Failed,
    /// A script took too long, or the event daemon did.
    TimedOut,
    /// `monitor` had to make place for another event.
    Cancelled,
    /// The event daemon ended before it answered.
    Lost,
    /// It was not run: not within a recovery, or with these arguments.
    Refused,
    /// The event daemon could not run it; an errno.
    Error(i32),
}

impl Outcome {
    /// By the result of RUN.
    #[must_use]
    pub const fn from_result(result: i32) -> Self {
        match result {
            0 => Self::Passed,
            SCRIPT_FAILED => Self::Failed,
            TIMED_OUT => Self::TimedOut,
            CANCELLED => Self::Cancelled,
            errno => Self::Error(errno),
        }
    }

    /// The status of a control that is answered with it: 0, an errno, or -1 if the event was not
    /// run.
    #[must_use]
    pub const fn status(self) -> i32 {
        match self {
            Self::Passed => 0,
            Self::Failed => SCRIPT_FAILED,
            Self::TimedOut => TIMED_OUT,
            Self::Cancelled => CANCELLED,
            Self::Lost => LOST,
            Self::Refused => -1,
            Self::Error(errno) => errno,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_they_are_answered() {
        for result in [0, 2, 8, 110, 125] {
            assert_eq!(Outcome::from_result(result).status(), result);
        }
    }

    #[test]
    fn names_are_words_and_differ() {
        let names: std::collections::BTreeSet<_> = Event::ALL.iter().map(|e| e.name()).collect();
        assert_eq!(names.len(), Event::ALL.len());
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|b| b.is_ascii_lowercase()))
        );
    }
}

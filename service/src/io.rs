//! What goes into the service manager and what comes out of it.

use serde::{Deserialize, Serialize};
use wire::ReqId;
use wire::event::{Event, Outcome, Reply, Request};
use wire::tunables::Tunables;
use wire::types::RunState;

/// Names an event that another part asked for. Chosen by who asks, opaque here, in use once at a
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u64);

/// What the service manager is told once, at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether there is an event daemon; without one every event passes.
    pub present: bool,
    /// The tunables at the start.
    pub limits: Limits,
}

/// The tunables that count here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// EventScriptTimeout: how long an event may take, in seconds.
    pub event: u32,
    /// MonitorInterval: the longest time between two looks at the node's health, in seconds.
    pub monitor_interval: u32,
    /// MonitorTimeoutCount: so many looks in a row that take too long make the node unhealthy.
    pub monitor_timeouts: u32,
}

impl From<&Tunables> for Limits {
    fn from(tunables: &Tunables) -> Self {
        Self {
            event: tunables.script_timeout,
            monitor_interval: tunables.monitor_interval,
            monitor_timeouts: tunables.monitor_timeout_count,
        }
    }
}

/// What is known of the node: a copy, renewed when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// How far the daemon has come.
    pub run_state: RunState,
    /// The recovery mode is ACTIVE.
    pub in_recovery: bool,
    /// The node is stopped or banned.
    pub inactive: bool,
    /// All databases are frozen.
    pub all_frozen: bool,
    /// The node's flag UNHEALTHY.
    pub unhealthy: bool,
}

impl Default for View {
    /// A node before its start.
    fn default() -> Self {
        Self {
            run_state: RunState::Init,
            in_recovery: true,
            inactive: false,
            all_frozen: true,
            unhealthy: true,
        }
    }
}

/// News of the event daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Eventd {
    /// It runs, and there is a connection.
    Up,
    /// Its process or the connection ended; another one is started.
    Down,
    /// It answered.
    Reply(ReqId, Reply),
}

/// What the service manager is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Run an event. Exactly one [`Output::Done`] follows, at once or later, whatever becomes of
    /// the event daemon.
    Run {
        /// For the outcome.
        id: EventId,
        /// Which.
        event: Event,
        /// The scripts' other arguments, with blanks between.
        arguments: String,
    },
    /// News of the event daemon.
    Eventd(Eventd),
    /// Something of the node changed.
    Node(View),
    /// Tunables were set.
    Limits(Limits),
    /// The time of `poll_timeout()` has come.
    Timer,
}

/// What the service manager wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Ask the event daemon; it is up.
    Ask {
        /// For the answer.
        reqid: ReqId,
        /// What.
        request: Request,
    },
    /// An event has ended.
    Done {
        /// Of [`Input::Run`].
        id: EventId,
        /// How.
        outcome: Outcome,
    },
    /// The event `startup` has passed: the node is RUNNING.
    StartedUp,
    /// The node has become healthy, or unhealthy.
    Health {
        /// Which.
        healthy: bool,
    },
    /// Kill the event daemon, and with it what it runs, and start another.
    Restart {
        /// For the log.
        reason: String,
    },
    /// Tell the administrator's script.
    Milestone(Milestone),
}

/// What the notification script is told of (`notify.sh`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Milestone {
    /// The event `init` has passed.
    Init,
    /// The event `setup` has passed.
    Setup,
    /// The event `startup` has passed.
    Startup,
    /// The node has become healthy.
    Healthy,
    /// The node has become unhealthy.
    Unhealthy,
}

impl Milestone {
    /// Of an event that has passed.
    #[must_use]
    pub const fn of(event: Event) -> Option<Self> {
        match event {
            Event::Init => Some(Self::Init),
            Event::Setup => Some(Self::Setup),
            Event::Startup => Some(Self::Startup),
            _ => None,
        }
    }

    /// The script's argument.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Setup => "setup",
            Self::Startup => "startup",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

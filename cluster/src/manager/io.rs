//! What goes into the manager and what comes out of it: its notifications and its actions.
//!
//! The shell owns the socket to the daemon, the clock and the cluster-lock helper process. It
//! turns what they report into [`Input`] and carries out each [`Output`] in the order given.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::{Pnn, Srvid};

use crate::coordinator;

/// What the manager is told once, at its start. It does not change while the process lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// This node.
    pub pnn: Pnn,
    /// `cluster lock` of ctdb.conf, literally; none: there is no lock and leaders are elected.
    pub cluster_lock: Option<String>,
    /// `leader timeout` of ctdb.conf: without a leader's broadcast for so long, elect another.
    pub leader_timeout: Duration,
    /// `leader capability` of ctdb.conf: whether this node may lead.
    pub leader_capability: bool,
    /// `failover: disabled` of ctdb.conf: a takeover run moves no addresses.
    pub failover_disabled: bool,
    /// The Unix time at [`Time::ZERO`](crate::Time::ZERO): ballots carry wall-clock times, which
    /// C nodes compare with their own.
    pub wall_clock: Duration,
    /// A coordinator that knows the members and the leader; none: the managers find out among themselves. Its name
    /// stands in place of the cluster lock's.
    pub coordinator: Option<CoordinatorSettings>,
}

/// How this node is a member with a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinatorSettings {
    /// Which life of this node's daemon it is: random, and the same for every manager that one daemon starts.
    pub incarnation: u64,
    /// `etcd lease` of ctdb.conf: how long a membership lives without being renewed.
    pub lease: Duration,
    /// CLOCK_MONOTONIC at [`Time::ZERO`](crate::Time::ZERO); the daemon and its manager have it in common.
    pub monotonic_clock: Duration,
}

impl Settings {
    /// Defaults of ctdb.conf (`cluster_conf.c`, 4.17.12) for the given node.
    #[must_use]
    pub fn new(pnn: Pnn) -> Self {
        Self {
            pnn,
            cluster_lock: None,
            leader_timeout: Duration::from_secs(5),
            leader_capability: true,
            failover_disabled: false,
            wall_clock: Duration::ZERO,
            coordinator: None,
        }
    }
}

/// Ties a [`Input::ControlReply`] to its [`Output::Control`]. Never used twice by one manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u64);

/// A control was answered, be it with success (`status` 0 or a value) or with an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlAnswer {
    /// The status of the reply packet; a few controls return their value here.
    pub status: i32,
    /// The reply's data.
    pub data: Vec<u8>,
    /// The reply's error text, empty as a rule.
    pub error: String,
}

/// A control was not answered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlFailure {
    /// No reply within the control's time-out.
    TimedOut,
    /// The daemon said that the node is not connected, or the request could not be sent.
    Disconnected,
}

/// What the cluster lock's helper process reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockEvent {
    /// The lock is ours until [`LockEvent::Lost`] or [`Output::ReleaseLock`].
    Taken,
    /// Someone else holds it.
    Contended,
    /// The helper did not answer in time.
    TimedOut,
    /// The helper could not be run or failed.
    Failed {
        /// For the log.
        reason: String,
    },
    /// The lock was ours and no longer is.
    Lost,
}

/// What the manager is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A message to an SRVID that the manager registered.
    Message {
        /// The node that sent it, of the packet's header.
        source: Pnn,
        /// The SRVID it was sent to.
        srvid: Srvid,
        /// Its data.
        data: Vec<u8>,
    },
    /// The end of an [`Output::Control`]; exactly one for each, unless sent with NOREPLY.
    ControlReply {
        /// The token of the request.
        token: Token,
        /// The answer, or why there is none.
        result: Result<ControlAnswer, ControlFailure>,
    },
    /// News of the cluster lock.
    Lock(LockEvent),
    /// News of the coordinator.
    Coordinator(coordinator::Notification),
    /// The time of `poll_timeout()` has come.
    Timer,
}

impl Input {
    /// Whether it came by way of the own daemon, which therefore lives.
    pub(super) const fn is_of_daemon(&self) -> bool {
        match self {
            Self::Message { .. } => true,
            Self::ControlReply { result, .. } => !matches!(result, Err(ControlFailure::TimedOut)),
            Self::Lock(_) | Self::Coordinator(_) | Self::Timer => false,
        }
    }
}

/// What the manager wants done, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// Send a control; with [`ControlFlags::NOREPLY`] there will be no [`Input::ControlReply`].
    Control {
        /// For the reply.
        token: Token,
        /// One node, or one of the broadcast addresses with NOREPLY.
        destination: Pnn,
        /// The opcode and its data.
        request: Request,
        /// The header's SRVID field, which a few controls use as an argument; else 0.
        srvid: Srvid,
        /// The header's flags.
        flags: ControlFlags,
        /// Report [`ControlFailure::TimedOut`] after this; zero: never.
        timeout: Duration,
    },
    /// Send a message.
    Message {
        /// One node or a broadcast address.
        destination: Pnn,
        /// To which SRVID.
        srvid: Srvid,
        /// Its data.
        data: Vec<u8>,
    },
    /// Send the same message to each of some nodes.
    MessageEach {
        /// The nodes.
        destinations: Vec<Pnn>,
        /// To which SRVID.
        srvid: Srvid,
        /// Its data.
        data: Vec<u8>,
    },
    /// Ask the daemon to deliver messages to this SRVID.
    RegisterSrvid(Srvid),
    /// End that.
    DeregisterSrvid(Srvid),
    /// Start the cluster lock's helper; answered by one [`LockEvent`] other than `Lost`.
    TakeLock,
    /// End the helper, whether it holds the lock or still tries; no [`LockEvent`] follows.
    ReleaseLock,
    /// Something for the coordinator.
    Coordinator(coordinator::Action),
    /// Give up this process. The daemon starts another.
    Exit {
        /// For the log.
        reason: String,
    },
}

/// The outputs of a call, in order. The shell drains it after each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outputs(Vec<Output>);

impl Outputs {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one more.
    pub fn push(&mut self, output: Output) {
        self.0.push(output);
    }

    /// Takes all, in order, and leaves the space for the next call.
    pub fn drain(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.0.drain(..)
    }

    /// What is there.
    #[must_use]
    pub fn as_slice(&self) -> &[Output] {
        &self.0
    }
}

//! What goes into the node's side of the cluster and what comes out of it: its notifications and
//! its actions.
//!
//! The shell is `ctdbd`. It owns the transport, the databases, the clock and the helper process
//! that tries the cluster lock; it turns what happens there into [`Input`] and carries out each
//! [`Output`] in the order given.

use serde::{Deserialize, Serialize};
use wire::control::Request;
use wire::event::{Event, Outcome};
use wire::tunables::Tunables;
use wire::types::{NodeFlags, RunState, SockAddr, VnnMap};
use wire::{Pnn, Srvid};

use super::fence::FenceSettings;

/// Names a control request that is to be answered by one [`Output::Reply`]. Chosen by the shell,
/// opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u64);

/// Names a control, a lock check or an event that this half asked for. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OwnToken(pub u64);

/// One line of the nodes file. A commented-out line keeps its place: the pnn is the line's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// The line's number, from 0.
    pub pnn: Pnn,
    /// The node's private address.
    pub addr: SockAddr,
    /// The line is commented out.
    pub deleted: bool,
}

/// What this half is told once, at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// This node.
    pub me: Pnn,
    /// The nodes file, this node included, in the order of the lines.
    pub nodes: Vec<NodeEntry>,
    /// `cluster lock` of ctdb.conf, literally; none: there is no lock.
    pub cluster_lock: Option<String>,
    /// Where the node has to be a member with a coordinator, whose name is that of the cluster lock.
    pub fence: Option<FenceSettings>,
    /// `leader capability` of ctdb.conf.
    pub leader_capability: bool,
    /// `lmaster capability` of ctdb.conf.
    pub lmaster_capability: bool,
    /// What keepalives claim: major and minor release, 16 bits each; 4.17 is `0x0004_0011`.
    pub version: u32,
    /// `start as disabled` of ctdb.conf.
    pub start_as_disabled: bool,
    /// `start as stopped` of ctdb.conf.
    pub start_as_stopped: bool,
    /// The wall clock at [`crate::Time::ZERO`], in microseconds since 1970; for `ctdb uptime`.
    pub wall_clock_at_zero: u64,
    /// The tunables at the start.
    pub tunables: Tunables,
}

/// How a try of the cluster lock by [`Output::CheckClusterLock`] ended. A lock that was taken has
/// been released again by the helper before this is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockOutcome {
    /// Nobody held it. That is bad: the leader should.
    Taken,
    /// Someone holds it, as it should be.
    Contended,
    /// The helper said that it timed out, or did not say anything in time (5 s in 4.17.12).
    TimedOut,
    /// The helper could not be run or failed.
    Failed(String),
}

/// What the node's side is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A control for this half, from a node or a client of ours: only those of which
    /// [`super::Membership::answers`] is true. Exactly one [`Output::Reply`] follows, at once or
    /// later.
    Control {
        /// For the reply.
        token: Token,
        /// The node that asks, of the packet's header; this node for clients of our own.
        source: Pnn,
        /// The request.
        request: Request,
    },
    /// Transport: both connections with that node are up.
    Connected(Pnn),
    /// Transport: one of the two broke.
    Disconnected(Pnn),
    /// The own manager's [`crate::fence::Standing`], as it came.
    Standing(Vec<u8>),
    /// Another node's [`crate::fence::Hello`], as it came.
    Hello {
        /// Which node.
        from: Pnn,
        /// What it says.
        data: Vec<u8>,
    },
    /// Something else came from a node that [`super::Membership::admits`] does not admit, and was dropped.
    Stranger(Pnn),
    /// A keepalive packet; the fields are none if the packet has a header only.
    Keepalive {
        /// The sender.
        from: Pnn,
        /// The sender's release.
        version: Option<u32>,
        /// Seconds since the sender started.
        uptime: Option<u32>,
    },
    /// The end of an [`Output::CheckClusterLock`].
    LockChecked {
        /// Of the check.
        token: OwnToken,
        /// What came out.
        outcome: LockOutcome,
        /// How long it took, in seconds.
        latency: f64,
    },
    /// The answer to an [`Output::Control`] with a token. A lost node, a time-out and an error
    /// packet are reported with a status other than 0.
    ControlReply {
        /// Of the request.
        token: OwnToken,
        /// The reply's status.
        status: i32,
        /// The reply's data.
        data: Vec<u8>,
    },
    /// A subsystem cannot go on without a recovery: a commit that failed, a client that died
    /// inside one.
    RecoveryNeeded {
        /// For the log.
        reason: String,
    },
    /// From the database: whether some database's generation is not the vnnmap's.
    DatabaseGenerationsDiffer(bool),
    /// From the database: whether all databases are frozen. Until told otherwise they are: a
    /// daemon starts frozen.
    AllFrozen(bool),
    /// The answer to [`Output::ReadNodesFile`]; none if the file could not be read.
    Nodes(Option<Vec<NodeEntry>>),
    /// Tunables were set.
    Tunables(Tunables),
    /// The end of an [`Output::RunEvent`].
    EventDone {
        /// Of the event.
        token: OwnToken,
        /// How.
        outcome: Outcome,
    },
    /// The event `startup` has passed.
    StartedUp,
    /// The event `monitor` says that the node is well, or not.
    Health {
        /// Which.
        healthy: bool,
    },
    /// The daemon was asked to end, by a signal for instance.
    ShutdownAsked {
        /// Its exit status.
        exit_code: i32,
        /// For the log.
        reason: String,
    },
    /// The time of `poll_timeout()` has come.
    Timer,
}

/// What the node's side wants done, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// Answer a control.
    Reply {
        /// Of the request.
        token: Token,
        /// 0, an error, or the value of the few controls that answer in the status.
        status: i32,
        /// The reply's data.
        data: Vec<u8>,
        /// The reply's error text.
        error: Option<String>,
    },
    /// Send a keepalive packet.
    Keepalive {
        /// To which node.
        to: Pnn,
        /// Our release.
        version: u32,
        /// Seconds since we started.
        uptime: u32,
    },
    /// The node is gone: drop both connections with it, and fail whatever waits for it.
    Dead(Pnn),
    /// Send a control.
    Control {
        /// None: nobody waits for the reply (flag NOREPLY). Else one [`Input::ControlReply`].
        token: Option<OwnToken>,
        /// One node or a broadcast address.
        destination: Pnn,
        /// The opcode and its data.
        request: Request,
    },
    /// Send a message.
    Message {
        /// One node, this one included, or a broadcast address.
        destination: Pnn,
        /// To which SRVID.
        srvid: Srvid,
        /// Its data.
        data: Vec<u8>,
    },
    /// Say to all connected managers that a recovery is wanted, and how large the databases are, which the daemon knows.
    RecoveryWanted,
    /// Try to take the cluster lock in a helper process, release it at once, and report by one
    /// [`Input::LockChecked`].
    CheckClusterLock(OwnToken),
    /// Read the nodes file again, and report by one [`Input::Nodes`].
    ReadNodesFile,
    /// Connections to make or to give up after the nodes file was read again: added nodes are
    /// connected, deleted ones dropped.
    Nodes(Vec<NodeEntry>),
    /// Tell the other subsystems.
    Notify(Notification),
    /// Run an event, and report by one [`Input::EventDone`].
    RunEvent {
        /// For the report.
        token: OwnToken,
        /// Which; none with arguments.
        event: Event,
    },
    /// Start the manager's process: the node is ready to be recovered.
    StartManager,
    /// The daemon is about to end: end the manager's process for good.
    StopManager {
        /// For the log.
        reason: String,
    },
    /// The manager does not answer: end its process and start another.
    RestartManager {
        /// For the log.
        reason: String,
    },
    /// End the daemon.
    Shutdown {
        /// Its exit status.
        exit_code: i32,
        /// For the log.
        reason: String,
    },
}

/// What happened, for the other subsystems of the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Notification {
    /// There is a new vnnmap.
    VnnMap(VnnMap),
    /// The recovery mode changed: true is ACTIVE. At its end the database thaws what is still
    /// frozen.
    RecoveryMode(bool),
    /// These nodes' flags changed; the new flags.
    NodeFlags(Vec<(Pnn, NodeFlags)>),
    /// The run state changed.
    RunState(RunState),
    /// This node was stopped or banned. The database invalidates its generation, freezes
    /// everything, and marks its volatile records as invalid.
    BecameInactive,
    /// This node is no member any more by the coordinator. The database freezes everything, and keeps what it has; the
    /// public addresses are released.
    FencedOff,
    /// A recovery's leader announced its begin (START_RECOVERY).
    RecoveryStarted,
    /// A recovery is over (END_RECOVERY): finish pending commits.
    RecoveryEnded,
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

    /// Tells the other subsystems.
    pub fn notify(&mut self, notification: Notification) {
        self.push(Output::Notify(notification));
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

//! What goes into the node's side of IP failover and what comes out of it: the whole border.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::tunables::Tunables;
use wire::types::{Connection, NodeFlags, RunState};
use wire::{ClientId, Pnn, Srvid};

/// Names a control that is to be answered by one [`Output::Reply`]; opaque here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u64);

/// Names an event that was asked for. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u64);

/// What the operating system knows, asked whenever it matters: somebody else may have put an address
/// on an interface, or taken it away.
pub trait System {
    /// Whether the address is on an interface of this machine.
    fn has_address(&self, address: IpAddr) -> bool;
    /// Whether there is an interface of that name.
    fn has_interface(&self, name: &str) -> bool;
}

/// A line of the file of public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// The address, not mapped.
    pub address: IpAddr,
    /// Bits of the network mask.
    pub mask: u8,
    /// The interfaces that it can be on.
    pub interfaces: Vec<String>,
}

/// What this part is told once, at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This node.
    pub me: Pnn,
    /// The file of public addresses, in its order.
    pub addresses: Vec<Configured>,
    /// `failover: disabled` of ctdb.conf: addresses are not given up by this node's own decision.
    pub disabled: bool,
    /// Whether the kernel's addresses count, and others are told of a take-over. Not in test mode,
    /// where scripts only claim to have moved an address.
    pub real: bool,
    /// The tunables at the start.
    pub tunables: Tunables,
}

/// What this part knows of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// How far this daemon has come.
    pub run_state: RunState,
    /// The flags of this node.
    pub flags: NodeFlags,
    /// Whether the recovery mode is ACTIVE.
    pub in_recovery: bool,
}

impl View {
    /// A daemon that starts.
    pub(crate) const START: Self = Self {
        run_state: RunState::Init,
        flags: NodeFlags::empty(),
        in_recovery: true,
    };

    /// Whether the node runs, and is neither stopped nor banned.
    pub(crate) fn is_active(self) -> bool {
        self.run_state == RunState::Running && !self.flags.is_inactive()
    }

    /// Whether addresses can be hosted here.
    pub(crate) fn hosts(self) -> bool {
        let unfit = NodeFlags::INACTIVE | NodeFlags::DISABLED;
        self.run_state == RunState::Running && !self.flags.intersects(unfit)
    }
}

/// A control for this part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlRequest {
    /// For the answer.
    pub token: Token,
    /// The node that sent it; our own for a local client.
    pub source: Pnn,
    /// The local client that sent it, if one did.
    pub client: Option<ClientId>,
    /// Flags of the packet; ONLY_AVAILABLE matters here.
    pub flags: ControlFlags,
    /// The request.
    pub request: Request,
}

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// All scripts passed, or there were none.
    Passed,
    /// A script failed with this status, or the event could not be run.
    Failed(i32),
    /// A script did not end in time.
    TimedOut,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A control of which [`crate::Failover::answers`] is true. One [`Output::Reply`] follows, at once or
    /// later.
    Control(ControlRequest),
    /// The end of an [`Output::RunEvent`].
    EventDone {
        /// Which.
        id: EventId,
        /// How.
        outcome: Outcome,
    },
    /// The end of an [`Output::ReadAddresses`]; the text says why there are none.
    AddressesRead(Result<Vec<Configured>, String>),
    /// Something that [`View`] says has changed.
    View(View),
    /// This node was stopped or banned.
    BecameInactive,
    /// A client's connection to the daemon ended.
    ClientGone(ClientId),
    /// Tunables were set.
    Tunables(Box<Tunables>),
    /// The time of `poll_timeout()` has come.
    Timer,
}

/// The events of addresses. Their arguments are in the order in which scripts get them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AddressEvent {
    /// Interface, address, mask: put it there.
    TakeIp,
    /// Interface, address, mask: take it away.
    ReleaseIp,
    /// Old interface, new interface, address, mask.
    UpdateIp,
}

impl AddressEvent {
    /// As scripts know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TakeIp => "takeip",
            Self::ReleaseIp => "releaseip",
            Self::UpdateIp => "updateip",
        }
    }
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// Answer a control.
    Reply {
        /// Which.
        token: Token,
        /// 0, or an error.
        status: i32,
        /// The reply's data.
        data: Vec<u8>,
        /// The reply's error text.
        error: Option<String>,
    },
    /// Run an event, and report by one [`Input::EventDone`].
    RunEvent {
        /// Its name.
        id: EventId,
        /// Which.
        event: AddressEvent,
        /// What the scripts get behind the event's name.
        arguments: Vec<String>,
    },
    /// Send a control that nobody answers.
    Control {
        /// A node or a broadcast address.
        destination: Pnn,
        /// The opcode and its data.
        request: Request,
    },
    /// Send a message.
    Message {
        /// A node, this one included, or a broadcast address.
        destination: Pnn,
        /// To which SRVID.
        srvid: Srvid,
        /// Its data.
        data: Vec<u8>,
    },
    /// Tell everybody on an interface's network where the address is now: gratuitous ARP, or a neighbour
    /// advertisement.
    Arp {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// Have clients find out that their connections are lost: an ACK without sense from `dst`, the public
    /// address, to `src`, the client, for each.
    Tickle(Vec<Connection>),
    /// Read the file of public addresses again, and report by one [`Input::AddressesRead`].
    ReadAddresses,
    /// Ban this node for RecoveryBanPeriod.
    BanSelf,
}

//! What goes into the engine and what comes out of it: the whole border, in one file.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::tunables::Tunables;
use wire::types::DbFlags;
use wire::{ClientId, DbId, Pnn, Srvid};

use crate::ClusterView;
use crate::frozen::Order;
use crate::store::Opened;

/// Names a control that is to be answered; opaque to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(pub u64);

/// Names a control that the engine itself sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnToken(pub u64);

/// Names a job given to a worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkId(pub u64);

/// A control that asks something of the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlRequest {
    /// What the answer is to be given to.
    pub token: Token,
    /// The node that sent it; our own for a local client.
    pub source: Pnn,
    /// The local client that sent it, if one did.
    pub client: Option<ClientId>,
    /// Flags of the packet; ATTACH_RECOVERY matters here.
    pub flags: ControlFlags,
    /// The question itself.
    pub request: Request,
}

/// Everything that can happen to the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A local client's REQ_CALL, whole.
    ClientCall {
        /// Who sent it.
        client: ClientId,
        /// The packet.
        packet: Vec<u8>,
    },
    /// A REQ_CALL, REPLY_CALL, REQ_DMASTER, REPLY_DMASTER or REPLY_ERROR between nodes, whole.
    Packet(Vec<u8>),
    /// A control for the database.
    Control(ControlRequest),
    /// The answer to an [`Output::Control`]; a node that is gone and a time-out answer with status -1.
    ControlReply {
        /// Which.
        token: OwnToken,
        /// Who answered.
        from: Pnn,
        /// 0 for success.
        status: i32,
        /// The reply's data.
        data: Vec<u8>,
    },
    /// A local client is gone, with all that it waited for.
    ClientGone(ClientId),
    /// A message on an SRVID of [`Output::Listen`].
    Pushed {
        /// Which.
        srvid: Srvid,
        /// A marshall buffer.
        data: Vec<u8>,
    },
    /// What became of a job.
    Work {
        /// Which job.
        work: WorkId,
        /// What happened.
        event: WorkEvent,
    },
    /// News of the cluster.
    Cluster(ClusterView),
    /// A recovery ended: commits that it interrupted get their answer.
    RecoveryEnded,
    /// This node left the cluster (stopped or banned): serve nothing, and do not trust volatile records.
    BecameInactive,
    /// Recovery mode went back to normal: whatever is still frozen may go on, deferred attaches too.
    RecoveryModeNormal,
    /// The tunables changed.
    Tunables(Box<Tunables>),
    /// [`crate::Engine::poll_timeout`] has passed.
    Timer,
}

/// What a worker process tells of its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WorkEvent {
    /// It holds the lock.
    Locked,
    /// It could not do the job, or died while it did.
    Failed(String),
    /// The commit was carried out (status 0) or refused, with the reason.
    Committed(i32, String),
    /// Records of a traverse, each with its header in front of the value.
    Records(Vec<(Vec<u8>, Vec<u8>)>),
    /// The traverse ended after this many records.
    Traversed(u64),
    /// A marshall buffer of a [`Pull`](crate::frozen::Pull).
    Pulled(Vec<u8>),
    /// The oldest order was carried out, with a number, or was not, with the reason.
    Ordered(Result<u32, String>),
    /// The file was looked at, and repacked if it was ragged.
    Repacked {
        /// How many free pieces it had.
        free: u64,
        /// Whether records were moved for that.
        repacked: bool,
    },
}

/// Work that may block, for a process that holds the tdb open by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Job {
    /// Wait for the chain lock of the key and hold it until released.
    LockRecord(Vec<u8>),
    /// Wait for every chain of the database and hold it until released.
    LockAll,
    /// Apply a marshall buffer in one transaction: every record, or none.
    Commit {
        /// Records with headers.
        records: Vec<u8>,
        /// What kind of database it is: what counts as older depends on it.
        kind: DbFlags,
    },
    /// Read every record.
    Traverse {
        /// Only those whose data master is this node.
        only_dmaster: Option<Pnn>,
        /// Also those without a value.
        with_empty: bool,
    },
    /// Gather the free space of the file if it has become ragged.
    Repack {
        /// From so many free pieces on.
        limit: u32,
    },
}

/// Everything that the engine wants done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// Send a packet to a node; to our own, hand it back as [`Input::Packet`].
    ToNode(Pnn, Vec<u8>),
    /// Send a packet to a local client.
    ToClient(ClientId, Vec<u8>),
    /// Answer a control.
    Reply {
        /// Which.
        token: Token,
        /// 0 for success; some controls put a number here.
        status: i32,
        /// The reply's data.
        data: Vec<u8>,
        /// Text for people.
        error: Option<String>,
    },
    /// Ask a node something, or every node of a broadcast address (then without an answer).
    Control {
        /// How the answer will be named; `None` asks for no answer.
        token: Option<OwnToken>,
        /// To whom.
        destination: Pnn,
        /// The client on whose behalf.
        client: ClientId,
        /// What.
        request: Request,
        /// How long to wait for an answer.
        timeout: Duration,
    },
    /// Send a message.
    Message {
        /// To which node or broadcast address.
        destination: Pnn,
        /// To whom there.
        srvid: Srvid,
        /// What.
        data: Vec<u8>,
    },
    /// Give a job to a worker process.
    Work {
        /// Its name.
        work: WorkId,
        /// The database that it is about.
        db: DbId,
        /// What to do.
        job: Job,
    },
    /// Have the worker that holds the whole database do something with it.
    Order {
        /// The job that locked it.
        work: WorkId,
        /// What to do.
        order: Order,
    },
    /// Let go of a lock, or give a job up.
    Release(WorkId),
    /// Take further records of a traverse.
    Credit(WorkId),
    /// Hand messages on this SRVID to the engine.
    Listen(Srvid),
    /// No longer.
    Unlisten(Srvid),
    /// A database was opened; workers may open it too.
    Attached {
        /// Its id.
        db: DbId,
        /// Its name.
        name: String,
        /// Its file.
        opened: Opened,
    },
    /// A database was detached.
    Detached(DbId),
    /// The database cannot go on as it is; ask the leader for a recovery.
    RecoveryNeeded(String),
    /// The client broke a rule of the protocol in a way that leaves no answer.
    DropClient(ClientId, String),
}

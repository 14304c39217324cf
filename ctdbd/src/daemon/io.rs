//! What the shell tells the daemon, and what it is to do: the whole border, in one file.

use std::net::IpAddr;

use cluster::membership::{LockOutcome, NodeEntry, OwnToken};
use database::frozen::Order;
use database::io::{Job, WorkEvent, WorkId};
use database::store::Opened;
use failover::Configured;
use service::{Eventd, Milestone};
use wire::event::Request as EventRequest;
use wire::tunables::Tunables;
use wire::types::Connection;
use wire::{ClientId, DbId, Pnn, ReqId};

/// For whom the nodes file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFor {
    /// The cluster manager: RELOAD_NODES_FILE.
    Membership,
    /// GET_NODES_FILE; the number names the question.
    Question(u64),
}

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// A client has connected.
    ClientConnected {
        /// Its number, never used before.
        client: ClientId,
        /// Its process, of the socket's credentials.
        pid: i32,
    },
    /// A client sent a packet, whole.
    ClientPacket {
        /// Which.
        client: ClientId,
        /// Its bytes.
        packet: Vec<u8>,
    },
    /// A client's connection has ended.
    ClientGone(ClientId),
    /// A node sent a packet, whole.
    NodePacket {
        /// Which, of the connection's address.
        from: Pnn,
        /// Its bytes.
        packet: Vec<u8>,
    },
    /// The connections with a node are up in both directions.
    NodeConnected(Pnn),
    /// One of them has ended.
    NodeDisconnected(Pnn),
    /// A worker tells of its job.
    Work {
        /// Which job.
        work: WorkId,
        /// What.
        event: WorkEvent,
    },
    /// The end of an [`Output::CheckClusterLock`].
    LockChecked {
        /// Which.
        token: OwnToken,
        /// What came out.
        outcome: LockOutcome,
        /// Seconds that it took.
        latency: f64,
    },
    /// The end of an [`Output::ReadNodes`]; without nodes it could not be read.
    NodesRead {
        /// For whom.
        what_for: ReadFor,
        /// What stands there.
        nodes: Option<Vec<NodeEntry>>,
    },
    /// The end of an [`Output::ReadAddresses`]; the text says why there are none.
    AddressesRead(Result<Vec<Configured>, String>),
    /// News of the event daemon.
    Eventd(Eventd),
    /// SIGTERM, or in test mode the end of the standard input.
    ShutdownAsked {
        /// The exit status.
        exit_code: i32,
        /// For the log.
        reason: String,
    },
    /// [`super::Daemon::poll_timeout`] has passed.
    Timer,
}

/// What is to be done outside, in order.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send a packet to a client.
    ToClient {
        /// Which.
        client: ClientId,
        /// Its bytes.
        packet: Vec<u8>,
    },
    /// Send a packet to another node; dropped if it is not connected.
    ToNode {
        /// Which.
        node: Pnn,
        /// Its bytes.
        packet: Vec<u8>,
    },
    /// End a client's connection; its end is not reported back.
    CloseClient {
        /// Which.
        client: ClientId,
        /// For the log.
        reason: String,
    },
    /// End both connections with a node and make them anew.
    DropNode(Pnn),
    /// The nodes to be connected with from now on.
    Nodes(Vec<NodeEntry>),
    /// Start a job.
    Work {
        /// Its name.
        work: WorkId,
        /// Of which database.
        db: DbId,
        /// What.
        job: Job,
    },
    /// Have the worker that holds a database do something with it.
    Order {
        /// The job that locked it.
        work: WorkId,
        /// What.
        order: Order,
    },
    /// Let a job's lock go, or give the job up.
    Release(WorkId),
    /// A traverse may send more.
    Credit(WorkId),
    /// Workers may open this file.
    FileOpened {
        /// Its database.
        db: DbId,
        /// The database's name.
        name: String,
        /// The file.
        opened: Opened,
    },
    /// No longer.
    FileClosed(DbId),
    /// The tunables are these now; those about processes and connections count outside.
    Tunables(Box<Tunables>),
    /// Try the cluster lock in a helper process.
    CheckClusterLock(OwnToken),
    /// Read the nodes file.
    ReadNodes(ReadFor),
    /// Read the file of public addresses.
    ReadAddresses,
    /// Tell everybody on an interface's network that an address is here.
    Arp {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// Have the clients (`src`) of these connections to public addresses (`dst`) find out that they are lost.
    Tickle(Vec<Connection>),
    /// Change the log level.
    LogLevel(i32),
    /// Start the cluster manager's process, and start it again whenever it ends.
    StartManager,
    /// End the cluster manager's process; another one is started.
    RestartManager {
        /// For the log.
        reason: String,
    },
    /// The daemon is about to end: end the cluster manager's process for good.
    StopManager {
        /// For the log.
        reason: String,
    },
    /// Ask the event daemon; dropped if there is no connection, of whose end the daemon hears.
    AskEventd {
        /// For the answer.
        reqid: ReqId,
        /// What.
        request: EventRequest,
    },
    /// Kill the event daemon and the scripts that it runs; another one is started.
    RestartEventd {
        /// For the log.
        reason: String,
    },
    /// Run the notification script.
    Milestone(Milestone),
    /// End the daemon, in order.
    Shutdown {
        /// The exit status.
        exit_code: i32,
        /// For the log.
        reason: String,
    },
}

//! What can go wrong between a client and the daemon.

use std::io;
use std::path::PathBuf;

use wire::Pnn;
use wire::coding::DecodeError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens at the socket, or we may not talk to it.
    #[error("cannot connect to the daemon at {path}: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The connection is gone. Everything that was under way fails with this, and nothing can be sent
    /// any more.
    #[error("the connection to the daemon is closed")]
    Disconnected,
    /// No reply in time. One that comes later is ignored.
    #[error("{name} to node {destination}: no reply in time")]
    TimedOut {
        /// The control, call or tunnel request.
        name: &'static str,
        /// The node that was asked.
        destination: Pnn,
    },
    /// The request reached its node, which refused it.
    #[error("{name} on node {destination} failed with status {status}{}{message}", separator(.message))]
    Refused {
        /// The control.
        name: &'static str,
        /// The node that answered.
        destination: Pnn,
        /// The reply's status, never 0.
        status: i32,
        /// The reply's error text, often empty.
        message: String,
    },
    /// A reply or a packet does not follow the protocol.
    #[error("the daemon sent something that cannot be understood: {0}")]
    Protocol(#[from] DecodeError),
    /// The daemon does not read, and the outgoing queue has reached its limit.
    #[error("the daemon does not read: more than {limit} bytes are waiting")]
    Backlog {
        /// [`Limits::outgoing`](crate::Limits::outgoing).
        limit: usize,
    },
    /// Too many requests wait for their reply.
    #[error("more than {limit} requests wait for a reply")]
    TooManyRequests {
        /// [`Limits::requests`](crate::Limits::requests).
        limit: usize,
    },
    /// Messages came faster than they were taken, and some of this subscription were dropped.
    #[error("{lost} messages were lost, they came faster than they were read")]
    Overrun {
        /// How many since the last one that was read.
        lost: u64,
    },
    /// The database must not be used, for this reason.
    #[error("database {name} is unhealthy: {reason}")]
    Unhealthy {
        /// The database.
        name: String,
        /// As the daemon says it.
        reason: String,
    },
    /// The database's file could not be read, locked or written.
    #[error(transparent)]
    Tdb(#[from] tdb::Error),
    /// The kind of the database does not know this operation.
    #[error("{operation} is not for a database like {name}")]
    WrongKind {
        /// The database.
        name: String,
        /// What was tried.
        operation: &'static str,
    },
    /// TRANS3_COMMIT was sent, and whether the transaction is done is not known, and will not be known
    /// by asking this connection: the sequence number tells, once the cluster is well again.
    #[error(
        "database {name}: it is not known whether the transaction after sequence number {before} is done: {reason}"
    )]
    CommitUnknown {
        /// The database.
        name: String,
        /// Its sequence number before; one more if the transaction is done.
        before: u64,
        /// Why there is no answer.
        reason: String,
    },
    /// Another client of this node uses the tunnel, or this client does already.
    #[error("tunnel {0} is in use")]
    TunnelInUse(wire::TunnelId),
}

fn separator(message: &str) -> &'static str {
    if message.is_empty() { "" } else { ": " }
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

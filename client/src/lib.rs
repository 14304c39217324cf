//! A typed, asynchronous client of the daemon's socket: controls, messages, calls and tunnels;
//! and the databases: records, global locks, transactions.
//!
//! ```text
//!  Client (clones) ---- Outgoing ==queue==> writing task ----\
//!     |  waits                                                 unix socket <-> ctdbd
//!  Pending (by request id) <--\                              /
//!  Router (by srvid, tunnel) <-+-- reading task <-- Incoming
//! ```
//!
//! There is one reading task, and it hands on what it reads before it reads more. So when a reply has
//! come, all messages that the daemon sent before it are in the queues of their subscriptions: the
//! records of a DB_PULL are complete when the control is. Replies that fit no request are ignored.
//! When the connection ends, everything that waits fails with [`Error::Disconnected`].
//!
//! [`Reconnecting`] connects again, and repeats nothing. Everything is bounded by [`Limits`]. A
//! program that needs the one order of all packets, or its own bookkeeping, stands on [`link`] and
//! [`Pending`] instead.
//!
//! ```no_run
//! # async fn example() -> client::Result<()> {
//! use std::{path::Path, time::Duration};
//! use client::{Client, Pnn};
//!
//! let client = Client::connect(Path::new("/run/ctdb/ctdbd.socket")).await?;
//! let answer = client
//!     .control::<wire::control::GetNodemap>(Pnn::CURRENT, &(), Duration::from_secs(3))
//!     .await?;
//! println!("{} nodes, this is node {}", answer.reply.nodes.len(), client.pnn());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod call;
mod connection;
mod control;
mod database;
mod error;
mod g_lock;
pub mod link;
mod message;
mod pending;
mod process;
mod reconnect;
mod router;
pub mod socket;
mod traverse;
mod tunnel;

pub use call::CallAnswer;
pub use connection::{Client, Limits};
pub use control::{Answer, RawAnswer};
pub use database::{
    Database, DatabaseInfo, DatabaseKind, LocalRecord, Patience, RecordLock, Transaction,
};
pub use error::{Error, Result};
pub use g_lock::{GLock, GLocks};
pub use message::{Message, Subscription};
pub use pending::Pending;
pub use reconnect::Reconnecting;
pub use traverse::{Traverse, TraversedRecord, private_srvid};
pub use tunnel::{Asker, Tunnel, TunnelRequest};
pub use wire::{DbId, Pnn, Srvid, TunnelId};

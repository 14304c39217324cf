//! The cluster manager: membership, leader, cluster lock, recovery.
//!
//! The crate is sans-IO: no clock, no random source, no sockets, no files. It has two halves,
//! which run in two processes:
//!
//! * [`manager`], the deciding side: who leads, when to recover and how, whom to ban. It runs in
//!   `ctdb-clusterd`, which is a client of the daemon's socket.
//! * [`membership`], the node's side, which answers the controls that managers send. A client
//!   never receives a control, so that half runs inside `ctdbd`.
//!
//! Who leads is decided by the managers among themselves, or by a [`coordinator`] outside of the cluster; then a [`fence`]
//! keeps out who has lost touch with it.
#![forbid(unsafe_code)]

pub mod coordinator;
pub mod fence;
pub mod manager;
pub mod membership;

pub use wire::Time;

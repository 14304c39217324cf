//! IP failover, the node's side: the public addresses that this node can host, the interfaces they
//! can be on, and the connections to them.
//!
//! ```text
//!   controls ──┐               ┌───────────────────────────────┐
//!   (leader,   │               │ addresses: a machine for each │──▶ RunEvent takeip, releaseip, updateip
//!    tool,     │  ┌──────────┐ │ interfaces: link up or down   │──▶ Arp, Tickle: after a take-over
//!    smbd)     ├─▶│ Failover │─┤ connections: who is to be     │──▶ Message TAKE_IP, RELEASE_IP
//!   EventDone ─┤  └──────────┘ │   tickled after a take-over   │──▶ Control TCP_ADD, SET_TCP_TICKLE_LIST
//!   View ──────┤       │       └───────────────────────────────┘──▶ Reply
//!   Timer ─────┘       ▼
//!                    System: is the address on an interface here? is there such an interface?
//! ```
//!
//! Who hosts what is decided elsewhere, by the leader: it sends RELEASE_IP to every node that shall not
//! have an address, then TAKEOVER_IP to the one that shall. A node that becomes inactive, or stays in
//! recovery mode for RecoveryDropAllIPs, gives all of its addresses up by itself.
//!
//! The crate is sans-IO: time is an argument, effects are outputs, and what the kernel knows is asked
//! through the trait [`System`].
#![forbid(unsafe_code)]

mod address;
pub mod allocation;
mod announce;
mod connections;
mod controls;
mod drop_all;
mod engine;
mod interfaces;
mod io;
mod moves;
mod reload;
mod table;
#[cfg(test)]
mod tests;
mod watch;

pub use engine::Failover;
pub use interfaces::AddressError;
pub use io::{
    AddressEvent, Configured, ControlRequest, EventId, Input, Outcome, Output, Settings, System,
    Token, View,
};
pub use wire::Time;

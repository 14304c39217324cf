//! `ctdb-clusterd`: the process that decides for this node's cluster manager.
//!
//! ```text
//!                 stdin: its end is ctdbd's
//!                          |
//!   ctdbd's socket <--> [ Shell ] <--> cluster::manager::Manager (no clock, no IO)
//!                        |      \
//!              [ Talk ]         [ Lock ] <--> lock helper process
//!                               [ Coordinator ] <--> ctdb-etcd, if there is one
//! ```
//!
//! The [`Shell`] turns packets, time-outs and the lock helper's words into inputs, and carries out the
//! outputs in their order: what the manager asks for is on the wire in the order it was asked for.
//! Inputs keep the order of the connection too, so the records of a DB_PULL come before its reply.
//! The process decides nothing by itself. It ends when ctdbd does, and ctdbd starts another if it
//! ends first; whatever happens, the cluster lock's helper goes with it.

mod args;
mod controls;
mod coordinator;
mod lock;
mod shell;
pub mod talk;
mod trace;

pub use args::{Args, ArgsError};
pub use shell::{End, Shell};

//! The programs of a node: everything that has a clock, sockets, files or child processes.
//!
//! | program | where it is |
//! |---|---|
//! | `ctdbd` | [`arguments`], [`startup`], then [`shell`] around [`daemon`]; [`tdb_store`], `transport` |
//! | `ctdb-clusterd` | [`clusterd`] |
//! | `ctdb-database-worker` | [`workers::serve`]; ctdbd's side of it is [`workers::Pool`] |
//! | `ctdb_mutex_fcntl_helper` | its own file in `src/bin`; who runs it uses [`lock_helper`] |
//!
//! All of them log by [`logging`].
//!
//! [`events`] starts the event daemon, `ctdb-eventd`, and talks to it.
//!
//! The decisions are made in the crates `database`, `cluster` and `service`; here they are carried out.
#![forbid(unsafe_code)]

mod alarm;
pub mod arguments;
pub mod clusterd;
pub mod daemon;
pub mod events;
pub mod lock_helper;
pub mod logging;
pub mod shell;
pub mod startup;
mod stdin;
pub mod tdb_store;
mod transport;
pub mod workers;

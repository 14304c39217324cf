//! The interface of `ctdb.h`, CTDB 2.0 to 2.4: for one thread, with a descriptor to poll and callbacks.
//!
//! ```text
//!  api/*            the functions in C, each a few lines: handles in, guarded, handles out
//!    control        one trait for all that is asked with a control ..... answers: in structures of C
//!    database, record, traverse, message, leader
//!      request      what a ctdb_request is
//!      connection   what a poll loop drives: service, dispatch, wait
//!        core       packets out and in, without a socket
//!        socket     reads and writes, never waits but in `wait`
//! ```
//!
//! What programs of that time rely on is kept; where the library of that time was wrong, this one is not: requests
//! go out in their order, messages are not in flight for ever, the end of a connection is noticed, no signal is
//! raised, traverses of two processes do not meet, and functions that free take NULL. Against today's daemons
//! files are opened with their flags, the recovery master is the leader, and statistics are translated.
//!
//! Nothing here may be used by two threads at the same time. A record that is locked is released by the thread
//! that has locked it.

mod answers;
pub mod api;
mod connection;
mod control;
mod core;
mod database;
mod handle;
mod leader;
mod log;
mod message;
mod record;
mod request;
mod socket;
mod traverse;

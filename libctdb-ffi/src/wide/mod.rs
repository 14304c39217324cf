//! The wider C API, `ctdbx.h`: all of [`client`] for programs in C, and for whatever calls C.
//!
//! ```text
//!  any thread                                    the library's one thread
//!  ctdbx_*()   border: pointers, panics          worker: tokio, one LocalSet
//!    | a job, by a queue  --------------------->   Connection   (one a ctdbx_client)
//!    |                                              |- client::Client, or the next one (reconnect)
//!    | waits for its answer  <-----------------     |- client::Database, opened once a process
//!    v                                              |- tasks that hold a record lock, a transaction
//!  ctdbx_next_event()  <----- Inbox <-----------    '- tasks that forward messages, tunnels
//! ```
//!
//! Every function but those of the inbox is a job on that thread, for two reasons: libtdb wants a
//! file opened once a process, and the thread that locked a robust mutex has to unlock it. So
//! handles may be used on any thread. The thread starts with the first connection and ends with the
//! last; all signals are blocked in it. Nothing of the library calls back into the program.
//!
//! A child made by `fork` has no such thread: handles of its parent fail with
//! [`CTDBX_FORKED`](failure::CTDBX_FORKED) there, and only freeing them does anything.
#![expect(
    non_camel_case_types,
    reason = "these are the names of the types in the C header"
)]

pub mod border;
pub mod cluster;
pub mod connection;
pub mod control;
pub mod database;
pub mod events;
pub mod failure;
pub mod g_lock;
pub mod memory;
pub mod record;
mod state;
pub mod subscription;
mod task;
pub mod transaction;
pub mod traverse;
mod worker;

//! libctdb, the client library of CTDB for programs in C.
//!
//! * [`classic`]: the interface of `ctdb.h` as it was in CTDB 2.0 to 2.4: one thread, one descriptor to
//!   poll, callbacks. Its symbols have no version, as they never had one.
//! * [`wide`]: an interface for everything that today's daemons can do, with symbols and versions of its
//!   own.
//!
//! A program's process is not ours: nothing here aborts it, prints, raises a signal or reads its environment.
//! Panics end at the border (`guard`). Memory that runs out does abort, as in all of Rust; what a peer says
//! about sizes is checked before anything is allocated.

pub mod classic;
mod guard;
pub mod wide;

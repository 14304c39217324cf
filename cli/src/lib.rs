//! What the commands of the package stand on.
//!
//! * [`dissect`]: packets out of captures, for `ctdb-wire`.
#![forbid(unsafe_code)]

pub mod dissect;

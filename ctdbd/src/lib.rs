//! The daemons and their helpers
#![forbid(unsafe_code)]

pub mod workers;

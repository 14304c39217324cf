//! The daemons and their helpers
#![forbid(unsafe_code)]

pub mod clusterd;
pub mod daemon;
pub mod lock_helper;
pub mod logging;
pub mod shell;
pub mod startup;
pub mod tdb_store;
mod transport;
pub mod workers;

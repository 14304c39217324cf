//! An async, typed client of the daemon's socket
#![forbid(unsafe_code)]

//! The library as programs in C see it: built and installed as `cargo xtask install` does, compiled against,
//! run against daemons.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

mod faults;
mod headers;
mod page;
mod programs;
mod support;
mod wide;

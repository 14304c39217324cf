//! The benchmark: our daemon and the C one in turn, with the same client programs.
//!
//! ```text
//! compat bench             plans rounds, starts turns, compares
//!   └ compat bench-turn    one cluster in namespaces of its own, from its boot to its end
//!       └ ctdb-load        the clients: one on each node, printing a line of JSON
//! ```
//!
//! A round has three turns: C, ours, and C once more, in an order that rotates. Ours against C is the result;
//! C once more against C is what the same comparison says of two daemons that are the same, so it is the measure of
//! noise. Absolute figures of one run mean nothing on another machine, or an hour later.

pub mod compare;
pub mod load;
pub mod machine;
pub mod measure;
pub mod plot;
pub mod processes;
pub mod rows;
pub mod run;
pub mod sample;
pub mod statistics;
pub mod table;
pub mod trace;
pub mod turn;
pub mod upstream;
pub mod workloads;

pub use rows::Row;
pub use sample::{Outcome, Sample, Side};
pub use workloads::Workload;

//! The clustered database of one node, as a machine without clock, sockets or files.
//!
//! Every node holds a local copy of each database, which clients read and write directly under chain locks. What makes
//! the copies one database is here:
//!
//! ```text
//!                 ┌────────────────────────── Engine ───────────────────────────┐
//!   client calls  │ migration/   where a record lives, and how it moves          │  packets to nodes
//!   node packets ─▶ readonly.rs  copies lent out for reading, and called back    ├─▶ replies to clients
//!   controls      │ commit.rs    transactions on every node, or on none          │  jobs for worker processes
//!   worker events │ traverse.rs  every record of the cluster, once               │  notifications
//!                 │ vacuum.rs    records without a value, removed everywhere     │
//!   cluster news ─▶ freeze.rs    still for a recovery; recovery.rs pulls, pushes │
//!                 └──────────────────────────┬──────────────────────────────────┘
//!                                     store.rs│ (synchronous: the local tdb files)
//! ```
//!
//! The shell gives [`io::Input`]s to [`Engine::handle`] and carries out the [`io::Output`]s in their order: a store has
//! always happened before the packet that tells of it is sent.
//!
//! `residence.rs` keeps a record for a moment where it came, `sticky.rs` holds one that wanders too fast,
//! `hot_keys.rs` counts migrations by key. `push_record.rs` keeps copies that a client wants on every node.
#![forbid(unsafe_code)]

mod attach;
mod cluster_view;
mod commit;
mod controls;
mod database;
mod engine;
mod freeze;
pub mod frozen;
mod hot_keys;
pub mod io;
mod migration;
mod push_record;
mod readonly;
mod record;
mod recovery;
mod residence;
mod seqnum;
mod statistics;
mod sticky;
pub mod store;
mod timers;
mod traverse;
mod vacuum;

pub use cluster_view::ClusterView;
pub use database::DatabaseState;
pub use engine::{Engine, Settings};
pub use wire::Time;

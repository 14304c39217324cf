//! CTDB's configuration: files, paths, helper programs, test mode.
//!
//! Everything an administrator writes is read here and becomes typed values; every complaint
//! names file and line. What is accepted is what ctdbd 4.17 accepts, plus the options that
//! Samba's master branch added since.
//!
//! | file | module |
//! |---|---|
//! | `ctdb.conf` | [`conf`], its table of options in [`options`] |
//! | `nodes` | [`nodes`] |
//! | `public_addresses` | [`public_addresses`] |
//! | `ctdb.tunables`, `tunables.d/*.tunables` | [`tunables_file`] |
//! | where all of them are, and the helper programs | [`paths`] |
//!
//! Nothing here opens a database, so that the documentation can print the tables.
#![forbid(unsafe_code)]

pub mod cluster_lock;
pub mod conf;
pub mod diagnostic;
pub mod etcd;
mod ini;
pub mod logging;
pub mod nodes;
mod number;
pub mod options;
pub mod paths;
pub mod public_addresses;
pub mod tunables_file;

pub use cluster_lock::ClusterLock;
pub use conf::{Config, ConfigError};
pub use diagnostic::{Diagnostic, Kind as DiagnosticKind};
pub use etcd::{Etcd, Manager};
pub use logging::{Location, LogLevel};
pub use nodes::{NodeEntry, NodesSource};
pub use options::OPTIONS;
pub use paths::Paths;
pub use public_addresses::PublicAddress;

//! The event daemon, `ctdb-eventd`: its process, the connection with it, and the notification script.
//!
//! ```text
//!   keeper.rs    keeps it running, passes on what it is asked and what it answers ── Input::Eventd
//!   process.rs   starts it, as far as that it listens; kills it with its scripts
//!   connection.rs  packets of its protocol on its unix socket
//!   notify.rs    notify.sh, which is told what became of the node
//! ```
//!
//! Which event is run when is decided in the crate `service`. Where there is no program `ctdb-eventd` no event is run,
//! and all count as passed.

mod connection;
mod keeper;
mod notify;
mod process;

pub(crate) use keeper::Keeper;
pub(crate) use notify::notify;
pub use process::{Eventd, Program, StartError};

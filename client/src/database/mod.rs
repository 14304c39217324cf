//! Databases: attached by the daemon, opened, read and written here.
//!
//! ```text
//!                          volatile                       persistent, replicated
//!  write                   RecordLock                     Transaction
//!  read, up to date        RecordLock, Database::read     Transaction, Database::read
//!  read, a lent copy       Database::read_only
//!  read, what lies here    Database::peek, Database::traverse_local
//!  all records anywhere    Client::traverse
//! ```
//!
//! A [`Database`] belongs to one thread, since libtdb's mutexes do, and a file is opened once a
//! process: clones and later calls of [`Client::open_database`] on the thread share it.
//!
//! [`Client::open_database`]: crate::Client::open_database

mod attach;
mod claims;
mod open;
mod read;
mod transaction;
mod volatile;

pub use attach::{DatabaseInfo, DatabaseKind};
pub(crate) use open::Deadline;
pub use open::{Database, Patience};
pub use read::LocalRecord;
pub use transaction::Transaction;
pub use volatile::RecordLock;

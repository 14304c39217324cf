//! CTDB's wire protocol: bytes to types and back.
//!
//! The crate knows what the bytes mean and nothing else: no clock, no sockets, no files. From the
//! outside in, a packet is
//!
//! ```text
//! +--------------------------+------------------------+-------------------------------+
//! | packet::Header, 32 bytes | the operation's fields | a payload, zeros up to 8 bytes |
//! +--------------------------+------------------------+-------------------------------+
//!                                                       |
//!              control::Request, or a control's reply <-+-> message::Message, record data
//! ```
//!
//! * [`packet`]: the ten operations, borrowed from the received bytes;
//! * [`control`]: the table of all controls, live and retired, with their request and reply types;
//! * [`message`]: the payloads of the messages, by [`Srvid`];
//! * [`event`]: the event daemon's own protocol;
//! * [`backup`]: the files of `ctdb backupdb`;
//! * [`dialect`]: what differs between the versions that we speak to;
//! * [`layout`]: the fields of every type, for documents and tools;
//! * [`types`]: what travels inside (node maps, records, statistics, addresses, ...);
//! * [`tunables`]: the tunables with their wire order, names and defaults;
//! * [`MemoryReport`]: the text that the memory dumps answer with;
//! * [`Time`]: instants as the crates without a clock are told them;
//! * [`coding`]: the bounded cursor and the two traits everything above implements.
//!
//! Numbers are in host byte order and the structures are those of a 64-bit Linux build, padding
//! included, since that is what every other ctdbd and every client of the socket sends.
#![forbid(unsafe_code)]

pub mod backup;
pub mod coding;
pub mod control;
pub mod dialect;
pub mod event;
pub mod hash;
mod ids;
mod instant;
pub mod layout;
mod memory_report;
pub mod message;
pub mod packet;
pub mod tunables;
pub mod types;

pub use hash::{db_id, key_hash};
pub use ids::{ClientId, DbId, Generation, Pnn, ReqId, Srvid, TunnelId};
pub use instant::Time;
pub use memory_report::MemoryReport;

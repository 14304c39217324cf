//! The functions of `ctdb.h`. What they are documented with here is what the header says.
//!
//! Handles are null or what a function of the library gave; strings end with a NUL; what is to be written to can
//! be written to. That is what every `unsafe` here stands on.
#![expect(
    clippy::missing_safety_doc,
    reason = "the header's readers are told in the words of C; what has to hold is said above"
)]

pub mod connection;
pub mod controls;
pub mod databases;
pub mod messages;

pub use super::answers::{
    ctdb_all_public_ips, ctdb_db_statistics, ctdb_ifaces_list, ctdb_node_map, ctdb_vnn_map,
};
pub use super::handle::{ctdb_connection, ctdb_db, ctdb_lock, ctdb_request};
pub use super::log::{ctdb_log_fn_t, ctdb_log_level};
pub use super::message::ctdb_message_fn_t;
pub use super::record::ctdb_rrl_callback_t;
pub use super::request::ctdb_callback_t;
pub use super::traverse::{
    TRAVERSE_STATUS_ERROR, TRAVERSE_STATUS_FINISHED, TRAVERSE_STATUS_RECORD,
    ctdb_traverse_callback_t,
};

//! The clustered database: migration, commits, traverse, freeze
#![forbid(unsafe_code)]

pub mod store;

//! Several managers and their daemons in memory, with virtual time.

mod addresses;
mod chaos;
mod coordinated;
mod daemon;
mod elections;
mod messages;
mod recoveries;
mod sim;
mod store;
mod tables;
mod takeovers;
mod tunables;

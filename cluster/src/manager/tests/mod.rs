//! Several managers and their daemons in memory, with virtual time.

mod addresses;
mod chaos;
mod daemon;
mod elections;
mod messages;
mod recoveries;
mod sim;
mod tables;
mod takeovers;
mod tunables;

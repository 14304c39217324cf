//! Every entry point that takes bytes from outside, as a function of bytes.
//!
//! A target must not panic, and what it decodes has to come back: written and read again, it is the
//! same. `libfuzzer/` runs them under libFuzzer (`cargo xtask fuzz`), `tests/replay.rs` with the
//! inputs that are kept: those that the fuzzer found worth it (`corpus/*.hex`), and the packets of
//! real programs in `wire/tests/golden`.
#![forbid(unsafe_code)]

pub mod corpus;
mod files;
mod node;
mod packets;

/// An entry point.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub about: &'static str,
    /// Its share of the time: what anybody can reach has more than what only root writes.
    pub weight: u32,
    /// Takes bytes; panics if something is wrong.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($( $name:literal $weight:literal $run:path, $about:literal; )*) => {
        /// All entry points.
        pub static TARGETS: &[Target] = &[$( Target {
            name: $name,
            about: $about,
            weight: $weight,
            run: $run,
        } ),*];
    };
}

targets! {
    "node" 6 node::node, "what clients and nodes send, and what a node does about it";
    "stream" 4 packets::stream, "the stream of a node or a client, in pieces";
    "packet" 4 packets::packet, "one packet, with the control or message in it";
    "request" 4 packets::request, "a control's request: u32 opcode, u64 srvid, data";
    "reply" 2 packets::reply, "a control's reply: u32 opcode, data";
    "message" 3 packets::message, "a message: u64 srvid, data";
    "records" 3 packets::records, "a record buffer";
    "event" 2 packets::event, "the stream of the event daemon's socket";
    "backup" 1 files::backup, "a file of `ctdb backupdb`";
    "ctdb-conf" 1 files::ctdb_conf, "ctdb.conf";
    "nodes" 1 files::nodes, "the nodes file";
    "public-addresses" 1 files::public_addresses, "the file of public addresses";
    "tunables" 1 files::tunables, "ctdb.tunables";
    "capture" 1 files::capture, "what `ctdb-wire` reads";
}

/// The target with this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

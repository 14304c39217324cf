//! Tests against real peers, on one machine: unmodified smbd, the C `ctdb` tool, C ctdbd as a
//! neighbour.
//!
//! A cluster is made of namespaces. The test program starts itself again as process 1 of its own
//! mount, network, process and ipc namespace ([`host`]); in there each [`node::Node`] has
//! namespaces of its own, so that every program finds its files at their compiled-in places, and
//! a bridge joins the nodes. The end of the test program, of whatever kind, takes every process,
//! mount and interface along.
//!
//! Which files a node runs is a parameter: the machine's own (the C daemon, "theirs"), or those
//! below a package root ("ours"), laid over `/usr` of that node.
#![forbid(unsafe_code)]

pub mod bench;
pub mod cluster;
pub mod coordinated;
pub mod deaths;
pub mod demo;
mod etcd;
pub mod faults;
pub mod host;
pub mod hostile;
pub mod load;
pub mod loopback;
pub mod node;
pub mod report;
pub mod rolling;
pub mod sections;
mod side;
pub mod smb2;
pub mod soak;
pub mod suite_clients;

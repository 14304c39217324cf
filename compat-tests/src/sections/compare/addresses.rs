//! The walk of public addresses: the same file on two nodes, asked while nobody moves addresses, and while
//! a C node that leads places them.
//!
//! The second node is the one that is asked: ours, or C's. Its neighbour is a C node on both sides, so that
//! who leads, and where addresses are put, is the same.

use std::fs::{self, OpenOptions};
use std::io::Write;

use anyhow::{Context, Result, ensure};

use super::walk::{Walk, settled};
use crate::cluster::Cluster;
use crate::node::Node;
use crate::report::within;

/// What both nodes can host: on the first interface, on both, on the second.
const FILE: &str =
    "10.77.0.1/24 pub0\n10.77.0.2/24 pub0,pub1\nfd77::3/64 pub1\n# none\n10.77.0.4/24 pub1 more\n";
/// Interfaces that lead nowhere.
const INTERFACES: &str = "for i in 0 1; do ip link add pub$i type veth peer name far$i && \
                          ip link set far$i up && ip link set pub$i up || exit 1; done";
/// Nobody moves addresses then.
const DISABLED: &str = "[failover]\n\tdisabled = true\n";

/// Questions that change nothing.
const QUESTIONS: &[&str] = &[
    "ip",
    "ip -v",
    "ip all",
    "ip all -v",
    "ip -X",
    "ip -v -X",
    "ip -n 0",
    "ip superfluous",
    "ipinfo 10.77.0.1",
    "ipinfo 10.77.0.2",
    "ipinfo 10.77.0.2 -X",
    "ipinfo fd77::3",
    "ipinfo 10.77.0.9",
    "ipinfo x",
    "ipinfo",
    "ifaces",
    "ifaces -X",
    "ifaces -n 0",
    "ifaces superfluous",
    "gettickles 10.77.0.1",
    "gettickles 10.77.0.1 445",
    "gettickles 10.77.0.9",
    "gettickles x",
    "gettickles",
];
/// Links go down and up.
const LINKS: &[&str] = &[
    "setifacelink pub1 down",
    "ifaces",
    "ip -v",
    "ipinfo 10.77.0.2",
    "setifacelink pub1 down",
    "setifacelink pub1 up",
    "setifacelink nosuch up",
    "setifacelink pub1 sideways",
    "setifacelink pub1",
    "setifacelink",
    "ifaces",
];
/// Connections are added and deleted.
const TICKLES: &[&str] = &[
    "addtickle 192.0.2.77:1001 10.77.0.1:445",
    "addtickle 192.0.2.77:1002 10.77.0.1:2049",
    "addtickle 192.0.2.77:1003 10.77.0.1:445",
    "addtickle 192.0.2.77:1003 10.77.0.1:445",
    "addtickle fd77::77:1004 fd77::3:445",
    "addtickle 192.0.2.77:1001 10.77.0.9:445",
    "addtickle 192.0.2.77 10.77.0.1:445",
    "addtickle",
    "gettickles 10.77.0.1",
    "gettickles 10.77.0.1 445",
    "gettickles 10.77.0.1 445 -X",
    "gettickles 10.77.0.1 -X",
    "gettickles fd77::3",
    "deltickle 192.0.2.77:1001 10.77.0.1:445",
    "deltickle 192.0.2.77:1001 10.77.0.1:445",
    "deltickle 192.0.2.77:1001 10.77.0.9:445",
    "deltickle",
    "gettickles 10.77.0.1",
    "$ printf '192.0.2.77:1 10.77.0.2:445\\n192.0.2.77:2 10.77.0.2:445\\n' | ctdb addtickle",
    "gettickles 10.77.0.2",
    "$ printf '192.0.2.77:1 10.77.0.2:445\\n' | ctdb deltickle",
    "gettickles 10.77.0.2",
    "gratarp 10.77.0.1 pub0",
    "gratarp 10.77.0.1 nosuch",
    "gratarp x pub0",
    "gratarp",
];
/// The table changes; each change asks the leader for a take-over run.
const CHANGES: &[&str] = &[
    "addip 10.77.0.5/24 pub0",
    "addip 10.77.0.5/24 pub0",
    "addip 10.77.0.6/24 nosuch",
    "addip 10.77.0.6/24",
    "addip 10.77.0.6 pub0",
    "addip",
    "ip",
    "delip 10.77.0.5",
    "delip 10.77.0.9",
    "delip x",
    "delip",
    "ip",
    "ifaces",
];

/// Takes two booted nodes through the walk: the steps, and what kept it from going further.
pub(super) fn walk(walk: &mut Walk<'_>) -> Result<()> {
    ensure!(walk.cluster.nodes.len() == 2, "the walk is for two nodes");
    prepare(walk.cluster, true)?;
    start(walk, "failover disabled")?;
    for lines in [QUESTIONS, LINKS, TICKLES, CHANGES] {
        walk.in_turn(walk.last(), lines)?;
    }
    Ok(())
}

fn prepare(cluster: &Cluster, disabled: bool) -> Result<()> {
    for node in &cluster.nodes {
        fs::write(node.path("/etc/ctdb/public_addresses"), FILE)?;
        node.sh(INTERFACES)?;
        if disabled {
            let file = node.path("/etc/ctdb/ctdb.conf");
            let mut file = OpenOptions::new().append(true).open(file)?;
            file.write_all(DISABLED.as_bytes())?;
        }
    }
    Ok(())
}

/// The first node leads.
fn start(walk: &mut Walk<'_>, state: &str) -> Result<()> {
    walk.enter(state);
    let nodes: Vec<&Node> = walk.cluster.nodes.iter().collect();
    for (count, node) in (1..).zip(&nodes) {
        node.start_ctdbd()?;
        within(60, || settled(&nodes[..count], count)).context("start")?;
    }
    Ok(())
}

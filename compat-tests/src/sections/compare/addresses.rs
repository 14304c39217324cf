//! The walk of public addresses: the same file on two nodes, asked while nobody moves addresses, and while
//! the first node, which leads, places them.
//!
//! The second node is the one that is asked. Once the first is a C node on both sides, so that only the
//! second differs; once both are ours on one side, and have to put every address where C puts it.

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

const SCRIPT_PATH: &str = "/etc/ctdb/events/legacy/10.addresses.script";
/// Puts addresses on interfaces, and says what it was called with.
const SCRIPT: &str = r#"#!/bin/sh
case $1 in takeip|releaseip|updateip) echo "$*" >>/run/address-events ;; esac
nodad() { case $1 in *:*) echo nodad ;; esac; }
case $1 in
takeip) ip addr add "$3/$4" dev "$2" $(nodad "$3") ;;
releaseip) ip addr del "$3/$4" dev "$2" ;;
updateip) ip addr del "$4/$5" dev "$2" && ip addr add "$4/$5" dev "$3" $(nodad "$4") ;;
esac
"#;

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

/// What is asked wherever addresses are: who has them, on which interface, and which events ran.
const PLACES: &[&str] = &[
    "ip -v",
    "ip all -v",
    "ip -n 0",
    "ifaces",
    "ipinfo 10.77.0.2",
    "ipinfo fd77::3",
    "$ cat /run/address-events; : >/run/address-events",
    "$ for i in 0 1; do ip -o addr show pub$i scope global | awk '{ print $2, $4 }'; done",
];
/// Addresses change the interface.
const ONE_LINK: &[&str] = &["setifacelink pub1 down", "ipreallocate"];
const BOTH_LINKS: &[&str] = &["setifacelink pub1 up", "ipreallocate"];
/// Addresses change the node.
const MOVES: &[&str] = &[
    "moveip 10.77.0.1 1",
    "moveip 10.77.0.1 0",
    "moveip 10.77.0.2 1",
    "moveip 10.77.0.9 1",
    "moveip 10.77.0.1 7",
    "moveip x 1",
    "moveip",
];
/// The table changes while addresses are there.
const HOSTED_CHANGES: &[&str] = &[
    "addip 10.77.0.5/24 pub0",
    "ipreallocate",
    "ip",
    "delip 10.77.0.5",
    "ipreallocate",
    "ip",
    "$ sed -i '/10.77.0.1/d' /etc/ctdb/public_addresses; echo 10.77.0.6/24 pub1 >>/etc/ctdb/public_addresses",
    "reloadips",
    "ip",
    "$ echo 10.77.0.7/24 >>/etc/ctdb/public_addresses",
    "reloadips",
    "$ sed -i '/10.77.0.7/d' /etc/ctdb/public_addresses",
    "reloadips superfluous",
];

/// Takes two booted nodes through the walk: the steps, and what kept it from going further.
pub(super) fn walk(walk: &mut Walk<'_>) -> Result<()> {
    ensure!(walk.cluster.nodes.len() == 2, "the walk is for two nodes");
    prepare(walk.cluster)?;
    add_to(walk.cluster, "ctdb.conf", DISABLED)?;
    start(walk, "failover disabled")?;
    for lines in [QUESTIONS, LINKS, TICKLES, CHANGES] {
        walk.in_turn(walk.last(), lines)?;
    }
    stop(walk.cluster)?;
    for node in &walk.cluster.nodes {
        let file = node.path("/etc/ctdb/ctdb.conf");
        let text = fs::read_to_string(&file)?;
        fs::write(file, text.replace(DISABLED, ""))?;
    }
    hosted(walk)
}

/// Addresses come, go and move.
fn hosted(walk: &mut Walk<'_>) -> Result<()> {
    start(walk, "addresses are hosted")?;
    places(walk)?;
    walk.in_turn(walk.last(), QUESTIONS)?;
    walk.in_turn(walk.last(), TICKLES)?;
    for (state, lines) in [
        ("one link", ONE_LINK),
        ("both links", BOTH_LINKS),
        ("moved", MOVES),
    ] {
        walk.enter(state);
        walk.in_turn(walk.last(), lines)?;
        places(walk)?;
    }
    for (state, leave, come_back) in [
        ("disabled", "disable", "enable"),
        ("stopped", "stop", "continue"),
        ("banned", "ban 300", "unban"),
    ] {
        walk.enter(state);
        walk.in_turn(walk.last(), &[leave])?;
        within(30, || spread(walk.last(), |node| node == "0"))?;
        places(walk)?;
        walk.in_turn(walk.last(), &[come_back])?;
        within(60, || settled(&all(walk), 2))?;
        walk.enter(&format!("no longer {state}"));
        places(walk)?;
    }
    walk.enter("the table changes");
    walk.in_turn(walk.last(), HOSTED_CHANGES)?;
    walk.in_turn(walk.last(), PLACES)?;
    stop(walk.cluster)
}

/// Interfaces, the file, and a script that does what `10.interface` does and no more.
fn prepare(cluster: &Cluster) -> Result<()> {
    for node in &cluster.nodes {
        fs::write(node.path("/etc/ctdb/public_addresses"), FILE)?;
        fs::write(node.path(SCRIPT_PATH), SCRIPT)?;
        node.sh(&format!("chmod 755 {SCRIPT_PATH}; : >/run/address-events"))?;
        node.sh(INTERFACES)?;
    }
    Ok(())
}

/// Adds lines to a file below /etc/ctdb on all nodes.
fn add_to(cluster: &Cluster, file: &str, text: &str) -> Result<()> {
    for node in &cluster.nodes {
        let file = node.path(&format!("/etc/ctdb/{file}"));
        let mut file = OpenOptions::new().append(true).open(file)?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// The first node leads.
fn start(walk: &mut Walk<'_>, state: &str) -> Result<()> {
    walk.enter(state);
    let nodes = all(walk);
    for (count, node) in (1..).zip(&nodes) {
        node.start_ctdbd()?;
        within(60, || settled(&nodes[..count], count)).context("start")?;
    }
    Ok(())
}

fn stop(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes.iter().rev() {
        node.ctdb(&["shutdown"])?;
        within(20, || node.check_none("ctdbd"))?;
    }
    Ok(())
}

fn all<'a>(walk: &Walk<'a>) -> Vec<&'a Node> {
    walk.cluster.nodes.iter().collect()
}

/// All addresses have a node, and both nodes say the same; then it is asked where.
fn places(walk: &mut Walk<'_>) -> Result<()> {
    within(30, || {
        let [first, last] = [&walk.cluster.nodes[0], walk.last()].map(|node| {
            spread(node, |node| node != "-1")?;
            node.ctdb(&["ip", "-X"])
        });
        ensure!(first? == last?, "they do not agree");
        Ok(())
    })?;
    walk.in_turn(walk.last(), PLACES)
}

/// Each address is on a node that is right.
fn spread(node: &Node, is_right: impl Fn(&str) -> bool) -> Result<()> {
    let list = node.ctdb(&["ip", "-X"])?;
    let mut nodes = list
        .lines()
        .skip(1)
        .filter_map(|line| line.split('|').nth(2));
    ensure!(
        nodes.all(is_right),
        "addresses are not where they should be\n{list}"
    );
    Ok(())
}

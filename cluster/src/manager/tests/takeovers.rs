//! Takeover runs: every address is on one healthy node, and never on two.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr};

use wire::Srvid;
use wire::control::Opcode;
use wire::message::Message;
use wire::types::{NodeFlags, SrvidMessage};

use super::sim::{Action, Sim, Trap};
use wire::Pnn;

const ADDRESSES: u8 = 6;

fn addresses() -> impl Iterator<Item = IpAddr> {
    (1..=ADDRESSES).map(|n| Ipv4Addr::new(192, 0, 2, n).into())
}

/// Three nodes that can all have all addresses.
fn cluster() -> Sim {
    let mut sim = Sim::new(3, true);
    for node in &mut sim.nodes {
        let known = addresses().map(|ip| (ip, Pnn::UNKNOWN));
        node.daemon.addresses.known = known.collect();
    }
    sim
}

/// How many addresses each node that is up has; none is on two of them.
fn spread(sim: &Sim) -> Vec<usize> {
    let up: Vec<_> = sim.nodes.iter().filter(|node| node.up).collect();
    for ip in addresses() {
        let here = up
            .iter()
            .filter(|node| node.daemon.addresses.here.contains(&ip));
        assert!(here.count() <= 1, "{ip} is on two nodes at {:?}", sim.now);
    }
    up.iter()
        .map(|node| node.daemon.addresses.here.len())
        .collect()
}

/// Goes on until the addresses are spread like this.
fn run_until_spread(sim: &mut Sim, wanted: &[usize]) {
    for _ in 0..60_000 {
        if spread(sim) == wanted {
            return;
        }
        sim.run(Duration::from_millis(1));
    }
    panic!("{:?} instead of {wanted:?}", spread(sim));
}

/// A node changes its state and asks for a takeover run, as its daemon does.
fn set_flags(sim: &mut Sim, node: usize, flags: NodeFlags) {
    for other in &mut sim.nodes {
        other.daemon.flags[node] = flags;
    }
    ask(sim, node, Srvid(0));
}

fn ask(sim: &mut Sim, node: usize, srvid: Srvid) {
    let pnn = Pnn(node as u32);
    sim.broadcast(node, &Message::TakeoverRun(SrvidMessage { pnn, srvid }));
}

#[test]
fn addresses_follow_the_healthy_nodes() {
    let mut sim = cluster();
    run_until_spread(&mut sim, &[2, 2, 2]);
    sim.run_until_healthy();
    sim.run_seconds(5);
    set_flags(&mut sim, 1, NodeFlags::UNHEALTHY);
    run_until_spread(&mut sim, &[3, 0, 3]);
    sim.kill(2);
    run_until_spread(&mut sim, &[6, 0]);
    set_flags(&mut sim, 1, NodeFlags::empty());
    run_until_spread(&mut sim, &[3, 3]);
}

#[test]
fn nothing_moves_without_need() {
    let mut sim = cluster();
    run_until_spread(&mut sim, &[2, 2, 2]);
    sim.run_until_healthy();
    sim.run_seconds(5);
    let moves = |sim: &Sim| -> u32 { sim.nodes.iter().map(|n| n.daemon.addresses.moves).sum() };
    let before = moves(&sim);
    for _ in 0..3 {
        ask(&mut sim, 1, Srvid(0));
        sim.run_seconds(3);
    }
    assert_eq!(moves(&sim), before);
}

#[test]
fn every_release_is_answered_before_the_first_address_is_taken() {
    let mut sim = cluster();
    run_until_spread(&mut sim, &[2, 2, 2]);
    sim.run_until_healthy();
    sim.run_seconds(5);
    sim.trap = Some(Trap {
        opcode: Opcode::ReleaseIp,
        node: 1,
        action: Action::Refuse,
    });
    sim.controls.clear();
    let srvid = Srvid(0xCE00_0000_0000_0003);
    sim.messages.clear();
    ask(&mut sim, 0, srvid);
    sim.run_seconds(3);
    assert!(sim.trapped > 0);
    let taken = sim
        .controls
        .iter()
        .filter(|control| control.2 == Opcode::TakeoverIp);
    assert_eq!(taken.count(), 0);
    let answer = sim
        .messages
        .iter()
        .find(|message| message.1.srvid() == srvid);
    let failed = Message::Other(srvid, (-1_i32).to_ne_bytes().to_vec());
    assert_eq!(answer.unwrap().1, failed);
    // which is tried again, until the node that does not do it is banned
    sim.run_until("a ban", |sim| {
        sim.nodes[1].daemon.flags[1].contains(NodeFlags::BANNED)
    });
}

#[test]
fn a_node_that_dies_in_a_run_costs_the_run_alone() {
    for opcode in [
        Opcode::GetPublicIps,
        Opcode::ReleaseIp,
        Opcode::TakeoverIp,
        Opcode::Ipreallocated,
    ] {
        let mut sim = cluster();
        run_until_spread(&mut sim, &[2, 2, 2]);
        sim.run_until_healthy();
        sim.run_seconds(5);
        sim.trap = Some(Trap {
            opcode,
            node: 2,
            action: Action::Die,
        });
        ask(&mut sim, 0, Srvid(0));
        sim.run_until("its death", |sim| !sim.nodes[2].up);
        run_until_spread(&mut sim, &[3, 3]);
    }
}

#[test]
fn tunables_keep_addresses_where_they_are() {
    for (takeover, failback, spread) in [(1, 0, [2, 0, 2]), (0, 1, [3, 0, 3])] {
        let mut sim = cluster();
        run_until_spread(&mut sim, &[2, 2, 2]);
        sim.run_until_healthy();
        sim.run_seconds(5);
        for node in &mut sim.nodes {
            node.daemon.tunables.no_ip_takeover = takeover;
            node.daemon.tunables.no_ip_failback = failback;
        }
        sim.run_seconds(2);
        set_flags(&mut sim, 1, NodeFlags::UNHEALTHY);
        sim.run_seconds(5);
        run_until_spread(&mut sim, &spread);
        set_flags(&mut sim, 1, NodeFlags::empty());
        sim.run_seconds(5);
        run_until_spread(&mut sim, &spread);
    }
}

#[test]
fn a_node_with_new_addresses_gets_some() {
    let mut sim = cluster();
    for n in [0, 2] {
        sim.nodes[n].daemon.addresses.known.clear();
    }
    run_until_spread(&mut sim, &[0, 6, 0]);
    sim.run_until_healthy();
    sim.run_seconds(5);
    // one address of its own, so it had some before
    let own: IpAddr = Ipv4Addr::new(198, 51, 100, 1).into();
    sim.nodes[2]
        .daemon
        .addresses
        .known
        .insert(own, Pnn::UNKNOWN);
    ask(&mut sim, 0, Srvid(0));
    run_until_spread(&mut sim, &[0, 6, 1]);
    let known = addresses().map(|ip| (ip, Pnn(1)));
    sim.nodes[2].daemon.addresses.known.extend(known);
    ask(&mut sim, 0, Srvid(0));
    sim.run_seconds(3);
    assert_eq!(spread(&sim), [0, 6, 1]);
    sim.broadcast(2, &Message::RebalanceNode(Pnn(2)));
    ask(&mut sim, 0, Srvid(0));
    run_until_spread(&mut sim, &[0, 3, 4]);
}

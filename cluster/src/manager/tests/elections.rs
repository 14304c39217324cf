//! Who leads, whatever happens.

use core::time::Duration;

use wire::Pnn;
use wire::Srvid;
use wire::control::Opcode;
use wire::message::Message;
use wire::types::{Capabilities, NodeFlags, SrvidMessage};

use super::sim::Sim;
use crate::manager::{Input, LockEvent};

#[test]
fn one_node_leads_itself() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(1, with_lock);
        sim.run_until_healthy();
        assert_eq!(sim.leaders(), [0]);
        assert_eq!(sim.lock_holder, with_lock.then_some(0));
    }
}

#[test]
fn three_nodes_elect_one_and_keep_it() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(3, with_lock);
        sim.run_until_healthy();
        sim.run_seconds(1);
        let leaders = sim.leaders();
        let recoveries = sim.nodes[0].daemon.recoveries;
        sim.run_seconds(60);
        assert_eq!(sim.leaders(), leaders);
        assert_eq!(
            sim.nodes[0].daemon.recoveries, recoveries,
            "quiet when all is well"
        );
    }
}

#[test]
fn without_a_lock_the_oldest_then_the_highest_wins() {
    let mut sim = Sim::new(3, false);
    sim.run_until_healthy();
    assert_eq!(sim.leaders(), [2]);
    sim.kill(2);
    sim.run_until_healthy();
    assert_eq!(sim.leaders(), [1]);
    sim.boot(2);
    sim.run_until_healthy();
    sim.run_seconds(20);
    assert_eq!(sim.leaders(), [1], "the younger node does not take over");
}

#[test]
fn a_dead_leader_is_replaced() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(3, with_lock);
        sim.run_until_healthy();
        let old = sim.leaders()[0];
        sim.kill(old);
        sim.run_until_healthy();
        assert_ne!(sim.leaders(), [old]);
        sim.boot(old);
        sim.run_until_healthy();
        assert_eq!(sim.active().len(), 3);
    }
}

#[test]
fn a_silent_leader_is_replaced_and_joins_again() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(3, with_lock);
        sim.run_until_healthy();
        let old = sim.leaders()[0];
        sim.nodes[old].hung = true;
        // With a lock nobody can lead while the silent one holds it.
        sim.run_seconds(15);
        if with_lock {
            assert_eq!(sim.leaders(), [0usize; 0]);
        } else {
            assert_ne!(sim.leaders(), [old]);
        }
        sim.nodes[old].hung = false;
        sim.run_until_healthy();
        sim.run_seconds(20);
        assert_eq!(sim.leaders().len(), 1);
    }
}

#[test]
fn a_leader_whose_daemon_hangs_lets_the_lock_go() {
    let mut sim = Sim::new(3, true);
    sim.run_until_healthy();
    let old = sim.leaders()[0];
    sim.nodes[old].mute = true;
    let limit = wire::tunables::Tunables::default();
    let limit = u64::from(limit.keepalive_interval * limit.keepalive_limit);
    sim.run_seconds(limit - 2);
    assert_eq!(sim.lock_holder, Some(old), "a short silence is none");
    sim.run_seconds(15);
    let new = sim.lock_holder.unwrap();
    assert_ne!(new, old);
    sim.nodes[old].mute = false;
    sim.run_until_healthy();
    assert_eq!(sim.leaders(), [new]);
}

#[test]
fn a_stopped_leader_steps_down_and_freezes() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(3, with_lock);
        sim.run_until_healthy();
        let old = sim.leaders()[0];
        sim.nodes[old].daemon.flags[old].insert(NodeFlags::STOPPED);
        sim.run_until_healthy();
        assert_ne!(sim.leaders(), [old]);
        assert!(sim.nodes[old].daemon.frozen);
        let new = sim.leaders()[0];
        assert!(sim.nodes[new].daemon.flags[old].contains(NodeFlags::STOPPED));
        sim.nodes[old].daemon.flags[old].remove(NodeFlags::STOPPED);
        sim.run_until_healthy();
        sim.run_seconds(20);
        assert_eq!(sim.leaders(), [new], "the leader role is stable");
    }
}

#[test]
fn a_node_without_the_role_does_not_lead() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(3, with_lock);
        sim.nodes[2]
            .daemon
            .capabilities
            .remove(Capabilities::RECMASTER);
        sim.nodes[1]
            .daemon
            .capabilities
            .remove(Capabilities::RECMASTER);
        sim.run_until_healthy();
        assert_eq!(sim.leaders(), [0]);
        sim.nodes[0]
            .daemon
            .capabilities
            .remove(Capabilities::RECMASTER);
        sim.nodes[1]
            .daemon
            .capabilities
            .insert(Capabilities::RECMASTER);
        sim.run_seconds(4);
        sim.run_until_healthy();
        assert_eq!(sim.leaders(), [1]);
    }
}

#[test]
fn contention_leaves_one_holder() {
    let mut sim = Sim::new(5, true);
    for _ in 0..3 {
        sim.run_until_healthy();
        assert_eq!(sim.leaders(), [sim.lock_holder.unwrap()]);
        let leader = sim.leaders()[0];
        sim.kill(leader);
        sim.run_seconds(3);
        sim.boot(leader);
    }
    sim.run_until_healthy();
}

#[test]
fn who_loses_the_lock_sends_nothing_further() {
    let mut sim = Sim::new(3, true);
    sim.run_until_healthy();
    let old = sim.leaders()[0];
    // In the middle of a recovery, when there is most to send.
    sim.kill((old + 1) % 3);
    let from = sim.controls.len();
    sim.run_until("a recovery", |sim| {
        sim.controls[from..]
            .iter()
            .any(|c| c.0 == old && c.2 == Opcode::SetVnnMap)
    });
    let sent = sim.controls.len();
    sim.messages.clear();
    sim.lose_lock(old);
    sim.run(Duration::from_secs(4));
    let to_others = |c: &&(usize, usize, _)| c.0 == old && c.1 != old;
    assert_eq!(sim.controls[sent..].iter().filter(to_others).count(), 0);
    assert!(sim.messages.iter().all(|(from, _)| *from != old));
    sim.run_until_healthy();
    assert_eq!(sim.leaders(), [sim.lock_holder.unwrap()]);
}

#[test]
fn a_delayed_broadcast_does_not_depose_the_lock_holder() {
    let mut sim = Sim::new(3, true);
    sim.run_until_healthy();
    let old = sim.leaders()[0];
    sim.kill(old);
    sim.run_until_healthy();
    let new = sim.leaders()[0];
    sim.run_seconds(5);
    let before = (count_elections(&sim), sim.nodes[new].daemon.recoveries);
    // What the dead leader last said comes out of some queue only now.
    let source = Pnn(old as u32);
    let (srvid, data) = (Srvid::LEADER, Message::Leader(source).to_bytes());
    sim.input(
        new,
        Input::Message {
            source,
            srvid,
            data,
        },
    );
    sim.run_seconds(30);
    assert_eq!(sim.lock_holder, Some(new));
    assert_eq!(sim.leaders(), [new], "the holder of the lock leads");
    assert_eq!(
        (count_elections(&sim), sim.nodes[new].daemon.recoveries),
        before
    );
}

fn count_elections(sim: &Sim) -> usize {
    sim.messages
        .iter()
        .filter(|(_, m)| *m == Message::Leader(Pnn::UNKNOWN))
        .count()
}

#[test]
fn an_echo_of_its_own_broadcast_makes_no_leader() {
    let mut sim = Sim::new(3, false);
    sim.run_until_healthy();
    let leader = sim.leaders()[0];
    let follower = (leader + 1) % 3;
    let source = Pnn(follower as u32);
    let (srvid, data) = (Srvid::LEADER, Message::Leader(source).to_bytes());
    sim.input(
        follower,
        Input::Message {
            source,
            srvid,
            data,
        },
    );
    sim.run_seconds(20);
    assert_eq!(sim.leaders(), [leader]);
}

#[test]
fn elections_do_not_nest() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(5, with_lock);
        sim.run_until_healthy();
        let leader = sim.leaders()[0];
        sim.run_seconds(5);
        let before = count_elections(&sim);
        sim.kill(leader);
        // All miss the leader at about the same time, and hear each other's calls.
        sim.run_until_healthy();
        assert!(
            count_elections(&sim) - before <= 4,
            "each node calls once at most"
        );
    }
}

#[test]
fn a_helper_that_is_late_or_fails_is_no_leader() {
    let mut sim = Sim::new(1, true);
    sim.lock_holder = Some(7);
    sim.run_seconds(30);
    assert_eq!(sim.leaders(), [0usize; 0]);
    // Success after the attempt was given up: the helper is ended again.
    sim.lock_holder = Some(0);
    sim.run(Duration::from_millis(500));
    sim.input(0, Input::Lock(LockEvent::Taken));
    sim.run_until_healthy();
    assert_eq!(sim.lock_holder, Some(0));
}

#[test]
fn two_leaders_without_a_lock_become_one() {
    let mut sim = Sim::new(4, false);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        sim.nodes[a].daemon.flags[b].insert(NodeFlags::DISCONNECTED);
        sim.nodes[b].daemon.flags[a].insert(NodeFlags::DISCONNECTED);
    }
    sim.run_seconds(20);
    assert_eq!(sim.leaders(), [1, 3]);
    for node in &mut sim.nodes {
        node.daemon.flags.fill(NodeFlags::empty());
    }
    sim.run_until_healthy();
    assert_eq!(sim.leaders().len(), 1);
}

#[test]
fn the_leader_alone_answers_takeover_run() {
    for with_lock in [false, true] {
        let mut sim = Sim::new(3, with_lock);
        sim.run_until_healthy();
        sim.run_seconds(5);
        sim.messages.clear();
        let request = SrvidMessage {
            pnn: Pnn(1),
            srvid: Srvid(0xCE00_0000_0000_0001),
        };
        sim.broadcast(1, &Message::TakeoverRun(request.clone()));
        sim.run_seconds(3);
        let is_answer = |m: &&(usize, Message)| m.1.srvid() == request.srvid;
        let answers: Vec<_> = sim.messages.iter().filter(is_answer).collect();
        let leader = sim.leaders()[0];
        let number = (leader as i32).to_ne_bytes().to_vec();
        assert_eq!(answers, [&(leader, Message::Other(request.srvid, number))]);
        assert!(sim.nodes[0].daemon.reallocations >= 2);
    }
}

#[test]
fn every_node_answers_disable_recoveries() {
    let mut sim = Sim::new(3, false);
    sim.run_until_healthy();
    sim.run_seconds(5);
    sim.messages.clear();
    let srvid = Srvid(0xCE00_0000_0000_0002);
    let request = wire::types::DisableMessage {
        pnn: Pnn(0),
        srvid,
        timeout: 20,
    };
    sim.broadcast(0, &Message::DisableRecoveries(request));
    sim.run_seconds(1);
    let from: Vec<_> = sim
        .messages
        .iter()
        .filter(|m| m.1.srvid() == srvid)
        .map(|m| m.0)
        .collect();
    assert_eq!(from, [0, 1, 2]);
    let recoveries = sim.nodes[2].daemon.recoveries;
    sim.kill(0);
    sim.run_seconds(15);
    assert_eq!(sim.nodes[2].daemon.recoveries, recoveries);
    sim.run_until_healthy();
}

#[test]
fn a_helper_that_never_answers_is_ended() {
    let mut sim = Sim::new(1, true);
    sim.lock_is_deaf = true;
    sim.run_seconds(100);
    assert_eq!(sim.leaders(), [0usize; 0]);
    sim.lock_is_deaf = false;
    sim.run_until_healthy();
}

//! Members and leader by a coordinator's word.

use core::time::Duration;

use wire::Pnn;
use wire::types::{DbFlags, NodeFlags, RecoveryMode};

use super::sim::Sim;
use crate::Time;
use crate::coordinator::Notification;
use crate::manager::Input;

fn three() -> Sim {
    let mut sim = Sim::coordinated(3);
    sim.run_until_healthy();
    sim
}

fn leader(sim: &Sim) -> usize {
    sim.store.as_ref().unwrap().leader().unwrap()
}

fn cut_off(sim: &mut Sim, nodes: &[usize]) {
    sim.store.as_mut().unwrap().cut_off = nodes.iter().copied().collect();
}

fn is_member(sim: &Sim, n: usize) -> bool {
    sim.nodes[n].standing.until != 0
}

#[test]
fn the_leader_key_decides_and_nothing_else_happens() {
    let mut sim = three();
    let first = leader(&sim);
    assert_eq!(sim.leaders(), [first]);
    sim.run_seconds(1);
    let recoveries = sim.nodes[0].daemon.recoveries;
    sim.run_seconds(120);
    assert_eq!((sim.leaders(), leader(&sim)), (vec![first], first));
    assert_eq!(sim.nodes[0].daemon.recoveries, recoveries);
    assert_eq!(sim.store.as_ref().unwrap().members(), [0, 1, 2]);
    for node in &sim.nodes {
        let until = Time(node.standing.until);
        assert!(until > sim.now && until.since(sim.now) <= Duration::from_millis(7500));
    }
}

#[test]
fn the_race_begins_when_the_key_is_gone() {
    let mut sim = three();
    let first = leader(&sim);
    sim.kill(first);
    // its program gives the lease back
    let now = sim.now;
    let end = crate::coordinator::Action::Leave;
    let news = sim.store.as_mut().unwrap().act(first, now, end);
    sim.tell(news);
    sim.run_until("another leads", |sim| {
        sim.leaders() != [first] && sim.leaders().len() == 1
    });
    assert!(
        sim.now.since(now) < Duration::from_millis(2500),
        "{:?}",
        sim.now.since(now)
    );
    sim.run_until_healthy();
}

#[test]
fn a_leader_that_is_silent_is_replaced_when_its_lease_is_over() {
    let mut sim = three();
    let first = leader(&sim);
    sim.kill(first);
    let begin = sim.now;
    sim.run_until_healthy();
    assert_ne!(leader(&sim), first);
    let took = sim.now.since(begin);
    assert!(
        took > Duration::from_secs(7) && took < Duration::from_secs(14),
        "{took:?}"
    );
}

#[test]
fn a_node_without_the_coordinator_stops_before_its_lease_ends() {
    let mut sim = three();
    let first = leader(&sim);
    cut_off(&mut sim, &[first]);
    let begin = sim.now;
    sim.run_until("it is no member", |sim| !is_member(sim, first));
    assert!(sim.now.since(begin) < Duration::from_secs(8));
    assert_eq!(leader(&sim), first, "the key is still there");
    assert_eq!(sim.nodes[first].standing.term, 0);
    // its daemon has dropped its connections
    for other in [(first + 1) % 3, (first + 2) % 3] {
        sim.nodes[other].daemon.flags[first].insert(NodeFlags::DISCONNECTED);
        sim.nodes[first].daemon.flags[other].insert(NodeFlags::DISCONNECTED);
    }
    let claims = sim.messages.len();
    sim.run_until("another leads", |sim| leader_but(sim, first).is_some());
    let spoke = sim.messages[claims..]
        .iter()
        .any(|(from, _)| *from == first);
    assert!(!spoke, "it says nothing any more");
    let next = leader(&sim);
    let floor = sim.nodes[next]
        .standing
        .floors
        .iter()
        .find(|(pnn, _)| pnn.0 as usize == first);
    assert!(
        floor.unwrap().1 > sim.nodes[first].standing.revision,
        "what it said is too old"
    );
    // and back
    cut_off(&mut sim, &[]);
    sim.run_until("it is a member again", |sim| is_member(sim, first));
    assert!(sim.nodes[first].standing.revision > floor_of(&sim, next, first) - 1);
    for other in [(first + 1) % 3, (first + 2) % 3] {
        sim.nodes[other].daemon.flags[first].remove(NodeFlags::DISCONNECTED);
        sim.nodes[first].daemon.flags[other].remove(NodeFlags::DISCONNECTED);
    }
    sim.run_until_healthy();
    assert_eq!(leader(&sim), next);
}

fn leader_but(sim: &Sim, old: usize) -> Option<usize> {
    sim.store.as_ref()?.leader().filter(|leader| *leader != old)
}

fn floor_of(sim: &Sim, n: usize, of: usize) -> u64 {
    let floors = &sim.nodes[n].standing.floors;
    floors
        .iter()
        .find(|(pnn, _)| *pnn == Pnn(of as u32))
        .unwrap()
        .1
}

#[test]
fn a_coordinator_that_is_gone_stops_all_and_brings_all_back() {
    let mut sim = three();
    cut_off(&mut sim, &[0, 1, 2]);
    sim.run_seconds(30);
    assert!((0..3).all(|n| !is_member(&sim, n)));
    assert!(sim.leaders().is_empty());
    cut_off(&mut sim, &[]);
    sim.run_until("a leader", |sim| sim.leaders().len() == 1);
    assert!((0..3).all(|n| is_member(&sim, n)));
}

/// A node was started again, and the others went on without it. The coordinator is gone for all, and that node finds it first.
#[test]
fn a_node_that_was_started_waits_for_those_that_know_more() {
    let mut sim = three();
    let first = (leader(&sim) + 1) % 3;
    for (n, node) in sim.nodes.iter_mut().enumerate() {
        node.daemon.attach("secrets.tdb", DbFlags::PERSISTENT);
        let value = if n == first { "old" } else { "new" };
        node.daemon.put("secrets.tdb", "k", value, 1, Pnn(0));
        let db = node.daemon.dbs.get_mut(&wire::db_id("secrets.tdb"));
        db.unwrap().seqnum = u64::from(n != first);
    }
    sim.kill(first);
    cut_off(&mut sim, &[0, 1, 2]);
    sim.run_seconds(30);
    let others = [(first + 1) % 3, (first + 2) % 3];
    sim.boot(first);
    for other in others {
        sim.nodes[first].daemon.flags[other].insert(NodeFlags::DISCONNECTED);
        sim.nodes[other].daemon.flags[first].insert(NodeFlags::DISCONNECTED);
    }
    cut_off(&mut sim, &others);
    sim.run_until("it leads", |sim| sim.leaders() == [first]);
    sim.run_seconds(3);
    let recmode = sim.nodes[first].daemon.recmode;
    assert_eq!(recmode, RecoveryMode::Active, "it waits");
    cut_off(&mut sim, &[]);
    for other in others {
        sim.nodes[first].daemon.flags[other].remove(NodeFlags::DISCONNECTED);
        sim.nodes[other].daemon.flags[first].remove(NodeFlags::DISCONNECTED);
    }
    sim.run_until_healthy();
    for node in &sim.nodes {
        let value = node.daemon.value("secrets.tdb", "k");
        assert_eq!(value.as_deref(), Some("new"));
    }
}

#[test]
fn another_manager_of_the_same_daemon_takes_the_membership_over() {
    let mut sim = three();
    let first = leader(&sim);
    let revision = sim.nodes[first].standing.revision;
    sim.restart_manager(first);
    sim.run_until("a leader", |sim| sim.leaders().len() == 1);
    sim.run_until_healthy();
    assert_eq!(sim.nodes[first].standing.revision, revision);
}

#[test]
fn a_daemon_that_starts_again_is_a_new_member() {
    let mut sim = three();
    let follower = (leader(&sim) + 1) % 3;
    let revision = sim.nodes[follower].standing.revision;
    sim.kill(follower);
    sim.run_seconds(1);
    sim.boot(follower);
    sim.run_until_healthy();
    assert!(sim.nodes[follower].standing.revision > revision);
}

#[test]
fn a_program_that_starts_again_joins_without_a_gap() {
    let mut sim = three();
    let first = leader(&sim);
    sim.input(first, Input::Coordinator(Notification::Started));
    sim.run_seconds(30);
    assert_eq!(leader(&sim), first);
    assert_eq!(sim.leaders(), [first]);
}

#[test]
fn old_and_strange_news_change_nothing() {
    let mut sim = three();
    let first = leader(&sim);
    let (other, old) = (Pnn(((first + 1) % 3) as u32), 0);
    for news in [
        Notification::Renewed { number: 12_345 },
        Notification::Leader {
            pnn: other,
            revision: old,
        },
        Notification::MemberGone {
            pnn: Pnn(first as u32),
            revision: old,
        },
        Notification::Contended,
        Notification::Joined {
            number: 99,
            revision: 99,
            seconds: 0,
        },
    ] {
        sim.input(first, Input::Coordinator(news));
    }
    sim.run_seconds(10);
    assert_eq!(sim.leaders(), [first]);
    assert!(sim.is_healthy());
}

#[test]
fn a_second_daemon_with_the_same_number_ends_the_membership() {
    let mut sim = three();
    let first = leader(&sim);
    let revision = sim.nodes[first].standing.revision + 1000;
    let pnn = Pnn(first as u32);
    let news = Notification::Member { pnn, revision };
    sim.input(first, Input::Coordinator(news));
    assert!(!is_member(&sim, first));
}

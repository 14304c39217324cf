//! What the recovery does with the databases, and what it does when nodes fail in it.

use wire::coding::Encode;
use wire::control::{Opcode, Request};
use wire::types::{DbFlags, DbSize, DbSizes, NodeFlags, RecoveryMode};
use wire::{DbId, Generation, Pnn, Srvid};

use super::sim::{Action, Sim, Trap};
use crate::manager::{Input, Output};

const VOLATILE: DbFlags = DbFlags::empty();

/// Three nodes, healthy, with one database of each kind.
fn cluster(with_lock: bool) -> Sim {
    let mut sim = Sim::new(3, with_lock);
    sim.run_until_healthy();
    sim.run_seconds(5);
    for node in &mut sim.nodes {
        node.daemon.attach("locking.tdb", VOLATILE);
        node.daemon.attach("secrets.tdb", DbFlags::PERSISTENT);
        node.daemon.attach("ctdb.tdb", DbFlags::REPLICATED);
    }
    sim
}

/// What `ctdb recover` does.
fn force_recovery(sim: &mut Sim) {
    for node in sim.nodes.iter_mut().filter(|node| node.up) {
        node.daemon.recmode = RecoveryMode::Active;
    }
}

#[test]
fn the_newest_copy_wins() {
    let mut sim = cluster(false);
    for (n, rsn) in [(0, 3), (1, 9), (2, 5)] {
        sim.nodes[n]
            .daemon
            .put("locking.tdb", "k", &format!("of {n}"), rsn, Pnn(n as u32));
    }
    sim.nodes[0]
        .daemon
        .put("locking.tdb", "only here", "v", 1, Pnn(0));
    sim.nodes[0]
        .daemon
        .put("locking.tdb", "deleted", "v", 1, Pnn(0));
    sim.nodes[1]
        .daemon
        .put("locking.tdb", "deleted", "", 2, Pnn(1));
    force_recovery(&mut sim);
    sim.run_until_healthy();
    for n in 0..3 {
        let daemon = &sim.nodes[n].daemon;
        assert_eq!(daemon.value("locking.tdb", "k").as_deref(), Some("of 1"));
        assert_eq!(
            daemon.value("locking.tdb", "only here").as_deref(),
            Some("v")
        );
        assert_eq!(daemon.value("locking.tdb", "deleted"), None);
    }
}

#[test]
fn the_highest_sequence_number_wins_as_a_whole() {
    let mut sim = cluster(false);
    for name in ["secrets.tdb", "ctdb.tdb"] {
        for (n, seqnum) in [(0, 4), (1, 7), (2, 6)] {
            let daemon = &mut sim.nodes[n].daemon;
            daemon.dbs.get_mut(&wire::db_id(name)).unwrap().seqnum = seqnum;
            daemon.put(name, "k", &format!("of {n}"), 100 - seqnum, Pnn(0));
            daemon.put(name, &format!("key of {n}"), "v", 1, Pnn(0));
        }
    }
    force_recovery(&mut sim);
    sim.run_until_healthy();
    for name in ["secrets.tdb", "ctdb.tdb"] {
        for n in 0..3 {
            let daemon = &sim.nodes[n].daemon;
            assert_eq!(daemon.value(name, "k").as_deref(), Some("of 1"));
            assert_eq!(daemon.dbs[&wire::db_id(name)].records.len(), 2);
        }
    }
}

/// A node was lost in the middle of a commit, which it alone has; those that went on have acknowledged another since.
#[test]
fn of_equal_sequence_numbers_the_one_of_those_that_went_on_wins() {
    let mut sim = cluster(false);
    let leader = sim.leaders()[0];
    for lost in (0..3).filter(|n| *n != leader) {
        for n in 0..3 {
            let daemon = &mut sim.nodes[n].daemon;
            let value = if n == lost { "alone" } else { "acknowledged" };
            daemon
                .dbs
                .get_mut(&wire::db_id("secrets.tdb"))
                .unwrap()
                .seqnum += 1;
            daemon.put("secrets.tdb", "k", value, 1, Pnn(0));
        }
        sim.nodes[lost].daemon.vnnmap.generation = Generation(7);
        force_recovery(&mut sim);
        sim.run_until_healthy();
        for node in &sim.nodes {
            let value = node.daemon.value("secrets.tdb", "k");
            assert_eq!(value.as_deref(), Some("acknowledged"), "{lost} was lost");
        }
    }
}

#[test]
fn a_database_is_attached_where_it_is_missing() {
    let mut sim = Sim::new(3, true);
    for n in 0..40 {
        let name = format!("db{n}.tdb");
        let node = n % 3;
        sim.nodes[node]
            .daemon
            .attach(&name, VOLATILE | DbFlags::READONLY);
        sim.nodes[node]
            .daemon
            .put(&name, "k", "v", 1, Pnn(node as u32));
    }
    sim.run_until_healthy();
    for n in 0..40 {
        for node in &sim.nodes {
            assert_eq!(
                node.daemon.value(&format!("db{n}.tdb"), "k").as_deref(),
                Some("v")
            );
        }
    }
}

#[test]
fn many_records_go_in_windows() {
    let mut sim = cluster(false);
    for node in &mut sim.nodes {
        node.daemon.tunables.rec_buffer_size_limit = 200;
    }
    for n in 0..2000 {
        sim.nodes[1]
            .daemon
            .put("locking.tdb", &format!("key {n}"), "some value", n, Pnn(1));
    }
    sim.run_seconds(2);
    force_recovery(&mut sim);
    sim.run_until_healthy();
    assert_eq!(
        sim.nodes[0].daemon.dbs[&wire::db_id("locking.tdb")]
            .records
            .len(),
        2000
    );
    assert!(sim.controls.iter().any(|c| c.2 == Opcode::Ping));
}

/// Which databases node 0 has had frozen (true) and thawed (false), in order.
fn frozen_and_thawed(sim: &Sim) -> Vec<(bool, DbId)> {
    let outputs = sim.recording.iter();
    let outputs = outputs.flat_map(|(_, _, outputs)| outputs.as_slice());
    let step = |output: &Output| match output {
        Output::Control {
            destination: Pnn(0),
            request,
            ..
        } => match request {
            Request::DbFreeze(db) => Some((true, *db)),
            Request::DbThaw(db) => Some((false, *db)),
            _ => None,
        },
        _ => None,
    };
    outputs.filter_map(step).collect()
}

#[test]
fn small_databases_are_through_before_a_large_one_begins() {
    let mut sim = cluster(true);
    assert_eq!(sim.leaders(), [0], "it is node 0 that is recorded");
    let [small, large, largest] = ["ctdb.tdb", "locking.tdb", "secrets.tdb"].map(wire::db_id);
    let said = |sizes: &[(DbId, u32)]| {
        let dbs = sizes.iter().map(|&(db, kib)| DbSize { db, kib });
        let dbs = dbs.collect();
        DbSizes { dbs }.to_bytes()
    };
    // each node has some of the records
    for (source, sizes) in [
        (Pnn(0), said(&[(small, 9), (large, 30_000), (largest, 9)])),
        (
            Pnn(2),
            said(&[(small, 800), (large, 20_000), (largest, 90_000)]),
        ),
    ] {
        let srvid = Srvid::RECOVERY_WANTED;
        let data = sizes;
        sim.input(
            0,
            Input::Message {
                source,
                srvid,
                data,
            },
        );
    }
    sim.recording.clear();
    force_recovery(&mut sim);
    sim.run_seconds(3);
    sim.run_until_healthy();
    let in_turn = [small, large, largest].map(|db| [(true, db), (false, db)]);
    assert_eq!(frozen_and_thawed(&sim), in_turn.concat());
}

/// Every control of a recovery.
pub(super) const STEPS: [Opcode; 21] = [
    Opcode::GetNodemap,
    Opcode::GetCapabilities,
    Opcode::GetDbMap,
    Opcode::SetRecmode,
    Opcode::StartRecovery,
    Opcode::SetVnnMap,
    Opcode::GetDbName,
    Opcode::DbAttach,
    Opcode::DbFreeze,
    Opcode::DbTransactionStart,
    Opcode::GetDbSeqnum,
    Opcode::DbPull,
    Opcode::WipeDatabase,
    Opcode::DbPushStart,
    Opcode::Ping,
    Opcode::DbPushConfirm,
    Opcode::DbTransactionCommit,
    Opcode::DbThaw,
    Opcode::EndRecovery,
    Opcode::Ipreallocated,
    Opcode::GetVnnMap,
];

/// A cluster in which a recovery makes use of every step, in the moment before it.
fn before_a_recovery(with_lock: bool) -> Sim {
    let mut sim = cluster(with_lock);
    let leader = sim.leaders()[0];
    sim.nodes[leader].daemon.attach("new.tdb", VOLATILE);
    for n in 0..3 {
        sim.nodes[n].daemon.tunables.rec_buffer_size_limit = 50;
        for key in 0..20 {
            let key = format!("key {key}");
            sim.nodes[n].daemon.put(
                "locking.tdb",
                &key,
                &format!("of {n}"),
                n as u64,
                Pnn(n as u32),
            );
        }
    }
    sim.run_seconds(2);
    force_recovery(&mut sim);
    sim
}

#[test]
fn a_follower_may_die_in_each_step() {
    for with_lock in [false, true] {
        for opcode in STEPS {
            let mut sim = before_a_recovery(with_lock);
            let leader = sim.leaders()[0];
            let node = (leader + 1) % 3;
            sim.trap = Some(Trap {
                opcode,
                node,
                action: Action::Die,
            });
            sim.run_until("the death", |sim| !sim.nodes[node].up);
            sim.run_until_healthy();
            assert_eq!(sim.leaders(), [leader], "{opcode}");
            assert_eq!(sim.active().len(), 2);
            sim.boot(node);
            sim.run_until_healthy();
            assert_eq!(sim.active().len(), 3);
        }
    }
}

#[test]
fn the_leader_may_die_in_each_step() {
    for with_lock in [false, true] {
        for opcode in STEPS {
            let mut sim = before_a_recovery(with_lock);
            let leader = sim.leaders()[0];
            if opcode == Opcode::DbAttach {
                continue;
            }
            sim.trap = Some(Trap {
                opcode,
                node: leader,
                action: Action::Die,
            });
            sim.run_until("the death", |sim| !sim.nodes[leader].up);
            sim.run_until_healthy();
            assert_ne!(sim.leaders(), [leader], "{opcode}");
            sim.boot(leader);
            sim.run_until_healthy();
            assert_eq!(sim.active().len(), 3);
        }
    }
}

#[test]
fn who_refuses_a_database_again_and_again_is_banned() {
    let mut sim = before_a_recovery(true);
    let leader = sim.leaders()[0];
    let node = (leader + 1) % 3;
    sim.trap = Some(Trap {
        opcode: Opcode::DbPull,
        node,
        action: Action::Refuse,
    });
    sim.run_until_healthy();
    assert!(sim.trapped >= 5);
    assert!(sim.nodes[leader].daemon.flags[node].contains(NodeFlags::BANNED));
    assert!(sim.nodes[node].daemon.frozen);
}

#[test]
fn who_makes_recoveries_fail_is_banned() {
    let mut sim = before_a_recovery(false);
    let leader = sim.leaders()[0];
    let node = (leader + 1) % 3;
    sim.trap = Some(Trap {
        opcode: Opcode::StartRecovery,
        node,
        action: Action::Refuse,
    });
    sim.run_until_healthy();
    assert_eq!(sim.trapped, 6, "two credits for each of the three nodes");
    assert!(sim.nodes[node].daemon.flags[node].contains(NodeFlags::BANNED));
    sim.trap = None;
    sim.nodes[node].daemon.flags[node].remove(NodeFlags::BANNED);
    sim.run_until_healthy();
    assert_eq!(sim.active().len(), 3);
}

#[test]
fn a_leader_that_refuses_bans_itself() {
    let mut sim = before_a_recovery(true);
    let leader = sim.leaders()[0];
    sim.trap = Some(Trap {
        opcode: Opcode::StartRecovery,
        node: leader,
        action: Action::Refuse,
    });
    sim.run_until_healthy();
    assert_ne!(sim.leaders(), [leader]);
}

#[test]
fn a_hung_node_is_waited_for_and_banned_no_more_than_that() {
    let mut sim = before_a_recovery(false);
    let leader = sim.leaders()[0];
    let node = (leader + 1) % 3;
    sim.nodes[node].hung = true;
    sim.run_seconds(40);
    assert!(!sim.is_healthy());
    // The keepalives find out in the end.
    sim.kill(node);
    sim.nodes[node].hung = false;
    sim.run_until_healthy();
    assert_eq!(sim.active().len(), 2);
}

#[test]
fn a_leader_that_is_stopped_in_a_recovery_does_not_finish_it() {
    for with_lock in [false, true] {
        let mut sim = before_a_recovery(with_lock);
        let leader = sim.leaders()[0];
        let from = sim.controls.len();
        sim.run_until("a recovery", |sim| {
            sim.controls[from..].iter().any(|c| c.2 == Opcode::GetDbMap)
        });
        sim.nodes[leader].daemon.flags[leader].insert(NodeFlags::STOPPED);
        sim.run_until_healthy();
        assert_ne!(sim.leaders(), [leader]);
        let vnnmap = &sim.nodes[sim.leaders()[0]].daemon.vnnmap.map;
        assert!(!vnnmap.contains(&Pnn(leader as u32)));
    }
}

#[test]
fn flags_follow_their_node() {
    let mut sim = cluster(true);
    sim.run_until_healthy();
    sim.nodes[0].daemon.flags[0].insert(NodeFlags::PERMANENTLY_DISABLED);
    sim.run_seconds(5);
    for node in &sim.nodes {
        assert_eq!(node.daemon.flags[0], NodeFlags::PERMANENTLY_DISABLED);
    }
    sim.nodes[0].daemon.flags[0] = NodeFlags::empty();
    sim.run_seconds(5);
    assert!(sim.nodes.iter().all(|node| node.daemon.flags[0].is_empty()));
}

#[test]
fn a_manager_that_restarts_finds_its_place() {
    for with_lock in [false, true] {
        let mut sim = before_a_recovery(with_lock);
        sim.run_until_healthy();
        for n in [0, 1, 2, 0, 2, 1] {
            if sim.lock_holder == Some(n) {
                sim.lock_holder = None;
            }
            sim.restart_manager(n);
            sim.run_seconds(15);
            sim.run_until_healthy();
        }
    }
}

//! Random faults, one after the other and several at once; then they end, and all must be well.

use core::time::Duration;

use wire::Pnn;
use wire::Srvid;
use wire::control::Opcode;
use wire::message::Message;
use wire::types::{DbFlags, DisableMessage, NodeFlags, RecoveryMode};

use super::recoveries::STEPS;
use super::sim::{Action, Sim, Trap};
use crate::manager::ports::Rng;
use crate::manager::requests::SRVIDS;
use crate::manager::{Input, Outputs};

fn pick(rng: &mut Rng, below: usize) -> usize {
    (rng.next_u64() % below as u64) as usize
}

fn one_fault(sim: &mut Sim, rng: &mut Rng) {
    let n = pick(rng, sim.nodes.len());
    let up = sim.nodes[n].up;
    let flags = &mut sim.nodes[n].daemon.flags[n];
    match pick(rng, 12) {
        0 if up => sim.kill(n),
        1 | 2 if !up => sim.boot(n),
        3 => sim.nodes[n].hung = true,
        4 | 5 => sim.nodes[n].hung = false,
        6 => flags.toggle(NodeFlags::STOPPED),
        7 => flags.remove(NodeFlags::BANNED),
        8 if sim
            .lock_holder
            .is_some_and(|n| sim.nodes[n].up && !sim.nodes[n].hung) =>
        {
            sim.lose_lock(sim.lock_holder.unwrap());
        }
        9 => {
            let opcode: Opcode = STEPS[pick(rng, STEPS.len())];
            let action = if pick(rng, 2) == 0 {
                Action::Die
            } else {
                Action::Refuse
            };
            sim.trap = Some(Trap {
                opcode,
                node: n,
                action,
            });
        }
        10 => {
            let delay = Duration::from_millis(rng.next_u64() % 8000);
            sim.slow = Some((n, Srvid::LEADER, delay));
        }
        11 => {
            let key = format!("key {}", pick(rng, 5));
            let rsn = rng.next_u64() % 50;
            sim.nodes[n].daemon.attach("locking.tdb", DbFlags::empty());
            sim.nodes[n].daemon.put(
                "locking.tdb",
                &key,
                &format!("{n} {rsn}"),
                rsn,
                Pnn(n as u32),
            );
            if up {
                sim.nodes[n].daemon.recmode = RecoveryMode::Active;
            }
        }
        _ => {}
    }
}

fn heal(sim: &mut Sim) {
    sim.trap = None;
    sim.slow = None;
    for n in 0..sim.nodes.len() {
        sim.nodes[n].hung = false;
        let flags = &mut sim.nodes[n].daemon.flags[n];
        flags.remove(NodeFlags::STOPPED | NodeFlags::BANNED);
        if !sim.nodes[n].up {
            sim.boot(n);
        }
    }
    // A ban of late, ended by hand.
    sim.run_seconds(60);
    for n in 0..sim.nodes.len() {
        sim.nodes[n].daemon.flags[n].remove(NodeFlags::BANNED);
    }
}

fn survive(seed: u64, with_lock: bool) {
    let mut rng = Rng::new(seed);
    let mut sim = Sim::new(2 + pick(&mut rng, 4), with_lock);
    for _ in 0..40 {
        one_fault(&mut sim, &mut rng);
        sim.run(Duration::from_millis(rng.next_u64() % 5000));
    }
    heal(&mut sim);
    sim.run_until_healthy();
    sim.run_seconds(30);
    assert!(sim.is_healthy(), "and stays well");
    assert_eq!(sim.active().len(), sim.nodes.len());
    sim.check_databases();
}

#[test]
fn after_any_faults_the_cluster_comes_back_without_a_lock() {
    for seed in 0..60 {
        println!("seed {seed}");
        survive(seed, false);
    }
}

#[test]
fn after_any_faults_the_cluster_comes_back_with_a_lock() {
    for seed in 100..160 {
        println!("seed {seed}");
        survive(seed, true);
    }
}

#[test]
fn nonsense_in_messages_does_no_harm() {
    for with_lock in [false, true] {
        let mut rng = Rng::new(7);
        let mut sim = Sim::new(3, with_lock);
        sim.run_until_healthy();
        for _ in 0..2000 {
            let srvid = SRVIDS[pick(&mut rng, SRVIDS.len())];
            let length = [0, 3, 4, 12, 16, 24, 32, 40][pick(&mut rng, 8)];
            let data = (0..length).map(|_| rng.next_u64() as u8 & 3).collect();
            let source = Pnn(rng.next_u64() as u32 & 7);
            let to = pick(&mut rng, 3);
            sim.input(
                to,
                Input::Message {
                    source,
                    srvid,
                    data,
                },
            );
            sim.run(Duration::from_millis(rng.next_u64() % 20));
        }
        sim.run_seconds(120);
        heal(&mut sim);
        // nonsense may have switched them off for a year
        let enable = DisableMessage {
            pnn: Pnn(0),
            srvid: Srvid(0),
            timeout: 0,
        };
        sim.broadcast(0, &Message::DisableRecoveries(enable));
        sim.run_until_healthy();
    }
}

#[test]
fn a_recording_replays() {
    let mut rng = Rng::new(11);
    let mut sim = Sim::new(3, true);
    for _ in 0..40 {
        one_fault(&mut sim, &mut rng);
        sim.run(Duration::from_millis(rng.next_u64() % 5000));
    }
    heal(&mut sim);
    let (mut manager, _) = Sim::start(Pnn(0), true, None, sim.started, sim.nodes[0].life);
    assert!(sim.recording.len() > 500);
    for (time, input, expected) in sim.recording {
        let mut out = Outputs::new();
        manager.handle(time, input, &mut out);
        assert_eq!(out, expected);
    }
}

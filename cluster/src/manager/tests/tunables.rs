//! What each tunable of the manager does: with another value it does something else.

use core::time::Duration;

use wire::Pnn;
use wire::control::{Opcode, Request};
use wire::tunables::Tunables;
use wire::types::{BanState, Capabilities, DbFlags, RecoveryMode};

use super::sim::{Action, Sim, Trap};
use crate::manager::Output;

/// Three healthy nodes, of which only node 0 may lead: what its manager wants is recorded.
fn led_by_node_0(tune: impl Fn(&mut Tunables)) -> Sim {
    let mut sim = Sim::new(3, false);
    for (n, node) in sim.nodes.iter_mut().enumerate() {
        tune(&mut node.daemon.tunables);
        if n > 0 {
            node.daemon.capabilities.remove(Capabilities::RECMASTER);
        }
    }
    sim.run_until_healthy();
    for node in &mut sim.nodes {
        node.daemon.attach("locking.tdb", DbFlags::empty());
    }
    sim.run_seconds(20);
    assert_eq!(sim.leaders(), [0]);
    sim
}

/// What `ctdb recover` does, in a cluster where a node refuses one of its steps.
fn recover_with(sim: &mut Sim, opcode: Opcode) {
    sim.trap = Some(Trap {
        opcode,
        node: 1,
        action: Action::Refuse,
    });
    recover(sim);
}

fn recover(sim: &mut Sim) {
    for node in &mut sim.nodes {
        node.daemon.recmode = RecoveryMode::Active;
    }
}

/// The time-outs of node 0's controls of this kind.
fn timeouts(sim: &Sim, opcode: Opcode) -> Vec<Duration> {
    let outputs = sim.recording.iter().flat_map(|(_, _, outputs)| {
        let mut outputs = outputs.clone();
        outputs.drain().collect::<Vec<_>>()
    });
    let timeout = |output| match output {
        Output::Control {
            request, timeout, ..
        } if request.opcode() == opcode => Some(timeout),
        _ => None,
    };
    outputs.filter_map(timeout).collect()
}

fn bans(sim: &Sim) -> Vec<BanState> {
    let outputs = sim.recording.iter().flat_map(|(_, _, outputs)| {
        let mut outputs = outputs.clone();
        outputs.drain().collect::<Vec<_>>()
    });
    let ban = |output| match output {
        Output::Control {
            request: Request::SetBanState(ban),
            ..
        } => Some(ban),
        _ => None,
    };
    outputs.filter_map(ban).collect()
}

#[test]
fn election_timeout_is_how_long_an_election_waits_for_votes() {
    let after = |election_timeout| {
        let mut sim = Sim::new(3, false);
        for node in &mut sim.nodes {
            node.daemon.tunables.election_timeout = election_timeout;
        }
        sim.run_until_healthy();
        sim.run_seconds(20);
        sim.kill(sim.leaders()[0]);
        let begin = sim.now;
        sim.run_until("another leader", |sim| !sim.leaders().is_empty());
        sim.now.since(begin).as_secs()
    };
    let (short, long) = (after(1), after(9));
    assert!((7..=9).contains(&(long - short)), "{short} s and {long} s");
}

#[test]
fn recover_interval_is_the_pause_between_two_looks() {
    for (interval, expected) in [(1, 19..=20), (5, 4..=4)] {
        let mut sim = led_by_node_0(|tunables| tunables.recover_interval = interval);
        let before = sim.controls.len();
        sim.run_seconds(20);
        let pings = sim.controls[before..]
            .iter()
            .filter(|control| (control.0, control.2) == (0, Opcode::RecdPing));
        assert!(
            expected.contains(&pings.count()),
            "RecoverInterval={interval}"
        );
    }
}

#[test]
fn recover_timeout_bounds_each_control_of_a_recovery() {
    let mut sim = led_by_node_0(|tunables| tunables.recover_timeout = 7);
    sim.recording.clear();
    recover(&mut sim);
    sim.run_until_healthy();
    for opcode in [Opcode::StartRecovery, Opcode::DbFreeze, Opcode::GetNodemap] {
        let found = timeouts(&sim, opcode);
        assert!(!found.is_empty(), "{opcode:?}");
        assert!(
            found
                .iter()
                .all(|timeout| *timeout == Duration::from_secs(7)),
            "{opcode:?}"
        );
    }
}

#[test]
fn takeover_timeout_bounds_a_takeover_run() {
    let mut sim = led_by_node_0(|tunables| tunables.takeover_timeout = 4);
    sim.recording.clear();
    recover(&mut sim);
    sim.run_until_healthy();
    sim.run_seconds(1);
    // the steps that move addresses have three times as long together
    for (opcode, seconds) in [(Opcode::GetPublicIps, 4), (Opcode::Ipreallocated, 12)] {
        let found = timeouts(&sim, opcode);
        let wanted = Duration::from_secs(seconds);
        assert!(!found.is_empty(), "{opcode:?}");
        assert!(found.iter().all(|timeout| *timeout == wanted), "{found:?}");
    }
}

#[test]
fn rerecovery_timeout_is_the_pause_between_two_recoveries() {
    let mut sim = led_by_node_0(|tunables| tunables.rerecovery_timeout = 15);
    recover(&mut sim);
    sim.run_until_healthy();
    sim.run_seconds(2);
    let done = sim.nodes[0].daemon.recoveries;
    recover(&mut sim);
    sim.run_seconds(10);
    assert_eq!(sim.nodes[0].daemon.recoveries, done);
    sim.run_seconds(10);
    assert_eq!(sim.nodes[0].daemon.recoveries, done + 1);
}

#[test]
fn recovery_ban_period_is_how_long_a_ban_lasts() {
    let mut sim = led_by_node_0(|tunables| tunables.recovery_ban_period = 77);
    recover_with(&mut sim, Opcode::DbPull);
    sim.run_until_healthy();
    let (pnn, time) = (Pnn(1), 77);
    assert_eq!(bans(&sim), [BanState { pnn, time }]);
}

#[test]
fn enable_bans_0_bans_nobody_for_a_database() {
    for enable_bans in [1, 0] {
        let mut sim = led_by_node_0(|tunables| tunables.enable_bans = enable_bans);
        recover_with(&mut sim, Opcode::DbPull);
        // a recovery gives up before that; the credits for several ban later, where the node itself looks at EnableBans
        sim.run_until("refusals", |sim| sim.trapped >= 3);
        sim.run(Duration::from_millis(100));
        assert_eq!(bans(&sim).len(), enable_bans as usize);
    }
}

#[test]
fn recovery_grace_period_forgives_what_is_long_ago() {
    // each failed recovery is blamed; a grace period of nothing has forgotten the one before
    for (grace, banned) in [(120, true), (0, false)] {
        let mut sim = led_by_node_0(|tunables| tunables.recovery_grace_period = grace);
        recover_with(&mut sim, Opcode::StartRecovery);
        sim.run_seconds(60);
        assert!(sim.trapped >= 6);
        assert_eq!(
            !bans(&sim).is_empty(),
            banned,
            "RecoveryGracePeriod={grace}"
        );
    }
}

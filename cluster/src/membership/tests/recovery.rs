//! Recoveries as leaders command them.

use super::*;
use crate::membership::recovery::{LOCK_FAILED, LOCK_TAKEN, OVERTAKEN};

const ACTIVE: Request = Request::SetRecmode(RecoveryMode::Active);
const NORMAL: Request = Request::SetRecmode(RecoveryMode::Normal);

#[test]
fn the_vnnmap_changes_only_within_a_recovery() {
    let mut bench = Bench::running();
    assert_eq!(bench.status(OTHER, Request::SetVnnMap(vnn_map(8))), -1);
    bench.ask(OTHER, ACTIVE);
    assert_eq!(bench.status(OTHER, Request::SetVnnMap(vnn_map(8))), 0);
    let stranger = VnnMap {
        generation: Generation(9),
        map: vec![Pnn(77)],
    };
    assert_eq!(bench.status(OTHER, Request::SetVnnMap(stranger)), -1);
    let empty = VnnMap {
        generation: Generation(9),
        map: vec![],
    };
    assert_eq!(bench.status(OTHER, Request::SetVnnMap(empty)), -1);
    assert_eq!(bench.node.vnn_map(), &vnn_map(8));
}

#[test]
fn normal_needs_all_databases_in_the_generation() {
    let mut bench = Bench::plain();
    bench.input(Input::DatabaseGenerationsDiffer(true));
    assert_eq!(bench.status(OTHER, NORMAL), -1);
    assert!(bench.node.in_recovery());
    bench.input(Input::DatabaseGenerationsDiffer(false));
    assert_eq!(bench.status(OTHER, NORMAL), 0);
    assert!(!bench.node.in_recovery());
}

/// What is left of an earlier leader's recovery cannot end the one of a later leader.
#[test]
fn an_earlier_leader_is_refused() {
    let mut bench = Bench::plain();
    bench.ask(OTHER, ACTIVE);
    let begin = |bench: &mut Bench, leader| {
        let token = lock_question(&bench.ask(leader, Request::StartRecovery)).unwrap();
        bench.input(Input::ControlReply {
            token,
            status: 0,
            data: vec![],
        });
    };
    begin(&mut bench, OTHER);
    assert_eq!(bench.status(OTHER, Request::SetVnnMap(vnn_map(7))), 0);
    begin(&mut bench, THIRD);
    assert_eq!(bench.status(OTHER, NORMAL), -1);
    assert_eq!(bench.status(OTHER, Request::SetVnnMap(vnn_map(8))), -1);
    assert_eq!(
        bench.status(THIRD, NORMAL),
        -1,
        "not without its own vnnmap"
    );
    assert_eq!(bench.status(THIRD, Request::SetVnnMap(vnn_map(9))), 0);
    assert_eq!(bench.status(OTHER, NORMAL), -1);
    assert_eq!(bench.status(THIRD, NORMAL), 0);
    assert_eq!(bench.status(THIRD, Request::EndRecovery), 0);
}

#[test]
fn no_end_within_a_recovery() {
    let mut bench = Bench::plain();
    let outputs = bench.ask(OTHER, Request::EndRecovery);
    assert_eq!(reply(&outputs), Some((-1, vec![])));
    assert!(notifications(&outputs).is_empty(), "commits go on waiting");
    assert_eq!(bench.node.run_state(), RunState::FirstRecovery);
}

fn checked(bench: &mut Bench, outcome: LockOutcome) -> Vec<Output> {
    let outputs = bench.ask(OTHER, NORMAL);
    let [Output::CheckClusterLock(token)] = outputs[..] else {
        panic!("{outputs:?}")
    };
    bench.input(Input::LockChecked {
        token,
        outcome,
        latency: 0.25,
    });
    bench.take()
}

#[test]
fn normal_tries_the_cluster_lock() {
    for outcome in [LockOutcome::Contended, LockOutcome::TimedOut] {
        let mut bench = Bench::with_lock();
        assert_eq!(errors(&checked(&mut bench, outcome)), [""]);
        assert!(!bench.node.in_recovery());
    }
    let wrong = [
        (LockOutcome::Taken, LOCK_TAKEN),
        (LockOutcome::Failed("no such helper".into()), LOCK_FAILED),
    ];
    for (outcome, text) in wrong {
        let mut bench = Bench::with_lock();
        let outputs = checked(&mut bench, outcome);
        assert_eq!(
            (reply(&outputs), errors(&outputs)),
            (Some((-1, vec![])), vec![text])
        );
        assert!(bench.node.in_recovery());
        assert_eq!(errors(&checked(&mut bench, LockOutcome::Contended)), [""]);
        assert_eq!(bench.node.take_statistics().lock_latency.ctdbd.max, 0.25);
    }
}

#[test]
fn a_check_is_shared_and_can_be_overtaken() {
    let mut bench = Bench::with_lock();
    let outputs = bench.ask(OTHER, NORMAL);
    let [Output::CheckClusterLock(first)] = outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(bench.ask(OTHER, NORMAL), []);
    let outputs = bench.ask(THIRD, ACTIVE);
    assert_eq!(errors(&outputs), [OVERTAKEN, OVERTAKEN, ""]);
    let late = Input::LockChecked {
        token: first,
        outcome: LockOutcome::Contended,
        latency: 1.0,
    };
    bench.input(late.clone());
    assert_eq!(bench.take(), []);
    assert!(bench.node.in_recovery());
    let outputs = bench.ask(THIRD, NORMAL);
    assert!(matches!(outputs[..], [Output::CheckClusterLock(second)] if second != first));
    bench.input(late);
    assert!(
        bench.node.in_recovery(),
        "not by the check that was given up"
    );
}

/// NORMAL of one leader came between ACTIVE and START_RECOVERY of the next.
#[test]
fn a_recovery_that_begins_during_the_check_is_not_ended_by_it() {
    let mut bench = Bench::with_lock();
    let outputs = bench.ask(OTHER, NORMAL);
    let [Output::CheckClusterLock(token)] = outputs[..] else {
        panic!("{outputs:?}")
    };
    let outputs = bench.ask(THIRD, Request::StartRecovery);
    assert_eq!(errors(&outputs), [OVERTAKEN]);
    bench.input(Input::LockChecked {
        token,
        outcome: LockOutcome::Contended,
        latency: 1.0,
    });
    assert!(bench.node.in_recovery());
}

#[test]
fn a_node_that_becomes_inactive_during_the_check_stays_in_recovery() {
    let mut bench = Bench::with_lock();
    let outputs = bench.ask(OTHER, NORMAL);
    let [Output::CheckClusterLock(token)] = outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(errors(&bench.ask(ME, Request::StopNode)), [OVERTAKEN, ""]);
    bench.input(Input::LockChecked {
        token,
        outcome: LockOutcome::Contended,
        latency: 1.0,
    });
    assert!(bench.node.in_recovery());
    assert_eq!(bench.status(OTHER, NORMAL), -1);
}

fn lock_answer(bench: &mut Bench, status: i32, data: &[u8]) -> Vec<Output> {
    let token = lock_question(&bench.ask(OTHER, Request::StartRecovery)).unwrap();
    bench.input(Input::ControlReply {
        token,
        status,
        data: data.to_vec(),
    });
    bench.take()
}

#[test]
fn a_node_with_another_cluster_lock_shuts_down() {
    let same = format!("{LOCK}\0");
    let outputs = lock_answer(&mut Bench::with_lock(), 0, same.as_bytes());
    assert_eq!(
        (reply(&outputs), shutdown(&outputs)),
        (Some((0, vec![])), None)
    );
    assert_eq!(shutdown(&lock_answer(&mut Bench::plain(), 0, b"")), None);

    let wrong: [(Bench, &[u8]); 4] = [
        (Bench::with_lock(), b"/elsewhere\0"),
        (Bench::with_lock(), b""),
        (Bench::plain(), same.as_bytes()),
        (Bench::plain(), b"\0"),
    ];
    for (mut bench, data) in wrong {
        let outputs = lock_answer(&mut bench, 0, data);
        assert_eq!(
            (reply(&outputs), shutdown(&outputs)),
            (Some((-1, vec![])), Some(1))
        );
        assert_eq!(bench.node.run_state(), RunState::Shutdown);
    }
}

#[test]
fn an_unanswered_question_fails_the_recovery() {
    let outputs = lock_answer(&mut Bench::plain(), -1, b"");
    assert_eq!(
        (reply(&outputs), shutdown(&outputs)),
        (Some((-1, vec![])), None)
    );
}

#[test]
fn nobody_is_asked_by_itself_or_without_connection() {
    let mut bench = Bench::with_lock();
    assert_eq!(bench.status(ME, Request::StartRecovery), 0);
    bench.input(Input::Disconnected(OTHER));
    assert_eq!(bench.status(OTHER, Request::StartRecovery), 0);
}

#[test]
fn a_subsystem_asks_for_recovery() {
    let mut bench = Bench::running();
    let needed = Input::RecoveryNeeded {
        reason: "a commit failed".into(),
    };
    bench.input(needed.clone());
    assert_eq!(
        bench.take(),
        [
            Output::Notify(Notification::RecoveryMode(true)),
            Output::RecoveryWanted
        ]
    );
    bench.input(needed);
    assert_eq!(bench.take(), []);
    assert_eq!(bench.answer(OTHER, Request::GetRecmode), (1, vec![]));
}

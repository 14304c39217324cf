//! Who is let in, and when a node keeps itself out.

use super::*;
use crate::fence::{HELLO, Hello, Standing};

const SETTING: &str = "etcd:/ctdb/";
/// CLOCK_MONOTONIC when the node started.
const CLOCK: Duration = Duration::from_secs(1000);

fn fenced() -> Bench {
    let mut bench = Bench::new(Settings {
        fence: Some(FenceSettings {
            setting: SETTING.into(),
            monotonic_clock: CLOCK,
        }),
        ..settings()
    });
    bench.take();
    bench
}

/// A member until so many seconds after the start.
fn standing(seconds: u64, revision: u64) -> Standing {
    let until = CLOCK + Duration::from_secs(seconds);
    Standing {
        until: u64::try_from(until.as_nanos()).unwrap(),
        revision,
        ..Standing::default()
    }
}

fn tell(bench: &mut Bench, standing: &Standing) -> Vec<Output> {
    bench.input(Input::Standing(standing.to_bytes()));
    bench.take()
}

fn hello(bench: &mut Bench, from: Pnn, revision: u64, term: u64) -> Vec<Output> {
    let setting = SETTING.to_owned();
    let hello = Hello {
        revision,
        term,
        setting,
    };
    let data = hello.to_bytes();
    bench.input(Input::Hello { from, data });
    bench.take()
}

/// A member that both others work with; the first of them leads.
fn member() -> Bench {
    let mut bench = fenced();
    bench.connect();
    let mine = Standing {
        latest_term: 9,
        floors: vec![(OTHER, 5), (THIRD, 6)],
        ..standing(100, 7)
    };
    tell(&mut bench, &mine);
    hello(&mut bench, OTHER, 5, 9);
    hello(&mut bench, THIRD, 6, 0);
    assert!(bench.node.is_connected(OTHER) && bench.node.is_connected(THIRD));
    bench
}

/// START_RECOVERY, with the same cluster lock here and there.
fn start_recovery(bench: &mut Bench, from: Pnn) -> i32 {
    let mut outputs = bench.ask(from, Request::StartRecovery);
    if let Some(token) = lock_question(&outputs) {
        let (status, data) = (0, Vec::new());
        bench.input(Input::ControlReply {
            token,
            status,
            data,
        });
        outputs.extend(bench.take());
    }
    reply(&outputs).unwrap().0
}

fn greetings(outputs: &[Output]) -> Vec<(Pnn, Hello)> {
    let mut greetings = Vec::new();
    for output in outputs {
        if let Output::Message {
            destination,
            srvid: HELLO,
            data,
        } = output
        {
            greetings.push((*destination, Hello::from_bytes(data).unwrap()));
        }
    }
    greetings
}

#[test]
fn nobody_is_connected_before_both_are_members() {
    let mut bench = fenced();
    bench.input(Input::Connected(OTHER));
    let said = greetings(&bench.take());
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].0, said[0].1.revision), (OTHER, 0));
    hello(&mut bench, OTHER, 5, 0);
    assert!(!bench.node.admits(OTHER) && !bench.node.is_connected(OTHER));
    let said = greetings(&tell(&mut bench, &standing(10, 7)));
    assert!(
        said.iter()
            .any(|(to, hello)| *to == OTHER && hello.revision == 7)
    );
    assert!(bench.node.admits(OTHER) && bench.node.is_connected(OTHER));
    bench.input(Input::Connected(THIRD));
    hello(&mut bench, THIRD, 0, 0);
    assert!(!bench.node.is_connected(THIRD), "it is no member yet");
}

#[test]
fn a_membership_that_has_ended_since_does_not_count() {
    let mut bench = member();
    let ended = Standing {
        floors: vec![(OTHER, 20)],
        ..standing(100, 7)
    };
    let outputs = tell(&mut bench, &ended);
    assert!(outputs.contains(&Output::Dead(OTHER)), "{outputs:?}");
    assert!(!bench.node.admits(OTHER));
    bench.input(Input::Connected(OTHER));
    hello(&mut bench, OTHER, 5, 9);
    assert!(!bench.node.admits(OTHER), "it does not know yet");
    hello(&mut bench, OTHER, 21, 0);
    assert!(bench.node.admits(OTHER) && bench.node.is_connected(OTHER));
}

#[test]
fn a_node_whose_time_is_over_freezes_itself_before_anything_else() {
    let mut bench = member();
    assert_eq!(
        bench
            .recover(OTHER, 3)
            .iter()
            .filter(|o| matches!(o, Output::Dead(_)))
            .count(),
        0
    );
    // as after a SIGSTOP: the first thing that it hears is something else
    bench.now = Time::ZERO + Duration::from_secs(101);
    assert!(bench.node.is_fence_due(bench.now));
    let (status, _) = bench.answer(OTHER, Request::GetRecmode);
    assert_eq!(status, 1);
    let mut bench = member();
    bench.recover(OTHER, 3);
    bench.now = Time::ZERO + Duration::from_secs(101);
    bench.input(Input::Timer);
    let outputs = bench.take();
    let told = notifications(&outputs);
    assert!(
        told.contains(&&Notification::FencedOff)
            && told.contains(&&Notification::RecoveryMode(true))
    );
    assert!(
        !told.contains(&&Notification::BecameInactive),
        "its records stay valid"
    );
    assert!(outputs.contains(&Output::Dead(OTHER)) && outputs.contains(&Output::Dead(THIRD)));
    assert_eq!(bench.node.vnn_map().generation, Generation::INVALID);
    assert_eq!(start_recovery(&mut bench, ME), -1);
}

#[test]
fn a_standing_that_comes_too_late_is_none() {
    let mut bench = member();
    bench.now = Time::ZERO + Duration::from_secs(99);
    let outputs = tell(&mut bench, &standing(98, 7));
    assert!(notifications(&outputs).contains(&&Notification::FencedOff));
}

#[test]
fn another_membership_begins_with_the_end_of_the_first() {
    let mut bench = member();
    let outputs = tell(&mut bench, &standing(100, 30));
    assert!(notifications(&outputs).contains(&&Notification::FencedOff));
    assert!(outputs.contains(&Output::Dead(OTHER)));
    bench.input(Input::Connected(OTHER));
    assert!(
        greetings(&bench.take())
            .iter()
            .all(|(_, hello)| hello.revision == 30)
    );
}

#[test]
fn only_the_latest_leader_recovers() {
    let mut bench = member();
    assert_eq!(start_recovery(&mut bench, OTHER), 0);
    assert_eq!(start_recovery(&mut bench, THIRD), -1, "it does not lead");
    for request in [
        Request::SetVnnMap(vnn_map(4)),
        Request::SetRecmode(RecoveryMode::Normal),
    ] {
        assert_eq!(bench.status(THIRD, request), -1, "it does not lead");
    }
    hello(&mut bench, THIRD, 6, 12);
    assert_eq!(
        bench.status(OTHER, Request::SetVnnMap(vnn_map(4))),
        -1,
        "not any more"
    );
    assert_eq!(bench.status(OTHER, Request::EndRecovery), -1);
    bench.recover(THIRD, 5);
    // news by way of etcd are as good
    let news = Standing {
        latest_term: 15,
        ..standing(100, 7)
    };
    tell(&mut bench, &news);
    bench.status(THIRD, Request::SetRecmode(RecoveryMode::Active));
    assert_eq!(start_recovery(&mut bench, THIRD), -1);
}

#[test]
fn a_stranger_ends_a_daemon_that_starts_and_not_one_that_runs() {
    let mut bench = fenced();
    bench.connect();
    bench.input(Input::Stranger(OTHER));
    assert_eq!(shutdown(&bench.take()), Some(1));
    let mut bench = member();
    bench.recover(OTHER, 3);
    bench.input(Input::StartedUp);
    bench.input(Input::Disconnected(THIRD));
    bench.input(Input::Connected(THIRD));
    bench.take();
    bench.input(Input::Stranger(THIRD));
    let outputs = bench.take();
    assert_eq!(shutdown(&outputs), None, "{outputs:?}");
    assert!(!bench.node.is_connected(THIRD));
    let data = Hello {
        setting: "etcd:/other/".into(),
        revision: 99,
        term: 99,
    };
    let (from, data) = (THIRD, data.to_bytes());
    bench.input(Input::Hello { from, data });
    assert!(!bench.node.admits(THIRD));
    bench.take();
    assert_eq!(
        start_recovery(&mut bench, OTHER),
        0,
        "a strange term is none"
    );
}

#[test]
fn without_a_coordinator_there_is_no_fence() {
    let mut bench = Bench::plain();
    assert!(bench.node.admits(OTHER));
    let from = OTHER;
    bench.input(Input::Standing(standing(0, 1).to_bytes()));
    bench.input(Input::Hello {
        from,
        data: vec![1, 2, 3],
    });
    bench.input(Input::Stranger(OTHER));
    assert_eq!(bench.take(), []);
}

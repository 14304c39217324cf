//! What waits for an event, and what becomes of it.

use super::*;

fn message(destination: Pnn, srvid: Srvid, data: Vec<u8>) -> Output {
    Output::Message {
        destination,
        srvid,
        data,
    }
}

#[test]
fn from_setup_to_running() {
    let mut bench = Bench::in_setup(settings());
    assert_eq!(bench.node.run_state(), RunState::Setup);
    let (setup, event) = event(&bench.take()).unwrap();
    assert_eq!(event, Event::Setup);
    bench.event_ended(setup, Outcome::Passed);
    let expected = [
        Output::Notify(Notification::RunState(RunState::FirstRecovery)),
        Output::StartManager,
    ];
    assert_eq!(bench.take(), expected);

    bench.hold_events = false;
    bench.connect();
    let outputs = bench.recover(OTHER, 7);
    let expected = [
        Notification::RecoveryStarted,
        Notification::VnnMap(vnn_map(7)),
        Notification::RecoveryMode(false),
        Notification::RecoveryEnded,
        Notification::RunState(RunState::Startup),
    ];
    assert_eq!(notifications(&outputs), expected.iter().collect::<Vec<_>>());
    assert_eq!(bench.node.take_statistics().recoveries, 1);

    bench.input(Input::StartedUp);
    let startup = Output::Control {
        token: None,
        destination: Pnn::BROADCAST_CONNECTED,
        request: Request::Startup,
    };
    let running = Output::Notify(Notification::RunState(RunState::Running));
    assert_eq!(bench.take(), [running, startup]);
    assert_eq!(bench.node.own_flags(), NodeFlags::UNHEALTHY);
}

#[test]
fn health_is_told_when_it_changes() {
    let mut bench = Bench::running();
    for (healthy, old, new) in [(false, 0_u32, 2), (true, 2, 0)] {
        bench.input(Input::Health { healthy });
        let change = [0, new, old].map(u32::to_ne_bytes).concat();
        let run = [0_u32; 4].map(u32::to_ne_bytes).concat();
        let flags = NodeFlags::from_bits_retain(new);
        let expected = [
            Output::Notify(Notification::NodeFlags(vec![(ME, flags)])),
            message(ME, Srvid::PUSH_NODE_FLAGS, change),
            message(Pnn::BROADCAST_CONNECTED, Srvid::TAKEOVER_RUN, run),
        ];
        assert_eq!(bench.take(), expected);
        bench.input(Input::Health { healthy });
        assert_eq!(bench.take(), [], "told once");
    }
}

#[test]
fn a_setup_that_fails_ends_the_daemon() {
    let mut bench = Bench::in_setup(settings());
    let (setup, _) = event(&bench.take()).unwrap();
    bench.event_ended(setup, Outcome::Failed);
    let outputs = bench.take();
    assert_eq!((shutdown(&outputs), event(&outputs)), (Some(1), None));
}

#[test]
fn a_recovery_is_answered_when_its_events_have_ended() {
    let mut bench = Bench::running();
    bench.ask(OTHER, Request::SetRecmode(RecoveryMode::Active));
    bench.hold_events = true;
    for (request, wanted, outcome, status) in [
        (
            Request::StartRecovery,
            Event::StartRecovery,
            Outcome::Passed,
            0,
        ),
        (
            Request::StartRecovery,
            Event::StartRecovery,
            Outcome::Failed,
            8,
        ),
        (
            Request::Ipreallocated,
            Event::Ipreallocated,
            Outcome::TimedOut,
            110,
        ),
        (
            Request::Ipreallocated,
            Event::Ipreallocated,
            Outcome::Lost,
            32,
        ),
    ] {
        let outputs = bench.ask(ME, request);
        assert_eq!(reply(&outputs), None);
        let (token, event) = event(&outputs).unwrap();
        assert_eq!(event, wanted);
        bench.event_ended(token, outcome);
        assert_eq!(reply(&bench.take()), Some((status, vec![])));
        bench.event_ended(token, outcome);
        assert_eq!(bench.take(), [], "answered once");
    }
}

/// Commits do not wait for scripts; the run state does, but not for their success.
#[test]
fn the_first_recovery_ends_with_its_event() {
    let mut bench = Bench::plain();
    for request in [
        Request::SetRecmode(RecoveryMode::Active),
        Request::SetVnnMap(vnn_map(7)),
        Request::SetRecmode(RecoveryMode::Normal),
    ] {
        assert_eq!(bench.status(ME, request), 0);
    }
    bench.hold_events = true;
    let outputs = bench.ask(ME, Request::EndRecovery);
    assert_eq!(notifications(&outputs), [&Notification::RecoveryEnded]);
    assert_eq!(bench.node.run_state(), RunState::FirstRecovery);
    let (recovered, _) = event(&outputs).unwrap();
    bench.event_ended(recovered, Outcome::Failed);
    assert_eq!(reply(&bench.take()), Some((8, vec![])));
    assert_eq!(bench.node.run_state(), RunState::Startup);
}

#[test]
fn the_end_waits_for_its_event_and_comes_once() {
    let mut bench = Bench::running();
    bench.hold_events = true;
    let outputs = bench.ask(ME, Request::Shutdown);
    assert_eq!(reply(&outputs), Some((0, vec![])));
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::StopManager { .. }))
    );
    assert_eq!(shutdown(&outputs), None);
    let (token, event) = event(&outputs).unwrap();
    assert_eq!(event, Event::Shutdown);
    bench.input(Input::ShutdownAsked {
        exit_code: 3,
        reason: "again".into(),
    });
    assert_eq!(bench.take(), []);
    bench.event_ended(token, Outcome::TimedOut);
    assert_eq!(shutdown(&bench.take()), Some(0));
}

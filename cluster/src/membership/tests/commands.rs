//! Commands of administrators and leaders, and questions, byte for byte.

use wire::types::{BanState, NodeFlagChange};

use super::*;

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_ne_bytes())
        .collect()
}

fn ban(time: u32) -> Request {
    Request::SetBanState(BanState { pnn: ME, time })
}

#[test]
fn answers_byte_for_byte() {
    let mut bench = Bench::with_lock();
    assert_eq!(
        bench.answer(ME, Request::GetVnnMap),
        (0, words(&[1, 3, 0, 1, 2]))
    );
    assert_eq!(bench.answer(ME, Request::GetRecmode), (1, vec![]));
    assert_eq!(
        bench.answer(ME, Request::GetCapabilities),
        (0, words(&[0x3_0003]))
    );
    assert_eq!(bench.answer(ME, Request::GetRunstate), (0, words(&[3])));
    assert_eq!(bench.answer(ME, Request::GetBanState), (0, words(&[0, 0])));
    let lock = format!("{LOCK}\0").into_bytes();
    assert_eq!(bench.answer(ME, Request::GetReclockFile), (0, lock));
    assert_eq!(
        Bench::plain().answer(ME, Request::GetReclockFile),
        (0, vec![])
    );
    let (status, data) = bench.answer(ME, Request::GetNodemap);
    assert_eq!((status, data.len()), (0, 4 + 3 * 36));
    assert_eq!(
        data[..16],
        [words(&[3, 0, 2]), vec![2, 0, 0x11, 0x1b]].concat()
    );
    assert_eq!(data[16..20], [10, 99, 0, 10]);
}

#[test]
fn uptime_in_the_wall_clocks_time() {
    let mut bench = Bench::plain();
    bench.wait(Duration::from_millis(1_500));
    bench.recover(OTHER, 7);
    let (_, data) = bench.answer(ME, Request::Uptime);
    let time = |micros: i64| [1_700_000_000 + micros / 1_000_000, micros % 1_000_000];
    let numbers = [
        time(1_750_000),
        time(250_000),
        time(1_750_000),
        time(1_750_000),
    ]
    .concat();
    assert_eq!(
        data,
        numbers
            .into_iter()
            .flat_map(i64::to_ne_bytes)
            .collect::<Vec<_>>()
    );
    let (_, data) = Bench::plain().answer(ME, Request::Uptime);
    assert_eq!(data[32..], [0; 32], "no recovery yet");
}

#[test]
fn a_stopped_node_is_inactive_until_continued_and_recovered() {
    let mut bench = Bench::running();
    let outputs = bench.ask(ME, Request::StopNode);
    let expected = [
        Notification::NodeFlags(vec![(ME, NodeFlags::STOPPED)]),
        Notification::VnnMap(vnn_map(1)),
        Notification::RecoveryMode(true),
        Notification::BecameInactive,
    ];
    assert_eq!(notifications(&outputs), expected.iter().collect::<Vec<_>>());
    assert_eq!(reply(&outputs), Some((0, vec![])));
    assert!(!bench.node.is_active(ME));
    assert_eq!(bench.status(OTHER, Request::SetVnnMap(vnn_map(8))), -1);

    assert_eq!(bench.status(ME, Request::ContinueNode), 0);
    assert_eq!(bench.node.own_flags(), NodeFlags::empty());
    assert!(bench.node.in_recovery());
    bench.recover(OTHER, 9);
    assert!(!bench.node.in_recovery());
}

#[test]
fn disable_and_enable() {
    let mut bench = Bench::running();
    bench.ask(ME, Request::DisableNode);
    assert_eq!(bench.node.own_flags(), NodeFlags::PERMANENTLY_DISABLED);
    assert!(bench.node.is_active(ME));
    bench.ask(ME, Request::EnableNode);
    assert_eq!(bench.node.own_flags(), NodeFlags::empty());
}

#[test]
fn a_ban_ends_by_itself() {
    let mut bench = Bench::running();
    let outputs = bench.ask(OTHER, ban(30));
    assert!(notifications(&outputs).contains(&&Notification::BecameInactive));
    assert_eq!(bench.node.own_flags(), NodeFlags::BANNED);
    assert_eq!(bench.answer(ME, Request::GetBanState), (0, words(&[0, 30])));
    bench.wait_among_living(29);
    assert_eq!(bench.node.own_flags(), NodeFlags::BANNED);
    bench.wait_among_living(1);
    assert_eq!(bench.node.own_flags(), NodeFlags::empty());
    assert_eq!(bench.answer(ME, Request::GetBanState), (0, words(&[0, 0])));
    assert!(bench.node.in_recovery());
}

#[test]
fn a_ban_goes_on_until_all_is_frozen() {
    let mut bench = Bench::running();
    bench.input(Input::AllFrozen(false));
    bench.ask(OTHER, ban(10));
    bench.wait_among_living(10);
    assert_eq!(bench.node.own_flags(), NodeFlags::BANNED);
    assert_eq!(
        bench.answer(ME, Request::GetBanState),
        (0, words(&[0, 300]))
    );
    bench.input(Input::AllFrozen(true));
    bench.wait_among_living(300);
    assert_eq!(bench.node.own_flags(), NodeFlags::empty());
}

#[test]
fn bans_of_others_and_forbidden_bans() {
    let mut bench = Bench::running();
    let other = Request::SetBanState(BanState {
        pnn: OTHER,
        time: 30,
    });
    assert_eq!(bench.status(OTHER, other), -1);
    let forbidden = Tunables {
        enable_bans: 0,
        ..Tunables::default()
    };
    bench.input(Input::Tunables(forbidden.clone()));
    assert_eq!(bench.status(OTHER, ban(30)), 0);
    assert_eq!(bench.node.own_flags(), NodeFlags::empty());

    bench.input(Input::Tunables(Tunables::default()));
    bench.ask(OTHER, ban(30));
    bench.input(Input::Tunables(forbidden));
    bench.ask(OTHER, ban(60));
    bench.wait_among_living(30);
    assert_eq!(
        bench.node.own_flags(),
        NodeFlags::empty(),
        "the ban in force ends in time"
    );
}

#[test]
fn a_ban_can_be_lifted_and_imposed_anew() {
    let mut bench = Bench::running();
    bench.ask(OTHER, ban(30));
    let outputs = bench.ask(OTHER, ban(60));
    assert!(!notifications(&outputs).contains(&&Notification::BecameInactive));
    bench.wait_among_living(59);
    assert_eq!(bench.node.own_flags(), NodeFlags::BANNED);
    bench.ask(ME, ban(0));
    assert_eq!(bench.node.own_flags(), NodeFlags::empty());
}

fn change(pnn: Pnn, new_flags: NodeFlags) -> Request {
    let old_flags = NodeFlags::empty();
    Request::ModifyFlags(NodeFlagChange {
        pnn,
        new_flags,
        old_flags,
    })
}

#[test]
fn a_leader_corrects_flags_but_not_connections_and_not_our_own() {
    let mut bench = Bench::running();
    assert_eq!(bench.status(THIRD, change(OTHER, NodeFlags::STOPPED)), 0);
    assert_eq!(flags_of(&bench, OTHER), NodeFlags::STOPPED);
    bench.ask(THIRD, change(OTHER, NodeFlags::DISCONNECTED));
    assert_eq!(flags_of(&bench, OTHER), NodeFlags::empty());
    assert!(!bench.node.in_recovery());

    assert_eq!(bench.status(THIRD, change(ME, NodeFlags::BANNED)), 0);
    assert_eq!(flags_of(&bench, ME), NodeFlags::empty());
    assert_eq!(bench.status(THIRD, change(Pnn(9), NodeFlags::BANNED)), -1);

    bench.input(Input::Disconnected(OTHER));
    let lost = flags_of(&bench, OTHER);
    assert_eq!(bench.status(THIRD, change(OTHER, NodeFlags::empty())), 0);
    assert_eq!(flags_of(&bench, OTHER), lost);
}

/// `ctdb_monitor.c`, 4.17.12: the healthy node may have what this one lacks.
#[test]
fn a_node_that_becomes_healthy_before_our_startup_forces_a_recovery() {
    let mut bench = Bench::plain();
    bench.ask(OTHER, Request::SetRecmode(RecoveryMode::Normal));
    assert!(!bench.node.in_recovery());
    bench.ask(OTHER, change(OTHER, NodeFlags::empty()));
    assert!(bench.node.in_recovery());
}

#[test]
fn roles() {
    let mut bench = Bench::plain();
    assert_eq!(bench.status(ME, Request::SetLmasterRole(0)), 0);
    assert_eq!(
        bench.answer(ME, Request::GetCapabilities),
        (0, words(&[0x3_0001]))
    );
    bench.ask(ME, Request::SetRecmasterRole(0));
    bench.ask(ME, Request::SetLmasterRole(1));
    assert_eq!(
        bench.answer(ME, Request::GetCapabilities),
        (0, words(&[0x3_0002]))
    );
    let wanted = Settings {
        leader_capability: false,
        ..settings()
    };
    assert_eq!(Bench::new(wanted).node.capabilities().bits(), 0x3_0002);
}

#[test]
fn address_runs_are_told_to_clients() {
    let mut bench = Bench::plain();
    let told = |srvid| Output::Message {
        destination: ME,
        srvid,
        data: vec![],
    };
    let outputs = bench.ask(OTHER, Request::Ipreallocated);
    assert_eq!(outputs[0], told(Srvid::IPREALLOCATED));
    assert_eq!(
        bench.ask(OTHER, Request::StartIpreallocate).len(),
        1,
        "not running"
    );
    bench.recover(OTHER, 7);
    bench.input(Input::StartedUp);
    let outputs = bench.ask(OTHER, Request::StartIpreallocate);
    assert_eq!(outputs[0], told(Srvid::START_IPREALLOCATE));
}

#[test]
fn a_manager_without_pings_is_restarted() {
    let mut bench = Bench::plain();
    let restart = |outputs: &[Output]| {
        outputs
            .iter()
            .any(|output| matches!(output, Output::RestartManager { .. }))
    };
    // 60 s each for the default of 10 failures and the one that is too many
    assert!(!restart(&bench.wait_among_living(600)));
    bench.ask(ME, Request::RecdPing);
    assert!(!restart(&bench.wait_among_living(659)));
    assert!(restart(&bench.wait_among_living(1)));
    assert_eq!(bench.status(ME, Request::RecdReclockLatency(0.5)), 0);
    assert_eq!(bench.node.take_statistics().lock_latency.recd.num, 1);
}

#[test]
fn recd_ping_timeout_and_recd_fail_count_say_when() {
    let restart = |outputs: &[Output]| {
        let is_restart = |output: &&Output| matches!(output, Output::RestartManager { .. });
        outputs.iter().any(|output| is_restart(&output))
    };
    let with = |recd_ping_timeout, recd_ping_failcount| {
        let mut bench = Bench::plain();
        let tunables = Tunables {
            recd_ping_timeout,
            recd_ping_failcount,
            ..Tunables::default()
        };
        bench.input(Input::Tunables(tunables));
        // they count from the next ping on
        bench.ask(ME, Request::RecdPing);
        bench
    };
    let mut bench = with(4, 2);
    assert!(!restart(&bench.wait_among_living(11)));
    assert!(restart(&bench.wait_among_living(1)));
    assert!(!restart(&with(0, 0).wait_among_living(2000)), "0 is never");
}

#[test]
fn shutdown_once() {
    let mut bench = Bench::running();
    let outputs = bench.ask(ME, Request::Shutdown);
    assert_eq!(
        (reply(&outputs), shutdown(&outputs)),
        (Some((0, vec![])), Some(0))
    );
    assert_eq!(shutdown(&bench.ask(ME, Request::Shutdown)), None);
    bench.input(Input::ShutdownAsked {
        exit_code: 0,
        reason: String::new(),
    });
    assert_eq!(bench.take(), []);
}

#[test]
fn other_controls_are_not_ours() {
    assert!(!Membership::answers(&Request::GetDbMap));
    assert!(!Membership::answers(&Request::Ping));
}

//! Connections, keepalives, dead nodes, the nodes file.

use wire::message::Message;
use wire::types::NodeFlagChange;

use super::*;

#[test]
fn nothing_good_is_known_of_others_at_the_start() {
    let bench = Bench::new(settings());
    let unknown = NodeFlags::DISCONNECTED | NodeFlags::UNHEALTHY;
    assert_eq!(flags_of(&bench, ME), NodeFlags::UNHEALTHY);
    assert_eq!(flags_of(&bench, OTHER), unknown);
    assert_eq!(bench.node.vnn_map(), &vnn_map(1));
    assert!(bench.node.in_recovery());
    assert_eq!(bench.node.run_state(), RunState::FirstRecovery);
}

#[test]
fn the_configured_state_at_the_start() {
    let wanted = Settings {
        start_as_disabled: true,
        start_as_stopped: true,
        ..settings()
    };
    let bench = Bench::new(wanted);
    let flags = NodeFlags::UNHEALTHY | NodeFlags::PERMANENTLY_DISABLED | NodeFlags::STOPPED;
    assert_eq!(bench.node.own_flags(), flags);
}

#[test]
fn deleted_nodes_keep_their_place() {
    let mut wanted = settings();
    wanted.nodes[1].deleted = true;
    let mut bench = Bench::new(wanted);
    assert_eq!(
        flags_of(&bench, OTHER),
        NodeFlags::DELETED | NodeFlags::DISCONNECTED
    );
    assert_eq!(bench.node.vnn_map().map, [ME, THIRD]);
    bench.input(Input::Connected(OTHER));
    assert!(!bench.node.is_connected(OTHER));
    assert_eq!(bench.node.fan_out(Pnn::BROADCAST_ALL), [ME, THIRD]);
}

#[test]
fn a_lost_connection_makes_unhealthy_and_a_new_one_does_not_heal() {
    let mut bench = Bench::plain();
    assert_eq!(flags_of(&bench, OTHER), NodeFlags::UNHEALTHY);
    bench.input(Input::Disconnected(OTHER));
    let lost = NodeFlags::DISCONNECTED | NodeFlags::UNHEALTHY;
    let notice = Notification::NodeFlags(vec![(OTHER, lost)]);
    let news = Message::SetNodeFlags(NodeFlagChange {
        pnn: OTHER,
        new_flags: lost,
        old_flags: NodeFlags::UNHEALTHY,
    });
    let news = Output::Message {
        destination: ME,
        srvid: news.srvid(),
        data: news.to_bytes(),
    };
    let told = [Output::Notify(notice), news, Output::Dead(OTHER)];
    assert_eq!(bench.take(), told, "the manager hears of it at once");
    bench.input(Input::Disconnected(OTHER));
    assert_eq!(bench.take(), []);
    bench.input(Input::Connected(OTHER));
    assert_eq!(flags_of(&bench, OTHER), NodeFlags::UNHEALTHY);
}

#[test]
fn a_connection_that_comes_back_in_the_same_generation_needs_a_recovery() {
    let mut bench = Bench::running();
    bench.input(Input::Disconnected(OTHER));
    assert!(!bench.node.in_recovery(), "it may be gone for good");
    bench.input(Input::Connected(OTHER));
    assert!(bench.node.in_recovery());
    bench.recover(THIRD, 8);
    bench.input(Input::Disconnected(OTHER));
    let without = VnnMap {
        map: vec![ME, THIRD],
        ..vnn_map(9)
    };
    bench.recover_with(THIRD, without);
    bench.input(Input::Connected(OTHER));
    assert!(!bench.node.in_recovery(), "a recovery has seen to it");
}

/// Nobody can make the others recover by coming and going.
#[test]
fn a_stopped_node_may_come_and_go() {
    let mut bench = Bench::running();
    let stopped = NodeFlagChange {
        pnn: OTHER,
        new_flags: NodeFlags::STOPPED,
        old_flags: NodeFlags::empty(),
    };
    bench.ask(THIRD, Request::ModifyFlags(stopped));
    for _ in 0..3 {
        bench.input(Input::Disconnected(OTHER));
        bench.input(Input::Connected(OTHER));
        assert!(!bench.node.in_recovery());
    }
}

/// What this node has sent by then was for a node that it was not connected with; the recovery does not mend that.
#[test]
fn a_connection_that_comes_up_behind_the_vnnmap_needs_another_recovery() {
    let mut bench = Bench::running();
    let connect_behind = |bench: &mut Bench, number: usize| {
        let map = Request::SetVnnMap(vnn_map(8));
        let normal = Request::SetRecmode(RecoveryMode::Normal);
        bench.input(Input::Disconnected(OTHER));
        bench.ask(THIRD, Request::SetRecmode(RecoveryMode::Active));
        for (at, step) in [map, normal].into_iter().enumerate() {
            if at == number {
                bench.input(Input::Connected(OTHER));
            }
            assert_eq!(bench.status(THIRD, step), 0);
        }
    };
    connect_behind(&mut bench, 0);
    assert!(!bench.node.in_recovery());
    connect_behind(&mut bench, 1);
    assert!(bench.node.in_recovery());
}

#[test]
fn a_connection_that_comes_up_later_than_the_leaders_needs_a_recovery() {
    let mut bench = Bench::running();
    bench.input(Input::Disconnected(OTHER));
    bench.recover(THIRD, 8);
    assert!(!bench.node.in_recovery());
    bench.input(Input::Connected(OTHER));
    assert!(
        bench.node.in_recovery(),
        "what was meant for it was dropped"
    );
}

#[test]
fn a_silent_node_is_dead_after_the_limit() {
    let mut bench = Bench::plain();
    // 5 intervals of 5 s: the default of KeepaliveLimit and KeepaliveInterval
    let outputs = bench.wait(Duration::from_secs(24));
    let keepalives = outputs
        .iter()
        .filter(|o| matches!(o, Output::Keepalive { to: OTHER, .. }));
    assert_eq!(keepalives.count(), 4);
    assert!(bench.node.is_connected(OTHER));
    bench.node.heard(THIRD);
    let outputs = bench.wait(Duration::from_secs(1));
    assert!(outputs.contains(&Output::Dead(OTHER)), "{outputs:?}");
    assert!(!bench.node.is_connected(OTHER));
    assert!(bench.node.is_connected(THIRD));
    bench.node.heard(OTHER);
    bench.wait(Duration::from_secs(5));
    assert!(
        !bench.node.is_connected(OTHER),
        "only new connections bring it back"
    );
    bench.input(Input::Connected(OTHER));
    assert!(bench.node.is_connected(OTHER));
}

#[test]
fn keepalives_tell_release_and_uptime() {
    let mut bench = Bench::plain();
    // the start was a quarter of a second past a full second of the wall clock
    bench.wait(Duration::from_millis(4_900));
    let outputs = bench.wait(Duration::from_millis(100));
    let expected = |to| Output::Keepalive {
        to,
        version: 0x0004_0011,
        uptime: 5,
    };
    assert_eq!(outputs, [expected(OTHER), expected(THIRD)]);
}

#[test]
fn tunables_change_at_run_time() {
    let mut bench = Bench::plain();
    let tunables = Tunables {
        keepalive_interval: 1,
        keepalive_limit: 2,
        ..Tunables::default()
    };
    bench.input(Input::Tunables(tunables));
    bench.wait(Duration::from_secs(5));
    let outputs = bench.wait(Duration::from_secs(1));
    assert!(outputs.contains(&Output::Dead(OTHER)));
}

#[test]
fn the_younger_of_two_releases_shuts_down() {
    let newer = Input::Keepalive {
        from: OTHER,
        version: Some(0x0004_0019),
        uptime: Some(100),
    };
    let mut bench = Bench::plain();
    let tunables = Tunables {
        allow_mixed_versions: 1,
        ..Tunables::default()
    };
    bench.input(Input::Tunables(tunables));
    bench.input(newer.clone());
    assert_eq!(shutdown(&bench.take()), None);
    bench.input(Input::Tunables(Tunables::default()));
    bench.input(newer.clone());
    assert_eq!(shutdown(&bench.take()), Some(0));
    bench.input(newer);
    assert_eq!(bench.take(), [], "only once");
    assert_eq!(bench.node.poll_timeout(), None);
}

#[test]
fn broadcasts_reach() {
    let mut bench = Bench::plain();
    bench.input(Input::Disconnected(THIRD));
    bench.ask(ME, Request::StopNode);
    let reach = |pnn| bench.node.fan_out(pnn);
    assert_eq!(reach(Pnn::BROADCAST_ALL), [ME, OTHER, THIRD]);
    assert_eq!(reach(Pnn::BROADCAST_CONNECTED), [ME, OTHER]);
    assert_eq!(reach(Pnn::BROADCAST_ACTIVE), [OTHER]);
    assert_eq!(reach(Pnn::CURRENT), [ME]);
    assert_eq!(reach(THIRD), [THIRD]);
    assert_eq!(reach(Pnn(9)), []);
}

#[test]
fn the_nodes_file_read_again() {
    let mut bench = Bench::plain();
    assert_eq!(
        bench.ask(ME, Request::ReloadNodesFile),
        [Output::ReadNodesFile]
    );
    let mut entries: Vec<_> = (0..4).map(entry).collect();
    entries[2].deleted = true;
    bench.input(Input::Nodes(Some(entries.clone())));
    let outputs = bench.take();
    assert_eq!(outputs[0], Output::Nodes(entries));
    assert_eq!(reply(&outputs), Some((0, vec![])));
    let told = Output::Message {
        destination: ME,
        srvid: Srvid::RELOAD_NODES,
        data: vec![],
    };
    assert!(outputs.contains(&told));
    assert!(bench.node.is_connected(OTHER), "an old node stays as it is");
    assert_eq!(
        flags_of(&bench, THIRD),
        NodeFlags::DELETED | NodeFlags::DISCONNECTED
    );
    assert_eq!(
        flags_of(&bench, Pnn(3)),
        NodeFlags::UNHEALTHY | NodeFlags::DISCONNECTED
    );
}

#[test]
fn a_nodes_file_without_this_node_is_refused() {
    let before = Bench::plain().node.node_map();
    for entries in [None, Some(vec![entry(1), entry(2)]), Some(vec![])] {
        let mut bench = Bench::plain();
        bench.ask(ME, Request::ReloadNodesFile);
        bench.ask(ME, Request::ReloadNodesFile);
        bench.input(Input::Nodes(entries));
        assert_eq!(errors(&bench.take()).len(), 2);
        assert_eq!(bench.node.node_map(), before);
    }
}

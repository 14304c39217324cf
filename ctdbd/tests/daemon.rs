//! The daemon by itself and with others, in memory: what clients of one cluster get to see.

#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod rig;

use std::time::Duration;

use ctdbd::daemon::Input;
use database::io::WorkEvent;
use rig::{CLIENT, Cluster, Got};
use wire::coding::{Decode, Encode};
use wire::control::{self, Request};
use wire::packet::{ControlFlags, function};
use wire::types::{
    DbSize, DbSizes, NodeFlags, NotifyData, PullDbExt, RecBuffer, RecordHeader, RecoveryMode,
    TransDb, TraverseStart,
};
use wire::{Generation, Pnn, ReqId, Srvid};

fn volatile() -> Request {
    Request::DbAttach("locking.tdb".into())
}

/// The answer to a call, which has a reply for this request alone.
fn answer(got: &[Got], call: u32) -> Option<(i32, Vec<u8>)> {
    got.iter().find_map(|got| match got {
        Got::Call {
            reqid,
            status,
            data,
        } if *reqid == call => Some((*status, data.clone())),
        _ => None,
    })
}

#[test]
fn an_attached_database_is_attached_everywhere() {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(1, &volatile());
    for node in 0..3 {
        let map = cluster.get::<control::GetDbMap>(node, Pnn::CURRENT, &Request::GetDbMap);
        assert_eq!(
            map.dbs.iter().map(|entry| entry.db).collect::<Vec<_>>(),
            [db]
        );
    }
}

#[test]
fn a_record_migrates_to_whoever_asks_and_has_one_master() {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(0, &volatile());
    for key in [b"a".as_slice(), b"b", b"some longer key"] {
        for (turn, node) in [0, 1, 2, 1, 0, 2].into_iter().enumerate() {
            let call = cluster.call(node, db, function::FETCH_WITH_HEADER, key);
            cluster.wait(Duration::from_millis(1));
            let got = cluster.take(node);
            let (status, data) =
                answer(&got, call).unwrap_or_else(|| panic!("turn {turn}: {got:?}"));
            assert_eq!(status, 0);
            let (header, value) = RecordHeader::split(&data).unwrap();
            assert_eq!(header.dmaster, Pnn(node as u32));
            assert!(value.is_empty());
        }
    }
}

/// No record counts so far; a packet can say that one has.
#[test]
fn the_highest_sequence_number_is_the_last() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    cluster.call(1, db, function::NULL, b"k");
    cluster.wait(Duration::from_millis(1));
    let header = RecordHeader {
        rsn: u64::MAX,
        ..cluster.copy(1, db, b"k").expect("migrated here").header
    };
    cluster.put(1, db, b"k", header);
    cluster.call(0, db, function::NULL, b"k");
    cluster.wait(Duration::from_millis(1));
    let header = cluster.copy(0, db, b"k").expect("migrated here").header;
    assert_eq!((header.dmaster, header.rsn), (Pnn(0), u64::MAX));
}

#[test]
fn a_record_that_has_just_come_stays_for_a_moment() {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(0, &volatile());
    let asks = |cluster: &mut Cluster, node| {
        let call = cluster.call(node, db, function::FETCH_WITH_HEADER, b"k");
        move |cluster: &mut Cluster| answer(&cluster.take(node), call).is_some()
    };
    let _ = asks(&mut cluster, 0);
    cluster.wait(Duration::from_millis(1));
    let first = asks(&mut cluster, 1);
    assert!(first(&mut cluster), "node 0 has had it for long enough");
    let second = asks(&mut cluster, 2);
    cluster.wait(Duration::from_micros(150));
    assert!(!second(&mut cluster), "node 1 has only just got it");
    let third = asks(&mut cluster, 2);
    cluster.wait(Duration::from_millis(1));
    assert!(third(&mut cluster), "it came once the moment was over");
    let last = asks(&mut cluster, 0);
    assert!(last(&mut cluster), "node 2 has had it for long enough");
}

#[test]
fn calls_are_asked_again_after_a_recovery() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    let key = (0u8..)
        .map(|n| [n])
        .find(|key| wire::key_hash(key) % 2 == 1)
        .unwrap();
    // node 1, the location master, does not hear of the call
    cluster.input(0, Input::NodeDisconnected(Pnn(1)));
    let call = cluster.call(0, db, function::NULL, &key);
    cluster.take(0);
    cluster.input(0, Input::NodeConnected(Pnn(1)));
    cluster.recover(Generation(43));
    let late = cluster.take(0);
    let again = cluster.call(0, db, function::NULL, &key);
    let got = cluster.take(0);
    assert!(
        answer(&late, call).is_some() || answer(&got, again).is_some(),
        "{late:?} {got:?}"
    );
}

#[test]
fn messages_reach_who_registered() {
    let mut cluster = Cluster::new(3);
    let srvid = Srvid(0xAE00_0000_0000_0001);
    for node in [0, 2] {
        assert_eq!(
            cluster
                .ask(node, Pnn::CURRENT, &Request::RegisterSrvid(srvid))
                .0,
            0
        );
    }
    let notify = NotifyData {
        srvid,
        data: b"gone".to_vec(),
    };
    assert_eq!(
        cluster
            .ask(1, Pnn::CURRENT, &Request::RegisterNotify(notify))
            .0,
        0
    );
    cluster.input(1, Input::ClientGone(CLIENT));
    for (node, expected) in [(0, true), (1, false), (2, true)] {
        let message = Got::Message {
            srvid,
            data: b"gone".to_vec(),
        };
        assert_eq!(
            cluster.take(node).contains(&message),
            expected,
            "node {node}"
        );
    }
}

#[test]
fn a_commit_is_answered_when_every_node_has_it() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &Request::DbAttachPersistent("registry.tdb".into()));
    cluster.hold_commits = true;
    let mut records = RecBuffer::new(db);
    let header = RecordHeader {
        rsn: 1,
        ..RecordHeader::default()
    };
    records.push(ReqId(0), Some(header), b"k", b"v");
    let commit = cluster.send_control(
        0,
        Pnn::CURRENT,
        &Request::Trans3Commit(records),
        ControlFlags::empty(),
    );
    assert_eq!(cluster.commits.len(), 2);
    let replied = |got: &[Got]| {
        got.iter()
            .any(|got| matches!(got, Got::Control { reqid, .. } if *reqid == commit))
    };
    for (turn, (node, work)) in std::mem::take(&mut cluster.commits).into_iter().enumerate() {
        assert!(!replied(&cluster.take(0)), "answered before node {turn}");
        cluster.input(
            node,
            Input::Work {
                work,
                event: WorkEvent::Committed(0, String::new()),
            },
        );
    }
    let got = cluster.take(0);
    assert!(
        got.contains(&Got::Control {
            reqid: commit,
            status: 0,
            data: vec![],
            error: String::new()
        }),
        "{got:?}"
    );
}

#[test]
fn a_commit_that_a_node_refuses_is_answered_after_the_recovery() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &Request::DbAttachPersistent("registry.tdb".into()));
    cluster.hold_commits = true;
    let records = RecBuffer::new(db);
    let commit = cluster.send_control(
        0,
        Pnn::CURRENT,
        &Request::Trans3Commit(records),
        ControlFlags::empty(),
    );
    for (node, work) in std::mem::take(&mut cluster.commits) {
        let status = i32::from(node == 1);
        cluster.input(
            node,
            Input::Work {
                work,
                event: WorkEvent::Committed(status, String::new()),
            },
        );
    }
    let answers = |got: &[Got]| {
        let of = |got: &Got| match got {
            Got::Control { reqid, status, .. } if *reqid == commit => Some(*status),
            _ => None,
        };
        got.iter().find_map(of)
    };
    assert_eq!(answers(&cluster.take(0)), None);
    let (recmode, _) = cluster.ask(0, Pnn::CURRENT, &Request::GetRecmode);
    assert_eq!(recmode, 1, "the node asks for a recovery");
    cluster.recover(Generation(99));
    assert_eq!(answers(&cluster.take(0)), Some(2));
}

#[test]
fn a_node_that_was_away_gets_no_answer_to_what_it_asked_before() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(1, &Request::DbAttachPersistent("registry.tdb".into()));
    cluster.hold_commits = true;
    let commit = Request::Trans3Commit(RecBuffer::new(db));
    cluster.send_control(1, Pnn::CURRENT, &commit, ControlFlags::empty());
    cluster.input(0, Input::NodeDisconnected(Pnn(1)));
    cluster.input(0, Input::NodeConnected(Pnn(1)));
    for (node, work) in std::mem::take(&mut cluster.commits) {
        let event = WorkEvent::Committed(0, String::new());
        cluster.input(node, Input::Work { work, event });
    }
    assert_eq!(cluster.take(1), []);
}

#[test]
fn a_traverse_ends_with_an_empty_record() {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(0, &volatile());
    let srvid = Srvid(0xBE00_0000_0000_0009);
    cluster.ask(0, Pnn::CURRENT, &Request::RegisterSrvid(srvid));
    let start = TraverseStart {
        db,
        reqid: ReqId(5),
        srvid,
    };
    assert_eq!(
        cluster
            .ask(0, Pnn::CURRENT, &Request::TraverseStart(start))
            .0,
        0
    );
    let got = cluster.take(0);
    let [Got::Message { data, .. }] = got.as_slice() else {
        panic!("{got:?}")
    };
    let end = wire::types::OwnedRecord::from_bytes(data).unwrap();
    assert!(end.key.is_empty() && end.data.is_empty() && end.reqid == ReqId(5));
}

#[test]
fn an_interval_counts_what_came_in_it_and_a_reset_is_none() {
    let mut cluster = Cluster::new(1);
    let db = cluster.attach(0, &volatile());
    cluster.call(0, db, function::FETCH, b"first");
    cluster.wait(Duration::from_secs(1));
    cluster.call(0, db, function::FETCH, b"second");
    cluster.call(0, db, function::FETCH, b"third");
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &Request::StatisticsReset).0, 0);
    cluster.wait(Duration::from_secs(1));
    cluster.call(0, db, function::FETCH, b"fourth");
    let history = cluster.get::<control::GetStatHistory>(0, Pnn::CURRENT, &Request::GetStatHistory);
    let calls: Vec<_> = history.stats.iter().map(|one| one.total_calls).collect();
    assert_eq!((calls.len(), &calls[..3]), (100, &[2, 1, 0][..]));
    let latencies = history.stats[..2].iter().map(|one| one.call_latency.num);
    assert_eq!(latencies.collect::<Vec<_>>(), [2, 1]);
    let statistics = cluster.get::<control::Statistics>(0, Pnn::CURRENT, &Request::Statistics);
    assert_eq!((statistics.total_calls, statistics.num_clients), (1, 1));
}

#[test]
fn a_stopped_node_is_inactive_until_it_continues() {
    let mut cluster = Cluster::new(2);
    cluster.attach(0, &volatile());
    assert_eq!(cluster.ask(1, Pnn::CURRENT, &Request::StopNode).0, 0);
    let flags = |cluster: &mut Cluster| {
        cluster
            .get::<control::GetNodemap>(1, Pnn::CURRENT, &Request::GetNodemap)
            .nodes[1]
            .flags
    };
    assert!(flags(&mut cluster).contains(NodeFlags::STOPPED));
    let statistics = cluster.get::<control::Statistics>(1, Pnn::CURRENT, &Request::Statistics);
    assert_eq!((statistics.frozen, statistics.recovering), (1, 1));
    let (status, _) = cluster.ask(1, Pnn::CURRENT, &volatile());
    assert_eq!(status, -1, "nobody attaches on a stopped node");
    assert_eq!(cluster.ask(1, Pnn::CURRENT, &Request::ContinueNode).0, 0);
    assert!(!flags(&mut cluster).contains(NodeFlags::STOPPED));
}

#[test]
fn whoever_sends_nonsense_is_cut_off_and_the_others_do_not_notice() {
    let mut cluster = Cluster::new(2);
    let other = wire::ClientId(8);
    cluster.connect(0, other, 1);
    cluster.input(
        0,
        Input::ClientPacket {
            client: other,
            packet: vec![0; 40],
        },
    );
    assert_eq!(cluster.closed.len(), 1);
    let mut lying = Vec::new();
    Request::Ping.encode(&mut lying);
    let (status, _) = cluster.ask(0, Pnn::CURRENT, &Request::Ping);
    assert_eq!(status, 1);
}

#[test]
fn a_control_with_a_wrong_length_is_refused_with_a_reason() {
    let mut cluster = Cluster::new(1);
    let (status, data) = cluster.ask(0, Pnn::CURRENT, &Request::GetDbName(wire::DbId(1)));
    assert_eq!((status, data), (-1, vec![]));
    let values = cluster.get::<control::GetAllTunables>(0, Pnn::CURRENT, &Request::GetAllTunables);
    assert_eq!(values.to_bytes().len(), 248);
}

#[test]
fn the_clock_alone_disturbs_nothing() {
    let mut cluster = Cluster::new(3);
    cluster.attach(0, &volatile());
    cluster.wait(Duration::from_secs(60));
    let (recmode, _) = cluster.ask(0, Pnn::CURRENT, &Request::GetRecmode);
    assert_eq!(recmode, 0);
}

#[test]
fn the_memory_dump_has_the_form_that_scripts_know() {
    let mut cluster = Cluster::new(1);
    let (status, text) = cluster.ask(0, Pnn::CURRENT, &Request::DumpMemory);
    assert_eq!(status, 0);
    let text = String::from_utf8(text).expect("text");
    assert!(text.starts_with("full talloc report on 'ctdbd of node 0' (total"));
    assert!(text.lines().count() >= 10);
    assert!(
        text.lines()
            .skip(1)
            .all(|line| line.contains(" bytes in ") && line.ends_with(" (ref 0) 0x0"))
    );
}

#[test]
fn who_wants_a_recovery_says_how_large_its_databases_are() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    let srvid = Srvid::RECOVERY_WANTED;
    cluster.ask(1, Pnn::CURRENT, &Request::RegisterSrvid(srvid));
    cluster.put(0, db, b"k", RecordHeader::default());
    let active = Request::SetRecmode(RecoveryMode::Active);
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &active).0, 0);
    let dbs = vec![DbSize { db, kib: 1 }];
    let data = DbSizes { dbs }.to_bytes();
    assert_eq!(cluster.take(1), [Got::Message { srvid, data }]);
}

#[test]
fn a_push_that_was_never_confirmed_is_over_in_the_next_recovery() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    let trans = |generation| TransDb {
        db,
        transaction: Generation(generation),
    };
    let pull = PullDbExt {
        db,
        lmaster: Pnn::UNKNOWN.0,
        srvid: Srvid(0xf100_0000_0000_0000),
    };
    let dies_after = [
        Request::SetRecmode(RecoveryMode::Active),
        Request::DbFreeze(db),
        Request::DbTransactionStart(trans(100)),
        Request::WipeDatabase(trans(100)),
        Request::DbPushStart(pull.clone()),
    ];
    let next = [
        Request::DbFreeze(db),
        Request::DbTransactionStart(trans(200)),
        Request::DbPull(pull),
    ];
    for step in dies_after.iter().chain(&next) {
        assert_eq!(cluster.ask(0, Pnn(1), step).0, 0, "{step:?}");
    }
}

//! Controls and messages that few programs send, on daemons in memory.

#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod rig;

use std::time::Duration;

use ctdbd::daemon::Input;
use database::io::WorkEvent;
use rig::{CLIENT, Cluster, Got};
use wire::coding::{Decode, Encode};
use wire::control::{self, Request};
use wire::packet::{Body, ControlFlags, ReqControl, ReqMessage, function};
use wire::types::{
    EchoData, NotifyData, OwnedRecord, PullDbExt, RecBuffer, RecordFlags, RecordHeader,
    RecoveryMode, SrvidList, TransDb, TraverseStart, TraverseStartExt, VnnMap,
};
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Srvid};

const MINE: Srvid = Srvid(0xBE00_0000_0000_0009);

fn with_database(nodes: u32) -> (Cluster, DbId) {
    let mut cluster = Cluster::new(nodes);
    let db = cluster.attach(0, &Request::DbAttach("locking.tdb".into()));
    (cluster, db)
}

fn status(cluster: &mut Cluster, to: u32, request: Request) -> i32 {
    cluster.ask(0, Pnn(to), &request).0
}

/// A key whose location master is this node of three.
fn key_of(lmaster: u32) -> Vec<u8> {
    let is_its = |key: &Vec<u8>| wire::key_hash(key) % 3 == lmaster;
    let mut keys = (0u8..).map(|n| vec![n]);
    keys.find(is_its).expect("one in three")
}

fn messages(got: &[Got], to: Srvid) -> Vec<Vec<u8>> {
    let data = |got: &Got| match got {
        Got::Message { srvid, data } if *srvid == to => Some(data.clone()),
        _ => None,
    };
    got.iter().filter_map(data).collect()
}

#[test]
fn update_seqnum_counts_one_change_and_goes_no_further() {
    let (mut cluster, db) = with_database(3);
    for node in 0..3 {
        assert_eq!(status(&mut cluster, node, Request::EnableSeqnum(db)), 0);
    }
    let counts = |cluster: &Cluster| [0, 1, 2].map(|node| cluster.seqnum(node).get());
    assert_eq!(status(&mut cluster, 1, Request::UpdateSeqnum(db)), 0);
    assert_eq!(counts(&cluster), [0, 1, 0]);
    assert_eq!(status(&mut cluster, 0, Request::UpdateSeqnum(db)), 0);
    assert_eq!(counts(&cluster), [0, 1, 0], "a node does not update itself");
    cluster.wait(Duration::from_secs(5));
    assert_eq!(
        counts(&cluster),
        [0, 1, 0],
        "what came from elsewhere is told nobody"
    );
    let unknown = Request::UpdateSeqnum(DbId(1));
    assert_eq!(status(&mut cluster, 1, unknown), -1);
}

/// One record of each kind, and which of them a node keeps when it is asked to delete them.
#[test]
fn try_delete_records_keeps_what_is_newer_mastered_lent_or_located_here() {
    let (mut cluster, db) = with_database(3);
    let header = |rsn, dmaster| RecordHeader {
        rsn,
        dmaster: Pnn(dmaster),
        ..RecordHeader::default()
    };
    let lent = RecordHeader {
        flags: RecordFlags::RO_HAVE_READONLY,
        ..header(5, 0)
    };
    let mut keys = (0u8..).map(|n| vec![n]);
    let mut key = |lmaster| {
        let is_its = |key: &Vec<u8>| wire::key_hash(key) % 3 == lmaster;
        keys.find(is_its).expect("one in three")
    };
    let cases = [
        (key(0), Some(header(5, 0)), false),
        (key(0), Some(header(4, 2)), false),
        (key(0), None, false),
        (key(0), Some(header(6, 0)), true),
        (key(0), Some(header(5, 1)), true),
        (key(0), Some(lent), true),
        (key(1), Some(header(4, 0)), true),
    ];
    let mut asked = RecBuffer::new(db);
    for (key, copy, _) in &cases {
        if let Some(copy) = copy {
            cluster.put(1, db, key, *copy);
        }
        asked.push(ReqId(db.0), None, key, &header(5, 0).to_bytes());
    }
    let request = Request::TryDeleteRecords(asked.clone());
    let kept = cluster.get::<control::TryDeleteRecords>(0, Pnn(1), &request);
    let kept: Vec<_> = kept.records().map(|r| r.unwrap().key.to_vec()).collect();
    for (key, copy, keeps) in &cases {
        assert_eq!(kept.contains(key), *keeps, "{copy:?}");
        assert_eq!(cluster.copy(1, db, key).is_some(), *keeps, "{copy:?}");
    }
    let mut bare = RecBuffer::new(db);
    bare.push(ReqId(1), None, b"k", b"too short");
    assert_eq!(status(&mut cluster, 1, Request::TryDeleteRecords(bare)), -1);
    let unknown = Request::TryDeleteRecords(RecBuffer::new(DbId(1)));
    assert_eq!(status(&mut cluster, 1, unknown), -1);
}

#[test]
fn nothing_is_deleted_from_a_frozen_database() {
    let (mut cluster, db) = with_database(3);
    let key = key_of(0);
    let header = RecordHeader {
        dmaster: Pnn(0),
        ..RecordHeader::default()
    };
    cluster.put(1, db, &key, header);
    assert_eq!(status(&mut cluster, 1, Request::DbFreeze(db)), 0);
    let mut asked = RecBuffer::new(db);
    asked.push(ReqId(1), None, &key, &header.to_bytes());
    let request = Request::TryDeleteRecords(asked);
    let kept = cluster.get::<control::TryDeleteRecords>(0, Pnn(1), &request);
    assert_eq!(kept.records().count(), 1);
    assert!(cluster.copy(1, db, &key).is_some());
}

/// Clients of before TRANS3 send them around each change; who is no client of the node cannot.
#[test]
fn a_persistent_update_is_announced_by_local_clients_alone() {
    let (mut cluster, _) = with_database(2);
    for (to, expected) in [(0, 0), (1, -1)] {
        for request in [
            Request::StartPersistentUpdate(Default::default()),
            Request::CancelPersistentUpdate(Default::default()),
            Request::CancelPersistentUpdate(Default::default()),
        ] {
            assert_eq!(status(&mut cluster, to, request), expected);
        }
    }
}

fn traverse(cluster: &mut Cluster, db: DbId, with_empty_records: bool) {
    let request = Request::TraverseStartExt(TraverseStartExt {
        db,
        reqid: ReqId(5),
        srvid: MINE,
        with_empty_records,
    });
    assert_eq!(status(cluster, 0, request), 0);
}

#[test]
fn a_traverse_tells_of_records_without_a_value_if_it_is_asked_to() {
    let (mut cluster, db) = with_database(3);
    let empty = RecordHeader {
        dmaster: Pnn(1),
        ..RecordHeader::default()
    };
    cluster.put(1, db, b"empty", empty);
    cluster.put(2, db, b"empty", empty);
    cluster.call(2, db, function::NULL, b"full");
    cluster.wait(Duration::from_millis(1));
    cluster.write(2, db, b"full", b"value");
    assert_eq!(status(&mut cluster, 0, Request::RegisterSrvid(MINE)), 0);
    let mut keys = |with_empty| {
        traverse(&mut cluster, db, with_empty);
        let records = messages(&cluster.take(0), MINE).into_iter().map(|data| {
            let record = OwnedRecord::from_bytes(&data).expect("a record");
            assert_eq!(record.reqid, ReqId(5));
            record.key
        });
        records.collect::<Vec<_>>()
    };
    let end = Vec::new();
    assert_eq!(keys(false), [b"full".to_vec(), end.clone()]);
    assert_eq!(keys(true), [b"empty".to_vec(), b"full".to_vec(), end]);
}

#[test]
fn a_traverse_that_is_killed_sends_nothing_more() {
    let (mut cluster, db) = with_database(3);
    cluster.hold_traverses = true;
    traverse(&mut cluster, db, true);
    let works = cluster.traverses.clone();
    assert_eq!(works.len(), 3);
    let kill = |reqid| {
        Request::TraverseKill(TraverseStart {
            db,
            reqid: ReqId(reqid),
            srvid: MINE,
        })
    };
    assert_eq!(status(&mut cluster, 1, kill(6)), 0);
    assert_eq!(cluster.released, [], "another traverse");
    assert_eq!(status(&mut cluster, 1, kill(5)), 0);
    let of_node_1 = *works.iter().find(|(node, _)| *node == 1).unwrap();
    assert_eq!(cluster.released, [of_node_1]);
    cluster.take(0);
    let records = vec![(b"k".to_vec(), RecordHeader::default().to_bytes())];
    let (node, work) = of_node_1;
    let event = WorkEvent::Records(records);
    cluster.input(node, Input::Work { work, event });
    assert_eq!(cluster.take(0), []);
}

#[test]
fn the_traverses_of_a_client_end_with_it_on_every_node() {
    let (mut cluster, db) = with_database(3);
    cluster.hold_traverses = true;
    traverse(&mut cluster, db, false);
    cluster.input(0, Input::ClientGone(CLIENT));
    let mut released = cluster.released.clone();
    released.sort();
    assert_eq!(released, cluster.traverses);
}

#[test]
fn a_notification_that_was_taken_back_is_not_sent() {
    let (mut cluster, _) = with_database(2);
    let other = Srvid(MINE.0 + 1);
    for srvid in [MINE, other] {
        assert_eq!(status(&mut cluster, 0, Request::RegisterSrvid(srvid)), 0);
        let data = b"gone".to_vec();
        let notify = Request::RegisterNotify(NotifyData { srvid, data });
        assert_eq!(cluster.ask(1, Pnn(1), &notify).0, 0);
        assert_eq!(cluster.ask(1, Pnn(1), &notify).0, -1, "once for an address");
    }
    let back = Request::DeregisterNotify(MINE);
    assert_eq!(cluster.ask(1, Pnn(0), &back).0, -1, "of another node");
    assert_eq!(cluster.ask(1, Pnn(1), &back).0, 0);
    assert_eq!(cluster.ask(1, Pnn(1), &back).0, -1, "no longer there");
    cluster.take(0);
    cluster.input(1, Input::ClientGone(CLIENT));
    let got = cluster.take(0);
    assert_eq!(messages(&got, MINE), [[0u8; 0]; 0]);
    assert_eq!(messages(&got, other), [b"gone"]);
}

#[test]
fn a_transaction_that_is_cancelled_leaves_what_was() {
    let (mut cluster, db) = with_database(2);
    cluster.call(1, db, function::NULL, b"k");
    cluster.wait(Duration::from_millis(1));
    cluster.write(1, db, b"k", b"value");
    let trans = TransDb {
        db,
        transaction: Generation(77),
    };
    let steps = [
        (Request::DbTransactionCancel(db), -1),
        (Request::SetRecmode(RecoveryMode::Active), 0),
        (Request::DbFreeze(db), 0),
        (Request::DbTransactionStart(trans.clone()), 0),
        (Request::WipeDatabase(trans.clone()), 0),
    ];
    for (step, expected) in steps {
        assert_eq!(status(&mut cluster, 1, step.clone()), expected, "{step:?}");
    }
    assert_eq!(cluster.copy(1, db, b"k"), None);
    assert_eq!(status(&mut cluster, 1, Request::DbTransactionCancel(db)), 0);
    assert_eq!(cluster.copy(1, db, b"k").expect("back").data, b"value");
    assert_eq!(
        status(&mut cluster, 1, Request::DbTransactionCommit(trans)),
        -1
    );
    let unknown = Request::DbTransactionCancel(DbId(1));
    assert_eq!(status(&mut cluster, 1, unknown), -1);
}

/// C 4.7's answer: a bit for each address, of the node that is asked.
#[test]
fn a_node_says_which_addresses_somebody_has_registered() {
    let (mut cluster, _) = with_database(2);
    let srvids: Vec<_> = (0..11).map(|at| Srvid(MINE.0 + at)).collect();
    for at in [0, 3, 8, 10] {
        let register = Request::RegisterSrvid(srvids[at]);
        assert_eq!(status(&mut cluster, 0, register), 0);
    }
    let ask = Request::CheckSrvids(SrvidList(srvids.clone()));
    assert_eq!(cluster.ask(1, Pnn(0), &ask), (0, vec![0b1001, 0b101]));
    assert_eq!(cluster.ask(0, Pnn(1), &ask), (0, vec![0, 0]));
    let leave = Request::DeregisterSrvid(srvids[3]);
    assert_eq!(status(&mut cluster, 0, leave), 0);
    assert_eq!(cluster.ask(1, Pnn(0), &ask), (0, vec![1, 0b101]));
    cluster.input(0, Input::ClientGone(CLIENT));
    assert_eq!(cluster.ask(1, Pnn(0), &ask), (0, vec![0, 0]));
    let none = Request::CheckSrvids(SrvidList::default());
    assert_eq!(cluster.ask(1, Pnn(0), &none), (0, vec![]));
}

/// 4.17 and master read the delay and do not keep it.
#[test]
fn an_echo_comes_back_at_once() {
    let (mut cluster, _) = with_database(2);
    for (to, length, timeout) in [(0, 0, 0), (1, 100_000, 0), (1, 5, 60_000)] {
        let echo = EchoData {
            timeout,
            buf: vec![7; length],
        };
        let request = Request::EchoData(echo.clone());
        let (status, data) = cluster.ask(0, Pnn(to), &request);
        assert_eq!((status, data), (0, echo.to_bytes()));
    }
    let lies = [0u32, 1000].map(u32::to_ne_bytes).concat();
    let control = ReqControl {
        opcode: 156,
        srvid: Srvid(0),
        client: ClientId(0),
        flags: ControlFlags::empty(),
        data: &lies,
    };
    let asked = cluster.send(0, Pnn(1), Body::ReqControl(control));
    let got = cluster.take(0);
    assert!(matches!(got[..], [Got::Control { reqid, status: -1, .. }] if reqid == asked));
}

#[test]
fn what_a_recovery_pushes_to_its_address_is_in_the_database() {
    let (mut cluster, db) = with_database(2);
    let srvid = Srvid(Srvid::RECOVERY.0 | 17);
    let trans = TransDb {
        db,
        transaction: Generation(77),
    };
    let pull = PullDbExt {
        db,
        lmaster: Pnn::UNKNOWN.0,
        srvid,
    };
    let mut records = RecBuffer::new(db);
    let header = RecordHeader {
        rsn: 3,
        dmaster: Pnn(0),
        ..RecordHeader::default()
    };
    records.push(ReqId(0), Some(header), b"k", b"value");
    let data = records.to_bytes();
    let message = ReqMessage { srvid, data: &data };
    let before = [
        Request::SetRecmode(RecoveryMode::Active),
        Request::SetVnnMap(VnnMap {
            generation: Generation(77),
            map: vec![Pnn(0), Pnn(1)],
        }),
        Request::DbFreeze(db),
        Request::DbTransactionStart(trans.clone()),
        Request::WipeDatabase(trans.clone()),
    ];
    for step in before {
        assert_eq!(status(&mut cluster, 1, step.clone()), 0, "{step:?}");
    }
    cluster.send(0, Pnn(1), Body::ReqMessage(message));
    assert_eq!(cluster.copy(1, db, b"k"), None, "nobody listens yet");
    assert_eq!(
        status(&mut cluster, 1, Request::DbPushStart(pull.clone())),
        0
    );
    cluster.send(0, Pnn(1), Body::ReqMessage(message));
    let confirm = Request::DbPushConfirm(db);
    assert_eq!(
        cluster.get::<control::DbPushConfirm>(0, Pnn(1), &confirm),
        1
    );
    assert_eq!(
        status(&mut cluster, 1, Request::DbTransactionCommit(trans)),
        0
    );
    assert_eq!(cluster.copy(1, db, b"k").expect("pushed").data, b"value");
    assert_eq!(status(&mut cluster, 0, Request::RegisterSrvid(srvid)), 0);
    cluster.take(0);
    let asked = cluster.send_control(0, Pnn(1), &Request::DbFreeze(db), ControlFlags::empty());
    let again = TransDb {
        db,
        transaction: Generation(78),
    };
    assert_eq!(
        status(&mut cluster, 1, Request::DbTransactionStart(again)),
        0
    );
    let pulled = cluster.get::<control::DbPull>(0, Pnn(1), &Request::DbPull(pull));
    let got = cluster.take(0);
    assert!(
        got.iter()
            .any(|got| matches!(got, Got::Control { reqid, status: 0, .. } if *reqid == asked))
    );
    let [data] = &messages(&got, srvid)[..] else {
        panic!("{got:?}")
    };
    let sent = RecBuffer::from_bytes(data).expect("records");
    assert_eq!((pulled, sent.records().count()), (1, 1));
}

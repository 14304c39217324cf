//! Read-only delegations and sticky records, on daemons in memory: who reads, who writes, who waits.

#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod rig;

use std::time::Duration;

use ctdbd::daemon::Input;
use rig::{Cluster, Got};
use wire::control::{self, Request};
use wire::packet::{Body, CallFlags, ReqMessage, function};
use wire::types::{
    DbFlags, PullDbExt, RecBuffer, RecordFlags, RecordHeader, RecoveryMode, TransDb, Tunable,
    VnnMap,
};
use wire::{DbId, Generation, Pnn, ReqId, Srvid};

const KEY: &[u8] = b"key";
/// More than the second that readers wait after copies were taken back.
const GRACE: Duration = Duration::from_millis(1001);

/// Three nodes with a read-only database, whose record's data master is node 0.
fn lending() -> (Cluster, DbId) {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(0, &Request::DbAttach("netlogon_creds_cli.tdb".into()));
    for node in 0..3 {
        let (status, _) = cluster.ask(node, Pnn::CURRENT, &Request::SetDbReadonly(db));
        assert_eq!(status, 0);
    }
    assert_eq!(write_call(&mut cluster, 0, db), Some(vec![]));
    cluster.write(0, db, KEY, b"first");
    (cluster, db)
}

fn answer(cluster: &mut Cluster, node: usize, call: u32) -> Option<Vec<u8>> {
    let got = cluster.take(node).into_iter();
    let mut answers = got.filter_map(|got| match got {
        Got::Call {
            reqid,
            status: 0,
            data,
        } if reqid == call => Some(data),
        _ => None,
    });
    answers.next()
}

fn send_read(cluster: &mut Cluster, node: usize, db: DbId) -> u32 {
    cluster.call_for(node, db, function::FETCH, KEY, CallFlags::WANT_READONLY)
}

fn read(cluster: &mut Cluster, node: usize, db: DbId) -> Option<Vec<u8>> {
    let call = send_read(cluster, node, db);
    answer(cluster, node, call)
}

fn write_call(cluster: &mut Cluster, node: usize, db: DbId) -> Option<Vec<u8>> {
    let call = cluster.call(node, db, function::NULL, KEY);
    // another node keeps what has only just come to it for a moment
    cluster.wait(Duration::from_micros(250));
    answer(cluster, node, call)
}

/// Sets a tunable on node 0.
fn tune(cluster: &mut Cluster, name: &str, value: u32) {
    let name = name.into();
    let request = Request::SetTunable(Tunable { value, name });
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, 0);
}

fn header(cluster: &mut Cluster, node: usize, db: DbId) -> RecordHeader {
    cluster.copy(node, db, KEY).expect("a copy is here").header
}

/// Delegations given and taken back by a node.
fn counters(cluster: &mut Cluster, node: usize, db: DbId) -> (u32, u32) {
    let of_db =
        cluster.get::<control::GetDbStatistics>(node, Pnn::CURRENT, &Request::GetDbStatistics(db));
    let all = cluster.get::<control::Statistics>(node, Pnn::CURRENT, &Request::Statistics);
    let counters = (of_db.ro_delegations, of_db.ro_revokes);
    assert_eq!(counters, (all.total_ro_delegations, all.total_ro_revokes));
    counters
}

/// A recovery of one database by node 0: the leader's records go to every node of `nodes`.
fn recover(cluster: &mut Cluster, db: DbId, nodes: &[u32], generation: Generation) {
    let srvid = Srvid(0xBE00_0000_0000_0042);
    let pull = PullDbExt {
        db,
        lmaster: u32::MAX,
        srvid,
    };
    let trans = TransDb {
        db,
        transaction: generation,
    };
    let map = VnnMap {
        generation,
        map: nodes.iter().copied().map(Pnn).collect(),
    };
    let all = |cluster: &mut Cluster, steps: &[Request]| {
        for step in steps {
            for node in nodes {
                assert_eq!(cluster.ask(0, Pnn(*node), step).0, 0, "{step:?}");
            }
        }
    };
    all(
        cluster,
        &[
            Request::SetRecmode(RecoveryMode::Active),
            Request::SetVnnMap(map),
            Request::DbFreeze(db),
            Request::DbTransactionStart(trans.clone()),
        ],
    );
    cluster.ask(0, Pnn::CURRENT, &Request::RegisterSrvid(srvid));
    assert_eq!(cluster.ask(0, Pnn(0), &Request::DbPull(pull.clone())).0, 0);
    let records = message(cluster, srvid).expect("the records of node 0");
    all(
        cluster,
        &[
            Request::WipeDatabase(trans.clone()),
            Request::DbPushStart(pull),
        ],
    );
    let body = Body::ReqMessage(ReqMessage {
        srvid,
        data: &records,
    });
    for node in nodes {
        cluster.send(0, Pnn(*node), body);
    }
    all(
        cluster,
        &[
            Request::DbPushConfirm(db),
            Request::DbTransactionCommit(trans),
            Request::DbThaw(db),
            Request::SetRecmode(RecoveryMode::Normal),
        ],
    );
}

fn message(cluster: &mut Cluster, wanted: Srvid) -> Option<Vec<u8>> {
    let got = cluster.got.get(&(0, rig::CLIENT))?;
    got.iter().find_map(|got| match got {
        Got::Message { srvid, data } if *srvid == wanted => Some(data.clone()),
        _ => None,
    })
}

#[test]
fn the_properties_are_listed_and_only_for_volatile_databases() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &Request::DbAttach("locking.tdb".into()));
    let persistent = cluster.attach(0, &Request::DbAttachPersistent("registry.tdb".into()));
    for request in [Request::SetDbReadonly(db), Request::SetDbSticky(db)] {
        assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, 0);
        assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, 0, "again");
    }
    for request in [
        Request::SetDbReadonly(persistent),
        Request::SetDbSticky(persistent),
        Request::SetDbReadonly(DbId(1)),
    ] {
        assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, -1);
    }
    let mut flags = |node| {
        let map = cluster.get::<control::GetDbMap>(node, Pnn::CURRENT, &Request::GetDbMap);
        let of_db = map.dbs.iter().find(|entry| entry.db == db);
        of_db.expect("attached everywhere").flags
    };
    assert_eq!(flags(0), DbFlags::READONLY | DbFlags::STICKY);
    assert_eq!(flags(1), DbFlags::empty(), "a property of one node alone");
}

#[test]
fn readers_get_copies_and_the_data_master_stays() {
    let (mut cluster, db) = lending();
    assert_eq!(
        read(&mut cluster, 1, db).as_deref(),
        Some(b"first".as_slice())
    );
    let (master, lent) = (header(&mut cluster, 0, db), header(&mut cluster, 1, db));
    assert_eq!((master.dmaster, lent.dmaster), (Pnn(0), Pnn(0)));
    assert!(master.flags.contains(RecordFlags::RO_HAVE_DELEGATIONS));
    assert!(lent.flags.contains(RecordFlags::RO_HAVE_READONLY));
    assert!(!lent.flags.contains(RecordFlags::RO_HAVE_DELEGATIONS));
    assert_eq!(master.rsn, lent.rsn + 2);
    assert_eq!(counters(&mut cluster, 0, db), (1, 0));

    assert!(read(&mut cluster, 1, db).is_some(), "of the copy here");
    assert_eq!(counters(&mut cluster, 0, db), (1, 0));
    assert!(read(&mut cluster, 2, db).is_some());
    assert!(
        read(&mut cluster, 0, db).is_some(),
        "of the data master's own"
    );
    assert_eq!(counters(&mut cluster, 0, db), (2, 0));
    assert_eq!(header(&mut cluster, 0, db).rsn, master.rsn, "lent already");
}

#[test]
fn a_reader_gets_the_header_only_if_it_asked_for_it() {
    let (mut cluster, db) = lending();
    let flags = CallFlags::WANT_READONLY;
    for node in [1, 1, 0] {
        let call = cluster.call_for(node, db, function::FETCH_WITH_HEADER, KEY, flags);
        let data = answer(&mut cluster, node, call).expect("an answer");
        let (header, value) = RecordHeader::split(&data).expect("a header");
        assert_eq!((header.dmaster, value), (Pnn(0), b"first".as_slice()));
    }
}

#[test]
fn without_the_property_a_reader_becomes_data_master() {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(0, &Request::DbAttach("locking.tdb".into()));
    write_call(&mut cluster, 0, db);
    cluster.write(0, db, KEY, b"value");
    assert_eq!(
        read(&mut cluster, 1, db).as_deref(),
        Some(b"value".as_slice())
    );
    assert_eq!(header(&mut cluster, 1, db).dmaster, Pnn(1));
}

#[test]
fn a_writer_gets_the_record_after_all_copies_were_taken_back() {
    let (mut cluster, db) = lending();
    for (turn, writer) in [2usize, 0, 0, 1, 2].into_iter().enumerate() {
        for reader in 0..3 {
            assert!(read(&mut cluster, reader, db).is_some(), "turn {turn}");
        }
        let lent = header(&mut cluster, writer, db).rsn;
        assert!(
            write_call(&mut cluster, writer, db).is_some(),
            "turn {turn}"
        );
        let value = format!("of turn {turn}").into_bytes();
        let written = header(&mut cluster, writer, db);
        assert!(written.rsn > lent);
        for node in 0..3 {
            let copy = header(&mut cluster, node, db);
            assert!(
                !copy.flags.intersects(RecordFlags::RO_FLAGS),
                "turn {turn}, node {node}"
            );
            assert!(node == writer || copy.rsn < written.rsn);
        }
        cluster.write(writer, db, KEY, &value);
        for reader in 0..3 {
            assert_eq!(read(&mut cluster, reader, db).as_ref(), Some(&value));
        }
    }
}

#[test]
fn while_copies_are_taken_back_all_wait_and_readers_a_second_longer() {
    let (mut cluster, db) = lending();
    read(&mut cluster, 1, db);
    cluster.hold_packets_to = Some(1);
    let writer = cluster.call(0, db, function::NULL, KEY);
    let reader = send_read(&mut cluster, 2, db);
    cluster.wait(Duration::from_secs(3));
    assert_eq!(answer(&mut cluster, 0, writer), None);
    let flags = header(&mut cluster, 0, db).flags;
    assert!(flags.contains(RecordFlags::RO_REVOKING_READONLY));

    cluster.release_packets();
    assert!(answer(&mut cluster, 0, writer).is_some());
    assert_eq!(counters(&mut cluster, 0, db), (1, 1));
    cluster.write(0, db, KEY, b"second");
    assert_eq!(answer(&mut cluster, 2, reader), None);
    cluster.wait(GRACE);
    assert_eq!(
        answer(&mut cluster, 2, reader).as_deref(),
        Some(b"second".as_slice())
    );
}

#[test]
fn a_copy_that_arrives_with_its_recall_is_not_kept() {
    let (mut cluster, db) = lending();
    cluster.hold_packets_to = Some(1);
    let reader = send_read(&mut cluster, 1, db);
    let writer = cluster.call(0, db, function::NULL, KEY);
    assert_eq!(answer(&mut cluster, 0, writer), None);
    cluster.release_packets();
    assert!(answer(&mut cluster, 0, writer).is_some());
    assert_eq!(
        answer(&mut cluster, 1, reader).as_deref(),
        Some(b"first".as_slice())
    );
    let copy = cluster.copy(1, db, KEY);
    assert!(copy.is_none_or(|copy| !copy.header.flags.intersects(RecordFlags::RO_FLAGS)));
}

#[test]
fn a_dead_holder_keeps_writers_waiting_until_the_recovery() {
    let (mut cluster, db) = lending();
    read(&mut cluster, 1, db);
    read(&mut cluster, 2, db);
    cluster.hold_packets_to = Some(1);
    let writer = cluster.call(0, db, function::NULL, KEY);
    cluster.input(0, Input::NodeDisconnected(Pnn(1)));
    cluster.input(2, Input::NodeDisconnected(Pnn(1)));
    for _ in 0..3 {
        cluster.wait(GRACE);
        assert_eq!(
            answer(&mut cluster, 0, writer),
            None,
            "node 1 may still read"
        );
    }
    let flags = header(&mut cluster, 0, db).flags;
    assert!(flags.contains(RecordFlags::RO_HAVE_DELEGATIONS));
    recover(&mut cluster, db, &[0, 2], Generation(77));
    cluster.wait(GRACE);
    assert!(answer(&mut cluster, 0, writer).is_some());
    cluster.write(0, db, KEY, b"second");
    assert_eq!(
        read(&mut cluster, 2, db).as_deref(),
        Some(b"second".as_slice())
    );
}

#[test]
fn a_holder_that_does_not_answer_is_asked_again() {
    let (mut cluster, db) = lending();
    tune(&mut cluster, "ControlTimeout", 5);
    read(&mut cluster, 1, db);
    cluster.hold_packets_to = Some(1);
    let writer = cluster.call(0, db, function::NULL, KEY);
    cluster.wait(Duration::from_secs(4));
    let flags = |cluster: &mut Cluster| header(cluster, 0, db).flags;
    assert!(flags(&mut cluster).contains(RecordFlags::RO_REVOKING_READONLY));
    cluster.wait(Duration::from_millis(1100));
    assert!(!flags(&mut cluster).contains(RecordFlags::RO_REVOKING_READONLY));
    cluster.release_packets();
    cluster.wait(GRACE);
    assert!(answer(&mut cluster, 0, writer).is_some());
    assert_eq!(counters(&mut cluster, 0, db), (1, 1));
}

#[test]
fn a_client_of_the_data_master_may_write_by_update_record() {
    let (mut cluster, db) = lending();
    let update = |header: RecordHeader| {
        let mut records = RecBuffer::new(db);
        records.push(ReqId(0), Some(header), KEY, b"by control");
        Request::UpdateRecord(records)
    };
    let mut newer = header(&mut cluster, 0, db);
    newer.rsn += 10;
    // what names another data master comes too late
    let foreign = RecordHeader {
        dmaster: Pnn(1),
        ..newer
    };
    assert_eq!(cluster.ask(1, Pnn(0), &update(foreign)).0, -1);
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &update(newer)).0, 0);
    let stored = cluster.copy(0, db, KEY).expect("written");
    assert_eq!(stored.data, b"by control");
    assert!(stored.header.rsn >= newer.rsn);
}

#[test]
fn a_recovery_ends_all_delegations() {
    let (mut cluster, db) = lending();
    read(&mut cluster, 1, db);
    read(&mut cluster, 2, db);
    recover(&mut cluster, db, &[0, 1, 2], Generation(78));
    for node in 0..3 {
        let copy = cluster.copy(node, db, KEY).expect("pushed");
        assert!(!copy.header.flags.intersects(RecordFlags::RO_FLAGS));
        assert_eq!(copy.data, b"first");
    }
    assert!(write_call(&mut cluster, 1, db).is_some());
    cluster.write(1, db, KEY, b"second");
    assert_eq!(
        counters(&mut cluster, 0, db),
        (2, 0),
        "nothing to take back"
    );
    assert_eq!(
        read(&mut cluster, 2, db).as_deref(),
        Some(b"second".as_slice())
    );
}

#[test]
fn a_sticky_record_stays_for_a_moment_and_serves_those_at_home() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &Request::DbAttach("locking.tdb".into()));
    tune(&mut cluster, "HopcountMakeSticky", 0);
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &Request::SetDbSticky(db)).0, 0);
    for node in [0, 1, 0] {
        assert!(write_call(&mut cluster, node, db).is_some());
    }
    let call = cluster.call(1, db, function::NULL, KEY);
    assert_eq!(answer(&mut cluster, 1, call), None, "pinned down");
    assert!(write_call(&mut cluster, 0, db).is_some());
    cluster.wait(Duration::from_millis(199));
    assert_eq!(answer(&mut cluster, 1, call), None);
    cluster.wait(Duration::from_millis(2));
    assert!(answer(&mut cluster, 1, call).is_some());
}

#[test]
fn migrations_within_a_second_make_a_key_hot() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &Request::DbAttach("locking.tdb".into()));
    for _ in 0..5 {
        for node in [0, 1] {
            assert!(write_call(&mut cluster, node, db).is_some());
        }
    }
    let statistics =
        cluster.get::<control::GetDbStatistics>(0, Pnn::CURRENT, &Request::GetDbStatistics(db));
    let hottest = statistics.hot_keys.iter().max_by_key(|hot| hot.count);
    let hottest = hottest.expect("ten entries");
    assert_eq!(hottest.key, KEY);
    assert!((4..=5).contains(&hottest.count), "{}", hottest.count);
}

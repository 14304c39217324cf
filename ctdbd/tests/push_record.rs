//! PUSH_RECORD, on daemons in memory: who keeps a copy of what one node's client wrote.

#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod rig;

use std::time::Duration;

use rig::{Cluster, Got};
use wire::control::Request;
use wire::packet::{ControlFlags, function};
use wire::types::{PushRecord, RecordFlags, RecordHeader};
use wire::{DbId, Generation, Pnn};

/// Of the recovery that the rig begins with.
const GENERATION: Generation = Generation(42);
const KEY: &[u8] = b"a persistent handle";

fn cluster() -> (Cluster, DbId) {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(0, &Request::DbAttach("smbXsrv_open_global.tdb".into()));
    (cluster, db)
}

/// A client of a node fetches the record and writes it.
fn write(cluster: &mut Cluster, node: usize, db: DbId, value: &[u8]) -> PushRecord {
    cluster.wait(Duration::from_millis(1));
    cluster.call(node, db, function::NULL, KEY);
    cluster.wait(Duration::from_millis(1));
    let header = cluster.copy(node, db, KEY).expect("migrated here").header;
    cluster.write(node, db, KEY, value);
    PushRecord {
        generation: GENERATION,
        db,
        header,
        key: KEY.to_vec(),
        value: value.to_vec(),
    }
}

/// smbd asks so: all active nodes, and no answer.
fn push(cluster: &mut Cluster, node: usize, record: &PushRecord) {
    let request = Request::PushRecord(record.clone());
    cluster.send_control(node, Pnn::BROADCAST_ACTIVE, &request, ControlFlags::NOREPLY);
}

fn copy(cluster: &mut Cluster, node: usize, db: DbId) -> Option<(RecordHeader, Vec<u8>)> {
    let stored = cluster.copy(node, db, KEY)?;
    Some((stored.header, stored.data))
}

#[test]
fn every_other_active_node_has_a_copy() {
    let (mut cluster, db) = cluster();
    let record = write(&mut cluster, 1, db, b"value");
    assert_eq!(cluster.ask(2, Pnn::CURRENT, &Request::StopNode).0, 0);
    let before = (copy(&mut cluster, 1, db), copy(&mut cluster, 2, db));
    push(&mut cluster, 1, &record);
    let (header, value) = copy(&mut cluster, 0, db).expect("pushed");
    assert_eq!((header.dmaster, header.rsn), (Pnn(1), record.header.rsn));
    assert!(header.flags.contains(RecordFlags::MIGRATED_WITH_DATA));
    assert_eq!(value, b"value");
    let after = (copy(&mut cluster, 1, db), copy(&mut cluster, 2, db));
    assert_eq!(after, before, "the writer has it, a stopped node gets none");
}

#[test]
fn the_record_still_moves_to_whoever_wants_it() {
    let (mut cluster, db) = cluster();
    let record = write(&mut cluster, 1, db, b"value");
    push(&mut cluster, 1, &record);
    let call = cluster.call(2, db, function::FETCH, KEY);
    cluster.wait(Duration::from_millis(1));
    let reply = Got::Call {
        reqid: call,
        status: 0,
        data: b"value".to_vec(),
    };
    assert!(cluster.take(2).contains(&reply));
    assert_eq!(copy(&mut cluster, 2, db).unwrap().0.dmaster, Pnn(2));
}

#[test]
fn a_late_push_undoes_nothing() {
    let (mut cluster, db) = cluster();
    let old = write(&mut cluster, 1, db, b"old");
    let new = write(&mut cluster, 2, db, b"new");
    push(&mut cluster, 2, &new);
    let before = [0, 1, 2].map(|node| copy(&mut cluster, node, db));
    for node in [0, 2] {
        let request = Request::PushRecord(old.clone());
        assert_eq!(cluster.ask(1, Pnn(node), &request).0, 0);
    }
    assert_eq!([0, 1, 2].map(|node| copy(&mut cluster, node, db)), before);
}

#[test]
fn another_generation_and_another_kind_of_database_are_left_alone() {
    let (mut cluster, db) = cluster();
    let record = write(&mut cluster, 1, db, b"value");
    let before = copy(&mut cluster, 0, db);
    let mut ask = |change: &dyn Fn(&mut PushRecord)| {
        let mut record = record.clone();
        change(&mut record);
        cluster.ask(1, Pnn(0), &Request::PushRecord(record)).0
    };
    assert_eq!(ask(&|record| record.generation = Generation(41)), 0);
    assert_eq!(ask(&|record| record.db = DbId(1)), -1);
    assert_eq!(copy(&mut cluster, 0, db), before);
    let attach = Request::DbAttachPersistent("secrets.tdb".into());
    let persistent = cluster.attach(0, &attach);
    let record = PushRecord {
        db: persistent,
        ..record
    };
    let (status, _) = cluster.ask(1, Pnn(0), &Request::PushRecord(record));
    assert_eq!(status, -1);
    assert_eq!(cluster.copy(0, persistent, KEY), None);
}

#[test]
fn a_push_into_a_frozen_database_is_overtaken_by_the_recovery() {
    let (mut cluster, db) = cluster();
    let record = write(&mut cluster, 1, db, b"value");
    let before = copy(&mut cluster, 0, db);
    assert_eq!(cluster.ask(1, Pnn(0), &Request::DbFreeze(db)).0, 0);
    cluster.take(1);
    let request = Request::PushRecord(record);
    let asked = cluster.send_control(1, Pnn(0), &request, ControlFlags::empty());
    assert_eq!(cluster.take(1), [], "it waits");
    cluster.recover(Generation(43));
    let answered =
        |got: &Got| matches!(got, Got::Control { reqid, status: 0, .. } if *reqid == asked);
    assert!(cluster.take(1).iter().any(answered));
    assert_eq!(copy(&mut cluster, 0, db), before);
}

#[test]
fn a_push_into_a_database_that_is_detached_is_answered() {
    let (mut cluster, db) = cluster();
    let record = write(&mut cluster, 1, db, b"value");
    assert_eq!(cluster.ask(1, Pnn(0), &Request::DbFreeze(db)).0, 0);
    cluster.take(1);
    let request = Request::PushRecord(record);
    let asked = cluster.send_control(1, Pnn(0), &request, ControlFlags::empty());
    for node in 0..3 {
        cluster.set(node, "AllowClientDBAttach", 0);
    }
    cluster.ask(1, Pnn(0), &Request::DbDetach(db));
    let answered =
        |got: &Got| matches!(got, Got::Control { reqid, status: -1, .. } if *reqid == asked);
    assert!(cluster.take(1).iter().any(answered));
}

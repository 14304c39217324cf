//! Vacuuming, on daemons in memory: who deletes which copy when.

#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod rig;

use std::time::Duration;

use rig::{Cluster, Got};
use wire::control::Request;
use wire::packet::{ControlFlags, function};
use wire::types::{DbVacuum, RecBuffer};
use wire::{DbId, Pnn, ReqId};

/// Three nodes with copies of a record that lost its value on node `last`; its location master is node 0.
fn emptied(last: usize) -> (Cluster, DbId, Vec<u8>) {
    let mut cluster = Cluster::new(3);
    let db = cluster.attach(0, &Request::DbAttach("locking.tdb".into()));
    let mut keys = (0u8..).map(|n| vec![n]);
    let is_of_node_0 = |key: &Vec<u8>| wire::key_hash(key).is_multiple_of(3);
    let key = keys.find(is_of_node_0).expect("one in three");
    let others = (0..3).filter(|node| *node != last);
    for (turn, node) in others.chain([last]).enumerate() {
        cluster.call(node, db, function::NULL, &key);
        // another node keeps what has only just come to it for a moment
        cluster.wait(Duration::from_micros(250));
        if turn == 0 {
            cluster.write(node, db, &key, b"value");
        }
    }
    empty(&mut cluster, last, db, &key);
    (cluster, db, key)
}

/// What a client does that deletes a record.
fn empty(cluster: &mut Cluster, node: usize, db: DbId, key: &[u8]) {
    cluster.write(node, db, key, b"");
    let header = cluster.copy(node, db, key).expect("emptied").header;
    let data = wire::types::KeyData {
        db,
        header,
        key: key.to_vec(),
    };
    let request = Request::ScheduleForDeletion(data);
    assert_eq!(cluster.ask(node, Pnn::CURRENT, &request).0, 0);
}

fn vacuum(cluster: &mut Cluster, node: usize, db: DbId, full_vacuum_run: bool) {
    let request = Request::DbVacuum(DbVacuum {
        db,
        full_vacuum_run,
    });
    assert_eq!(cluster.ask(node, Pnn::CURRENT, &request).0, 0);
}

fn copies(cluster: &mut Cluster, db: DbId, key: &[u8]) -> Vec<usize> {
    (0..3)
        .filter(|node| cluster.copy(*node, db, key).is_some())
        .collect()
}

#[test]
fn the_lmaster_deletes_every_copy_in_one_run() {
    let (mut cluster, db, key) = emptied(0);
    assert_eq!(copies(&mut cluster, db, &key), [0, 1, 2]);
    vacuum(&mut cluster, 0, db, false);
    assert!(copies(&mut cluster, db, &key).is_empty());
}

#[test]
fn another_node_hands_the_record_to_the_lmaster_first() {
    let (mut cluster, db, key) = emptied(1);
    let dmaster = |cluster: &mut Cluster| cluster.copy(0, db, &key).expect("there").header.dmaster;
    vacuum(&mut cluster, 1, db, false);
    assert_eq!(dmaster(&mut cluster), Pnn(1));
    vacuum(&mut cluster, 0, db, false);
    assert_eq!(dmaster(&mut cluster), Pnn(0));
    assert_eq!(copies(&mut cluster, db, &key), [0, 1, 2]);
    vacuum(&mut cluster, 0, db, false);
    assert!(copies(&mut cluster, db, &key).is_empty());
}

#[test]
fn a_record_that_has_a_value_again_stays() {
    let (mut cluster, db, key) = emptied(0);
    cluster.write(0, db, &key, b"again");
    vacuum(&mut cluster, 0, db, false);
    assert_eq!(copies(&mut cluster, db, &key), [0, 1, 2]);
}

#[test]
fn runs_come_by_themselves() {
    let (mut cluster, db, key) = emptied(0);
    cluster.wait(Duration::from_secs(11));
    assert!(copies(&mut cluster, db, &key).is_empty());
}

#[test]
fn only_one_run_at_a_time_and_a_freeze_ends_it() {
    let (mut cluster, db, key) = emptied(1);
    let mut named = RecBuffer::new(db);
    named.push(ReqId(1), None, &key, &[]);
    assert_eq!(cluster.ask(1, Pnn(0), &Request::VacuumFetch(named)).0, 0);
    // the record does not come
    cluster.hold_packets_to = Some(1);
    let request = Request::DbVacuum(DbVacuum {
        db,
        full_vacuum_run: false,
    });
    let first = cluster.send_control(0, Pnn::CURRENT, &request, ControlFlags::empty());
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, -1);
    assert_eq!(answer(&mut cluster, first), None);
    assert_eq!(cluster.ask(0, Pnn(0), &Request::DbFreeze(db)).0, 0);
    assert_eq!(answer(&mut cluster, first), Some(-1));
}

#[test]
fn a_run_ends_when_the_record_has_come() {
    let (mut cluster, db, _) = emptied(1);
    vacuum(&mut cluster, 1, db, false);
    cluster.hold_packets_to = Some(1);
    let request = Request::DbVacuum(DbVacuum {
        db,
        full_vacuum_run: false,
    });
    let run = cluster.send_control(0, Pnn::CURRENT, &request, ControlFlags::empty());
    assert_eq!(answer(&mut cluster, run), None);
    cluster.release_packets();
    assert_eq!(answer(&mut cluster, run), Some(0));
}

fn answer(cluster: &mut Cluster, asked: u32) -> Option<i32> {
    let got = cluster.take(0).into_iter();
    let mut answers = got.filter_map(|got| match got {
        Got::Control { reqid, status, .. } if reqid == asked => Some(status),
        _ => None,
    });
    answers.next()
}

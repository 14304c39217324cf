//! Transactions, alone and against a second process that dies in one.

use tdb::{Error, Flags, StoreMode};

use crate::{Fixture, kinds, peer::Peer};

const PERSISTENT: Flags = Flags::CTDB_PERSISTENT;

#[test]
fn commit_and_cancel() {
    for flags in kinds() {
        let fixture = Fixture::new();
        let tdb = fixture.open(flags);
        tdb.begin().unwrap();
        assert!(tdb.in_transaction());
        assert!(matches!(tdb.begin(), Err(Error::Nesting(_))));
        tdb.store(b"key", b"1", StoreMode::Replace).unwrap();
        tdb.prepare_commit().unwrap();
        tdb.commit().unwrap();
        assert!(!tdb.in_transaction());

        tdb.begin().unwrap();
        tdb.store(b"key", &[2; 9000], StoreMode::Replace).unwrap();
        assert_eq!(tdb.parse(b"key", <[u8]>::len).unwrap(), Some(9000));
        tdb.cancel().unwrap();
        assert_eq!(tdb.fetch(b"key").unwrap().unwrap(), b"1");
        for outside in [tdb.commit(), tdb.cancel(), tdb.prepare_commit()] {
            assert!(matches!(outside, Err(Error::Invalid(_))));
        }
    }
}

#[test]
fn locks_and_transactions_exclude_each_other() {
    let fixture = Fixture::new();
    let tdb = fixture.open(PERSISTENT);
    tdb.lock_chain(b"key").unwrap();
    assert!(matches!(tdb.begin(), Err(Error::Lock(_))));
    tdb.unlock_chain(b"key").unwrap();
    tdb.begin().unwrap();
}

#[test]
fn one_process_at_a_time() {
    for flags in kinds() {
        let fixture = Fixture::new();
        let tdb = fixture.open(flags);
        let mut peer = Peer::start(&fixture.path(), flags);
        tdb.begin().unwrap();
        assert_eq!(peer.ask("try-begin"), "false");
        tdb.store(b"key", b"value", StoreMode::Replace).unwrap();
        tdb.commit().unwrap();
        assert_eq!(peer.ask("fetch key"), "value");
        assert_eq!(peer.ask("try-begin"), "true");
        assert!(!tdb.try_begin().unwrap());
    }
}

/// A peer changes both records, goes as far as `steps`, and is killed.
fn die_in_a_transaction(fixture: &Fixture, steps: &[&str]) {
    let mut peer = Peer::start(&fixture.path(), PERSISTENT);
    for step in ["begin", "store a new", "store b new"].iter().chain(steps) {
        assert_eq!(peer.ask(step), "ok");
    }
    peer.kill();
}

#[test]
fn the_dead_leave_the_old_content() {
    for steps in [&[][..], &["prepare-commit"][..]] {
        let fixture = Fixture::new();
        let old = fixture.open(PERSISTENT);
        for key in [b"a", b"b"] {
            old.store(key, b"old", StoreMode::Insert).unwrap();
        }
        // Once with the file open meanwhile, once by opening it anew.
        die_in_a_transaction(&fixture, steps);
        assert_eq!(old.fetch(b"a").unwrap().unwrap(), b"old");
        drop(old);
        die_in_a_transaction(&fixture, steps);
        let new = fixture.open(PERSISTENT);
        assert_eq!(new.fetch(b"a").unwrap().unwrap(), b"old");
        assert_eq!(new.fetch(b"b").unwrap().unwrap(), b"old");
        new.check().unwrap();
        new.store(b"a", b"newer", StoreMode::Modify).unwrap();
    }
}

#[test]
fn a_commit_survives_the_death_after_it() {
    let fixture = Fixture::new();
    die_in_a_transaction(&fixture, &["commit"]);
    let tdb = fixture.open(PERSISTENT);
    assert_eq!(tdb.fetch(b"b").unwrap().unwrap(), b"new");
}

#[test]
fn dropping_cancels() {
    let fixture = Fixture::new();
    let tdb = fixture.open(PERSISTENT);
    tdb.begin().unwrap();
    tdb.store(b"key", b"value", StoreMode::Replace).unwrap();
    drop(tdb);
    assert!(!fixture.open(PERSISTENT).exists(b"key").unwrap());
}

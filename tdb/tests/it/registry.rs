//! One open for a file and process, and what `CLEAR_IF_FIRST` then means.

use std::{fs, io, os::unix::fs::symlink};

use tdb::{Error, Flags, OpenOptions, StoreMode, Tdb};

use crate::{FCNTL, Fixture, kinds, options, peer::Peer};

#[test]
fn a_second_open_is_refused_by_any_name() {
    for flags in kinds() {
        let fixture = Fixture::new();
        let tdb = fixture.open(flags);
        tdb.store(b"key", b"value", StoreMode::Replace).unwrap();
        let (hard, soft) = (
            fixture.dir.path().join("hard"),
            fixture.dir.path().join("soft"),
        );
        fs::hard_link(fixture.path(), &hard).unwrap();
        symlink(fixture.path(), &soft).unwrap();
        for path in [&fixture.path(), &hard, &soft] {
            assert!(tdb::is_open(path).unwrap());
            let refused = Tdb::open(path, &options(flags)).unwrap_err();
            assert!(matches!(refused, Error::AlreadyOpen(_)), "{refused}");
        }

        // Our lock is still there: another process does not take itself for the first.
        let mut peer = Peer::start(&fixture.path(), flags);
        assert_eq!(peer.ask("fetch key"), "value");
        drop(tdb);
        assert!(!tdb::is_open(&hard).unwrap());
        let again = Tdb::open(&hard, &options(flags)).unwrap();
        assert_eq!(again.fetch(b"key").unwrap().unwrap(), b"value");
    }
}

#[test]
fn only_the_first_clears() {
    let fixture = Fixture::new();
    for (round, flags) in [(1, FCNTL), (2, Flags::CTDB_PERSISTENT), (3, FCNTL)] {
        let tdb = fixture.open(flags);
        // Round 2 does not clear what round 1 wrote, round 3 does.
        assert_eq!(tdb.exists(b"round").unwrap(), round == 2);
        tdb.store(b"round", b"", StoreMode::Replace).unwrap();
    }
}

#[test]
fn the_holder_is_known() {
    let fixture = Fixture::new();
    let holder = || tdb::active_holder(&fixture.path());
    assert_eq!(holder().unwrap(), None);
    let peer = Peer::start(&fixture.path(), FCNTL);
    assert_eq!(holder().unwrap(), Some(peer.id()));
    let tdb = fixture.open(FCNTL);
    assert_eq!(holder().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    peer.kill();
    drop(tdb);
    assert_eq!(holder().unwrap(), None);
}

#[test]
fn opens_that_fail() {
    let fixture = Fixture::new();
    let open = |options: OpenOptions| Tdb::open(fixture.path(), &options).map(drop).unwrap_err();
    let plain = OpenOptions::default();

    let absent = open(OpenOptions {
        create: false,
        ..plain
    });
    assert!(matches!(absent, Error::NoExist(_)), "{absent}");
    let both = Flags::ALLOW_NESTING | Flags::DISALLOW_NESTING;
    let nonsense = open(OpenOptions {
        flags: both,
        ..plain
    });
    assert!(matches!(nonsense, Error::Invalid(_)), "{nonsense}");
    let huge = open(OpenOptions {
        hash_size: u32::MAX,
        ..plain
    });
    assert!(matches!(huge, Error::Invalid(_)), "{huge}");
    assert!(!fixture.path().exists());

    drop(fixture.open(FCNTL));
    let there = open(OpenOptions {
        exclusive: true,
        ..plain
    });
    assert!(matches!(there, Error::Exists(_)), "{there}");
    let nul = Tdb::open("a\0b", &plain).unwrap_err();
    assert!(matches!(nul, Error::Invalid(_)), "{nul}");
    let directory = Tdb::open(fixture.dir.path(), &plain).unwrap_err();
    assert!(matches!(directory, Error::Io(..)), "{directory}");
}

#[test]
fn a_file_with_mutexes_does_not_suit_everybody() {
    if !tdb::mutexes_supported() {
        return;
    }
    let fixture = Fixture::new();
    drop(fixture.open(Flags::CTDB_VOLATILE));
    let error = Tdb::open(fixture.path(), &options(Flags::CTDB_PERSISTENT)).unwrap_err();
    assert!(matches!(error, Error::Incompatible(_)), "{error}");
    assert!(error.to_string().contains("MUTEX_LOCKING"), "{error}");
}

//! Locks between two processes, with `fcntl` and with mutexes.

use std::{thread, time::Duration};

use tdb::{Error, Flags, StoreMode, Tdb};

use crate::{Fixture, kinds, peer::Peer};

/// Long enough to see that somebody waits.
const A_WHILE: Duration = Duration::from_millis(100);
const IN_TIME: Duration = Duration::from_secs(20);

fn each_kind(test: impl Fn(Flags, &Tdb, &mut Peer)) {
    for flags in kinds() {
        let fixture = Fixture::new();
        let tdb = fixture.open(flags);
        let mut peer = Peer::start(&fixture.path(), flags);
        test(flags, &tdb, &mut peer);
    }
}

#[test]
fn a_chain_is_locked_by_one() {
    each_kind(|_, tdb, peer| {
        assert_eq!(peer.ask("lock key"), "ok");
        assert!(!tdb.try_lock_chain(b"key").unwrap());
        assert!(!tdb.try_lock_chain_read(b"key").unwrap());
        assert!(!tdb.try_lock_all().unwrap());
        assert!(!tdb.try_lock_all_read().unwrap());
        assert_eq!(peer.ask("unlock key"), "ok");

        assert!(tdb.try_lock_chain(b"key").unwrap());
        assert_eq!(peer.ask("try-lock key"), "false");
        tdb.unlock_chain(b"key").unwrap();
        assert_eq!(peer.ask("try-lock key"), "true");
    });
}

#[test]
fn locks_count() {
    each_kind(|_, tdb, peer| {
        tdb.lock_chain(b"key").unwrap();
        tdb.lock_chain(b"key").unwrap();
        tdb.unlock_chain(b"key").unwrap();
        assert_eq!(peer.ask("try-lock key"), "false");
        tdb.unlock_chain(b"key").unwrap();
        assert_eq!(peer.ask("try-lock key"), "true");
        assert!(matches!(tdb.unlock_chain(b"key"), Err(Error::Lock(_))));
    });
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_free() {
    each_kind(|_, tdb, peer| {
        let guard = tdb.chain_guard(b"key").unwrap();
        peer.send("lock key");
        assert_eq!(peer.answer(A_WHILE), None);
        drop(guard);
        assert_eq!(peer.answer(IN_TIME).as_deref(), Some("ok"));
    });
}

#[test]
fn read_locks_share_without_mutexes_only() {
    each_kind(|flags, tdb, peer| {
        assert_eq!(peer.ask("lock-read key"), "ok");
        let mutexes = flags.contains(Flags::MUTEX_LOCKING);
        assert_eq!(tdb.try_lock_chain_read(b"key").unwrap(), !mutexes);
        if !mutexes {
            assert!(!tdb.try_lock_chain(b"key").unwrap());
            tdb.unlock_chain_read(b"key").unwrap();
        }
    });
}

#[test]
fn the_whole_database_is_locked_by_one() {
    each_kind(|_, tdb, peer| {
        tdb.lock_all().unwrap();
        tdb.store(b"key", b"value", StoreMode::Replace).unwrap();
        assert_eq!(peer.ask("try-lock key"), "false");
        assert_eq!(peer.ask("try-lock-all"), "false");
        tdb.unlock_all().unwrap();
        assert_eq!(peer.ask("try-lock-all"), "true");
        assert!(!tdb.try_lock_all().unwrap());
        assert_eq!(peer.ask("unlock-all"), "ok");
        tdb.lock_all_read().unwrap();
        assert_eq!(peer.ask("try-lock key"), "false");
        tdb.unlock_all_read().unwrap();
        assert!(matches!(tdb.unlock_all(), Err(Error::Lock(_))));
    });
}

#[test]
fn a_conflict_of_our_own_is_an_error() {
    each_kind(|_, tdb, _| {
        tdb.lock_chain(b"key").unwrap();
        assert!(matches!(tdb.try_lock_all(), Err(Error::Lock(_))));
        tdb.unlock_chain(b"key").unwrap();
        tdb.lock_all_read().unwrap();
        assert!(matches!(tdb.try_lock_chain(b"key"), Err(Error::Lock(_))));
    });
}

#[test]
fn a_marked_chain_is_accessed_under_the_lock_of_another() {
    each_kind(|_, tdb, peer| {
        assert_eq!(peer.ask("lock key"), "ok");
        tdb.mark_chain(b"key").unwrap();
        tdb.store(b"key", b"value", StoreMode::Replace).unwrap();
        assert_eq!(tdb.fetch(b"key").unwrap().unwrap(), b"value");
        tdb.unmark_chain(b"key").unwrap();
        assert!(matches!(tdb.unmark_chain(b"key"), Err(Error::Lock(_))));

        // The mark took nothing away from the holder.
        assert!(!tdb.try_lock_chain(b"key").unwrap());
        assert_eq!(peer.ask("fetch key"), "value");
        assert_eq!(peer.ask("unlock key"), "ok");
        assert!(tdb.try_lock_chain(b"key").unwrap());
    });
}

#[test]
fn a_marked_database_is_accessed_under_the_lock_of_another() {
    each_kind(|_, tdb, peer| {
        assert_eq!(peer.ask("lock-all"), "ok");
        tdb.mark_all().unwrap();
        for i in 0..200_u8 {
            tdb.store(&[b'k', i], &[i; 100], StoreMode::Replace)
                .unwrap();
        }
        let count = tdb.traverse_read(|_, _| std::ops::ControlFlow::Continue(()));
        assert_eq!(count.unwrap(), 200);
        assert!(matches!(tdb.begin(), Err(Error::Lock(_))));
        tdb.unmark_all().unwrap();
        assert!(matches!(tdb.unmark_all(), Err(Error::Lock(_))));
        assert!(!tdb.try_lock_chain(b"key").unwrap());
        assert_eq!(peer.ask("unlock-all"), "ok");
        assert!(tdb.try_lock_chain(b"key").unwrap());
    });
}

#[test]
fn a_transaction_under_the_lock_of_another() {
    each_kind(|_, tdb, peer| {
        assert_eq!(peer.ask("lock-all"), "ok");
        tdb.without_locks(Tdb::begin).unwrap().unwrap();
        tdb.wipe_all().unwrap();
        tdb.store(b"key", b"value", StoreMode::Replace).unwrap();
        tdb.without_locks(Tdb::commit).unwrap().unwrap();
        assert!(!tdb.flags().contains(Flags::NOLOCK));
        assert!(!tdb.try_lock_chain(b"key").unwrap());
        assert_eq!(peer.ask("fetch key"), "value");
        assert_eq!(peer.ask("unlock-all"), "ok");
        assert!(tdb.try_lock_chain(b"key").unwrap());
        assert_eq!(peer.ask("try-lock key"), "false");
    });
}

#[test]
fn locks_end_with_their_process() {
    for flags in kinds() {
        let fixture = Fixture::new();
        let tdb = fixture.open(flags);
        for lock in ["lock key", "lock-all"] {
            let mut peer = Peer::start(&fixture.path(), flags);
            assert_eq!(peer.ask(lock), "ok");
            assert!(!tdb.try_lock_chain(b"key").unwrap());
            peer.kill();
            assert!(tdb.try_lock_chain(b"key").unwrap());
            tdb.unlock_chain(b"key").unwrap();
        }
    }
}

#[test]
fn databases_of_two_threads_do_not_meet() {
    let work = |seed: u8| {
        for flags in kinds() {
            let fixture = Fixture::new();
            for round in 0..20 {
                let tdb = fixture.open(flags);
                tdb.store(&[seed], &[round], StoreMode::Replace).unwrap();
                assert_eq!(tdb.fetch(&[seed]).unwrap().unwrap(), [round]);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| work(1));
        scope.spawn(|| work(2));
    });
}

#[test]
fn a_traverse_of_another_process_is_noticed_while_it_stands_at_a_record() {
    each_kind(|_, tdb, peer| {
        tdb.store(b"key", b"value", StoreMode::Replace).unwrap();
        assert_eq!(peer.ask("lock key"), "ok");
        assert!(!tdb.is_traversed_elsewhere().unwrap(), "a lock is none");
        assert_eq!(peer.ask("unlock key"), "ok");
        assert_eq!(peer.ask("stand"), "standing");
        assert!(tdb.is_traversed_elsewhere().unwrap());
        assert_eq!(peer.answer(IN_TIME).as_deref(), Some("ok"));
        assert!(!tdb.is_traversed_elsewhere().unwrap());
    });
}

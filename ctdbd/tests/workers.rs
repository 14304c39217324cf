//! Worker processes against a real tdb: this process is ctdbd, and also the one that is in the way.
#![expect(clippy::unwrap_used, reason = "a test")]

mod workers_rig;

use std::time::Duration;

use ctdbd::workers::{Event, Job, JobId, Limits, Pool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tdb::{Flags, StoreMode};
use tokio::sync::mpsc::unbounded_channel;
use wire::Pnn;
use wire::coding::Encode;
use wire::types::DbFlags;
use workers_rig::{DB, FCNTL, PERSISTENT, Rig, buffer, database, eventually, lock, program};

async fn a_record_lock_is_waited_for(flags: Flags) {
    let mut rig = Rig::new(flags, Limits::default());
    rig.tdb.lock_chain(b"key").unwrap();
    rig.start(1, lock("key"));
    rig.expect_nothing().await;
    rig.tdb.unlock_chain(b"key").unwrap();
    rig.expect(1, Event::Locked).await;
    assert!(!rig.tdb.try_lock_chain(b"key").unwrap());
    rig.tdb.mark_chain(b"key").unwrap();
    rig.store("key", 1, 0, b"value");
    rig.tdb.unmark_chain(b"key").unwrap();
    rig.release(1);
    assert!(rig.comes_free("key").await);
    assert_eq!(rig.fetch("key"), Some((1, "value".into())));
}

#[tokio::test]
async fn a_record_lock_is_waited_for_with_fcntl() {
    a_record_lock_is_waited_for(FCNTL).await;
}

#[tokio::test]
async fn a_record_lock_is_waited_for_with_mutexes() {
    a_record_lock_is_waited_for(Flags::CTDB_VOLATILE).await;
}

async fn all_chains_are_waited_for(flags: Flags) {
    let mut rig = Rig::new(flags, Limits::default());
    rig.tdb.lock_chain(b"key").unwrap();
    rig.start(1, Job::LockAll);
    rig.expect_nothing().await;
    rig.tdb.unlock_chain(b"key").unwrap();
    rig.expect(1, Event::Locked).await;
    assert!(!rig.tdb.try_lock_chain(b"other").unwrap());
    rig.tdb.mark_all().unwrap();
    rig.store("key", 1, 0, b"value");
    rig.tdb.unmark_all().unwrap();
    rig.release(1);
    assert!(rig.comes_free("other").await);
}

#[tokio::test]
async fn all_chains_are_waited_for_with_fcntl() {
    all_chains_are_waited_for(FCNTL).await;
}

#[tokio::test]
async fn all_chains_are_waited_for_with_mutexes() {
    all_chains_are_waited_for(Flags::CTDB_VOLATILE).await;
}

async fn a_holder_that_is_killed_is_lost_and_its_lock_free(flags: Flags, what: Job) {
    let mut rig = Rig::new(flags, Limits::default());
    rig.start(1, what);
    rig.expect(1, Event::Locked).await;
    let pids = rig.workers();
    assert_eq!(pids.len(), 1);
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
    match rig.next().await {
        (1, Event::Lost { reason }) => assert!(reason.contains("signal: 9"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(rig.comes_free("key").await);
    // and the next job gets a new process
    rig.lock(2, "key").await;
}

#[tokio::test]
async fn a_killed_holder_of_a_chain() {
    a_holder_that_is_killed_is_lost_and_its_lock_free(FCNTL, lock("key")).await;
    a_holder_that_is_killed_is_lost_and_its_lock_free(Flags::CTDB_VOLATILE, lock("key")).await;
}

#[tokio::test]
async fn a_killed_holder_of_all_chains() {
    a_holder_that_is_killed_is_lost_and_its_lock_free(FCNTL, Job::LockAll).await;
    a_holder_that_is_killed_is_lost_and_its_lock_free(Flags::CTDB_VOLATILE, Job::LockAll).await;
}

#[tokio::test]
async fn a_wait_that_is_given_up_leaves_no_lock() {
    let mut rig = Rig::new(Flags::CTDB_VOLATILE, Limits::default());
    rig.tdb.lock_chain(b"key").unwrap();
    rig.start(1, lock("key"));
    rig.start(2, Job::LockAll);
    rig.expect_nothing().await;
    rig.release(1);
    rig.release(2);
    rig.tdb.unlock_chain(b"key").unwrap();
    assert!(rig.comes_free("key").await);
    // the waiter took the lock for nobody, or waits no more
    rig.lock(3, "key").await;
    rig.release(3);
    assert!(rig.comes_free("key").await);
    rig.expect_nothing().await;
}

#[tokio::test]
async fn a_commit_is_whole_or_nothing() {
    for flags in [PERSISTENT, FCNTL] {
        let mut rig = Rig::new(flags, Limits::default());
        assert_eq!(
            rig.commit(
                1,
                &buffer([("a", 1, "one"), ("b", 1, "two")]),
                DbFlags::PERSISTENT
            )
            .await,
            0
        );
        // "a" would do, "b" is not newer
        assert_eq!(
            rig.commit(
                2,
                &buffer([("a", 2, "new"), ("b", 1, "new")]),
                DbFlags::PERSISTENT
            )
            .await,
            1
        );
        assert_eq!(rig.fetch("a"), Some((1, "one".into())));
        assert_eq!(rig.fetch("b"), Some((1, "two".into())));
        // the same again does no harm
        assert_eq!(
            rig.commit(
                3,
                &buffer([("a", 1, "one"), ("b", 2, "new")]),
                DbFlags::PERSISTENT
            )
            .await,
            0
        );
        assert_eq!(rig.fetch("b"), Some((2, "new".into())));
        assert_eq!(
            rig.commit(4, &buffer([("b", 3, "x"), ("c", 1, "x")]), DbFlags::empty())
                .await,
            0
        );
        assert_eq!(
            (rig.fetch("b"), rig.fetch("c")),
            (Some((3, "x".into())), None)
        );
    }
}

#[tokio::test]
async fn a_commit_of_rubbish_is_refused() {
    let mut rig = Rig::new(PERSISTENT, Limits::default());
    let mut records = buffer([("a", 1, "one")]).to_bytes();
    records[4] = 9;
    rig.start(
        1,
        Job::Commit {
            records,
            kind: DbFlags::PERSISTENT,
        },
    );
    match rig.next().await {
        (1, Event::Committed { status: 1, reason }) => assert!(reason.contains("cannot read")),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.fetch("a"), None);
}

#[tokio::test]
async fn commits_are_carried_out_in_their_order() {
    let mut rig = Rig::new(FCNTL, Limits::default());
    let values: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    for (rsn, value) in (1..).zip(&values) {
        let records = buffer([("key", rsn, value.as_str())]).to_bytes();
        rig.start(
            rsn,
            Job::Commit {
                records,
                kind: DbFlags::PERSISTENT,
            },
        );
    }
    for job in 1..=50 {
        rig.expect(
            job,
            Event::Committed {
                status: 0,
                reason: String::new(),
            },
        )
        .await;
    }
    assert_eq!(rig.fetch("key"), Some((50, "49".into())));
    assert_eq!(rig.workers().len(), 1);
}

#[tokio::test]
async fn a_commit_that_is_killed_is_whole_or_nothing() {
    let keys: Vec<String> = (0..300).map(|n| format!("key {n}")).collect();
    for round in 0..8_u32 {
        let mut rig = Rig::new(FCNTL, Limits::default());
        let all = |rsn, value| buffer(keys.iter().map(move |key| (key.as_str(), rsn, value)));
        assert_eq!(rig.commit(1, &all(1, "old"), DbFlags::PERSISTENT).await, 0);
        let records = all(2, "new").to_bytes();
        rig.start(
            2,
            Job::Commit {
                records,
                kind: DbFlags::PERSISTENT,
            },
        );
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 400)).await;
        rig.pool.close(DB);
        assert!(eventually(|| rig.workers().is_empty()).await);
        // libtdb rolls back with the first lock
        rig.tdb.lock_all().unwrap();
        rig.tdb.unlock_all().unwrap();
        rig.tdb.check().unwrap();
        let first = rig.fetch(&keys[0]);
        assert!(
            keys.iter().all(|key| rig.fetch(key) == first),
            "round {round}: {first:?}"
        );
    }
}

/// Reads a traverse to its end.
async fn traversed(rig: &mut Rig, only_dmaster: Option<Pnn>, with_empty: bool) -> Vec<String> {
    let mut keys = Vec::new();
    rig.start(
        1,
        Job::Traverse {
            only_dmaster,
            with_empty,
        },
    );
    loop {
        match rig.next().await {
            (1, Event::Records(records)) => {
                let key = |(key, _)| String::from_utf8(key).unwrap();
                keys.extend(records.into_iter().map(key));
                rig.pool.credit(JobId(1));
            }
            (1, Event::Traversed { count }) => {
                assert_eq!(count, keys.len() as u64);
                keys.sort();
                return keys;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_traverse_shows_what_is_wanted() {
    let mut rig = Rig::new(Flags::CTDB_VOLATILE, Limits::default());
    rig.store("ours", 1, 1, b"value");
    rig.store("ours, empty", 1, 1, b"");
    rig.store("another's", 1, 2, b"value");
    rig.tdb.store(b"short", b"x", StoreMode::Replace).unwrap();
    assert_eq!(traversed(&mut rig, Some(Pnn(1)), false).await, ["ours"]);
    assert_eq!(
        traversed(&mut rig, Some(Pnn(1)), true).await,
        ["ours", "ours, empty"]
    );
    let all = ["another's", "ours", "ours, empty", "short"];
    assert_eq!(traversed(&mut rig, None, false).await, all);
    assert_eq!(rig.workers().len(), 1);
}

#[tokio::test]
async fn a_traverse_waits_for_credit() {
    let mut rig = Rig::new(FCNTL, Limits::default());
    for n in 0..10 {
        rig.store(&format!("key {n}"), 1, 0, &vec![0; 64 << 10]);
    }
    rig.start(
        1,
        Job::Traverse {
            only_dmaster: None,
            with_empty: false,
        },
    );
    for _ in 0..4 {
        assert!(matches!(rig.next().await, (1, Event::Records(_))));
    }
    for _ in 4..10 {
        rig.expect_nothing().await;
        rig.pool.credit(JobId(1));
        assert!(matches!(rig.next().await, (1, Event::Records(_))));
    }
    rig.expect(1, Event::Traversed { count: 10 }).await;
}

#[tokio::test]
async fn a_large_database_goes_through_and_a_given_up_traverse_ends() {
    let mut rig = Rig::new(FCNTL, Limits::default());
    for n in 0..400 {
        rig.store(&format!("key {n}"), 1, 0, &vec![0; 64 << 10]);
    }
    assert_eq!(traversed(&mut rig, None, false).await.len(), 400);
    // more than is read ahead: this one waits in the middle of the database, holding a record
    rig.start(
        2,
        Job::Traverse {
            only_dmaster: None,
            with_empty: false,
        },
    );
    assert!(matches!(rig.next().await, (2, Event::Records(_))));
    rig.release(2);
    rig.start(3, Job::LockAll);
    while rig.next().await != (3, Event::Locked) {}
}

#[tokio::test]
async fn no_more_processes_than_the_limit_and_first_come_first_served() {
    let limits = Limits {
        locks_per_db: 2,
        ..Limits::default()
    };
    let mut rig = Rig::new(FCNTL, limits);
    (0..6).for_each(|n| rig.start(n, lock(&format!("key {n}"))));
    let mut holding = vec![rig.next().await.0, rig.next().await.0];
    holding.sort_unstable();
    assert_eq!(holding, [0, 1]);
    for n in 0..4 {
        rig.expect_nothing().await;
        assert_eq!(rig.workers().len(), 2);
        rig.release(n);
        rig.expect(n + 2, Event::Locked).await;
    }
}

#[tokio::test]
async fn closing_a_database_ends_its_jobs_and_processes() {
    let mut rig = Rig::new(
        FCNTL,
        Limits {
            locks_per_db: 1,
            ..Limits::default()
        },
    );
    rig.lock(1, "key").await;
    rig.start(2, lock("queued"));
    rig.pool.close(DB);
    let reason = "database closed".to_owned();
    rig.expect(
        2,
        Event::Failed {
            reason: reason.clone(),
        },
    )
    .await;
    rig.expect(1, Event::Lost { reason }).await;
    assert!(rig.comes_free("key").await);
    assert!(eventually(|| rig.workers().is_empty()).await);
    rig.start(3, lock("key"));
    assert!(matches!(rig.next().await, (3, Event::Failed { .. })));
}

#[tokio::test]
async fn what_cannot_be_started_or_opened_fails_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = database(&dir.path().join("missing.tdb.0"), FCNTL);
    for (program, says) in [
        ("/nonexistent".into(), "cannot start"),
        (program(), "missing.tdb.0"),
    ] {
        let (sender, mut events) = unbounded_channel();
        let mut pool = Pool::new(program.into(), sender, Limits::default());
        pool.open(file.clone());
        for job in 0..3 {
            pool.start(JobId(job), DB, lock("key"));
            match events.recv().await {
                Some((_, Event::Failed { reason })) => assert!(reason.contains(says), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn the_processes_end_with_the_pool() {
    let Rig {
        mut pool,
        mut events,
        tdb,
        dir,
    } = Rig::new(FCNTL, Limits::default());
    tdb.lock_chain(b"key").unwrap();
    pool.start(JobId(1), DB, lock("key"));
    pool.start(
        JobId(2),
        DB,
        Job::Traverse {
            only_dmaster: None,
            with_empty: false,
        },
    );
    assert_eq!(
        events.recv().await,
        Some((JobId(2), Event::Traversed { count: 0 }))
    );
    assert_eq!(workers_rig::workers(dir.path()).len(), 2);
    drop(pool);
    assert!(eventually(|| workers_rig::workers(dir.path()).is_empty()).await);
}

use wire::types::DbFlags;

use super::*;

const DB: DbId = DbId(1);

fn file(db: DbId) -> DatabaseFile {
    DatabaseFile {
        db,
        name: "test.tdb".into(),
        path: "/nowhere".into(),
        flags: 0,
        hash_size: 1,
    }
}

fn dispatch(limits: Limits) -> Dispatch {
    let mut dispatch = Dispatch::new(limits);
    dispatch.open(file(DB));
    dispatch
}

fn lock(key: &str) -> Job {
    Job::LockRecord { key: key.into() }
}

fn commit() -> Job {
    Job::Commit {
        records: Vec::new(),
        kind: DbFlags::PERSISTENT,
    }
}

fn failed(reason: &str) -> Event {
    Event::Failed {
        reason: reason.into(),
    }
}

fn lost(reason: &str) -> Event {
    Event::Lost {
        reason: reason.into(),
    }
}

/// The actions as short lines.
fn actions(dispatch: &mut Dispatch) -> Vec<String> {
    let short = |action| match action {
        Action::Spawn(id, _) => format!("spawn {}", id.0),
        Action::Send(id, Request::Start(Job::LockRecord { key })) => {
            format!("{}: lock {}", id.0, String::from_utf8_lossy(&key))
        }
        Action::Send(id, Request::Start(Job::LockAll)) => format!("{}: lock all", id.0),
        Action::Send(id, Request::Start(Job::Commit { .. })) => format!("{}: commit", id.0),
        Action::Send(id, Request::Start(Job::Traverse { .. })) => format!("{}: walk", id.0),
        Action::Send(id, request) => format!("{}: {request:?}", id.0),
        Action::Kill(id) => format!("kill {}", id.0),
        Action::Emit(job, event) => format!("job {}: {event:?}", job.0),
    };
    dispatch.take_actions().into_iter().map(short).collect()
}

fn skip(dispatch: &mut Dispatch) {
    dispatch.take_actions();
}

/// Starts a lock job and has it locked.
fn hold(dispatch: &mut Dispatch, job: u64, key: &str, worker: u64) {
    dispatch.start(JobId(job), DB, lock(key));
    dispatch.on_reply(WorkerId(worker), Reply::Locked);
    skip(dispatch);
}

#[test]
fn a_lock_is_held_until_released_and_the_worker_used_again() {
    let mut d = dispatch(Limits::default());
    d.start(JobId(1), DB, lock("a"));
    assert_eq!(actions(&mut d), ["spawn 0", "0: lock a"]);
    d.on_reply(WorkerId(0), Reply::Locked);
    assert_eq!(actions(&mut d), ["job 1: Locked"]);
    d.release(JobId(1));
    assert_eq!(actions(&mut d), ["0: Unlock"]);
    d.on_reply(WorkerId(0), Reply::Unlocked);
    d.start(JobId(2), DB, Job::LockAll);
    assert_eq!(actions(&mut d), ["0: lock all"]);
}

#[test]
fn locks_beyond_the_limit_wait_in_order() {
    let mut d = dispatch(Limits {
        locks_per_db: 2,
        ..Limits::default()
    });
    hold(&mut d, 1, "a", 0);
    hold(&mut d, 2, "b", 1);
    for (job, key) in [(3, "c"), (4, "d"), (5, "e")] {
        d.start(JobId(job), DB, lock(key));
    }
    assert_eq!(actions(&mut d), [""; 0]);
    d.release(JobId(4));
    d.release(JobId(2));
    d.on_reply(WorkerId(1), Reply::Unlocked);
    assert_eq!(actions(&mut d), ["1: Unlock", "1: lock c"]);
    d.set_lock_limit(3);
    assert_eq!(actions(&mut d), ["spawn 2", "2: lock e"]);
}

#[test]
fn a_full_lane_does_not_hold_up_the_others() {
    let mut d = dispatch(Limits {
        locks_per_db: 1,
        ..Limits::default()
    });
    hold(&mut d, 1, "a", 0);
    d.start(JobId(2), DB, lock("b"));
    d.start(JobId(3), DB, Job::LockAll);
    d.start(JobId(4), DB, commit());
    d.start(
        JobId(5),
        DB,
        Job::Traverse {
            only_dmaster: None,
            with_empty: true,
        },
    );
    let expected = [
        "spawn 1",
        "1: lock all",
        "spawn 2",
        "2: commit",
        "spawn 3",
        "3: walk",
    ];
    assert_eq!(actions(&mut d), expected);
}

#[test]
fn commits_run_one_after_another() {
    let mut d = dispatch(Limits::default());
    (1..=3).for_each(|job| d.start(JobId(job), DB, commit()));
    assert_eq!(actions(&mut d), ["spawn 0", "0: commit"]);
    d.on_reply(
        WorkerId(0),
        Reply::Committed {
            status: 0,
            reason: String::new(),
        },
    );
    let done = "job 1: Committed { status: 0, reason: \"\" }";
    assert_eq!(actions(&mut d), [done, "0: commit"]);
    // given up in the middle: the next waits until the process is really gone
    d.release(JobId(2));
    assert_eq!(actions(&mut d), ["kill 0"]);
    d.on_gone(WorkerId(0), "killed");
    assert_eq!(actions(&mut d), ["spawn 1", "1: commit"]);
}

#[test]
fn a_released_waiter_is_adopted_by_the_next_for_its_key() {
    let mut d = dispatch(Limits {
        locks_per_db: 1,
        ..Limits::default()
    });
    d.start(JobId(1), DB, lock("a"));
    d.release(JobId(1));
    skip(&mut d);
    d.start(JobId(2), DB, lock("b"));
    assert_eq!(actions(&mut d), ["spawn 1", "1: lock b"]);
    d.release(JobId(2));
    d.start(JobId(3), DB, lock("a"));
    assert_eq!(actions(&mut d), [""; 0]);
    d.on_reply(WorkerId(0), Reply::Locked);
    d.on_reply(WorkerId(1), Reply::Locked);
    assert_eq!(actions(&mut d), ["job 3: Locked", "1: Unlock"]);
    d.on_reply(WorkerId(1), Reply::Unlocked);
    d.release(JobId(3));
    assert_eq!(actions(&mut d), ["0: Unlock"]);
}

#[test]
fn too_many_abandoned_waiters_are_killed() {
    let mut d = dispatch(Limits {
        abandoned_per_db: 1,
        ..Limits::default()
    });
    d.start(JobId(1), DB, lock("a"));
    d.start(JobId(2), DB, lock("b"));
    skip(&mut d);
    d.release(JobId(1));
    assert_eq!(actions(&mut d), [""; 0]);
    d.release(JobId(2));
    assert_eq!(actions(&mut d), ["kill 0"]);
}

#[test]
fn a_released_wait_for_all_chains_is_killed() {
    let mut d = dispatch(Limits::default());
    d.start(JobId(1), DB, Job::LockAll);
    d.start(JobId(2), DB, Job::LockAll);
    skip(&mut d);
    d.release(JobId(1));
    assert_eq!(actions(&mut d), ["kill 0"]);
    d.on_reply(WorkerId(0), Reply::Locked);
    d.on_gone(WorkerId(0), "killed");
    assert_eq!(actions(&mut d), ["spawn 1", "1: lock all"]);
}

#[test]
fn a_worker_that_dies_loses_its_job_only() {
    let mut d = dispatch(Limits {
        locks_per_db: 1,
        ..Limits::default()
    });
    hold(&mut d, 1, "a", 0);
    d.start(JobId(2), DB, lock("b"));
    d.on_gone(WorkerId(0), "signal 9");
    let lost = format!("job 1: {:?}", lost("signal 9"));
    assert_eq!(actions(&mut d), [lost.as_str(), "spawn 1", "1: lock b"]);
    d.release(JobId(1));
    assert_eq!(actions(&mut d), [""; 0]);
}

#[test]
fn an_idle_worker_that_dies_is_not_used_again() {
    let mut d = dispatch(Limits::default());
    d.start(JobId(1), DB, commit());
    d.on_reply(
        WorkerId(0),
        Reply::Committed {
            status: 0,
            reason: String::new(),
        },
    );
    d.on_gone(WorkerId(0), "signal 9");
    skip(&mut d);
    d.start(JobId(2), DB, commit());
    assert_eq!(actions(&mut d), ["spawn 1", "1: commit"]);
}

#[test]
fn what_cannot_be_started_fails() {
    let mut d = dispatch(Limits::default());
    d.start(JobId(1), DB, lock("a"));
    skip(&mut d);
    d.on_unborn(WorkerId(0), "no more files");
    assert_eq!(
        actions(&mut d),
        [format!("job 1: {:?}", failed("no more files"))]
    );
    d.start(JobId(2), DbId(9), lock("a"));
    let reason = format!("database {} is not open", DbId(9));
    assert_eq!(actions(&mut d), [format!("job 2: {:?}", failed(&reason))]);
}

#[test]
fn records_pass_until_the_walk_is_over() {
    let mut d = dispatch(Limits::default());
    d.start(
        JobId(1),
        DB,
        Job::Traverse {
            only_dmaster: None,
            with_empty: false,
        },
    );
    skip(&mut d);
    d.on_reply(WorkerId(0), Reply::Records(Vec::new()));
    d.credit(JobId(1));
    d.on_reply(WorkerId(0), Reply::Traversed { count: 5 });
    d.credit(JobId(1));
    let expected = [
        "job 1: Records([])",
        "0: Credit",
        "job 1: Traversed { count: 5 }",
    ];
    assert_eq!(actions(&mut d), expected);
}

#[test]
fn closing_ends_every_job_and_opening_again_starts_afresh() {
    let mut d = dispatch(Limits {
        locks_per_db: 1,
        ..Limits::default()
    });
    hold(&mut d, 1, "a", 0);
    d.start(JobId(2), DB, lock("b"));
    d.start(JobId(3), DB, commit());
    skip(&mut d);
    d.release(JobId(3));
    d.close(DB);
    let (queued, held) = (failed("database closed"), lost("database closed"));
    let expected = [
        "kill 1".into(),
        format!("job 2: {queued:?}"),
        format!("job 1: {held:?}"),
        "kill 0".into(),
        "kill 1".into(),
    ];
    assert_eq!(actions(&mut d), expected);
    d.open(file(DB));
    d.start(JobId(4), DB, commit());
    d.on_gone(WorkerId(0), "killed");
    d.on_gone(WorkerId(1), "killed");
    assert_eq!(actions(&mut d), ["spawn 2", "2: commit"]);
}

#[test]
fn workers_that_stay_idle_are_killed() {
    let mut d = dispatch(Limits::default());
    assert!(!d.has_idle());
    hold(&mut d, 1, "a", 0);
    hold(&mut d, 2, "b", 1);
    for (job, worker) in [(1, 0), (2, 1)] {
        d.release(JobId(job));
        d.on_reply(WorkerId(worker), Reply::Unlocked);
    }
    assert!(d.has_idle());
    d.retire();
    skip(&mut d);
    // the last one that rested is the first to be used again
    hold(&mut d, 3, "c", 1);
    d.release(JobId(3));
    d.on_reply(WorkerId(1), Reply::Unlocked);
    skip(&mut d);
    d.retire();
    assert_eq!(
        actions(&mut d),
        ["kill 0"],
        "the other one has worked since"
    );
    d.retire();
    assert_eq!(actions(&mut d), ["kill 1"]);
    assert!(!d.has_idle());
}

#[test]
fn idle_workers_beyond_the_limits_are_killed() {
    let mut d = dispatch(Limits {
        idle_per_db: 2,
        idle_in_all: 3,
        ..Limits::default()
    });
    (0..3).for_each(|n| hold(&mut d, n, "a", n));
    (0..3).for_each(|n| d.release(JobId(n)));
    skip(&mut d);
    (0..3).for_each(|n| d.on_reply(WorkerId(n), Reply::Unlocked));
    assert_eq!(actions(&mut d), ["kill 0"]);
    let other = DbId(2);
    d.open(file(other));
    d.start(JobId(10), other, Job::LockAll);
    d.start(JobId(11), other, commit());
    skip(&mut d);
    for worker in [3, 4] {
        d.on_reply(
            WorkerId(worker),
            Reply::Failed {
                reason: "no".into(),
            },
        );
    }
    let killed: Vec<_> = actions(&mut d)
        .into_iter()
        .filter(|a| a.starts_with("kill"))
        .collect();
    assert_eq!(killed.len(), 1);
}

#[test]
fn a_worker_that_breaks_the_rules_is_killed() {
    let mut d = dispatch(Limits::default());
    d.start(JobId(1), DB, commit());
    skip(&mut d);
    d.on_reply(WorkerId(0), Reply::Locked);
    let lost = format!("job 1: {:?}", lost("unexpected reply of a worker"));
    assert_eq!(actions(&mut d), [lost.as_str(), "kill 0"]);
}

#[test]
fn a_worker_that_cannot_open_its_database_fails_its_job_and_gets_no_other() {
    let mut d = dispatch(Limits::default());
    d.start(JobId(1), DB, commit());
    d.start(JobId(2), DB, commit());
    skip(&mut d);
    d.on_reply(
        WorkerId(0),
        Reply::Unusable {
            reason: "no file".into(),
        },
    );
    let failed = format!("job 1: {:?}", failed("no file"));
    assert_eq!(actions(&mut d), [failed.as_str(), "kill 0"]);
    d.on_gone(WorkerId(0), "ended");
    assert_eq!(actions(&mut d), ["spawn 1", "1: commit"]);
}

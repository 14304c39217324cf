//! What is left behind by many workers: nothing. One test in a process of its own, since descriptors, children and limits
//! belong to the whole process.
#![expect(clippy::unwrap_used, reason = "a test")]

#[expect(dead_code, reason = "the other test file uses more of it")]
mod workers_rig;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use ctdbd::workers::{Event, Job, JobId, Limits};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tdb::Flags;
use workers_rig::{Rig, eventually, lock, workers};

const PARENT: &str = "WORKERS_TEST_PARENT";

#[tokio::test]
async fn nothing_is_left_behind() {
    if std::env::var_os(PARENT).is_some() {
        return be_a_parent().await;
    }
    let inherited = descriptors("self");
    let mut rig = Rig::new(Flags::CTDB_VOLATILE, Limits::default());
    many_cycles(&mut rig).await;
    no_descriptors_but_its_own(&rig, &inherited);
    no_more_descriptors(&mut rig).await;
    drop(rig);
    assert!(eventually(|| zombies() == 0).await);
    workers_die_with_a_killed_parent().await;
}

/// Locks, commits and traverses, done, given up and cut off.
async fn many_cycles(rig: &mut Rig) {
    one_cycle(rig, 0).await;
    assert!(eventually(|| rig.workers().len() <= 4 && zombies() == 0).await);
    let before = descriptors("self").len();
    for cycle in 1..60 {
        one_cycle(rig, cycle).await;
    }
    let quiet =
        || rig.workers().len() <= 4 && zombies() == 0 && descriptors("self").len() <= before;
    let calm = eventually(quiet).await;
    let after = descriptors("self").len();
    assert!(
        calm,
        "{} workers, {after} descriptors, {before} before",
        rig.workers().len()
    );
}

async fn one_cycle(rig: &mut Rig, cycle: u64) {
    let first = cycle * 10;
    (0..6).for_each(|n| rig.start(first + n, lock(&format!("key {n}"))));
    rig.start(first + 6, Job::LockAll);
    let traverse = Job::Traverse {
        only_dmaster: None,
        with_empty: false,
    };
    rig.start(first + 7, traverse);
    let mut locked = 0;
    while locked < 6 {
        match rig.next().await {
            (job, Event::Locked) => {
                locked += u64::from(job < first + 6);
                rig.release(job);
            }
            (_, Event::Traversed { .. }) => {}
            (job, _) if job < first => {}
            other => panic!("{other:?}"),
        }
    }
    rig.release(first + 6);
    // some events of the cycle may still be under way
    rig.start(first + 8, Job::LockAll);
    while rig.next().await != (first + 8, Event::Locked) {}
    rig.release(first + 8);
}

/// Children of this process that are dead and were not waited for.
fn zombies() -> usize {
    let own = format!(") Z {} ", std::process::id());
    let stat = |pid| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    workers_rig::processes()
        .filter(|pid| stat(*pid).contains(&own))
        .count()
}

fn descriptors(pid: &str) -> Vec<OsString> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

/// Standard input (twice: a copy of its own), output and error, and the database; and whatever this process was itself
/// given by the one that started it.
fn no_descriptors_but_its_own(rig: &Rig, inherited: &[OsString]) {
    for pid in rig.workers() {
        let link = |fd: &Path| fs::read_link(fd).unwrap_or_default();
        let stdin = link(format!("/proc/{pid}/fd/0").as_ref());
        for fd in descriptors(&pid.to_string()) {
            let target = link(
                &Path::new("/proc")
                    .join(pid.to_string())
                    .join("fd")
                    .join(&fd),
            );
            let standard = matches!(fd.to_str(), Some("0" | "1" | "2"));
            let own = target == stdin || target == rig.tdb.path() || target == Path::new("");
            let ok = standard || own || inherited.contains(&fd);
            assert!(ok, "{}: {}", fd.display(), target.display());
        }
    }
}

async fn no_more_descriptors(rig: &mut Rig) {
    // all those that idle are busy, so the next needs a new one
    (0..8).for_each(|n| rig.start(1000 + n, lock(&format!("key {n}"))));
    let mut locked = 0;
    while locked < 8 {
        match rig.next().await {
            (1000.., Event::Locked) => locked += 1,
            (..1000, _) => {} // of the last cycle
            other => panic!("{other:?}"),
        }
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
    // one or another may still come to rest and do it
    let mut reason = None;
    for job in 2000..2010 {
        rig.start(job, lock(&format!("another {job}")));
        if let (_, Event::Failed { reason: why }) = rig.next().await {
            reason = Some(why);
            break;
        }
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let reason = reason.expect("a worker that cannot be started");
    assert!(reason.contains("Too many open files"), "{reason}");
    rig.lock(2010, "another").await;
    (1000..=2010).for_each(|job| rig.release(job));
}

/// One worker holds a lock and another waits inside libtdb when their parent is killed.
async fn workers_die_with_a_killed_parent() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_is_left_behind", "--nocapture"])
        .env(PARENT, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let dir = lines.map_while(Result::ok);
    let dir = dir.filter_map(|line| line.split_once("ready ").map(|(_, dir)| dir.to_owned()));
    let dir = dir.take(1).collect::<String>();
    assert_eq!(workers(dir.as_ref()).len(), 2);
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(eventually(|| workers(dir.as_ref()).is_empty()).await);
    fs::remove_dir_all(dir).unwrap();
}

async fn be_a_parent() {
    let mut rig = Rig::new(Flags::CTDB_VOLATILE, Limits::default());
    rig.lock(1, "key").await;
    rig.pool.start(JobId(2), workers_rig::DB, lock("key"));
    assert!(eventually(|| rig.workers().len() == 2).await);
    rig.expect_nothing().await;
    println!("ready {}", rig.dir.path().display());
    std::future::pending::<()>().await;
}

//! ctdbd's own access to the databases, together with the workers that wait for it.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ctdbd::tdb_store::{Settings, TdbStore};
use ctdbd::workers::{DatabaseFile, Event, Job, JobId, Limits, Pool};
use database::frozen::{Order, Pull};
use database::store::{Lock, Opened, Store, Stored};
use tdb::{Flags, OpenOptions, Tdb};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use wire::coding::{Decode, Encode};
use wire::tunables::Tunables;
use wire::types::{DbFlags, RecBuffer, RecordHeader};
use wire::{DbId, Pnn, ReqId};

const DB: DbId = DbId(7);
const VOLATILE: DbFlags = DbFlags::empty();

fn settings(dir: &Path) -> Settings {
    for name in ["volatile", "persistent", "state"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    Settings {
        pnn: Pnn(3),
        volatile_dir: dir.join("volatile"),
        persistent_dir: dir.join("persistent"),
        state_dir: dir.join("state"),
        hash_size: 101,
        max_dead: 5,
        mutexes: true,
    }
}

fn header(rsn: u64) -> RecordHeader {
    RecordHeader {
        rsn,
        ..RecordHeader::default()
    }
}

/// A store with one database, and a pool that knows it.
struct Rig {
    pool: Pool,
    events: UnboundedReceiver<(JobId, Event)>,
    store: TdbStore,
    opened: Opened,
    dir: TempDir,
}

impl Rig {
    fn new(kind: DbFlags) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = TdbStore::new(settings(dir.path())).unwrap();
        let opened = store.open(DB, "test.tdb", kind).unwrap();
        let (sender, events) = unbounded_channel();
        let program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_ctdb-database-worker"));
        let mut pool = Pool::new(program.into(), sender, Limits::default());
        pool.open(DatabaseFile {
            db: DB,
            name: "test.tdb".into(),
            path: opened.path.clone().into(),
            flags: opened.open_flags,
            hash_size: opened.hash_size,
        });
        Self {
            pool,
            events,
            store,
            opened,
            dir,
        }
    }

    async fn locked(&mut self, job: u64, what: Job) {
        self.pool.start(JobId(job), DB, what);
        let next = timeout(Duration::from_secs(20), self.events.recv()).await;
        assert_eq!(next.unwrap(), Some((JobId(job), Event::Locked)));
    }

    fn put(&mut self, key: &str, rsn: u64, value: &str) {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        self.store.store(DB, key, &header(rsn), value).unwrap();
    }

    fn get(&mut self, key: &str) -> Option<(u64, String)> {
        let stored = self.store.fetch(DB, key.as_bytes()).unwrap();
        stored.map(|s| (s.header.rsn, String::from_utf8(s.data).unwrap()))
    }

    /// Has the holder of the database do something; what it showed, and its answer.
    async fn order(&mut self, order: Order) -> (Vec<RecBuffer>, Result<u32, String>) {
        self.pool.order(JobId(1), order);
        let mut shown = Vec::new();
        loop {
            let next = timeout(Duration::from_secs(20), self.events.recv()).await;
            match next.unwrap() {
                Some((_, Event::Pulled(bytes))) => {
                    shown.push(RecBuffer::from_bytes(&bytes).unwrap());
                }
                Some((_, Event::Ordered(done))) => return (shown, done),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn done(&mut self, order: Order) {
        assert_eq!(self.order(order).await, (Vec::new(), Ok(0)));
    }

    /// What a recovery pulls, with at most two records in a message.
    async fn keys(&mut self) -> Vec<String> {
        let pull = Pull {
            db: DB,
            name: "test.tdb".into(),
            buffer_limit: 70,
            count_warn: 0,
            record_size_warn: 0,
            size_warn: 0,
        };
        let (shown, count) = self.order(Order::Pull(pull)).await;
        assert!(shown.iter().all(|buffer| buffer.count <= 2), "{shown:?}");
        let records = shown.iter().flat_map(RecBuffer::records);
        let key = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let mut keys: Vec<String> = records.map(|record| key(record.unwrap().key)).collect();
        assert_eq!(count, Ok(keys.len() as u32));
        keys.sort();
        keys
    }

    /// Pushes records without waiting: there is no answer to each.
    fn push(&mut self, records: &[(&str, u64, &str)]) {
        let mut buffer = RecBuffer::new(DB);
        for (key, rsn, value) in records {
            let header = Some(header(*rsn));
            buffer.push(ReqId(0), header, key.as_bytes(), value.as_bytes());
        }
        self.pool.order(JobId(1), Order::Push(buffer.to_bytes()));
    }
}

fn lock(key: &str) -> Job {
    Job::LockRecord { key: key.into() }
}

#[test]
fn files_have_upstreams_names_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TdbStore::new(settings(dir.path())).unwrap();
    let kinds = [
        ("a.tdb", VOLATILE, "volatile/a.tdb.3", 0x1c41),
        ("b.tdb", DbFlags::REPLICATED, "volatile/b.tdb.3", 0x0c41),
        ("c.tdb", DbFlags::PERSISTENT, "persistent/c.tdb.3", 0x0400),
    ];
    for (id, (name, kind, path, flags)) in (0..).zip(kinds) {
        let opened = store.open(DbId(id), name, kind).unwrap();
        assert_eq!(opened.path, dir.path().join(path).to_str().unwrap());
        assert_eq!((opened.open_flags, opened.hash_size), (flags, 101));
    }
    assert!(store.open(DbId(0), "a.tdb", VOLATILE).is_err());
    assert!(dir.path().join("state/persistent_health.tdb.3").exists());
}

#[test]
fn records_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TdbStore::new(settings(dir.path())).unwrap();
    assert!(store.fetch(DB, b"key").is_err());
    store.open(DB, "test.tdb", VOLATILE).unwrap();
    assert_eq!(store.fetch(DB, b"key"), Ok(None));
    assert_eq!(store.try_lock(DB, b"key"), Ok(Lock::Held));
    store.store(DB, b"key", &header(5), b"value").unwrap();
    let stored = Stored {
        header: header(5),
        data: b"value".to_vec(),
    };
    assert_eq!(store.fetch(DB, b"key"), Ok(Some(stored)));
    store.unlock(DB, b"key");
    store.delete(DB, b"key").unwrap();
    store.delete(DB, b"key").unwrap();
    assert_eq!(store.fetch(DB, b"key"), Ok(None));
}

#[tokio::test]
async fn a_chain_that_a_worker_holds_is_busy_until_it_is_marked() {
    let mut rig = Rig::new(VOLATILE);
    rig.locked(1, lock("key")).await;
    assert_eq!(rig.store.try_lock(DB, b"key"), Ok(Lock::Busy));
    let start = Instant::now();
    let error = rig.store.fetch(DB, b"key").unwrap_err().to_string();
    assert!(error.contains("locked by another process"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    rig.store.mark(DB, b"key");
    rig.put("key", 1, "value");
    assert_eq!(rig.get("key"), Some((1, "value".into())));
    rig.store.unmark(DB, b"key");
    rig.pool.release(JobId(1));
    rig.locked(2, lock("key")).await;
}

#[tokio::test]
async fn a_recovery_under_a_freeze() {
    for kind in [VOLATILE, DbFlags::REPLICATED, DbFlags::PERSISTENT] {
        let mut rig = Rig::new(kind);
        for key in ["old", "older", "oldest"] {
            rig.put(key, 1, "one");
        }
        rig.locked(1, Job::LockAll).await;
        rig.done(Order::Begin).await;
        assert_eq!(rig.keys().await, ["old", "older", "oldest"]);
        rig.done(Order::Wipe).await;
        rig.push(&[("new", 2, "two")]);
        // the leader is gone before it confirms; the next one starts over
        rig.done(Order::Begin).await;
        assert_eq!(rig.keys().await, ["old", "older", "oldest"]);
        // the daemon reads beside it
        rig.store.mark_all(DB).unwrap();
        assert_eq!(rig.get("old"), Some((1, "one".into())));
        rig.store.unmark_all(DB);
        rig.done(Order::Wipe).await;
        rig.push(&[("new", 2, "two"), ("newer", 2, "three")]);
        rig.push(&[("newest", 3, "four")]);
        rig.done(Order::Confirm).await;
        rig.done(Order::Commit).await;
        assert_eq!(rig.keys().await, ["new", "newer", "newest"]);
        rig.pool.release(JobId(1));
        // and other processes see it
        rig.locked(2, lock("new")).await;
        rig.store.mark(DB, b"new");
        assert_eq!(rig.get("new"), Some((2, "two".into())));
        rig.store.unmark(DB, b"new");
    }
}

#[tokio::test]
async fn what_was_not_committed_ends_with_the_freeze() {
    for kind in [VOLATILE, DbFlags::REPLICATED, DbFlags::PERSISTENT] {
        let mut rig = Rig::new(kind);
        rig.put("old", 1, "one");
        rig.locked(1, Job::LockAll).await;
        let refused = Err("no transaction".to_owned());
        assert_eq!(rig.order(Order::Commit).await.1, refused);
        assert_eq!(rig.order(Order::Wipe).await.1, refused);
        rig.done(Order::Begin).await;
        rig.done(Order::Wipe).await;
        rig.pool.order(JobId(1), Order::Push(b"no buffer".to_vec()));
        assert!(rig.order(Order::Confirm).await.1.is_err());
        rig.push(&[("new", 2, "two")]);
        // nobody waits for the answer to the last order
        rig.pool.order(JobId(1), Order::Confirm);
        rig.pool.release(JobId(1));
        rig.locked(2, lock("old")).await;
        rig.store.mark(DB, b"old");
        assert_eq!(rig.get("old"), Some((1, "one".into())));
        rig.put("old", 2, "again");
        rig.store.unmark(DB, b"old");
        rig.pool.release(JobId(2));
        rig.locked(3, lock("new")).await;
        rig.store.mark(DB, b"new");
        assert_eq!(rig.get("new"), None);
        rig.store.unmark(DB, b"new");
    }
}

#[tokio::test]
async fn a_volatile_file_in_use_is_not_wiped() {
    let Rig {
        mut pool,
        mut events,
        mut store,
        opened,
        dir,
    } = Rig::new(VOLATILE);
    store.store(DB, b"key", &header(1), b"value").unwrap();
    pool.start(JobId(1), DB, lock("other"));
    assert_eq!(events.recv().await, Some((JobId(1), Event::Locked)));
    drop(store);
    // the daemon is gone, but a process that has the file open is not
    let before = fs::read(&opened.path).unwrap();
    let waiting = std::thread::spawn({
        let settings = settings(dir.path());
        move || {
            TdbStore::new(settings).map(|mut store| store.open(DB, "test.tdb", VOLATILE).map(drop))
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    assert!(fs::read(&opened.path).unwrap() == before);
    drop(pool);
    while !waiting.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waiting.join().unwrap().unwrap(), Ok(()));
}

#[tokio::test]
async fn an_attach_of_a_file_in_use_names_the_process() {
    let mut rig = Rig::new(VOLATILE);
    rig.locked(1, lock("key")).await;
    rig.store.close(DB);
    let error = rig.store.open(DB, "test.tdb", VOLATILE).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("is still open in process "), "{error}");
    assert!(rig.dir.path().join("volatile/test.tdb.3").exists());
}

#[test]
fn a_damaged_persistent_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TdbStore::new(settings(dir.path())).unwrap();
    let path = store
        .open(DB, "test.tdb", DbFlags::PERSISTENT)
        .unwrap()
        .path;
    for n in 0..100_u32 {
        store
            .store(DB, &n.to_ne_bytes(), &header(1), &[7; 100])
            .unwrap();
    }
    store.close(DB);
    let whole = fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn[2000..6000].fill(0x55);
    for damaged in [
        torn,
        b"this is no tdb".repeat(100),
        whole[..whole.len() / 2].to_vec(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let result = store.open(DB, "test.tdb", DbFlags::PERSISTENT);
        assert!(result.is_err(), "{result:?}");
        assert!(fs::read(&path).unwrap() == damaged);
    }
    fs::write(&path, whole).unwrap();
    store.open(DB, "test.tdb", DbFlags::PERSISTENT).unwrap();
}

#[test]
fn an_unhealthy_database_is_not_attached_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TdbStore::new(settings(dir.path())).unwrap();
    store.open(DB, "test.tdb", DbFlags::PERSISTENT).unwrap();
    assert_eq!(store.unhealthy_reason(DB), None);
    store.set_unhealthy(DB, Some("a failed write")).unwrap();
    assert_eq!(store.unhealthy_reason(DB), Some("a failed write".into()));
    store.set_unhealthy(DB, None).unwrap();
    assert_eq!(store.unhealthy_reason(DB), None);
    store.set_unhealthy(DB, Some("another")).unwrap();
    drop(store);
    let mut store = TdbStore::new(settings(dir.path())).unwrap();
    let error = store.open(DB, "test.tdb", DbFlags::PERSISTENT).unwrap_err();
    assert!(error.to_string().contains("unhealthy: another"), "{error}");
}

#[test]
fn changes_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TdbStore::new(settings(dir.path())).unwrap();
    store.open(DB, "test.tdb", VOLATILE).unwrap();
    store.enable_seqnum(DB);
    let before = store.seqnum(DB);
    store.store(DB, b"key", &header(1), b"value").unwrap();
    store.bump_seqnum(DB);
    assert_eq!(store.seqnum(DB), before + 2);
}

/// Of a file that deletions have left full of holes the free space is gathered, while this process has it open.
#[tokio::test]
async fn a_ragged_file_is_repacked() {
    let mut rig = Rig::new(VOLATILE);
    let all = |rig: &mut Rig| -> Vec<_> {
        let numbers = 0..3000;
        numbers.map(|n| rig.get(&format!("key {n}"))).collect()
    };
    for n in 0..3000 {
        // of many sizes, so that no hole fits the next record
        rig.put(&format!("key {n}"), 1, &"v".repeat(1 + n * 7 % 400));
    }
    for n in (0..3000).filter(|n| n % 3 != 0) {
        rig.store.delete(DB, format!("key {n}").as_bytes()).unwrap();
    }
    let before = all(&mut rig);
    let mut repack = async |job: u64, limit| {
        rig.pool.start(JobId(job), DB, Job::Repack { limit });
        let next = timeout(Duration::from_secs(20), rig.events.recv()).await;
        match next.unwrap() {
            Some((_, Event::Repacked { free, repacked })) => (free, repacked),
            other => panic!("{other:?}"),
        }
    };
    let (ragged, repacked) = repack(1, 1_000_000).await;
    assert!(ragged > 500 && !repacked, "{ragged}");
    // counting joins neighbours, so there are fewer now
    assert!(repack(2, 100).await.1);
    let (free, repacked) = repack(3, 1_000_000).await;
    assert!(free < ragged / 4 && !repacked, "{free} of {ragged}");
    assert!(all(&mut rig) == before);
    rig.put("key 1", 2, "again");
    assert_eq!(rig.get("key 1"), Some((2, "again".to_owned())));
}

/// DatabaseHashSize and DatabaseMaxDead as they are when a database is attached.
#[test]
fn a_file_has_the_chains_and_the_dead_records_of_the_tunables() {
    for (chains, dead) in [(1, 0), (1, 4), (7, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = TdbStore::new(settings(dir.path())).unwrap();
        store.tunables_changed(&Tunables {
            database_hash_size: chains,
            database_max_dead: dead,
            ..Tunables::default()
        });
        let opened = store.open(DB, "test.tdb", VOLATILE).unwrap();
        assert_eq!(opened.hash_size, chains);
        for n in 0_u32..10 {
            let key = n.to_ne_bytes();
            store.store(DB, &key, &header(1), b"value").unwrap();
        }
        for n in 0_u32..10 {
            store.delete(DB, &n.to_ne_bytes()).unwrap();
        }
        drop(store);
        let options = OpenOptions {
            flags: Flags::INCOMPATIBLE_HASH | Flags::NOLOCK,
            ..OpenOptions::default()
        };
        let summary = Tdb::open(&opened.path, &options)
            .unwrap()
            .summary()
            .unwrap();
        let line = format!("Number of dead records: {dead}\n");
        assert!(summary.contains(&line), "DatabaseMaxDead={dead}: {summary}");
    }
}

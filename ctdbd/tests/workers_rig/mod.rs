//! What the tests of the worker processes share: a database, a pool, and a look at the processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctdbd::workers::{DatabaseFile, Event, Job, JobId, Limits, Pool};
use tdb::{Flags, OpenOptions, StoreMode, Tdb};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use wire::coding::Encode;
use wire::types::{DbFlags, RecBuffer, RecordHeader};
use wire::{DbId, Pnn, ReqId};

pub(crate) const DB: DbId = DbId(7);
pub(crate) const FCNTL: Flags = Flags::from_bits_retain(0xc41);
pub(crate) const PERSISTENT: Flags = Flags::CTDB_PERSISTENT;
/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(20);
/// Long enough for something that must not happen.
const MOMENT: Duration = Duration::from_millis(150);

pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_ctdb-database-worker").into()
}

/// A pool with one database, which the test has open too, as ctdbd would.
pub(crate) struct Rig {
    pub(crate) pool: Pool,
    pub(crate) events: UnboundedReceiver<(JobId, Event)>,
    pub(crate) tdb: Tdb,
    pub(crate) dir: TempDir,
}

impl Rig {
    pub(crate) fn new(flags: Flags, limits: Limits) -> Self {
        // its check forks, so it comes before everything else
        assert!(tdb::mutexes_supported());
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            hash_size: 101,
            flags,
            create: true,
            ..OpenOptions::default()
        };
        let tdb = Tdb::open(dir.path().join("test.tdb.0"), &options).unwrap();
        let (sender, events) = unbounded_channel();
        let mut pool = Pool::new(program().into(), sender, limits);
        pool.open(database(tdb.path(), flags));
        Self {
            pool,
            events,
            tdb,
            dir,
        }
    }

    pub(crate) fn start(&mut self, job: u64, what: Job) {
        self.pool.start(JobId(job), DB, what);
    }

    pub(crate) fn release(&mut self, job: u64) {
        self.pool.release(JobId(job));
    }

    /// The next event, and whose it is.
    pub(crate) async fn next(&mut self) -> (u64, Event) {
        let next = timeout(LONG, self.events.recv())
            .await
            .expect("an event in time");
        let (job, event) = next.expect("the pool lives");
        (job.0, event)
    }

    pub(crate) async fn expect(&mut self, job: u64, event: Event) {
        assert_eq!(self.next().await, (job, event));
    }

    pub(crate) async fn expect_nothing(&mut self) {
        if let Ok(event) = timeout(MOMENT, self.events.recv()).await {
            panic!("{event:?}");
        }
    }

    pub(crate) async fn lock(&mut self, job: u64, key: &str) {
        self.start(job, lock(key));
        self.expect(job, Event::Locked).await;
    }

    /// Commits and returns the status.
    pub(crate) async fn commit(&mut self, job: u64, records: &RecBuffer, kind: DbFlags) -> i32 {
        self.start(
            job,
            Job::Commit {
                records: records.to_bytes(),
                kind,
            },
        );
        match self.next().await {
            (next, Event::Committed { status, .. }) if next == job => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn store(&self, key: &str, rsn: u64, dmaster: u32, value: &[u8]) {
        let data = stored(rsn, dmaster, value);
        self.tdb
            .store(key.as_bytes(), &data, StoreMode::Replace)
            .unwrap();
    }

    /// Sequence number and value.
    pub(crate) fn fetch(&self, key: &str) -> Option<(u64, String)> {
        let stored = self.tdb.fetch(key.as_bytes()).unwrap()?;
        let (header, value) = RecordHeader::split(&stored).unwrap();
        Some((header.rsn, String::from_utf8_lossy(value).into_owned()))
    }

    pub(crate) fn workers(&self) -> Vec<i32> {
        workers(self.dir.path())
    }

    /// Whether the chain is free, once the workers have had time to let go.
    pub(crate) async fn comes_free(&self, key: &str) -> bool {
        let tdb = &self.tdb;
        let free = eventually(|| tdb.try_lock_chain(key.as_bytes()).unwrap()).await;
        free && tdb.unlock_chain(key.as_bytes()).is_ok()
    }
}

pub(crate) fn database(path: &Path, flags: Flags) -> DatabaseFile {
    let name = "test.tdb".to_owned();
    DatabaseFile {
        db: DB,
        name,
        path: path.to_owned(),
        flags: flags.bits(),
        hash_size: 101,
    }
}

pub(crate) fn lock(key: &str) -> Job {
    Job::LockRecord { key: key.into() }
}

pub(crate) fn stored(rsn: u64, dmaster: u32, value: &[u8]) -> Vec<u8> {
    let header = RecordHeader {
        rsn,
        dmaster: Pnn(dmaster),
        ..RecordHeader::default()
    };
    [&header.to_bytes(), value].concat()
}

pub(crate) fn buffer<'a>(records: impl IntoIterator<Item = (&'a str, u64, &'a str)>) -> RecBuffer {
    let mut buffer = RecBuffer::new(DB);
    for (key, rsn, value) in records {
        let header = RecordHeader {
            rsn,
            ..RecordHeader::default()
        };
        buffer.push(ReqId(0), Some(header), key.as_bytes(), value.as_bytes());
    }
    buffer
}

/// Process ids of the workers of databases in this folder; dead ones that nobody waited for have no command line, but
/// are zombies.
pub(crate) fn workers(dir: &Path) -> Vec<i32> {
    let dir = dir.to_str().unwrap();
    let is_worker = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("ctdb-database-worker") && line.contains(dir)
    };
    processes().filter(is_worker).collect()
}

pub(crate) fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Asks again and again until it is true, or too long.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    false
}

//! What each tunable does, on daemons in memory: with another value they do something else.

#[expect(dead_code, reason = "parts of the rig are for other tests")]
mod rig;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ctdbd::daemon::Input;
use database::io::{Job, WorkEvent};
use rig::{Cluster, Got};
use tracing_subscriber::fmt::MakeWriter;
use wire::coding::Encode;
use wire::control::{self, Request};
use wire::packet::{ControlFlags, function};
use wire::types::{
    DbVacuum, PullDbExt, RecBuffer, RecordHeader, RecoveryMode, TransDb, TraverseStart, VnnMap,
};
use wire::{DbId, Generation, Pnn, ReqId, Srvid};

const SRVID: Srvid = Srvid(0xBE00_0000_0000_0007);

fn volatile() -> Request {
    Request::DbAttach("locking.tdb".into())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is logged meanwhile.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn logged(work: impl FnOnce()) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false);
    tracing::subscriber::with_default(subscriber.finish(), work);
    let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A key whose location master is this node of two.
fn key_of(node: u32) -> Vec<u8> {
    let mut keys = (0u8..).map(|n| vec![n]);
    let wanted = |key: &Vec<u8>| wire::key_hash(key) % 2 == node;
    keys.find(wanted).expect("every second one")
}

/// The answer to a control, if it has come.
fn status_of(cluster: &mut Cluster, asked: u32) -> Option<i32> {
    let got = cluster.take(0).into_iter();
    let mut answers = got.filter_map(|got| match got {
        Got::Control { reqid, status, .. } if reqid == asked => Some(status),
        _ => None,
    });
    answers.next()
}

fn send(cluster: &mut Cluster, to: Pnn, request: &Request) -> u32 {
    cluster.send_control(0, to, request, ControlFlags::empty())
}

fn messages(got: &[Got]) -> usize {
    let is_message = |got: &&Got| matches!(got, Got::Message { .. });
    got.iter().filter(is_message).count()
}

#[test]
fn control_timeout_ends_a_question_to_a_node_that_is_silent() {
    let mut cluster = Cluster::new(2);
    cluster.set(0, "ControlTimeout", 3);
    cluster.hold_packets_to = Some(1);
    let asked = send(&mut cluster, Pnn(1), &Request::Ping);
    cluster.wait(seconds(2));
    assert_eq!(status_of(&mut cluster, asked), None);
    cluster.wait(seconds(2));
    assert_eq!(status_of(&mut cluster, asked), Some(-1));
}

#[test]
fn traverse_timeout_ends_a_traverse_without_the_silent_node() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    cluster.set(0, "TraverseTimeout", 3);
    cluster.ask(0, Pnn::CURRENT, &Request::RegisterSrvid(SRVID));
    cluster.hold_packets_to = Some(1);
    let start = TraverseStart {
        db,
        reqid: ReqId(5),
        srvid: SRVID,
    };
    cluster.ask(0, Pnn::CURRENT, &Request::TraverseStart(start));
    cluster.wait(seconds(2));
    assert_eq!(messages(&cluster.take(0)), 0);
    cluster.wait(seconds(2));
    let statistics = cluster.get::<control::Statistics>(0, Pnn::CURRENT, &Request::Statistics);
    assert_eq!(statistics.timeouts_traverse, 1);
}

#[test]
fn seqnum_interval_is_the_time_until_others_hear_of_a_write() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    for node in 0..2 {
        cluster.set(node, "SeqnumInterval", 5000);
        let enable = Request::EnableSeqnum(db);
        assert_eq!(cluster.ask(node, Pnn::CURRENT, &enable).0, 0);
    }
    cluster.seqnum(0).set(1);
    cluster.wait(seconds(4));
    assert_eq!(cluster.seqnum(1).get(), 0);
    cluster.wait(seconds(2));
    assert_eq!(cluster.seqnum(1).get(), 1);
}

#[test]
fn deferred_attach_to_is_how_long_an_attach_waits_for_a_recovery() {
    let mut cluster = Cluster::new(2);
    cluster.set(0, "DeferredAttachTO", 3);
    let active = Request::SetRecmode(RecoveryMode::Active);
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &active).0, 0);
    let asked = send(&mut cluster, Pnn::CURRENT, &volatile());
    cluster.wait(seconds(2));
    assert_eq!(status_of(&mut cluster, asked), None);
    cluster.wait(seconds(2));
    assert_eq!(status_of(&mut cluster, asked), Some(-1));
}

#[test]
fn allow_client_db_attach_0_keeps_clients_from_attaching() {
    let mut cluster = Cluster::new(1);
    cluster.set(0, "AllowClientDBAttach", 0);
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &volatile()).0, -1);
    cluster.set(0, "AllowClientDBAttach", 1);
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &volatile()).0, 0);
}

#[test]
fn allow_unhealthy_db_read_lets_a_damaged_database_be_traversed() {
    let mut cluster = Cluster::new(1);
    let db = cluster.attach(0, &volatile());
    cluster.damage(0);
    let start = |reqid| {
        Request::TraverseStart(TraverseStart {
            db,
            reqid: ReqId(reqid),
            srvid: SRVID,
        })
    };
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &start(1)).0, -1);
    cluster.set(0, "AllowUnhealthyDBRead", 1);
    assert_eq!(cluster.ask(0, Pnn::CURRENT, &start(2)).0, 0);
}

#[test]
fn fetch_collapse_asks_once_for_several_clients() {
    for (value, expected) in [(1, 1), (0, 3)] {
        let mut cluster = Cluster::new(2);
        let db = cluster.attach(0, &volatile());
        cluster.set(0, "FetchCollapse", value);
        cluster.hold_packets_to = Some(1);
        for _ in 0..3 {
            cluster.call(0, db, function::NULL, &key_of(1));
        }
        assert_eq!(cluster.held(), expected, "FetchCollapse={value}");
    }
}

#[test]
fn stat_history_interval_spaces_the_history() {
    let mut cluster = Cluster::new(1);
    cluster.set(0, "StatHistoryInterval", 5);
    let entries = |cluster: &mut Cluster| {
        let request = Request::GetStatHistory;
        let history = cluster.get::<control::GetStatHistory>(0, Pnn::CURRENT, &request);
        let used = |entry: &&wire::types::Statistics| *entry != &wire::types::Statistics::default();
        history.stats.iter().filter(used).count()
    };
    let before = entries(&mut cluster);
    cluster.wait(seconds(21));
    assert_eq!(entries(&mut cluster) - before, 4);
}

#[test]
fn verbose_memory_names_name_every_client() {
    let mut cluster = Cluster::new(1);
    let report = |cluster: &mut Cluster| {
        let (_, text) = cluster.ask(0, Pnn::CURRENT, &Request::DumpMemory);
        String::from_utf8(text).expect("text")
    };
    assert!(!report(&mut cluster).contains("client 7 of process 1000"));
    cluster.set(0, "VerboseMemoryNames", 1);
    let text = report(&mut cluster);
    assert!(text.contains("client 7 of process 1000"), "{text}");
    let form = |line: &str| line.contains(" bytes in ") && line.ends_with(" (ref 0) 0x0");
    assert!(text.lines().skip(1).all(form), "{text}");
}

#[test]
fn log_latency_ms_tells_of_slow_calls_and_commits() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    let kept = cluster.attach(0, &Request::DbAttachPersistent("secrets.tdb".into()));
    let slow = |cluster: &mut Cluster| {
        cluster.hold_packets_to = Some(1);
        cluster.call(0, db, function::NULL, &key_of(1));
        cluster.hold_commits = true;
        let mut records = RecBuffer::new(kept);
        let value = [RecordHeader::default().to_bytes(), b"value".to_vec()].concat();
        records.push(ReqId(0), None, b"key", &value);
        send(cluster, Pnn::CURRENT, &Request::UpdateRecord(records));
        cluster.wait(seconds(2));
        cluster.release_packets();
        for (node, work) in std::mem::take(&mut cluster.commits) {
            let event = WorkEvent::Committed(0, String::new());
            cluster.input(node, Input::Work { work, event });
        }
    };
    let log = logged(|| slow(&mut cluster));
    assert!(!log.contains("High latency"), "0 is off: {log}");
    cluster.call(1, db, function::NULL, &key_of(1)); // so that it has to come again
    cluster.wait(seconds(1)); // and has been there for a moment
    cluster.set(0, "LogLatencyMs", 1500);
    let log = logged(|| slow(&mut cluster));
    for (operation, name) in [
        ("call_from_client", "locking.tdb"),
        ("persistent", "secrets.tdb"),
    ] {
        let line = format!("High latency 2.000000s for operation {operation} on database {name}");
        assert!(log.contains(&line), "{line} is not in {log}");
    }
}

#[test]
fn rec_lock_latency_ms_tells_of_a_slow_cluster_lock() {
    let mut cluster = Cluster::new(1);
    let slow = |cluster: &mut Cluster, generation| {
        // the rig's lock answers after 0.1 s
        cluster.recover(Generation(generation));
        let latency = Request::RecdReclockLatency(0.2);
        assert_eq!(cluster.ask(0, Pnn::CURRENT, &latency).0, 0);
    };
    let log = logged(|| slow(&mut cluster, 43));
    assert!(!log.contains("High RECLOCK"), "{log}");
    cluster.set(0, "RecLockLatencyMs", 50);
    let log = logged(|| slow(&mut cluster, 44));
    for line in [
        "High RECLOCK latency 0.100000s for operation daemon reclock",
        "High RECLOCK latency 0.200000s for operation recd reclock",
    ] {
        assert!(log.contains(line), "{log}");
    }
}

/// What a recovery reads of node 0: the number of messages.
fn pull(cluster: &mut Cluster, db: DbId) -> usize {
    let transaction = Generation(43);
    let pull = PullDbExt {
        db,
        lmaster: 0,
        srvid: SRVID,
    };
    let map = VnnMap {
        generation: transaction,
        map: vec![Pnn(0)],
    };
    for step in [
        Request::SetRecmode(RecoveryMode::Active),
        Request::SetVnnMap(map),
        Request::DbFreeze(db),
        Request::DbTransactionStart(TransDb { db, transaction }),
        Request::DbPull(pull),
        Request::DbTransactionCommit(TransDb { db, transaction }),
        Request::DbThaw(db),
    ] {
        assert!(cluster.ask(0, Pnn(0), &step).0 >= 0, "{step:?}");
    }
    messages(&cluster.take(0))
}

/// A database with ten records of 1000 bytes.
fn filled() -> (Cluster, DbId) {
    let mut cluster = Cluster::new(1);
    let db = cluster.attach(0, &volatile());
    cluster.ask(0, Pnn::CURRENT, &Request::RegisterSrvid(SRVID));
    for n in 0..10 {
        cluster.call(0, db, function::NULL, &[n]);
        cluster.write(0, db, &[n], &[7; 1000]);
    }
    cluster.take(0);
    (cluster, db)
}

#[test]
fn rec_buffer_size_limit_cuts_what_a_recovery_reads() {
    let (mut cluster, db) = filled();
    assert_eq!(pull(&mut cluster, db), 1);
    cluster.set(0, "RecBufferSizeLimit", 2000);
    assert_eq!(pull(&mut cluster, db), 5);
}

#[test]
fn a_recovery_warns_of_what_is_large() {
    let (mut cluster, db) = filled();
    let log = logged(|| assert_eq!(pull(&mut cluster, db), 1));
    assert!(!log.contains("big"), "{log}");
    // ten keys of a byte, ten headers, ten values
    let size = 10 * (1 + 24 + 1000);
    for (name, limit, line) in [
        (
            "DBRecordCountWarn",
            9,
            "Database locking.tdb is big. Contains 10 records".to_owned(),
        ),
        (
            "DBSizeWarn",
            size - 1,
            format!("Database locking.tdb is big. Contains {size} bytes"),
        ),
        (
            "DBRecordSizeWarn",
            1024,
            "Data record in locking.tdb is big. Record size is 1025 bytes".to_owned(),
        ),
    ] {
        cluster.set(0, name, limit);
        let log = logged(|| assert_eq!(pull(&mut cluster, db), 1));
        assert!(log.contains(&line), "{name}: {log}");
        cluster.set(0, name, limit + 1);
        let log = logged(|| assert_eq!(pull(&mut cluster, db), 1));
        assert!(!log.contains("big"), "{name}: {log}");
        cluster.set(0, name, 0);
    }
}

/// The full runs of vacuuming, and the looks at ragged files, since the last question.
fn vacuumed(cluster: &mut Cluster) -> (usize, Vec<u32>) {
    let jobs = std::mem::take(&mut cluster.jobs);
    let is_full = |job: &Job| {
        matches!(
            job,
            Job::Traverse {
                with_empty: true,
                ..
            }
        )
    };
    let limit = |job: &Job| match job {
        Job::Repack { limit } => Some(*limit),
        _ => None,
    };
    let full = jobs.iter().filter(|(_, job)| is_full(job)).count();
    (
        full,
        jobs.iter().filter_map(|(_, job)| limit(job)).collect(),
    )
}

#[test]
fn vacuum_interval_and_fast_path_count_space_the_full_runs() {
    let mut cluster = Cluster::new(1);
    cluster.set(0, "VacuumInterval", 2);
    cluster.set(0, "VacuumFastPathCount", 3);
    cluster.attach(0, &volatile());
    vacuumed(&mut cluster);
    cluster.wait(seconds(7));
    assert_eq!(vacuumed(&mut cluster).0, 0, "three fast runs");
    cluster.wait(seconds(2));
    assert_eq!(vacuumed(&mut cluster).0, 1);
    cluster.wait(seconds(12));
    assert_eq!(vacuumed(&mut cluster).0, 2, "each third run");
    cluster.set(0, "VacuumFastPathCount", 0);
    cluster.wait(seconds(60));
    assert_eq!(vacuumed(&mut cluster).0, 0, "0 is never");
}

#[test]
fn repack_limit_is_what_a_worker_is_given_after_a_run() {
    let mut cluster = Cluster::new(1);
    let db = cluster.attach(0, &volatile());
    let request = Request::DbVacuum(DbVacuum {
        db,
        full_vacuum_run: true,
    });
    for (limit, expected) in [(10_000, vec![10_000]), (7, vec![7]), (0, vec![])] {
        cluster.set(0, "RepackLimit", limit);
        assert_eq!(cluster.ask(0, Pnn::CURRENT, &request).0, 0);
        assert_eq!(vacuumed(&mut cluster), (1, expected));
    }
}

#[test]
fn vacuum_max_run_time_ends_a_run() {
    let mut cluster = Cluster::new(2);
    let db = cluster.attach(0, &volatile());
    cluster.set(0, "VacuumMaxRunTime", 4);
    let mut named = RecBuffer::new(db);
    cluster.call(1, db, function::NULL, &key_of(0));
    cluster.take(1);
    named.push(ReqId(1), None, &key_of(0), &[]);
    assert_eq!(cluster.ask(1, Pnn(0), &Request::VacuumFetch(named)).0, 0);
    // the record does not come
    cluster.hold_packets_to = Some(1);
    let request = Request::DbVacuum(DbVacuum {
        db,
        full_vacuum_run: false,
    });
    let run = send(&mut cluster, Pnn::CURRENT, &request);
    cluster.wait(seconds(3));
    assert_eq!(status_of(&mut cluster, run), None);
    cluster.wait(seconds(2));
    assert_eq!(status_of(&mut cluster, run), Some(-1));
}

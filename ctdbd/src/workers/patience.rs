//! Locks that are long in coming: said in the log, and shown to the script that finds out who holds them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use crate::logging::LogHandle;

use super::dispatch::WorkerId;
use super::{DatabaseFile, Job};

/// When to say so first, and again for a whole database (`ctdb_lock.c`, 4.17.12).
const STEP: Duration = Duration::from_secs(10);
/// `TDB_MUTEX_LOCKING`
const MUTEX_LOCKING: u32 = 0x1000;

/// One worker that waits for a lock.
#[derive(Debug)]
struct Wait {
    file: DatabaseFile,
    /// `None` for all chains.
    key: Option<Vec<u8>>,
    since: Instant,
    next: Instant,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Patience(BTreeMap<WorkerId, Wait>);

/// What is to be said of a lock, and asked of the script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) worker: WorkerId,
    /// The line for the log, in upstream's words: people search for it.
    pub(super) text: String,
    scope: &'static str,
    file: DatabaseFile,
}

impl Patience {
    /// A worker was given a job.
    pub(super) fn begin(&mut self, worker: WorkerId, file: &DatabaseFile, job: &Job, now: Instant) {
        let key = match job {
            Job::LockRecord { key } => Some(key.clone()),
            Job::LockAll => None,
            Job::Commit { .. } | Job::Traverse { .. } | Job::Repack { .. } => return,
        };
        let wait = Wait {
            file: file.clone(),
            key,
            since: now,
            next: now + STEP,
        };
        self.0.insert(worker, wait);
    }

    /// It waits no more.
    pub(super) fn end(&mut self, worker: WorkerId) {
        self.0.remove(&worker);
    }

    /// When there is something to say next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|wait| wait.next).min()
    }

    /// What there is to say now. A record is spoken of less and less often.
    pub(super) fn complaints(&mut self, now: Instant) -> Vec<Complaint> {
        let overdue = |(worker, wait): (&WorkerId, &mut Wait)| {
            let waited = now - wait.since;
            (now >= wait.next).then(|| {
                let pause = if wait.key.is_some() {
                    waited.max(STEP)
                } else {
                    STEP
                };
                wait.next = now + pause;
                wait.complaint(*worker, waited)
            })
        };
        self.0.iter_mut().filter_map(overdue).collect()
    }
}

impl Wait {
    fn complaint(&self, worker: WorkerId, waited: Duration) -> Complaint {
        let (name, seconds) = (&self.file.name, waited.as_secs());
        let (scope, text) = match &self.key {
            None => (
                "DB",
                format!("Unable to get DB lock on database {name} for {seconds} seconds"),
            ),
            Some(key) => (
                "RECORD",
                format!(
                    "Unable to get RECORD lock on database {name} for {seconds} seconds (key {})",
                    hex(key)
                ),
            ),
        };
        Complaint {
            worker,
            text,
            scope,
            file: self.file.clone(),
        }
    }
}

impl Complaint {
    /// Runs the lock debugging script beside everything else, with upstream's arguments: the waiting process, what it
    /// waits for, the file and the kind of its locks. What it finds out is read into the log.
    pub(super) fn debug(&self, script: &Path, pid: u32, log: Option<&LogHandle>) {
        let mutexes = self.file.flags & MUTEX_LOCKING != 0;
        let mut command = Command::new(script);
        command.arg(pid.to_string()).arg(self.scope);
        command.arg(&self.file.path);
        command.arg(if mutexes { "MUTEX" } else { "FCNTL" });
        if let Some(log) = log {
            command
                .stdout(log.child_output())
                .stderr(log.child_output());
            command.envs(log.variables());
        }
        match command.stdin(Stdio::null()).spawn() {
            Ok(mut child) => drop(tokio::spawn(async move { child.wait().await })),
            Err(error) => {
                tracing::warn!(script = %script.display(), %error, "Unable to setup lock debugging");
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use wire::DbId;

    use super::*;

    fn texts(patience: &mut Patience, now: Instant) -> Vec<String> {
        let complaints = patience.complaints(now);
        complaints
            .into_iter()
            .map(|complaint| complaint.text)
            .collect()
    }

    #[test]
    fn long_waits_are_complained_of_in_upstreams_words() {
        let file = DatabaseFile {
            db: DbId(1),
            name: "test.tdb".into(),
            path: "/test.tdb.0".into(),
            flags: 0,
            hash_size: 1,
        };
        let start = Instant::now();
        let mut patience = Patience::default();
        let key = vec![0x0a, 0xff];
        patience.begin(WorkerId(0), &file, &Job::LockRecord { key }, start);
        patience.begin(WorkerId(1), &file, &Job::LockAll, start + STEP / 2);
        assert_eq!(patience.next(), Some(start + STEP));
        assert_eq!(texts(&mut patience, start + STEP / 2), [""; 0]);
        let record = "Unable to get RECORD lock on database test.tdb for 10 seconds (key 0AFF)";
        assert_eq!(texts(&mut patience, start + STEP), [record]);
        let all = "Unable to get DB lock on database test.tdb for 10 seconds";
        assert_eq!(texts(&mut patience, start + STEP * 3 / 2), [all]);
        patience.end(WorkerId(1));
        assert_eq!(patience.next(), Some(start + STEP * 2));
        assert_eq!(texts(&mut patience, start + STEP * 2).len(), 1);
        assert_eq!(patience.next(), Some(start + STEP * 4));
    }

    #[tokio::test]
    async fn the_script_gets_upstreams_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let (script, out) = (dir.path().join("locks.sh"), dir.path().join("out"));
        let text = format!(
            "#!/bin/sh\necho \"$@\" > {0}.new && mv {0}.new {0}\n",
            out.display()
        );
        // by another process: a child of another test must not inherit the file open for writing
        let write = [
            "-c",
            "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"",
            "sh",
            &text,
        ];
        let written = Command::new("sh").args(write).arg(&script).status().await;
        assert!(written.unwrap().success());
        let mut file = DatabaseFile {
            db: DbId(1),
            name: "test.tdb".into(),
            path: "/test.tdb.0".into(),
            flags: 0,
            hash_size: 1,
        };
        let start = Instant::now();
        for (flags, expected) in [
            (0, "4711 DB /test.tdb.0 FCNTL\n"),
            (MUTEX_LOCKING, "4711 DB /test.tdb.0 MUTEX\n"),
        ] {
            file.flags = flags;
            let mut patience = Patience::default();
            patience.begin(WorkerId(0), &file, &Job::LockAll, start);
            patience.complaints(start + STEP)[0].debug(&script, 4711, None);
            for _ in 0..1000 {
                if out.exists() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(std::fs::read_to_string(&out).unwrap(), expected);
            std::fs::remove_file(&out).unwrap();
        }
    }
}

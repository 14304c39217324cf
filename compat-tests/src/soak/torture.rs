//! Samba's own `smbtorture` beside the other load, one test after the other.
//!
//! Each of its tests passes on such a share; one that fails while nothing was broken is a failure.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::shared::Window;
use super::summary::lock;
use crate::cluster::{SHARE, USER};
use crate::deaths::series::monotonic;

/// The program, of Debian's package `samba-testsuite`.
const PROGRAM: &str = "/usr/bin/smbtorture";
/// Its tests, in turn: a suite, and those of it that pass on such a share and are short; none are all.
const TESTS: [(&str, &[&str]); 9] = [
    ("smb2.lock", LOCK),
    ("smb2.rename", RENAME),
    ("smb2.oplock", OPLOCK),
    ("smb2.lease", LEASE),
    ("smb2.dir", &["find", "fixed", "many"]),
    ("smb2.sharemode", &[]),
    ("smb2.deny", &[]),
    ("smb2.bench", &["path-contention-shared"]),
    ("smb2.bench", &["oplock1"]),
];
const LOCK: &[&str] = &[
    "valid-request",
    "rw-exclusive",
    "auto-unlock",
    "lock",
    "async",
    "cancel",
    "errorcode",
    "unlock",
    "multiple-unlock",
    "stacking",
    "contend",
    "context",
    "range",
    "overlap",
    "truncate",
    "ctdb-delrec-deadlock",
];
const RENAME: &[&str] = &[
    "simple",
    "no_sharing",
    "share_delete_and_delete_access",
    "no_share_delete_but_delete_access",
    "share_delete_no_delete_access",
    "msword",
    "rename_dir_openfile",
];
const OPLOCK: &[&str] = &["exclusive1", "exclusive3", "exclusive9", "batch3", "batch5"];
const LEASE: &[&str] = &["statopen2", "upgrade", "upgrade2", "upgrade3"];
/// Between two tests.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it is looked whether one has ended.
const LOOK: Duration = Duration::from_millis(100);

/// One test.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) suite: &'static str,
    pub(super) window: Window,
    /// The end of its output, if it failed.
    pub(super) failed: Option<String>,
}

type Outcomes = Arc<Mutex<Vec<Outcome>>>;

/// The tests as they run. Its end is their end.
pub(super) struct Torture {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Torture {
    /// Begins with the test of that number; none if the program is not there.
    pub(super) fn start(
        servers: &[IpAddr],
        dir: &Path,
        first: usize,
        outcomes: &Outcomes,
    ) -> Option<Self> {
        Path::new(PROGRAM).exists().then(|| {
            let over = Arc::new(AtomicBool::new(false));
            let run = Run {
                servers: servers.to_vec(),
                dir: dir.to_owned(),
                over: Arc::clone(&over),
                outcomes: Arc::clone(outcomes),
            };
            let thread = Some(std::thread::spawn(move || run.all(first)));
            Self { over, thread }
        })
    }

    /// Ends the test that runs, which then has no outcome, and all others.
    pub(super) fn stop(mut self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        ended.map_err(|_| anyhow!("a thread panicked"))
    }
}

impl Drop for Torture {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

struct Run {
    servers: Vec<IpAddr>,
    dir: PathBuf,
    over: Arc<AtomicBool>,
    outcomes: Outcomes,
}

impl Run {
    fn all(&self, first: usize) {
        for number in first.. {
            let (suite, tests) = TESTS[number % TESTS.len()];
            let server = self.servers[number / TESTS.len() % self.servers.len()];
            if let Ok(Some(outcome)) = self.one(suite, tests, server) {
                lock(&self.outcomes, |outcomes| outcomes.push(outcome));
            }
            std::thread::sleep(PAUSE);
            if self.over.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// None if it was ended.
    fn one(&self, suite: &'static str, tests: &[&str], server: IpAddr) -> Result<Option<Outcome>> {
        let from = monotonic()?;
        let output = self.dir.join("client/smbtorture");
        let mut child = self.spawn(suite, tests, server, &output)?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if self.over.load(Ordering::Relaxed) {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        };
        let text = std::fs::read_to_string(&output).unwrap_or_default();
        Ok(Some(Outcome {
            suite,
            window: Window {
                from,
                to: monotonic()?,
            },
            failed: (!status.success()).then(|| format!("{server}: {status}: {}", tail(&text))),
        }))
    }

    fn spawn(&self, suite: &str, tests: &[&str], server: IpAddr, output: &Path) -> Result<Child> {
        let file = std::fs::File::create(output)?;
        let names: Vec<_> = match tests {
            [] => vec![suite.to_owned()],
            _ => tests.iter().map(|test| format!("{suite}.{test}")).collect(),
        };
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!("//{server}/{SHARE}"))
            .args(["-U", USER, "-t", "5", "-s"])
            .arg(self.dir.join("client.conf"))
            .args(names)
            .current_dir(self.dir.join("client"))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        Ok(command.spawn()?)
    }
}

/// The lines that say what failed, or the last one.
fn tail(text: &str) -> String {
    let is_failure = |line: &&str| line.starts_with("failure:") || line.starts_with("error:");
    let failures: Vec<_> = text.lines().filter(is_failure).collect();
    match failures[..] {
        [] => text.lines().last().unwrap_or_default().to_owned(),
        _ => failures.join(", "),
    }
}

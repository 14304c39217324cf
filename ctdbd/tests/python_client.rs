//! docs/examples/client.py, which was written from docs/wire.md alone, against our daemon: one node
//! in test mode. `CTDBD=PATH` names another daemon. Skipped where there is no Python.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::Client;
use wire::control::{DbAttachPersistent, GetRunstate, Trans3Commit};
use wire::types::{RecBuffer, RecordHeader, RunState};
use wire::{Pnn, ReqId};

const LIMIT: Duration = Duration::from_secs(60);
const DATABASE: &str = "example.tdb";

/// A daemon of one node; in test mode it ends with its standard input, so it ends with us.
struct Daemon {
    process: Child,
    base: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let base = tempfile::tempdir().unwrap();
        let at = base.path();
        for name in [
            "run",
            "var",
            "share",
            "events/legacy",
            "db/volatile",
            "db/persistent",
            "db/state",
        ] {
            std::fs::create_dir_all(at.join(name)).unwrap();
        }
        // an address of its own, that other tests do not use
        let node = "127.86.19.1\n";
        std::fs::write(at.join("nodes"), node).unwrap();
        let config = format!(
            "[logging]\n\tlocation = file:{at}/log\n\
             [cluster]\n\tleader timeout = 2\n\
             [database]\n\tvolatile database directory = {at}/db/volatile\n\
             \tpersistent database directory = {at}/db/persistent\n\
             \tstate database directory = {at}/db/state\n\
             [legacy]\n\trealtime scheduling = false\n",
            at = at.display()
        );
        std::fs::write(at.join("ctdb.conf"), config).unwrap();
        let program = std::env::var("CTDBD");
        let process = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_ctdbd")))
            .arg("--interactive")
            .env("CTDB_TEST_MODE", "yes")
            .env("CTDB_BASE", at)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, base }
    }

    fn socket(&self) -> PathBuf {
        self.base.path().join("run/ctdbd.socket")
    }

    /// A connection to the daemon once it runs.
    async fn client(&self) -> Client {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Ok(client) = Client::connect(&self.socket()).await
                && let Ok(answer) = client
                    .control::<GetRunstate>(Pnn::CURRENT, &(), LIMIT)
                    .await
                && answer.reply == RunState::Running
            {
                return client;
            }
            let log = || std::fs::read_to_string(self.base.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "ctdbd does not run:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        for _ in 0..100 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts a record into a new persistent database.
async fn commit(daemon: &Daemon, key: &[u8], value: &[u8]) {
    let client = daemon.client().await;
    let name = DATABASE.to_owned();
    let attached = client
        .control::<DbAttachPersistent>(Pnn::CURRENT, &name, LIMIT)
        .await;
    let mut changes = RecBuffer::new(attached.unwrap().reply);
    let header = RecordHeader {
        rsn: 1,
        ..RecordHeader::default()
    };
    changes.push(ReqId(0), Some(header), key, value);
    let committed = client
        .control::<Trans3Commit>(Pnn::CURRENT, &changes, LIMIT)
        .await;
    assert_eq!(committed.unwrap().status, 0);
}

#[tokio::test]
async fn a_client_written_from_the_page_alone() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: needs python3");
        return;
    }
    let daemon = Daemon::start();
    commit(&daemon, b"greeting", b"hello").await;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/client.py");
    let output = tokio::process::Command::new("timeout")
        .args(["60", "python3"])
        .arg(example)
        .arg(daemon.socket())
        .args([DATABASE, "greeting"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
    let db = wire::db_id(DATABASE);
    let wanted = format!(
        "node 0\n\
         record: db {db} rsn 1 dmaster 0 flags 0x0 value b'hello'\n\
         message: b'a message'\n\
         tunnel request: b'a question'\n\
         tunnel reply: b'an answer'\n"
    );
    assert_eq!(said, wanted);
}

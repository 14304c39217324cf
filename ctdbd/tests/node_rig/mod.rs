//! One node as it is started by an administrator: the program ctdbd, its files in a folder (test mode), an address of its
//! own on the loopback network.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use serde_json::Value;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// An address that no other test uses.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::Relaxed) | 0x80, high, low)
}

/// The files of a node.
pub(crate) struct Node {
    pub(crate) base: tempfile::TempDir,
    pub(crate) address: Ipv4Addr,
}

impl Node {
    /// `options` is what ctdb.conf has besides the places of log and databases; `BASE` in it is the node's folder.
    pub(crate) fn new(options: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let address = address();
        let node = Self { base, address };
        for name in ["run", "volatile", "persistent", "state", "tunables.d"] {
            fs::create_dir(node.path(name)).unwrap();
        }
        node.write("nodes", &format!("{address}\n"));
        node.write(
            "ctdb.conf",
            "[logging]\nlocation = file:BASE/log\n[database]\n\
             volatile database directory = BASE/volatile\n\
             persistent database directory = BASE/persistent\n\
             state database directory = BASE/state\n",
        );
        let text = fs::read_to_string(node.path("ctdb.conf")).unwrap() + options;
        node.write("ctdb.conf", &text);
        node
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let base = self.base.path().to_str().unwrap();
        fs::write(self.path(name), text.replace("BASE", base)).unwrap();
    }

    /// Writes an executable file, by another process: a child of another test must not inherit it open for writing.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let script = "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh", text])
            .arg(self.path(name));
        assert!(command.status().unwrap().success());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctdbd"));
        command
            .args(arguments)
            .env("CTDB_TEST_MODE", "yes")
            .env("CTDB_BASE", self.base.path())
            .env("CTDB_EVENTD", self.path("no-eventd"))
            .env_remove("CTDB_LOG_FORMAT")
            .env("TZ", "UTC0")
            .stdin(Stdio::null());
        command
    }

    /// Runs a ctdbd that is expected to end at once.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a ctdbd in the background, as far as that it listens.
    pub(crate) async fn start(&self, change: impl FnOnce(&mut Command)) -> Running<'_> {
        let mut command = self.command(&[]);
        change(&mut command);
        let forked = command.status().unwrap();
        assert!(forked.success(), "{}", self.log());
        let client = eventually("it listens", || async {
            Client::connect(&self.path("run/ctdbd.socket")).await.ok()
        });
        let client = client.await;
        Running { node: self, client }
    }
}

/// A daemon that runs; it is killed with this.
pub(crate) struct Running<'a> {
    node: &'a Node,
    pub(crate) client: Client,
}

impl Running<'_> {
    pub(crate) fn pid(&self) -> i32 {
        let text = fs::read_to_string(self.node.path("run/ctdbd.pid")).unwrap();
        text.trim().parse().unwrap()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // without the file it has ended
        let text = fs::read_to_string(self.node.path("run/ctdbd.pid")).unwrap_or_default();
        if let Ok(pid) = text.trim().parse().map(nix::unistd::Pid::from_raw) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not in {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The JSON objects of a log.
pub(crate) fn objects(log: &str) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    log.lines().map(object).collect()
}

/// A program of ours that is not ctdbd, without a ctdbd.
pub(crate) fn helper(program: &str, log: &Path, format: &str) -> Child {
    Command::new(program)
        .env("CTDB_LOGGING", format!("file:{}", log.display()))
        .env("CTDB_DEBUGLEVEL", "INFO")
        .env("CTDB_LOG_FORMAT", format)
        .env("CTDB_LOG_NODE", "3")
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

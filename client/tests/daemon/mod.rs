//! A daemon for tests: one node in test mode, in namespaces of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use client::Client;

/// Ends with its standard input, and everything in its namespaces with it.
const SCRIPT: &str = r#"
set -e
ip link set lo up
mkdir -p /run/ctdb
mount -t tmpfs none /run/ctdb
mkdir -p "$CTDB_BASE"/run "$CTDB_BASE"/var/volatile "$CTDB_BASE"/var/persistent \
    "$CTDB_BASE"/var/state "$CTDB_BASE"/share "$CTDB_BASE"/events/legacy
echo 127.0.0.1 > "$CTDB_BASE"/nodes
cat > "$CTDB_BASE"/ctdb.conf <<E
[logging]
	location = file:$CTDB_BASE/log
[database]
	volatile database directory = $CTDB_BASE/var/volatile
	persistent database directory = $CTDB_BASE/var/persistent
	state database directory = $CTDB_BASE/var/state
E
"$CTDBD" < /dev/null
for _ in $(seq 300); do
	ctdb runstate RUNNING > /dev/null 2>&1 && break
	sleep 0.1
done
ctdb runstate RUNNING
exec cat > /dev/null
"#;

/// A running daemon.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) base: tempfile::TempDir,
}

impl Daemon {
    /// None, with a word why, where it cannot run.
    pub(crate) fn start() -> Option<Self> {
        let root = std::fs::metadata("/proc/self").is_ok_and(|process| {
            use std::os::unix::fs::MetadataExt;
            process.uid() == 0
        });
        let ctdbd = std::env::var("CTDBD").unwrap_or_else(|_| "/usr/sbin/ctdbd".into());
        if !root || !Path::new(&ctdbd).exists() {
            println!("skipped: needs root and {ctdbd}");
            return None;
        }
        let base = tempfile::tempdir().unwrap();
        let mut process = Command::new("unshare")
            .args(["-m", "-n", "-p", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SCRIPT])
            .env("CTDBD", ctdbd)
            .env("CTDB_TEST_MODE", "yes")
            .env("CTDB_BASE", base.path())
            .env("CTDB_SOCKET", base.path().join("run/ctdbd.socket"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line.trim(), "RUNNING", "the daemon did not start");
        Some(Self { process, base })
    }

    fn socket(&self) -> PathBuf {
        self.base.path().join("run/ctdbd.socket")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket()).await.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

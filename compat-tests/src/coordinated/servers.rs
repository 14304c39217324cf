//! etcd's servers, on the machine that the nodes' cables lead to.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{self, output};
use crate::report::within;

/// The machine's address on the bridge.
pub(super) const ADDRESS: &str = "192.0.2.1";
/// How many members the etcd cluster has.
const COUNT: usize = 3;

/// A cluster of etcd. Dropping it ends all servers.
pub(super) struct Servers {
    dir: PathBuf,
    running: Vec<Option<Child>>,
}

fn port(server: usize, kind: usize) -> usize {
    2379 + 10 * server + kind
}

fn client_url(server: usize) -> String {
    format!("http://{ADDRESS}:{}", port(server, 0))
}

/// What ctdb.conf says of them.
pub(super) fn endpoints() -> String {
    (0..COUNT).map(client_url).collect::<Vec<_>>().join(",")
}

impl Servers {
    /// Starts them all, and waits until they have a leader.
    pub(super) fn start(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let running = (0..COUNT).map(|_| None).collect();
        let mut servers = Self { dir, running };
        (0..COUNT).try_for_each(|server| servers.start_one(server))?;
        within(30, || servers.check_healthy())?;
        Ok(servers)
    }

    pub(super) fn start_one(&mut self, server: usize) -> Result<()> {
        let peer = |server: usize| format!("http://{ADDRESS}:{}", port(server, 1));
        let all: Vec<_> = (0..COUNT).map(|n| format!("e{n}={}", peer(n))).collect();
        let log = File::create(self.dir.join(format!("log{server}")))?;
        let child = Command::new("etcd")
            .env("PATH", host::PATH)
            .args(["--name", &format!("e{server}")])
            .arg("--data-dir")
            .arg(self.dir.join(format!("data{server}")))
            .args(["--listen-client-urls", &client_url(server)])
            .args(["--advertise-client-urls", &client_url(server)])
            .args(["--listen-peer-urls", &peer(server)])
            .args(["--initial-advertise-peer-urls", &peer(server)])
            .args(["--initial-cluster", &all.join(",")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("etcd (Debian's etcd-server)")?;
        self.running[server] = Some(child);
        Ok(())
    }

    pub(super) fn kill_one(&mut self, server: usize) -> Result<()> {
        let mut child = self.running[server].take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops them all, or continues them.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        for child in self.running.iter().flatten() {
            kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        }
        Ok(())
    }

    fn etcdctl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("timeout");
        command.args(["5", "etcdctl", "--endpoints", &endpoints()]);
        output(command.env("ETCDCTL_API", "3").args(args))
    }

    fn check_healthy(&self) -> Result<()> {
        self.etcdctl(&["endpoint", "health"]).map(drop)
    }

    /// Which of them leads.
    pub(super) fn leader(&self) -> Result<usize> {
        // endpoint, id, version, size, is leader, ...
        let status = self.etcdctl(&["endpoint", "status"])?;
        let leads = |line: &str| line.split(", ").nth(4) == Some("true");
        status.lines().position(leads).context(status.clone())
    }

    /// The keys of the cluster, without their values.
    pub(super) fn keys(&self) -> Result<Vec<String>> {
        let keys = self.etcdctl(&["get", "--prefix", "/ctdb/", "--keys-only"])?;
        let keys = keys.lines().filter(|line| !line.is_empty());
        Ok(keys.map(str::to_owned).collect())
    }

    pub(super) fn check_members(&self, wanted: &[usize]) -> Result<()> {
        let mut expected = vec!["/ctdb/leader".to_owned()];
        expected.extend(wanted.iter().map(|pnn| format!("/ctdb/members/{pnn}")));
        let found = self.keys()?;
        ensure!(found == expected, "keys: {found:?}");
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            // an error means that it has ended
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

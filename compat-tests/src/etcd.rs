//! etcd's servers, on the machine that the nodes' cables lead to, for clusters whose members and leader are etcd's word.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{self, output};
use crate::report::within;

/// The machine's address on the bridge.
pub(crate) const ADDRESS: &str = "192.0.2.1";
/// How many members the etcd cluster has.
pub(crate) const COUNT: usize = 3;
/// What has to be there, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 2] = [("etcd", "etcd-server"), ("etcdctl", "etcd-client")];

/// How long etcdctl may tell what has been, in seconds.
const WATCH: &str = "3";

/// A cluster of etcd. Dropping it ends all servers.
pub(crate) struct Servers {
    dir: PathBuf,
    running: Vec<Option<Child>>,
}

fn port(server: usize, kind: usize) -> usize {
    2379 + 10 * server + kind
}

fn client_url(server: usize) -> String {
    format!("http://{ADDRESS}:{}", port(server, 0))
}

/// All of them, as ctdb.conf and etcdctl want them.
fn endpoints() -> String {
    (0..COUNT).map(client_url).collect::<Vec<_>>().join(",")
}

/// The lines of `[cluster]` in ctdb.conf that take the place of the cluster lock, for a lease of so many seconds.
pub(crate) fn conf(lease: u64) -> String {
    let endpoints = endpoints();
    format!("\tmanager = etcd\n\tetcd endpoints = {endpoints}\n\tetcd lease = {lease}\n")
}

fn check_programs() -> Result<()> {
    match PROGRAMS.iter().find(|(name, _)| !host::has_program(name)) {
        Some((name, package)) => bail!("{name} is missing (Debian's {package})"),
        None => Ok(()),
    }
}

impl Servers {
    /// Starts them all, and waits until they have a leader.
    pub(crate) fn start(dir: PathBuf) -> Result<Self> {
        check_programs()?;
        fs::create_dir_all(&dir)?;
        let running = (0..COUNT).map(|_| None).collect();
        let mut servers = Self { dir, running };
        (0..COUNT).try_for_each(|server| servers.start_one(server))?;
        within(30, || servers.check_healthy())?;
        Ok(servers)
    }

    pub(crate) fn start_one(&mut self, server: usize) -> Result<()> {
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
            .context("etcd")?;
        self.running[server] = Some(child);
        Ok(())
    }

    pub(crate) fn kill_one(&mut self, server: usize) -> Result<()> {
        let mut child = self.running[server].take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops them all, or continues them.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
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

    /// Each of them answers, and they have a leader.
    pub(crate) fn check_healthy(&self) -> Result<()> {
        self.etcdctl(&["endpoint", "health"]).map(drop)
    }

    /// Which of them leads.
    pub(crate) fn leader(&self) -> Result<usize> {
        // endpoint, id, version, size, is leader, ...
        let status = self.etcdctl(&["endpoint", "status"])?;
        let leads = |line: &str| line.split(", ").nth(4) == Some("true");
        status.lines().position(leads).context(status.clone())
    }

    /// The keys of the cluster, without their values.
    pub(crate) fn keys(&self) -> Result<Vec<String>> {
        let keys = self.etcdctl(&["get", "--prefix", "/ctdb/", "--keys-only"])?;
        let keys = keys.lines().filter(|line| !line.is_empty());
        Ok(keys.map(str::to_owned).collect())
    }

    pub(crate) fn check_members(&self, wanted: &[usize]) -> Result<()> {
        let mut expected = vec!["/ctdb/leader".to_owned()];
        expected.extend(wanted.iter().map(|pnn| format!("/ctdb/members/{pnn}")));
        let found = self.keys()?;
        ensure!(found == expected, "keys: {found:?}");
        Ok(())
    }

    /// Which node leads by its word.
    pub(crate) fn leading_node(&self) -> Result<usize> {
        let leader = self.etcdctl(&["get", "/ctdb/leader", "--print-value-only"])?;
        let leader = leader.trim();
        leader.parse().with_context(|| format!("leader: {leader}"))
    }

    /// Which nodes have led by its word, one after the other, since the beginning.
    pub(crate) fn history(&self) -> Result<Vec<usize>> {
        let key = ["/ctdb/leader", "--rev", "1"];
        let mut watch = Command::new("timeout");
        // it would go on
        watch.args([WATCH, "etcdctl", "--endpoints", &endpoints(), "watch"]);
        let watch = watch.args(key).env("ETCDCTL_API", "3");
        let done = watch
            .env("PATH", host::PATH)
            .stdin(Stdio::null())
            .output()?;
        Ok(leaders(&String::from_utf8_lossy(&done.stdout)))
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

/// Of each change a watch prints its kind, the key, and the value, which may be empty.
fn leaders(watch: &str) -> Vec<usize> {
    let lines: Vec<_> = watch.lines().collect();
    let made = lines.chunks(3).filter(|change| change[0] == "PUT");
    made.filter_map(|change| change.get(2)?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_says_who_led() {
        let watch = "PUT\n/ctdb/leader\n2\nDELETE\n/ctdb/leader\n\nPUT\n/ctdb/leader\n0\n";
        assert_eq!(leaders(watch), [2, 0]);
        assert_eq!(leaders(""), [0; 0]);
    }
}

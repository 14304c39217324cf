//! etcd's servers, on the machine that the nodes' cables lead to, for clusters whose members and leader are etcd's word.

mod certificates;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) use certificates::Certificates;

use crate::host::{self, output};
use crate::report::within;

/// The machine's address on the bridge.
pub(crate) const ADDRESS: &str = "192.0.2.1";
/// How many members the etcd cluster has.
pub(crate) const COUNT: usize = 3;
/// What has to be there, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 3] = [
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("openssl", "openssl"),
];

/// How long etcdctl may tell what has been, in seconds.
const WATCH: &str = "3";

/// A cluster of etcd. Dropping it ends all servers.
pub(crate) struct Servers {
    dir: PathBuf,
    /// With them it is https, and only who has a certificate is let in.
    certificates: Option<Certificates>,
    running: Vec<Option<Child>>,
}

fn port(server: usize, kind: usize) -> usize {
    2379 + 10 * server + kind
}

fn client_url(server: usize, is_secure: bool) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    format!("{scheme}://{ADDRESS}:{}", port(server, 0))
}

/// All of them, as ctdb.conf and etcdctl want them.
fn endpoints(is_secure: bool) -> String {
    let all = (0..COUNT).map(|server| client_url(server, is_secure));
    all.collect::<Vec<_>>().join(",")
}

/// The lines of `[cluster]` in ctdb.conf that take the place of the cluster lock, for a lease of so many seconds.
pub(crate) fn conf(lease: u64, certificates: Option<&Certificates>) -> String {
    let endpoints = endpoints(certificates.is_some());
    let conf =
        format!("\tmanager = etcd\n\tetcd endpoints = {endpoints}\n\tetcd lease = {lease}\n");
    let Some(Certificates {
        ca,
        certificate,
        key,
    }) = certificates
    else {
        return conf;
    };
    let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
    format!(
        "{conf}\tetcd ca file = {ca}\n\tetcd certificate file = {certificate}\n\tetcd key file = {key}\n"
    )
}

fn check_programs() -> Result<()> {
    match PROGRAMS.iter().find(|(name, _)| !host::has_program(name)) {
        Some((name, package)) => bail!("{name} is missing (Debian's {package})"),
        None => Ok(()),
    }
}

impl Servers {
    /// Starts them all, with http, and waits until they have a leader.
    pub(crate) fn start(dir: PathBuf) -> Result<Self> {
        check_programs()?;
        Self::start_with(dir, None)
    }

    /// The same with https and [`Certificates::of`] the directory.
    pub(crate) fn start_secure(dir: PathBuf) -> Result<Self> {
        check_programs()?;
        let certificates = Certificates::make(&dir)?;
        Self::start_with(dir, Some(certificates))
    }

    fn start_with(dir: PathBuf, certificates: Option<Certificates>) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let running = (0..COUNT).map(|_| None).collect();
        let mut servers = Self {
            dir,
            certificates,
            running,
        };
        (0..COUNT).try_for_each(|server| servers.start_one(server))?;
        within(30, || servers.check_healthy())?;
        Ok(servers)
    }

    pub(crate) fn start_one(&mut self, server: usize) -> Result<()> {
        let peer = |server: usize| format!("http://{ADDRESS}:{}", port(server, 1));
        let all: Vec<_> = (0..COUNT).map(|n| format!("e{n}={}", peer(n))).collect();
        let client_url = client_url(server, self.certificates.is_some());
        let log = File::create(self.dir.join(format!("log{server}")))?;
        let mut etcd = Command::new("etcd");
        if let Some(certificates) = &self.certificates {
            etcd.arg("--client-cert-auth");
            etcd.arg("--trusted-ca-file").arg(&certificates.ca);
            etcd.arg("--cert-file").arg(&certificates.certificate);
            etcd.arg("--key-file").arg(&certificates.key);
        }
        let child = etcd
            .env("PATH", host::PATH)
            .args(["--name", &format!("e{server}")])
            .arg("--data-dir")
            .arg(self.dir.join(format!("data{server}")))
            .args(["--listen-client-urls", &client_url])
            .args(["--advertise-client-urls", &client_url])
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
        output(&mut self.etcdctl_within("5", args))
    }

    /// It is ended after so many seconds.
    fn etcdctl_within(&self, seconds: &str, args: &[&str]) -> Command {
        let endpoints = endpoints(self.certificates.is_some());
        let mut command = Command::new("timeout");
        command.args([seconds, "etcdctl", "--endpoints", &endpoints]);
        if let Some(certificates) = &self.certificates {
            command.arg("--cacert").arg(&certificates.ca);
            command.arg("--cert").arg(&certificates.certificate);
            command.arg("--key").arg(&certificates.key);
        }
        command.env("ETCDCTL_API", "3").args(args);
        command
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
        // it would go on
        let mut watch = self.etcdctl_within(WATCH, &["watch", "/ctdb/leader", "--rev", "1"]);
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

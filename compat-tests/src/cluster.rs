//! A cluster of nodes with one file system, and smbd on each.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::host::{Host, address, output};
use crate::node::{Files, Node};
use crate::report::within;
use crate::smb2::Connection;

/// The user of the cluster's own database, for smbclient.
pub const USER: &str = "smbu%secret";
/// The share that every node serves.
pub const SHARE: &str = "share";
/// What makes a cluster quick to notice.
const TUNABLES: &str = "MonitorInterval=2\nKeepaliveInterval=1\nKeepaliveLimit=4\n\
                        RerecoveryTimeout=2\nElectionTimeout=2\nTakeoverTimeout=10\n";

/// What a cluster is to be made of.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The package root of each node; `None` is the machine's own files.
    pub roots: Vec<Option<PathBuf>>,
    /// smbd's `clustering`; without it every cross-node assertion has to fail.
    pub clustering: bool,
    /// Whether the event scripts that the machine's package enables are there.
    pub event_scripts: bool,
    /// ctdbd's log level.
    pub log_level: String,
    /// The size of each node's disk for its databases, as mount(8) has it; none is that of the machine's memory.
    pub disk: Option<String>,
    /// Lines of `[cluster]` in ctdb.conf in place of a cluster lock.
    pub manager: Option<String>,
    /// More lines for ctdb.conf.
    pub more_conf: String,
    /// More lines for ctdb.tunables.
    pub more_tunables: String,
}

/// Booted nodes. Dropping it powers them off.
#[derive(Debug)]
pub struct Cluster {
    /// The machine.
    pub host: Host,
    /// By their number.
    pub nodes: Vec<Node>,
    /// What is mounted below the nodes' directories.
    disks: Vec<PathBuf>,
}

impl Cluster {
    /// Boots the nodes of a new cluster; no daemon runs yet.
    ///
    /// # Errors
    /// A node does not boot.
    pub fn boot(host: Host, spec: &Spec) -> Result<Self> {
        let share = host.dir.join(SHARE);
        fs::create_dir_all(&share)?;
        fs::set_permissions(&share, std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
        let files = Files {
            nodes: (0..spec.roots.len())
                .map(|pnn| format!("{}\n", address(pnn)))
                .collect(),
            ctdb_conf: ctdb_conf(&share, spec) + &spec.more_conf,
            tunables: TUNABLES.to_owned() + &spec.more_tunables,
            smb_conf: smb_conf(&share, spec.clustering),
            event_scripts: spec.event_scripts,
        };
        let mut nodes = Vec::new();
        let mut disks = Vec::new();
        for (pnn, root) in spec.roots.iter().enumerate() {
            let dir = host.dir.join(format!("node{pnn}"));
            if let Some(size) = &spec.disk {
                let disk = dir.join("lib-ctdb");
                mount_disk(&disk, size)?;
                disks.push(disk);
            }
            nodes.push(Node::install(dir, pnn, root.clone(), &files)?);
        }
        Ok(Self { host, nodes, disks })
    }

    /// Starts ctdbd on every node and waits until all are OK.
    ///
    /// # Errors
    /// A daemon does not start, or the cluster does not come up within a minute.
    pub fn start_ctdbd(&self) -> Result<()> {
        self.nodes.iter().try_for_each(Node::start_ctdbd)?;
        within(60, || self.check_all_ok())
    }

    /// Starts smbd on one node after the other, each when the one before serves.
    ///
    /// Started together for the first time they can stop each other: both hold the g_lock of the cluster's version
    /// for reading, both want to upgrade, and one of them ends with NT_STATUS_POSSIBLE_DEADLOCK
    /// (`smbd_claim_version`, 4.17.12; seen with C nodes too).
    ///
    /// # Errors
    /// A daemon does not start, or does not listen within 20 seconds.
    pub fn start_smbd(&self) -> Result<()> {
        for (pnn, node) in self.nodes.iter().enumerate() {
            node.start_smbd()?;
            within(20, || check_serves(pnn))?;
        }
        Ok(())
    }

    /// Makes the user on one node; the whole cluster knows it then.
    ///
    /// # Errors
    /// smbpasswd fails.
    pub fn add_user(&self) -> Result<()> {
        self.nodes[0]
            .sh(r"printf 'secret\nsecret\n' | smbpasswd -s -a smbu")
            .map(drop)
    }

    /// Every node sees all nodes OK, and is not in recovery.
    ///
    /// # Errors
    /// Shows the status of a node that does not.
    pub fn check_all_ok(&self) -> Result<()> {
        self.nodes
            .iter()
            .try_for_each(|node| check_ok(node, self.nodes.len()))
    }

    /// All but the last node see each other OK.
    ///
    /// # Errors
    /// Shows the status of a node that does not.
    pub fn check_rest_ok(&self) -> Result<()> {
        let rest = &self.nodes[..self.last()];
        rest.iter().try_for_each(|node| check_ok(node, rest.len()))
    }

    /// The last node: the one that things are done to.
    #[must_use]
    pub fn last(&self) -> usize {
        self.nodes.len() - 1
    }

    /// An SMB session on a node.
    ///
    /// # Errors
    /// As [`Connection::open_share`].
    pub fn session(&self, pnn: usize) -> Result<Connection> {
        Connection::open_share(address(pnn), SHARE)
    }

    /// Ends the cluster and gives the machine back, empty.
    ///
    /// # Errors
    /// Its files cannot be removed.
    pub fn power_off(self) -> Result<Host> {
        let Self { host, nodes, disks } = self;
        let dirs = nodes
            .iter()
            .map(|node| host.dir.join(format!("node{}", node.pnn)));
        let dirs: Vec<_> = dirs.collect();
        drop(nodes);
        for disk in disks {
            output(Command::new("umount").arg(disk))?;
        }
        dirs.iter().try_for_each(fs::remove_dir_all)?;
        fs::remove_dir_all(host.dir.join(SHARE))?;
        Ok(host)
    }

    /// Copies all logs into a directory.
    ///
    /// # Errors
    /// They cannot be copied.
    pub fn keep_logs(&self, to: &Path) -> Result<()> {
        self.nodes.iter().try_for_each(|node| node.keep_logs(to))?;
        eprintln!("# logs: {}", to.display());
        Ok(())
    }
}

fn mount_disk(disk: &Path, size: &str) -> Result<()> {
    fs::create_dir_all(disk)?;
    let options = format!("mode=755,size={size}");
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", &options, "disk"])
        .arg(disk);
    output(&mut mount).map(drop)
}

/// A node sees that many nodes OK, and is not in recovery.
///
/// # Errors
/// Shows its status.
pub(crate) fn check_ok(node: &Node, wanted: usize) -> Result<()> {
    let status = node.ctdb(&["status"])?;
    let ok = status
        .lines()
        .filter(|line| line.starts_with("pnn:") && is_ok(line))
        .count();
    let normal = status
        .lines()
        .any(|line| line.starts_with("Recovery mode:NORMAL"));
    ensure!(
        ok == wanted && normal,
        "node {} sees {ok} of {wanted} OK\n{status}",
        node.pnn
    );
    Ok(())
}

/// `pnn:0 192.0.2.10       OK (THIS NODE)`: flags stand after the address.
pub(crate) fn is_ok(line: &str) -> bool {
    line.split_whitespace().nth(2) == Some("OK")
}

/// smbd of a node accepts connections.
///
/// # Errors
/// It does not.
pub fn check_serves(pnn: usize) -> Result<()> {
    let server: IpAddr = address(pnn);
    TcpStream::connect_timeout(&SocketAddr::new(server, 445), Duration::from_secs(1))
        .map(drop)
        .with_context(|| format!("smbd of node {pnn}"))
}

fn ctdb_conf(share: &Path, spec: &Spec) -> String {
    let log_level = &spec.log_level;
    let lock = || format!("\tcluster lock = {}/.reclock\n", share.display());
    let manager = spec.manager.clone().unwrap_or_else(lock);
    format!(
        "[logging]\n\tlocation = file:/var/log/ctdb/log.ctdb\n\tlog level = {log_level}\n\
         [cluster]\n{manager}\tleader timeout = 2\n\
         [legacy]\n\trealtime scheduling = false\n"
    )
}

/// All nodes share one kernel, so whatever smbd could settle through the kernel is switched off:
/// otherwise a lock would be seen on another node without any ctdbd.
fn smb_conf(share: &Path, clustering: bool) -> String {
    let clustering = if clustering { "yes" } else { "no" };
    format!(
        "[global]\nclustering = {clustering}\nnetbios name = SMBCLUSTER\nworkgroup = TEST\n\
         server role = standalone\npassdb backend = tdbsam\nmap to guest = bad user\n\
         load printers = no\ndisable spoolss = yes\nsmb ports = 445\nbind interfaces only = no\n\
         log level = 1\nmax log size = 0\nsmbd profiling level = off\nregistry shares = yes\n\
         kernel oplocks = no\nkernel share modes = no\nposix locking = no\n\
         kernel change notify = no\nea support = yes\nstore dos attributes = yes\n\
         server multi channel support = no\n[{SHARE}]\npath = {}\nread only = no\nguest ok = yes\n",
        share.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ok_by_its_flags_and_not_by_its_name() {
        assert!(is_ok("pnn:0 192.0.2.10       OK (THIS NODE)"));
        assert!(!is_ok(
            "pnn:1 192.0.2.11       DISCONNECTED|UNHEALTHY|INACTIVE"
        ));
    }
}

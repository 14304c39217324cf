//! Three nodes of ours whose members and leader are etcd's word: what dies, is cut off or goes away, and what becomes of it.
//!
//! ```text
//!   node 0   node 1   node 2          each in its namespaces
//!      \        |       /
//!       +---- bridge --+              a node is cut off from etcd, or from the others, by its routes
//!               |
//!   etcd e0  etcd e1  etcd e2         on the machine itself, with https, for nodes with a certificate
//! ```

mod faults;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::deaths::scene::{OTHER, PERSISTENT, VOLATILE};
use crate::etcd::{self, Certificates, Servers};
use crate::host::Host;
use crate::node::Node;
use crate::report::{Report, within};

/// Seconds of a lease: the shortest.
pub(crate) const LEASE: u64 = 5;

/// The lines of `[cluster]` in ctdb.conf that take the place of the cluster lock.
#[must_use]
pub fn conf(host: &Host) -> String {
    etcd::conf(LEASE, Some(&Certificates::of(&dir(host))))
}

/// Where etcd's files are.
fn dir(host: &Host) -> PathBuf {
    host.dir.join("etcd")
}

/// Nodes that are up, and etcd.
struct Scene<'a> {
    cluster: &'a mut Cluster,
    servers: Servers,
}

/// Runs all groups on a cluster of three nodes that was just booted.
///
/// # Errors
/// etcd or the cluster does not come up.
pub fn run(cluster: &mut Cluster, quick: bool, report: &mut Report) -> Result<()> {
    ensure!(cluster.nodes.len() == 3, "three nodes");
    let servers = Servers::start_secure(dir(&cluster.host))?;
    let mut scene = Scene { cluster, servers };
    scene.start(report)?;
    type Group = fn(&mut Scene<'_>, &mut Report) -> Result<()>;
    let groups: [(&str, bool, Group); 9] = [
        ("the leader's daemon dies", true, faults::leader_killed),
        ("the leader is shut down", true, faults::leader_shut_down),
        ("the leader's manager dies", false, faults::manager_killed),
        ("an etcd server dies", false, faults::etcd_leader_killed),
        (
            "etcd is gone for longer than a lease",
            true,
            faults::etcd_gone,
        ),
        (
            "a node is cut off from etcd",
            false,
            faults::cut_off_from_etcd,
        ),
        (
            "the leader's machine dies",
            false,
            faults::leader_powered_off,
        ),
        (
            "the leader is stopped for a while",
            false,
            faults::leader_stopped,
        ),
        ("neighbours without etcd", false, faults::neighbours),
    ];
    for (name, in_quick, group) in groups {
        if quick && !in_quick {
            continue;
        }
        report.group(name, |report| group(&mut scene, report));
        let well = report.check("afterwards all nodes are OK and work", || {
            within(40, || scene.cluster.check_all_ok())?;
            scene.check_works("after")
        });
        ensure!(well, "the cluster is not as it was");
    }
    Ok(())
}

impl Scene<'_> {
    fn start(&self, report: &mut Report) -> Result<()> {
        self.cluster.start_ctdbd()?;
        for name in [VOLATILE, OTHER] {
            self.node(0).ctdb(&["attach", name])?;
        }
        self.node(0).ctdb(&["attach", PERSISTENT, "persistent"])?;
        report.check("etcd knows three members and a leader", || {
            self.servers.check_members(&[0, 1, 2])
        });
        report.check(
            "the tool shows the setting in place of the cluster lock",
            || {
                let text = self.node(1).ctdb(&["getreclock"])?;
                ensure!(text.trim() == "etcd:/ctdb/", "{text}");
                Ok(())
            },
        );
        report.check("records go round", || self.check_works("first"));
        Ok(())
    }

    fn node(&self, pnn: usize) -> &Node {
        &self.cluster.nodes[pnn]
    }

    fn check_works(&self, what: &str) -> Result<()> {
        let nodes: Vec<_> = self.cluster.nodes.iter().collect();
        crate::deaths::scene::check_work_together(&nodes, what)
    }

    /// Whether a node's log has such a line since `from`.
    fn log(&self, pnn: usize) -> Result<String> {
        let path = self.node(pnn).path("/var/log/ctdb/log.ctdb");
        Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
    }
}

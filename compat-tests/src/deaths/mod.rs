//! What happens when something dies, hangs or runs out: each of the outcomes that
//! `docs/operations.md` states under "What happens when".
//!
//! One cluster serves all groups. Each group leaves it as it found it: all nodes OK.

pub mod actor;
mod daemon;
mod deaf;
mod descriptors;
mod disk;
mod events;
mod locks;
mod manager;
mod open_files;
mod processes;
pub(crate) mod scene;
pub mod series;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::cluster::Cluster;
use crate::report::Report;
use scene::Scene;

/// ctdb.tunables of these tests: what a daemon waits for, it waits for briefly.
pub const TUNABLES: &str = "RecdPingTimeout=2\nRecdFailCount=1\nControlTimeout=5\n\
                            RecoverTimeout=10\nKeepaliveLimit=3\nRecoveryBanPeriod=4\n\
                            EventScriptTimeout=3\nMonitorTimeoutCount=2\n";
/// ctdb.conf of these tests.
pub const CONF: &str = "[database]\n\tlock debug script = /etc/ctdb/debug-locks-of-test\n\
                        [event]\n\tdebug script = debug-hung-of-test\n";

/// A group of deaths, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// ctdb-clusterd: killed, stopped, ending again and again; and ctdbd above it.
    Manager,
    /// ctdbd: stopped and continued.
    Daemon,
    /// Event scripts that fail or hang; ctdb-eventd: killed, stopped, not to be started.
    Events,
    /// Clients that hold a chain lock: stopped, killed.
    Locks,
    /// No descriptors left.
    Descriptors,
    /// No processes to be had.
    Processes,
    /// A client that never reads.
    Deaf,
    /// No space on the disk, and a directory that cannot be written.
    Disk,
    /// A volatile file still open when ctdbd starts again.
    OpenFiles,
}

impl Group {
    fn run(self, scene: &Scene<'_>, report: &mut Report) -> Result<()> {
        match self {
            Self::Manager => manager::run(scene, report),
            Self::Daemon => daemon::run(scene, report),
            Self::Events => events::run(scene, report),
            Self::Locks => locks::run(scene, report),
            Self::Descriptors => descriptors::run(scene, report),
            Self::Processes => processes::run(scene, report),
            Self::Deaf => deaf::run(scene, report),
            Self::OpenFiles => open_files::run(scene, report),
            Self::Disk => disk::run(scene, report),
        }
    }
}

/// Runs the groups, all of them if none is named and without the long waits if `quick`, on a cluster of three nodes that was just booted.
///
/// # Errors
/// The cluster does not come up.
pub fn run(cluster: &Cluster, groups: &[Group], quick: bool, report: &mut Report) -> Result<()> {
    ensure!(cluster.nodes.len() == 3, "three nodes");
    let scene = Scene::set(cluster, quick)?;
    let groups = if groups.is_empty() {
        Group::value_variants()
    } else {
        groups
    };
    for group in groups {
        let name = format!("{group:?}").to_lowercase();
        report.group(&name, |report| group.run(&scene, report));
        scene.recover_from(report)?;
    }
    Ok(())
}

//! The assertions, by what they are about.

pub mod compare;
mod databases;
mod lifecycle;
mod load;
mod locks;
mod sessions;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::cluster::Cluster;
use crate::report::Report;
use crate::smb2::{Connection, FileId, Open, Share, Status};

/// A group of assertions, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Clustered persistent databases, through Samba's tools.
    Databases,
    /// `net g_lock` across nodes.
    Glock,
    /// Sessions and open files of all nodes are seen on each; messages between processes.
    Sessions,
    /// What a client of one node does binds the clients of another.
    Locks,
    /// The workloads of `ctdb-load` on all nodes.
    Load,
    /// `ctdb stop` and `ctdb continue`.
    Stop,
    /// kill -9 of one ctdbd, and its return.
    Kill,
    /// Power off of one node, and its return.
    Power,
    /// `ctdb shutdown` leaves nothing behind.
    End,
}

impl Section {
    /// Runs the section on a cluster that is up, and leaves it up (but for the last one).
    ///
    /// # Errors
    /// The section cannot go on.
    pub fn run(self, cluster: &mut Cluster, report: &mut Report) -> Result<()> {
        match self {
            Self::Databases => databases::persistent(cluster, report),
            Self::Glock => databases::g_lock(cluster, report),
            Self::Sessions => sessions::run(cluster, report),
            Self::Locks => locks::run(cluster, report),
            Self::Load => load::run(cluster, report),
            Self::Stop => lifecycle::stop(cluster, report),
            Self::Kill => lifecycle::kill(cluster, report),
            Self::Power => lifecycle::power(cluster, report),
            Self::End => lifecycle::end(cluster, report),
        }
    }
}

/// Brings everything up: daemons, smbd, the user.
///
/// # Errors
/// Some part of it does not come.
pub fn bring_up(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let nodes = cluster.nodes.len();
    let up = report.check(&format!("{nodes} nodes come up"), || cluster.start_ctdbd())
        && report.check("smbd on each", || cluster.start_smbd())
        && report.check("smbpasswd on node 0", || cluster.add_user());
    ensure!(up, "the cluster did not come up");
    Ok(())
}

/// A file held open on a node that others may only read, in a session of its own.
struct Held {
    session: Connection,
    file: FileId,
}

impl Held {
    fn new(cluster: &Cluster, pnn: usize, name: &str) -> Result<Self> {
        let mut session = cluster.session(pnn)?;
        let file = session
            .must_open(&Open::writing(name).share(Share::Read))?
            .file;
        Ok(Self { session, file })
    }

    /// The handle still works.
    fn check_alive(&mut self) -> Result<()> {
        // a new file is empty: its end is all there is to read
        const END_OF_FILE: Status = Status(0xC000_0011);
        match self.session.read(self.file, 1)? {
            Ok(_) | Err(END_OF_FILE) => Ok(()),
            Err(status) => status.expect(Status::OK),
        }
    }

    /// The server has closed the session.
    fn check_lost(&mut self) -> Result<()> {
        ensure!(self.session.check_alive().is_err(), "the session lives on");
        Ok(())
    }
}

/// An open for writing on a node has this outcome.
fn check_open(cluster: &Cluster, pnn: usize, name: &str, wanted: Status) -> Result<()> {
    cluster
        .session(pnn)?
        .try_open(&Open::writing(name))?
        .expect(wanted)
}

/// A text has a line that contains all the words.
pub(crate) fn check_line(text: &str, words: &[&str]) -> Result<()> {
    let found = text
        .lines()
        .any(|line| words.iter().all(|word| line.contains(word)));
    ensure!(found, "no line with {words:?} in\n{text}");
    Ok(())
}

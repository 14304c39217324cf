//! Attaching databases: the daemon creates or finds them, and says where the tdb file is and how to
//! open it.

use std::path::PathBuf;
use std::time::Duration;

use wire::control::{
    Control, DbAttach, DbAttachPersistent, DbAttachReplicated, DbGetHealth, DbOpenFlags, GetDbPath,
    GetNodemap, SetDbReadonly, SetDbSticky,
};
use wire::types::{DbFlags, NodeFlags};
use wire::{DbId, Pnn};

use crate::connection::Client;
use crate::error::{Error, Result};

/// Which of the three attach controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatabaseKind {
    /// Records move between the nodes and are lost with them.
    Volatile,
    /// Every node has all records on disk.
    Persistent,
    /// Every node has all records in memory.
    Replicated,
}

impl DatabaseKind {
    /// The kind that these flags stand for.
    #[must_use]
    pub const fn from_flags(flags: DbFlags) -> Self {
        if flags.contains(DbFlags::PERSISTENT) {
            Self::Persistent
        } else if flags.contains(DbFlags::REPLICATED) {
            Self::Replicated
        } else {
            Self::Volatile
        }
    }
}

/// What is needed to open a database that the daemon has attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Its number in all packets.
    pub id: DbId,
    /// The name it was attached by.
    pub name: String,
    /// The tdb file.
    pub path: PathBuf,
    /// What was asked for.
    pub flags: DbFlags,
    /// Flags for `tdb_open`.
    pub open_flags: i32,
}

impl Client {
    /// Attaches a database on this node, creates it if need be, and asks where it is. With READONLY
    /// or STICKY in `flags`, sets that on all connected nodes, which cannot be undone. `timeout` is
    /// for each of the controls.
    ///
    /// # Errors
    /// Those of [`Client::control`], and [`Error::Unhealthy`].
    pub async fn attach(
        &self,
        name: &str,
        flags: DbFlags,
        timeout: Duration,
    ) -> Result<DatabaseInfo> {
        let id = match DatabaseKind::from_flags(flags) {
            DatabaseKind::Volatile => self.attach_as::<DbAttach>(name, timeout).await?,
            DatabaseKind::Persistent => self.attach_as::<DbAttachPersistent>(name, timeout).await?,
            DatabaseKind::Replicated => self.attach_as::<DbAttachReplicated>(name, timeout).await?,
        };
        let here = Pnn::CURRENT;
        let path = self.control::<GetDbPath>(here, &id, timeout).await?.reply;
        let health = self.control::<DbGetHealth>(here, &id, timeout).await?.reply;
        if let Some(reason) = health {
            return Err(Error::Unhealthy {
                name: name.to_owned(),
                reason,
            });
        }
        self.set_flags(id, flags, timeout).await?;
        let open_flags = self.control::<DbOpenFlags>(here, &id, timeout).await?.reply;
        Ok(DatabaseInfo {
            id,
            name: name.to_owned(),
            path: path.into(),
            flags,
            open_flags,
        })
    }

    async fn attach_as<C>(&self, name: &str, timeout: Duration) -> Result<DbId>
    where
        C: Control<Request = String, Reply = DbId>,
    {
        let answer = self
            .control::<C>(Pnn::CURRENT, &name.to_owned(), timeout)
            .await?;
        Ok(answer.reply)
    }

    async fn set_flags(&self, id: DbId, flags: DbFlags, timeout: Duration) -> Result<()> {
        if !flags.intersects(DbFlags::READONLY | DbFlags::STICKY) {
            return Ok(());
        }
        for node in self.connected_nodes(timeout).await? {
            if flags.contains(DbFlags::READONLY) {
                self.control::<SetDbReadonly>(node, &id, timeout).await?;
            }
            if flags.contains(DbFlags::STICKY) {
                self.control::<SetDbSticky>(node, &id, timeout).await?;
            }
        }
        Ok(())
    }

    /// The nodes that this one is connected to, and this one, in order.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn connected_nodes(&self, timeout: Duration) -> Result<Vec<Pnn>> {
        let map = self
            .control::<GetNodemap>(Pnn::CURRENT, &(), timeout)
            .await?
            .reply;
        let absent = NodeFlags::DISCONNECTED | NodeFlags::DELETED;
        let connected = map
            .nodes
            .iter()
            .filter(|node| !node.flags.intersects(absent));
        Ok(connected.map(|node| node.pnn).collect())
    }
}

//! Global locks: named locks of the whole cluster, in upstream's format, so that C's clients and ours
//! respect each other's.
//!
//! A lock is a record of `g_lock.tdb`: the list of its holders. C's clients that find it held look
//! again each millisecond. Ours tell the holder, if it is one of ours too, and the holder writes the
//! first one that waits into the record in its own place:
//!
//! ```text
//!  waiter                                   holder
//!    looks: held by the other
//!    Want ------------------------------->  queued
//!                                           unlocks: the record now says that the waiter holds it
//!    holds it  <------------------ Granted  (with those that wait behind it)
//!
//!    Want ------------------------------->  (holds it no longer, or never did)
//!    looks again  <------------------ Look
//! ```
//!
//! So locks go round in the order of asking, without polling. For two milliseconds after it came, a holder
//! may take the lock again before it hands it on: many short turns cost one hand-over. After some
//! hand-overs the lock is left free for a few milliseconds, so that clients of C's get it too. A message may be lost with a node: after a while the waiter looks again, and
//! asks the holder's daemon whether there still is such a client. What a dead holder left in the list
//! is removed by whoever meets it.

mod queue;
mod service;
mod word;

use std::rc::Rc;
use std::time::Duration;

use wire::Pnn;
use wire::coding::{Decode, Encode};
use wire::types::{DbFlags, GLockEntry, GLockList, GLockMode, ServerId};

use crate::connection::Client;
use crate::database::{Database, Deadline, Patience, RecordLock};
use crate::error::Result;
use queue::{Behind, Signal};
use service::Inner;
use word::{Word, address, is_ours};

/// The database of all global locks.
const NAME: &str = "g_lock.tdb";
/// Between two looks at a lock that a C client holds (`ctdb_g_lock_lock_checked`, 4.17.12).
const C_CLIENT_PAUSE: Duration = Duration::from_millis(1);
/// Without a word from a holder of ours for so long, whether it lives is asked.
const SILENCE: Duration = Duration::from_secs(1);

/// The cluster's global locks, as this client sees them. Clones share it.
#[derive(Clone, Debug)]
pub struct GLocks {
    inner: Rc<Inner>,
}

/// A lock that is held. Dropping it unlocks in the background.
#[derive(Debug)]
pub struct GLock {
    locks: GLocks,
    name: Box<[u8]>,
    server: ServerId,
    released: bool,
}

/// What waiting for a holder came to.
enum Waited {
    /// The lock is ours.
    Granted,
    /// The holder is gone for good.
    Dead,
    /// Something may have changed.
    Look,
}

impl GLocks {
    /// Opens the database of locks. To be called within a [`LocalSet`](tokio::task::LocalSet), in
    /// which a task answers the other clients.
    ///
    /// # Errors
    /// Those of [`Client::open_database`] and [`Client::register`].
    pub async fn open(client: &Client, timeout: Duration) -> Result<Self> {
        Self::open_with(client, Patience::default(), timeout).await
    }

    /// The same with another way to wait for the chain locks of the database.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_with(client: &Client, patience: Patience, timeout: Duration) -> Result<Self> {
        let db = client
            .open_database(NAME, DbFlags::empty(), timeout)
            .await?;
        let inner = service::start(db.with_patience(patience)).await?;
        Ok(Self { inner })
    }

    /// Locks. `name` is the record's key: C's clients have a NUL at its end. `task` is the caller's
    /// own business, and is seen in the list of holders. Locking twice waits for oneself.
    ///
    /// # Errors
    /// [`Error::TimedOut`](crate::Error::TimedOut), and those of [`Database::lock_record`].
    pub async fn lock(
        &self,
        name: &[u8],
        (mode, task): (GLockMode, u32),
        timeout: Duration,
    ) -> Result<GLock> {
        let entry = self.inner.enter(mode, task);
        let lock = GLock {
            locks: self.clone(),
            name: name.into(),
            server: entry.server.clone(),
            released: false,
        };
        // if this fails, dropping the lock gives back what may be granted at this moment
        self.acquire(name, &entry, Deadline::after(timeout)).await?;
        Ok(lock)
    }

    async fn acquire(&self, name: &[u8], entry: &GLockEntry, deadline: Deadline) -> Result<()> {
        let mut dead = Vec::new();
        self.inner.pause(name).await;
        loop {
            let Some(holder) = self.look(name, entry, &dead, deadline).await? else {
                self.inner.taken(name, &entry.server);
                return Ok(());
            };
            let waited = match is_ours(&holder) {
                true => self.wait_for_ours(name, entry, &holder, deadline).await?,
                false => self.wait_for_theirs(&holder, deadline).await?,
            };
            match waited {
                Waited::Granted => return Ok(()),
                Waited::Dead => dead.push(holder),
                Waited::Look => {}
            }
        }
    }

    /// Takes the lock if it can be had, or says who holds it.
    async fn look(
        &self,
        name: &[u8],
        entry: &GLockEntry,
        dead: &[ServerId],
        deadline: Deadline,
    ) -> Result<Option<ServerId>> {
        let left = deadline.left("g_lock", self.node())?;
        let mut record = self.db().lock_record(name, left).await?;
        let mut holders = GLockList::from_bytes(record.value())?.holders;
        let all = holders.len();
        holders.retain(|holder| !dead.contains(&holder.server));
        if holders.iter().any(|holder| holder.server == entry.server) {
            // granted, and the word of it is on its way or lost
            return Ok(None);
        }
        let holder = holders
            .iter()
            .find(|holder| holder.conflicts_with(entry))
            .map(|holder| holder.server.clone());
        if holder.is_none() {
            holders.push(entry.clone());
        }
        if holder.is_none() || holders.len() < all {
            store(&mut record, holders)?;
        }
        Ok(holder)
    }

    async fn wait_for_ours(
        &self,
        name: &[u8],
        entry: &GLockEntry,
        holder: &ServerId,
        deadline: Deadline,
    ) -> Result<Waited> {
        let left = deadline.left("g_lock", self.node())?;
        self.inner.send(
            holder,
            &Word::Want {
                holder: holder.clone(),
                waiter: entry.clone(),
                name: name.into(),
            },
        )?;
        let signal = self.inner.signal(&entry.server);
        match tokio::time::timeout(SILENCE.min(left), signal).await {
            Ok(Signal::Granted) => return Ok(Waited::Granted),
            Ok(Signal::Look(gone)) if gone == *holder => return Ok(Waited::Dead),
            Ok(Signal::Look(_)) => return Ok(Waited::Look),
            Err(_) => {}
        }
        let client = (pid(holder), address(holder));
        let left = deadline.left("g_lock", self.node())?;
        let lives = self.client().check_pid_srvid(holder.vnn, client, left);
        Ok(if lives.await? {
            Waited::Look
        } else {
            Waited::Dead
        })
    }

    async fn wait_for_theirs(&self, holder: &ServerId, deadline: Deadline) -> Result<Waited> {
        let left = deadline.left("g_lock", self.node())?;
        let lives = self.client().process_exists(holder.vnn, pid(holder), left);
        if !lives.await? {
            return Ok(Waited::Dead);
        }
        tokio::time::sleep(C_CLIENT_PAUSE).await;
        Ok(Waited::Look)
    }

    fn db(&self) -> &Database {
        &self.inner.db
    }

    fn client(&self) -> &Client {
        self.db().client()
    }

    fn node(&self) -> Pnn {
        self.client().pnn()
    }
}

impl GLock {
    /// Unlocks: when this returns, the lock is another's or free.
    ///
    /// # Errors
    /// Those of [`Database::lock_record`]. The lock is given up all the same: others find that out.
    pub async fn unlock(mut self, timeout: Duration) -> Result<()> {
        self.released = true;
        let inner = self.locks.inner.clone();
        inner
            .release(&self.name, &self.server, Behind::default(), timeout)
            .await
    }
}

impl Drop for GLock {
    fn drop(&mut self) {
        if !self.released {
            self.locks.inner.release_later(&self.name, &self.server);
        }
    }
}

/// Writes a list of holders; an empty one deletes the record, as C's clients do.
fn store(record: &mut RecordLock<'_>, holders: Vec<GLockEntry>) -> Result<()> {
    match holders.is_empty() {
        true => record.delete(),
        false => record.store(&GLockList { holders }.to_bytes()),
    }
}

/// What no process has is answered with no.
fn pid(server: &ServerId) -> i32 {
    i32::try_from(server.pid).unwrap_or(i32::MAX)
}

//! The task that answers other clients, and the handing over of locks.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use wire::Srvid;
use wire::coding::{Decode, Encode};
use wire::types::{GLockEntry, GLockList, GLockMode, ServerId};

use super::queue::{Behind, Queues, Signal};
use super::word::{self, Word, address};
use crate::database::Database;
use crate::error::Result;
use crate::message::Subscription;
use crate::traverse::private_srvid;

/// How long unlocking in the background may take. What it does not manage others clean up.
const BACKGROUND: Duration = Duration::from_secs(60);
/// A lock that was handed on so often is left free for a moment: C's clients look for that, and would
/// else wait for as long as ours want the lock.
const TURNS: u32 = 32;
/// That moment. They look once a millisecond, and need the record for it.
const PAUSE: Duration = Duration::from_millis(5);
/// For so long after it came from another client a lock may be taken again and again by the same one,
/// though others wait: handing it over takes as long as very many of these turns.
const TENURE: Duration = Duration::from_millis(2);

/// What a client's locks share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) db: Database,
    address: Srvid,
    queues: RefCell<Queues>,
    sequence: RefCell<u32>,
    unwanted: mpsc::UnboundedSender<Unwanted>,
    service: RefCell<Option<AbortHandle>>,
    /// Locks that are left free for a moment.
    pausing: RefCell<BTreeSet<Box<[u8]>>>,
    /// Locks that were just released and that this client may take again first.
    kept: RefCell<BTreeMap<Box<[u8]>, Kept>>,
}

/// Who waits for a lock that was just released, and since when it is this client's.
#[derive(Debug)]
struct Kept {
    server: ServerId,
    behind: Behind,
    since: Option<Instant>,
}

/// A lock to be released in the background, and who waits for it.
#[derive(Debug)]
struct Unwanted {
    name: Box<[u8]>,
    server: ServerId,
    behind: Behind,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(service) = self.service.get_mut() {
            service.abort();
        }
    }
}

/// Starts the task, within a `LocalSet`.
pub(super) async fn start(db: Database) -> Result<Rc<Inner>> {
    let subscription = db.client().register(private_srvid()).await?;
    let (unwanted, requests) = mpsc::unbounded_channel();
    let inner = Rc::new(Inner {
        db,
        address: subscription.srvid(),
        queues: RefCell::default(),
        sequence: RefCell::default(),
        unwanted,
        service: RefCell::default(),
        pausing: RefCell::default(),
        kept: RefCell::default(),
    });
    let service = serve(Rc::downgrade(&inner), subscription, requests);
    let service = tokio::task::spawn_local(service).abort_handle();
    inner.service.replace(Some(service));
    Ok(inner)
}

async fn serve(
    inner: std::rc::Weak<Inner>,
    mut words: Subscription,
    mut unwanted: mpsc::UnboundedReceiver<Unwanted>,
) {
    loop {
        tokio::select! {
            word = words.recv() => match (word, inner.upgrade()) {
                (Ok(message), Some(inner)) => match Word::from_bytes(&message.data) {
                    Ok(word) => inner.hear(word),
                    Err(error) => tracing::warn!(%error, "a message about locks is not understood"),
                },
                // some were lost: those who wait look again by themselves
                (Err(crate::Error::Overrun { .. }), Some(_)) => {}
                _ => return,
            },
            Some(lock) = unwanted.recv() => {
                let Some(inner) = inner.upgrade() else { return };
                tokio::task::spawn_local(inner.release_now(lock));
            }
        }
    }
}

impl Inner {
    /// A new waiter.
    pub(super) fn enter(&self, mode: GLockMode, task: u32) -> GLockEntry {
        let mut sequence = self.sequence.borrow_mut();
        loop {
            *sequence = sequence.wrapping_add(1);
            let here = (self.address, self.db.client().pnn());
            let server = word::server(here, *sequence, task);
            if self.queues.borrow_mut().enter(server.unique) {
                return GLockEntry { mode, server };
            }
        }
    }

    /// What the waiter is told next.
    pub(super) async fn signal(&self, waiter: &ServerId) -> Signal {
        loop {
            let wake = match self.queues.borrow_mut().signal(waiter.unique) {
                Ok(signal) => return signal,
                Err(wake) => wake,
            };
            wake.notified().await;
        }
    }

    pub(super) fn send(&self, to: &ServerId, word: &Word) -> Result<()> {
        let client = self.db.client();
        client.message(to.vnn, address(to), &word.to_bytes())
    }

    /// Sends what nobody depends on: who does not get it looks again by itself.
    fn tell(&self, to: &ServerId, word: &Word) {
        if let Err(error) = self.send(to, word) {
            tracing::debug!(%error, node = to.vnn.0, "a word about a lock was not sent");
        }
    }

    fn hear(&self, word: Word) {
        let mut queues = self.queues.borrow_mut();
        match word {
            Word::Want { holder, waiter, .. } => {
                if !queues.wait_behind(holder.unique, waiter.clone()) {
                    let to = waiter.server.clone();
                    self.tell(&waiter.server, &Word::Look { to, gone: holder });
                }
            }
            Word::Granted {
                to,
                turns,
                behind: waiters,
                name,
            } => {
                if let Err(behind) = queues.grant(to.unique, Behind { waiters, turns }) {
                    // it has given up waiting
                    let server = to;
                    self.queue(Unwanted {
                        name,
                        server,
                        behind,
                    });
                }
            }
            Word::Look { to, gone } => queues.look(to.unique, gone),
        }
    }

    /// Releases in the background what may be held.
    pub(super) fn release_later(&self, name: &[u8], server: &ServerId) {
        self.queue(Unwanted {
            name: name.into(),
            server: server.clone(),
            behind: Behind::default(),
        });
    }

    fn queue(&self, lock: Unwanted) {
        // without the task there is no connection, and then no lock
        let _ = self.unwanted.send(lock);
    }

    async fn release_now(self: Rc<Self>, lock: Unwanted) {
        let released = self.release(&lock.name, &lock.server, lock.behind, BACKGROUND);
        if let Err(error) = released.await {
            tracing::debug!(%error, "a global lock was not released");
        }
    }

    /// Returns when this lock may be asked for by this client.
    pub(super) async fn pause(&self, name: &[u8]) {
        if self.pausing.borrow().contains(name) {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes a holder out of the record and writes those into it who are next.
    pub(super) async fn release(
        self: &Rc<Self>,
        name: &[u8],
        server: &ServerId,
        mut behind: Behind,
        timeout: Duration,
    ) -> Result<()> {
        let record = self.db.lock_record(name, timeout).await;
        // whoever asks from now on is told to look, also if this fails
        let (mut later, since) = self.queues.borrow_mut().leave(server.unique);
        behind.waiters.append(&mut later.waiters);
        behind.turns = behind.turns.max(later.turns);
        let mut record = record?;
        let mut holders = GLockList::from_bytes(record.value())?.holders;
        let before = holders.len();
        holders.retain(|holder| holder.server != *server);
        let pause = behind.turns >= TURNS && !behind.waiters.is_empty();
        let within_tenure = since.is_some_and(|since| since.elapsed() < TENURE);
        let keep = !pause && within_tenure && !behind.waiters.is_empty();
        let granted = match pause || keep {
            true => Vec::new(),
            false => admit(&mut holders, &mut behind.waiters),
        };
        if holders.len() != before || !granted.is_empty() {
            super::store(&mut record, holders)?;
        }
        drop(record);
        match (pause, keep) {
            (true, _) => self.hand_over_later(name, server, behind.waiters),
            (_, true) => self.keep(name, server, (behind, since)),
            _ => self.hand_over(name, server, (granted, behind)),
        }
        Ok(())
    }

    /// Lets this client's next task take the lock before those who wait. If none does at once, they get it.
    fn keep(
        self: &Rc<Self>,
        name: &[u8],
        server: &ServerId,
        (behind, since): (Behind, Option<Instant>),
    ) {
        let kept = Kept {
            server: server.clone(),
            behind,
            since,
        };
        self.kept.borrow_mut().insert(name.into(), kept);
        let (inner, name, server) = (self.clone(), Box::from(name), server.clone());
        tokio::task::spawn_local(async move {
            // whoever was woken by the release has had its turn when this task runs again
            tokio::task::yield_now().await;
            if let Some(kept) = inner.kept_by(&name, |kept| kept.server == server) {
                let (server, behind) = (kept.server, kept.behind);
                inner
                    .release_now(Unwanted {
                        name,
                        server,
                        behind,
                    })
                    .await;
            }
        });
    }

    fn kept_by(&self, name: &[u8], whose: impl FnOnce(&Kept) -> bool) -> Option<Kept> {
        let mut kept = self.kept.borrow_mut();
        kept.get(name).filter(|kept| whose(kept))?;
        kept.remove(name)
    }

    /// This client holds the lock: who waited for it since its last release waits behind this holder.
    pub(super) fn taken(&self, name: &[u8], holder: &ServerId) {
        if let Some(kept) = self.kept_by(name, |_| true) {
            let mut queues = self.queues.borrow_mut();
            queues.succeed(holder.unique, kept.behind, kept.since);
        }
    }

    /// Leaves the lock free for a moment, and then gives it to those who waited.
    fn hand_over_later(self: &Rc<Self>, name: &[u8], gone: &ServerId, waiters: Vec<GLockEntry>) {
        self.pausing.borrow_mut().insert(name.into());
        let lock = Unwanted {
            name: name.into(),
            server: gone.clone(),
            behind: Behind { waiters, turns: 0 },
        };
        let inner = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(PAUSE).await;
            inner.pausing.borrow_mut().remove(&lock.name);
            inner.release_now(lock).await;
        });
    }

    /// The first of those who hold the lock now has the others behind it; if nobody does, they look for
    /// somebody else to wait for.
    fn hand_over(
        &self,
        name: &[u8],
        gone: &ServerId,
        (granted, mut behind): (Vec<GLockEntry>, Behind),
    ) {
        if granted.is_empty() {
            for waiter in &behind.waiters {
                let (to, gone) = (waiter.server.clone(), gone.clone());
                self.tell(&waiter.server, &Word::Look { to, gone });
            }
        }
        for holder in &granted {
            let word = Word::Granted {
                to: holder.server.clone(),
                turns: behind.turns.saturating_add(1),
                behind: std::mem::take(&mut behind.waiters),
                name: name.into(),
            };
            self.tell(&holder.server, &word);
        }
    }
}

/// Moves those from the front of the queue to the holders who can hold the lock with them.
fn admit(holders: &mut Vec<GLockEntry>, behind: &mut Vec<GLockEntry>) -> Vec<GLockEntry> {
    behind.retain(|waiter| !holders.iter().any(|holder| holder.server == waiter.server));
    let mut granted = Vec::new();
    while let Some(next) = behind.first()
        && !holders.iter().any(|holder| holder.conflicts_with(next))
    {
        let next = behind.remove(0);
        holders.push(next.clone());
        granted.push(next);
    }
    granted
}

#[cfg(test)]
mod tests {
    use wire::Pnn;

    use super::*;

    fn entry(mode: GLockMode, sequence: u32) -> GLockEntry {
        let server = word::server((Srvid(1), Pnn(0)), sequence, 0);
        GLockEntry { mode, server }
    }

    #[test]
    fn readers_are_admitted_together_up_to_the_first_writer() {
        let (one, two) = (entry(GLockMode::Read, 1), entry(GLockMode::Read, 2));
        let (writer, last) = (entry(GLockMode::Write, 3), entry(GLockMode::Read, 4));
        let mut holders = Vec::new();
        let mut behind = vec![one.clone(), two.clone(), writer.clone(), last.clone()];
        assert_eq!(admit(&mut holders, &mut behind), [one.clone(), two.clone()]);
        assert_eq!(holders, [one.clone(), two]);
        assert_eq!(behind, [writer.clone(), last.clone()]);
        assert!(admit(&mut holders, &mut behind).is_empty());
        holders.clear();
        assert_eq!(admit(&mut holders, &mut behind), [writer]);
        // one that is in the record already waits no more
        let mut behind = vec![one.clone()];
        assert!(admit(&mut vec![one], &mut behind).is_empty() && behind.is_empty());
        assert_eq!(last.mode, GLockMode::Read);
    }
}

//! Who wants what comes in unasked: bounded queues by address.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::{Error, Result};

/// What carries data whose size counts against the limit of a queue.
pub(crate) trait Payload {
    fn data(&self) -> &Bytes;
}

/// The queues of all subscriptions, by address (`K`).
#[derive(Debug)]
pub(crate) struct Router<K, T> {
    queues: BTreeMap<K, Vec<Inlet<T>>>,
    next: u64,
}

#[derive(Debug)]
struct Inlet<T> {
    id: u64,
    queue: mpsc::UnboundedSender<T>,
    level: Arc<Level>,
}

/// How full a queue is.
#[derive(Debug, Default)]
struct Level {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// The reading end of one queue.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    pub(crate) id: u64,
    queue: mpsc::UnboundedReceiver<T>,
    level: Arc<Level>,
}

/// What a queued item counts besides its data, so that empty ones are bounded too.
const OVERHEAD: usize = 64;

impl<K: Ord + Copy, T: Payload + Clone> Router<K, T> {
    pub(crate) const fn new() -> Self {
        Self {
            queues: BTreeMap::new(),
            next: 0,
        }
    }

    /// Adds a queue; true: it is the first one of its address.
    pub(crate) fn add(&mut self, key: K) -> (Outlet<T>, bool) {
        let (queue, receiver) = mpsc::unbounded_channel();
        let level = Arc::<Level>::default();
        let id = self.next;
        self.next += 1;
        let inlets = self.queues.entry(key).or_default();
        inlets.push(Inlet {
            id,
            queue,
            level: level.clone(),
        });
        (
            Outlet {
                id,
                queue: receiver,
                level,
            },
            inlets.len() == 1,
        )
    }

    /// Whether anybody listens there.
    pub(crate) fn contains(&self, key: K) -> bool {
        self.queues.contains_key(&key)
    }

    /// Removes a queue; true: its address has no other.
    pub(crate) fn remove(&mut self, key: K, id: u64) -> bool {
        let Some(inlets) = self.queues.get_mut(&key) else {
            return false;
        };
        let before = inlets.len();
        inlets.retain(|inlet| inlet.id != id);
        let last = inlets.is_empty();
        let removed = inlets.len() < before;
        if last {
            self.queues.remove(&key);
        }
        last && removed
    }

    /// Puts an item into all queues of an address; false: there is none.
    pub(crate) fn deliver(&self, key: K, item: &T, limit: usize) -> bool {
        let Some(inlets) = self.queues.get(&key) else {
            return false;
        };
        for inlet in inlets {
            inlet.push(item.clone(), limit);
        }
        true
    }

    /// Ends all queues; what is in them can still be read.
    pub(crate) fn clear(&mut self) {
        self.queues.clear();
    }
}

impl<T: Payload> Inlet<T> {
    fn push(&self, item: T, limit: usize) {
        let size = item.data().len() + OVERHEAD;
        if self
            .level
            .bytes
            .load(Ordering::Relaxed)
            .saturating_add(size)
            > limit
        {
            self.level.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.level.bytes.fetch_add(size, Ordering::Relaxed);
        // a queue whose owner is gone is about to be removed
        let _ = self.queue.send(item);
    }
}

impl<T: Payload> Outlet<T> {
    /// The next item; may be cancelled. What was queued comes before the report of what was lost.
    pub(crate) async fn recv(&mut self) -> Result<T> {
        let item = match self.queue.try_recv() {
            Ok(item) => Some(item),
            Err(_) => match self.level.lost.swap(0, Ordering::Relaxed) {
                0 => self.queue.recv().await,
                lost => return Err(Error::Overrun { lost }),
            },
        };
        let item = item.ok_or(Error::Disconnected)?;
        let size = item.data().len() + OVERHEAD;
        self.level.bytes.fetch_sub(size, Ordering::Relaxed);
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Payload for Bytes {
        fn data(&self) -> &Bytes {
            self
        }
    }

    #[tokio::test]
    async fn every_queue_of_an_address_gets_a_copy() {
        let mut router = Router::new();
        let (mut one, first) = router.add(7);
        let (mut two, second) = router.add(7);
        assert!(first && !second);
        assert!(router.deliver(7, &Bytes::from_static(b"x"), 1000));
        assert!(!router.deliver(8, &Bytes::new(), 1000));
        assert_eq!(one.recv().await.unwrap(), "x");
        assert_eq!(two.recv().await.unwrap(), "x");
        assert!(!router.remove(7, one.id));
        assert!(!router.remove(7, one.id), "twice does nothing");
        assert!(router.remove(7, two.id));
        assert!(!router.contains(7));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted() {
        let mut router = Router::new();
        let (mut outlet, _) = router.add(1);
        for byte in [&b"a"[..], b"b", b"c"] {
            router.deliver(1, &Bytes::from_static(byte), 2 * (1 + OVERHEAD));
        }
        assert_eq!(outlet.recv().await.unwrap(), "a");
        assert_eq!(outlet.recv().await.unwrap(), "b");
        assert!(matches!(
            outlet.recv().await,
            Err(Error::Overrun { lost: 1 })
        ));
        router.deliver(1, &Bytes::from_static(b"d"), 1000);
        assert_eq!(outlet.recv().await.unwrap(), "d");
        router.clear();
        assert!(matches!(outlet.recv().await, Err(Error::Disconnected)));
    }
}

//! What comes in unasked: a queue that the program empties, and a descriptor to poll for it.

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::border::{self, Outcome};
use super::connection::ctdbx_client;
use super::failure::{CTDBX_DISCONNECTED, CTDBX_SYSTEM, CTDBX_TIMED_OUT, Failure};
use super::memory;

/// A message to a subscription.
pub const CTDBX_EVENT_MESSAGE: c_int = 1;
/// A request that came through a tunnel.
pub const CTDBX_EVENT_TUNNEL: c_int = 2;
/// Messages or requests came faster than they were taken: `lost` of them are gone.
pub const CTDBX_EVENT_OVERRUN: c_int = 3;
/// The daemon is gone, and locks, transactions and traverses with it.
pub const CTDBX_EVENT_DISCONNECTED: c_int = 4;
/// There is a daemon again (CTDBX_RECONNECT): subscriptions, tunnels and notifications are in
/// place again.
pub const CTDBX_EVENT_RECONNECTED: c_int = 5;
/// A subscription or tunnel could not be had again after reconnecting, and is dead.
pub const CTDBX_EVENT_GONE: c_int = 6;

/// Bytes that wait for the program at most. What comes then waits in the subscription's own queue,
/// and what does not fit in there is counted by an event OVERRUN.
const ROOM: usize = 16 << 20;
/// What an event counts besides its data.
const OVERHEAD: usize = 128;

/// Something that happened. To be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_event {
    /// One of CTDBX_EVENT_*. Others may be added: ignore what you do not know.
    pub kind: c_int,
    /// MESSAGE, TUNNEL: the node that sent it. A C daemon (4.17.12) says its own instead.
    pub node: u32,
    /// MESSAGE: the SRVID it was sent to. TUNNEL: the tunnel.
    pub address: u64,
    /// How many are gone; 0 but for OVERRUN.
    pub lost: u64,
    /// What the subscription or tunnel was made with; else NULL.
    pub cookie: *mut c_void,
    /// What was sent, with a NUL behind it that `size` does not count.
    pub data: *const u8,
    /// Bytes of it.
    pub size: usize,
}

/// The same on the way to the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) kind: c_int,
    pub(super) node: u32,
    pub(super) address: u64,
    pub(super) lost: u64,
    pub(super) cookie: usize,
    /// Which subscription or tunnel; 0 if none.
    pub(super) source: u64,
    pub(super) data: Bytes,
}

/// The queue of one connection.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Told when the program has taken something.
    room: Notify,
    /// A byte is in here while there is an event, or the end.
    ring: UnixStream,
    bell: UnixStream,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    size: usize,
    /// Nothing will come any more.
    ended: bool,
    rung: bool,
}

impl Inbox {
    pub(super) fn new() -> Outcome<Self> {
        let pair = || {
            let (ring, bell) = UnixStream::pair()?;
            ring.set_nonblocking(true)?;
            bell.set_nonblocking(true)?;
            Ok((ring, bell))
        };
        let (ring, bell) = pair().map_err(|error: std::io::Error| {
            Failure::new(CTDBX_SYSTEM, format!("no descriptors: {error}"))
        })?;
        Ok(Self {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            room: Notify::new(),
            ring,
            bell,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // no panic leaves it half-changed
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what must not wait: there are few of these.
    pub(super) fn put(&self, event: Event) {
        let mut queue = self.lock();
        queue.size += event.data.len() + OVERHEAD;
        queue.events.push_back(event);
        self.settle(&mut queue);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Puts in a message as soon as there is room.
    pub(super) async fn put_in_turn(&self, event: Event) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // before looking, so that no room is missed
            room.as_mut().enable();
            if self.lock().size < ROOM {
                return self.put(event);
            }
            room.await;
        }
    }

    /// Takes out what a subscription or tunnel left that was closed.
    pub(super) fn forget(&self, source: u64) {
        let mut queue = self.lock();
        queue.events.retain(|event| event.source != source);
        let size = |event: &Event| event.data.len() + OVERHEAD;
        queue.size = queue.events.iter().map(size).sum();
        self.settle(&mut queue);
        drop(queue);
        self.room.notify_waiters();
    }

    /// Nothing will come any more.
    pub(super) fn end(&self) {
        let mut queue = self.lock();
        queue.ended = true;
        self.settle(&mut queue);
        drop(queue);
        self.arrived.notify_all();
    }

    /// Makes the descriptor readable if there is something to take, and only then.
    fn settle(&self, queue: &mut Queue) {
        let ring = queue.ended || !queue.events.is_empty();
        if ring && !queue.rung {
            queue.rung = (&self.ring).write(&[1]).is_ok();
        } else if !ring && queue.rung {
            queue.rung = (&self.bell).read(&mut [0]).is_err();
        }
    }

    /// The next event. All that came before the end are still given.
    fn take(&self, timeout: Duration) -> Outcome<Event> {
        let deadline = Instant::now().checked_add(timeout);
        let mut queue = self.lock();
        loop {
            if let Some(event) = queue.events.pop_front() {
                queue.size -= event.data.len() + OVERHEAD;
                self.settle(&mut queue);
                drop(queue);
                self.room.notify_waiters();
                return Ok(event);
            }
            if queue.ended {
                let text = "the connection to the daemon is closed";
                return Err(Failure::new(CTDBX_DISCONNECTED, text));
            }
            queue = match deadline {
                None => {
                    let woken = self.arrived.wait(queue);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Failure::new(CTDBX_TIMED_OUT, "nothing happened in time"));
                    }
                    let woken = self.arrived.wait_timeout(queue, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }
}

/// A descriptor that is readable while ctdbx_next_event() has something to give, for poll() and its
/// like: not to be read from or closed. -1 if the handle is no good. It stays the same for as long
/// as the connection, over reconnecting too.
///
/// # Safety
/// `client` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_fd(client: *const ctdbx_client) -> c_int {
    let fd = border::returning(|| {
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        Ok(client.inbox().fd())
    });
    fd.unwrap_or_else(|failure| {
        failure.keep();
        -1
    })
}

/// The next event, in the order in which they came. Waits for up to `timeout` milliseconds; -1 is
/// for ever, 0 not at all. Several threads may wait: each event goes to one of them.
///
/// `*event` is to be freed with ctdbx_free(). CTDBX_TIMED_OUT: there was none in time.
/// CTDBX_DISCONNECTED: there will be none any more.
///
/// # Safety
/// `client` is a valid handle, `event` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_next_event(
    client: *const ctdbx_client,
    timeout: c_int,
    event: *mut *mut ctdbx_event,
) -> c_int {
    border::enter(|| {
        border::wanted(event)?;
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        client.check()?;
        let next = client.inbox().take(border::limit(timeout))?;
        let next = memory::with_tail(&next.data, |data| ctdbx_event {
            kind: next.kind,
            node: next.node,
            address: next.address,
            lost: next.lost,
            cookie: std::ptr::with_exposed_provenance_mut(next.cookie),
            data,
            size: next.data.len(),
        })?;
        // SAFETY: checked above
        unsafe { border::put(event, next) };
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    fn message(data: &'static [u8]) -> Event {
        Event {
            kind: CTDBX_EVENT_MESSAGE,
            source: 7,
            data: Bytes::from_static(data),
            ..Event::default()
        }
    }

    fn readable(inbox: &Inbox) -> bool {
        inbox.lock().rung
    }

    #[test]
    fn events_come_in_order_and_then_the_end() {
        let inbox = Inbox::new().unwrap();
        assert!(inbox.take(SOON).is_err() && !readable(&inbox));
        inbox.put(message(b"one"));
        inbox.put(message(b"two"));
        inbox.end();
        assert!(readable(&inbox));
        assert_eq!(inbox.take(SOON).unwrap().data, "one");
        assert_eq!(inbox.take(SOON).unwrap().data, "two");
        assert!(inbox.take(Duration::MAX).is_err());
        assert!(readable(&inbox), "the end can be seen");
    }

    #[test]
    fn a_closed_subscription_leaves_nothing() {
        let inbox = Inbox::new().unwrap();
        inbox.put(message(b"one"));
        inbox.forget(8);
        assert!(readable(&inbox));
        inbox.forget(7);
        assert!(!readable(&inbox) && inbox.take(Duration::ZERO).is_err());
        assert_eq!(inbox.lock().size, 0);
    }

    #[tokio::test]
    async fn messages_wait_for_room() {
        let inbox = Inbox::new().unwrap();
        inbox.put(Event {
            data: Bytes::from(vec![0; ROOM]),
            ..Event::default()
        });
        let waiting = tokio::time::timeout(SOON, inbox.put_in_turn(message(b"late")));
        assert!(waiting.await.is_err());
        let (_, ()) = tokio::join!(
            async { inbox.take(SOON).unwrap() },
            inbox.put_in_turn(message(b"late"))
        );
        assert_eq!(inbox.take(SOON).unwrap().data, "late");
    }
}

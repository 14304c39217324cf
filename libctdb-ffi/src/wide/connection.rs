//! Connecting, and the handle of a connection.

use std::ffi::{c_char, c_int};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::Pnn;

use super::border::{self, Outcome};
use super::events::Inbox;
use super::failure::Failure;
use super::state::{Connection, Deadline};
use super::worker::Lease;

/// The number of this API. It grows when something is added; nothing is ever taken away. What the
/// library has is said by ctdbx_version().
pub const CTDBX_VERSION: c_int = 1;
/// Where the daemon listens unless it was told otherwise.
pub const CTDBX_SOCKET: &std::ffi::CStr = c"/run/ctdb/ctdbd.socket";
/// For ctdbx_connect(): connect again whenever the connection has ended. What was under way fails
/// with CTDBX_DISCONNECTED and is not repeated; calls that are made meanwhile wait for the daemon.
/// Databases, subscriptions, tunnels and notifications are made again by the library; locks,
/// transactions and traverses are over.
pub const CTDBX_RECONNECT: u32 = 1;
/// As a node: the one whose daemon this is.
pub const CTDBX_THIS_NODE: u32 = 0xF000_0001;
/// As a node, for messages and controls without an answer: all nodes.
pub const CTDBX_ALL_NODES: u32 = 0xF000_0002;
/// The same: all active nodes.
pub const CTDBX_ACTIVE_NODES: u32 = 0xF000_0003;
/// The same: all connected nodes.
pub const CTDBX_CONNECTED_NODES: u32 = 0xF000_0004;
/// As a node in an answer: none.
pub const CTDBX_NO_NODE: u32 = 0xFFFF_FFFF;

/// A connection to the daemon. Any number of threads may use it at the same time.
#[derive(Debug)]
pub struct ctdbx_client {
    lease: Lease,
    id: u64,
    inbox: Arc<Inbox>,
}

/// A number that nothing else of this process has.
pub(super) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl ctdbx_client {
    fn connect(path: &Path, reconnect: bool, timeout: c_int) -> Outcome<Self> {
        let client = Self {
            lease: Lease::new()?,
            id: number(),
            inbox: Arc::new(Inbox::new()?),
        };
        let (here, path) = ((client.id, client.inbox.clone()), path.to_owned());
        let timeout = border::limit(timeout);
        client
            .lease
            .run(move || async move { Connection::open(here, &path, reconnect, timeout).await })?;
        Ok(client)
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Whether this is the process that connected.
    pub(super) fn check(&self) -> Outcome<()> {
        self.lease.check()
    }

    /// Does something on the library's thread; it is given up when the connection is closed.
    pub(super) fn run<T, F>(
        &self,
        work: impl FnOnce(Rc<Connection>) -> F + Send + 'static,
    ) -> Outcome<T>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + 'static,
    {
        let id = self.id;
        self.lease.run(move || async move {
            let connection = Connection::of(id)?;
            tokio::select! {
                biased;
                done = work(connection.clone()) => done,
                () = connection.ended() => Err(Failure::closed()),
            }
        })
    }

    /// The same within a time-out in milliseconds, which `work` gets too.
    pub(super) fn run_within<T, F>(
        &self,
        (name, timeout): (&'static str, c_int),
        work: impl FnOnce(Rc<Connection>, Deadline) -> F + Send + 'static,
    ) -> Outcome<T>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + 'static,
    {
        let timeout = border::limit(timeout);
        self.run(move |connection| async move {
            let deadline = Deadline::after(timeout);
            deadline.bound(name, work(connection, deadline)).await
        })
    }

    fn close(&self) -> Outcome<()> {
        let id = self.id;
        self.lease.run(move || async move {
            Connection::close(id).await;
            Ok(())
        })
    }
}

/// The version of the library that is running: at least the CTDBX_VERSION that it was asked for
/// when the program was linked.
#[unsafe(no_mangle)]
pub extern "C" fn ctdbx_version() -> c_int {
    CTDBX_VERSION
}

/// Connects to a daemon.
///
/// `socket`: the path of its socket; NULL is CTDBX_SOCKET. `flags`: 0 or CTDBX_RECONNECT, with which
/// the first connection, too, is tried again and again until `timeout` (milliseconds; -1: for ever).
/// `*client` is to be given to ctdbx_disconnect() in the end.
///
/// CTDBX_CONNECT, CTDBX_TIMED_OUT, CTDBX_DISCONNECTED (the daemon closed it at once), CTDBX_SYSTEM.
///
/// # Safety
/// `socket` is NULL or a terminated text, `client` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_connect(
    socket: *const c_char,
    flags: u32,
    timeout: c_int,
    client: *mut *mut ctdbx_client,
) -> c_int {
    border::enter(|| {
        border::wanted(client)?;
        if flags & !CTDBX_RECONNECT != 0 {
            return Err(Failure::invalid("unknown flags"));
        }
        let socket = match socket.is_null() {
            true => CTDBX_SOCKET.as_ptr(),
            false => socket,
        };
        // SAFETY: the caller's
        let path = Path::new(unsafe { border::text(socket) }?);
        let connected = ctdbx_client::connect(path, flags & CTDBX_RECONNECT != 0, timeout)?;
        // SAFETY: checked above
        unsafe { border::put(client, border::give(Arc::new(connected))) };
        Ok(())
    })
}

/// Ends a connection and frees its handle; NULL is fine. Locks are released, transactions cancelled,
/// and what was sent before is still taken by the daemon if it does so within a second. Calls that
/// wait on other threads end with CTDBX_DISCONNECTED; none may begin after this. Handles of
/// databases, locks and the like are still to be freed, before or after, and are of no other use.
///
/// In a child of the process that connected this frees what can be freed, and the parent's connection
/// stays.
///
/// # Safety
/// `client` is NULL or a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_disconnect(client: *mut ctdbx_client) {
    let _ = border::returning(|| {
        // SAFETY: the caller's
        let Some(client) = (unsafe { border::take(client) }) else {
            return Ok(());
        };
        if client.check().is_err() {
            // its queue and channels may be locked by a thread that this process does not have
            std::mem::forget(client);
            return Ok(());
        }
        client.close()
    });
}

/// The number of the node whose daemon this is.
///
/// # Safety
/// `client` is a valid handle, `pnn` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_pnn(
    client: *const ctdbx_client,
    timeout: c_int,
    pnn: *mut u32,
) -> c_int {
    border::enter(|| {
        border::wanted(pnn)?;
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        let number = client.run_within(("pnn", timeout), |connection, deadline| async move {
            Ok(connection.client(deadline).await?.pnn())
        })?;
        // SAFETY: checked above
        unsafe { border::put(pnn, number.0) };
        Ok(())
    })
}

/// Returns when the daemon has taken everything that this connection sent before. Messages are sent
/// without waiting, so this is for the end of a program that ends without ctdbx_disconnect().
///
/// # Safety
/// `client` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_flush(client: *const ctdbx_client, timeout: c_int) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        client.run_within(("flush", timeout), |connection, deadline| async move {
            let client = connection.client(deadline).await?;
            Ok(client.flush(deadline.left()).await?)
        })
    })
}

/// Sends a message to whoever has subscribed to `address` on a node; `node` may be CTDBX_THIS_NODE,
/// and CTDBX_ALL_NODES and its like. Nobody says whether it was received.
///
/// # Safety
/// `client` is a valid handle; `size` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_send(
    client: *const ctdbx_client,
    node: u32,
    address: u64,
    data: *const std::ffi::c_void,
    size: usize,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let (client, data) = unsafe { (border::shared(client)?, border::bytes(data, size)?) };
        let data = data.to_vec();
        client.run(move |connection| async move {
            let client = connection.client_now();
            Ok(client.message(Pnn(node), client::Srvid(address), &data)?)
        })
    })
}

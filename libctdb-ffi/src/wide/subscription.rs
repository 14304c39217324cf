//! Messages and tunnels that come in: listened to on the library's thread, put into the inbox.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use client::{
    Asker, Client, Error, Message, Pnn, Srvid, Subscription, Tunnel, TunnelId, TunnelRequest,
};
use tokio::task::JoinHandle;

use super::border::{self, Outcome};
use super::connection::{ctdbx_client, number};
use super::events::{
    CTDBX_EVENT_GONE, CTDBX_EVENT_MESSAGE, CTDBX_EVENT_OVERRUN, CTDBX_EVENT_TUNNEL, Event, Inbox,
};
use super::failure::Failure;
use super::state::Connection;

/// As an address: the messages to all addresses of the node.
pub const CTDBX_ALL_ADDRESSES: u64 = 0xFFFF_FFFF_FFFF_FFFF;

/// A subscription. Any number of threads may use it.
#[derive(Debug)]
pub struct ctdbx_subscription {
    client: Arc<ctdbx_client>,
    source: u64,
}

/// This node's end of a tunnel. Any number of threads may use it.
#[derive(Debug)]
pub struct ctdbx_tunnel {
    client: Arc<ctdbx_client>,
    source: u64,
}

/// What is listened to.
#[derive(Clone, Copy, Debug)]
enum Place {
    Messages(Srvid),
    Tunnel(TunnelId),
}

/// Who listens, for the program.
#[derive(Clone, Copy, Debug)]
struct Mark {
    place: Place,
    source: u64,
    cookie: usize,
}

/// On the library's thread: somebody who listens, over all connections.
#[derive(Debug)]
pub(super) struct Listener {
    mark: Mark,
    task: RefCell<Option<JoinHandle<()>>>,
    asker: RefCell<Option<Asker>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // the task drops the registration
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

/// Where things come from.
trait Source: 'static {
    async fn next(&mut self) -> client::Result<Event>;
}

impl Source for Subscription {
    async fn next(&mut self) -> client::Result<Event> {
        let Message {
            source,
            srvid,
            data,
        } = self.recv().await?;
        Ok(event(CTDBX_EVENT_MESSAGE, (source, srvid.0), data))
    }
}

impl Source for Tunnel {
    async fn next(&mut self) -> client::Result<Event> {
        let TunnelRequest { source, data, .. } = self.recv().await?;
        Ok(event(CTDBX_EVENT_TUNNEL, (source, self.id().0), data))
    }
}

fn event(kind: c_int, (node, address): (Pnn, u64), data: Bytes) -> Event {
    Event {
        kind,
        node: node.0,
        address,
        data,
        ..Event::default()
    }
}

/// Puts what comes into the inbox until the connection ends.
async fn forward(mark: Mark, inbox: Arc<Inbox>, mut from: impl Source) {
    loop {
        let event = match from.next().await {
            Ok(event) => event,
            Err(Error::Overrun { lost }) => mark.event(CTDBX_EVENT_OVERRUN, lost),
            Err(_) => return,
        };
        let Mark { source, cookie, .. } = mark;
        let event = Event {
            source,
            cookie,
            ..event
        };
        inbox.put_in_turn(event).await;
    }
}

impl Mark {
    /// Something about the subscription or tunnel itself.
    fn event(&self, kind: c_int, lost: u64) -> Event {
        let address = match self.place {
            Place::Messages(srvid) => srvid.0,
            Place::Tunnel(id) => id.0,
        };
        Event {
            kind,
            address,
            lost,
            source: self.source,
            cookie: self.cookie,
            ..Event::default()
        }
    }
}

impl Listener {
    fn new(mark: Mark) -> Self {
        Self {
            mark,
            task: RefCell::default(),
            asker: RefCell::default(),
        }
    }

    /// Registers with the client, and forwards from then on.
    async fn listen(&self, connection: &Connection, client: &Client) -> Outcome<()> {
        let (mark, inbox) = (self.mark, connection.inbox.clone());
        let task = match mark.place {
            Place::Messages(srvid) => {
                let source = client.register(srvid).await?;
                tokio::task::spawn_local(forward(mark, inbox, source))
            }
            Place::Tunnel(id) => {
                let source = client.open_tunnel(id).await?;
                self.asker.replace(Some(source.asker()));
                tokio::task::spawn_local(forward(mark, inbox, source))
            }
        };
        self.task.replace(Some(task));
        Ok(())
    }

    /// After reconnecting: one that the daemon refuses is gone, which is no reason to connect again.
    pub(super) async fn restore(&self, connection: &Connection, client: &Client) -> Outcome<()> {
        let listening = self.listen(connection, client).await;
        if listening.is_err() && !client.is_closed() {
            self.asker.take();
            connection.inbox.put(self.mark.event(CTDBX_EVENT_GONE, 0));
            return Ok(());
        }
        listening
    }

    /// Ends the registration: the daemon has been told when this returns.
    async fn stop(&self) {
        let task = self.task.take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }
}

/// Begins to listen; the number of the listener.
fn begin(
    client: &ctdbx_client,
    (name, timeout): (&'static str, c_int),
    (place, cookie): (Place, *mut c_void),
) -> Outcome<u64> {
    let mark = Mark {
        place,
        source: number(),
        cookie: cookie.expose_provenance(),
    };
    client.run_within((name, timeout), move |connection, deadline| async move {
        let client = connection.client(deadline).await?;
        let listener = Rc::new(Listener::new(mark));
        listener.listen(&connection, &client).await?;
        let mut all = connection.listeners.borrow_mut();
        all.insert(mark.source, listener);
        Ok(mark.source)
    })
}

/// Ends listening. A connection that is closed has done so already.
fn end(client: &ctdbx_client, source: u64) -> Outcome<()> {
    client.run(move |connection| async move {
        let listener = connection.listeners.borrow_mut().remove(&source);
        if let Some(listener) = listener {
            listener.stop().await;
        }
        connection.inbox.forget(source);
        Ok(())
    })
}

/// Receives the messages to an address, as events of the connection, from when this returns. Several
/// subscriptions of one address each get every message.
///
/// `cookie`: comes with each event. `*subscription` is to be given to ctdbx_unsubscribe() in the end.
///
/// # Safety
/// `client` is a valid handle, `subscription` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_subscribe(
    client: *const ctdbx_client,
    address: u64,
    cookie: *mut c_void,
    timeout: c_int,
    subscription: *mut *mut ctdbx_subscription,
) -> c_int {
    border::enter(|| {
        border::wanted(subscription)?;
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        let place = Place::Messages(Srvid(address));
        let source = begin(&client, ("subscribe", timeout), (place, cookie))?;
        let made = Arc::new(ctdbx_subscription { client, source });
        // SAFETY: checked above
        unsafe { border::put(subscription, border::give(made)) };
        Ok(())
    })
}

/// Ends a subscription and frees its handle; NULL is fine. No event with its cookie is given after
/// this.
///
/// # Safety
/// `subscription` is NULL or a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_unsubscribe(subscription: *mut ctdbx_subscription) {
    let _ = border::returning(|| {
        // SAFETY: the caller's
        match unsafe { border::take(subscription) } {
            Some(made) => end(&made.client, made.source),
            None => Ok(()),
        }
    });
}

/// Opens this node's end of a tunnel, whose requests come as events of the connection. A node has
/// one end of each tunnel: CTDBX_IN_USE if another client, or this one, has it.
///
/// `cookie`: comes with each event. `*tunnel` is to be given to ctdbx_tunnel_close() in the end.
///
/// # Safety
/// `client` is a valid handle, `tunnel` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_tunnel_open(
    client: *const ctdbx_client,
    id: u64,
    cookie: *mut c_void,
    timeout: c_int,
    tunnel: *mut *mut ctdbx_tunnel,
) -> c_int {
    border::enter(|| {
        border::wanted(tunnel)?;
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        let place = Place::Tunnel(TunnelId(id));
        let source = begin(&client, ("tunnel_open", timeout), (place, cookie))?;
        let made = Arc::new(ctdbx_tunnel { client, source });
        // SAFETY: checked above
        unsafe { border::put(tunnel, border::give(made)) };
        Ok(())
    })
}

/// Sends a request through a tunnel to its end on a node. Nobody says whether it was received. An
/// answer is a request of the other side: the daemons pass on neither a request's number nor, if
/// they are C's (4.17.12), the node that it came from, so the data has to say what belongs together.
///
/// CTDBX_LOST: the tunnel could not be had again after reconnecting.
///
/// # Safety
/// `tunnel` is a valid handle; `size` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_tunnel_send(
    tunnel: *const ctdbx_tunnel,
    node: u32,
    data: *const c_void,
    size: usize,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let (tunnel, data) = unsafe { (border::shared(tunnel)?, border::bytes(data, size)?) };
        let (source, data) = (tunnel.source, data.to_vec());
        tunnel.client.run(move |connection| async move {
            let listener = connection.listeners.borrow().get(&source).cloned();
            let asker = listener.and_then(|listener| listener.asker.borrow().clone());
            let asker = asker.ok_or_else(|| Failure::lost("tunnel"))?;
            Ok(asker.send(Pnn(node), &data)?)
        })
    })
}

/// Closes a tunnel and frees its handle; NULL is fine. No event with its cookie is given after this.
///
/// # Safety
/// `tunnel` is NULL or a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_tunnel_close(tunnel: *mut ctdbx_tunnel) {
    let _ = border::returning(|| {
        // SAFETY: the caller's
        match unsafe { border::take(tunnel) } {
            Some(made) => end(&made.client, made.source),
            None => Ok(()),
        }
    });
}

/// An address for messages that no other process of the node uses, and that this one gets but once.
#[unsafe(no_mangle)]
pub extern "C" fn ctdbx_private_address() -> u64 {
    client::private_srvid().0
}

/// Has the daemon send a message to all nodes when this process's connection ends, however it ends:
/// one for each address. With CTDBX_RECONNECT it is asked for again on each new connection.
///
/// # Safety
/// `client` is a valid handle; `size` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_notify(
    client: *const ctdbx_client,
    address: u64,
    data: *const c_void,
    size: usize,
    timeout: c_int,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let (client, data) = unsafe { (border::shared(client)?, border::bytes(data, size)?) };
        let (srvid, data) = (Srvid(address), data.to_vec());
        client.run_within(
            ("notify", timeout),
            move |connection, deadline| async move {
                let client = connection.client(deadline).await?;
                let left = deadline.left();
                client.register_notify(srvid, data.clone(), left).await?;
                connection.notifications.borrow_mut().insert(srvid, data);
                Ok(())
            },
        )
    })
}

/// Ends that.
///
/// # Safety
/// `client` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_notify_end(
    client: *const ctdbx_client,
    address: u64,
    timeout: c_int,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        let srvid = Srvid(address);
        client.run_within(
            ("notify_end", timeout),
            move |connection, deadline| async move {
                connection.notifications.borrow_mut().remove(&srvid);
                let client = connection.client(deadline).await?;
                Ok(client.deregister_notify(srvid, deadline.left()).await?)
            },
        )
    })
}

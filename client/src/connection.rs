//! The client itself: what its clones share, and the task that reads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use wire::control::GetPnn;
use wire::packet::{Body, Header, Packet, TunnelFlags};
use wire::{Generation, Pnn, ReqId, Srvid, TunnelId};

use crate::error::{Error, Result};
use crate::link::{self, Incoming, Outgoing};
use crate::message::Message;
use crate::pending::Pending;
use crate::router::Router;
use crate::tunnel::TunnelRequest;

/// How long the first question to the daemon may take.
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that a client keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of packets that the daemon has not yet read.
    pub outgoing: usize,
    /// Requests that wait for a reply.
    pub requests: usize,
    /// Bytes in the queue of one subscription or tunnel.
    pub subscription: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outgoing: 256 << 20,
            requests: 65_536,
            subscription: 256 << 20,
        }
    }
}

/// A connection to the daemon. Clones share it; it is closed when the last one and all subscriptions
/// and tunnels are gone.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    pnn: Pnn,
}

#[derive(Debug)]
pub(crate) struct Inner {
    outgoing: Outgoing,
    shared: Arc<Shared>,
    /// Registrations go one after another, so that each knows that the earlier ones are complete.
    pub(crate) registering: tokio::sync::Mutex<()>,
    reader: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What the reading task shares with the clients.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    limits: Limits,
    /// The same as the state's `closed`, for those who have the state locked.
    gone: AtomicBool,
    /// Wakes those who wait for the end.
    ended: Notify,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) pending: Pending<oneshot::Sender<Reply>>,
    pub(crate) messages: Router<Srvid, Message>,
    pub(crate) tunnels: Router<TunnelId, TunnelRequest>,
    closed: bool,
}

/// The reply to a request, in whichever packet it came.
#[derive(Debug)]
pub(crate) enum Reply {
    Control {
        status: i32,
        data: Bytes,
        error: Bytes,
    },
    Call {
        status: i32,
        data: Bytes,
    },
    Error {
        status: i32,
        message: Bytes,
    },
    Tunnel {
        data: Bytes,
    },
}

impl Client {
    /// Connects to a daemon's socket and asks for its node number.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Disconnected`], or what a control may fail with.
    pub async fn connect(path: &Path) -> Result<Self> {
        Self::connect_with(path, Limits::default()).await
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn connect_with(path: &Path, limits: Limits) -> Result<Self> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|source| Error::Connect {
                path: path.to_owned(),
                source,
            })?;
        Self::from_stream(stream, limits).await
    }

    /// The same over a stream that is connected already.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn from_stream(stream: UnixStream, limits: Limits) -> Result<Self> {
        let (outgoing, incoming) = link::open(stream, limits.outgoing)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                pending: Pending::new(limits.requests),
                messages: Router::new(),
                tunnels: Router::new(),
                closed: false,
            }),
            limits,
            gone: AtomicBool::new(false),
            ended: Notify::new(),
        });
        let reader = tokio::spawn(read(incoming, shared.clone())).abort_handle();
        let registering = tokio::sync::Mutex::new(());
        let inner = Arc::new(Inner {
            outgoing,
            shared,
            registering,
            reader,
        });
        let mut client = Self {
            inner,
            pnn: Pnn::UNKNOWN,
        };
        // GET_PNN answers with the reply's status
        let hello = client
            .control::<GetPnn>(Pnn::CURRENT, &(), HELLO_TIMEOUT)
            .await?;
        client.pnn = Pnn(hello.status.cast_unsigned());
        Ok(client)
    }

    /// The node whose daemon this is.
    #[must_use]
    pub const fn pnn(&self) -> Pnn {
        self.pnn
    }

    /// Returns when the daemon has taken everything that was sent before: for the end of a program, with
    /// which what is still queued is lost.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn flush(&self, timeout: Duration) -> Result<()> {
        let answer = self.control::<GetPnn>(Pnn::CURRENT, &(), timeout).await;
        answer.map(drop)
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Returns when the connection has ended; at once if it has already.
    pub async fn closed(&self) {
        let ended = self.inner.shared.ended.notified();
        tokio::pin!(ended);
        // before looking, so that no end falls in between
        ended.as_mut().enable();
        if !self.is_closed() {
            ended.await;
        }
    }

    /// The state, unless the connection has ended.
    pub(crate) fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.closed {
            Err(Error::Disconnected)
        } else {
            Ok(state)
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.shared.lock()
    }

    /// Sends a packet that expects no reply, or a reply to someone else's request.
    pub(crate) fn send(&self, destination: Pnn, reqid: ReqId, body: Body<'_>) -> Result<()> {
        // the writer notices only when it writes
        if self.inner.shared.gone.load(Ordering::Relaxed) {
            return Err(Error::Disconnected);
        }
        let header = Header {
            // of no use to the daemon, which fills in its own (0 in client_control.c, 4.17.12)
            generation: Generation(0),
            operation: body.operation(),
            destination,
            source: self.pnn,
            reqid,
        };
        self.inner.outgoing.send(&Packet { header, body })
    }

    /// Sends a request now; its reply can be waited for later. `name` is for errors.
    pub(crate) fn request(
        &self,
        name: &'static str,
        destination: Pnn,
        body: Body<'_>,
    ) -> Result<Waiting> {
        let (sender, reply) = oneshot::channel();
        let limit = self.inner.shared.limits.requests;
        let reqid = {
            let mut state = self.open_state()?;
            state
                .pending
                .add(sender)
                .map_err(|_| Error::TooManyRequests { limit })?
        };
        let waiting = Waiting {
            client: self.clone(),
            name,
            destination,
            reqid,
            reply,
        };
        self.send(destination, reqid, body)?;
        Ok(waiting)
    }
}

/// A request on its way. Dropping it gives the reply up.
#[derive(Debug)]
pub(crate) struct Waiting {
    client: Client,
    name: &'static str,
    destination: Pnn,
    reqid: ReqId,
    reply: oneshot::Receiver<Reply>,
}

impl Waiting {
    /// The reply, or [`Error::TimedOut`], or [`Error::Disconnected`].
    pub(crate) async fn reply(mut self, timeout: Duration) -> Result<Reply> {
        match tokio::time::timeout(timeout, &mut self.reply).await {
            Ok(reply) => reply.map_err(|_| Error::Disconnected),
            Err(_) => Err(Error::TimedOut {
                name: self.name,
                destination: self.destination,
            }),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.client.state().pending.take(self.reqid);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // nothing panics half-way through a change of the state
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.gone.store(true, Ordering::Relaxed);
        // dropping the senders wakes everybody
        drop(state.pending.drain());
        state.messages.clear();
        state.tunnels.clear();
        drop(state);
        self.ended.notify_waiters();
    }

    /// Hands a packet to whom it is for.
    fn dispatch(&self, bytes: &Bytes) -> Result<()> {
        let Packet { header, body } = Packet::decode(bytes)?;
        let keep = |data: &[u8]| bytes.slice_ref(data);
        match body {
            Body::ReplyControl(reply) => {
                let (data, error) = (keep(reply.data), keep(reply.error));
                self.answer(
                    header,
                    Reply::Control {
                        status: reply.status,
                        data,
                        error,
                    },
                );
            }
            Body::ReplyCall(reply) => {
                let data = keep(reply.data);
                self.answer(
                    header,
                    Reply::Call {
                        status: reply.status,
                        data,
                    },
                );
            }
            Body::ReplyError(reply) => {
                let message = keep(reply.message);
                self.answer(
                    header,
                    Reply::Error {
                        status: reply.status,
                        message,
                    },
                );
            }
            Body::ReqTunnel(tunnel) if tunnel.flags.contains(TunnelFlags::REPLY) => {
                self.answer(
                    header,
                    Reply::Tunnel {
                        data: keep(tunnel.data),
                    },
                );
            }
            Body::ReqTunnel(tunnel) => {
                self.tunnel_request(header, tunnel.tunnel, tunnel.flags, keep(tunnel.data));
            }
            Body::ReqMessage(message) => self.message(header, message.srvid, keep(message.data)),
            _ => tracing::debug!(operation = ?header.operation, "not for a client, ignored"),
        }
        Ok(())
    }

    fn answer(&self, header: Header, reply: Reply) {
        let waiting = self.lock().pending.take(header.reqid);
        let given_up = match waiting {
            Some(waiting) => waiting.send(reply).is_err(),
            None => true,
        };
        if given_up {
            tracing::debug!(reqid = header.reqid.0, operation = ?header.operation, "nobody waits for this reply");
        }
    }

    fn message(&self, header: Header, srvid: Srvid, data: Bytes) {
        let message = Message {
            source: header.source,
            srvid,
            data,
        };
        let limit = self.limits.subscription;
        let state = self.lock();
        // SRVID_ALL catches every message, whatever it is addressed to (srvid.c, 4.17.12)
        let exact = state.messages.deliver(srvid, &message, limit);
        let all = srvid != Srvid::ALL && state.messages.deliver(Srvid::ALL, &message, limit);
        if !exact && !all {
            tracing::debug!(%srvid, source = header.source.0, "nobody listens for this message");
        }
    }

    fn tunnel_request(&self, header: Header, tunnel: TunnelId, flags: TunnelFlags, data: Bytes) {
        let wants_reply = !flags.contains(TunnelFlags::NOREPLY);
        let request = TunnelRequest {
            source: header.source,
            reqid: header.reqid,
            wants_reply,
            data,
        };
        if !self
            .lock()
            .tunnels
            .deliver(tunnel, &request, self.limits.subscription)
        {
            tracing::debug!(%tunnel, source = header.source.0, "nobody uses this tunnel");
        }
    }
}

/// The reading task: until the connection ends or has lost its framing.
async fn read(mut incoming: Incoming, shared: Arc<Shared>) {
    let reason = loop {
        match incoming.next().await {
            Ok(packet) => {
                if let Err(error) = shared.dispatch(&packet) {
                    tracing::warn!(%error, "ignored a packet of the daemon");
                }
            }
            Err(error) => break error,
        }
    };
    tracing::debug!(%reason, "the connection to the daemon ends");
    shared.close();
}

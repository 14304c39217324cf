//! Tunnels: requests and answers between clients of different nodes, carried by the daemons.
//!
//! A daemon passes on no request id: neither a C one (4.17.12, `ctdb_daemon_send_tunnel`,
//! `daemon_tunnel_handler`), which does not pass on the sending node either, nor ours, which does. So
//! [`Asker::request`] finds its answer only where something else hands the id through; otherwise use
//! [`Asker::send`] and say in the data who asks, and what is answered.

use std::time::Duration;

use bytes::Bytes;
use wire::control::{TunnelDeregister, TunnelRegister};
use wire::packet::{Body, ControlFlags, ReqTunnel, TunnelFlags};
use wire::{Pnn, ReqId, Srvid, TunnelId};

use crate::connection::{Client, Reply};
use crate::error::{Error, Result};
use crate::router::{Outlet, Payload};

/// How long the daemon may take to note a tunnel.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(30);

/// What came in at a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelRequest {
    /// The node it came from; through a C daemon, the node that received it.
    pub source: Pnn,
    /// The number that the answer has to carry.
    pub reqid: ReqId,
    /// Whether the sender waits for an answer.
    pub wants_reply: bool,
    /// The users' own bytes.
    pub data: Bytes,
}

impl Payload for TunnelRequest {
    fn data(&self) -> &Bytes {
        &self.data
    }
}

/// This node's end of a tunnel. A node has one end of each: the daemon refuses another client's.
/// Dropping it closes the tunnel.
#[derive(Debug)]
pub struct Tunnel {
    asker: Asker,
    outlet: Outlet<TunnelRequest>,
    registered: bool,
}

impl Client {
    /// Opens this node's end of a tunnel.
    ///
    /// # Errors
    /// [`Error::TunnelInUse`], and those of a control.
    pub async fn open_tunnel(&self, id: TunnelId) -> Result<Tunnel> {
        let _in_turn = self.inner.registering.lock().await;
        let outlet = {
            let mut state = self.open_state()?;
            if state.tunnels.contains(id) {
                return Err(Error::TunnelInUse(id));
            }
            state.tunnels.add(id).0
        };
        let asker = Asker {
            client: self.clone(),
            id,
        };
        let mut tunnel = Tunnel {
            asker,
            outlet,
            registered: false,
        };
        let argument = (Srvid(id.0), ControlFlags::empty());
        self.control_with::<TunnelRegister>(Pnn::CURRENT, argument, &(), REGISTER_TIMEOUT)
            .await
            .map_err(|error| match error {
                Error::Refused { .. } => Error::TunnelInUse(id),
                other => other,
            })?;
        tunnel.registered = true;
        Ok(tunnel)
    }
}

/// The sending half of a tunnel, for a program that asks while it answers. Clones share it.
#[derive(Clone, Debug)]
pub struct Asker {
    client: Client,
    id: TunnelId,
}

impl Asker {
    /// Sends a request that wants no answer.
    ///
    /// # Errors
    /// Those of sending.
    pub fn send(&self, destination: Pnn, data: &[u8]) -> Result<()> {
        let flags = TunnelFlags::REQUEST | TunnelFlags::NOREPLY;
        self.client
            .send(destination, ReqId(0), body(self.id, flags, data))
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Disconnected`], and those of sending.
    pub async fn request(&self, destination: Pnn, data: &[u8], timeout: Duration) -> Result<Bytes> {
        let body = body(self.id, TunnelFlags::REQUEST, data);
        match self
            .client
            .request("REQ_TUNNEL", destination, body)?
            .reply(timeout)
            .await?
        {
            Reply::Tunnel { data } => Ok(data),
            _ => Err(Error::Disconnected),
        }
    }
}

const fn body(tunnel: TunnelId, flags: TunnelFlags, data: &[u8]) -> Body<'_> {
    Body::ReqTunnel(ReqTunnel {
        tunnel,
        flags,
        data,
    })
}

impl Tunnel {
    /// Its number, the same on all nodes.
    #[must_use]
    pub const fn id(&self) -> TunnelId {
        self.asker.id
    }

    /// The sending half.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// [`Asker::send`].
    ///
    /// # Errors
    /// Those of sending.
    pub fn send(&self, destination: Pnn, data: &[u8]) -> Result<()> {
        self.asker.send(destination, data)
    }

    /// [`Asker::request`].
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Disconnected`], and those of sending.
    pub async fn request(&self, destination: Pnn, data: &[u8], timeout: Duration) -> Result<Bytes> {
        self.asker.request(destination, data, timeout).await
    }

    /// The next request. May be cancelled without losing one.
    ///
    /// # Errors
    /// [`Error::Overrun`], after which it goes on, and [`Error::Disconnected`].
    pub async fn recv(&mut self) -> Result<TunnelRequest> {
        self.outlet.recv().await
    }

    /// Answers a request.
    ///
    /// # Errors
    /// Those of sending.
    pub fn reply(&self, to: &TunnelRequest, data: &[u8]) -> Result<()> {
        let Asker { client, id } = &self.asker;
        client.send(to.source, to.reqid, body(*id, TunnelFlags::REPLY, data))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let Asker { client, id } = &self.asker;
        let mut state = client.state();
        state.tunnels.remove(*id, self.outlet.id);
        if self.registered {
            // under the lock, so that opening it again comes after this on the wire too
            let _ = client.notify_control::<TunnelDeregister>(Pnn::CURRENT, Srvid(id.0), &());
        }
    }
}

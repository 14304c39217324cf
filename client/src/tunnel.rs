//! Tunnels: requests and answers between clients of different nodes, carried by the daemons.

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
    /// The node it came from.
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
    client: Client,
    id: TunnelId,
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
        let mut tunnel = Tunnel {
            client: self.clone(),
            id,
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

impl Tunnel {
    /// Its number, the same on all nodes.
    #[must_use]
    pub const fn id(&self) -> TunnelId {
        self.id
    }

    /// Sends a request that wants no answer.
    ///
    /// # Errors
    /// Those of sending.
    pub fn send(&self, destination: Pnn, data: &[u8]) -> Result<()> {
        let flags = TunnelFlags::REQUEST | TunnelFlags::NOREPLY;
        self.client
            .send(destination, ReqId(0), self.body(flags, data))
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Disconnected`], and those of sending.
    pub async fn request(&self, destination: Pnn, data: &[u8], timeout: Duration) -> Result<Bytes> {
        let body = self.body(TunnelFlags::REQUEST, data);
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
        self.client
            .send(to.source, to.reqid, self.body(TunnelFlags::REPLY, data))
    }

    const fn body<'a>(&self, flags: TunnelFlags, data: &'a [u8]) -> Body<'a> {
        Body::ReqTunnel(ReqTunnel {
            tunnel: self.id,
            flags,
            data,
        })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let mut state = self.client.state();
        state.tunnels.remove(self.id, self.outlet.id);
        if self.registered {
            let srvid = Srvid(self.id.0);
            let _ = self
                .client
                .notify_control::<TunnelDeregister>(Pnn::CURRENT, srvid, &());
        }
    }
}

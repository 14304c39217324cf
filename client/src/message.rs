//! Messages, and the subscriptions that receive them.

use std::time::Duration;

use bytes::Bytes;
use wire::control::{DeregisterSrvid, RegisterSrvid};
use wire::packet::{Body, ControlFlags, ReqMessage};
use wire::{Pnn, ReqId, Srvid};

use crate::connection::Client;
use crate::error::Result;
use crate::router::{Outlet, Payload};

/// How long the daemon may take to note an SRVID.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(30);

/// A message to an SRVID that this client registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The node it came from; a C daemon (4.17.12) says its own instead, whoever sent it.
    pub source: Pnn,
    /// The SRVID it was sent to.
    pub srvid: Srvid,
    /// What was sent.
    pub data: Bytes,
}

impl Payload for Message {
    fn data(&self) -> &Bytes {
        &self.data
    }
}

impl Client {
    /// Sends a message. Nobody says whether it was received, or whether anybody listened.
    ///
    /// # Errors
    /// [`Error::Disconnected`](crate::Error::Disconnected), [`Error::Backlog`](crate::Error::Backlog).
    pub fn message(&self, destination: Pnn, srvid: Srvid, data: &[u8]) -> Result<()> {
        self.send(
            destination,
            ReqId(0),
            Body::ReqMessage(ReqMessage { srvid, data }),
        )
    }

    /// Receives the messages to an SRVID, from when this returns until the subscription is dropped.
    /// Several subscriptions of one SRVID each get every message; [`Srvid::ALL`] gets those of all.
    ///
    /// # Errors
    /// Those of a control.
    pub async fn register(&self, srvid: Srvid) -> Result<Subscription> {
        let _in_turn = self.inner.registering.lock().await;
        let (outlet, first) = self.open_state()?.messages.add(srvid);
        let mut subscription = Subscription {
            client: self.clone(),
            srvid,
            outlet,
            registered: !first,
        };
        if first {
            let argument = (srvid, ControlFlags::empty());
            self.control_with::<RegisterSrvid>(Pnn::CURRENT, argument, &(), REGISTER_TIMEOUT)
                .await?;
            subscription.registered = true;
        }
        Ok(subscription)
    }
}

/// The messages to one SRVID, in the order they came. Dropping it ends the registration.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    srvid: Srvid,
    outlet: Outlet<Message>,
    registered: bool,
}

impl Subscription {
    /// What is subscribed to.
    #[must_use]
    pub const fn srvid(&self) -> Srvid {
        self.srvid
    }

    /// The next message. May be cancelled without losing one.
    ///
    /// # Errors
    /// [`Error::Overrun`](crate::Error::Overrun), after which it goes on, and
    /// [`Error::Disconnected`](crate::Error::Disconnected).
    pub async fn recv(&mut self) -> Result<Message> {
        self.outlet.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.client.state();
        let last = state.messages.remove(self.srvid, self.outlet.id);
        if last && self.registered {
            // sent under the lock, so that a new registration comes after it on the wire too
            let _ = self
                .client
                .notify_control::<DeregisterSrvid>(Pnn::CURRENT, self.srvid, &());
        }
    }
}

//! What concerns processes: whether they live, and what the daemon is to say when this one dies.

use std::time::Duration;

use wire::control::{CheckPidSrvid, DeregisterNotify, Ping, ProcessExists, RegisterNotify};
use wire::types::{NotifyData, PidSrvid};
use wire::{Pnn, Srvid};

use crate::connection::Client;
use crate::error::{Error, Result};

impl Client {
    /// How many clients a node's daemon has, this one included if it is this node's.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn ping(&self, node: Pnn, timeout: Duration) -> Result<u32> {
        let answer = self.control::<Ping>(node, &(), timeout).await?;
        Ok(answer.status.cast_unsigned())
    }

    /// Whether a process exists on a node, and is a client of its daemon.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn process_exists(&self, node: Pnn, pid: i32, timeout: Duration) -> Result<bool> {
        exists(self.control::<ProcessExists>(node, &pid, timeout).await)
    }

    /// Whether a node's daemon has a client with this process id that registered this SRVID.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn check_pid_srvid(
        &self,
        node: Pnn,
        (pid, srvid): (i32, Srvid),
        timeout: Duration,
    ) -> Result<bool> {
        let request = PidSrvid { pid, srvid };
        exists(self.control::<CheckPidSrvid>(node, &request, timeout).await)
    }

    /// Has the daemon send a message to all nodes when this client's connection ends, however it ends.
    /// One for each SRVID.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn register_notify(
        &self,
        srvid: Srvid,
        data: Vec<u8>,
        timeout: Duration,
    ) -> Result<()> {
        let request = NotifyData { srvid, data };
        self.control::<RegisterNotify>(Pnn::CURRENT, &request, timeout)
            .await
            .map(drop)
    }

    /// Ends that.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    pub async fn deregister_notify(&self, srvid: Srvid, timeout: Duration) -> Result<()> {
        self.control::<DeregisterNotify>(Pnn::CURRENT, &srvid, timeout)
            .await
            .map(drop)
    }
}

/// A refusal is the answer no; status 0 is yes.
fn exists<T>(answer: Result<crate::Answer<T>>) -> Result<bool> {
    match answer {
        Ok(answer) => Ok(answer.status == 0),
        Err(Error::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

//! What concerns processes: whether they live, and what the daemon is to say when this one dies. And
//! who leads, which only messages tell.

use std::time::Duration;

use wire::coding::Decode;
use wire::control::{CheckPidSrvid, DeregisterNotify, Ping, ProcessExists, RegisterNotify};
use wire::types::{NotifyData, PidSrvid};
use wire::{Pnn, Srvid};

use crate::connection::Client;
use crate::database::Deadline;
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

    /// The cluster's leader: the next one that says so. A leader does each second; none is known while
    /// there is an election.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if nobody says so in time, and those of [`Client::register`].
    pub async fn leader(&self, timeout: Duration) -> Result<Pnn> {
        const NAME: &str = "leader";
        let deadline = Deadline::after(timeout);
        let mut words = self.register(Srvid::LEADER).await?;
        loop {
            let left = deadline.left(NAME, self.pnn())?;
            let word = tokio::time::timeout(left, words.recv()).await;
            let word = word.map_err(|_| Error::TimedOut {
                name: NAME,
                destination: self.pnn(),
            })?;
            let leader = Pnn::from_bytes(&word?.data)?;
            if leader != Pnn::UNKNOWN {
                return Ok(leader);
            }
        }
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

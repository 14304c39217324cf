//! A client that connects anew after its connection ended.
//!
//! Nothing is sent twice by itself: what was under way fails with [`Error::Disconnected`], and whether
//! it was done only its caller can find out. Subscriptions, tunnels, notifications, open databases
//! and locks belong to the connection that is gone:
//!
//! ```no_run
//! # async fn example() -> client::Result<()> {
//! # use std::{path::Path, time::Duration};
//! # use client::{Error, Reconnecting, Srvid};
//! let cluster = Reconnecting::new(Path::new("/run/ctdb/ctdbd.socket"));
//! loop {
//!     let client = cluster.client(Duration::MAX).await?;
//!     let mut messages = client.register(Srvid(0x1234)).await?;
//!     loop {
//!         match messages.recv().await {
//!             Ok(message) => println!("{message:?}"),
//!             Err(Error::Overrun { lost }) => println!("{lost} messages were lost"),
//!             Err(_) => break,
//!         }
//!     }
//! }
//! # }
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use wire::Pnn;

use crate::connection::{Client, Limits};
use crate::database::Deadline;
use crate::error::{Error, Result};

/// Between two tries to connect, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// What waiting for the daemon is called in an error.
const NAME: &str = "connect";

/// Where the daemon is, and the connection to it, if there is one. Clones share it.
#[derive(Clone, Debug)]
pub struct Reconnecting {
    path: Arc<PathBuf>,
    limits: Limits,
    current: Arc<Mutex<Option<Client>>>,
}

impl Reconnecting {
    /// For the daemon at this socket. Nothing is connected yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self::with_limits(path, Limits::default())
    }

    /// The same with other limits for each connection.
    #[must_use]
    pub fn with_limits(path: &Path, limits: Limits) -> Self {
        Self {
            path: Arc::new(path.to_owned()),
            limits,
            current: Arc::default(),
        }
    }

    /// The connection of now. If there is none, or it has ended, connects, again and again until
    /// `timeout`.
    ///
    /// # Errors
    /// Why the last try failed, those of [`Client::connect`]; [`Error::TimedOut`] if it had no end.
    pub async fn client(&self, timeout: Duration) -> Result<Client> {
        let deadline = Deadline::after(timeout);
        let mut current = within(deadline, async { Ok(self.current.lock().await) }).await?;
        if let Some(client) = current.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        *current = None;
        let client = self.connect(deadline).await?;
        *current = Some(client.clone());
        Ok(client)
    }

    async fn connect(&self, deadline: Deadline) -> Result<Client> {
        let mut pause = PAUSES.0;
        loop {
            let connecting = Client::connect_with(&self.path, self.limits);
            let failed = match within(deadline, connecting).await {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            let Ok(left) = deadline.left(NAME, Pnn::CURRENT) else {
                return Err(failed);
            };
            tracing::debug!(%failed, "no daemon yet");
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

async fn within<T>(deadline: Deadline, work: impl Future<Output = Result<T>>) -> Result<T> {
    // one try is made in any case
    let left = deadline.left(NAME, Pnn::CURRENT).unwrap_or(PAUSES.0);
    match tokio::time::timeout(left, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::TimedOut {
            name: NAME,
            destination: Pnn::CURRENT,
        }),
    }
}

//! All nodes' clients wait for each other, as upstream's `cluster_wait.c` (4.17.12) has it.
//!
//! ```text
//!  each, once a second:  JOIN (own pnn) --> node 0
//!  node 0, when it has heard all:           SYNC --> all connected nodes
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Client, Pnn, Srvid};
use tokio::time::{interval, timeout};

const JOIN: Srvid = Srvid(Srvid::TEST_RANGE.0 | 1);
const SYNC: Srvid = Srvid(Srvid::TEST_RANGE.0 | 2);
/// The one that waits for all.
const FIRST: Pnn = Pnn(0);
const AGAIN: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

/// Returns when the clients of nodes 0 to `nodes` - 1 are all there.
pub(super) async fn meet(client: &Client, nodes: u32) -> Result<()> {
    let met = async {
        let all = gather(client, nodes);
        let mut sync = client.register(SYNC).await?;
        let mut again = interval(AGAIN);
        tokio::pin!(all);
        let mut gathered = client.pnn() != FIRST;
        loop {
            tokio::select! {
                message = sync.recv() => return message.map(drop).context("SYNC"),
                done = &mut all, if !gathered => {
                    done?;
                    gathered = true;
                    client.message(Pnn::BROADCAST_CONNECTED, SYNC, b"")?;
                }
                _ = again.tick() => client.message(FIRST, JOIN, &client.pnn().0.to_ne_bytes())?,
            }
        }
    };
    timeout(LIMIT, met)
        .await
        .context("the others did not come")?
}

/// Waits for the news of each node.
async fn gather(client: &Client, nodes: u32) -> Result<()> {
    let mut joins = client.register(JOIN).await?;
    println!("Waiting for cluster");
    let mut missing: BTreeSet<u32> = (0..nodes).collect();
    while !missing.is_empty() {
        let message = joins.recv().await?;
        if let Ok(bytes) = <[u8; 4]>::try_from(&message.data[..]) {
            missing.remove(&u32::from_ne_bytes(bytes));
        }
    }
    Ok(())
}

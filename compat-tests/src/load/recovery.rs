//! A recovery of the whole cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use client::{Client, Pnn, Srvid};
use wire::Generation;
use wire::control::{GetNodemap, GetRecmode, GetVnnMap, SetRecmode};
use wire::types::{NodeFlags, RecoveryMode};

use super::LIMIT;
use super::run::{Run, Stop};
use super::summary::{Measured, Meter};

/// The longest that it may take.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);
/// Each node says by a message that it is through; one that has said so before the others is asked
/// again with them after this time.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// From the command to its end on all active nodes. `ctdb recover` (4.17.12) sends SET_RECMODE ACTIVE
/// to its own node, and the leader finds it there when it looks, once a second.
pub(super) async fn recover(run: &mut Run) -> Result<Measured> {
    ensure!(run.participants == 1, "recover runs on one node");
    let mut meter = Meter::start();
    meter.done(once(&run.client, &run.stop).await?);
    Ok(meter.finish())
}

/// One recovery; how long it took.
pub(super) async fn once(client: &Client, stop: &Stop) -> Result<Duration> {
    let nodes = active_nodes(client).await?;
    let before = generation(client, Pnn::CURRENT).await?;
    let mut over = client.register(Srvid::RECONFIGURE).await?;
    let asked = Instant::now();
    client
        .control::<SetRecmode>(Pnn::CURRENT, &RecoveryMode::Active, LIMIT)
        .await?;
    while !is_over(client, &nodes, before).await? {
        ensure!(
            asked.elapsed() < RECOVERY_LIMIT,
            "the recovery is not over after {} s",
            RECOVERY_LIMIT.as_secs()
        );
        if stop.is_wanted() {
            bail!("ended before the recovery was");
        }
        // a message, or the time: either way they are asked again
        if let Ok(message) = tokio::time::timeout(ASK_AGAIN, over.recv()).await {
            message?;
        }
    }
    Ok(asked.elapsed())
}

pub(super) async fn active_nodes(client: &Client) -> Result<Vec<Pnn>> {
    let map = client
        .control::<GetNodemap>(Pnn::CURRENT, &(), LIMIT)
        .await?;
    let active = map
        .reply
        .nodes
        .iter()
        .filter(|node| !node.flags.intersects(NodeFlags::INACTIVE));
    Ok(active.map(|node| node.pnn).collect())
}

async fn generation(client: &Client, node: Pnn) -> Result<Generation> {
    let map = client.control::<GetVnnMap>(node, &(), LIMIT).await;
    Ok(map
        .with_context(|| format!("node {node}"))?
        .reply
        .generation)
}

/// All nodes are in normal mode, and in one new generation.
async fn is_over(client: &Client, nodes: &[Pnn], before: Generation) -> Result<bool> {
    let mut generations = BTreeSet::new();
    for node in nodes {
        let mode = client.control::<GetRecmode>(*node, &(), LIMIT).await?;
        if mode.status != RecoveryMode::Normal as i32 {
            return Ok(false);
        }
        generations.insert(generation(client, *node).await?);
    }
    let old = [before, Generation::INVALID];
    Ok(generations.len() == 1 && !old.iter().any(|old| generations.contains(old)))
}

//! Whether a cluster is whole, asked of each daemon by its socket.
//!
//! Not by `ctdb status`: that waits for the leader's next broadcast, up to a second a node.

use std::time::Duration;

use anyhow::{Result, ensure};
use client::Client;
use wire::control::{GetNodemap, GetRecmode, GetVnnMap};
use wire::types::NodeFlags;
use wire::{Generation, Pnn};

use crate::node::Node;

/// For each question.
const LIMIT: Duration = Duration::from_secs(1);
/// What GET_RECMODE answers, in its status.
const NORMAL: i32 = 0;

/// All nodes OK, not in recovery, and in the same generation.
pub(super) fn check_whole(nodes: &[Node]) -> Result<()> {
    // its end closes all connections: the daemons' descriptors are counted
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut generations = Vec::new();
        for node in nodes {
            generations.push(generation(node, nodes.len()).await?);
        }
        generations.dedup();
        ensure!(generations.len() == 1, "generations {generations:?}");
        Ok(())
    })
}

/// The generation of a node that sees all OK.
async fn generation(node: &Node, count: usize) -> Result<Generation> {
    let here = Pnn::CURRENT;
    let socket = node.path("/run/ctdb/ctdbd.socket");
    let client = tokio::time::timeout(LIMIT, Client::connect(&socket)).await??;
    let nodemap = client.control::<GetNodemap>(here, &(), LIMIT).await?;
    let flags: Vec<_> = nodemap.reply.nodes.iter().map(|node| node.flags).collect();
    ensure!(
        flags == vec![NodeFlags::empty(); count],
        "node {} sees {flags:?}",
        node.pnn
    );
    let mode = client.control::<GetRecmode>(here, &(), LIMIT).await?.status;
    ensure!(mode == NORMAL, "node {} is in recovery", node.pnn);
    let map = client.control::<GetVnnMap>(here, &(), LIMIT).await?;
    Ok(map.reply.generation)
}

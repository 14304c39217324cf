//! Who is in the cluster, who leads it, and how it is: status [SOCKET]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use client::{Client, Pnn};
use wire::control::{GetNodemap, GetRunstate, GetVnnMap};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1);
    let socket = socket.as_deref().unwrap_or("/run/ctdb/ctdbd.socket");
    let client = Client::connect(Path::new(socket)).await?;
    let here = Pnn::CURRENT;
    let map = client.control::<GetNodemap>(here, &(), LIMIT).await?.reply;
    for node in &map.nodes {
        println!("node {} at {}: {:?}", node.pnn, node.addr, node.flags);
    }
    let state = client.control::<GetRunstate>(here, &(), LIMIT).await?;
    let vnn = client.control::<GetVnnMap>(here, &(), LIMIT).await?;
    println!(
        "this is node {}, {}, generation {}",
        client.pnn(),
        state.reply,
        vnn.reply.generation
    );
    println!("the leader is node {}", client.leader(LIMIT).await?);
    Ok(())
}

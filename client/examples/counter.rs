//! Counts its own runs, on all nodes together: counter [SOCKET]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use client::Client;
use tokio::task::LocalSet;
use wire::types::DbFlags;

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1);
    let socket = socket.as_deref().unwrap_or("/run/ctdb/ctdbd.socket");
    println!(
        "{}",
        LocalSet::new().run_until(count(Path::new(socket))).await?
    );
    Ok(())
}

async fn count(socket: &Path) -> Result<u64, Box<dyn Error>> {
    let client = Client::connect(socket).await?;
    let db = client
        .open_database("counter.tdb", DbFlags::empty(), LIMIT)
        .await?;
    let mut record = db.lock_record(b"runs", LIMIT).await?;
    let runs = str::from_utf8(record.value())?.parse().unwrap_or(0) + 1;
    record.store(runs.to_string().as_bytes())?;
    Ok(runs)
}

//! Changes two records of a persistent database, both or neither: transaction [SOCKET]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use client::{Client, Error as Failure, GLocks};
use tokio::task::LocalSet;
use wire::types::{DbFlags, GLockMode};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1);
    let socket = socket.as_deref().unwrap_or("/run/ctdb/ctdbd.socket");
    LocalSet::new().run_until(change(Path::new(socket))).await
}

async fn change(socket: &Path) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(socket).await?;
    let locks = GLocks::open(&client, LIMIT).await?;
    let db = client
        .open_database("accounts.tdb", DbFlags::PERSISTENT, LIMIT)
        .await?;
    let mut transaction = db.begin(&locks, GLockMode::Write, LIMIT).await?;
    transaction.store(b"from", b"0")?;
    transaction.store(b"to", b"100")?;
    match transaction.commit(LIMIT).await {
        Ok(()) => {}
        Err(Failure::CommitUnknown { before, .. }) => {
            // once the cluster is well again, the number tells
            println!("done if the sequence number is not {before}");
        }
        Err(error) => return Err(error.into()),
    }
    println!(
        "transaction {}: to = {}",
        db.sequence_number()?,
        String::from_utf8_lossy(&db.read(b"to", LIMIT).await?)
    );
    Ok(())
}

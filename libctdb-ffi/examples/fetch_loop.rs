//! `fetch_loop SOCKET SECONDS`: what `tests/c/fetch_loop.c` does, with the Rust client, to compare the two.
#![expect(clippy::unwrap_used, reason = "an example may end in a panic")]

use std::path::Path;
use std::time::{Duration, Instant};

use client::Client;
use wire::types::DbFlags;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let socket = arguments.next().unwrap();
    let seconds = arguments.next().unwrap().parse().unwrap();
    let client = Client::connect(Path::new(&socket)).await.unwrap();
    let db = client
        .open_database("fetch_loop.tdb", DbFlags::empty(), LIMIT)
        .await
        .unwrap();
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut count = 0;
    while Instant::now() < end {
        let mut record = db.lock_record(b"testkey", LIMIT).await.unwrap();
        let number = record.value().try_into().map_or(0, u32::from_ne_bytes);
        record.store(&number.wrapping_add(1).to_ne_bytes()).unwrap();
        count += 1;
    }
    println!("Locks:{count}");
}

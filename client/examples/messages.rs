//! Sends itself messages, and stays subscribed while daemons come and go: messages [SOCKET [COUNT]]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use client::{Error as Failure, Pnn, Reconnecting, private_srvid};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let socket = arguments.next();
    let socket = socket.as_deref().unwrap_or("/run/ctdb/ctdbd.socket");
    let mut wanted: u32 = arguments.next().map_or(Ok(3), |count| count.parse())?;
    let cluster = Reconnecting::new(Path::new(socket));
    let here = private_srvid();
    while wanted > 0 {
        // again after each end of a connection
        let client = cluster.client(LIMIT).await?;
        let mut messages = client.register(here).await?;
        while wanted > 0 {
            client.message(Pnn::CURRENT, here, format!("message {wanted}").as_bytes())?;
            match tokio::time::timeout(LIMIT, messages.recv()).await? {
                Ok(message) => println!("{}", String::from_utf8_lossy(&message.data)),
                Err(Failure::Disconnected) => break,
                Err(error) => return Err(error.into()),
            }
            wanted -= 1;
        }
    }
    Ok(())
}

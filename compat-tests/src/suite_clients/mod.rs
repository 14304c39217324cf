//! The clients that upstream's test scripts run, on the client library of this project.
//!
//! One program under nine names: a link's name says what it does; by its own name it prints the nine. Options, what is printed and the exit status are those of
//! the programs of upstream's `ctdb/tests/src` (4.17.12) that have these names, as far as its scripts use them, and clients of
//! both kinds can meet. So the scripts run where upstream's own programs were not built, and try our client as well.
//!
//! | name | what it does |
//! |---|---|
//! | `message_ring`, `tunnel_test`, `fetch_ring` | something goes round the nodes (`rings`) |
//! | `transaction_loop` | counters that may never go back (`transactions`) |
//! | `update_record`, `update_record_persistent`, `fetch_readonly` | one record (`records`) |
//! | `ctdb-db-test` | a record of this node's file, a lock in it, vacuuming (`files`) |
//! | `dummy_client` | connections that do nothing |

mod files;
mod meet;
mod options;
mod records;
mod rings;
mod transactions;

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::task::JoinSet;
use tokio::time::timeout;

use options::{Common, Dummy, OnDatabase};

/// What the program can be called.
const NAMES: [&str; 9] = [
    "message_ring",
    "tunnel_test",
    "fetch_ring",
    "transaction_loop",
    "update_record",
    "update_record_persistent",
    "fetch_readonly",
    "ctdb-db-test",
    "dummy_client",
];

/// Does what the first of the arguments, the program's name, says. By another name it prints those that it can have.
///
/// # Errors
/// Wrong options, and whatever goes wrong with the daemon.
pub async fn run(arguments: Vec<String>) -> Result<()> {
    let name = arguments
        .first()
        .and_then(|path| Path::new(path).file_name());
    let name = name.and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "message_ring" => rings::messages(&Common::try_parse_from(&arguments)?).await,
        "tunnel_test" => rings::tunnels(&Common::try_parse_from(&arguments)?).await,
        "fetch_ring" => rings::fetches(&OnDatabase::try_parse_from(&arguments)?).await,
        "transaction_loop" => transactions::run(&OnDatabase::try_parse_from(&arguments)?).await,
        "update_record" => records::update(&OnDatabase::try_parse_from(&arguments)?).await,
        "update_record_persistent" => {
            records::update_persistent(&OnDatabase::try_parse_from(&arguments)?).await
        }
        "fetch_readonly" => records::fetch(&OnDatabase::try_parse_from(&arguments)?).await,
        "ctdb-db-test" => files::run(&files::Options::try_parse_from(&arguments)?).await,
        "dummy_client" => dummy(&Dummy::try_parse_from(&arguments)?).await,
        _ => {
            NAMES.iter().for_each(|name| println!("{name}"));
            Ok(())
        }
    }
}

/// The exit status for what went wrong: errno's number where time ran out, which scripts look at, else 1.
#[must_use]
pub fn status(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(client::Error::TimedOut { .. }) => nix::errno::Errno::ETIMEDOUT as u8,
        _ => 1,
    }
}

/// Connections, the last of which listens: what it hears ends the program, and so does the time, with an error.
async fn dummy(options: &Dummy) -> Result<()> {
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        clients.push(options.socket.connect().await?);
    }
    let last = clients.last().context("no connections")?;
    let mut ends = JoinSet::new();
    if let Some(srvid) = options.srvid {
        let mut messages = last.register(srvid).await?;
        ends.spawn_local(async move { messages.recv().await.map(drop) });
    }
    match timeout(options.time_limit(), ends.join_next()).await {
        Ok(Some(heard)) => Ok(heard??),
        // nobody to listen for: the time is not over at once
        Ok(None) => {
            tokio::time::sleep(options.time_limit()).await;
            bail!("the time is over")
        }
        Err(_) => bail!("the time is over"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_has_a_status_of_its_own() {
        let late = client::Error::TimedOut {
            name: "DB_VACUUM",
            destination: client::Pnn(0),
        };
        assert_eq!(status(&anyhow::Error::new(late).context("node 0")), 110);
        assert_eq!(status(&anyhow::anyhow!("anything else")), 1);
    }
}

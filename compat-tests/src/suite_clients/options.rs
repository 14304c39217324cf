//! The options, which the programs have in common.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, ValueEnum};
use client::{Client, Database, Pnn, Srvid};
use wire::control::GetRecmode;
use wire::types::{DbFlags, RecoveryMode};

/// How long one control may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// How often is looked whether a recovery is over.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Where the socket is if nothing says so.
const SOCKET: &str = "/run/ctdb/ctdbd.socket";

/// Where the daemon is.
#[derive(Debug, Args)]
pub(super) struct Socket {
    /// The daemon's socket: by default that below CTDB_BASE in test mode.
    #[arg(short, long)]
    socket: Option<PathBuf>,
    /// How much is logged; nothing is, whatever this says.
    #[arg(short, long)]
    debug: Option<String>,
}

/// Of all programs.
#[derive(Debug, Parser)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) socket: Socket,
    /// How many seconds.
    #[arg(short = 't', long = "timelimit", default_value_t = 10)]
    limit: u64,
    /// How many nodes take part.
    #[arg(short = 'n', long = "num-nodes", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) nodes: u32,
    /// Print each second, too.
    #[arg(short, long)]
    pub(super) interactive: bool,
}

/// Of the programs that work on a database.
#[derive(Debug, Parser)]
pub(super) struct OnDatabase {
    #[command(flatten)]
    pub(super) common: Common,
    /// Its name.
    #[arg(short = 'D', long)]
    database: String,
    /// A key in it.
    #[arg(short, long, default_value = "")]
    pub(super) key: String,
    /// A value.
    #[arg(short, long)]
    pub(super) value: Option<String>,
    /// Its kind.
    #[arg(short = 'T', long = "dbtype", value_enum, default_value_t = Kind::Volatile)]
    pub(super) kind: Kind,
}

/// Of `dummy_client`.
#[derive(Debug, Parser)]
pub(super) struct Dummy {
    #[command(flatten)]
    pub(super) socket: Socket,
    /// How many seconds.
    #[arg(short = 't', long = "timelimit", default_value_t = 60)]
    limit: u64,
    /// How many connections.
    #[arg(short = 'n', long = "nconn", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) connections: u16,
    /// What the last one listens for, with 0x or decimal.
    #[arg(short = 'S', long, value_parser = srvid)]
    pub(super) srvid: Option<Srvid>,
}

/// The kinds of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Volatile,
    Persistent,
    Replicated,
}

impl Kind {
    const fn flags(self) -> DbFlags {
        match self {
            Self::Volatile => DbFlags::empty(),
            Self::Persistent => DbFlags::PERSISTENT,
            Self::Replicated => DbFlags::REPLICATED,
        }
    }
}

impl Socket {
    /// A connection with the daemon.
    pub(super) async fn connect(&self) -> Result<Client> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let base = || variable("CTDB_TEST_MODE").and_then(|_| variable("CTDB_BASE"));
        let path = (self.socket.clone())
            .or_else(|| variable("CTDB_SOCKET"))
            .or_else(|| Some(base()?.join("run/ctdbd.socket")))
            .unwrap_or_else(|| SOCKET.into());
        let connected = Client::connect(&path).await;
        connected.with_context(|| path.display().to_string())
    }
}

impl Common {
    pub(super) fn time_limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// A connection with a daemon that is in no recovery.
    pub(super) async fn connect(&self) -> Result<Client> {
        let client = self.socket.connect().await?;
        loop {
            let mode = client.control::<GetRecmode>(Pnn::CURRENT, &(), LIMIT);
            if mode.await?.status == RecoveryMode::Normal as i32 {
                return Ok(client);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Dummy {
    pub(super) fn time_limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }
}

impl OnDatabase {
    /// A connection, and the database opened.
    pub(super) async fn open(&self, kind: Kind) -> Result<(Client, Database)> {
        let client = self.common.connect().await?;
        let opened = client.open_database(&self.database, kind.flags(), LIMIT);
        let database = opened.await.with_context(|| self.database.clone())?;
        Ok((client, database))
    }
}

fn srvid(text: &str) -> Result<Srvid, std::num::ParseIntError> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map(Srvid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_own_words_are_understood() {
        let words = "x -t 30 -n 3 -i -D db.tdb -T persistent -k a -v b";
        let options = OnDatabase::try_parse_from(words.split(' ')).unwrap();
        assert_eq!(options.common.time_limit(), Duration::from_secs(30));
        assert_eq!((options.common.nodes, options.kind), (3, Kind::Persistent));
        let dummy = Dummy::try_parse_from("x -n 10 -S 0xAE00000012345678".split(' ')).unwrap();
        assert_eq!(dummy.srvid, Some(Srvid(0xAE00_0000_1234_5678)));
        assert!(Common::try_parse_from(["x", "-n", "0"]).is_err());
    }
}

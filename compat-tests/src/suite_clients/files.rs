//! `ctdb-db-test`: this node's own file of a database.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use client::{Client, Database, DatabaseInfo, DbId, Pnn};
use tdb::{Flags, OpenOptions, Tdb};
use wire::control::{DbVacuum, GetDbMap, GetDbName, GetVnnMap};
use wire::types::{self, DbFlags, DbIdFlags, RecordFlags, RecordHeader};

use super::options::{LIMIT, Socket};

/// How long a lock is held by whom nobody ends.
const HOLD: Duration = Duration::from_secs(120);
/// What a header's flags are called.
const FLAGS: [(RecordFlags, &str); 7] = [
    (RecordFlags::MIGRATED_WITH_DATA, "MIGRATED_WITH_DATA"),
    (RecordFlags::VACUUM_MIGRATED, "VACUUM_MIGRATED"),
    (RecordFlags::AUTOMATIC, "AUTOMATIC"),
    (RecordFlags::RO_HAVE_DELEGATIONS, "RO_HAVE_DELEGATIONS"),
    (RecordFlags::RO_HAVE_READONLY, "RO_HAVE_READONLY"),
    (RecordFlags::RO_REVOKING_READONLY, "RO_REVOKING_READONLY"),
    (RecordFlags::RO_REVOKE_COMPLETE, "RO_REVOKE_COMPLETE"),
];

#[derive(Debug, Parser)]
pub(super) struct Options {
    #[command(flatten)]
    socket: Socket,
    /// The node that is asked.
    #[arg(short, long)]
    node: Option<u32>,
    /// How many seconds a control may take.
    #[arg(short = 't', long = "timelimit", default_value_t = 60)]
    limit: u64,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Print the location master of a key.
    GetLmaster { key: String },
    /// Move a record here and take its value away, without telling the daemon.
    FetchLocalDelete { database: String, key: String },
    /// Leave a process that holds the lock of a record, and print its id.
    LocalLock { database: String, key: String },
    /// Print the copy of this node.
    LocalRead { database: String, key: String },
    /// Vacuum a database.
    Vacuum {
        database: String,
        /// `full`.
        #[arg(value_parser = ["full"])]
        how: Option<String>,
    },
    /// What `local-lock` starts.
    #[command(hide = true)]
    Hold { database: String, key: String },
}

pub(super) async fn run(options: &Options) -> Result<()> {
    let client = options.socket.connect().await?;
    match &options.command {
        Task::GetLmaster { key } => {
            let map = client.control::<GetVnnMap>(options.node(), &(), options.limit());
            let lmaster = map.await?.reply.lmaster(key.as_bytes());
            println!("{}", lmaster.context("no node is location master")?.0);
        }
        Task::FetchLocalDelete { database, key } => {
            let database = options.open(&client, database).await?;
            database
                .lock_record(key.as_bytes(), LIMIT)
                .await?
                .store(b"")?;
        }
        Task::LocalLock { database, key } => {
            options.open(&client, database).await?;
            println!("OK {}", leave_holder(database, key)?);
        }
        Task::LocalRead { database, key } => {
            let database = options.open(&client, database).await?;
            let text = database.peek(key.as_bytes(), |record| show(&record.header, record.value));
            print!(
                "{}",
                text?.with_context(|| format!("No record for key {key}"))?
            );
        }
        Task::Vacuum { database, how } => {
            let request = types::DbVacuum {
                db: options.volatile(&client, database).await?.0,
                full_vacuum_run: how.is_some(),
            };
            let vacuumed = client.control::<DbVacuum>(options.node(), &request, options.limit());
            vacuumed.await?;
        }
        Task::Hold { database, key } => {
            let (_, name) = options.volatile(&client, database).await?;
            hold(&client.attach(&name, DbFlags::empty(), LIMIT).await?, key)?;
        }
    }
    Ok(())
}

impl Options {
    fn node(&self) -> Pnn {
        self.node.map_or(Pnn::CURRENT, Pnn)
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// Number and name of a volatile database that is attached, by its name or by its number with 0x.
    async fn volatile(&self, client: &Client, wanted: &str) -> Result<(DbId, String)> {
        let map = client.control::<GetDbMap>(self.node(), &(), self.limit());
        let number = wanted
            .strip_prefix("0x")
            .map(|digits| u32::from_str_radix(digits, 16));
        for DbIdFlags { db, flags } in map.await?.reply.dbs {
            let name = client.control::<GetDbName>(self.node(), &db, self.limit());
            let name = name.await?.reply;
            if name == wanted || number == Some(Ok(db.0)) {
                ensure!(flags.is_volatile(), "DB {name} is not a volatile database");
                return Ok((db, name));
            }
        }
        bail!("No database matching '{wanted}' found")
    }

    async fn open(&self, client: &Client, wanted: &str) -> Result<Database> {
        let (_, name) = self.volatile(client, wanted).await?;
        Ok(client.open_database(&name, DbFlags::empty(), LIMIT).await?)
    }
}

/// Starts a process that holds the lock, and waits until it does; its id.
fn leave_holder(database: &str, key: &str) -> Result<u32> {
    let program = std::env::args_os().next().context("own name")?;
    let mut holder = Command::new(program)
        .args(["hold", database, key])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = holder.stdout.take().context("the holder's output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    ensure!(line == "held\n", "the lock could not be taken");
    Ok(holder.id())
}

/// Holds the lock until somebody ends this process, or nobody does.
fn hold(database: &DatabaseInfo, key: &str) -> Result<()> {
    let options = OpenOptions {
        flags: Flags::from_bits_retain(database.open_flags.cast_unsigned()),
        create: false,
        ..OpenOptions::default()
    };
    let file = Tdb::open(&database.path, &options)?;
    let held = file.chain_guard(key.as_bytes())?;
    println!("held");
    std::io::stdout().flush()?;
    std::thread::sleep(HOLD);
    drop(held);
    bail!("nobody wanted the lock to be given back")
}

/// A record as upstream's program prints it.
fn show(header: &RecordHeader, value: &[u8]) -> String {
    let RecordHeader {
        dmaster,
        rsn,
        flags,
        ..
    } = header;
    let names = FLAGS.iter().filter(|(flag, _)| flags.contains(*flag));
    let names: String = names.map(|(_, name)| format!(" {name}")).collect();
    let text: String = value.iter().map(|byte| letter(*byte)).collect();
    format!(
        "dmaster: {}\nrsn: {rsn}\nflags: 0x{:08x}{names}\ndata({}) = \"{text}\"\n",
        dmaster.0,
        flags.bits(),
        value.len()
    )
}

fn letter(byte: u8) -> String {
    match byte {
        b'"' | b'\\' => format!("\\{byte:02X}"),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_looks_as_the_scripts_expect_it() {
        let header = RecordHeader {
            rsn: 3,
            dmaster: Pnn(1),
            flags: RecordFlags::MIGRATED_WITH_DATA | RecordFlags::AUTOMATIC,
            ..RecordHeader::default()
        };
        let wanted =
            "dmaster: 1\nrsn: 3\nflags: 0x00050000 MIGRATED_WITH_DATA AUTOMATIC\ndata(0) = \"\"\n";
        assert_eq!(show(&header, b""), wanted);
        assert!(show(&header, b"a\"\n").ends_with("data(3) = \"a\\22\\0A\"\n"));
    }
}

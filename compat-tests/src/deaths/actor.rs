//! What a test lets happen on a node: small programs that hold something and are then stopped or killed.
//!
//! Each is this program itself, started on the node. It says its process number when it has what it
//! is to hold, and then does nothing until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use client::{Client, DatabaseInfo};
use tdb::{Flags, OpenOptions, StoreMode, Tdb};
use wire::control::{Opcode, Request};
use wire::packet::{Body, ControlFlags, Header, Packet, ReqControl};
use wire::types::{DbFlags, EchoData};
use wire::{ClientId, Generation, Pnn, ReqId, Srvid};

use crate::node::Node;

/// Where clients find ctdbd.
const SOCKET: &str = "/run/ctdb/ctdbd.socket";
/// For each control.
const LIMIT: Duration = Duration::from_secs(10);

/// What to hold.
#[derive(Debug, Clone, Subcommand)]
pub enum Actor {
    /// The chain lock of a key of a volatile database.
    HoldChain {
        /// The database.
        database: String,
        /// The key.
        key: String,
    },
    /// A volatile database, open as smbd has it, with one record in it.
    KeepOpen {
        /// The database.
        database: String,
    },
    /// So many connections.
    Crowd {
        /// How many.
        count: usize,
    },
    /// A connection on which it asks for so many mebibytes of answers, and reads none.
    Deaf {
        /// How many.
        mebibytes: u32,
    },
}

impl Actor {
    /// Takes hold, says so, and never comes back.
    ///
    /// # Errors
    /// The daemon refuses.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::HoldChain { database, key } => {
                let tdb = open(database)?;
                tdb.lock_chain(key.as_bytes())?;
                rest()
            }
            Self::KeepOpen { database } => {
                let tdb = open(database)?;
                tdb.store(b"left", b"over", StoreMode::Replace)?;
                rest()
            }
            Self::Crowd { count } => {
                let connect = |_| UnixStream::connect(SOCKET);
                let _crowd: Vec<_> = (0..*count).map(connect).collect::<Result<_, _>>()?;
                rest()
            }
            Self::Deaf { mebibytes } => deaf(*mebibytes),
        }
    }

    fn words(&self) -> Vec<String> {
        let words: Vec<&str> = match self {
            Self::HoldChain { database, key } => vec!["hold-chain", database, key],
            Self::KeepOpen { database } => vec!["keep-open", database],
            Self::Crowd { count } => return vec!["crowd".into(), count.to_string()],
            Self::Deaf { mebibytes } => return vec!["deaf".into(), mebibytes.to_string()],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

fn rest() -> Result<()> {
    println!("{}", std::process::id());
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Attaches and opens a volatile database. The connection ends with the call.
fn open(database: &str) -> Result<Tdb> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let info: DatabaseInfo = runtime.block_on(async {
        let client = Client::connect(SOCKET.as_ref()).await?;
        client.attach(database, DbFlags::empty(), LIMIT).await
    })?;
    let options = OpenOptions {
        flags: Flags::from_bits_retain(info.open_flags.cast_unsigned()),
        create: false,
        ..OpenOptions::default()
    };
    Ok(Tdb::open(&info.path, &options)?)
}

/// Asks, a mebibyte at a time, for what it sends to be sent back.
fn deaf(mebibytes: u32) -> Result<()> {
    let mut socket = UnixStream::connect(SOCKET)?;
    println!("{}", std::process::id());
    let payload = vec![b'x'; 1 << 20];
    for reqid in 1..=mebibytes {
        let mut data = Vec::new();
        Request::EchoData(EchoData {
            timeout: 0,
            buf: payload.clone(),
        })
        .encode(&mut data);
        let body = Body::ReqControl(ReqControl {
            opcode: Opcode::EchoData as u32,
            srvid: Srvid(0),
            client: ClientId(0),
            flags: ControlFlags::empty(),
            data: &data,
        });
        let header = Header {
            generation: Generation(0),
            operation: body.operation(),
            destination: Pnn::CURRENT,
            source: Pnn::CURRENT,
            reqid: ReqId(reqid),
        };
        // a daemon that takes no more of it is what is wanted, too
        if socket
            .write_all(&Packet { header, body }.to_bytes())
            .is_err()
        {
            break;
        }
    }
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// An actor at work. Its node's end takes it along.
#[derive(Debug)]
pub(super) struct Acting {
    /// Its number on its node.
    pub(super) pid: u32,
    /// What started it there.
    starter: Child,
}

impl Acting {
    /// Starts it on a node, and waits until it holds what it is to hold.
    pub(super) fn start(node: &Node, actor: &Actor) -> Result<Self> {
        let program = std::env::current_exe()?;
        let program = program.to_str().context("own path")?;
        let mut command: Command = node.command(program);
        command.arg("actor").args(actor.words());
        let mut starter = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = starter.stdout.take().context("its output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(pid) => Ok(Self { pid, starter }),
            Err(_) => bail!("{actor:?} does not start: {:?}", starter.wait()?),
        }
    }

    pub(super) fn signal(&self, node: &Node, signal: &str) -> Result<()> {
        node.sh(&format!("kill -{signal} {}", self.pid)).map(drop)
    }

    /// Kills it, and waits until it is gone.
    pub(super) fn end(mut self, node: &Node) -> Result<()> {
        // it may have ended by itself
        let _ = self.signal(node, "KILL");
        self.starter.wait().map(drop).map_err(Into::into)
    }
}

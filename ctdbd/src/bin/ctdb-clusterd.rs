//! `ctdb-clusterd`: elects, recovers and bans on behalf of one node. Started by ctdbd as
//! `ctdb-clusterd --pnn N [--socket PATH] [--cluster-lock LOCK] [--leader-timeout SECONDS] [--no-leader]`.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::link::{self, Incoming, Outgoing};
use config::Paths;
use ctdbd::clusterd::{Args, End, Shell};
use ctdbd::logging::{self, LogSettings};

const PROGRAM: &str = "ctdb-clusterd";
/// Bytes that may wait for ctdbd: a recovery sends whole databases.
const OUTGOING_LIMIT: usize = 4 << 30;
/// ctdbd listens before it starts us, so this is only for a ctdbd that is very busy.
const CONNECT_ATTEMPTS: u32 = 50;
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::complain(PROGRAM, &logging::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args = Args::parse(std::env::args_os().skip(1))
        .with_context(|| format!("usage: {PROGRAM} --pnn N [--socket PATH] [OPTION...]"))?;
    let paths = Paths::from_process()?;
    let settings = LogSettings::default().or_handed_down(|name| std::env::var(name).ok());
    let log = logging::init(settings, &paths, PROGRAM)?;
    log.set_node(args.pnn);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let socket = args.socket.clone().unwrap_or_else(|| paths.socket());
    let end = runtime.block_on(async {
        let (outgoing, incoming) = connect(&socket).await?;
        tracing::info!(pnn = args.pnn.0, "cluster manager starting");
        let seed = sys::random_u64().context("no random numbers")?;
        let shell = Shell::new(args, &paths, outgoing, log, seed);
        anyhow::Ok(shell.run(incoming).await)
    })?;
    match end {
        End::Parent => Ok(()),
        End::Disconnected => bail!("the connection to ctdbd is gone"),
        End::GaveUp(reason) => bail!("{reason}"),
    }
}

async fn connect(socket: &Path) -> Result<(Outgoing, Incoming)> {
    for _ in 1..CONNECT_ATTEMPTS {
        if let Ok(connected) = link::connect(socket, OUTGOING_LIMIT).await {
            return Ok(connected);
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
    Ok(link::connect(socket, OUTGOING_LIMIT).await?)
}

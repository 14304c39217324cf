//! `ctdb-etcd`: a node's membership in etcd. Started by ctdb-clusterd as `ctdb-etcd --etcd-endpoints LIST [--etcd-...]`; reads
//! actions and writes notifications, a line of JSON each (docs/cluster-manager.md).
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cluster::coordinator::Notification;
use config::Etcd;
use etcd::api::Api;
use etcd::http::Client;
use etcd::session::Session;
use etcd::tls;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// One endpoint may take a tenth of the lease, within these bounds: there must be time for others.
const PATIENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ctdb-etcd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let etcd = options()?;
    let tls = tls::client_config(&etcd)?;
    let [least, most] = PATIENCE;
    let patience = (etcd.lease / 10).clamp(least, most);
    let api = Api::new(Client::new(etcd.endpoints, tls, patience));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = tokio::task::LocalSet::new().block_on(&runtime, serve(api, etcd.prefix));
    // the thread that reads the standard input may still wait there
    runtime.shutdown_background();
    served
}

fn options() -> Result<Etcd> {
    let mut etcd = Etcd::default();
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        let option = word.to_str().unwrap_or_default();
        let value = words
            .next()
            .with_context(|| format!("{word:?} needs a value"))?;
        if !etcd.take(option, &value) {
            bail!("unknown option or bad value: {word:?} {value:?}");
        }
    }
    match etcd.complaint() {
        Some(complaint) => bail!(complaint),
        None => Ok(etcd),
    }
}

/// Until the input ends, or the membership does.
async fn serve(api: Api, prefix: String) -> Result<()> {
    let (out, notifications) = unbounded_channel();
    let writer = tokio::task::spawn_local(write(notifications));
    let session = Session::start(api, prefix, out);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let action = serde_json::from_str(&line).with_context(|| format!("no action: {line:?}"))?;
        if session.act(action).await || writer.is_finished() {
            break;
        }
    }
    Ok(())
}

async fn write(mut notifications: UnboundedReceiver<Notification>) -> Result<()> {
    let mut stdout = tokio::io::stdout();
    while let Some(news) = notifications.recv().await {
        let mut line = serde_json::to_string(&news)?;
        line.push('\n');
        stdout.write_all(line.as_bytes()).await?;
        stdout.flush().await?;
    }
    Ok(())
}

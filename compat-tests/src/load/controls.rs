//! What the daemon does for its own clients.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use client::{Client, Pnn};
use tokio::task::JoinSet;
use wire::control::GetPnn;

use super::run::Run;
use super::summary::{Measured, Meter};
use super::{Attach, LIMIT};

/// Round trips of GET_PNN: no data in, none out.
pub(super) async fn packets(run: &mut Run, count: u64, burst: u32) -> Result<Measured> {
    run.meet().await?;
    let mut meter = Meter::start();
    // the time is not the end: the count is
    while meter.operations() < count && !run.stop.is_wanted() {
        let asked = Instant::now();
        let mut burst: JoinSet<_> = (0..burst).map(|_| get_pnn(run.client.clone())).collect();
        while let Some(answered) = burst.join_next().await {
            answered??;
            meter.done(asked.elapsed());
        }
    }
    Ok(meter.finish())
}

async fn get_pnn(client: Client) -> client::Result<()> {
    let answer = client.control::<GetPnn>(Pnn::CURRENT, &(), LIMIT);
    answer.await.map(drop)
}

pub(super) async fn idle(run: &mut Run, socket: &Path, connections: u32) -> Result<Measured> {
    run.meet().await?;
    let mut others = Vec::new();
    for _ in 1..connections {
        others.push(Client::connect(socket).await?);
    }
    let meter = Meter::start();
    run.stop.over().await;
    Ok(meter.finish())
}

/// Attached as smbd does it: where the file is and how to open it is asked for too.
pub(super) async fn attach(run: &mut Run, attach: &Attach) -> Result<Measured> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let prefix = format!("load_{:x}_{}", since.as_nanos(), run.node());
    run.meet().await?;
    let mut meter = Meter::start();
    for number in 0..attach.count {
        if run.stop.is_wanted() {
            break;
        }
        let asked = Instant::now();
        run.attach(&format!("{prefix}_{number}.tdb"), attach.model)
            .await?;
        meter.done(asked.elapsed());
    }
    Ok(meter.finish())
}

//! One message that goes round the nodes: what the way between them costs.

use std::time::Instant;

use anyhow::Result;
use client::{Pnn, Srvid, TunnelId};

use super::run::Run;
use super::summary::{Measured, Meter};

/// In the range of test programs.
const ADDRESS: Srvid = Srvid(Srvid::TEST_RANGE.0 | 0x7269_6e67);
const TUNNEL: TunnelId = TunnelId(TunnelId::TEST.0 | 0x7269_6e67);

impl Run {
    /// To whom this node passes things on.
    pub(super) fn next(&self) -> Pnn {
        match self.participants {
            1 => self.client.pnn(),
            count => Pnn((self.node() + 1) % count),
        }
    }
}

/// The time between two receipts.
pub(super) struct Rounds {
    meter: Meter,
    last: Instant,
}

impl Rounds {
    pub(super) fn start() -> Self {
        Self {
            meter: Meter::start(),
            last: Instant::now(),
        }
    }

    pub(super) fn received(&mut self) {
        let now = Instant::now();
        self.meter.done(now - self.last);
        self.last = now;
    }

    pub(super) fn finish(self) -> Measured {
        self.meter.finish()
    }
}

pub(super) async fn messages(run: &mut Run) -> Result<Measured> {
    let mut messages = run.client.register(ADDRESS).await?;
    run.meet().await?;
    let (next, mut over) = (run.next(), run.stop.over());
    let mut rounds = Rounds::start();
    if run.is_first() {
        run.client.message(next, ADDRESS, b"")?;
    }
    loop {
        tokio::select! {
            biased;
            message = messages.recv() => message.map(drop)?,
            () = &mut over => return Ok(rounds.finish()),
        }
        rounds.received();
        run.client.message(next, ADDRESS, b"")?;
    }
}

pub(super) async fn tunnels(run: &mut Run) -> Result<Measured> {
    let mut tunnel = run.client.open_tunnel(TUNNEL).await?;
    run.meet().await?;
    let (next, mut over) = (run.next(), run.stop.over());
    let mut rounds = Rounds::start();
    if run.is_first() {
        tunnel.send(next, b"")?;
    }
    loop {
        tokio::select! {
            biased;
            request = tunnel.recv() => request.map(drop)?,
            () = &mut over => return Ok(rounds.finish()),
        }
        rounds.received();
        tunnel.send(next, b"")?;
    }
}

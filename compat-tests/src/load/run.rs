//! What every workload starts from: a connection, the others, and an end.

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Client, DatabaseInfo};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::meeting::Meeting;
use super::{LIMIT, Model, Options};

/// A run of a workload.
pub(super) struct Run {
    pub(super) client: Client,
    pub(super) participants: u32,
    pub(super) stop: Stop,
    meeting: Meeting,
    seconds: Duration,
}

impl Run {
    /// Connects, and listens for the others.
    pub(super) async fn open(options: &Options) -> Result<Self> {
        let stop = Stop::on_signal()?;
        let client = Client::connect(&options.socket).await?;
        let participants = options.participants;
        ensure!(
            participants == 1 || client.pnn().0 < participants,
            "this is node {}, and the participants are 0 to {}",
            client.pnn(),
            participants - 1
        );
        let meeting = Meeting::open(&client, participants).await?;
        Ok(Self {
            client,
            participants,
            stop,
            meeting,
            seconds: options.seconds,
        })
    }

    /// This node's number.
    pub(super) fn node(&self) -> u32 {
        self.client.pnn().0
    }

    /// Whether it is this node that begins what only one may begin.
    pub(super) fn is_first(&self) -> bool {
        self.participants == 1 || self.node() == 0
    }

    /// Waits for all others to be here too; the time begins now.
    pub(super) async fn meet(&mut self) -> Result<()> {
        let met = self.meeting.exchange(0, Duration::from_secs(30));
        met.await.context("the other participants")?;
        self.stop.begin(self.seconds);
        Ok(())
    }

    /// Attaches a database.
    pub(super) async fn attach(&self, name: &str, model: Model) -> Result<DatabaseInfo> {
        let attached = self.client.attach(name, model.flags(), LIMIT);
        attached.await.with_context(|| format!("attach {name}"))
    }
}

/// Something to wait for beside the work.
pub(super) type Ending = Pin<Box<dyn Future<Output = ()>>>;

/// The end of a run: its time is over, or somebody wants it to end.
#[derive(Clone)]
pub(super) struct Stop {
    wanted: watch::Receiver<bool>,
    end: Option<Instant>,
}

impl Stop {
    fn on_signal() -> Result<Self> {
        let (sender, wanted) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // the run may have ended by itself
            let _ = sender.send(true);
            // a dropped sender would look like a wish to end
            sender.closed().await;
        });
        Ok(Self { wanted, end: None })
    }

    fn begin(&mut self, seconds: Duration) {
        self.end = Instant::now().checked_add(seconds);
    }

    /// Whether somebody wants it to end, however much time is left.
    pub(super) fn is_wanted(&self) -> bool {
        *self.wanted.borrow()
    }

    /// Returns when it is over. To be made once and polled often.
    pub(super) fn over(&self) -> Ending {
        let Self { mut wanted, end } = self.clone();
        Box::pin(async move {
            let time = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                _ = wanted.wait_for(|wanted| *wanted) => {}
            }
        })
    }

    /// Returns when somebody wants it to end, however much time is left.
    pub(super) fn wanted(&self) -> Ending {
        let wanted = self.wanted.clone();
        Self { wanted, end: None }.over()
    }
}

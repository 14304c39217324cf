//! What every workload starts from: a connection, the others, and an end.

use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use client::{Client, Database, DatabaseInfo, GLocks};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::meeting::Meeting;
use super::{LIMIT, Model, Options};

/// How long a workload runs.
const SECONDS: Duration = Duration::from_secs(5);
/// How long after its own end a node waits for the others' ends.
const GRACE: Duration = Duration::from_secs(30);

/// A run of a workload.
pub(super) struct Run {
    pub(super) client: Client,
    pub(super) participants: u32,
    pub(super) stop: Stop,
    meeting: Meeting,
    seconds: Duration,
    id: u64,
}

impl Run {
    /// Connects, and listens for the others.
    pub(super) async fn start(options: &Options) -> Result<Self> {
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
            seconds: options.seconds.unwrap_or(SECONDS),
            id: 0,
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
        let mine = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        let met = self.meeting.exchange(mine, GRACE).await;
        let all = met.context("the other participants")?;
        self.id = all.into_iter().fold(0, u64::wrapping_add);
        self.stop.begin(self.seconds);
        Ok(())
    }

    /// A number of this run, the same on all nodes, once they have met.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// How long it is to last.
    pub(super) fn seconds(&self) -> Duration {
        self.seconds
    }

    /// Waits until all are at their end; what they did together.
    pub(super) async fn sum(&mut self, mine: u64) -> Result<u64> {
        let all = self.meeting.exchange(mine, self.seconds + GRACE).await;
        let all = all.context("the other participants, at the end")?;
        Ok(all.into_iter().fold(0, u64::wrapping_add))
    }

    /// Opens a database.
    pub(super) async fn open(&self, name: &str, model: Model) -> Result<Database> {
        let opened = self.client.open_database(name, model.flags(), LIMIT);
        opened.await.with_context(|| format!("open {name}"))
    }

    /// The global locks.
    pub(super) async fn locks(&self) -> Result<GLocks> {
        Ok(GLocks::open(&self.client, LIMIT).await?)
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
    pub(super) fn on_signal() -> Result<Self> {
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

    pub(super) fn begin(&mut self, seconds: Duration) {
        self.end = Instant::now().checked_add(seconds);
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.is_wanted() || self.end.is_some_and(|end| Instant::now() >= end)
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

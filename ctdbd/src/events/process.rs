//! The process of the event daemon.
//!
//! It is told ctdbd's pid, with which it ends, and a descriptor to write four zeros on when it listens
//! (`ctdb_start_eventd`, 4.17.12). Its log is its own: it reads ctdb.conf.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use config::Paths;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use wire::ReqId;
use wire::event::{Event, LEGACY, Outcome, Reply, Request, RunFlags, RunRequest, Text};

use super::connection::Connection;
use crate::logging::LogHandle;

/// How long it may take until it listens (`wait_for_daemon_startup`, 4.17.12).
const STARTUP: Duration = Duration::from_secs(10);
/// What ends at its start is started again until then: that of a ctdbd before may not have ended yet, and there can be one.
const TRIES: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How much later than its own time-out an event is given up.
const GRACE: Duration = Duration::from_secs(5);

/// How the process is started.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    socket: PathBuf,
    base: PathBuf,
    interactive: bool,
    log: LogHandle,
}

/// Why it was not.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program cannot be run.
    #[error("{0}")]
    Spawn(#[from] io::Error),
    /// It ended, or said that it failed.
    #[error("the event daemon ended at its start")]
    Ended,
    /// It said nothing.
    #[error("the event daemon does not get ready")]
    TimedOut,
    /// It listens, they say.
    #[error("cannot connect to the event daemon: {0}")]
    Connect(io::Error),
}

/// A running event daemon, and a connection with it. It ends with this process.
#[derive(Debug)]
pub struct Eventd {
    pub(super) child: Child,
    pub(super) connection: Connection,
}

impl Program {
    /// The program of this installation, if there is one.
    #[must_use]
    pub fn find(paths: &Paths, interactive: bool, log: &LogHandle) -> Option<Self> {
        let path = paths.helper("ctdb-eventd");
        if !path.is_file() {
            warn!(
                "There is no event daemon {}: no event scripts are run",
                path.display()
            );
            return None;
        }
        Some(Self {
            path,
            socket: paths.daemon_socket("eventd"),
            base: paths.base().to_owned(),
            interactive,
            log: log.clone(),
        })
    }

    /// Starts the first one, and waits until it answers.
    ///
    /// # Errors
    /// It does not; it has been killed then.
    pub async fn start(&self) -> Result<Eventd, StartError> {
        let end = tokio::time::Instant::now() + TRIES;
        loop {
            match self.try_start().await {
                Err(StartError::Ended) if tokio::time::Instant::now() < end => sleep(PAUSE).await,
                started => return started,
            }
        }
    }

    /// The same, trying once.
    pub(super) async fn try_start(&self) -> Result<Eventd, StartError> {
        remove(&self.socket)?;
        let (reader, writer) = io::pipe()?;
        let started = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let mut child = self.command(writer.into()).spawn()?;
        match self.connect(started).await {
            Ok(connection) => {
                info!(pid = child.id(), "event daemon started");
                Ok(Eventd { child, connection })
            }
            Err(error) => {
                // an error means that it has ended
                let _ = child.kill().await;
                Err(error)
            }
        }
    }

    async fn connect(&self, mut started: Receiver) -> Result<Connection, StartError> {
        let mut status = [0; 4];
        match timeout(STARTUP, started.read_exact(&mut status)).await {
            Ok(Ok(_)) if status == [0; 4] => {}
            Ok(_) => return Err(StartError::Ended),
            Err(_) => return Err(StartError::TimedOut),
        }
        let connection = Connection::open(&self.socket).await;
        connection.map_err(StartError::Connect)
    }

    fn command(&self, started: OwnedFd) -> Command {
        let mut command = Command::new(&self.path);
        let number = sys::child::inherit(command.as_std_mut(), started);
        command
            .args(["-P", &std::process::id().to_string()])
            .args(["-S", &number.to_string()])
            .env("CTDB_BASE", &self.base)
            .envs(self.log.variables())
            .stdin(Stdio::null())
            .stdout(self.log.child_output())
            .stderr(self.log.child_output());
        if self.interactive {
            command.env("CTDB_INTERACTIVE", "true");
        }
        sys::child::set_parent_death_signal(command.as_std_mut(), Signal::SIGTERM);
        command
    }
}

impl Eventd {
    /// Runs an event before there is a daemon that could: `init`.
    pub async fn run(&mut self, event: Event, seconds: u32) -> Outcome {
        let request = Request::Run(RunRequest {
            component: Text::from(LEGACY),
            event: Text::from(event.name()),
            args: Text::from(""),
            timeout: seconds,
            flags: RunFlags::empty(),
        });
        let limit = Duration::from_secs(seconds.into()) + GRACE;
        match timeout(limit, self.connection.ask(ReqId(0), &request)).await {
            Ok(Ok(Reply::Run(result))) => Outcome::from_result(result),
            Ok(_) => Outcome::Lost,
            Err(_) => Outcome::TimedOut,
        }
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        let pid = self.child.id()?;
        i32::try_from(pid).ok().map(Pid::from_raw)
    }

    /// Kills it with the scripts that it runs, each of which leads a group of processes; those of the next one must not
    /// meet them.
    pub(super) async fn kill(mut self) {
        let scripts = self.pid().map(|pid| sys::process::children(pid.as_raw()));
        // an error means that it has ended
        let _ = self.child.kill().await;
        for script in scripts.into_iter().flatten() {
            let _ = killpg(Pid::from_raw(script), Signal::SIGKILL);
        }
    }
}

/// What an event daemon before has left.
fn remove(socket: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

//! The coordinator's program (`ctdb-etcd`) on the manager's behalf: a line of JSON for each action and notification.
//!
//! ```text
//!            started                    ends, or says what cannot be read
//!   Away ---------------> There ---------------------------------------> Away, for a second
//! ```
//!
//! The program ends when its standard input does. It leaves the membership alone then, unless it was told otherwise: the
//! next one takes it over.

use std::future::pending;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use cluster::coordinator::{Action, Notification};
use config::{Etcd, Paths};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

/// Between the end of one process and the start of the next.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an orderly leave may take.
const LEAVING: Duration = Duration::from_secs(2);

/// The program, and how to start it.
#[derive(Debug)]
pub(super) struct Coordinator {
    program: PathBuf,
    etcd: Option<Etcd>,
    process: Option<Process>,
    start_at: Instant,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Coordinator {
    /// Nothing is started yet; without options nothing ever is.
    pub(super) fn new(etcd: Option<Etcd>, paths: &Paths) -> Self {
        Self {
            program: paths.helper("ctdb-etcd"),
            etcd,
            process: None,
            start_at: Instant::now(),
        }
    }

    /// The next news; may be cancelled. Never returns without a coordinator.
    pub(super) async fn event(&mut self) -> Notification {
        let Some(process) = &mut self.process else {
            return self.start().await;
        };
        let why = match process.output.next_line().await {
            Ok(Some(line)) => match serde_json::from_str(&line) {
                Ok(news) => return news,
                Err(error) => format!("it says {line:?}: {error}"),
            },
            Ok(None) => "it has ended".to_owned(),
            Err(error) => error.to_string(),
        };
        self.process = None;
        self.start_at = Instant::now() + PAUSE;
        let reason = format!("{}: {why}", self.program.display());
        Notification::Failed { reason }
    }

    async fn start(&mut self) -> Notification {
        let Some(etcd) = &self.etcd else {
            return pending().await;
        };
        tokio::time::sleep_until(self.start_at).await;
        match Process::spawn(&self.program, etcd) {
            Ok(process) => {
                self.process = Some(process);
                Notification::Started
            }
            Err(error) => {
                self.start_at = Instant::now() + PAUSE;
                let reason = format!("{}: {error}", self.program.display());
                Notification::Failed { reason }
            }
        }
    }

    /// Hands an action over. A program that does not take it is started again; the manager asks again then.
    pub(super) async fn act(&mut self, action: Action) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Ok(mut line) = serde_json::to_string(&action) else {
            return;
        };
        line.push('\n');
        let written = tokio::time::timeout(PAUSE, process.input.write_all(line.as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::error!("the coordinator's program does not listen");
            // its output ends with it
            let _ = process.child.start_kill();
        }
    }

    /// The daemon is gone: nobody has to wait for the end of this node's lease.
    pub(super) async fn leave(mut self) {
        self.act(Action::Leave).await;
        if let Some(mut process) = self.process.take() {
            drop(process.input);
            let _ = tokio::time::timeout(LEAVING, process.child.wait()).await;
        }
    }
}

impl Process {
    fn spawn(program: &PathBuf, etcd: &Etcd) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(etcd.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        sys::child::set_parent_death_signal(command.as_std_mut(), Signal::SIGTERM);
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        let output = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }
}

//! The cluster manager's process, `ctdb-clusterd`: started with the daemon, started again whenever it ends.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::Handle;
use crate::clusterd::Args;
use crate::logging::LogHandle;

/// Between the end of one process and the start of the next.
const PAUSE: Duration = Duration::from_secs(1);

/// How to start the process, and how to end it.
#[derive(Debug)]
pub(super) struct Manager {
    program: PathBuf,
    args: Args,
    log: LogHandle,
    end: Rc<Notify>,
    hangup: Rc<Notify>,
    stopped: bool,
}

impl Manager {
    pub(super) fn new(program: PathBuf, args: Args, log: LogHandle) -> Self {
        Self {
            program,
            args,
            log,
            end: Rc::new(Notify::new()),
            hangup: Rc::new(Notify::new()),
            stopped: false,
        }
    }

    /// Ends the process; the task starts another.
    pub(super) fn restart(&self, reason: &str) {
        error!(reason, "the cluster manager is restarted");
        self.end.notify_one();
    }

    /// Has the process open its log again.
    pub(super) fn hang_up(&self) {
        self.hangup.notify_one();
    }

    /// Ends the process for good.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.end.notify_one();
    }

    /// Starts a process. It ends when this end of its standard input is closed.
    fn spawn(&self) -> std::io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command.args(self.args.words()).envs(self.log.variables());
        command
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(self.log.child_output())
            .kill_on_drop(true);
        sys::child::set_parent_death_signal(
            command.as_std_mut(),
            nix::sys::signal::Signal::SIGTERM,
        );
        Ok((command.spawn()?, ours))
    }
}

/// Keeps the process running.
pub(super) fn start(handle: &Handle) {
    tokio::task::spawn_local(supervise(handle.clone()));
}

async fn supervise(handle: Handle) {
    loop {
        let (spawned, end, hangup) = {
            let shell = handle.borrow();
            let manager = &shell.manager;
            if manager.stopped {
                return;
            }
            (manager.spawn(), manager.end.clone(), manager.hangup.clone())
        };
        match spawned {
            Ok((mut child, _input)) => {
                info!(pid = child.id(), "cluster manager started");
                watch(&mut child, &end, &hangup).await;
            }
            Err(error) => error!(%error, "cannot start the cluster manager"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns when the process has ended, by itself or because it had to.
async fn watch(child: &mut Child, end: &Notify, hangup: &Notify) {
    loop {
        tokio::select! {
            status = child.wait() => return warn!(?status, "the cluster manager ended unexpectedly"),
            () = end.notified() => return drop(child.kill().await),
            () = hangup.notified() => pass_on_hangup(child),
        }
    }
}

fn pass_on_hangup(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.map(nix::unistd::Pid::from_raw)
        && let Err(error) = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP)
    {
        warn!(%error, "the cluster manager cannot be told to open its log again");
    }
}

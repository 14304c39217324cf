//! The cluster manager's process, `ctdb-clusterd`: started with the daemon, started again whenever it ends.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::Handle;
use crate::clusterd::Args;
use crate::logging::LogHandle;

/// Between the end of one process and the start of the next.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that a membership with a coordinator may take to be given back: clusterd waits for three seconds itself.
const LEAVING: Duration = Duration::from_secs(4);

/// How to start the process, and how to end it.
#[derive(Debug)]
pub(super) struct Manager {
    program: PathBuf,
    args: Args,
    log: LogHandle,
    end: Rc<Notify>,
    hangup: Rc<Notify>,
    stopped: bool,
    task: Option<JoinHandle<()>>,
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
            task: None,
        }
    }

    /// Ends the process; the task starts another.
    pub(super) fn restart(&self, reason: &str) {
        error!(reason, "the cluster manager is restarted");
        self.end.notify_one();
    }

    /// The task that keeps the process running.
    pub(super) fn keep(&mut self, task: JoinHandle<()>) {
        self.task = Some(task);
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

    /// How long a process that is to end may take for it. Without a coordinator it has nothing to do any more; one that is
    /// replaced leaves its membership to the next.
    fn patience(&self) -> Duration {
        match self.stopped && self.args.etcd.is_some() {
            true => LEAVING,
            false => Duration::ZERO,
        }
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
pub(super) fn start(handle: Handle) -> JoinHandle<()> {
    tokio::task::spawn_local(supervise(handle))
}

/// Waits for a process that was stopped, if it has something to do: with this process it would be killed.
pub(super) async fn leave(handle: &Handle) {
    let task = {
        let manager = &mut handle.borrow_mut().manager;
        let patience = manager.patience();
        manager.task.take().filter(|_| !patience.is_zero())
    };
    if let Some(task) = task {
        // it has an end, or panicked
        let _ = task.await;
    }
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
            Ok((mut child, input)) => {
                info!(pid = child.id(), "cluster manager started");
                if watch(&mut child, &end, &hangup).await == Why::Told {
                    let patience = handle.borrow().manager.patience();
                    finish(child, input, patience).await;
                }
            }
            Err(error) => error!(%error, "cannot start the cluster manager"),
        }
        if !handle.borrow().manager.stopped {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why a process is no longer watched.
#[derive(Debug, PartialEq, Eq)]
enum Why {
    /// It has ended by itself.
    Ended,
    /// It is to end.
    Told,
}

async fn watch(child: &mut Child, end: &Notify, hangup: &Notify) -> Why {
    loop {
        tokio::select! {
            status = child.wait() => {
                warn!(?status, "the cluster manager ended unexpectedly");
                return Why::Ended;
            }
            () = end.notified() => return Why::Told,
            () = hangup.notified() => pass_on_hangup(child),
        }
    }
}

/// Returns when the process has ended: by itself if it does so in time, as its input has ended.
async fn finish(mut child: Child, input: UnixStream, patience: Duration) {
    drop(input);
    if !patience.is_zero() {
        let _ = tokio::time::timeout(patience, child.wait()).await;
    }
    // an error means that it has ended
    let _ = child.kill().await;
}

fn pass_on_hangup(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.map(nix::unistd::Pid::from_raw)
        && let Err(error) = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP)
    {
        warn!(%error, "the cluster manager cannot be told to open its log again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell with these words, whose standard input is a socket.
    fn shell(script: &str, folder: &std::path::Path) -> (Child, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder);
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
        (command.kill_on_drop(true).spawn().unwrap(), ours)
    }

    #[tokio::test]
    async fn one_that_leaves_in_time_is_not_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (child, input) = shell("cat; sleep 0.2; echo >left", folder.path());
        finish(child, input, Duration::from_secs(30)).await;
        assert!(folder.path().join("left").exists());
    }

    #[tokio::test]
    async fn one_that_hangs_or_has_nothing_to_do_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        for patience in [Duration::ZERO, Duration::from_millis(100)] {
            let (child, input) = shell("exec sleep 1000", folder.path());
            let done = tokio::time::timeout(LEAVING, finish(child, input, patience)).await;
            assert!(done.is_ok());
        }
    }
}

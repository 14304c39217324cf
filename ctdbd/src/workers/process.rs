//! One worker process, as ctdbd sees it: started, spoken to, killed, and always waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::dispatch::WorkerId;
use super::protocol::{FrameError, Reply, Request, read_frame_async, write_frame_async};
use super::{DatabaseFile, Program};

/// What a worker's task reports.
#[derive(Debug)]
pub(super) enum Report {
    /// It said something.
    Reply(WorkerId, Reply),
    /// It ended and was waited for; nothing more comes from it.
    Gone(WorkerId, String),
}

/// A running worker. Dropping it kills the process; [`Report::Gone`] follows.
#[derive(Debug)]
pub(super) struct Process {
    /// What it was started with.
    pub(super) file: DatabaseFile,
    /// Its process id, while it is ours to wait for.
    pub(super) pid: u32,
    requests: UnboundedSender<Request>,
    _alive: oneshot::Sender<()>,
}

impl Process {
    /// Starts a worker. It gets descriptors 0, 1 and 2 and no others: everything else here is close-on-exec.
    pub(super) fn spawn(
        program: &Program,
        file: &DatabaseFile,
        id: WorkerId,
        reports: UnboundedSender<Report>,
    ) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        let mut child = command(program, file, theirs.into()).spawn()?;
        let pid = child.id().unwrap_or_default();
        tracing::debug!(db = %file.db, name = file.name, pid, "worker started");
        let (requests, todo) = unbounded_channel();
        let (alive, dropped) = oneshot::channel();
        tokio::spawn(async move {
            let error = converse(socket, todo, dropped, id, &reports).await;
            let reason = end(&mut child, error).await;
            tracing::debug!(worker = id.0, reason, "worker ended");
            let _ = reports.send(Report::Gone(id, reason));
        });
        Ok(Self {
            file: file.clone(),
            pid,
            requests,
            _alive: alive,
        })
    }

    /// Sends a frame, after those before it.
    pub(super) fn send(&self, request: Request) {
        // an error means that it is ending, which is reported by itself
        let _ = self.requests.send(request);
    }
}

fn command(program: &Program, file: &DatabaseFile, socket: OwnedFd) -> Command {
    let mut command = Command::new(&program.path);
    if let Some(log) = &program.log {
        command.envs(log.variables());
    }
    command
        .arg("--name")
        .arg(&file.name)
        .arg("--path")
        .arg(&file.path);
    command.arg("--flags").arg(format!("{:#x}", file.flags));
    command.arg("--hash-size").arg(file.hash_size.to_string());
    command.stdin(Stdio::from(socket)).stdout(Stdio::null());
    if let Some(log) = &program.log {
        command.stderr(log.child_output());
    }
    command.kill_on_drop(true);
    command
}

/// Talks until the worker ends, fails to be understood, or is dropped here.
async fn converse(
    socket: UnixStream,
    todo: UnboundedReceiver<Request>,
    dropped: oneshot::Receiver<()>,
    id: WorkerId,
    reports: &UnboundedSender<Report>,
) -> Option<FrameError> {
    let (read, write) = socket.into_split();
    tokio::select! {
        biased;
        _ = dropped => None,
        result = pump_replies(read, id, reports) => result.err(),
        error = pump_requests(write, todo) => Some(error),
    }
}

/// Kills the worker, should it still be there, waits for it, and tells how it ended.
async fn end(child: &mut Child, error: Option<FrameError>) -> String {
    // killing one that has ended already does nothing: it is still ours to wait for
    let _ = child.start_kill();
    let status = match child.wait().await {
        Ok(status) => format!("worker ended: {status}"),
        Err(error) => format!("worker ended: {error}"),
    };
    error.map_or(status.clone(), |error| format!("{error}; {status}"))
}

/// Reports everything that the worker says, until it ends.
async fn pump_replies(
    mut socket: OwnedReadHalf,
    id: WorkerId,
    reports: &UnboundedSender<Report>,
) -> Result<(), FrameError> {
    while let Some(reply) = read_frame_async(&mut socket).await? {
        let _ = reports.send(Report::Reply(id, reply));
    }
    Ok(())
}

/// Sends what there is to send. Comes back only for a request that cannot be sent to any worker.
async fn pump_requests(
    mut socket: OwnedWriteHalf,
    mut todo: UnboundedReceiver<Request>,
) -> FrameError {
    while let Some(request) = todo.recv().await {
        match write_frame_async(&mut socket, &request).await {
            // a worker that has given up may still have said why: its end is found by the reader
            Ok(()) | Err(FrameError::Io(_)) => {}
            Err(error) => return error,
        }
    }
    std::future::pending().await
}

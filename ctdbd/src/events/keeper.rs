//! Keeps the event daemon running: passes on what it is asked and what it answers, and starts another when it ends.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use service::Eventd as News;
use tokio::net::unix::WriteHalf;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{error, warn};
use wire::ReqId;
use wire::event::Request;

use super::connection::{Replies, send};
use super::process::{Eventd, Program};
use crate::daemon::Input;
use crate::shell::Handle;
use crate::shell::rarely::Rarely;

/// Between the end of one process and the start of the next.
const PAUSE: Duration = Duration::from_secs(1);

type Questions = UnboundedReceiver<(ReqId, Request)>;

/// The shell's side of it.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    questions: Option<UnboundedSender<(ReqId, Request)>>,
    end: Rc<Notify>,
    hangup: Rc<Notify>,
}

impl Keeper {
    /// Asks; without a connection, of whose end the daemon hears, nothing happens.
    pub(crate) fn ask(&self, reqid: ReqId, request: Request) {
        if let Some(questions) = &self.questions {
            // an error means that the connection is just ending
            let _ = questions.send((reqid, request));
        }
    }

    /// Kills the process with its scripts; the task starts another.
    pub(crate) fn restart(&self, reason: &str) {
        error!(reason, "the event daemon is killed");
        self.end.notify_one();
    }

    /// Has the process open its log again.
    pub(crate) fn hang_up(&self) {
        self.hangup.notify_one();
    }

    /// Begins with an event daemon that was started already.
    pub(crate) fn start(handle: &Handle, program: Program, first: Eventd) {
        tokio::task::spawn_local(keep(handle.clone(), program, first));
    }
}

async fn keep(handle: Handle, program: Program, first: Eventd) {
    let mut next = Some(first);
    let mut said = Rarely::default();
    loop {
        let started = match next.take() {
            Some(eventd) => Ok(eventd),
            None => program.try_start().await,
        };
        match started {
            Ok(eventd) => serve(&handle, eventd).await,
            Err(error) if said.is_due() => error!(%error, "Failed to start event daemon"),
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// For as long as this one lives.
async fn serve(handle: &Handle, mut eventd: Eventd) {
    let (sender, questions) = unbounded_channel();
    // a request to kill the one before must not reach this one
    let keeper = Keeper {
        questions: Some(sender),
        ..Keeper::default()
    };
    let (end, hangup) = (keeper.end.clone(), keeper.hangup.clone());
    handle.borrow_mut().events = keeper;
    handle.borrow_mut().input(Input::Eventd(News::Up));
    let why = connected(handle, &mut eventd, questions, &end, &hangup).await;
    error!(why, "Eventd went away");
    handle.borrow_mut().events.questions = None;
    eventd.kill().await;
    handle.borrow_mut().input(Input::Eventd(News::Down));
}

/// Why the connection ended.
async fn connected(
    handle: &Handle,
    eventd: &mut Eventd,
    questions: Questions,
    end: &Notify,
    hangup: &Notify,
) -> String {
    let pid = eventd.pid();
    let (replies, writer) = eventd.connection.split();
    tokio::select! {
        why = read(handle, replies) => why,
        why = write(writer, questions) => why,
        status = eventd.child.wait() => format!("it ended: {status:?}"),
        () = end.notified() => "it had to be killed".to_owned(),
        never = pass_on_hangups(pid, hangup) => match never {},
    }
}

async fn read(handle: &Handle, mut replies: Replies<'_>) -> String {
    loop {
        match replies.next().await {
            Ok((reqid, reply)) => {
                let news = News::Reply(reqid, reply);
                handle.borrow_mut().input(Input::Eventd(news));
            }
            Err(error) => return error.to_string(),
        }
    }
}

async fn write(mut writer: WriteHalf<'_>, mut questions: Questions) -> String {
    while let Some((reqid, request)) = questions.recv().await {
        if let Err(error) = send(&mut writer, reqid, &request).await {
            return error.to_string();
        }
    }
    "nobody asks".to_owned()
}

async fn pass_on_hangups(pid: Option<Pid>, hangup: &Notify) -> Infallible {
    loop {
        hangup.notified().await;
        if let Some(Err(error)) = pid.map(|pid| kill(pid, Signal::SIGHUP)) {
            warn!(%error, "the event daemon cannot be told to open its log again");
        }
    }
}

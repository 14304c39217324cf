//! Who leads. Daemons since 4.16 do not answer GET_RECMASTER: their leader says every second who it is, to
//! whoever has registered the address.
//!
//! Without a leader nobody says anything; such a question fails after [`PATIENCE`]. There is no clock in
//! a library that is driven by poll(2), so the application's next `ctdb_service` finds that out; the synchronous
//! form wakes by itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wire::coding::Decode;
use wire::{Pnn, Srvid};

use super::connection::{Connection, Reply};
use super::control::Ask;
use super::message::Handler;
use super::request::{Answer, Outcome, Request};

/// Twice the default of the option `leader timeout`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those who wait to hear of the leader.
#[derive(Debug, Default)]
pub(super) struct Leader {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<(Instant, Rc<Request>)>,
    handler: Option<Rc<Handler>>,
}

impl Leader {
    /// How long until somebody has waited in vain.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let state = self.state.borrow();
        let first = state.waiting.iter().map(|(deadline, _)| *deadline).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    pub(super) fn forget(&self) {
        drop(self.state.take());
    }

    /// Ends those who have waited too long.
    pub(super) fn expire(&self, connection: &Rc<Connection>) {
        if self.state.borrow().waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        let late = |(deadline, _): &mut (Instant, _)| *deadline <= now;
        let late: Vec<_> = self
            .state
            .borrow_mut()
            .waiting
            .extract_if(.., late)
            .collect();
        self.stop_if_idle(connection);
        for (_, request) in late {
            request.complete(connection, Outcome::Failed(libc::ETIMEDOUT));
        }
    }

    /// The leader has said who it is.
    fn heard(&self, connection: &Rc<Connection>, leader: Pnn) {
        let waiting = std::mem::take(&mut self.state.borrow_mut().waiting);
        self.stop_if_idle(connection);
        for (_, request) in waiting {
            let answer = Answer {
                status: leader.0.cast_signed(),
                ..Answer::default()
            };
            request.complete(connection, Outcome::Answer(answer));
        }
    }

    /// Nobody listens who does not have to: every broadcast wakes the application.
    fn stop_if_idle(&self, connection: &Connection) {
        let mut state = self.state.borrow_mut();
        if state.waiting.is_empty()
            && let Some(handler) = state.handler.take()
        {
            drop(state);
            connection.retire(Srvid::LEADER, move |handlers| handlers.remove(&handler));
        }
    }

    fn listen(&self, connection: &Rc<Connection>, request: Rc<Request>) {
        let mut state = self.state.borrow_mut();
        state.waiting.push((Instant::now() + PATIENCE, request));
        if state.handler.is_some() {
            return;
        }
        let handler = Handler::work(Srvid::LEADER, |connection, message| {
            if let Ok(leader) = Pnn::from_bytes(message) {
                connection.leader.heard(connection, leader);
            }
        });
        state.handler = Some(handler.clone());
        drop(state);
        connection.handlers.add(handler);
        let ask = connection.use_once_more(Srvid::LEADER);
        // a daemon that refuses is one that says nothing
        connection.ask_control(Pnn::CURRENT, &ask, |_, _| {});
    }
}

/// Asks a node for its recovery master, and listens for the leader if it does not know that word any more.
pub(super) fn ask(
    connection: &Rc<Connection>,
    to: Pnn,
    ask: &Ask<'_>,
    request: &Rc<Request>,
) -> bool {
    if !connection.accepts(0) {
        return false;
    }
    let request = request.clone();
    connection.ask_control(to, ask, move |connection, reply| match reply {
        Reply::Control(reply) if reply.status < 0 => connection.leader.listen(connection, request),
        _ => request.complete(connection, reply.into()),
    });
    true
}

//! The takeover run of a cluster without public addresses: every node runs its `ipreallocated`
//! event, and whoever asked for the run is told.
//!
//! ```text
//!           begin                        all nodes answered
//!   Idle -----------> Reallocating ------------------------> Idle: answer the requests
//!    ^                     |
//!    +---------------------+ cancel: answer them with an error
//! ```
//!
//! While it goes on the other nodes' runs are disabled, for a minute at most, as C's leader does.

use wire::Pnn;
use wire::Srvid;
use wire::control::Request;
use wire::message::Message;
use wire::packet::ControlFlags;
use wire::types::{DisableMessage, SrvidMessage};

use super::gather::Gather;
use super::io::{ControlAnswer, ControlFailure, Token};
use super::ports::Io;
use super::requests::{reply, success};
use super::view::{View, seconds};

/// How long other nodes keep from runs of their own, in seconds.
const OTHERS_WAIT: u32 = 60;

/// Where the run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Idle,
    Reallocating,
}

/// The run in progress.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    state: State,
    gather: Gather,
    requests: Vec<SrvidMessage>,
    others: Vec<Pnn>,
}

impl Takeover {
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Starts a run that answers `requests`.
    pub(super) fn begin(&mut self, io: &mut Io<'_>, view: &View, requests: Vec<SrvidMessage>) {
        tracing::info!("Takeover run starting");
        let connected = view.connected();
        self.state = State::Reallocating;
        self.requests = requests;
        self.others = connected
            .iter()
            .copied()
            .filter(|&pnn| pnn != view.pnn)
            .collect();
        self.disable_others(io, OTHERS_WAIT);
        let timeout = seconds(view.tunables.takeover_timeout);
        let request = Request::Ipreallocated;
        self.gather = Gather::ask(io, connected, &request, ControlFlags::empty(), timeout);
    }

    /// Takes a reply, if it is one of the run's; true: the run is over.
    pub(super) fn handle_reply(
        &mut self,
        io: &mut Io<'_>,
        token: Token,
        result: &Result<ControlAnswer, ControlFailure>,
    ) -> Option<bool> {
        self.gather.take(token, result)?;
        if self.gather.is_waiting() {
            return Some(false);
        }
        // There is no address to be wrong about, so a failed event does not make the run fail.
        for (pnn, failure) in self.gather.failures() {
            tracing::warn!(%pnn, %failure, "IPREALLOCATED failed");
        }
        tracing::info!("Takeover run completed successfully");
        self.finish(io, success(io.pnn()));
        Some(true)
    }

    /// Gives the run up.
    pub(super) fn cancel(&mut self, io: &mut Io<'_>) {
        if self.state == State::Reallocating {
            tracing::info!("Takeover run unsuccessful");
            self.finish(io, -1);
        }
    }

    fn finish(&mut self, io: &mut Io<'_>, number: i32) {
        self.disable_others(io, 0);
        for request in core::mem::take(&mut self.requests) {
            reply(io, &request, number);
        }
        *self = Self::default();
    }

    fn disable_others(&self, io: &mut Io<'_>, timeout: u32) {
        let message = DisableMessage {
            pnn: Pnn::UNKNOWN,
            srvid: Srvid(0),
            timeout,
        };
        for &pnn in &self.others {
            io.message(pnn, &Message::DisableTakeoverRuns(message.clone()));
        }
    }
}

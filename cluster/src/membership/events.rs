//! Events that this half has the service manager run, and what waits for their end.
//!
//! ```text
//!   the start          setup          FIRST_RECOVERY, the manager is started
//!   START_RECOVERY     startrecovery  the answer
//!   END_RECOVERY       recovered      the answer; STARTUP, at the first one
//!   IPREALLOCATED      ipreallocated  the answer
//!   the end            shutdown       the daemon ends
//! ```
//!
//! An event that failed is the answer's status, an errno. The start cannot go on without `setup`; all
//! else does (`ctdb_daemon.c`, `ctdb_recover.c`, `ctdb_takeover.c`, 4.17.12).

use tracing::error;
use wire::Srvid;
use wire::event::{Event, Outcome};

use super::controls::Ask;
use super::{Membership, Output, Outputs, OwnToken, run_state};
use crate::Time;

/// What waits for the end of an event.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// The start of the daemon.
    Setup,
    /// START_RECOVERY.
    StartRecovery(Ask),
    /// END_RECOVERY.
    Recovered(Ask),
    /// IPREALLOCATED.
    Ipreallocated(Ask),
    /// The end of the daemon.
    Shutdown {
        /// Its exit status.
        exit_code: i32,
        /// For the log.
        reason: String,
    },
}

impl Pending {
    fn event(&self) -> Event {
        match self {
            Self::Setup => Event::Setup,
            Self::StartRecovery(_) => Event::StartRecovery,
            Self::Recovered(_) => Event::Recovered,
            Self::Ipreallocated(_) => Event::Ipreallocated,
            Self::Shutdown { .. } => Event::Shutdown,
        }
    }
}

impl Membership {
    pub(super) fn run_event(&mut self, pending: Pending, out: &mut Outputs) {
        let (token, event) = (self.own_token(), pending.event());
        self.events.insert(token, pending);
        out.push(Output::RunEvent { token, event });
    }

    pub(super) fn event_done(
        &mut self,
        now: Time,
        token: OwnToken,
        outcome: Outcome,
        out: &mut Outputs,
    ) {
        let Some(pending) = self.events.remove(&token) else {
            return;
        };
        let (event, status) = (pending.event(), outcome.status());
        if outcome != Outcome::Passed {
            error!("{event} event script failed (status {status})");
        }
        match pending {
            Pending::Setup => self.setup_done(now, outcome, out),
            Pending::StartRecovery(ask) => ask.reply(status, Vec::new(), out),
            Pending::Recovered(ask) => self.recovered(now, ask, status, out),
            Pending::Ipreallocated(ask) => {
                self.tell_clients(Srvid::IPREALLOCATED, out);
                ask.reply(status, Vec::new(), out);
            }
            Pending::Shutdown { exit_code, reason } => {
                out.push(Output::Shutdown { exit_code, reason });
            }
        }
    }

    fn setup_done(&mut self, now: Time, outcome: Outcome, out: &mut Outputs) {
        if outcome != Outcome::Passed {
            // no event "shutdown": nothing has been set up
            if self.advance(run_state::Event::Shutdown, out) {
                out.push(Output::Shutdown {
                    exit_code: 1,
                    reason: "Failed to run setup event".into(),
                });
            }
        } else if self.advance(run_state::Event::SetupDone, out) {
            self.manager_watch.pinged(now, &self.tunables);
            out.push(Output::StartManager);
        }
    }

    /// The recovery is over here, whatever the scripts say.
    fn recovered(&mut self, now: Time, ask: Ask, status: i32, out: &mut Outputs) {
        self.statistics.recoveries = self.statistics.recoveries.saturating_add(1);
        self.course.last_finished = Some(now);
        ask.reply(status, Vec::new(), out);
        self.advance(run_state::Event::RecoveryEnded, out);
    }
}

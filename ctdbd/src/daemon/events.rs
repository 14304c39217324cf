//! Events: who asked for one, and who is told how it ended.
//!
//! ```text
//!   membership   RunEvent ──┐                               ┌─▶ EventDone
//!   addresses    RunEvent ──┼─ run_event ─▶ Service ─ Done ─┼─▶ EventDone
//!                           │                 │  ▲          │
//!                           │         AskEventd  Eventd     │
//!                           │                 ▼  │          │
//!                           │            crate::events      │
//! ```
//!
//! A part that has events run gets a variant of [`WhoseEvent`], calls [`Daemon::run_event`] where its outputs are carried
//! out, and is told in [`Daemon::event_done`].

use cluster::membership::{self, OwnToken};
use service::{EventId, Input as ServiceInput, Output as ServiceOutput, View};
use wire::event::{Event, Outcome};
use wire::types::NodeFlags;

use super::io::Output;
use super::{Daemon, Local};

/// Who waits for the end of an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum WhoseEvent {
    /// The node's side of the cluster manager.
    Membership(OwnToken),
    /// The public addresses.
    Failover(failover::EventId),
}

impl Daemon {
    /// Runs an event, and tells whoever it is once how it ended: at once, or later. The arguments have blanks between.
    pub(super) fn run_event(
        &mut self,
        whose: WhoseEvent,
        event: Event,
        arguments: String,
        out: &mut Vec<Output>,
    ) {
        self.last_event += 1;
        let id = EventId(self.last_event);
        self.events.insert(id, whose);
        let input = ServiceInput::Run {
            id,
            event,
            arguments,
        };
        self.tell_service(input, out);
    }

    fn event_done(&mut self, whose: WhoseEvent, outcome: Outcome) {
        let local = match whose {
            WhoseEvent::Membership(token) => {
                Local::ToMembership(membership::Input::EventDone { token, outcome })
            }
            WhoseEvent::Failover(id) => {
                let outcome = match outcome {
                    Outcome::Passed => failover::Outcome::Passed,
                    Outcome::TimedOut => failover::Outcome::TimedOut,
                    other => failover::Outcome::Failed(other.status()),
                };
                Local::ToFailover(failover::Input::EventDone { id, outcome })
            }
        };
        self.local.push_back(local);
    }

    /// Gives the service manager an input and carries out what it says.
    pub(super) fn tell_service(&mut self, input: ServiceInput, out: &mut Vec<Output>) {
        let mut service_out = Vec::new();
        self.service.handle(self.now, input, &mut service_out);
        for output in service_out {
            match output {
                ServiceOutput::Ask { reqid, request } => {
                    out.push(Output::AskEventd { reqid, request });
                }
                ServiceOutput::Done { id, outcome } => {
                    if let Some(whose) = self.events.remove(&id) {
                        self.event_done(whose, outcome);
                    }
                }
                ServiceOutput::StartedUp => {
                    let input = membership::Input::StartedUp;
                    self.local.push_back(Local::ToMembership(input));
                }
                ServiceOutput::Health { healthy } => {
                    let input = membership::Input::Health { healthy };
                    self.local.push_back(Local::ToMembership(input));
                }
                ServiceOutput::Restart { reason } => out.push(Output::RestartEventd { reason }),
                ServiceOutput::Milestone(milestone) => out.push(Output::Milestone(milestone)),
            }
        }
    }

    /// Gives the service manager a fresh copy of what it needs to know of the node, if that has changed.
    pub(super) fn tell_service_of_node(&mut self, out: &mut Vec<Output>) {
        let flags = self.membership.own_flags();
        // a node without a database has none that is frozen
        let all_frozen = self.all_frozen && self.engine.database_count() > 0;
        let view = View {
            run_state: self.membership.run_state(),
            in_recovery: self.membership.in_recovery(),
            inactive: flags.is_inactive(),
            all_frozen,
            unhealthy: flags.contains(NodeFlags::UNHEALTHY),
        };
        if self.told_service != view {
            self.told_service = view;
            self.tell_service(ServiceInput::Node(view), out);
        }
    }
}

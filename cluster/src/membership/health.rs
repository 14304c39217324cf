//! Whether this node is well, as long as no event scripts say so.
//!
//! Upstream runs the event `monitor` and clears UNHEALTHY when it passes, 12 seconds or so after
//! the first recovery. Here a node is well once it runs and its databases can be used. It tells
//! the others as upstream's monitor does (`ctdb_monitor.c`, 4.17.12): the own manager pushes the
//! flags to all nodes, the leader is asked to place the addresses anew.

use core::time::Duration;

use wire::coding::Encode;
use wire::control::Request;
use wire::types::{NodeFlagChange, NodeFlags, SrvidMessage};
use wire::{Pnn, Srvid};

use super::{Membership, Output, Outputs};
use crate::Time;

/// From RUNNING to the first look, and between looks. Other nodes that are still in their first
/// recovery take the news of a healthy node as a reason for one more recovery, so the ends of
/// one recovery on all nodes should come before.
const PAUSE: Duration = Duration::from_millis(500);

/// When to look.
#[derive(Debug, Default)]
pub(super) struct Health {
    due: Option<Time>,
}

impl Health {
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }
}

impl Membership {
    /// The daemon is RUNNING.
    pub(super) fn started_up(&mut self, now: Time, out: &mut Outputs) {
        self.health.due = Some(now + PAUSE);
        out.push(Output::Control {
            token: None,
            destination: Pnn::BROADCAST_CONNECTED,
            request: Request::Startup,
        });
    }

    pub(super) fn check_health(&mut self, now: Time, out: &mut Outputs) {
        if self.recovery_mode.is_active() || self.own_flags().is_inactive() {
            self.health.due = Some(now + PAUSE);
            return;
        }
        self.health.due = None;
        let old_flags = self.own_flags();
        self.clear_own(NodeFlags::UNHEALTHY, out);
        self.tell_health(old_flags, out);
    }

    fn tell_health(&self, old_flags: NodeFlags, out: &mut Outputs) {
        let new_flags = self.own_flags();
        if new_flags == old_flags {
            return;
        }
        tracing::info!("Node became HEALTHY. Ask recovery master to reallocate IPs");
        out.push(Output::Message {
            destination: self.me,
            srvid: Srvid::PUSH_NODE_FLAGS,
            data: NodeFlagChange {
                pnn: self.me,
                new_flags,
                old_flags,
            }
            .to_bytes(),
        });
        out.push(Output::Message {
            destination: Pnn::BROADCAST_CONNECTED,
            srvid: Srvid::TAKEOVER_RUN,
            data: SrvidMessage {
                pnn: self.me,
                srvid: Srvid(0),
            }
            .to_bytes(),
        });
    }
}

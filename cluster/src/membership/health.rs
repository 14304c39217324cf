//! Whether this node is well, as the service manager says.
//!
//! The node tells the others as upstream's monitor does (`ctdb_monitor.c`, 4.17.12): the own manager
//! pushes the flags to all nodes, the leader is asked to place the addresses anew.

use wire::coding::Encode;
use wire::control::Request;
use wire::types::{NodeFlagChange, NodeFlags, SrvidMessage};
use wire::{Pnn, Srvid};

use super::{Membership, Output, Outputs, run_state};

impl Membership {
    /// The event `startup` has passed.
    pub(super) fn started_up(&mut self, out: &mut Outputs) {
        if self.advance(run_state::Event::StartupDone, out) {
            out.push(Output::Control {
                token: None,
                destination: Pnn::BROADCAST_CONNECTED,
                request: Request::Startup,
            });
        }
    }

    /// The event `monitor` has changed its mind.
    pub(super) fn on_health(&mut self, healthy: bool, out: &mut Outputs) {
        let old_flags = self.own_flags();
        if healthy {
            self.clear_own(NodeFlags::UNHEALTHY, out);
        } else {
            self.set_own(NodeFlags::UNHEALTHY, out);
        }
        self.tell_health(old_flags, out);
    }

    fn tell_health(&self, old_flags: NodeFlags, out: &mut Outputs) {
        let new_flags = self.own_flags();
        if new_flags == old_flags {
            return;
        }
        let health = if new_flags.contains(NodeFlags::UNHEALTHY) {
            "UNHEALTHY"
        } else {
            "HEALTHY"
        };
        tracing::warn!("Node became {health}. Ask recovery master to reallocate IPs");
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

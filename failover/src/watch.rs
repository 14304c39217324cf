//! Whether the addresses are where they should be: each RecoverInterval this node compares its table with the
//! kernel, and asks the leader for a take-over run if something is wrong. C's recovery daemon does the same
//! (`verify_local_ip_allocation`, 4.17.12), and keeps still while runs are disabled; here something has to be
//! wrong twice in a row, so that what a run is about to mend is not reported.

use std::collections::BTreeMap;

use tracing::{error, info, warn};
use wire::message::Message;
use wire::types::SrvidMessage;
use wire::{Pnn, Srvid, Time};

use crate::engine::Failover;
use crate::io::{Output, System};

/// What was found the last time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) next: Time,
    /// The links as they were.
    links: BTreeMap<String, bool>,
    /// Something was wrong.
    suspicious: bool,
}

impl Failover {
    /// Whether there is anything to look at.
    pub(crate) fn is_watching(&self) -> bool {
        !self.table.is_empty() && !self.disabled && !self.view.in_recovery && self.view.is_active()
    }

    pub(crate) fn watch(&mut self, system: &dyn System, out: &mut Vec<Output>) {
        self.watch.next = self.now + self.watch_interval;
        if !self.is_watching() {
            return;
        }
        let changed = self.links_changed();
        let idle = !self.no_takeover && self.has_idle_address();
        let wrong = (self.asks_kernel() && self.kernel_differs(system)) || idle;
        let twice = core::mem::replace(&mut self.watch.suspicious, wrong) && wrong;
        if changed || twice {
            info!("Trigger takeoverrun");
            let request = SrvidMessage {
                pnn: self.me,
                srvid: Srvid(0),
            };
            let message = Message::TakeoverRun(request);
            out.push(Output::Message {
                destination: Pnn::BROADCAST_CONNECTED,
                srvid: message.srvid(),
                data: message.to_bytes(),
            });
        }
    }

    fn links_changed(&mut self) -> bool {
        let interfaces = self.table.interfaces.iter();
        let links = interfaces.map(|interface| (interface.name.clone(), interface.link_up));
        let links = links.collect();
        core::mem::replace(&mut self.watch.links, links) != self.watch.links
    }

    /// An address that nobody has could be here.
    fn has_idle_address(&self) -> bool {
        let mut idle = self.table.iter().filter(|address| {
            let free = address.node == Pnn::UNKNOWN && !address.state.is_updating();
            free && self.is_available(address)
        });
        let found = idle.next();
        if let Some(address) = found {
            warn!("Unassigned IP {} can be served by this node", address.ip);
        }
        found.is_some()
    }

    /// The kernel has an address that should be elsewhere, or has not what should be here.
    fn kernel_differs(&self, system: &dyn System) -> bool {
        let mut differs = false;
        for address in self
            .table
            .iter()
            .filter(|address| !address.state.is_updating())
        {
            match (address.node == self.me, system.has_address(address.ip)) {
                (true, false) => error!("Assigned IP {} not on an interface", address.ip),
                (false, true) => error!("IP {} incorrectly on an interface", address.ip),
                _ => continue,
            }
            differs = true;
        }
        differs
    }
}

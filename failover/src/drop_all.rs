//! Giving up all addresses: a node that is stopped or banned, and one that is in recovery mode for too
//! long (`ctdb_release_all_ips`, 4.17.12).
//!
//! C leaves out an address whose take-over is under way, and the inactive node then has it until the next
//! take-over run. Here it is released when the running event is over.

use std::net::IpAddr;

use tracing::info;

use crate::address::{Effect, Event};
use crate::engine::Failover;
use crate::io::{Output, System};
use crate::moves::Running;

impl Failover {
    pub(crate) fn drop_all(&mut self, system: &dyn System, out: &mut Vec<Output>) {
        if self.disabled {
            return;
        }
        let mut count = 0_u32;
        for ip in self.table.ips() {
            count += u32::from(self.drop_one(ip, system, out) == Effect::Run);
        }
        info!("Releasing {count} public IPs");
    }

    fn drop_one(&mut self, ip: IpAddr, system: &dyn System, out: &mut Vec<Output>) -> Effect {
        let present = system.has_address(ip);
        let running = Running::unasked(ip);
        // nothing of a drop is refused
        self.give_up(running, Event::Drop { present }, out)
            .unwrap_or(Effect::Nothing)
    }

    /// The running event of an address that was to be dropped has ended.
    pub(crate) fn drop_if_wanted(
        &mut self,
        ip: IpAddr,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) {
        let wanted = |failover: &mut Self| {
            let address = failover.table.get_mut(ip)?;
            core::mem::take(&mut address.drop_later).then_some(())
        };
        if wanted(self).is_some() {
            self.drop_one(ip, system, out);
        }
    }
}

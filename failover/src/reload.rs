//! RELOAD_PUBLIC_IPS: the table follows the file. What is new is added, what is gone is deleted; an address
//! that stays is not touched, even if its line says something else about mask and interfaces now
//! (`ctdb_reloadips_child`, 4.17.12).

use tracing::{error, info};
use wire::coding::Encode;
use wire::{Pnn, Srvid};

use crate::engine::Failover;
use crate::interfaces::check;
use crate::io::{Configured, Output, System, Token};

impl Failover {
    /// Whoever asks while the file is read may have written it since, so it is read once more.
    pub(crate) fn reload(&mut self, token: Token, out: &mut Vec<Output>) {
        self.reloads.push(token);
        out.push(Output::ReadAddresses);
    }

    /// Each reading answers one question, in order.
    pub(crate) fn addresses_read(
        &mut self,
        read: Result<Vec<Configured>, String>,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) {
        if self.reloads.is_empty() {
            return;
        }
        let token = self.reloads.remove(0);
        let followed = read.and_then(|lines| self.follow(lines, system, out));
        out.push(match followed {
            Ok(()) => Output::done(token),
            Err(why) => {
                error!("Failed to re-read public addresses file: {why}");
                Output::status(token, FAILED)
            }
        });
    }

    /// A file with an address that cannot be here changes nothing.
    fn follow(
        &mut self,
        lines: Vec<Configured>,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        for line in &lines {
            check(line.address, &line.interfaces, system).map_err(|why| why.to_string())?;
        }
        for ip in self.table.ips() {
            if !lines.iter().any(|line| line.address == ip) {
                info!("IP {ip} no longer configured, deleting it");
                self.delete(ip);
            }
        }
        let mut told = false;
        for line in lines {
            if self.table.get(line.address).is_some() {
                continue;
            }
            if !told {
                out.push(self.rebalance());
                told = true;
            }
            info!("New IP {} configured, adding it", line.address);
            self.table
                .add(line, system)
                .map_err(|why| why.to_string())?;
        }
        Ok(())
    }

    /// The leader is to move addresses here in its next take-over run.
    fn rebalance(&self) -> Output {
        Output::Message {
            destination: Pnn::BROADCAST_CONNECTED,
            srvid: Srvid::REBALANCE_NODE,
            data: self.me.to_bytes(),
        }
    }
}

/// The status of a reload that failed.
const FAILED: i32 = 1;

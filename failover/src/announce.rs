//! Telling others where an address is now: three times, because such packets get lost.
//!
//! After a take-over every repetition also tickles the clients that were connected to the address: each
//! answers a senseless ACK with one of its own, gets a reset from this node, which does not know the
//! connection, and connects anew (`ctdb_control_send_arp`, 4.17.12).

use core::time::Duration;
use std::net::IpAddr;

use wire::Time;
use wire::types::Connection;

use crate::engine::Failover;
use crate::io::Output;

/// How often.
const REPETITIONS: u32 = 3;
/// From one to the next after a take-over.
const PAUSE: Duration = Duration::from_millis(1_100);
/// The same when somebody asked for it (SEND_GRATUITOUS_ARP).
const PAUSE_ASKED: Duration = Duration::from_secs(1);

/// Whose interface it goes out on.
#[derive(Debug)]
enum Where {
    /// The one that the address is on then; if it is on none, nobody is told any more.
    WithAddress(Vec<Connection>),
    /// The one that was asked for.
    On(String),
}

/// An address that others are told of.
#[derive(Debug)]
pub(crate) struct Announcement {
    ip: IpAddr,
    whence: Where,
    sent: u32,
    due: Time,
}

impl Announcement {
    /// The address of a take-over; none if somebody asked for it.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        matches!(self.whence, Where::WithAddress(_)).then_some(self.ip)
    }

    const fn pause(&self) -> Duration {
        match self.whence {
            Where::WithAddress(_) => PAUSE,
            Where::On(_) => PAUSE_ASKED,
        }
    }
}

impl Failover {
    /// The address was taken over: its clients have to notice.
    pub(crate) fn announce_take_over(&mut self, ip: IpAddr) {
        if !self.real {
            return;
        }
        if let Some(address) = self.table.get_mut(ip) {
            let connections = address.tickles.take();
            self.announce_soon(ip, Where::WithAddress(connections));
        }
    }

    /// Somebody asked for it.
    pub(crate) fn announce_on(&mut self, ip: IpAddr, interface: &str) {
        self.announce_soon(ip, Where::On(interface.to_owned()));
    }

    fn announce_soon(&mut self, ip: IpAddr, whence: Where) {
        self.announcements.push(Announcement {
            ip,
            whence,
            sent: 0,
            due: self.now,
        });
    }

    pub(crate) fn announcement_due(&self) -> Option<Time> {
        self.announcements.iter().map(|what| what.due).min()
    }

    /// Sends what is due.
    pub(crate) fn announce(&mut self, out: &mut Vec<Output>) {
        let now = self.now;
        for mut what in core::mem::take(&mut self.announcements) {
            if what.due > now {
                self.announcements.push(what);
                continue;
            }
            if self.announce_once(&what, out) {
                what.sent += 1;
                what.due = now + what.pause();
                if what.sent < REPETITIONS {
                    self.announcements.push(what);
                }
            }
        }
    }

    /// False if the address is not on an interface any more.
    fn announce_once(&self, what: &Announcement, out: &mut Vec<Output>) -> bool {
        let (interface, connections) = match &what.whence {
            Where::On(interface) => (Some(interface.as_str()), &[][..]),
            Where::WithAddress(connections) => {
                let address = self.table.get(what.ip);
                let interface = address.and_then(|address| address.state.interface());
                (interface, connections.as_slice())
            }
        };
        let Some(interface) = interface else {
            return false;
        };
        out.push(Output::Arp {
            address: what.ip,
            interface: interface.to_owned(),
        });
        if !connections.is_empty() {
            out.push(Output::Tickle(connections.to_vec()));
        }
        true
    }
}

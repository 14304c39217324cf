//! The table of public addresses: what there is, who has it, and where it would best be.

use std::net::IpAddr;

use wire::Pnn;
use wire::types::SockAddr;

use crate::address::{Choice, State};
use crate::connections::Tickles;
use crate::interfaces::{AddressError, Interfaces, check};
use crate::io::{Configured, System};

/// A public address.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) mask: u8,
    /// What it can be on.
    pub(crate) interfaces: Vec<String>,
    /// The node that has it, as far as the leader told; [`Pnn::UNKNOWN`] for none.
    pub(crate) node: Pnn,
    pub(crate) state: State,
    /// To be deleted when it is released.
    pub(crate) deleted: bool,
    /// To be released when the running event is over.
    pub(crate) drop_later: bool,
    /// Connections to it.
    pub(crate) tickles: Tickles,
}

impl Address {
    pub(crate) fn wire(&self) -> SockAddr {
        self.ip.into()
    }

    /// How the events call the interface that it is on (`iface_string`, 4.17.12).
    pub(crate) fn interface_name(&self) -> &str {
        self.state.interface().unwrap_or(NO_INTERFACE)
    }
}

/// What the events are told of an address that is on no interface that the daemon knows.
pub(crate) const NO_INTERFACE: &str = "__none__";

/// The addresses, the newest first, as GET_PUBLIC_IPS lists them; and the interfaces.
#[derive(Debug, Default)]
pub(crate) struct Table {
    addresses: Vec<Address>,
    pub(crate) interfaces: Interfaces,
}

impl Table {
    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter()
    }

    pub(crate) fn ips(&self) -> Vec<IpAddr> {
        self.addresses.iter().map(|address| address.ip).collect()
    }

    pub(crate) fn get(&self, ip: IpAddr) -> Option<&Address> {
        self.addresses.iter().find(|address| address.ip == ip)
    }

    pub(crate) fn get_mut(&mut self, ip: IpAddr) -> Option<&mut Address> {
        self.addresses.iter_mut().find(|address| address.ip == ip)
    }

    /// The address of something on the wire, whatever its port.
    pub(crate) fn find(&self, addr: &SockAddr) -> Option<&Address> {
        self.get(addr.canonical().ip()?)
    }

    /// The same, to change it.
    pub(crate) fn find_mut(&mut self, addr: &SockAddr) -> Option<&mut Address> {
        self.get_mut(addr.canonical().ip()?)
    }

    /// One more address, which nobody has.
    ///
    /// # Errors
    /// [`AddressError`]; the table is unchanged then.
    pub(crate) fn add(&mut self, new: Configured, system: &dyn System) -> Result<(), AddressError> {
        if self.get(new.address).is_some() {
            return Err(AddressError::Duplicate(new.address));
        }
        check(new.address, &new.interfaces, system)?;
        self.interfaces.add(&new.interfaces);
        let address = Address {
            ip: new.address,
            mask: new.mask,
            interfaces: new.interfaces,
            node: Pnn::UNKNOWN,
            state: State::Elsewhere,
            deleted: false,
            drop_later: false,
            tickles: Tickles::default(),
        };
        self.addresses.insert(0, address);
        Ok(())
    }

    /// Takes an address out, and the interfaces that no other can be on.
    pub(crate) fn remove(&mut self, ip: IpAddr) {
        self.addresses.retain(|address| address.ip != ip);
        let addresses = &self.addresses;
        self.interfaces.retain(|name| {
            let mut names = addresses.iter().flat_map(|address| &address.interfaces);
            names.any(|needed| needed == name)
        });
    }

    /// How many addresses are on an interface.
    pub(crate) fn references(&self, interface: &str) -> u32 {
        let on_it = |address: &&Address| address.state.interface() == Some(interface);
        u32::try_from(self.addresses.iter().filter(on_it).count()).unwrap_or(u32::MAX)
    }

    /// Whether some interface for it is up.
    pub(crate) fn is_reachable(&self, address: &Address) -> bool {
        let mut names = address.interfaces.iter();
        names.any(|name| self.interfaces.is_up(name))
    }

    /// Of the interfaces that are up the one with the fewest addresses; of equals the first.
    pub(crate) fn best_interface<'a>(&self, address: &'a Address) -> Option<&'a str> {
        let names = address.interfaces.iter().map(String::as_str);
        names
            .filter(|name| self.interfaces.is_up(name))
            .min_by_key(|name| self.references(name))
    }

    /// What TAKEOVER_IP comes to for an address that is `present` on this machine or not: it moves if the
    /// daemon does not know where it is, if its interface is down, or if another one has at least two
    /// addresses fewer (`ctdb_control_takeover_ip`, 4.17.12). None: no interface is up.
    pub(crate) fn choose(&self, address: &Address, present: bool) -> Option<Choice> {
        let best = self.best_interface(address)?;
        let current = address.state.interface();
        let better = current.is_some_and(|current| {
            let unbalanced = self.references(current) > self.references(best) + 1;
            current != best && (!self.interfaces.is_up(current) || unbalanced)
        });
        let lost = address.node == Pnn::UNKNOWN && present;
        let target = match current {
            Some(current) if !better && !present => current,
            _ => best,
        };
        Some(match (present, better || lost) {
            (false, _) => Choice::Take(target.to_owned()),
            (true, true) => Choice::Move(target.to_owned()),
            (true, false) => Choice::Keep,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine;
    impl System for Machine {
        fn has_address(&self, _: IpAddr) -> bool {
            false
        }
        fn has_interface(&self, name: &str) -> bool {
            name.starts_with("eth")
        }
    }

    fn table(lines: &[(&str, &str)]) -> Table {
        let mut table = Table::default();
        for (address, interfaces) in lines {
            table.add(line(address, interfaces), &Machine).unwrap();
        }
        table
    }

    fn line(address: &str, interfaces: &str) -> Configured {
        Configured {
            address: address.parse().unwrap(),
            mask: 24,
            interfaces: interfaces.split(' ').map(str::to_owned).collect(),
        }
    }

    fn put(table: &mut Table, address: &str, interface: &str) {
        let address = table.get_mut(address.parse().unwrap()).unwrap();
        address.state = State::Assigned(interface.to_owned());
        address.node = Pnn(0);
    }

    fn choice(table: &Table, address: &str, present: bool) -> Option<Choice> {
        table.choose(table.get(address.parse().unwrap()).unwrap(), present)
    }

    fn take(on: &str) -> Option<Choice> {
        Some(Choice::Take(on.to_owned()))
    }

    fn move_to(on: &str) -> Option<Choice> {
        Some(Choice::Move(on.to_owned()))
    }

    #[test]
    fn lists_begin_with_the_newest() {
        let table = table(&[("10.0.0.1", "eth0 eth1"), ("10.0.0.2", "eth2 eth0")]);
        assert_eq!(table.ips().map_to_text(), "10.0.0.2 10.0.0.1");
        let names: Vec<_> = table.interfaces.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["eth2", "eth1", "eth0"]);
    }

    trait Text {
        fn map_to_text(&self) -> String;
    }
    impl Text for Vec<IpAddr> {
        fn map_to_text(&self) -> String {
            let texts: Vec<_> = self.iter().map(ToString::to_string).collect();
            texts.join(" ")
        }
    }

    #[test]
    fn what_cannot_be_is_not_added() {
        let mut table = table(&[("10.0.0.1", "eth0")]);
        let add = |table: &mut Table, new| table.add(new, &Machine).unwrap_err().to_string();
        assert_eq!(
            add(&mut table, line("10.0.0.1", "eth0")),
            "Duplicate public IP address '10.0.0.1'"
        );
        assert_eq!(
            add(&mut table, line("10.0.0.2", "eth9 wlan0")),
            "Unknown interface wlan0 for public address 10.0.0.2"
        );
        assert_eq!(
            add(&mut table, line("10.0.0.2", "eth45678901234567")),
            "Interface name too long \"eth45678901234567\""
        );
        assert_eq!(
            table.interfaces.iter().count(),
            1,
            "eth9 was not added alone"
        );
    }

    #[test]
    fn a_removed_address_takes_its_interfaces_along() {
        let mut table = table(&[("10.0.0.1", "eth0 eth1"), ("10.0.0.2", "eth0")]);
        table.remove("10.0.0.1".parse().unwrap());
        let names: Vec<_> = table.interfaces.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["eth0"]);
    }

    #[test]
    fn an_address_goes_where_the_fewest_are() {
        let all = [
            ("10.0.0.1", "eth0 eth1"),
            ("10.0.0.2", "eth0 eth1"),
            ("10.0.0.3", "eth0 eth1"),
        ];
        let mut table = table(&all);
        assert_eq!(choice(&table, "10.0.0.1", false), take("eth0"));
        put(&mut table, "10.0.0.1", "eth0");
        assert_eq!(choice(&table, "10.0.0.2", false), take("eth1"));
        put(&mut table, "10.0.0.2", "eth0");
        // two and none: it gains something to move
        assert_eq!(choice(&table, "10.0.0.2", true), move_to("eth1"));
        put(&mut table, "10.0.0.3", "eth1");
        assert_eq!(choice(&table, "10.0.0.2", true), Some(Choice::Keep));
        table.interfaces.get_mut("eth0").unwrap().link_up = false;
        assert_eq!(choice(&table, "10.0.0.2", true), move_to("eth1"));
        table.interfaces.get_mut("eth1").unwrap().link_up = false;
        assert_eq!(choice(&table, "10.0.0.2", true), None);
    }

    #[test]
    fn an_address_that_is_lost_is_put_where_it_was() {
        let mut table = table(&[("10.0.0.1", "eth0 eth1")]);
        put(&mut table, "10.0.0.1", "eth1");
        assert_eq!(choice(&table, "10.0.0.1", false), take("eth1"));
        table.interfaces.get_mut("eth1").unwrap().link_up = false;
        assert_eq!(choice(&table, "10.0.0.1", false), take("eth0"));
    }

    #[test]
    fn an_address_of_unknown_origin_is_moved() {
        let table = table(&[("10.0.0.1", "eth0")]);
        assert_eq!(choice(&table, "10.0.0.1", true), move_to("eth0"));
    }
}

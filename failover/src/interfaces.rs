//! The interfaces that public addresses can be on, and whether their links are up.

use std::net::IpAddr;

use wire::types::{Iface, IfaceName};

use crate::io::System;

/// The longest name of an interface (IFNAMSIZ; what C's `struct ctdb_iface` takes).
const LONGEST_NAME: usize = 16;

/// Why an address cannot be one of this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is one already.
    #[error("Duplicate public IP address '{0}'")]
    Duplicate(IpAddr),
    /// The machine has no such interface.
    #[error("Unknown interface {interface} for public address {address}")]
    UnknownInterface {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// No kernel has such an interface.
    #[error("Interface name too long \"{0}\"")]
    NameTooLong(String),
    /// It could never be anywhere.
    #[error("No interface for public address {0}")]
    NoInterface(IpAddr),
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) link_up: bool,
}

/// All that some address can be on, the newest first, as GET_IFACES lists them.
#[derive(Debug, Default)]
pub(crate) struct Interfaces(Vec<Interface>);

impl Interfaces {
    /// Adds those that are not there yet; their links count as up.
    pub(crate) fn add(&mut self, names: &[String]) {
        for name in names {
            if self.get(name).is_none() {
                let interface = Interface {
                    name: name.clone(),
                    link_up: true,
                };
                self.0.insert(0, interface);
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Interface> {
        self.0.iter().find(|interface| interface.name == name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Interface> {
        self.0.iter_mut().find(|interface| interface.name == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.0.iter()
    }

    pub(crate) fn is_up(&self, name: &str) -> bool {
        self.get(name).is_some_and(|interface| interface.link_up)
    }

    /// Keeps those that are still needed.
    pub(crate) fn retain(&mut self, needed: impl Fn(&str) -> bool) {
        self.0.retain(|interface| needed(&interface.name));
    }
}

impl Interface {
    /// As it goes over the wire; `references` is how many addresses are on it.
    pub(crate) fn shown(&self, references: u32) -> Iface {
        Iface {
            name: IfaceName(self.name.clone()),
            link_state: u16::from(self.link_up),
            references,
        }
    }
}

/// Whether an address can be on all of these.
pub(crate) fn check(
    address: IpAddr,
    interfaces: &[String],
    system: &dyn System,
) -> Result<(), AddressError> {
    if interfaces.is_empty() {
        return Err(AddressError::NoInterface(address));
    }
    for interface in interfaces {
        if interface.len() > LONGEST_NAME {
            return Err(AddressError::NameTooLong(interface.clone()));
        }
        if !system.has_interface(interface) {
            let interface = interface.clone();
            return Err(AddressError::UnknownInterface { interface, address });
        }
    }
    Ok(())
}

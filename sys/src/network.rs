//! Addresses of this machine, its interfaces, and packets that tell others of them.
//!
//! Sending needs CAP_NET_RAW.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrLike, bind, sendto, socket,
};

use crate::packets::{self, Arp, HardwareAddress};

/// Whether the address is on an interface: a socket can be bound to it.
#[must_use]
pub fn has_address(address: IpAddr) -> bool {
    let bound = match SocketAddr::new(address, 0) {
        SocketAddr::V4(address) => bind_to(AddressFamily::Inet, &SockaddrIn::from(address)),
        SocketAddr::V6(address) => bind_to(AddressFamily::Inet6, &SockaddrIn6::from(address)),
    };
    bound.is_ok()
}

fn bind_to(family: AddressFamily, address: &dyn SockaddrLike) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    bind(socket.as_raw_fd(), address)
}

/// Whether there is an interface of that name.
#[must_use]
pub fn has_interface(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

/// Tells everybody on an interface's network that the address is here: an ARP request and an ARP reply, or
/// a neighbour advertisement. On a loopback interface nobody has to be told.
///
/// # Errors
/// There is no such interface, it is no Ethernet, or what socket(2) and sendto(2) say.
pub fn announce(address: IpAddr, interface: &str) -> io::Result<()> {
    let Some((card, hardware)) = ethernet_card(interface)? else {
        return Ok(());
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    let packets = match address {
        IpAddr::V4(address) => [Arp::Request, Arp::Reply]
            .map(|kind| packets::arp(kind, address, hardware))
            .to_vec(),
        IpAddr::V6(address) => vec![packets::neighbour_advertisement(address, hardware)],
    };
    for packet in packets {
        send(&socket, &packet, &card)?;
    }
    Ok(())
}

/// The interface as an address to send frames to, and its hardware address; none for a loopback interface.
fn ethernet_card(interface: &str) -> io::Result<Option<(LinkAddr, HardwareAddress)>> {
    let card = getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr().copied());
    let card = card.ok_or(io::ErrorKind::NotFound)?;
    match (card.hatype(), card.addr()) {
        (libc::ARPHRD_LOOPBACK, _) => Ok(None),
        (libc::ARPHRD_ETHER, Some(hardware)) => Ok(Some((card, hardware))),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Sends the ACKs of [`packets::tcp_ack`], from addresses that are on this machine now or were.
#[derive(Debug, Default)]
pub struct Tickler {
    v4: Option<OwnedFd>,
    v6: Option<OwnedFd>,
}

impl Tickler {
    /// Sends one from one end of a connection to the other.
    ///
    /// # Errors
    /// The ends are not of one kind, or what socket(2) and sendto(2) say.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<()> {
        let packet = packets::tcp_ack(from, to).ok_or(io::ErrorKind::InvalidInput)?;
        match to {
            SocketAddr::V4(to) => {
                let socket = opened(&mut self.v4, AddressFamily::Inet)?;
                send(socket, &packet, &SockaddrIn::from(to))
            }
            SocketAddr::V6(to) => {
                let socket = opened(&mut self.v6, AddressFamily::Inet6)?;
                // the port would be taken for a protocol
                let to = SocketAddrV6::new(*to.ip(), 0, 0, to.scope_id());
                send(socket, &packet, &SockaddrIn6::from(to))
            }
        }
    }
}

/// The socket, opened when it is first needed. The kernel takes IP headers from such a socket as they are.
fn opened(socket: &mut Option<OwnedFd>, family: AddressFamily) -> io::Result<&OwnedFd> {
    let opened = match socket.take() {
        Some(opened) => opened,
        None => {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            nix::sys::socket::socket(family, SockType::Raw, flags, SockProtocol::Raw)?
        }
    };
    Ok(socket.insert(opened))
}

/// A packet is sent whole or not at all.
fn send(socket: &OwnedFd, packet: &[u8], to: &dyn SockaddrLike) -> io::Result<()> {
    sendto(socket.as_raw_fd(), packet, to, MsgFlags::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_here_and_a_documentation_address_is_not() {
        assert!(has_address("127.0.0.1".parse().unwrap()));
        assert!(!has_address("192.0.2.253".parse().unwrap()));
        assert!(!has_address("2001:db8::253".parse().unwrap()));
        assert!(has_interface("lo") && !has_interface("nosuch0"));
    }

    #[test]
    fn nobody_is_told_on_loopback_or_nowhere() {
        let address = "192.0.2.253".parse().unwrap();
        announce(address, "lo").unwrap();
        let error = announce(address, "nosuch0").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn both_ends_are_of_one_kind() {
        let mut tickler = Tickler::default();
        let (v4, v6) = ("192.0.2.1:1".parse().unwrap(), "[::1]:1".parse().unwrap());
        let error = tickler.send(v4, v6).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

//! The bytes of packets that no socket makes: those that tell a network where an address has moved to.
//!
//! | packet | says |
//! |---|---|
//! | [`arp`] | to all on the network: this IPv4 address is at this hardware address |
//! | [`neighbour_advertisement`] | the same of an IPv6 address |
//! | [`tcp_ack`] | to the peer of a connection that this machine does not have: look whether it still lives |
//!
//! The layouts are those of RFC 826, 2464, 4861 and 9293. Lengths, hop limits and window are what C's ctdbd
//! has (`system_socket.c`, 4.17.12).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address of an Ethernet card.
pub type HardwareAddress = [u8; 6];

const BROADCAST: HardwareAddress = [0xff; 6];
/// Where packets to [`ALL_NODES`] go on an Ethernet.
const MULTICAST: HardwareAddress = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Ethernet, as ARP numbers hardware.
const HARDWARE_ETHERNET: u16 = 1;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_ICMPV6: u8 = 58;
/// ICMPv6's type of a neighbour advertisement, its flag "take this one instead", and the option that has
/// the hardware address.
const ADVERTISEMENT: u8 = 136;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_ADDRESS: u8 = 2;

/// Frames are filled up with zeros to this.
const ARP_SIZE: usize = 64;
const TCP_HEADER: u8 = 20;
const TCP_ACK: u8 = 0x10;
/// Easy to find in a capture.
const WINDOW: u16 = 1234;
const IPV4_TTL: u8 = 255;
const IPV6_HOPS: u8 = 64;
/// Neighbour discovery takes nothing that came through a router.
const DISCOVERY_HOPS: u8 = 255;

/// What an ARP packet claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arp {
    /// A question for the sender's own address.
    Request,
    /// An answer that nobody asked for.
    Reply,
}

/// A gratuitous ARP packet with its Ethernet header.
#[must_use]
pub fn arp(kind: Arp, address: Ipv4Addr, hardware: HardwareAddress) -> Vec<u8> {
    let mut packet = Vec::with_capacity(ARP_SIZE);
    ethernet(&mut packet, BROADCAST, hardware, ETHERTYPE_ARP);
    let (operation, target) = match kind {
        Arp::Request => (1_u16, [0; 6]),
        Arp::Reply => (2, hardware),
    };
    packet.extend(HARDWARE_ETHERNET.to_be_bytes());
    packet.extend(ETHERTYPE_IPV4.to_be_bytes());
    packet.extend([6, 4]);
    packet.extend(operation.to_be_bytes());
    packet.extend(hardware);
    packet.extend(address.octets());
    packet.extend(target);
    packet.extend(address.octets());
    packet.resize(ARP_SIZE, 0);
    packet
}

/// An unsolicited neighbour advertisement with its Ethernet header.
#[must_use]
pub fn neighbour_advertisement(address: Ipv6Addr, hardware: HardwareAddress) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(address.octets());
    // the option's length is in units of 8 bytes
    message.extend([TARGET_LINK_ADDRESS, 1]);
    message.extend(hardware);
    let sum = checksum(address.into(), ALL_NODES.into(), PROTOCOL_ICMPV6, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = Vec::new();
    ethernet(&mut packet, MULTICAST, hardware, ETHERTYPE_IPV6);
    ipv6(
        &mut packet,
        (address, ALL_NODES),
        PROTOCOL_ICMPV6,
        DISCOVERY_HOPS,
        &message,
    );
    packet
}

/// A TCP segment with its IP header: an ACK of nothing, with sequence numbers 0. None if one address is IPv4
/// and the other IPv6.
#[must_use]
pub fn tcp_ack(from: SocketAddr, to: SocketAddr) -> Option<Vec<u8>> {
    let mut segment = Vec::with_capacity(TCP_HEADER.into());
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend([0; 8]);
    // the header's length in units of 4 bytes, in the upper half of the byte
    segment.extend([(TCP_HEADER / 4) << 4, TCP_ACK]);
    segment.extend(WINDOW.to_be_bytes());
    segment.extend([0; 4]);
    let sum = checksum(from.ip(), to.ip(), PROTOCOL_TCP, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut packet = Vec::new();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(&mut packet, (from, to), &segment),
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ipv6(&mut packet, (from, to), PROTOCOL_TCP, IPV6_HOPS, &segment);
        }
        _ => return None,
    }
    Some(packet)
}

fn ethernet(packet: &mut Vec<u8>, to: HardwareAddress, from: HardwareAddress, ethertype: u16) {
    packet.extend(to);
    packet.extend(from);
    packet.extend(ethertype.to_be_bytes());
}

/// A header of 20 bytes, and what it carries. The kernel writes length, identification and checksum.
fn ipv4(packet: &mut Vec<u8>, (from, to): (Ipv4Addr, Ipv4Addr), payload: &[u8]) {
    packet.extend([0x45, 0]);
    packet.extend(length(20 + payload.len()).to_be_bytes());
    packet.extend([0, 0, 0, 0, IPV4_TTL, PROTOCOL_TCP, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
}

fn ipv6(
    packet: &mut Vec<u8>,
    (from, to): (Ipv6Addr, Ipv6Addr),
    protocol: u8,
    hops: u8,
    payload: &[u8],
) {
    packet.extend([0x60, 0, 0, 0]);
    packet.extend(length(payload.len()).to_be_bytes());
    packet.extend([protocol, hops]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
}

/// All that is sent here is short.
fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// The Internet checksum of a payload and what it says of its header (RFC 1071, 8200).
fn checksum(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> u16 {
    let mut sum = u64::from(protocol) + payload.len() as u64;
    for address in [from, to] {
        sum += match address {
            IpAddr::V4(address) => words(&address.octets()),
            IpAddr::V6(address) => words(&address.octets()),
        };
    }
    sum += words(payload);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

/// The sum of 16-bit words in network order.
fn words(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks(2);
    let word = |pair: &[u8]| (u64::from(pair[0]) << 8) | pair.get(1).map_or(0, |&low| low.into());
    pairs.map(word).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARDWARE: HardwareAddress = [0x02, 0x42, 0xac, 0x11, 0x00, 0x02];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn arp_request_and_reply() {
        let address = Ipv4Addr::new(192, 0, 2, 100);
        let zeros = "00".repeat(22);
        assert_eq!(
            hex(&arp(Arp::Request, address, HARDWARE)),
            format!(
                "ffffffffffff0242ac1100020806\
                 000108000604000102 42ac110002c0000264000000000000c0000264{zeros}"
            )
            .replace(' ', "")
        );
        assert_eq!(
            hex(&arp(Arp::Reply, address, HARDWARE)),
            format!(
                "ffffffffffff0242ac1100020806\
                 000108000604000202 42ac110002c00002640242ac110002c0000264{zeros}"
            )
            .replace(' ', "")
        );
    }

    #[test]
    fn advertisement() {
        let address = "2001:db8::100".parse().unwrap();
        assert_eq!(
            hex(&neighbour_advertisement(address, HARDWARE)),
            "3333000000010242ac11000286dd\
             6000000000203aff20010db8000000000000000000000100ff020000000000000000000000000001\
             88004ad82000000020010db800000000000000000000010002010242ac110002"
        );
    }

    #[test]
    fn tickles() {
        let v4 = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(
            hex(&tcp_ack(v4("192.0.2.100:445"), v4("192.0.2.9:50000")).unwrap()),
            "4500002800000000ff060000c0000264c0000209\
             01bdc3500000000000000000501004d261870000"
        );
        let packet = tcp_ack(v4("[2001:db8::100]:445"), v4("[2001:db8::9]:50000")).unwrap();
        assert_eq!(
            hex(&packet),
            "600000000014064020010db800000000000000000000010020010db8000000000000000000000009\
             01bdc3500000000000000000501004d2897a0000"
        );
        assert_eq!(tcp_ack(v4("192.0.2.1:1"), v4("[::1]:1")), None);
    }

    #[test]
    fn a_checksum_makes_the_sum_all_ones() {
        for (packet, header, protocol) in [
            (
                neighbour_advertisement("fd00::1".parse().unwrap(), HARDWARE)[14..].to_vec(),
                40,
                PROTOCOL_ICMPV6,
            ),
            (
                tcp_ack(
                    "[fd00::1]:1".parse().unwrap(),
                    "[fd00::2]:2".parse().unwrap(),
                )
                .unwrap(),
                40,
                PROTOCOL_TCP,
            ),
            (
                tcp_ack("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()).unwrap(),
                20,
                PROTOCOL_TCP,
            ),
        ] {
            let addresses = if header == 40 { 8..40 } else { 12..20 };
            let payload = &packet[header..];
            let mut sum = words(&packet[addresses]) + words(payload);
            sum += u64::from(protocol) + payload.len() as u64;
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff);
        }
    }
}

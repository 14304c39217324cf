//! Packets as they arrive at the other end of a cable, in a network namespace of the test's own. They need root; the
//! comparison with C needs Debian's `ctdb` tool.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;
use sys::network::{Tickler, announce, has_address};
use sys::packets::{self, Arp};

const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// A cable from `here` to `there`, with addresses here and a neighbour there whom nobody has to look for.
const CABLE: &str = "ip link set lo up
ip link add here address 02:00:00:00:00:01 type veth peer name there address 02:00:00:00:00:02
sysctl -qw net.ipv6.conf.here.accept_dad=0 net.ipv6.conf.there.disable_ipv6=1
ip link set here arp off up && ip link set there arp off up
ip addr add 192.0.2.100/24 dev here && ip addr add 2001:db8::100/64 dev here nodad
ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:02 dev here
ip neigh replace 2001:db8::9 lladdr 02:00:00:00:00:02 dev here";

/// Runs a test in a network namespace of its thread.
fn in_namespace(test: impl FnOnce(&OwnedFd) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: needs root");
    }
    let run = move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert!(sh(CABLE));
        test(&there());
    };
    std::thread::spawn(run).join().unwrap();
}

fn sh(script: &str) -> bool {
    let mut command = Command::new("timeout");
    let command = command.args(["10", "sh", "-ec", script]);
    command.status().unwrap().success()
}

/// A socket that gets whatever comes out at the other end.
fn there() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::EthAll;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, protocol).unwrap();
    bind(socket.as_raw_fd(), &card("there")).unwrap();
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(5, 0)).unwrap();
    socket
}

fn card(name: &str) -> LinkAddr {
    let mut found = getifaddrs()
        .unwrap()
        .filter(|found| found.interface_name == name);
    *found
        .find_map(|found| found.address)
        .unwrap()
        .as_link_addr()
        .unwrap()
}

/// The next frame of that protocol; the kernel has things of its own to say.
fn next(socket: &OwnedFd, ethertype: [u8; 2], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut buffer = [0; 2048];
    loop {
        let size = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("a packet");
        let frame = &buffer[..size];
        if frame[12..14] == ethertype && wanted(frame) {
            return frame.to_vec();
        }
    }
}

#[test]
fn an_ipv4_address_is_announced_by_request_and_reply() {
    in_namespace(|there| {
        announce("192.0.2.100".parse().unwrap(), "here").unwrap();
        for kind in [Arp::Request, Arp::Reply] {
            let frame = next(there, [8, 6], |_| true);
            let address = "192.0.2.100".parse().unwrap();
            assert_eq!(frame, packets::arp(kind, address, HARDWARE));
        }
    });
}

#[test]
fn an_ipv6_address_is_advertised() {
    in_namespace(|there| {
        let address = "2001:db8::77".parse().unwrap();
        announce(IpAddr::V6(address), "here").unwrap();
        let sent = packets::neighbour_advertisement(address, HARDWARE);
        let frame = next(there, [0x86, 0xdd], |frame| {
            frame.len() == sent.len() && frame[22..38] == sent[22..38]
        });
        assert_eq!(frame, sent);
    });
}

/// What the kernel writes into an IPv4 header itself: identification and checksum.
fn without_kernels_own(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == [8, 0] {
        frame[18..20].fill(0);
        frame[24..26].fill(0);
    }
    frame
}

/// The next TCP segment, with its Ethernet header.
fn next_segment(there: &OwnedFd, ethertype: [u8; 2]) -> Vec<u8> {
    let protocol_at = if ethertype == [8, 0] { 23 } else { 20 };
    without_kernels_own(next(there, ethertype, |frame| frame[protocol_at] == 6))
}

#[test]
fn tickles_arrive_as_they_were_made_and_as_cs() {
    in_namespace(|there| {
        assert!(has_address("192.0.2.100".parse().unwrap()));
        let mut tickler = Tickler::default();
        for (ethertype, server, client) in [
            ([8, 0], "192.0.2.100:445", "192.0.2.9:50000"),
            ([0x86, 0xdd], "[2001:db8::100]:445", "[2001:db8::9]:50001"),
        ] {
            let [from, to]: [SocketAddr; 2] = [server, client].map(|text| text.parse().unwrap());
            tickler.send(from, to).unwrap();
            let frame = next_segment(there, ethertype);
            assert_eq!(frame[14..], packets::tcp_ack(from, to).unwrap());
            if std::path::Path::new("/usr/bin/ctdb").exists() {
                let plain = |text: &str| text.replace(['[', ']'], "");
                assert!(sh(&format!(
                    "ctdb tickle {} {}",
                    plain(client),
                    plain(server)
                )));
                assert_eq!(frame, next_segment(there, ethertype), "as the C tool's");
            }
        }
    });
}

//! Questions about the table, and changes of it.

use core::time::Duration;

use wire::coding::{Decode, Encode};
use wire::types::{AddrInfo, Iface, IfaceList, IfaceName, PublicIpInfo};

use super::*;

fn line(address: &str, mask: u32, iface: Option<&str>) -> AddrInfo {
    AddrInfo {
        addr: ip(address).into(),
        mask,
        iface: iface.map(str::to_owned),
    }
}

fn link(name: &str, link_state: u16, references: u32) -> Request {
    Request::SetIfaceLinkState(Iface {
        name: IfaceName(name.to_owned()),
        link_state,
        references,
    })
}

fn interfaces(bench: &mut Bench) -> String {
    let (_, data) = bench.answer(Request::GetIfaces);
    let list = IfaceList::from_bytes(&data).unwrap();
    let shown =
        |iface: &Iface| format!("{} {} {}", iface.name.0, iface.link_state, iface.references);
    list.ifaces.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[test]
fn interfaces_have_links_and_addresses() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    bench.host("10.0.0.2");
    assert_eq!(interfaces(&mut bench), "eth1 1 1, eth0 1 1");
    assert_eq!(bench.status(link("eth1", 0, 0)), 0);
    assert_eq!(bench.status(link("eth1", 0, 0)), 0);
    assert_eq!(interfaces(&mut bench), "eth1 0 1, eth0 1 1");
    assert_eq!(bench.status(link("eth2", 0, 0)), -1);
    assert_eq!(bench.status(link("eth1", 2, 0)), -1);
    assert_eq!(bench.status(link("eth1", 1, 1)), -1);
    assert_eq!(interfaces(&mut bench), "eth1 0 1, eth0 1 1");
}

#[test]
fn an_address_tells_where_it_can_be() {
    let mut bench = Bench::new();
    let info = |bench: &mut Bench, address| {
        let (status, data) = bench.answer(Request::GetPublicIpInfo(ip(address).into()));
        (status == 0).then(|| PublicIpInfo::from_bytes(&data).unwrap())
    };
    let found = info(&mut bench, "10.0.0.2").unwrap();
    assert_eq!((found.ip.pnn, found.active_idx), (Pnn::UNKNOWN, u32::MAX));
    bench.host("10.0.0.1");
    bench.host("10.0.0.2");
    let found = info(&mut bench, "::ffff:10.0.0.2").unwrap();
    let names: Vec<_> = found
        .ifaces
        .iter()
        .map(|iface| iface.name.0.as_str())
        .collect();
    assert_eq!(
        (found.ip.pnn, found.active_idx, names),
        (ME, 1, vec!["eth0", "eth1"])
    );
    assert!(info(&mut bench, "10.9.9.9").is_none());
}

#[test]
fn only_what_can_be_hosted_is_available() {
    let mut bench = Bench::new();
    let available = ControlFlags::ONLY_AVAILABLE;
    assert_eq!(
        bench.listed(available),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 -1"
    );
    bench.ask(link("eth0", 0, 0));
    assert_eq!(bench.listed(available), "fd00::3 -1, 10.0.0.2 -1");
    for (run_state, flags) in [
        (RunState::Startup, NodeFlags::empty()),
        (RunState::Shutdown, NodeFlags::empty()),
        (RunState::Running, NodeFlags::UNHEALTHY),
        (RunState::Running, NodeFlags::PERMANENTLY_DISABLED),
        (RunState::Running, NodeFlags::STOPPED),
        (RunState::Running, NodeFlags::BANNED),
    ] {
        let in_recovery = false;
        bench.input(Input::View(View {
            run_state,
            flags,
            in_recovery,
        }));
        assert_eq!(bench.listed(available), "", "{run_state} {flags:?}");
    }
}

#[test]
fn an_address_is_added_and_deleted() {
    let mut bench = Bench::new();
    let add = |bench: &mut Bench, new| bench.status(Request::AddPublicIp(new));
    let delete =
        |bench: &mut Bench, address| bench.status(Request::DelPublicIp(line(address, 0, None)));
    assert_eq!(add(&mut bench, line("10.0.0.4", 16, Some("eth2"))), 0);
    assert_eq!(add(&mut bench, line("10.0.0.4", 16, Some("eth2"))), -1);
    assert_eq!(add(&mut bench, line("10.0.0.5", 16, Some("wlan0"))), -1);
    assert_eq!(add(&mut bench, line("10.0.0.5", 33, Some("eth2"))), -1);
    assert_eq!(add(&mut bench, line("10.0.0.5", 16, None)), -1);
    assert_eq!(interfaces(&mut bench), "eth2 1 0, eth1 1 0, eth0 1 0");
    bench.host("10.0.0.4");
    assert_eq!(delete(&mut bench, "10.0.0.4"), 0);
    assert_eq!(delete(&mut bench, "10.0.0.3"), -1);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "10.0.0.4 0, fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 -1"
    );
    assert_eq!(
        bench.listed(ControlFlags::ONLY_AVAILABLE),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 -1"
    );
    let (id, ..) = bench.event(Request::ReleaseIp(public_ip("10.0.0.4", OTHER)));
    bench.remove("10.0.0.4");
    bench.done(id, Outcome::Passed);
    assert_eq!(delete(&mut bench, "fd00::3"), 0);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "10.0.0.2 -1, 10.0.0.1 -1"
    );
    assert_eq!(interfaces(&mut bench), "eth1 1 0, eth0 1 0");
}

#[test]
fn the_table_follows_the_file() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    bench.wait(Duration::from_secs(9));
    assert_eq!(bench.ask(Request::ReloadPublicIps), [Output::ReadAddresses]);
    bench.input(Input::AddressesRead(Ok(vec![
        configured("fd00::3", &["eth1"]),
        configured("10.0.0.7", &["eth2"]),
    ])));
    let outputs = bench.take();
    let rebalance = Output::Message {
        destination: Pnn::BROADCAST_CONNECTED,
        srvid: Srvid::REBALANCE_NODE,
        data: ME.to_bytes(),
    };
    assert_eq!(outputs, [rebalance, Output::done(Token(bench.tokens))]);
    let listed = bench.listed(ControlFlags::empty());
    assert_eq!(
        listed, "10.0.0.7 -1, fd00::3 -1, 10.0.0.1 0",
        "the last until it is released"
    );
}

#[test]
fn a_file_that_cannot_be_followed_changes_nothing() {
    let mut bench = Bench::new();
    for read in [
        Err("no such file".to_owned()),
        Ok(vec![configured("10.0.0.7", &["wlan0"])]),
    ] {
        bench.ask(Request::ReloadPublicIps);
        bench.input(Input::AddressesRead(read));
        assert_eq!(bench.take(), [Output::status(Token(bench.tokens), 1)]);
    }
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 -1"
    );
}

#[test]
fn others_are_told_three_times_on_demand() {
    let mut bench = Bench::new();
    let what = Request::SendGratuitousArp(line("10.9.9.9", 0, Some("eth2")));
    assert_eq!(bench.status(what), 0);
    let arp = Output::Arp {
        address: ip("10.9.9.9"),
        interface: "eth2".to_owned(),
    };
    let times = |count| vec![arp.clone(); count];
    assert_eq!(bench.wait(Duration::from_millis(999)), times(1));
    assert_eq!(bench.wait(Duration::from_secs(9)), times(2));
    assert_eq!(
        bench.status(Request::SendGratuitousArp(line("10.9.9.9", 0, None))),
        -1
    );
}

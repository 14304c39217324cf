//! Addresses that come, go and move.

use core::time::Duration;

use super::*;

fn take(address: &str) -> Request {
    Request::TakeoverIp(public_ip(address, ME))
}

fn release(address: &str, to: Pnn) -> Request {
    Request::ReleaseIp(public_ip(address, to))
}

/// The outputs in one line each.
fn shown(outputs: &[Output]) -> Vec<String> {
    let shown = |output: &Output| match output {
        Output::Reply { status, error, .. } => match error {
            None => format!("reply {status}"),
            Some(error) => format!("reply {status}: {error}"),
        },
        Output::RunEvent {
            event, arguments, ..
        } => format!("{} {}", event.name(), arguments.join(" ")),
        Output::Message { srvid, data, .. } => {
            let name = match *srvid {
                Srvid::TAKE_IP => "TAKE_IP",
                Srvid::RELEASE_IP => "RELEASE_IP",
                Srvid::REBALANCE_NODE => return "REBALANCE_NODE".to_owned(),
                _ => "?",
            };
            format!("{name} {}", String::from_utf8_lossy(data).escape_debug())
        }
        Output::Arp { address, interface } => format!("arp {address} {interface}"),
        other => format!("{other:?}"),
    };
    outputs.iter().map(shown).collect()
}

#[test]
fn a_take_over_runs_the_event_and_is_announced_three_times() {
    let mut bench = Bench::new();
    let (id, event, arguments) = bench.event(take("10.0.0.1"));
    assert_eq!(event, AddressEvent::TakeIp);
    assert_eq!(arguments, "eth0 10.0.0.1 24");
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 0"
    );
    bench.put("10.0.0.1");
    let outputs = bench.done(id, Outcome::Passed);
    assert_eq!(shown(&outputs), [r"TAKE_IP 10.0.0.1\0", "reply 0"]);
    let arps = |outputs: Vec<Output>| shown(&outputs).join(", ");
    assert_eq!(arps(bench.wait(Duration::ZERO)), "arp 10.0.0.1 eth0");
    assert_eq!(arps(bench.wait(Duration::from_millis(1_099))), "");
    assert_eq!(
        arps(bench.wait(Duration::from_millis(1))),
        "arp 10.0.0.1 eth0"
    );
    assert_eq!(
        arps(bench.wait(Duration::from_secs(10))),
        "arp 10.0.0.1 eth0"
    );
}

#[test]
fn a_take_over_of_what_is_here_does_nothing() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    assert_eq!(shown(&bench.ask(take("10.0.0.1"))), ["reply 0"]);
}

#[test]
fn a_take_over_of_something_else_is_none() {
    let mut bench = Bench::new();
    assert_eq!(bench.status(take("10.9.9.9")), 0);
    let for_other = Request::TakeoverIp(public_ip("10.0.0.1", OTHER));
    assert_eq!(bench.status(for_other), -1);
}

#[test]
fn a_failed_take_over_can_be_tried_again() {
    let mut bench = Bench::new();
    let (id, ..) = bench.event(take("10.0.0.1"));
    assert_eq!(shown(&bench.done(id, Outcome::Failed(7))), ["reply 7"]);
    assert_eq!(
        bench.wait(Duration::from_secs(5)),
        [],
        "nothing is announced"
    );
    let (id, _, arguments) = bench.event(take("10.0.0.1"));
    assert_eq!(arguments, "eth0 10.0.0.1 24");
    let hung = bench.done(id, Outcome::TimedOut);
    assert_eq!(shown(&hung), ["reply 110"], "it is not there");
}

#[test]
fn a_take_over_that_hung_counts_if_the_address_is_there() {
    let mut bench = Bench::new();
    let (id, ..) = bench.event(take("10.0.0.1"));
    bench.put("10.0.0.1");
    let hung = bench.done(id, Outcome::TimedOut);
    assert_eq!(shown(&hung), [r"TAKE_IP 10.0.0.1\0", "reply 0"]);
}

#[test]
fn a_release_runs_the_event_and_tells_clients() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    let (id, event, arguments) = bench.event(release("10.0.0.1", OTHER));
    assert_eq!(event, AddressEvent::ReleaseIp);
    assert_eq!(arguments, "eth0 10.0.0.1 24");
    assert_eq!(bench.wait(Duration::from_secs(9)), [], "announced no more");
    bench.remove("10.0.0.1");
    let outputs = bench.done(id, Outcome::Failed(1));
    assert_eq!(shown(&outputs), [r"RELEASE_IP 10.0.0.1\0", "reply 0"]);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 1"
    );
}

#[test]
fn an_address_that_stays_is_not_released() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    let (id, ..) = bench.event(release("10.0.0.1", OTHER));
    let outputs = bench.done(id, Outcome::TimedOut);
    assert_eq!(
        shown(&outputs),
        ["reply -1: the address is still on an interface"]
    );
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 0"
    );
}

#[test]
fn a_release_of_what_is_not_here_tells_where_it_is() {
    let mut bench = Bench::new();
    assert_eq!(shown(&bench.ask(release("10.0.0.2", OTHER))), ["reply 0"]);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 1, 10.0.0.1 -1"
    );
    assert_eq!(bench.status(release("10.9.9.9", OTHER)), 0);
}

#[test]
fn an_address_that_nobody_knows_of_is_released_and_moved() {
    let mut bench = Bench::new();
    bench.put("10.0.0.2");
    let (id, _, arguments) = bench.event(release("10.0.0.2", OTHER));
    assert_eq!(arguments, "__none__ 10.0.0.2 24");
    bench.done(id, Outcome::Failed(1));
    let (id, event, arguments) = bench.event(take("10.0.0.2"));
    assert_eq!(
        (event, arguments.as_str()),
        (AddressEvent::UpdateIp, "__none__ eth0 10.0.0.2 24")
    );
    // C 4.17.12 crashes here
    assert_eq!(shown(&bench.done(id, Outcome::Failed(3))), ["reply 3"]);
    let (id, ..) = bench.event(take("10.0.0.2"));
    assert_eq!(shown(&bench.done(id, Outcome::Passed)), ["reply 0"]);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 0, 10.0.0.1 -1"
    );
}

#[test]
fn an_address_leaves_an_interface_that_is_down() {
    let mut bench = Bench::new();
    bench.host("10.0.0.2");
    let down = wire::types::Iface {
        name: wire::types::IfaceName("eth0".to_owned()),
        link_state: 0,
        references: 0,
    };
    assert_eq!(bench.status(Request::SetIfaceLinkState(down)), 0);
    let (id, event, arguments) = bench.event(take("10.0.0.2"));
    assert_eq!(
        (event, arguments.as_str()),
        (AddressEvent::UpdateIp, "eth0 eth1 10.0.0.2 24")
    );
    assert_eq!(shown(&bench.done(id, Outcome::TimedOut)), ["reply 110"]);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 -1"
    );
    let (id, _, arguments) = bench.event(take("10.0.0.2"));
    assert_eq!(
        arguments, "eth0 eth1 10.0.0.2 24",
        "back where it was, and tried again"
    );
    assert_eq!(shown(&bench.done(id, Outcome::Passed)), ["reply 0"]);
    bench.wait(Duration::from_secs(9));
    assert_eq!(
        bench.status(take("10.0.0.1")),
        -1,
        "its one interface is down"
    );
}

#[test]
fn one_event_at_a_time() {
    let mut bench = Bench::new();
    let (taking, ..) = bench.event(take("10.0.0.1"));
    let refused = ["reply -1: an update of the address is in flight"];
    assert_eq!(shown(&bench.ask(release("10.0.0.1", OTHER))), refused);
    assert_eq!(shown(&bench.ask(take("10.0.0.1"))), refused);
    bench.put("10.0.0.1");
    bench.done(taking, Outcome::Passed);
    let (releasing, ..) = bench.event(release("10.0.0.1", OTHER));
    assert_eq!(shown(&bench.ask(take("10.0.0.1"))), refused);
    bench.event(take("10.0.0.2"));
    bench.remove("10.0.0.1");
    assert_eq!(bench.done(releasing, Outcome::Passed).len(), 2);
    assert_eq!(
        bench.done(releasing, Outcome::Passed),
        [],
        "an end that came already"
    );
}

#[test]
fn two_nodes_with_one_address_ban_the_one_that_should_not() {
    let mut bench = Bench::new();
    bench.ask(release("10.0.0.1", OTHER));
    bench.put("10.0.0.1");
    let outputs = bench.ask(take("10.0.0.1"));
    assert_eq!(
        shown(&outputs),
        ["BanSelf", "reply -1: another node should have it"]
    );
}

#[test]
fn no_address_is_taken_in_recovery_and_all_can_be_released() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    bench.input(Input::View(View {
        in_recovery: true,
        ..RUNNING
    }));
    assert_eq!(bench.status(take("10.0.0.2")), -1);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 0"
    );
    bench.event(release("10.0.0.1", OTHER));
}

#[test]
fn an_inactive_node_gives_up_all_it_has() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    bench.host("fd00::3");
    let (taking, ..) = bench.event(take("10.0.0.2"));
    bench.take();
    bench.input(Input::BecameInactive);
    let outputs = bench.take();
    assert_eq!(
        shown(&outputs),
        ["releaseip eth1 fd00::3 24", "releaseip eth0 10.0.0.1 24"]
    );
    bench.put("10.0.0.2");
    let outputs = bench.done(taking, Outcome::Passed);
    assert_eq!(
        shown(&outputs),
        [
            r"TAKE_IP 10.0.0.2\0",
            "reply 0",
            "releaseip eth0 10.0.0.2 24"
        ],
        "which was on its way then"
    );
    bench.input(Input::BecameInactive);
    assert_eq!(bench.take(), [], "all are on their way");
}

#[test]
fn a_long_recovery_costs_the_addresses() {
    let mut bench = Bench::new();
    bench.host("10.0.0.1");
    bench.wait(Duration::from_secs(9));
    let in_recovery = View {
        in_recovery: true,
        ..RUNNING
    };
    bench.input(Input::View(in_recovery));
    assert_eq!(bench.wait(Duration::from_secs(119)), []);
    bench.input(Input::View(RUNNING));
    assert_eq!(bench.wait(Duration::from_secs(119)), []);
    bench.input(Input::View(in_recovery));
    let outputs = bench.wait(Duration::from_secs(121));
    assert_eq!(shown(&outputs), ["releaseip eth0 10.0.0.1 24"]);
}

#[test]
fn scripts_that_only_claim_are_believed_in_test_mode() {
    let mut bench = Bench::with(Settings {
        real: false,
        ..settings()
    });
    let (id, ..) = bench.event(take("10.0.0.1"));
    let outputs = bench.done(id, Outcome::Passed);
    assert_eq!(shown(&outputs), [r"TAKE_IP 10.0.0.1\0", "reply 0"]);
    assert_eq!(bench.wait(Duration::from_secs(5)), [], "nobody is told");
    let (id, event, _) = bench.event(release("10.0.0.1", OTHER));
    assert_eq!(event, AddressEvent::ReleaseIp);
    let outputs = bench.done(id, Outcome::Passed);
    assert_eq!(shown(&outputs), [r"RELEASE_IP 10.0.0.1\0", "reply 0"]);
    assert_eq!(shown(&bench.ask(release("10.0.0.1", Pnn(2)))), ["reply 0"]);
    assert_eq!(
        bench.listed(ControlFlags::empty()),
        "fd00::3 -1, 10.0.0.2 -1, 10.0.0.1 2"
    );
}

#[test]
fn where_failover_is_switched_off_nothing_is_given_up() {
    let mut bench = Bench::with(Settings {
        disabled: true,
        ..settings()
    });
    bench.host("10.0.0.1");
    bench.wait(Duration::from_secs(5));
    bench.input(Input::BecameInactive);
    assert_eq!(bench.take(), []);
}

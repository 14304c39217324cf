//! A take-over run is asked for when something is wrong.

use core::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// How often a take-over run is asked for within some seconds.
fn asked(bench: &mut Bench, seconds: u32) -> usize {
    let outputs = bench.wait_for_all(SECOND * seconds);
    outputs.iter().filter(|output| asks_for_run(output)).count()
}

/// A node that has all of its addresses, and has looked around.
fn quiet() -> Bench {
    let mut bench = Bench::new();
    for (address, _) in ADDRESSES {
        bench.host(address);
    }
    asked(&mut bench, 10);
    assert_eq!(asked(&mut bench, 10), 0);
    bench
}

#[test]
fn an_address_that_nobody_has_is_wanted() {
    let mut bench = quiet();
    let release = Request::ReleaseIp(public_ip("10.0.0.1", Pnn::UNKNOWN));
    let (id, ..) = bench.event(release);
    bench.remove("10.0.0.1");
    bench.done(id, Outcome::Passed);
    assert_eq!(asked(&mut bench, 1), 0, "it may be on its way");
    assert_eq!(asked(&mut bench, 2), 2);
    bench.ask(Request::ReleaseIp(public_ip("10.0.0.1", OTHER)));
    assert_eq!(asked(&mut bench, 5), 0);
}

#[test]
fn the_kernel_knows_better() {
    let mut bench = quiet();
    bench.remove("10.0.0.2");
    assert_eq!(asked(&mut bench, 4), 3);
    bench.put("10.0.0.2");
    assert_eq!(asked(&mut bench, 4), 0);
    let (id, ..) = bench.event(Request::ReleaseIp(public_ip("10.0.0.1", OTHER)));
    assert_eq!(asked(&mut bench, 4), 0, "what is under way is not judged");
    bench.remove("10.0.0.1");
    bench.done(id, Outcome::Passed);
    bench.put("10.0.0.1");
    assert_eq!(asked(&mut bench, 4), 3);
}

#[test]
fn a_link_that_goes_down_is_told_at_once() {
    let mut bench = quiet();
    let down = wire::types::Iface {
        name: wire::types::IfaceName("eth1".to_owned()),
        link_state: 0,
        references: 0,
    };
    bench.ask(Request::SetIfaceLinkState(down));
    assert_eq!(asked(&mut bench, 1), 1);
    assert_eq!(asked(&mut bench, 5), 0);
}

#[test]
fn who_hosts_nothing_asks_for_nothing() {
    let unfit = [
        View {
            in_recovery: true,
            ..RUNNING
        },
        View {
            flags: NodeFlags::STOPPED,
            ..RUNNING
        },
        View {
            run_state: RunState::Startup,
            ..RUNNING
        },
    ];
    for view in unfit {
        let mut bench = Bench::new();
        bench.input(Input::View(view));
        assert_eq!(asked(&mut bench, 9), 0, "{view:?}");
    }
    let mut bench = Bench::with(Settings {
        disabled: true,
        ..settings()
    });
    assert_eq!(asked(&mut bench, 9), 0);
}

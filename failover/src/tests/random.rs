//! Whatever comes, in whatever order: one event for an address at a time, one answer to each control, and
//! nobody is told that an address is here that is not.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::types::{AddrInfo, Connection, Iface, IfaceName, TickleList};

use super::*;
use crate::address::State;

#[derive(Clone, Debug)]
enum Step {
    Ask(Request),
    Input(Input),
    /// The oldest or newest running event ends; the scripts did or did not do what they should.
    Done(bool, Outcome, bool),
    /// Somebody puts an address on an interface, or takes it away.
    Meddle(IpAddr, bool),
    Wait(u16),
}

fn address() -> impl Strategy<Value = IpAddr> + Clone {
    prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "fd00::3", "10.0.0.4"]).prop_map(ip)
}

fn request() -> impl Strategy<Value = Request> {
    let wanted = (address(), 0_u32..2).prop_map(|(ip, pnn)| PublicIp {
        pnn: Pnn(pnn),
        addr: ip.into(),
    });
    let line = address().prop_map(|ip| AddrInfo {
        addr: ip.into(),
        mask: 24,
        iface: Some("eth0,eth1".to_owned()),
    });
    let link = ("eth[01]", 0_u16..2).prop_map(|(name, link_state)| Iface {
        name: IfaceName(name),
        link_state,
        references: 0,
    });
    let connection = (address(), 0_u16..3).prop_map(|(ip, port)| Connection {
        src: std::net::SocketAddr::new(ip, port).into(),
        dst: ip.into(),
    });
    let list = (address(), prop::collection::vec(connection.clone(), 0..3)).prop_map(
        |(ip, connections)| TickleList {
            addr: ip.into(),
            connections,
        },
    );
    prop_oneof![
        6 => wanted.clone().prop_map(Request::TakeoverIp),
        6 => wanted.prop_map(Request::ReleaseIp),
        1 => line.clone().prop_map(Request::AddPublicIp),
        1 => line.prop_map(Request::DelPublicIp),
        2 => link.prop_map(Request::SetIfaceLinkState),
        1 => Just(Request::ReloadPublicIps),
        1 => Just(Request::GetPublicIps),
        1 => Just(Request::Startup),
        1 => connection.clone().prop_map(Request::TcpAdd),
        1 => connection.clone().prop_map(Request::TcpRemove),
        1 => connection.prop_map(Request::TcpClient),
        1 => list.prop_map(Request::SetTcpTickleList),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Passed),
        1 => Just(Outcome::Failed(1)),
        1 => Just(Outcome::TimedOut),
    ];
    let inputs = prop_oneof![
        Just(Input::BecameInactive),
        any::<bool>().prop_map(|in_recovery| Input::View(View {
            in_recovery,
            ..RUNNING
        })),
        Just(Input::ClientGone(ClientId(1))),
        prop::sample::subsequence(ADDRESSES.to_vec(), 0..3).prop_map(|lines| {
            let lines = lines.iter().map(|(address, on)| configured(address, on));
            Input::AddressesRead(Ok(lines.collect()))
        }),
    ];
    prop_oneof![
        8 => request().prop_map(Step::Ask),
        1 => inputs.prop_map(Step::Input),
        6 => (any::<bool>(), outcome, prop::bool::weighted(0.8))
            .prop_map(|(oldest, outcome, works)| Step::Done(oldest, outcome, works)),
        1 => (address(), any::<bool>()).prop_map(|(ip, there)| Step::Meddle(ip, there)),
        2 => (0_u16..30_000).prop_map(Step::Wait),
    ]
}

/// What was asked and did not end yet.
#[derive(Default)]
struct Open {
    replies: Vec<Token>,
    events: BTreeMap<EventId, (AddressEvent, IpAddr)>,
}

impl Open {
    fn note(&mut self, outputs: &[Output], bench: &Bench) {
        for output in outputs {
            match output {
                Output::Reply { token, .. } => {
                    let place = self.replies.iter().position(|open| open == token);
                    self.replies.remove(place.expect("one reply each"));
                }
                Output::RunEvent {
                    id,
                    event,
                    arguments,
                } => {
                    let of = ip(&arguments[arguments.len() - 2]);
                    assert!(self.events.values().all(|(_, other)| *other != of));
                    self.events.insert(*id, (*event, of));
                }
                // what an answer in the same step says of the address
                Output::Arp { address, interface } => {
                    let known = bench.failover.table.get(*address).unwrap();
                    assert_eq!(known.state.interface(), Some(interface.as_str()));
                }
                _ => {}
            }
        }
    }
}

fn carry_out(bench: &mut Bench, open: &mut Open, step: Step) {
    match step {
        Step::Ask(request) => {
            open.replies.push(Token(bench.tokens + 1));
            bench.send(Some(ClientId(1)), ControlFlags::empty(), request);
        }
        Step::Input(input) => bench.input(input),
        Step::Done(oldest, outcome, works) => {
            let first = open.events.first_key_value();
            let last = open.events.last_key_value();
            let Some((&id, &(event, of))) = (if oldest { first } else { last }) else {
                return;
            };
            if works {
                let mut there = bench.machine.0.borrow_mut();
                match event {
                    AddressEvent::ReleaseIp => there.remove(&of),
                    _ => there.insert(of),
                };
            }
            open.events.remove(&id);
            bench.input(Input::EventDone { id, outcome });
        }
        Step::Meddle(of, there) => {
            let mut machine = bench.machine.0.borrow_mut();
            if there {
                machine.insert(of);
            } else {
                machine.remove(&of);
            }
        }
        Step::Wait(millis) => {
            let outputs = bench.wait(Duration::from_millis(millis.into()));
            open.note(&outputs, bench);
        }
    }
    let outputs = bench.take();
    open.note(&outputs, bench);
}

fn check(bench: &Bench, open: &Open) {
    for address in bench.failover.table.iter() {
        let running: Vec<_> = open
            .events
            .values()
            .filter(|(_, of)| *of == address.ip)
            .collect();
        assert!(running.len() <= 1);
        assert_eq!(
            running.len() == 1,
            address.state.is_updating(),
            "{address:?}"
        );
        if let Some((AddressEvent::ReleaseIp, _)) = running.first() {
            assert!(
                matches!(address.state, State::Releasing(_)),
                "held while it is released"
            );
        }
        let away = matches!(address.state, State::Elsewhere);
        assert!(!away || address.node != ME, "{address:?}");
        assert!(away || [ME, Pnn::UNKNOWN, OTHER].contains(&address.node));
    }
    let lost = open
        .events
        .values()
        .filter(|(_, of)| bench.failover.table.get(*of).is_none());
    assert_eq!(lost.count(), 0, "deleted while an event runs");
}

proptest! {
    #[test]
    fn rules_hold(steps in prop::collection::vec(step(), 1..80)) {
        let mut bench = Bench::new();
        let mut open = Open::default();
        for step in steps {
            carry_out(&mut bench, &mut open, step);
            check(&bench, &open);
        }
        while !open.events.is_empty() {
            carry_out(&mut bench, &mut open, Step::Done(true, Outcome::Passed, true));
            check(&bench, &open);
        }
        while !bench.failover.reloads.is_empty() {
            bench.input(Input::AddressesRead(Ok(Vec::new())));
            let outputs = bench.take();
            open.note(&outputs, &bench);
        }
        prop_assert_eq!(open.replies, vec![], "all were answered");
    }
}

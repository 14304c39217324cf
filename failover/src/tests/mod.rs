//! The part alone: controls by hand, a machine that is a set of addresses, a clock that the test moves.

mod connections;
mod moves;
mod random;
mod table;
mod watch;

use core::cell::RefCell;
use core::time::Duration;
use std::collections::BTreeSet;
use std::net::IpAddr;

use wire::control::Request;
use wire::packet::ControlFlags;
use wire::tunables::Tunables;
use wire::types::{NodeFlags, PublicIp, RunState};
use wire::{ClientId, Pnn, Srvid, Time};

use crate::{
    AddressEvent, Configured, ControlRequest, EventId, Failover, Input, Outcome, Output, Settings,
    System, Token, View,
};

const ME: Pnn = Pnn(0);
const OTHER: Pnn = Pnn(1);
/// All that the node has: on eth0, on eth0 or eth1, on eth1.
const ADDRESSES: [(&str, &[&str]); 3] = [
    ("10.0.0.1", &["eth0"]),
    ("10.0.0.2", &["eth0", "eth1"]),
    ("fd00::3", &["eth1"]),
];
const RUNNING: View = View {
    run_state: RunState::Running,
    flags: NodeFlags::empty(),
    in_recovery: false,
};

/// What is on the interfaces of the machine.
#[derive(Default)]
struct Machine(RefCell<BTreeSet<IpAddr>>);

impl System for Machine {
    fn has_address(&self, address: IpAddr) -> bool {
        self.0.borrow().contains(&address)
    }
    fn has_interface(&self, name: &str) -> bool {
        ["eth0", "eth1", "eth2"].contains(&name)
    }
}

struct Bench {
    failover: Failover,
    machine: Machine,
    now: Time,
    tokens: u64,
    out: Vec<Output>,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn configured(address: &str, interfaces: &[&str]) -> Configured {
    Configured {
        address: ip(address),
        mask: 24,
        interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn settings() -> Settings {
    Settings {
        me: ME,
        addresses: ADDRESSES
            .map(|(address, on)| configured(address, on))
            .into(),
        disabled: false,
        real: true,
        tunables: Tunables::default(),
    }
}

fn asks_for_run(output: &Output) -> bool {
    let run = Srvid::TAKEOVER_RUN;
    matches!(output, Output::Message { srvid, .. } if *srvid == run)
}

fn public_ip(address: &str, pnn: Pnn) -> PublicIp {
    PublicIp {
        pnn,
        addr: ip(address).into(),
    }
}

impl Bench {
    /// A node that is up.
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Settings) -> Self {
        let machine = Machine::default();
        let mut bench = Self {
            failover: Failover::new(settings, &machine).unwrap(),
            machine,
            now: Time::ZERO,
            tokens: 0,
            out: Vec::new(),
        };
        bench.input(Input::View(RUNNING));
        bench
    }

    fn input(&mut self, input: Input) {
        self.failover
            .handle(self.now, input, &self.machine, &mut self.out);
    }

    fn take(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.out)
    }

    fn send(&mut self, client: Option<ClientId>, flags: ControlFlags, request: Request) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.input(Input::Control(ControlRequest {
            token,
            source: ME,
            client,
            flags,
            request,
        }));
        token
    }

    /// Asks, and gives all that follows at once.
    fn ask(&mut self, request: Request) -> Vec<Output> {
        self.send(None, ControlFlags::empty(), request);
        self.take()
    }

    /// The status of an answer that comes at once, and its data.
    fn answer(&mut self, request: Request) -> (i32, Vec<u8>) {
        let outputs = self.ask(request);
        match outputs.last() {
            Some(Output::Reply { status, data, .. }) => (*status, data.clone()),
            other => panic!("no answer but {other:?}"),
        }
    }

    fn status(&mut self, request: Request) -> i32 {
        self.answer(request).0
    }

    /// The event that a request leads to.
    fn event(&mut self, request: Request) -> (EventId, AddressEvent, String) {
        match self.ask(request).as_slice() {
            [
                Output::RunEvent {
                    id,
                    event,
                    arguments,
                },
            ] => (*id, *event, arguments.join(" ")),
            other => panic!("no event but {other:?}"),
        }
    }

    fn done(&mut self, id: EventId, outcome: Outcome) -> Vec<Output> {
        self.input(Input::EventDone { id, outcome });
        self.take()
    }

    fn put(&self, address: &str) {
        self.machine.0.borrow_mut().insert(ip(address));
    }

    fn remove(&self, address: &str) {
        self.machine.0.borrow_mut().remove(&ip(address));
    }

    /// The address comes here; what follows the end of the event.
    fn host(&mut self, address: &str) -> Vec<Output> {
        let (id, ..) = self.event(Request::TakeoverIp(public_ip(address, ME)));
        self.put(address);
        self.done(id, Outcome::Passed)
    }

    /// The same without what asks for a take-over run.
    fn wait(&mut self, duration: Duration) -> Vec<Output> {
        let mut outputs = self.wait_for_all(duration);
        outputs.retain(|output| !asks_for_run(output));
        outputs
    }

    /// Time passes, with every timer in it.
    fn wait_for_all(&mut self, duration: Duration) -> Vec<Output> {
        let end = self.now + duration;
        while let Some(due) = self.failover.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.input(Input::Timer);
            let next = self.failover.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "due for ever");
        }
        self.now = end;
        self.take()
    }

    /// Who has which address, as GET_PUBLIC_IPS tells it.
    fn listed(&mut self, flags: ControlFlags) -> String {
        use wire::coding::Decode;
        self.send(None, flags, Request::GetPublicIps);
        let Some(Output::Reply { data, .. }) = self.out.pop() else {
            panic!("no answer");
        };
        let list = wire::types::PublicIpList::from_bytes(&data).unwrap();
        let shown = |ip: &PublicIp| format!("{} {}", ip.addr, ip.pnn.0.cast_signed());
        let shown: Vec<_> = list.ips.iter().map(shown).collect();
        shown.join(", ")
    }
}

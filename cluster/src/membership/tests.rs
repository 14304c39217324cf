//! The node's side as a whole, in virtual time: one node of three, commanded by hand.

mod commands;
mod events;
mod fence;
mod links;
mod random;
mod recovery;

use core::time::Duration;

use wire::control::Request;
use wire::event::{Event, Outcome};
use wire::tunables::Tunables;
use wire::types::{NodeFlags, RecoveryMode, RunState, SockAddr, VnnMap};
use wire::{Generation, Pnn};

use super::*;

const ME: Pnn = Pnn(0);
const OTHER: Pnn = Pnn(1);
const THIRD: Pnn = Pnn(2);
const LOCK: &str = "/clusterfs/.ctdb/lock";

fn entry(pnn: u32) -> NodeEntry {
    let addr = std::net::SocketAddr::from(([10, 99, 0, 10 + pnn as u8], 4379));
    NodeEntry {
        pnn: Pnn(pnn),
        addr: SockAddr::from(addr),
        deleted: false,
    }
}

fn settings() -> Settings {
    Settings {
        me: ME,
        nodes: (0..3).map(entry).collect(),
        cluster_lock: None,
        fence: None,
        leader_capability: true,
        lmaster_capability: true,
        version: 0x0004_0011,
        start_as_disabled: false,
        start_as_stopped: false,
        wall_clock_at_zero: 1_700_000_000_250_000,
        tunables: Tunables::default(),
    }
}

/// A node under test, and what it did since the last look.
struct Bench {
    node: Membership,
    now: Time,
    out: Outputs,
    tokens: u64,
    /// Events pass at once unless they are held, and are not seen then.
    hold_events: bool,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let mut bench = Self::in_setup(settings);
        bench.hold_events = false;
        bench.pass_events();
        bench
    }

    /// The event `setup` runs, and no event passes by itself.
    fn in_setup(settings: Settings) -> Self {
        let mut out = Outputs::new();
        let node = Membership::new(settings, Time::ZERO, &mut out);
        Self {
            node,
            now: Time::ZERO,
            out,
            tokens: 0,
            hold_events: true,
        }
    }

    fn plain() -> Self {
        let mut bench = Self::new(settings());
        bench.connect();
        bench
    }

    fn with_lock() -> Self {
        let mut bench = Self::new(Settings {
            cluster_lock: Some(LOCK.into()),
            ..settings()
        });
        bench.connect();
        bench
    }

    fn connect(&mut self) {
        self.input(Input::Connected(OTHER));
        self.input(Input::Connected(THIRD));
        self.take();
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input, &mut self.out);
        if !self.hold_events {
            self.pass_events();
        }
    }

    fn pass_events(&mut self) {
        let outputs: Vec<Output> = self.out.drain().collect();
        for output in outputs {
            match output {
                Output::RunEvent { token, .. } => self.event_ended(token, Outcome::Passed),
                other => self.out.push(other),
            }
        }
    }

    fn event_ended(&mut self, token: OwnToken, outcome: Outcome) {
        let input = Input::EventDone { token, outcome };
        self.node.handle(self.now, input, &mut self.out);
    }

    fn take(&mut self) -> Vec<Output> {
        self.out.drain().collect()
    }

    /// Sends a control and returns all that follows, the reply among it.
    fn ask(&mut self, source: Pnn, request: Request) -> Vec<Output> {
        assert!(Membership::answers(&request), "{request:?}");
        self.take();
        self.tokens += 1;
        self.input(Input::Control {
            token: Token(self.tokens),
            source,
            request,
        });
        self.take()
    }

    /// Sends a control that is answered at once; its status and data.
    fn answer(&mut self, source: Pnn, request: Request) -> (i32, Vec<u8>) {
        let outputs = self.ask(source, request);
        reply(&outputs).unwrap_or_else(|| panic!("no reply in {outputs:?}"))
    }

    fn status(&mut self, source: Pnn, request: Request) -> i32 {
        self.answer(source, request).0
    }

    /// Lets time pass, with all timers.
    fn wait(&mut self, duration: Duration) -> Vec<Output> {
        let end = self.now + duration;
        while let Some(due) = self.node.poll_timeout().filter(|&due| due <= end) {
            self.now = due.max(self.now);
            self.input(Input::Timer);
        }
        self.now = end;
        self.take()
    }

    /// The others send something again and again, so that they do not count as dead.
    fn wait_among_living(&mut self, seconds: u64) -> Vec<Output> {
        let mut outputs = Vec::new();
        for _ in 0..seconds {
            self.node.heard(OTHER);
            self.node.heard(THIRD);
            outputs.extend(self.wait(Duration::from_secs(1)));
        }
        outputs
    }

    /// A recovery as a leader without a cluster lock commands it.
    fn recover(&mut self, leader: Pnn, generation: u32) -> Vec<Output> {
        self.recover_with(leader, vnn_map(generation))
    }

    fn recover_with(&mut self, leader: Pnn, map: VnnMap) -> Vec<Output> {
        let steps = [
            Request::SetRecmode(RecoveryMode::Active),
            Request::StartRecovery,
            Request::SetVnnMap(map),
            Request::SetRecmode(RecoveryMode::Normal),
            Request::EndRecovery,
        ];
        let mut outputs = Vec::new();
        for step in steps {
            let mut these = self.ask(leader, step);
            if let Some(token) = lock_question(&these) {
                let status = 0;
                self.input(Input::ControlReply {
                    token,
                    status,
                    data: Vec::new(),
                });
                these.extend(self.take());
            }
            assert_eq!(reply(&these), Some((0, Vec::new())), "{these:?}");
            outputs.extend(these);
        }
        outputs
    }

    fn running() -> Self {
        let mut bench = Self::plain();
        bench.recover(OTHER, 7);
        bench.input(Input::StartedUp);
        bench.input(Input::Health { healthy: true });
        bench.take();
        assert_eq!(bench.node.run_state(), RunState::Running);
        bench
    }
}

fn vnn_map(generation: u32) -> VnnMap {
    VnnMap {
        generation: Generation(generation),
        map: vec![ME, OTHER, THIRD],
    }
}

fn reply(outputs: &[Output]) -> Option<(i32, Vec<u8>)> {
    outputs.iter().find_map(|output| match output {
        Output::Reply { status, data, .. } => Some((*status, data.clone())),
        _ => None,
    })
}

fn errors(outputs: &[Output]) -> Vec<&str> {
    let mut errors = Vec::new();
    for output in outputs {
        if let Output::Reply { error, .. } = output {
            errors.push(error.as_deref().unwrap_or(""));
        }
    }
    errors
}

fn lock_question(outputs: &[Output]) -> Option<OwnToken> {
    outputs.iter().find_map(|output| match output {
        Output::Control {
            token,
            request: Request::GetReclockFile,
            ..
        } => *token,
        _ => None,
    })
}

fn notifications(outputs: &[Output]) -> Vec<&Notification> {
    let mut notifications = Vec::new();
    for output in outputs {
        if let Output::Notify(notification) = output {
            notifications.push(notification);
        }
    }
    notifications
}

/// The one event that runs.
fn event(outputs: &[Output]) -> Option<(OwnToken, Event)> {
    let mut events = outputs.iter().filter_map(|output| match output {
        Output::RunEvent { token, event } => Some((*token, *event)),
        _ => None,
    });
    let first = events.next();
    assert_eq!(events.next(), None, "one at a time");
    first
}

fn shutdown(outputs: &[Output]) -> Option<i32> {
    outputs.iter().find_map(|output| match output {
        Output::Shutdown { exit_code, .. } => Some(*exit_code),
        _ => None,
    })
}

fn flags_of(bench: &Bench, pnn: Pnn) -> NodeFlags {
    bench.node.node_map().get(pnn).unwrap().flags
}

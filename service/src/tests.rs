//! The service manager as a whole, in virtual time, with an event daemon played by hand.

mod random;

use core::time::Duration;

use wire::event::{Event, Outcome, Reply, Request};
use wire::types::RunState;
use wire::{ReqId, Time};

use super::*;

const SETTINGS: Settings = Settings {
    present: true,
    limits: Limits {
        event: 30,
        monitor_interval: 15,
        monitor_timeouts: 3,
    },
};

/// A node that runs and is well.
const WELL: View = View {
    run_state: RunState::Running,
    in_recovery: false,
    inactive: false,
    all_frozen: false,
    unhealthy: false,
};

/// A service manager under test, and what it wanted since the last look.
struct Bench {
    service: Service,
    view: View,
    now: Time,
    out: Vec<Output>,
    last: u64,
}

impl Bench {
    /// Whose event daemon is not up.
    fn down() -> Self {
        Self::with(SETTINGS)
    }

    fn with(settings: Settings) -> Self {
        Self {
            service: Service::new(settings),
            view: View::default(),
            now: Time::ZERO,
            out: Vec::new(),
            last: 0,
        }
    }

    fn up() -> Self {
        let mut bench = Self::down();
        bench.input(Input::Eventd(Eventd::Up));
        bench
    }

    /// RUNNING and healthy, between two looks.
    fn running() -> Self {
        let mut bench = Self::up();
        bench.see(View {
            unhealthy: true,
            ..WELL
        });
        let looked = bench.wait(Duration::from_millis(500));
        bench.reply(asked(&looked).unwrap().0, 0);
        assert_eq!(bench.health(), [true]);
        bench
    }

    fn input(&mut self, input: Input) {
        self.service.handle(self.now, input, &mut self.out);
    }

    fn see(&mut self, view: View) {
        self.view = view;
        self.input(Input::Node(view));
    }

    /// Asks for an event.
    fn run(&mut self, event: Event, arguments: &str) -> EventId {
        self.last += 1;
        let id = EventId(self.last);
        self.input(Input::Run {
            id,
            event,
            arguments: arguments.into(),
        });
        id
    }

    fn reply(&mut self, reqid: ReqId, result: i32) {
        self.input(Input::Eventd(Eventd::Reply(reqid, Reply::Run(result))));
    }

    fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// What became of the node's health since the last look; the node's flag follows.
    fn health(&mut self) -> Vec<bool> {
        let outputs = self.take();
        let healths = outputs.iter().filter_map(|output| match output {
            Output::Health { healthy } => Some(*healthy),
            _ => None,
        });
        let healths: Vec<bool> = healths.collect();
        if let Some(healthy) = healths.last() {
            self.see(View {
                unhealthy: !healthy,
                ..self.view
            });
        }
        healths
    }

    /// Lets time pass, with all timers; whoever asks for a sign of life gets it.
    fn wait(&mut self, duration: Duration) -> Vec<Output> {
        let end = self.now + duration;
        let mut seen = self.take();
        while let Some(due) = self.service.poll_timeout().filter(|&due| due <= end) {
            self.now = due.max(self.now);
            self.input(Input::Timer);
            for output in self.take() {
                match output {
                    Output::Ask {
                        reqid,
                        request: Request::Status(_),
                    } => {
                        let reply = Reply::Status(Err(std::num::NonZeroI32::new(22).unwrap()));
                        self.input(Input::Eventd(Eventd::Reply(reqid, reply)));
                    }
                    other => seen.push(other),
                }
            }
        }
        self.now = end;
        seen
    }

    /// How long until the event `monitor` is asked for, and its request.
    fn next_look(&mut self) -> (Duration, ReqId) {
        let begin = self.now;
        loop {
            let due = self.service.poll_timeout().expect("a look is due");
            let outputs = self.wait(due.since(self.now));
            if let Some((reqid, "monitor")) = asked(&outputs) {
                return (self.now.since(begin), reqid);
            }
        }
    }
}

/// The one event that the event daemon is asked for.
fn asked(outputs: &[Output]) -> Option<(ReqId, &'static str)> {
    let mut runs = outputs.iter().filter_map(|output| match output {
        Output::Ask {
            reqid,
            request: Request::Run(run),
        } => Some((*reqid, run.event.to_str()?.into_owned())),
        _ => None,
    });
    let (reqid, name) = runs.next()?;
    assert_eq!(runs.next(), None);
    let event = Event::ALL.into_iter().find(|event| event.name() == name);
    Some((reqid, event?.name()))
}

fn done(outputs: &[Output]) -> Vec<(EventId, Outcome)> {
    let ends = outputs.iter().filter_map(|output| match output {
        Output::Done { id, outcome } => Some((*id, *outcome)),
        _ => None,
    });
    ends.collect()
}

#[test]
fn an_event_is_asked_for_and_its_end_told_once() {
    let mut bench = Bench::up();
    let id = bench.run(Event::ReleaseIp, "eth0 10.0.0.1 24");
    let outputs = bench.take();
    let [
        Output::Ask {
            reqid,
            request: Request::Run(run),
        },
        ..,
    ] = &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!(run.component, Text::from("legacy"));
    assert_eq!(run.event, Text::from("releaseip"));
    assert_eq!(run.args, Text::from("eth0 10.0.0.1 24"));
    assert_eq!(run.timeout, 30);
    let reqid = *reqid;
    bench.reply(reqid, 8);
    assert_eq!(done(&bench.take()), [(id, Outcome::Failed)]);
    bench.reply(reqid, 0);
    assert_eq!(bench.take(), []);
}

#[test]
fn within_a_recovery_some_events_are_refused() {
    let mut bench = Bench::up();
    for event in Event::ALL {
        let arguments = ["a"; 4][..event.argument_count()].join(" ");
        let id = bench.run(event, &arguments);
        let outputs = bench.take();
        if event.runs_in_recovery() {
            assert_eq!(asked(&outputs).map(|(_, name)| name), Some(event.name()));
        } else {
            assert_eq!(done(&outputs), [(id, Outcome::Refused)]);
        }
    }
}

#[test]
fn the_number_of_arguments_is_that_of_the_event() {
    let mut bench = Bench::up();
    bench.see(WELL);
    for (event, arguments) in [
        (Event::Recovered, "superfluous"),
        (Event::TakeIp, "eth0 10.0.0.1"),
        (Event::UpdateIp, "eth0 10.0.0.1 24"),
    ] {
        let id = bench.run(event, arguments);
        assert_eq!(done(&bench.take()), [(id, Outcome::Refused)]);
    }
}

#[test]
fn no_recovery_waits_for_a_script_that_hangs() {
    let mut bench = Bench::up();
    bench.see(WELL);
    for (event, arguments, outcome) in [
        (Event::StartRecovery, "", Outcome::Passed),
        (Event::Recovered, "", Outcome::Passed),
        (Event::TakeIp, "eth0 10.0.0.1 24", Outcome::TimedOut),
        (Event::ReleaseIp, "eth0 10.0.0.1 24", Outcome::TimedOut),
        (Event::UpdateIp, "eth0 eth1 10.0.0.1 24", Outcome::TimedOut),
        (Event::Ipreallocated, "", Outcome::TimedOut),
    ] {
        let id = bench.run(event, arguments);
        let reqid = asked(&bench.take()).unwrap().0;
        bench.reply(reqid, 110);
        assert_eq!(done(&bench.take()), [(id, outcome)], "{event}");
    }
}

#[test]
fn without_an_event_daemon_all_events_pass_at_once() {
    let mut bench = Bench::with(Settings {
        present: false,
        ..SETTINGS
    });
    let id = bench.run(Event::Setup, "");
    assert_eq!(done(&bench.take()), [(id, Outcome::Passed)]);
    bench.see(View {
        run_state: RunState::Startup,
        unhealthy: true,
        ..WELL
    });
    assert_eq!(bench.take()[1], Output::StartedUp);
    bench.see(View {
        unhealthy: true,
        ..WELL
    });
    bench.out = bench.wait(Duration::from_millis(500));
    assert_eq!(bench.health(), [true]);
    bench.out = bench.wait(Duration::from_secs(600));
    assert_eq!(bench.health(), [false; 0]);
}

#[test]
fn an_event_waits_for_an_event_daemon_that_comes() {
    let mut bench = Bench::down();
    let first = bench.run(Event::Setup, "");
    let second = bench.run(Event::Ipreallocated, "");
    assert_eq!(bench.wait(Duration::from_secs(3)), []);
    bench.input(Input::Eventd(Eventd::Up));
    let outputs = bench.take();
    let reqids: Vec<ReqId> = outputs
        .iter()
        .filter_map(|output| asked(core::slice::from_ref(output)))
        .map(|(reqid, _)| reqid)
        .collect();
    bench.reply(reqids[0], 0);
    bench.reply(reqids[1], 0);
    let ends = [(first, Outcome::Passed), (second, Outcome::Passed)];
    assert_eq!(done(&bench.take()), ends);
}

#[test]
fn an_event_without_an_event_daemon_ends_all_the_same() {
    let mut bench = Bench::down();
    let id = bench.run(Event::Setup, "");
    assert_eq!(bench.wait(Duration::from_millis(34_999)), []);
    let outputs = bench.wait(Duration::from_millis(1));
    assert_eq!(
        outputs,
        [Output::Done {
            id,
            outcome: Outcome::Lost
        }]
    );
}

#[test]
fn an_event_daemon_that_dies_fails_what_it_runs() {
    let mut bench = Bench::up();
    let id = bench.run(Event::StartRecovery, "");
    bench.take();
    bench.input(Input::Eventd(Eventd::Down));
    assert_eq!(
        bench.take(),
        [Output::Done {
            id,
            outcome: Outcome::Lost
        }]
    );
    bench.input(Input::Eventd(Eventd::Up));
    assert_eq!(bench.take(), []);
}

/// It is asked 2 seconds into the event, and given up 6 seconds later.
#[test]
fn an_event_daemon_that_hangs_is_killed_and_holds_up_no_recovery() {
    let mut bench = Bench::up();
    let id = bench.run(Event::StartRecovery, "");
    bench.take();
    bench.now = Time::ZERO + Duration::from_secs(2);
    bench.input(Input::Timer);
    let asks = bench.take();
    assert!(matches!(
        asks[..],
        [Output::Ask {
            request: Request::Status(_),
            ..
        }]
    ));
    bench.now += Duration::from_secs(6);
    bench.input(Input::Timer);
    assert!(matches!(bench.take()[..], [Output::Restart { .. }]));
    bench.input(Input::Timer);
    assert_eq!(bench.take(), [], "killed once");
    bench.input(Input::Eventd(Eventd::Down));
    assert_eq!(
        bench.take(),
        [Output::Done {
            id,
            outcome: Outcome::Passed
        }]
    );
}

#[test]
fn a_script_that_takes_its_time_is_no_event_daemon_that_hangs() {
    let mut bench = Bench::up();
    let id = bench.run(Event::Ipreallocated, "");
    bench.take();
    let outputs = bench.wait(Duration::from_secs(35));
    assert_eq!(
        outputs,
        [Output::Done {
            id,
            outcome: Outcome::TimedOut
        }]
    );
}

#[test]
fn startup_is_run_until_it_passes() {
    let mut bench = Bench::up();
    let started = View {
        run_state: RunState::Startup,
        unhealthy: true,
        ..WELL
    };
    bench.see(View {
        in_recovery: true,
        ..started
    });
    assert_eq!(bench.take(), [], "not within a recovery");
    bench.see(started);
    for result in [8, 110, 2] {
        let (reqid, name) = asked(&bench.take()).unwrap();
        assert_eq!(name, "startup");
        bench.reply(reqid, result);
        assert_eq!(bench.wait(Duration::from_millis(4_999)), []);
        bench.out = bench.wait(Duration::from_millis(1));
    }
    let (reqid, _) = asked(&bench.take()).unwrap();
    bench.reply(reqid, 0);
    let milestone = Output::Milestone(Milestone::Startup);
    assert_eq!(bench.take(), [milestone, Output::StartedUp]);
    assert_eq!(bench.wait(Duration::from_secs(60)), [], "once");
}

#[test]
fn looks_become_rarer() {
    let mut bench = Bench::running();
    for pause in [5, 10, 15, 15] {
        let (waited, reqid) = bench.next_look();
        assert_eq!(waited, Duration::from_secs(pause));
        bench.reply(reqid, 0);
        assert_eq!(bench.health(), [false; 0]);
    }
    let (_, reqid) = bench.next_look();
    bench.reply(reqid, 8);
    assert_eq!(bench.health(), [false]);
    for pause in [5, 10, 15] {
        let (waited, reqid) = bench.next_look();
        assert_eq!(waited, Duration::from_secs(pause));
        bench.reply(reqid, 8);
        assert_eq!(bench.health(), [false; 0]);
    }
    let (_, reqid) = bench.next_look();
    bench.reply(reqid, 0);
    assert_eq!(bench.health(), [true]);
    assert_eq!(bench.next_look().0, Duration::from_secs(5));
}

/// Addresses are placed anew whenever one of the nodes becomes healthy, and `monitor` makes place for that.
#[test]
fn the_first_look_is_soon_repeated_if_it_is_disturbed() {
    let mut bench = Bench::up();
    bench.see(View {
        unhealthy: true,
        ..WELL
    });
    for result in [125, 125, 0] {
        let (waited, reqid) = bench.next_look();
        assert_eq!(waited, Duration::from_millis(500));
        bench.reply(reqid, result);
    }
    assert_eq!(bench.health(), [true]);
    let (waited, reqid) = bench.next_look();
    bench.reply(reqid, 125);
    assert_eq!(waited, Duration::from_secs(5));
    assert_eq!(bench.next_look().0, Duration::from_secs(10));
}

#[test]
fn so_many_looks_may_time_out() {
    let mut bench = Bench::running();
    for (result, healths) in [
        (110, &[][..]),
        (125, &[]),
        (110, &[]),
        (0, &[]),
        (110, &[]),
        (110, &[]),
        (110, &[false]),
        (110, &[]),
        (0, &[true]),
        (110, &[]),
    ] {
        let (_, reqid) = bench.next_look();
        bench.reply(reqid, result);
        assert_eq!(bench.health(), healths, "{result}");
    }
}

/// Once is bad luck: another one is started.
#[test]
fn a_node_whose_event_daemon_stays_away_is_unhealthy() {
    let mut bench = Bench::running();
    bench.next_look();
    bench.input(Input::Eventd(Eventd::Down));
    assert_eq!(bench.health(), [false; 0]);
    bench.out = bench.wait(Duration::from_secs(5));
    assert_eq!(bench.health(), [false]);
    bench.input(Input::Eventd(Eventd::Up));
    let (waited, reqid) = bench.next_look();
    assert_eq!(waited, Duration::from_secs(5));
    bench.reply(reqid, 0);
    assert_eq!(bench.health(), [true]);
}

#[test]
fn an_inactive_node_does_not_look() {
    for view in [
        View {
            in_recovery: true,
            ..WELL
        },
        View {
            inactive: true,
            ..WELL
        },
        View {
            all_frozen: true,
            ..WELL
        },
    ] {
        let mut bench = Bench::running();
        bench.see(view);
        assert_eq!(bench.wait(Duration::from_secs(60)), []);
        bench.see(WELL);
        assert!(bench.next_look().0 <= Duration::from_millis(500));
    }
}

#[test]
fn no_look_at_the_end() {
    let mut bench = Bench::running();
    let (_, reqid) = bench.next_look();
    bench.see(View {
        run_state: RunState::Shutdown,
        ..WELL
    });
    bench.reply(reqid, 8);
    assert_eq!(bench.health(), [false; 0]);
    assert_eq!(bench.service.poll_timeout(), None);
}

//! Whatever happens, in whatever order: every event that was asked for ends, once, and the event
//! daemon is asked for nothing while it is not there.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Run(Event),
    Up,
    Down,
    Reply(usize, i32),
    See(View),
    Wait(u32),
}

fn view() -> impl Strategy<Value = View> {
    let states = prop_oneof![
        1 => Just(RunState::Setup),
        1 => Just(RunState::Startup),
        4 => Just(RunState::Running),
        1 => Just(RunState::Shutdown),
    ];
    let fields = (
        states,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    fields.prop_map(
        |(run_state, in_recovery, inactive, all_frozen, unhealthy)| View {
            run_state,
            in_recovery,
            inactive,
            all_frozen,
            unhealthy,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..Event::ALL.len()).prop_map(|index| Step::Run(Event::ALL[index])),
        2 => Just(Step::Up),
        1 => Just(Step::Down),
        4 => (any::<usize>(), prop_oneof![Just(0), Just(8), Just(110), Just(125), Just(5)])
            .prop_map(|(index, result)| Step::Reply(index, result)),
        2 => view().prop_map(Step::See),
        2 => (0_u32..40_000).prop_map(Step::Wait),
    ]
}

/// The outside: what is open there.
#[derive(Default)]
struct World {
    up: bool,
    asked: Vec<ReqId>,
    open: BTreeSet<EventId>,
}

impl World {
    fn note(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Ask { reqid, request } => {
                    assert!(
                        self.up,
                        "asked for {request:?} while there is no event daemon"
                    );
                    self.asked.push(reqid);
                }
                Output::Done { id, .. } => assert!(self.open.remove(&id), "{id:?} ended twice"),
                _ => {}
            }
        }
    }

    fn step(&mut self, bench: &mut Bench, step: Step) {
        match step {
            Step::Run(event) => {
                let arguments = ["a"; 4][..event.argument_count()].join(" ");
                self.open.insert(EventId(bench.last + 1));
                bench.run(event, &arguments);
            }
            Step::Up if !self.up => {
                self.up = true;
                bench.input(Input::Eventd(Eventd::Up));
            }
            Step::Down if self.up => {
                self.up = false;
                self.asked.clear();
                bench.input(Input::Eventd(Eventd::Down));
            }
            Step::Reply(index, result) if !self.asked.is_empty() => {
                let reqid = self.asked.remove(index % self.asked.len());
                bench.reply(reqid, result);
            }
            Step::See(view) => bench.see(view),
            Step::Wait(millis) => self.wait(bench, Duration::from_millis(millis.into())),
            Step::Up | Step::Down | Step::Reply(..) => {}
        }
        self.note(bench.take());
    }

    fn wait(&mut self, bench: &mut Bench, duration: Duration) {
        let end = bench.now + duration;
        while let Some(due) = bench.service.poll_timeout().filter(|&due| due <= end) {
            bench.now = due.max(bench.now);
            bench.input(Input::Timer);
            self.note(bench.take());
            let later = bench.service.poll_timeout();
            assert!(
                later.is_none_or(|later| later > bench.now),
                "a timer stays due"
            );
        }
        bench.now = end;
    }
}

proptest! {
    #[test]
    fn rules_hold(steps in prop::collection::vec(step(), 1..80)) {
        let mut bench = Bench::down();
        let mut world = World::default();
        for step in steps {
            world.step(&mut bench, step);
        }
        world.wait(&mut bench, Duration::from_secs(36));
        prop_assert!(world.open.is_empty(), "{:?} never ended", world.open);
    }
}

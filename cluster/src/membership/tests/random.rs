//! Whatever comes, in whatever order: no panic, one reply each, and the rules of an inactive node.

use proptest::prelude::*;
use wire::types::{BanState, NodeFlagChange};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Ask(Pnn, Request),
    Input(Input),
    LockChecked(LockOutcome),
    LeadersLock(i32),
    EventEnded(Outcome),
    Wait(u16),
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::SetRecmode(RecoveryMode::Active)),
        Just(Request::SetRecmode(RecoveryMode::Normal)),
        Just(Request::StartRecovery),
        Just(Request::EndRecovery),
        Just(Request::Ipreallocated),
        Just(Request::StopNode),
        Just(Request::ContinueNode),
        Just(Request::GetNodemap),
        (2_u32..9).prop_map(|generation| Request::SetVnnMap(vnn_map(generation))),
        (0_u32..3).prop_map(|time| Request::SetBanState(BanState { pnn: ME, time })),
        (0_u32..4, 0_u32..64).prop_map(|(pnn, flags)| {
            let new_flags = NodeFlags::from_bits_retain(flags);
            let old_flags = NodeFlags::empty();
            Request::ModifyFlags(NodeFlagChange {
                pnn: Pnn(pnn),
                new_flags,
                old_flags,
            })
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let inputs = prop_oneof![
        (0_u32..4).prop_map(|pnn| Input::Connected(Pnn(pnn))),
        (0_u32..4).prop_map(|pnn| Input::Disconnected(Pnn(pnn))),
        any::<bool>().prop_map(Input::DatabaseGenerationsDiffer),
        any::<bool>().prop_map(Input::AllFrozen),
        any::<bool>().prop_map(|healthy| Input::Health { healthy }),
        Just(Input::StartedUp),
        Just(Input::RecoveryNeeded {
            reason: String::new()
        }),
    ];
    let outcomes = prop_oneof![
        Just(LockOutcome::Taken),
        Just(LockOutcome::Contended),
        Just(LockOutcome::TimedOut),
    ];
    prop_oneof![
        6 => (0_u32..3, request()).prop_map(|(pnn, request)| Step::Ask(Pnn(pnn), request)),
        2 => inputs.prop_map(Step::Input),
        1 => outcomes.prop_map(Step::LockChecked),
        1 => (-1..1).prop_map(Step::LeadersLock),
        2 => prop_oneof![Just(Outcome::Passed), Just(Outcome::Failed), Just(Outcome::Lost)]
            .prop_map(Step::EventEnded),
        1 => (0_u16..3000).prop_map(Step::Wait),
    ]
}

/// What the node asked for and was not told yet.
#[derive(Default)]
struct Open {
    replies: Vec<Token>,
    checks: Vec<OwnToken>,
    questions: Vec<OwnToken>,
    events: Vec<OwnToken>,
}

impl Open {
    fn note(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Reply { token, .. } => {
                    let place = self.replies.iter().position(|open| open == token);
                    self.replies.remove(place.expect("one reply each"));
                }
                Output::CheckClusterLock(token) => self.checks.push(*token),
                Output::RunEvent { token, .. } => self.events.push(*token),
                Output::Control {
                    token: Some(token), ..
                } => self.questions.push(*token),
                _ => {}
            }
        }
    }
}

fn carry_out(bench: &mut Bench, open: &mut Open, step: Step) {
    match step {
        Step::Ask(source, request) => {
            bench.tokens += 1;
            let token = Token(bench.tokens);
            open.replies.push(token);
            bench.input(Input::Control {
                token,
                source,
                request,
            });
        }
        Step::Input(input) => bench.input(input),
        Step::LockChecked(outcome) => {
            if let Some(token) = open.checks.pop() {
                bench.input(Input::LockChecked {
                    token,
                    outcome,
                    latency: 0.1,
                });
            }
        }
        Step::LeadersLock(status) => {
            if let Some(token) = open.questions.pop() {
                let data = format!("{LOCK}\0").into_bytes();
                bench.input(Input::ControlReply {
                    token,
                    status,
                    data,
                });
            }
        }
        Step::EventEnded(outcome) => {
            if let Some(token) = open.events.pop() {
                bench.event_ended(token, outcome);
            }
        }
        Step::Wait(millis) => {
            let outputs = bench.wait(Duration::from_millis(millis.into()));
            open.note(&outputs);
        }
    }
    open.note(&bench.take());
}

proptest! {
    #[test]
    fn rules_hold(steps in prop::collection::vec(step(), 1..60)) {
        let mut bench = Bench::with_lock();
        bench.hold_events = true;
        let mut open = Open::default();
        for step in steps {
            carry_out(&mut bench, &mut open, step);
            let inactive = !bench.node.is_active(ME);
            let stays = bench.node.in_recovery()
                && bench.node.vnn_map().generation == Generation::INVALID;
            prop_assert!(!inactive || stays, "an inactive node takes part");
            prop_assert!(bench.node.is_connected(ME));
            prop_assert!(bench.node.poll_timeout().is_none_or(|due| due > bench.now));
        }
        let checks: Vec<_> = open.checks.drain(..).collect();
        for token in checks {
            bench.input(Input::LockChecked { token, outcome: LockOutcome::TimedOut, latency: 5.0 });
        }
        let questions: Vec<_> = open.questions.drain(..).collect();
        for token in questions {
            bench.input(Input::ControlReply { token, status: -1, data: vec![] });
        }
        open.note(&bench.take());
        while let Some(token) = open.events.pop() {
            bench.event_ended(token, Outcome::Passed);
            open.note(&bench.take());
        }
        prop_assert_eq!(open.replies, vec![], "all were answered");
    }
}

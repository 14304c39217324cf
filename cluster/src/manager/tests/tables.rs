//! The state tables, whole: any change of a transition shows here.

use core::fmt::Debug;

use wire::Pnn;

use crate::manager::recovery::{self, Phase};
use crate::manager::{cluster_lock, election, leader, member, monitor, takeover};

/// One line for each state and event that does something.
fn table<S: Debug + Copy + PartialEq, E: Debug + Copy, R: Debug>(
    states: &[S],
    events: &[E],
    next: impl Fn(S, E) -> (S, R),
    nothing: &str,
) -> String {
    let mut lines = String::new();
    for &state in states {
        for &event in events {
            let (after, effect) = next(state, event);
            let effect = format!("{effect:?}");
            if after == state && effect == nothing {
                continue;
            }
            let effect = if effect == nothing {
                String::new()
            } else {
                format!("  {effect}")
            };
            lines += &format!("{state:?} + {event:?} -> {after:?}{effect}\n");
        }
    }
    lines
}

#[test]
fn election() {
    use election::{Event, State};
    let states = [State::Idle, State::Voting, State::Racing];
    let events = [
        Event::Call,
        Event::Race,
        Event::Summons,
        Event::Gun,
        Event::Worse,
        Event::Better,
        Event::Resend,
        Event::PeriodOver,
        Event::Won,
        Event::NotWon,
    ];
    insta::assert_snapshot!(table(&states, &events, election::next, "[]"), @"
    Idle + Call -> Voting  [Forget, Suspend, Announce, Extend, Cast]
    Idle + Race -> Racing  [Forget, Suspend, Announce, TakeLock]
    Idle + Summons -> Voting  [Extend]
    Idle + Gun -> Racing  [Forget, TakeLock]
    Idle + Worse -> Voting  [Extend, Schedule]
    Idle + Better -> Voting  [Extend, Unschedule, Yield]
    Voting + Worse -> Voting  [Extend, Schedule]
    Voting + Better -> Voting  [Extend, Unschedule, Yield]
    Voting + Resend -> Voting  [Cast]
    Voting + PeriodOver -> Idle  [Conclude]
    Racing + Won -> Idle  [Lead]
    Racing + NotWon -> Idle
    ");
}

#[test]
fn leader() {
    use leader::{Event, State};
    let states = [State::Unknown, State::Follower(Pnn(1)), State::Leader];
    let events = [
        Event::ClaimForUs,
        Event::ClaimWithLock(Pnn(1)),
        Event::Claim(Pnn(1)),
        Event::Claim(Pnn(2)),
        Event::Follow(Pnn(2)),
        Event::Lead,
        Event::Forget,
        Event::Silence,
    ];
    insta::assert_snapshot!(table(&states, &events, leader::next, "None"), @"
    Unknown + Claim(Pnn(1)) -> Follower(Pnn(1))  Changed
    Unknown + Claim(Pnn(2)) -> Follower(Pnn(2))  Changed
    Unknown + Follow(Pnn(2)) -> Follower(Pnn(2))  Changed
    Unknown + Lead -> Leader  Changed
    Unknown + Forget -> Unknown  Listen
    Unknown + Silence -> Unknown  Elect
    Follower(Pnn(1)) + Claim(Pnn(1)) -> Follower(Pnn(1))  Listen
    Follower(Pnn(1)) + Claim(Pnn(2)) -> Follower(Pnn(2))  Changed
    Follower(Pnn(1)) + Follow(Pnn(2)) -> Follower(Pnn(2))  Changed
    Follower(Pnn(1)) + Lead -> Leader  Changed
    Follower(Pnn(1)) + Forget -> Unknown  Changed
    Follower(Pnn(1)) + Silence -> Unknown  Elect
    Leader + ClaimWithLock(Pnn(1)) -> Leader  Broadcast
    Leader + Claim(Pnn(1)) -> Leader  Dispute
    Leader + Claim(Pnn(2)) -> Leader  Dispute
    Leader + Follow(Pnn(2)) -> Follower(Pnn(2))  Changed
    Leader + Lead -> Leader  Broadcast
    Leader + Forget -> Unknown  Changed
    ");
}

#[test]
fn cluster_lock() {
    use cluster_lock::{Event, State};
    let states = [State::Free, State::Taking, State::Held];
    let events = [
        Event::Take,
        Event::Release,
        Event::Taken,
        Event::Refused,
        Event::Lost,
    ];
    insta::assert_snapshot!(table(&states, &events, cluster_lock::next, "None"), @"
    Free + Take -> Taking  Start
    Free + Taken -> Free  Stop
    Taking + Release -> Free  Stop
    Taking + Taken -> Held  Won
    Taking + Refused -> Free  NotWon
    Taking + Lost -> Free  NotWon
    Held + Release -> Free  Stop
    Held + Refused -> Free  Deposed
    Held + Lost -> Free  Deposed
    ");
}

#[test]
fn monitor() {
    use monitor::{Event, State};
    let states = [State::Idle, State::Asking, State::Pushing];
    let events = [Event::Ask, Event::Agreed, Event::Disagreed, Event::Failed];
    let next = |state, event| (monitor::next(state, event), ());
    insta::assert_snapshot!(table(&states, &events, next, "()"), @"
    Idle + Ask -> Asking
    Asking + Agreed -> Idle
    Asking + Disagreed -> Pushing
    Asking + Failed -> Idle
    Pushing + Ask -> Asking
    Pushing + Agreed -> Idle
    Pushing + Disagreed -> Idle
    Pushing + Failed -> Idle
    ");
}

#[test]
fn recovery() {
    let phases = [
        Phase::Nodemap,
        Phase::Verify,
        Phase::Capabilities,
        Phase::Generations,
        Phase::DbMap,
        Phase::Activate,
        Phase::Start,
        Phase::VnnMap,
        Phase::Databases,
        Phase::Normalize,
        Phase::End,
        Phase::Complete,
        Phase::Failed,
    ];
    let events = [recovery::Event::Answered, recovery::Event::Fault];
    let next = |phase, event| (recovery::next(phase, event), ());
    insta::assert_snapshot!(table(&phases, &events, next, "()"), @"
    Nodemap + Answered -> Verify
    Nodemap + Fault -> Failed
    Verify + Answered -> Capabilities
    Verify + Fault -> Failed
    Capabilities + Answered -> Generations
    Capabilities + Fault -> Failed
    Generations + Answered -> DbMap
    Generations + Fault -> Failed
    DbMap + Answered -> Activate
    DbMap + Fault -> Failed
    Activate + Answered -> Start
    Activate + Fault -> Failed
    Start + Answered -> VnnMap
    Start + Fault -> Failed
    VnnMap + Answered -> Databases
    VnnMap + Fault -> Failed
    Databases + Answered -> Normalize
    Databases + Fault -> Failed
    Normalize + Answered -> End
    Normalize + Fault -> Failed
    End + Answered -> Complete
    End + Fault -> Failed
    ");
}

#[test]
fn database() {
    use recovery::database::{Event, State, next};
    let states = [
        State::Naming,
        State::Attaching,
        State::Freezing,
        State::Beginning,
        State::Counting,
        State::Pulling,
        State::Wiping,
        State::Opening,
        State::Pushing,
        State::Confirming,
        State::Committing,
        State::Thawing,
        State::Done,
        State::Failed,
    ];
    let events = [
        Event::Answered,
        Event::AnsweredCounted,
        Event::AnsweredMore,
        Event::Fault,
    ];
    insta::assert_snapshot!(table(&states, &events, |s, e| (next(s, e), ()), "()"), @"
    Naming + Answered -> Attaching
    Naming + AnsweredCounted -> Attaching
    Naming + AnsweredMore -> Attaching
    Naming + Fault -> Failed
    Attaching + Answered -> Freezing
    Attaching + AnsweredCounted -> Freezing
    Attaching + AnsweredMore -> Freezing
    Attaching + Fault -> Failed
    Freezing + Answered -> Beginning
    Freezing + AnsweredCounted -> Beginning
    Freezing + AnsweredMore -> Beginning
    Freezing + Fault -> Failed
    Beginning + Answered -> Pulling
    Beginning + AnsweredCounted -> Counting
    Beginning + AnsweredMore -> Pulling
    Beginning + Fault -> Failed
    Counting + Answered -> Pulling
    Counting + AnsweredCounted -> Pulling
    Counting + AnsweredMore -> Pulling
    Counting + Fault -> Failed
    Pulling + Answered -> Wiping
    Pulling + AnsweredCounted -> Wiping
    Pulling + AnsweredMore -> Wiping
    Pulling + Fault -> Failed
    Wiping + Answered -> Opening
    Wiping + AnsweredCounted -> Opening
    Wiping + AnsweredMore -> Opening
    Wiping + Fault -> Failed
    Opening + Answered -> Pushing
    Opening + AnsweredCounted -> Pushing
    Opening + AnsweredMore -> Pushing
    Opening + Fault -> Failed
    Pushing + Answered -> Confirming
    Pushing + AnsweredCounted -> Confirming
    Pushing + Fault -> Failed
    Confirming + Answered -> Committing
    Confirming + AnsweredCounted -> Committing
    Confirming + AnsweredMore -> Committing
    Confirming + Fault -> Failed
    Committing + Answered -> Thawing
    Committing + AnsweredCounted -> Thawing
    Committing + AnsweredMore -> Thawing
    Committing + Fault -> Failed
    Thawing + Answered -> Done
    Thawing + AnsweredCounted -> Done
    Thawing + AnsweredMore -> Done
    Thawing + Fault -> Failed
    ");
}

#[test]
fn takeover_run() {
    use takeover::{Event, State, next};
    let states = [
        State::Idle,
        State::Knowing,
        State::Available,
        State::Releasing,
        State::Taking,
        State::Reallocating,
    ];
    let events = [
        Event::Begin,
        Event::BeginWithout,
        Event::Done,
        Event::Nothing,
        Event::Failed,
    ];
    insta::assert_snapshot!(table(&states, &events, |s, e| (next(s, e), ()), "()"), @"
    Idle + Begin -> Knowing
    Idle + BeginWithout -> Reallocating
    Knowing + BeginWithout -> Reallocating
    Knowing + Done -> Available
    Knowing + Failed -> Idle
    Available + Begin -> Knowing
    Available + BeginWithout -> Reallocating
    Available + Done -> Releasing
    Available + Nothing -> Reallocating
    Available + Failed -> Idle
    Releasing + Begin -> Knowing
    Releasing + BeginWithout -> Reallocating
    Releasing + Done -> Taking
    Releasing + Failed -> Idle
    Taking + Begin -> Knowing
    Taking + BeginWithout -> Reallocating
    Taking + Done -> Reallocating
    Taking + Failed -> Idle
    Reallocating + Begin -> Knowing
    Reallocating + Done -> Idle
    Reallocating + Failed -> Idle
    ");
}

#[test]
fn member() {
    use member::{Event, State, next};
    let states = [State::Out, State::In];
    let events = [Event::Joined, Event::Replaced, Event::Renewed, Event::Ended];
    insta::assert_snapshot!(table(&states, &events, next, "[]"), @"
    Out + Joined -> In  [Admit]
    Out + Replaced -> In  [Admit]
    In + Joined -> In  [Prolong]
    In + Replaced -> In  [Depose, Admit]
    In + Renewed -> In  [Prolong]
    In + Ended -> Out  [Depose]
    ");
}

//! What a manager does about messages that need no answer.

use wire::control::{Opcode, Request};
use wire::message::Message;
use wire::types::{NodeFlagChange, NodeFlags, RecoveryMode};
use wire::{Pnn, Srvid};

use super::sim::Sim;
use crate::manager::{Input, Output};

fn healthy() -> Sim {
    let mut sim = Sim::new(3, true);
    sim.run_until_healthy();
    sim.run_seconds(20);
    sim
}

/// What node 0's manager does about a message at once.
fn answer(sim: &mut Sim, message: &Message) -> Vec<Output> {
    answer_to(sim, Pnn(0), message)
}

fn answer_to(sim: &mut Sim, source: Pnn, message: &Message) -> Vec<Output> {
    let input = Input::Message {
        source,
        srvid: message.srvid(),
        data: message.to_bytes(),
    };
    sim.input(0, input);
    let (_, _, mut outputs) = sim.recording.pop().expect("recorded");
    outputs.drain().collect()
}

fn change(pnn: u32) -> NodeFlagChange {
    NodeFlagChange {
        pnn: Pnn(pnn),
        new_flags: NodeFlags::UNHEALTHY,
        old_flags: NodeFlags::empty(),
    }
}

#[test]
fn flags_that_a_daemon_pushes_go_to_every_connected_node() {
    let mut sim = healthy();
    sim.kill(2);
    sim.run_until_healthy();
    let outputs = answer(&mut sim, &Message::PushNodeFlags(change(1)));
    let told = |output: &Output| match output {
        Output::Control {
            destination,
            request: Request::ModifyFlags(change),
            ..
        } => Some((*destination, change.clone())),
        _ => None,
    };
    let told: Vec<_> = outputs.iter().filter_map(told).collect();
    assert_eq!(told, [(Pnn(0), change(1)), (Pnn(1), change(1))]);
    assert_eq!(outputs.len(), told.len());
}

#[test]
fn flags_of_a_node_that_is_none_go_nowhere() {
    let mut sim = healthy();
    assert_eq!(answer(&mut sim, &Message::PushNodeFlags(change(7))), []);
}

#[test]
fn only_the_own_daemons_news_of_flags_is_heeded() {
    let mut sim = healthy();
    let news = Message::SetNodeFlags(change(1));
    assert_eq!(answer_to(&mut sim, Pnn(1), &news), []);
    let asks = |outputs: Vec<Output>| {
        let is_question = |output: &Output| matches!(output, Output::Control { .. });
        outputs.iter().any(is_question)
    };
    assert!(asks(answer(&mut sim, &news)), "a round begins at once");
}

#[test]
fn a_node_that_two_takeover_runs_failed_for_is_banned() {
    let mut sim = healthy();
    let leader = sim.leaders()[0];
    let culprit = (leader + 1) % 3;
    let bans = |sim: &Sim| {
        let by = |control: &&(usize, usize, Opcode)| control.2 == Opcode::SetBanState;
        let bans = sim.controls.iter().filter(by);
        bans.map(|ban| (ban.0, ban.1)).collect::<Vec<_>>()
    };
    let banning = Message::Banning(Pnn(culprit as u32));
    sim.broadcast(leader, &banning);
    sim.run_seconds(5);
    assert_eq!(bans(&sim), []);
    sim.broadcast(leader, &banning);
    sim.run_seconds(5);
    assert_eq!(bans(&sim), [(leader, culprit)]);
}

#[test]
fn the_leader_alone_tells_of_the_end_of_a_recovery() {
    let mut sim = healthy();
    let leader = sim.leaders()[0];
    sim.messages.clear();
    for node in &mut sim.nodes {
        node.daemon.recmode = RecoveryMode::Active;
    }
    sim.run_until_healthy();
    sim.run_seconds(5);
    let told = sim.messages.iter();
    let told = told.filter(|(_, message)| message.srvid() == Srvid::RECONFIGURE);
    let senders: Vec<usize> = told.map(|(sender, _)| *sender).collect();
    assert_eq!(senders, [leader]);
}

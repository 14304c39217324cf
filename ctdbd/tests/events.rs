//! ctdbd with Debian's event daemon: event scripts that pass, fail or hang, and an event daemon that is killed or stopped.
//! Skipped where there is none.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

#[expect(dead_code, reason = "another test uses more of it")]
mod node_rig;

use std::fs;
use std::path::Path;
use std::process::Command;

use client::{Client, Pnn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node_rig::{LIMIT, Node, Running, eventually};
use wire::control::{Control, DbAttach, GetNodemap, GetRunstate, SetTunable};
use wire::types::{NodeFlags, RunState, Tunable};

const EVENTD: &str = "/usr/libexec/ctdb/ctdb-eventd";
/// Notes each event, and does with one of them what stands in a file: `fail monitor`, `hang monitor`.
const SCRIPT: &str = "#!/bin/sh\necho \"$@\" >> $CTDB_BASE/events.seen\n\
                      case \"$(cat $CTDB_BASE/order)\" in\n\
                      \"fail $1\") exit 1 ;;\n\"hang $1\") exec sleep 100 ;;\nesac\nexit 0\n";
/// Notes its arguments beside itself, under its own name.
const NOTE: &str = "#!/bin/sh\necho \"$@\" >> \"$0.called\"\n";

/// A node with such a script, or none.
fn node(order: &str) -> Option<Node> {
    if !Path::new(EVENTD).exists() {
        println!("skipped: no {EVENTD}");
        return None;
    }
    let options = "[cluster]\nleader timeout = 1\n[event]\ndebug script = debug.sh\n";
    let node = Node::new(options);
    fs::create_dir_all(node.path("events/legacy")).unwrap();
    node.write("order", order);
    node.write(
        "ctdb.tunables",
        "MonitorInterval=1\nEventScriptTimeout=1\nMonitorTimeoutCount=2\nRerecoveryTimeout=1\n",
    );
    node.script("events/legacy/50.test.script", SCRIPT);
    node.script("debug.sh", NOTE);
    node.script("notify.sh", NOTE);
    Some(node)
}

async fn start(node: &Node) -> Running<'_> {
    let set = |command: &mut Command| {
        command.env("CTDB_EVENTD", EVENTD);
    };
    let daemon = node.start(set);
    daemon.await
}

async fn ask<C: Control>(client: &Client, request: &C::Request) -> C::Reply {
    let answer = client.control::<C>(Pnn::CURRENT, request, LIMIT).await;
    answer.unwrap().reply
}

async fn flags(daemon: &Running<'_>, wanted: NodeFlags) {
    eventually(&format!("{wanted:?}"), || async {
        let map = ask::<GetNodemap>(&daemon.client, &()).await;
        (map.nodes[0].flags == wanted).then_some(())
    })
    .await;
}

async fn run_state(daemon: &Running<'_>, wanted: RunState) {
    eventually(&format!("{wanted}"), || async {
        (ask::<GetRunstate>(&daemon.client, &()).await == wanted).then_some(())
    })
    .await;
}

/// The lines of a file of the node, with blanks between; empty if it is not there.
fn words(node: &Node, name: &str) -> String {
    let text = fs::read_to_string(node.path(name)).unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(" ")
}

async fn says(node: &Node, text: &str) {
    eventually(text, || async { node.log().contains(text).then_some(()) }).await;
}

fn eventd(node: &Node) -> Option<Pid> {
    let text = fs::read_to_string(node.path("run/eventd.pid")).ok()?;
    text.trim().parse().ok().map(Pid::from_raw)
}

async fn another_eventd(node: &Node, old: Pid) {
    let another = || async { eventd(node).filter(|&now| now != old) };
    eventually("another event daemon", another).await;
}

#[tokio::test]
async fn run_state_and_health_follow_the_scripts() {
    let Some(node) = node("") else { return };
    let daemon = start(&node).await;
    flags(&daemon, NodeFlags::empty()).await;
    run_state(&daemon, RunState::Running).await;
    let seen = words(&node, "events.seen");
    let begin = "init setup startrecovery recovered startup ";
    assert!(seen.starts_with(begin), "{seen}");
    node.write("order", "fail monitor");
    flags(&daemon, NodeFlags::UNHEALTHY).await;
    node.write("order", "");
    flags(&daemon, NodeFlags::empty()).await;
    let told = "init setup startup healthy unhealthy healthy";
    let all = || async { (words(&node, "notify.sh.called") == told).then_some(()) };
    eventually("all is told", all).await;

    let eventd = eventd(&node).unwrap();
    kill(Pid::from_raw(daemon.pid()), Signal::SIGTERM).unwrap();
    says(&node, "CTDB daemon shutting down").await;
    assert!(words(&node, "events.seen").ends_with("shutdown"));
    let gone = || async { kill(eventd, None).is_err().then_some(()) };
    eventually("the event daemon ends", gone).await;
}

#[tokio::test]
async fn a_script_that_hangs_is_debugged_and_counted() {
    let Some(node) = node("") else { return };
    let daemon = start(&node).await;
    flags(&daemon, NodeFlags::empty()).await;
    node.write("order", "hang monitor");
    flags(&daemon, NodeFlags::UNHEALTHY).await;
    says(&node, "Maximum monitor timeout count 2 reached").await;
    let called = words(&node, "debug.sh.called");
    let mut words = called.split(' ');
    assert!(words.next().unwrap().parse::<u32>().is_ok(), "{called}");
    assert_eq!(words.next(), Some("monitor"), "{called}");
    node.write("order", "");
    flags(&daemon, NodeFlags::empty()).await;
}

#[tokio::test]
async fn an_event_daemon_that_dies_or_hangs_is_replaced() {
    let Some(node) = node("") else { return };
    let daemon = start(&node).await;
    // a node that two takeover runs fail for is banned, and both may be under way now
    let name = "EnableBans".to_owned();
    ask::<SetTunable>(&daemon.client, &Tunable { value: 0, name }).await;
    flags(&daemon, NodeFlags::empty()).await;
    let first = eventd(&node).unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    another_eventd(&node, first).await;

    let second = eventd(&node).unwrap();
    kill(second, Signal::SIGSTOP).unwrap();
    // what needs no event does not notice
    ask::<DbAttach>(&daemon.client, &"beside.tdb".to_owned()).await;
    another_eventd(&node, second).await;
    assert!(node.log().contains("the event daemon hangs"));
    let before = words(&node, "events.seen").len();
    let more = || async { (words(&node, "events.seen").len() > before).then_some(()) };
    eventually("events are run again", more).await;
    flags(&daemon, NodeFlags::empty()).await;
}

#[tokio::test]
async fn there_is_no_start_without_init_and_setup() {
    for (order, says) in [
        ("fail init", "Failed to run init event"),
        ("hang init", "Failed to run init event"),
        ("fail setup", "Failed to run setup event"),
    ] {
        let Some(node) = node(order) else { return };
        let arguments = ["--interactive"];
        let mut command = node.command(&arguments);
        command.env("CTDB_EVENTD", EVENTD);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn startup_is_run_until_it_passes() {
    let Some(node) = node("fail startup") else {
        return;
    };
    let daemon = start(&node).await;
    says(&node, "startup event failed").await;
    run_state(&daemon, RunState::Startup).await;
    node.write("order", "");
    run_state(&daemon, RunState::Running).await;
}

#[tokio::test]
async fn tunables_count_at_once() {
    let Some(node) = node("hang monitor") else {
        return;
    };
    let daemon = start(&node).await;
    for (name, value) in [("EventScriptTimeout", 60), ("MonitorTimeoutCount", 1)] {
        let name = name.to_owned();
        ask::<SetTunable>(&daemon.client, &Tunable { value, name }).await;
    }
    run_state(&daemon, RunState::Running).await;
    let looked = || async {
        words(&node, "events.seen")
            .contains("monitor")
            .then_some(())
    };
    eventually("it looks", looked).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(!node.log().contains("timed out"), "a minute is not over");
}

#[tokio::test]
async fn a_node_without_event_daemon_is_well() {
    let node = Node::new("[cluster]\nleader timeout = 1\n");
    let daemon = node.start(|_| {}).await;
    flags(&daemon, NodeFlags::empty()).await;
    assert!(node.log().contains("There is no event daemon"));
}

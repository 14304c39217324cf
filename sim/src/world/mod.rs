//! The run: nodes, network and clients around one queue of events in virtual time.

mod clients;
mod daemons;
mod end;
mod managers;
mod node;
mod steps;
mod wires;
mod workers;

use std::collections::BinaryHeap;
use std::time::Duration;

use database::io::WorkId;
use wire::{ClientId, Time};

use crate::mutation::Mutation;
use crate::net::Net;
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::script::Script;
use managers::ClusterLock;
use node::Node;

pub(crate) use clients::{CommitId, LOG_KEY, database};

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which: a word that stays the same when the script shrinks.
    pub rule: &'static str,
    /// What was seen.
    pub text: String,
    /// When.
    pub at: Time,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The first rule that did not hold.
    pub violation: Option<Violation>,
    /// Events that were worked off.
    pub events: u64,
    /// Reads and writes of clients.
    pub accesses: u64,
    /// Commits that were acknowledged.
    pub commits: u64,
    /// Recoveries of a database.
    pub recoveries: u64,
}

impl Report {
    pub(crate) fn of_panic(text: &str) -> Self {
        let violation = Violation {
            rule: "panic",
            text: text.to_owned(),
            at: Time::ZERO,
        };
        Self {
            violation: Some(violation),
            ..Self::default()
        }
    }
}

/// Something that is due.
#[derive(Debug)]
pub(crate) enum Event {
    /// A step of the script.
    Step(usize),
    /// All steps are over.
    ScriptOver,
    /// Two nodes try to connect.
    Connect(usize, usize),
    /// One side sees that it is connected.
    Connected(usize, usize, u64),
    /// Something arrives.
    Deliver(usize, usize),
    /// An input for this life of a daemon.
    ToDaemon(usize, u64, Box<ctdbd::daemon::Input>),
    DaemonTimer(usize, u64, Time),
    /// A packet for a client, or for the manager.
    ToClient(usize, ClientId, Vec<u8>),
    /// A client goes on, unless it has meanwhile.
    Client(usize, ClientId, u64),
    /// A client is started in a place.
    Spawn(usize, usize, u64),
    /// A stopped client runs again.
    Wake(usize, ClientId),
    /// A worker goes on with a job.
    Job(usize, u64, WorkId),
    /// An input for this manager.
    ToManager(usize, u64, cluster::manager::Input),
    ManagerTimer(usize, u64, Time),
    StartManager(usize, u64),
    /// A manager's helper tries the lock.
    TryLock(usize, u64, u64),
    /// The file system gives up the lock of a node that is gone.
    Unlock(usize, u64),
    StartDaemon(usize),
    /// Is everything well?
    Look,
}

#[derive(Debug)]
struct Entry {
    at: Time,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The first is the greatest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// A cluster, and what happens to it.
pub(crate) struct World {
    pub(crate) now: Time,
    order: u64,
    queue: BinaryHeap<Entry>,
    pub(crate) rng: Rng,
    pub(crate) script: Script,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Net,
    lock: ClusterLock,
    pub(crate) oracle: Oracle,
    violation: Option<Violation>,
    pub(crate) trace: bool,
    report: Report,
    /// The script is over, everything was mended, and the cluster is to become well by this time.
    ending: Option<Time>,
    over: bool,
}

/// Says what happens, if somebody wants to know.
macro_rules! say {
    ($world:expr, $($arg:tt)*) => {
        if $world.trace {
            eprintln!("{} {}", $world.now, format_args!($($arg)*));
        }
    };
}
pub(crate) use say;

impl World {
    pub(crate) fn new(script: Script, mutation: Option<Mutation>, trace: bool) -> Self {
        let count = script.nodes as usize;
        let mut world = Self {
            now: Time(1),
            order: 0,
            queue: BinaryHeap::new(),
            rng: Rng::new(script.seed ^ 0x5EED),
            mutation,
            nodes: (0..count).map(|n| Node::new(n, mutation)).collect(),
            net: Net::new(count),
            lock: ClusterLock::default(),
            oracle: Oracle::default(),
            violation: None,
            trace,
            report: Report::default(),
            ending: None,
            over: false,
            script,
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        for node in 0..self.nodes.len() {
            let delay = self.rng.micros(0, 2_000_000);
            self.after(delay, Event::StartDaemon(node));
            for other in 0..node {
                self.after(Duration::from_millis(100), Event::Connect(node, other));
            }
        }
        for (number, step) in self.script.steps.iter().enumerate() {
            let at = Time::ZERO + Duration::from_millis(step.at);
            self.order += 1;
            self.queue.push(Entry {
                at,
                order: self.order,
                event: Event::Step(number),
            });
        }
        let last = self.script.steps.last().map_or(0, |step| step.at);
        self.after(Duration::from_millis(last + 1), Event::ScriptOver);
    }

    /// Until the end, or a broken rule.
    pub(crate) fn run(mut self) -> Report {
        while !self.over && self.violation.is_none() {
            let Some(Entry { at, order, event }) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(at);
            if let Some(until) = self.held_up(&event) {
                let at = until;
                self.queue.push(Entry { at, order, event });
                continue;
            }
            self.report.events += 1;
            self.event(event);
        }
        self.report.violation = self.violation;
        self.report.recoveries = self.oracle.recoveries();
        self.report
    }

    /// A daemon that hangs gets to what comes for it later.
    fn held_up(&self, event: &Event) -> Option<Time> {
        let node = match event {
            Event::Deliver(_, node)
            | Event::ToDaemon(node, ..)
            | Event::DaemonTimer(node, ..)
            | Event::Connected(node, ..) => *node,
            _ => return None,
        };
        Some(self.nodes[node].hung_until).filter(|until| *until > self.now)
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        let at = self.now + delay;
        self.order += 1;
        self.queue.push(Entry {
            at,
            order: self.order,
            event,
        });
    }

    fn at(&mut self, at: Time, event: Event) {
        self.after(at.since(self.now), event);
    }

    /// A rule is broken; the first counts.
    pub(crate) fn broken(&mut self, rule: &'static str, text: String) {
        say!(self, "BROKEN {rule}: {text}");
        let at = self.now;
        self.violation.get_or_insert(Violation { rule, text, at });
    }

    pub(crate) fn count_access(&mut self) {
        self.report.accesses += 1;
    }

    pub(crate) fn count_commit(&mut self) {
        self.report.commits += 1;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Step(number) => self.step(self.script.steps[number].what),
            Event::ScriptOver => self.script_over(),
            Event::Connect(a, b) => self.try_to_connect(a, b),
            Event::Connected(node, peer, epoch) => self.connected(node, peer, epoch),
            Event::Deliver(from, to) => self.deliver(from, to),
            Event::ToDaemon(node, life, input) => self.input(node, life, *input),
            Event::DaemonTimer(node, life, at) => self.daemon_timer(node, life, at),
            Event::ToClient(node, client, packet) => self.client_packet(node, client, packet),
            Event::Client(node, client, tick) => self.client_goes_on(node, client, tick),
            Event::Spawn(node, place, life) => self.spawn(node, place, life),
            Event::Wake(node, client) => self.wake(node, client),
            Event::Job(node, life, work) => self.job(node, life, work),
            Event::ToManager(node, life, input) => self.manager_input(node, life, input),
            Event::ManagerTimer(node, life, at) => self.manager_timer(node, life, at),
            Event::StartManager(node, life) => self.start_manager(node, life),
            Event::TryLock(node, life, attempt) => self.try_cluster_lock(node, life, attempt),
            Event::Unlock(node, life) => self.unlock_cluster(node, life),
            Event::StartDaemon(node) => self.start_daemon(node),
            Event::Look => self.look(),
        }
    }
}

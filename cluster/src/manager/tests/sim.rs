//! Managers and daemons, the links between them, one cluster lock, and virtual time.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use wire::control::{Opcode, Request};
use wire::message::Message;
use wire::packet::ControlFlags;
use wire::types::{NodeFlags, RecoveryMode};
use wire::{Pnn, Srvid};

use super::daemon::Daemon;
use super::store::Store;
use crate::Time;
use crate::coordinator::{self, Notification};
use crate::fence;
use crate::manager::{
    ControlAnswer, ControlFailure, CoordinatorSettings, Input, LockEvent, Manager, Output, Outputs,
    Settings, Token,
};

/// How long anything takes from one node to another.
const DELAY: Duration = Duration::from_millis(1);
/// How long a coordinator's lease lives.
const LEASE: Duration = Duration::from_secs(10);
/// How long the lock helper takes.
const LOCK_DELAY: Duration = Duration::from_millis(20);

#[derive(Debug)]
enum Event {
    Control {
        from: usize,
        to: usize,
        token: Token,
        request: Request,
        flags: ControlFlags,
        expires: Option<Time>,
    },
    Input {
        to: usize,
        life: u32,
        input: Input,
    },
    Message {
        from: usize,
        to: usize,
        srvid: Srvid,
        data: Vec<u8>,
    },
    TryLock {
        node: usize,
        attempt: u32,
    },
    Ask {
        node: usize,
        life: u32,
        action: coordinator::Action,
    },
    /// A lease may have ended.
    Expiry,
}

/// One node. Each start of its manager is another life, to which nothing of the last belongs.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) daemon: Daemon,
    pub(super) up: bool,
    /// Answers nothing, but its connections stand.
    pub(super) hung: bool,
    /// Its daemon alone hangs: nothing passes it in either direction.
    pub(super) mute: bool,
    manager: Manager,
    pub(super) life: u32,
    /// How often the daemon was started.
    boots: u64,
    /// What the manager last said of the membership.
    pub(super) standing: fence::Standing,
    srvids: BTreeSet<Srvid>,
    lock_attempt: u32,
    /// Whom its last LEADER broadcast named, and when.
    pub(super) last_claim: Option<(Pnn, Time)>,
}

/// What to do to a node when it gets a certain control.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trap {
    pub(super) opcode: Opcode,
    pub(super) node: usize,
    pub(super) action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Die,
    Refuse,
}

pub(super) struct Sim {
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    with_lock: bool,
    /// The coordinator, if there is one.
    pub(super) store: Option<Store>,
    pub(super) lock_holder: Option<usize>,
    /// The helper hangs.
    pub(super) lock_is_deaf: bool,
    pub(super) trap: Option<Trap>,
    /// How often the trap snapped.
    pub(super) trapped: u32,
    /// Messages to this SRVID from this node arrive so much later.
    pub(super) slow: Option<(usize, Srvid, Duration)>,
    /// Every control sent: from, to, which.
    pub(super) controls: Vec<(usize, usize, Opcode)>,
    pub(super) messages: Vec<(usize, Message)>,
    /// All that node 0's manager was told and wanted, from its last start, and when that was.
    pub(super) started: Time,
    pub(super) recording: Vec<(Time, Input, Outputs)>,
}

impl Sim {
    pub(super) fn new(count: usize, with_lock: bool) -> Self {
        Self::with_store(count, with_lock, None)
    }

    /// A coordinator says who leads.
    pub(super) fn coordinated(count: usize) -> Self {
        Self::with_store(count, false, Some(Store::default()))
    }

    fn with_store(count: usize, with_lock: bool, store: Option<Store>) -> Self {
        let start = |n: usize| {
            let pnn = Pnn(n as u32);
            let (manager, _) = Self::start(pnn, with_lock, None, Time::ZERO, 0);
            Node {
                daemon: Daemon::new(pnn, count),
                up: true,
                hung: false,
                mute: false,
                manager,
                life: 0,
                boots: 0,
                standing: fence::Standing::default(),
                srvids: BTreeSet::new(),
                lock_attempt: 0,
                last_claim: None,
            }
        };
        let mut sim = Self {
            now: Time::ZERO,
            nodes: (0..count).map(start).collect(),
            events: BTreeMap::new(),
            sequence: 0,
            with_lock,
            store,
            lock_holder: None,
            lock_is_deaf: false,
            trap: None,
            trapped: 0,
            slow: None,
            controls: Vec::new(),
            messages: Vec::new(),
            started: Time::ZERO,
            recording: Vec::new(),
        };
        for node in 0..count {
            sim.restart_manager(node);
        }
        sim
    }

    pub(super) fn start(
        pnn: Pnn,
        with_lock: bool,
        coordinator: Option<CoordinatorSettings>,
        now: Time,
        life: u32,
    ) -> (Manager, Outputs) {
        let mut settings = Settings::new(pnn);
        settings.cluster_lock =
            (with_lock || coordinator.is_some()).then(|| "/shared/lock".to_owned());
        settings.coordinator = coordinator;
        settings.wall_clock = Duration::from_secs(1_700_000_000);
        let seed = u64::from(pnn.0) << 32 | u64::from(life);
        let mut out = Outputs::new();
        let manager = Manager::new(settings, seed, now, &mut out);
        (manager, out)
    }

    pub(super) fn restart_manager(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.life += 1;
        node.srvids.clear();
        let (pnn, life) = (node.daemon.pnn, node.life);
        let coordinator = self.store.as_ref().map(|_| CoordinatorSettings {
            incarnation: self.nodes[n].boots,
            lease: LEASE,
            monotonic_clock: Duration::ZERO,
        });
        let (manager, mut out) = Self::start(pnn, self.with_lock, coordinator, self.now, life);
        if n == 0 {
            self.started = self.now;
            self.recording.clear();
        }
        self.nodes[n].manager = manager;
        self.carry_out(n, &mut out);
        if self.store.is_some() {
            self.input(n, Input::Coordinator(Notification::Started));
        }
    }

    /// The node is gone, the others see it.
    pub(super) fn kill(&mut self, n: usize) {
        self.nodes[n].up = false;
        if self.lock_holder == Some(n) {
            self.lock_holder = None;
        }
        for other in 0..self.nodes.len() {
            self.nodes[other].daemon.flags[n].insert(NodeFlags::DISCONNECTED);
            self.nodes[n].daemon.flags[other].insert(NodeFlags::DISCONNECTED);
        }
        self.nodes[n].daemon.flags[n].remove(NodeFlags::DISCONNECTED);
        self.nodes[n].daemon.addresses.here.clear();
    }

    /// The node is back, with its disk, and frozen.
    pub(super) fn boot(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.up = true;
        node.boots += 1;
        node.daemon.recmode = RecoveryMode::Active;
        node.daemon.flags[n] = NodeFlags::empty();
        for other in 0..self.nodes.len() {
            if self.nodes[other].up {
                self.nodes[other].daemon.flags[n] = NodeFlags::empty();
                self.nodes[n].daemon.flags[other].remove(NodeFlags::DISCONNECTED);
            }
        }
        self.restart_manager(n);
    }

    /// The helper of the node's lock died; someone else may have the lock then.
    pub(super) fn lose_lock(&mut self, n: usize) {
        assert_eq!(self.lock_holder, Some(n));
        self.lock_holder = None;
        self.input(n, Input::Lock(LockEvent::Lost));
    }

    pub(super) fn input(&mut self, n: usize, input: Input) {
        let mut out = Outputs::new();
        let recorded = (n == 0).then(|| input.clone());
        self.nodes[n].manager.handle(self.now, input, &mut out);
        if let Some(input) = recorded {
            self.recording.push((self.now, input, out.clone()));
        }
        self.carry_out(n, &mut out);
    }

    /// A client of a node sends a message to all nodes.
    pub(super) fn broadcast(&mut self, from: usize, message: &Message) {
        for to in 0..self.nodes.len() {
            let (srvid, data) = (message.srvid(), message.to_bytes());
            self.at(
                DELAY,
                Event::Message {
                    from,
                    to,
                    srvid,
                    data,
                },
            );
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next_time().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    pub(super) fn run_seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// Runs until the condition holds; panics if it takes longer than a time that is ample.
    pub(super) fn run_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let end = self.now + Duration::from_secs(300);
        while !condition(self) {
            assert!(self.now < end, "{what} did not happen");
            self.run(DELAY);
        }
    }

    fn next_time(&self) -> Option<Time> {
        let timers = self.nodes.iter().filter(|node| node.up && !node.hung);
        let timer = timers.filter_map(|node| node.manager.poll_timeout()).min();
        let event = self.events.first_key_value().map(|(&(time, _), _)| time);
        [timer, event].into_iter().flatten().min()
    }

    fn step(&mut self) {
        if let Some(entry) = self.events.first_entry()
            && entry.key().0 <= self.now
        {
            let event = entry.remove();
            self.happen(event);
            return;
        }
        let is_due = |node: &Node| {
            node.up && !node.hung && node.manager.poll_timeout().is_some_and(|t| t <= self.now)
        };
        if let Some(n) = self.nodes.iter().position(is_due) {
            self.input(n, Input::Timer);
        }
    }

    fn at(&mut self, delay: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Control {
                from,
                to,
                token,
                request,
                flags,
                expires,
            } => {
                self.on_control((from, to), token, (request, flags), expires);
            }
            Event::Input { to, life, input } => {
                if self.nodes[to].up && self.nodes[to].life == life {
                    self.input(to, input);
                }
            }
            Event::Message {
                from,
                to,
                srvid,
                data,
            } => self.on_message(from, to, srvid, data),
            Event::TryLock { node, attempt } => self.on_try_lock(node, attempt),
            Event::Ask { node, life, action } => self.on_ask(node, life, action),
            Event::Expiry => {
                let now = self.now;
                let news = self.store.as_mut().map(|store| store.expire(now));
                self.spread(news.unwrap_or_default());
            }
        }
    }

    fn are_connected(&self, a: usize, b: usize) -> bool {
        let seen =
            |x: usize, y: usize| !self.nodes[x].daemon.flags[y].contains(NodeFlags::DISCONNECTED);
        self.nodes[a].up && self.nodes[b].up && (a == b || (seen(a, b) && seen(b, a)))
    }

    fn on_control(
        &mut self,
        (from, to): (usize, usize),
        token: Token,
        (request, flags): (Request, ControlFlags),
        expires: Option<Time>,
    ) {
        let trap = self
            .trap
            .filter(|t| t.node == to && t.opcode == request.opcode());
        self.trapped += u32::from(trap.is_some());
        if trap.is_some_and(|trap| trap.action == Action::Die) {
            self.trap = None;
            self.kill(to);
        }
        let result = if !self.are_connected(from, to) {
            Err(ControlFailure::Disconnected)
        } else if self.nodes[to].hung || self.nodes[to].mute || self.nodes[from].mute {
            let Some(expires) = expires else { return };
            let result = Err(ControlFailure::TimedOut);
            self.reply(from, expires.since(self.now), token, result);
            return;
        } else if trap.is_some() {
            Ok(ControlAnswer {
                status: -1,
                ..ControlAnswer::default()
            })
        } else {
            Ok(self.execute(from, to, request, flags))
        };
        if expires.is_some() {
            self.reply(from, DELAY, token, result);
        }
    }

    fn execute(
        &mut self,
        from: usize,
        to: usize,
        request: Request,
        flags: ControlFlags,
    ) -> ControlAnswer {
        let (result, pulled) = self.nodes[to].daemon.handle(request, flags);
        if let Some((srvid, data)) = pulled {
            self.at(
                DELAY,
                Event::Message {
                    from: to,
                    to: from,
                    srvid,
                    data,
                },
            );
        }
        let refused = |error| ControlAnswer {
            status: -1,
            data: Vec::new(),
            error,
        };
        result.unwrap_or_else(refused)
    }

    fn reply(
        &mut self,
        to: usize,
        delay: Duration,
        token: Token,
        result: Result<ControlAnswer, ControlFailure>,
    ) {
        let life = self.nodes[to].life;
        self.at(
            delay,
            Event::Input {
                to,
                life,
                input: Input::ControlReply { token, result },
            },
        );
    }

    fn on_message(&mut self, from: usize, to: usize, srvid: Srvid, data: Vec<u8>) {
        let mute = self.nodes[from].mute || self.nodes[to].mute;
        if !self.are_connected(from, to) || self.nodes[to].hung || mute {
            return;
        }
        if self.nodes[to].srvids.contains(&srvid) {
            let source = self.nodes[from].daemon.pnn;
            self.input(
                to,
                Input::Message {
                    source,
                    srvid,
                    data,
                },
            );
        } else {
            self.nodes[to].daemon.handle_message(srvid, &data);
        }
    }

    fn on_try_lock(&mut self, n: usize, attempt: u32) {
        if !self.nodes[n].up || self.nodes[n].lock_attempt != attempt || self.lock_is_deaf {
            return;
        }
        let event = match self.lock_holder {
            Some(_) => LockEvent::Contended,
            None => {
                self.lock_holder = Some(n);
                LockEvent::Taken
            }
        };
        self.input(n, Input::Lock(event));
    }

    fn on_ask(&mut self, n: usize, life: u32, action: coordinator::Action) {
        let now = self.now;
        let Some(store) = &mut self.store else { return };
        if store.cut_off.contains(&n) || !self.nodes[n].up || self.nodes[n].life != life {
            return;
        }
        let news = store.act(n, now, action);
        let end = store.next_end();
        self.spread(news);
        if let Some(end) = end {
            self.at(end.since(now), Event::Expiry);
        }
    }

    pub(super) fn tell(&mut self, news: Vec<(Option<usize>, Notification)>) {
        self.spread(news);
    }

    /// Tells the nodes what the coordinator says. (Those that are cut off would hear it later, from a snapshot.)
    fn spread(&mut self, news: Vec<(Option<usize>, Notification)>) {
        for (to, news) in news {
            for n in 0..self.nodes.len() {
                let is_cut = self.store.as_ref().is_some_and(|s| s.cut_off.contains(&n));
                if is_cut || to.is_some_and(|to| to != n) {
                    continue;
                }
                let (to, life) = (n, self.nodes[n].life);
                let input = Input::Coordinator(news.clone());
                self.at(DELAY, Event::Input { to, life, input });
            }
        }
    }

    fn carry_out(&mut self, n: usize, out: &mut Outputs) {
        for output in out.drain().collect::<Vec<_>>() {
            match output {
                Output::Control {
                    token,
                    destination,
                    request,
                    flags,
                    timeout,
                    ..
                } => {
                    let to = destination.0 as usize;
                    self.controls.push((n, to, request.opcode()));
                    let reply = !flags.contains(ControlFlags::NOREPLY);
                    let expires = reply.then_some(self.now + timeout);
                    self.at(
                        DELAY,
                        Event::Control {
                            from: n,
                            to,
                            token,
                            request,
                            flags,
                            expires,
                        },
                    );
                }
                Output::Message {
                    destination,
                    srvid,
                    data,
                } => {
                    self.send(n, destination, srvid, &data);
                }
                Output::MessageEach {
                    destinations,
                    srvid,
                    data,
                } => {
                    for destination in destinations {
                        self.send(n, destination, srvid, &data);
                    }
                }
                Output::RegisterSrvid(srvid) => {
                    assert!(self.nodes[n].srvids.insert(srvid), "registered twice");
                }
                Output::DeregisterSrvid(srvid) => {
                    assert!(self.nodes[n].srvids.remove(&srvid), "was not registered");
                }
                Output::TakeLock => {
                    self.nodes[n].lock_attempt += 1;
                    let attempt = self.nodes[n].lock_attempt;
                    self.at(LOCK_DELAY, Event::TryLock { node: n, attempt });
                }
                Output::ReleaseLock => {
                    self.nodes[n].lock_attempt += 1;
                    self.lock_holder = self.lock_holder.filter(|&holder| holder != n);
                }
                Output::Coordinator(action) => {
                    let life = self.nodes[n].life;
                    let node = n;
                    self.at(LOCK_DELAY, Event::Ask { node, life, action });
                }
                Output::Exit { reason } => panic!("node {n} gave up: {reason}"),
            }
        }
    }

    fn send(&mut self, n: usize, destination: Pnn, srvid: Srvid, data: &[u8]) {
        if srvid == fence::STANDING {
            assert_eq!(destination.0 as usize, n);
            self.nodes[n].standing = fence::Standing::from_bytes(data).unwrap();
            return;
        }
        if !srvid.is_recovery() {
            let message = Message::decode(srvid, data).unwrap();
            if let Message::Leader(pnn) = message {
                self.nodes[n].last_claim = Some((pnn, self.now));
            }
            self.messages.push((n, message));
        }
        let delay = match self.slow {
            Some((node, slow, delay)) if (node, slow) == (n, srvid) => delay,
            _ => DELAY,
        };
        let all = 0..self.nodes.len();
        let only = destination.0 as usize;
        for to in all.filter(|&to| destination.is_broadcast() || to == only) {
            self.at(
                delay,
                Event::Message {
                    from: n,
                    to,
                    srvid,
                    data: data.to_vec(),
                },
            );
        }
    }

    /// The nodes that broadcast within the last two seconds that they lead.
    pub(super) fn leaders(&self) -> Vec<usize> {
        let fresh = |node: &Node| {
            node.up
                && node.last_claim.is_some_and(|(pnn, at)| {
                    pnn == node.daemon.pnn && self.now.since(at) <= Duration::from_secs(2)
                })
        };
        (0..self.nodes.len())
            .filter(|&n| fresh(&self.nodes[n]))
            .collect()
    }

    pub(super) fn active(&self) -> Vec<usize> {
        let is_active = |node: &Node| {
            let flags = node.daemon.flags[node.daemon.pnn.0 as usize];
            node.up && !node.hung && !flags.is_inactive()
        };
        (0..self.nodes.len())
            .filter(|&n| is_active(&self.nodes[n]))
            .collect()
    }

    /// One leader, and all active nodes in normal mode with the same map of just them.
    pub(super) fn is_healthy(&self) -> bool {
        let active = self.active();
        let pnns: Vec<Pnn> = active.iter().map(|&n| Pnn(n as u32)).collect();
        let daemons = || active.iter().map(|&n| &self.nodes[n].daemon);
        self.leaders().len() == 1
            && active.contains(&self.leaders()[0])
            && daemons().all(|d| d.recmode == RecoveryMode::Normal && d.vnnmap.map == pnns)
            && daemons()
                .all(|d| d.vnnmap.generation == self.nodes[active[0]].daemon.vnnmap.generation)
    }

    pub(super) fn run_until_healthy(&mut self) {
        self.run_until("health", Self::is_healthy);
        self.check_databases();
    }

    /// What every recovery promises: the same records everywhere, one data master, and its copy
    /// newer than all others.
    pub(super) fn check_databases(&self) {
        let active = self.active();
        let first = &self.nodes[active[0]].daemon;
        for &n in &active {
            let daemon = &self.nodes[n].daemon;
            assert!(daemon.dbs.keys().eq(first.dbs.keys()));
            for (id, db) in &daemon.dbs {
                assert!(!db.frozen && db.transaction.is_none());
                let theirs = &first.dbs[id].records;
                assert!(db.records.keys().eq(theirs.keys()), "same keys everywhere");
                assert!(
                    db.records
                        .values()
                        .map(|r| &r.1)
                        .eq(theirs.values().map(|r| &r.1))
                );
                if !db.flags.is_empty() {
                    continue;
                }
                for (key, (header, _)) in &db.records {
                    let master =
                        self.nodes[header.dmaster.0 as usize].daemon.dbs[id].records[key].0;
                    assert_eq!(header.dmaster, master.dmaster, "one data master");
                    assert!(n == header.dmaster.0 as usize || header.rsn < master.rsn);
                }
            }
        }
    }
}

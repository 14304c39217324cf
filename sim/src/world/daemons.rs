//! The daemons: how they start and end, and what becomes of their outputs.

use std::net::IpAddr;
use std::time::Duration;

use cluster::membership::{self, LockOutcome, NodeEntry};
use ctdbd::daemon::{Daemon, Input, Output, Settings};
use failover::{Failover, System};
use wire::packet::Packet;
use wire::tunables::Tunables;
use wire::types::DbFlags;
use wire::{ClientId, Pnn, Time};

use super::{Event, World, say};
use crate::disk::{Owner, SimStore};
use crate::mutation::Mutation;
use crate::script::CLIENTS;

/// Between a socket's two ends on one machine.
pub(super) const SOCKET: Duration = Duration::from_micros(15);
/// Microseconds since 1970 when a run begins.
const EPOCH: u64 = 1_700_000_000_000_000;

/// Shorter than in the field, so that more happens.
fn tunables() -> Tunables {
    Tunables {
        control_timeout: 12,
        keepalive_interval: 1,
        keepalive_limit: 3,
        recover_timeout: 10,
        recovery_ban_period: 8,
        rerecovery_timeout: 1,
        stat_history_interval: 1_000_000,
        traverse_timeout: 8,
        vacuum_interval: 2,
        vacuum_fast_path_count: 3,
        sticky_duration: 20,
        hopcount_make_sticky: 3,
        ..Tunables::default()
    }
}

/// A machine without a network for clients.
struct NoInterfaces;

impl System for NoInterfaces {
    fn has_address(&self, _: IpAddr) -> bool {
        false
    }

    fn has_interface(&self, _: &str) -> bool {
        false
    }
}

impl World {
    fn no_addresses(&self, n: usize) -> failover::Settings {
        failover::Settings {
            me: Pnn(n as u32),
            addresses: Vec::new(),
            disabled: false,
            real: true,
            tunables: tunables(),
        }
    }

    fn settings(&self, n: usize) -> Settings {
        let entry = |n: u32| NodeEntry {
            pnn: Pnn(n),
            addr: std::net::SocketAddr::from(([10, 0, 0, 1 + n as u8], 4379)).into(),
            deleted: false,
        };
        let wall_clock_at_zero = EPOCH + self.now.0 / 1_000;
        Settings {
            membership: membership::Settings {
                me: Pnn(n as u32),
                nodes: (0..self.script.nodes).map(entry).collect(),
                cluster_lock: self.script.lock.then(|| "/lock".into()),
                fence: None,
                leader_capability: true,
                lmaster_capability: true,
                version: 0x0004_0011,
                start_as_disabled: false,
                start_as_stopped: false,
                wall_clock_at_zero,
                tunables: tunables(),
            },
            failover: Failover::new(self.no_addresses(n), &NoInterfaces)
                .unwrap_or_else(|why| panic!("no address can be wrong: {why:?}")),
            system: Box::new(NoInterfaces),
            event_daemon: false,
            log_level: 3,
            pid: 4711,
            wall_clock_at_zero,
        }
    }

    /// A daemon starts; not while a stopped client has the files of the last one open.
    pub(super) fn start_daemon(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.starting = false;
        if node.daemon.is_some() {
            return;
        }
        if node.has_leftovers() {
            node.starting = true;
            return self.after(Duration::from_secs(1), Event::StartDaemon(n));
        }
        node.life += 1;
        node.started = self.now;
        node.armed = None;
        node.was_in_recovery = true;
        node.still.clear();
        node.known.clear();
        node.prior.clear();
        node.accepted.clear();
        node.hung_until = self.now;
        let life = node.life;
        say!(self, "node {n} starts");
        let mut out = Vec::new();
        let store = SimStore(self.nodes[n].disk.clone());
        let mut daemon = Daemon::new(self.settings(n), Box::new(store), &mut out);
        let found: Vec<String> = self.persistent_files(n);
        for name in found {
            let attached = daemon.attach_at_start(&name, &mut out);
            if let Err(why) = attached {
                self.broken("start", why);
            }
        }
        self.nodes[n].daemon = Some(daemon);
        self.after_daemon(n, out);
        for place in 0..CLIENTS as usize {
            let delay = self.rng.micros(1_000, 500_000);
            self.after(delay, Event::Spawn(n, place, life));
        }
    }

    fn persistent_files(&self, n: usize) -> Vec<String> {
        let disk = self.nodes[n].disk.borrow();
        let files = disk.files.values();
        let persistent = files.filter(|file| file.flags.contains(DbFlags::PERSISTENT));
        persistent.map(|file| file.name.clone()).collect()
    }

    /// A daemon ends, and everything that hangs on it. `power`: its machine does.
    pub(super) fn end_daemon(&mut self, n: usize, power: bool) {
        let node = &mut self.nodes[n];
        if node.daemon.take().is_none() {
            return;
        }
        say!(
            self,
            "node {n} ends{}",
            if power { " with its machine" } else { "" }
        );
        let node = &mut self.nodes[n];
        node.life += 1;
        node.jobs.clear();
        node.hung_until = self.now;
        let granted = node.disk.borrow_mut().daemon_gone(power);
        self.end_manager(n, power);
        let clients: Vec<ClientId> = self.nodes[n].clients.keys().copied().collect();
        for client in clients {
            // a stopped one notices when it runs again
            let stopped = self.nodes[n].clients[&client].stopped;
            if power || !stopped {
                self.forget_client(n, client);
            }
        }
        for (db, owner) in granted {
            if let Owner::Client(client) = owner
                && self.nodes[n].clients.contains_key(&client)
            {
                self.client_has_lock(n, client, db);
            }
        }
        self.close_connections(n, power);
    }

    /// Gives a daemon an input of this life.
    pub(super) fn input(&mut self, n: usize, life: u64, input: Input) {
        if self.nodes[n].life != life {
            return;
        }
        match &input {
            Input::ClientConnected { client, .. } => {
                self.nodes[n].known.insert(*client);
            }
            Input::ClientGone(client) => {
                self.nodes[n].known.remove(client);
                if self.mutation == Some(Mutation::Undead) {
                    return;
                }
            }
            _ => {}
        }
        let now = self.nodes[n].time(self.now);
        let Some(daemon) = self.nodes[n].daemon.as_mut() else {
            return;
        };
        let mut out = Vec::new();
        daemon.handle(now, input, &mut out);
        self.after_daemon(n, out);
    }

    /// The same for the life that is.
    pub(super) fn input_now(&mut self, n: usize, input: Input) {
        self.input(n, self.nodes[n].life, input);
    }

    /// An input that comes a moment later.
    pub(super) fn input_later(&mut self, n: usize, delay: Duration, input: Input) {
        let life = self.nodes[n].life;
        self.after(delay, Event::ToDaemon(n, life, Box::new(input)));
    }

    pub(super) fn daemon_timer(&mut self, n: usize, life: u64, at: Time) {
        let node = &mut self.nodes[n];
        if node.life != life || node.armed != Some(at) {
            return;
        }
        node.armed = None;
        let due = node.daemon.as_ref().and_then(Daemon::poll_timeout);
        if due.is_some_and(|due| due <= node.time(self.now)) {
            self.input(n, life, Input::Timer);
        } else {
            self.arm(n);
        }
    }

    fn arm(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(due) = node.daemon.as_ref().and_then(Daemon::poll_timeout) else {
            return;
        };
        let at = Time(due.0.saturating_add(node.started.0)).max(self.now);
        if node.armed.is_none_or(|armed| at < armed) {
            node.armed = Some(at);
            let life = node.life;
            self.at(at, Event::DaemonTimer(n, life, at));
        }
    }

    /// After every step of a daemon: what it wants done, then the rules.
    pub(super) fn after_daemon(&mut self, n: usize, out: Vec<Output>) {
        let trace = std::mem::take(&mut self.nodes[n].disk.borrow_mut().trace);
        self.note_written(n, &trace);
        let life = self.nodes[n].life;
        let mut lost = Vec::new();
        for output in out {
            self.carry_out(n, output, &mut lost);
            if self.nodes[n].life != life {
                return;
            }
        }
        self.check_step(n, &trace);
        for node in lost {
            self.input(n, life, Input::NodeDisconnected(node));
        }
        self.arm(n);
    }

    fn carry_out(&mut self, n: usize, output: Output, lost: &mut Vec<Pnn>) {
        match output {
            Output::ToNode { node, packet } => self.send(n, node.0 as usize, packet),
            Output::ToClient { client, packet } => self.reply_to(n, client, packet),
            Output::CloseClient { client, reason } => {
                say!(self, "node {n} closes client {client}: {reason}");
                self.nodes[n].known.remove(&client);
                self.close_client(n, client);
            }
            Output::DropNode(peer) => {
                if self.drop_connections(n, peer.0 as usize) {
                    lost.push(peer);
                }
            }
            Output::Work { work, db, job } => self.start_job(n, work, db, job),
            Output::Order { work, order } => self.order(n, work, order),
            Output::Release(work) => self.release_job(n, work),
            Output::CheckClusterLock(token) => {
                let held = self.lock.is_held();
                let outcome = if held {
                    LockOutcome::Contended
                } else {
                    LockOutcome::Taken
                };
                let delay = self.rng.micros(1_000, 20_000);
                let latency = delay.as_secs_f64();
                self.input_later(
                    n,
                    delay,
                    Input::LockChecked {
                        token,
                        outcome,
                        latency,
                    },
                );
            }
            Output::StartManager => {
                let life = self.nodes[n].life;
                self.after(SOCKET, Event::StartManager(n, life));
            }
            Output::StopManager { .. } => self.end_manager(n, false),
            Output::RestartManager { reason } => {
                say!(self, "node {n} restarts its manager: {reason}");
                self.end_manager(n, false);
                self.manager_comes_back(n);
            }
            Output::Shutdown { reason, .. } => {
                say!(self, "node {n} shuts down: {reason}");
                self.end_daemon(n, false);
                self.plan_start(n, Duration::from_secs(2));
            }
            Output::Nodes(_)
            | Output::Credit(_)
            | Output::FileOpened { .. }
            | Output::FileClosed(_)
            | Output::Tunables(_)
            | Output::ReadNodes(_)
            | Output::ReadAddresses
            | Output::Arp { .. }
            | Output::Tickle(_)
            | Output::AskEventd { .. }
            | Output::RestartEventd { .. }
            | Output::Milestone(_)
            | Output::LogLevel(_) => {}
        }
    }

    /// Whoever looks after the daemon starts it again.
    pub(super) fn plan_start(&mut self, n: usize, delay: Duration) {
        if !self.nodes[n].starting {
            self.nodes[n].starting = true;
            self.after(delay, Event::StartDaemon(n));
        }
    }

    fn reply_to(&mut self, n: usize, client: ClientId, packet: Vec<u8>) {
        if !self.nodes[n].known.contains(&client) {
            let body = Packet::decode(&packet).map(|packet| packet.header.operation);
            let text = format!("node {n} sends {body:?} to client {client}, which is gone");
            return self.broken("gone", text);
        }
        self.note_answer(n, client, &packet);
        self.after(SOCKET, Event::ToClient(n, client, packet));
    }

    /// The daemon hears that a client's connection has ended.
    pub(super) fn tell_gone(&mut self, n: usize, client: ClientId) {
        self.input_later(n, SOCKET, Input::ClientGone(client));
    }

    /// A packet from a client's end of its socket.
    pub(super) fn hand_in(&mut self, n: usize, client: ClientId, packet: Vec<u8>) {
        self.input_later(n, SOCKET, Input::ClientPacket { client, packet });
    }
}

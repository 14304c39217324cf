//! The cluster managers, clients of their daemons, and the cluster lock that they compete for.

use std::collections::VecDeque;
use std::time::Duration;

use cluster::manager::{Input, LockEvent, Manager, Output, Outputs, Settings};
use ctdbd::clusterd::talk::{Heard, Rest, Talk};
use ctdbd::daemon::Input as ToDaemon;
use wire::packet::Packet;
use wire::{ClientId, Pnn, Srvid, Time};

use super::{Event, World, say};
use crate::mutation::Mutation;

/// Between the end of a manager and the start of the next.
const PAUSE: Duration = Duration::from_secs(1);

/// A manager's process.
pub(crate) struct Clusterd {
    pub(crate) manager: Manager,
    talk: Talk,
    pub(super) client: ClientId,
    number: u64,
    started: Time,
    armed: Option<Time>,
    inputs: VecDeque<Input>,
    /// Tries of the lock; an old one's outcome is not wanted.
    attempt: u64,
}

/// The file that all nodes lock.
#[derive(Debug, Default)]
pub(crate) struct ClusterLock {
    /// A node, and which of its managers.
    pub(super) holder: Option<(usize, u64)>,
}

impl ClusterLock {
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_some()
    }
}

impl World {
    pub(super) fn start_manager(&mut self, n: usize, life: u64) {
        let seed = self.rng.next();
        let node = &mut self.nodes[n];
        if node.life != life || node.daemon.is_none() || node.manager.is_some() {
            return;
        }
        node.managers += 1;
        node.last_client += 1;
        let client = ClientId(node.last_client);
        let settings = Settings {
            cluster_lock: self.script.lock.then(|| "/lock".into()),
            wall_clock: Duration::from_secs(1_700_000_000) + self.now.since(Time::ZERO),
            ..Settings::new(Pnn(n as u32))
        };
        let mut outputs = Outputs::new();
        let clusterd = Clusterd {
            manager: Manager::new(settings, seed, Time::ZERO, &mut outputs),
            talk: Talk::new(Pnn(n as u32)),
            client,
            number: node.managers,
            started: self.now,
            armed: None,
            inputs: VecDeque::new(),
            attempt: 0,
        };
        node.manager = Some(clusterd);
        self.input_now(n, ToDaemon::ClientConnected { client, pid: 1 });
        self.perform(n, outputs);
        self.feed_manager(n);
    }

    /// The manager is gone, and in a moment its helper with the lock.
    pub(super) fn end_manager(&mut self, n: usize, power: bool) {
        let Some(manager) = self.nodes[n].manager.take() else {
            return;
        };
        self.oracle.forget_manager(n);
        let delay = if power {
            self.rng.micros(500_000, 6_000_000)
        } else {
            self.rng.micros(100, 5_000)
        };
        self.after(delay, Event::Unlock(n, manager.number));
        if self.nodes[n].daemon.is_some() {
            self.tell_gone(n, manager.client);
        }
    }

    pub(super) fn manager_comes_back(&mut self, n: usize) {
        let life = self.nodes[n].life;
        self.after(PAUSE, Event::StartManager(n, life));
    }

    pub(super) fn kill_manager(&mut self, n: usize) {
        if self.nodes[n].manager.is_some() {
            self.end_manager(n, false);
            self.manager_comes_back(n);
        }
    }

    /// A packet of its daemon.
    pub(super) fn manager_packet(&mut self, n: usize, packet: &[u8]) {
        let Some(clusterd) = self.nodes[n].manager.as_mut() else {
            return;
        };
        let heard = clusterd.talk.on_packet(packet);
        self.manager_heard(n, heard);
        self.feed_manager(n);
    }

    fn manager_heard(&mut self, n: usize, heard: Option<Heard>) {
        match heard {
            Some(Heard::Manager(mut input)) => {
                if self.mutation == Some(Mutation::OldestWins) {
                    oldest_first(&mut input);
                }
                self.note_manager_input(n, &input);
                if let Some(clusterd) = self.nodes[n].manager.as_mut() {
                    clusterd.inputs.push_back(input);
                }
            }
            Some(Heard::Refused(reason)) => self.broken("manager", reason),
            Some(Heard::DebugLevel(_)) | None => {}
        }
    }

    pub(super) fn manager_input(&mut self, n: usize, number: u64, input: Input) {
        let Some(clusterd) = self.nodes[n].manager.as_mut() else {
            return;
        };
        if clusterd.number == number {
            if input == Input::Lock(LockEvent::Lost) {
                self.oracle.lost_lock(n);
            }
            clusterd.inputs.push_back(input);
            self.feed_manager(n);
        }
    }

    /// Gives the manager its inputs and does what it wants, until neither is left.
    fn feed_manager(&mut self, n: usize) {
        loop {
            let Some(clusterd) = self.nodes[n].manager.as_mut() else {
                return;
            };
            let Some(input) = clusterd.inputs.pop_front() else {
                break;
            };
            let now = Time(self.now.0 - clusterd.started.0);
            let mut outputs = Outputs::new();
            clusterd.manager.handle(now, input, &mut outputs);
            self.perform(n, outputs);
        }
        self.arm_manager(n);
    }

    fn perform(&mut self, n: usize, mut outputs: Outputs) {
        let outputs: Vec<Output> = outputs.drain().collect();
        for output in outputs {
            self.note_manager_output(n, &output);
            let Some(clusterd) = self.nodes[n].manager.as_mut() else {
                return;
            };
            let now = Time(self.now.0 - clusterd.started.0);
            let mut packets = Vec::new();
            let send = &mut |packet: &Packet<'_>| {
                let mut bytes = Vec::new();
                packet.encode_unpadded(&mut bytes);
                packets.push(bytes);
                true
            };
            let rest = clusterd.talk.perform(now, output, send);
            let client = clusterd.client;
            for packet in packets {
                self.hand_in(n, client, packet);
            }
            match rest {
                Rest::Done => {}
                Rest::Heard(heard) => self.manager_heard(n, Some(heard)),
                Rest::TakeLock => self.take_lock(n),
                Rest::ReleaseLock => self.release_lock(n),
                Rest::Coordinator(_) => {}
                Rest::Exit(reason) => {
                    say!(self, "the manager of node {n} gives up: {reason}");
                    self.kill_manager(n);
                }
            }
        }
    }

    fn arm_manager(&mut self, n: usize) {
        let Some(clusterd) = self.nodes[n].manager.as_mut() else {
            return;
        };
        let due = [
            clusterd.manager.poll_timeout(),
            clusterd.talk.next_deadline(),
        ];
        let Some(due) = due.into_iter().flatten().min() else {
            return;
        };
        let at = Time(due.0.saturating_add(clusterd.started.0)).max(self.now);
        if clusterd.armed.is_none_or(|armed| at < armed) {
            clusterd.armed = Some(at);
            let number = clusterd.number;
            self.at(at, Event::ManagerTimer(n, number, at));
        }
    }

    pub(super) fn manager_timer(&mut self, n: usize, number: u64, at: Time) {
        let Some(clusterd) = self.nodes[n].manager.as_mut() else {
            return;
        };
        if clusterd.number != number || clusterd.armed != Some(at) {
            return;
        }
        clusterd.armed = None;
        let now = Time(self.now.0 - clusterd.started.0);
        let mut late = Vec::new();
        while let Some(heard) = clusterd.talk.expire(now) {
            late.push(heard);
        }
        let due = clusterd
            .manager
            .poll_timeout()
            .is_some_and(|due| due <= now);
        for heard in late {
            self.manager_heard(n, Some(heard));
        }
        if due && let Some(clusterd) = self.nodes[n].manager.as_mut() {
            clusterd.inputs.push_back(Input::Timer);
        }
        self.feed_manager(n);
    }

    fn take_lock(&mut self, n: usize) {
        let delay = self.rng.micros(1_000, 20_000);
        if let Some(clusterd) = self.nodes[n].manager.as_mut() {
            clusterd.attempt += 1;
            let (number, attempt) = (clusterd.number, clusterd.attempt);
            self.after(delay, Event::TryLock(n, number, attempt));
        }
    }

    fn release_lock(&mut self, n: usize) {
        if let Some(clusterd) = self.nodes[n].manager.as_mut() {
            clusterd.attempt += 1;
            let number = clusterd.number;
            self.unlock_cluster(n, number);
        }
    }

    pub(super) fn try_cluster_lock(&mut self, n: usize, number: u64, attempt: u64) {
        let wanted = |clusterd: &Clusterd| clusterd.number == number && clusterd.attempt == attempt;
        if !self.nodes[n].manager.as_ref().is_some_and(wanted) {
            return;
        }
        let event = if self.lock.is_held() {
            LockEvent::Contended
        } else {
            say!(self, "node {n} has the cluster lock");
            self.lock.holder = Some((n, number));
            self.oracle.has_lock(n);
            LockEvent::Taken
        };
        self.manager_input(n, number, Input::Lock(event));
    }

    pub(super) fn unlock_cluster(&mut self, n: usize, number: u64) {
        self.lock.holder = self.lock.holder.filter(|holder| *holder != (n, number));
    }

    /// The holder loses the lock, and hears of it a moment later.
    pub(super) fn lose_cluster_lock(&mut self) {
        let Some((n, number)) = self.lock.holder.take() else {
            return;
        };
        self.oracle.lock_lost_at.insert(n, self.now);
        let delay = self.rng.micros(1_000, 1_000_000);
        if self.mutation != Some(Mutation::DeafLeader) {
            self.after(
                delay,
                Event::ToManager(n, number, Input::Lock(LockEvent::Lost)),
            );
        }
    }
}

/// The planted bug [`Mutation::OldestWins`]: the copies that a recovery pulls are numbered the other way round.
fn oldest_first(input: &mut Input) {
    use wire::ReqId;
    use wire::coding::{Decode, Encode};
    use wire::types::RecBuffer;
    let Input::Message { srvid, data, .. } = input else {
        return;
    };
    if !Srvid::is_recovery(*srvid) {
        return;
    }
    let Ok(buffer) = RecBuffer::from_bytes(data) else {
        return;
    };
    let mut turned = RecBuffer::new(buffer.db);
    for record in buffer.records_with_header().flatten() {
        let header = record.header.map(|mut header| {
            header.rsn = u64::from(u32::MAX).saturating_sub(header.rsn);
            header
        });
        turned.push(ReqId(0), header, record.key, record.data);
    }
    *data = turned.to_bytes();
}

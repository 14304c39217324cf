//! The loop around the manager.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::link::{Incoming, Outgoing};
use cluster::Time;
use cluster::coordinator::Action;
use cluster::manager::{CoordinatorSettings, Input, LockEvent, Manager, Output, Outputs, Settings};
use config::{Etcd, LogLevel, Paths};
use nix::sys::stat::SFlag;
use tokio::signal::unix::{SignalKind, signal};
use wire::control::Request;
use wire::packet::{Header, Packet};

use super::Args;
use super::coordinator::Coordinator;
use super::lock::Lock;
use super::talk::{Heard, Rest, Talk};
use super::trace::{In, Out};
use crate::alarm::Alarm;
use crate::logging::LogHandle;
use crate::stdin;

/// How often ctdbd is asked for its debug level, as 4.17's recovery daemon does.
const SECOND: Duration = Duration::from_secs(1);
/// Why the shell has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// ctdbd is gone, or told us to end.
    Parent,
    /// The connection to ctdbd is gone.
    Disconnected,
    /// The manager, or something around it, gave up.
    GaveUp(String),
}

/// The manager and everything it acts through.
#[derive(Debug)]
pub struct Shell {
    manager: Manager,
    outgoing: Outgoing,
    talk: Talk,
    lock: Lock,
    coordinator: Coordinator,
    /// What the coordinator has not been told yet.
    actions: VecDeque<Action>,
    start: Instant,
    level: LogHandle,
    /// What happened while outputs were carried out.
    inputs: VecDeque<Input>,
    outputs: Outputs,
    /// A recovery has been since the memory was given back: a leader has all records of a database in hand.
    recovered: bool,
    /// When it is time to ask for the debug level.
    second: Time,
    end: Option<End>,
}

impl Shell {
    /// Starts a manager behind this connection. `seed` is random.
    #[must_use]
    pub fn new(args: Args, paths: &Paths, outgoing: Outgoing, level: LogHandle, seed: u64) -> Self {
        let (pnn, lock) = (args.pnn, args.cluster_lock);
        let (etcd, incarnation) = args.etcd.unzip();
        let monotonic_clock = sys::machine::monotonic_clock();
        let start = Instant::now();
        let coordinator = etcd.as_ref().map(|etcd| CoordinatorSettings {
            incarnation: incarnation.unwrap_or_default(),
            lease: etcd.lease,
            monotonic_clock,
        });
        let setting = etcd.as_ref().map(Etcd::setting);
        let wall_clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let settings = Settings {
            cluster_lock: setting.or_else(|| lock.as_ref().map(|lock| lock.text().to_owned())),
            leader_timeout: args.leader_timeout,
            leader_capability: args.leader_capability,
            failover_disabled: args.failover_disabled,
            wall_clock,
            coordinator,
            ..Settings::new(pnn)
        };
        let mut outputs = Outputs::new();
        Self {
            manager: Manager::new(settings, seed, Time::ZERO, &mut outputs),
            outgoing,
            talk: Talk::new(pnn),
            lock: Lock::new(lock, paths.clone()),
            coordinator: Coordinator::new(etcd, paths),
            actions: VecDeque::new(),
            start,
            level,
            inputs: VecDeque::new(),
            outputs,
            recovered: false,
            second: Time::ZERO,
            end: None,
        }
    }

    /// Runs until there is a reason to end. The cluster lock is released with the shell; the membership with the coordinator
    /// ends only if ctdbd has, too.
    pub async fn run(mut self, incoming: Incoming) -> End {
        let end = self.serve(incoming).await;
        if matches!(end, End::Parent | End::Disconnected) {
            self.coordinator.leave().await;
        }
        end
    }

    async fn serve(&mut self, mut incoming: Incoming) -> End {
        let alarm = match Alarm::new() {
            Ok(alarm) => alarm,
            Err(error) => return End::GaveUp(format!("cannot make a timer: {error}")),
        };
        let mut parent = std::pin::pin!(stdin::ended(&[SFlag::S_IFSOCK, SFlag::S_IFIFO]));
        let mut terminate = match signal(SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(error) => return End::GaveUp(format!("cannot handle SIGTERM: {error}")),
        };
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return End::GaveUp(format!("cannot handle SIGHUP: {error}")),
        };
        self.carry_out();
        while self.end.is_none() {
            while let Some(action) = self.actions.pop_front() {
                self.coordinator.act(action).await;
            }
            let deadline = self.deadline();
            tokio::select! {
                () = &mut parent => return End::Parent,
                _ = terminate.recv() => return End::Parent,
                _ = hangup.recv() => drop(self.level.reopen()),
                packet = incoming.next() => match packet {
                    Ok(packet) => if let Some(heard) = self.talk.on_packet(&packet) {
                        self.heard(heard);
                    },
                    Err(_) => return End::Disconnected,
                },
                event = self.lock.event() => self.on_lock(event),
                news = self.coordinator.event() => self.inputs.push_back(Input::Coordinator(news)),
                () = alarm.wait(deadline) => self.on_time(),
            }
            self.carry_out();
        }
        self.end.take().unwrap_or(End::Disconnected)
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// When something is due, if nothing else happens.
    fn deadline(&self) -> Option<Instant> {
        let due = [self.manager.poll_timeout(), self.talk.next_deadline()];
        let first = due.into_iter().flatten().fold(self.second, Time::min);
        // none: too far away to matter
        self.start.checked_add(first.since(Time::ZERO))
    }

    fn on_time(&mut self) {
        let now = self.now();
        while let Some(heard) = self.talk.expire(now) {
            self.heard(heard);
        }
        if self.manager.poll_timeout().is_some_and(|due| due <= now) {
            self.inputs.push_back(Input::Timer);
        }
        if self.second <= now {
            self.second = now + SECOND;
            self.ask_debug_level();
            self.tidy();
        }
    }

    fn on_lock(&mut self, event: LockEvent) {
        self.inputs.push_back(Input::Lock(event));
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Manager(input) => self.inputs.push_back(input),
            Heard::DebugLevel(level) => self.level.set(LogLevel(level)),
            Heard::Refused(reason) => self.end = Some(End::GaveUp(reason)),
        }
    }

    fn ask_debug_level(&mut self) {
        let now = self.now();
        let send = &mut |packet: &Packet<'_>| send(&self.outgoing, packet);
        if let Some(heard) = self.talk.ask_debug_level(now, send) {
            self.heard(heard);
        }
    }

    /// Gives back what a recovery has needed, when it is over.
    fn tidy(&mut self) {
        if std::mem::take(&mut self.recovered) {
            sys::memory::give_back();
        }
    }

    /// Gives the manager all inputs and does what it wants, until neither is left.
    fn carry_out(&mut self) {
        loop {
            let mut outputs = std::mem::take(&mut self.outputs);
            for output in outputs.drain() {
                self.perform(output);
                if self.end.is_some() {
                    return;
                }
            }
            self.outputs = outputs;
            let Some(input) = self.inputs.pop_front() else {
                return;
            };
            tracing::trace!("in: {}", In(&input));
            self.manager.handle(self.now(), input, &mut self.outputs);
        }
    }

    fn perform(&mut self, output: Output) {
        tracing::trace!("out: {}", Out(&output));
        self.recovered |= is_end_of_recovery(&output);
        let now = self.now();
        let send = &mut |packet: &Packet<'_>| send(&self.outgoing, packet);
        match self.talk.perform(now, output, send) {
            Rest::Done => {}
            Rest::Heard(heard) => self.heard(heard),
            Rest::TakeLock => self.lock.take(),
            Rest::ReleaseLock => self.lock.release(),
            Rest::Coordinator(action) => self.actions.push_back(action),
            Rest::Exit(reason) => self.end = Some(End::GaveUp(reason)),
        }
    }
}

fn is_end_of_recovery(output: &Output) -> bool {
    matches!(
        output,
        Output::Control {
            request: Request::EndRecovery,
            ..
        }
    )
}

/// False: it was not sent, and the reason is in the log.
fn send(outgoing: &Outgoing, packet: &Packet<'_>) -> bool {
    let sent = outgoing.send(packet);
    if let Err(error) = &sent {
        let Header {
            operation,
            destination,
            ..
        } = packet.header;
        tracing::error!(%error, ?operation, pnn = destination.0, "cannot send to ctdbd");
    }
    sent.is_ok()
}

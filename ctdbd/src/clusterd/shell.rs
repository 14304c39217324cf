//! The loop around the manager.

use std::collections::VecDeque;
use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use client::link::{Incoming, Outgoing};
use cluster::Time;
use cluster::manager::{
    ControlAnswer, ControlFailure, Input, LockEvent, Manager, Output, Outputs, Settings, Token,
};
use config::{LogLevel, Paths};
use nix::sys::stat::SFlag;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use wire::control::{Control, GetDebug, Opcode, Request};
use wire::packet::{Body, ControlFlags, Header, Packet, ReqControl, ReqMessage};
use wire::{ClientId, Generation, Pnn, ReqId, Srvid};

use super::Args;
use super::controls::Controls;
use super::lock::Lock;
use super::trace::{In, Out};
use crate::logging::LogHandle;
use crate::stdin;

/// Controls under way at most; a recovery has a few for each node and database.
const MAX_CONTROLS: usize = 1 << 20;
/// Limit of the shell's own controls.
const OWN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often ctdbd is asked for its debug level, as 4.17's recovery daemon does.
const DEBUG_INTERVAL: Duration = Duration::from_secs(1);
/// What a C ctdbd answers in place of a node that it is not connected to, or is no longer
/// (ctdb_control.c, ctdb_daemon.c, 4.17.12).
const DISCONNECTED: [&str; 2] = ["ctdb_control to disconnected node", "node is disconnected"];

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

/// Whose control it is.
#[derive(Debug)]
enum Owner {
    Manager(Token),
    Registration(Srvid),
    DebugLevel,
}

/// The manager and everything it acts through.
#[derive(Debug)]
pub struct Shell {
    pnn: Pnn,
    manager: Manager,
    outgoing: Outgoing,
    controls: Controls<Owner>,
    lock: Lock,
    start: Instant,
    level: LogHandle,
    /// What happened while outputs were carried out.
    inputs: VecDeque<Input>,
    outputs: Outputs,
    end: Option<End>,
}

impl Shell {
    /// Starts a manager behind this connection. `seed` is random.
    #[must_use]
    pub fn new(args: Args, paths: &Paths, outgoing: Outgoing, level: LogHandle, seed: u64) -> Self {
        let (pnn, lock) = (args.pnn, args.cluster_lock);
        let wall_clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let settings = Settings {
            cluster_lock: lock.as_ref().map(|lock| lock.text().to_owned()),
            leader_timeout: args.leader_timeout,
            leader_capability: args.leader_capability,
            failover_disabled: args.failover_disabled,
            wall_clock,
            ..Settings::new(pnn)
        };
        let mut outputs = Outputs::new();
        Self {
            pnn,
            manager: Manager::new(settings, seed, Time::ZERO, &mut outputs),
            outgoing,
            controls: Controls::new(MAX_CONTROLS),
            lock: Lock::new(lock, paths.clone()),
            start: Instant::now(),
            level,
            inputs: VecDeque::new(),
            outputs,
            end: None,
        }
    }

    /// Runs until there is a reason to end. The cluster lock is released with the shell.
    pub async fn run(mut self, mut incoming: Incoming) -> End {
        let mut debug_interval = tokio::time::interval(DEBUG_INTERVAL);
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
            let deadline = self.deadline();
            tokio::select! {
                () = &mut parent => return End::Parent,
                _ = terminate.recv() => return End::Parent,
                _ = hangup.recv() => drop(self.level.reopen()),
                packet = incoming.next() => match packet {
                    Ok(packet) => self.on_packet(&packet),
                    Err(_) => return End::Disconnected,
                },
                event = self.lock.event() => self.on_lock(event),
                () = sleep_until(deadline) => self.on_time(),
                _ = debug_interval.tick() => self.ask_debug_level(),
            }
            self.carry_out();
        }
        self.end.unwrap_or(End::Disconnected)
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// When something is due, if nothing else happens.
    fn deadline(&self) -> Option<Instant> {
        let due = [self.manager.poll_timeout(), self.controls.next_deadline()];
        let first = due.into_iter().flatten().min()?;
        // none: too far away to matter
        self.start.checked_add(first.since(Time::ZERO))
    }

    fn on_time(&mut self) {
        let now = self.now();
        while let Some(owner) = self.controls.expire(now) {
            self.answered(owner, Err(ControlFailure::TimedOut));
        }
        if self.manager.poll_timeout().is_some_and(|due| due <= now) {
            self.inputs.push_back(Input::Timer);
        }
    }

    fn on_lock(&mut self, event: LockEvent) {
        self.inputs.push_back(Input::Lock(event));
    }

    fn on_packet(&mut self, bytes: &Bytes) {
        let Packet { header, body } = match Packet::decode(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                tracing::warn!(%error, "ignored a packet of ctdbd");
                return;
            }
        };
        match body {
            Body::ReqMessage(message) => self.inputs.push_back(Input::Message {
                source: header.source,
                srvid: message.srvid,
                data: message.data.to_vec(),
            }),
            Body::ReplyControl(reply) => match self.controls.take(header.reqid) {
                Some(owner) => {
                    let result = control_result(reply.status, reply.data, reply.error);
                    self.answered(owner, result);
                }
                None => tracing::debug!(reqid = header.reqid.0, "nobody waits for this reply"),
            },
            _ => tracing::debug!(operation = ?header.operation, "not for a client, ignored"),
        }
    }

    fn answered(&mut self, owner: Owner, result: Result<ControlAnswer, ControlFailure>) {
        match owner {
            Owner::Manager(token) => self.inputs.push_back(Input::ControlReply { token, result }),
            Owner::Registration(srvid) => match result {
                Ok(ControlAnswer { status: 0, .. }) => {}
                refused => {
                    let reason = format!("cannot register SRVID {srvid}: {refused:?}");
                    self.end = Some(End::GaveUp(reason));
                }
            },
            Owner::DebugLevel => {
                let level = result
                    .ok()
                    .and_then(|answer| GetDebug::decode_reply(&answer.data).ok());
                if let Some(level) = level {
                    self.level.set(LogLevel(level));
                }
            }
        }
    }

    fn ask_debug_level(&mut self) {
        let sent = self.control(
            Owner::DebugLevel,
            (Pnn::CURRENT, &Request::GetDebug),
            (Srvid(0), ControlFlags::empty()),
            OWN_TIMEOUT,
        );
        if let Err(owner) = sent {
            self.answered(owner, Err(ControlFailure::Disconnected));
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
        match output {
            Output::Control {
                token,
                destination,
                request,
                srvid,
                flags,
                timeout,
            } => {
                let owner = Owner::Manager(token);
                let sent = self.control(owner, (destination, &request), (srvid, flags), timeout);
                if let Err(owner) = sent {
                    self.answered(owner, Err(ControlFailure::Disconnected));
                }
            }
            Output::Message {
                destination,
                srvid,
                data,
            } => {
                let body = Body::ReqMessage(ReqMessage { srvid, data: &data });
                self.send(destination, ReqId(0), body);
            }
            Output::MessageEach {
                destinations,
                srvid,
                data,
            } => {
                let body = Body::ReqMessage(ReqMessage { srvid, data: &data });
                for destination in destinations {
                    self.send(destination, ReqId(0), body);
                }
            }
            Output::RegisterSrvid(srvid) => {
                self.register(srvid, &Request::RegisterSrvid(srvid));
            }
            Output::DeregisterSrvid(srvid) => {
                self.register(srvid, &Request::DeregisterSrvid(srvid));
            }
            Output::TakeLock => self.lock.take(),
            Output::ReleaseLock => self.lock.release(),
            Output::Exit { reason } => self.end = Some(End::GaveUp(reason)),
        }
    }

    fn register(&mut self, srvid: Srvid, request: &Request) {
        let head = (srvid, ControlFlags::empty());
        let owner = Owner::Registration(srvid);
        if let Err(owner) = self.control(owner, (Pnn::CURRENT, request), head, OWN_TIMEOUT) {
            self.answered(owner, Err(ControlFailure::Disconnected));
        }
    }

    /// Sends a control; gives its owner back if that cannot be.
    fn control(
        &mut self,
        owner: Owner,
        (destination, request): (Pnn, &Request),
        (srvid, flags): (Srvid, ControlFlags),
        timeout: Duration,
    ) -> Result<(), Owner> {
        let srvid = if srvid == Srvid(0) {
            request.srvid()
        } else {
            srvid
        };
        let mut data = Vec::new();
        request.encode(&mut data);
        let opcode = request.opcode();
        let reqid = if flags.contains(ControlFlags::NOREPLY) {
            ReqId(0)
        } else {
            let now = self.now();
            self.controls.add(now, timeout, owner)?
        };
        if self.send(
            destination,
            reqid,
            control_body(opcode, srvid, flags, &data),
        ) {
            return Ok(());
        }
        self.controls.take(reqid).map_or(Ok(()), Err)
    }

    /// False: it was not sent, and the reason is in the log.
    fn send(&self, destination: Pnn, reqid: ReqId, body: Body<'_>) -> bool {
        let operation = body.operation();
        let generation = Generation(0);
        let header = Header {
            generation,
            operation,
            destination,
            source: self.pnn,
            reqid,
        };
        let sent = self.outgoing.send(&Packet { header, body });
        if let Err(error) = &sent {
            tracing::error!(%error, ?operation, pnn = destination.0, "cannot send to ctdbd");
        }
        sent.is_ok()
    }
}

const fn control_body(opcode: Opcode, srvid: Srvid, flags: ControlFlags, data: &[u8]) -> Body<'_> {
    Body::ReqControl(ReqControl {
        opcode: opcode as u32,
        srvid,
        client: ClientId(0),
        flags,
        data,
    })
}

/// What the reply says, if the node itself said it.
fn control_result(status: i32, data: &[u8], error: &[u8]) -> Result<ControlAnswer, ControlFailure> {
    let error = String::from_utf8_lossy(error)
        .trim_end_matches('\0')
        .to_owned();
    if status < 0 && DISCONNECTED.contains(&error.as_str()) {
        return Err(ControlFailure::Disconnected);
    }
    Ok(ControlAnswer {
        status,
        data: data.to_vec(),
        error,
    })
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}

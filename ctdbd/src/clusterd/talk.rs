//! What the manager and ctdbd say to each other, as packets: the half of the process that needs neither socket nor clock.
//!
//! Outputs of the manager become packets in their order, packets become inputs. A control that is not answered in its
//! time is answered here.

use std::time::Duration;

use cluster::Time;
use cluster::coordinator::Action;
use cluster::manager::{ControlAnswer, ControlFailure, Input, Output, Token};
use wire::control::{Control, GetDebug, Opcode, Request};
use wire::packet::{Body, ControlFlags, Header, Packet, ReqControl, ReqMessage};
use wire::{ClientId, Generation, Pnn, ReqId, Srvid};

use super::controls::Controls;

/// Controls under way at most; a recovery has a few for each node and database.
const MAX_CONTROLS: usize = 1 << 20;
/// Limit of the process's own controls.
const OWN_TIMEOUT: Duration = Duration::from_secs(30);
/// What a C ctdbd answers in place of a node that it is not connected to, or is no longer
/// (ctdb_control.c, ctdb_daemon.c, 4.17.12).
const DISCONNECTED: [&str; 2] = ["ctdb_control to disconnected node", "node is disconnected"];

/// Whose control it is.
#[derive(Debug)]
enum Owner {
    Manager(Token),
    Registration(Srvid),
    DebugLevel,
}

/// What came of a packet, or of a time that passed.
#[derive(Debug)]
pub enum Heard {
    /// Something for the manager.
    Manager(Input),
    /// The debug level of ctdbd.
    DebugLevel(i32),
    /// ctdbd refused what the process cannot do without.
    Refused(String),
}

/// What is left of an output once its packets are sent.
#[derive(Debug)]
pub enum Rest {
    /// Nothing.
    Done,
    /// It could not be sent, and that is its answer.
    Heard(Heard),
    /// [`Output::TakeLock`].
    TakeLock,
    /// [`Output::ReleaseLock`].
    ReleaseLock,
    /// [`Output::Coordinator`].
    Coordinator(Action),
    /// [`Output::Exit`], with its reason.
    Exit(String),
}

/// Sends a packet to ctdbd; false if that cannot be.
pub type Send<'a> = &'a mut dyn FnMut(&Packet<'_>) -> bool;

/// One manager's side of the connection.
#[derive(Debug)]
pub struct Talk {
    pnn: Pnn,
    controls: Controls<Owner>,
}

impl Talk {
    /// Nothing is under way.
    #[must_use]
    pub const fn new(pnn: Pnn) -> Self {
        Self {
            pnn,
            controls: Controls::new(MAX_CONTROLS),
        }
    }

    /// When the first control runs out of time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.controls.next_deadline()
    }

    /// The next control that was not answered in time, if there is one.
    pub fn expire(&mut self, now: Time) -> Option<Heard> {
        loop {
            let owner = self.controls.expire(now)?;
            if let Some(heard) = answered(owner, Err(ControlFailure::TimedOut)) {
                return Some(heard);
            }
        }
    }

    /// Reads a packet of ctdbd.
    pub fn on_packet(&mut self, bytes: &[u8]) -> Option<Heard> {
        let Packet { header, body } = match Packet::decode(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                tracing::warn!(%error, "ignored a packet of ctdbd");
                return None;
            }
        };
        match body {
            Body::ReqMessage(message) => Some(Heard::Manager(Input::Message {
                source: header.source,
                srvid: message.srvid,
                data: message.data.to_vec(),
            })),
            Body::ReplyControl(reply) => {
                let Some(owner) = self.controls.take(header.reqid) else {
                    tracing::debug!(reqid = header.reqid.0, "nobody waits for this reply");
                    return None;
                };
                answered(owner, result(reply.status, reply.data, reply.error))
            }
            _ => {
                tracing::debug!(operation = ?header.operation, "not for a client, ignored");
                None
            }
        }
    }

    /// Asks ctdbd for its debug level.
    pub fn ask_debug_level(&mut self, now: Time, send: Send<'_>) -> Option<Heard> {
        self.own(now, Owner::DebugLevel, &Request::GetDebug, send)
    }

    /// Sends what an output says; what is no packet is left to the caller.
    pub fn perform(&mut self, now: Time, output: Output, send: Send<'_>) -> Rest {
        let heard = match output {
            Output::Control {
                token,
                destination,
                request,
                srvid,
                flags,
                timeout,
            } => {
                let owner = Owner::Manager(token);
                let head = (destination, srvid, flags);
                self.control(now, owner, head, &request, timeout, send)
            }
            Output::Message {
                destination,
                srvid,
                data,
            } => {
                self.message(destination, srvid, &data, send);
                None
            }
            Output::MessageEach {
                destinations,
                srvid,
                data,
            } => {
                for destination in destinations {
                    self.message(destination, srvid, &data, send);
                }
                None
            }
            Output::RegisterSrvid(srvid) => {
                let owner = Owner::Registration(srvid);
                self.own(now, owner, &Request::RegisterSrvid(srvid), send)
            }
            Output::DeregisterSrvid(srvid) => {
                let owner = Owner::Registration(srvid);
                self.own(now, owner, &Request::DeregisterSrvid(srvid), send)
            }
            Output::TakeLock => return Rest::TakeLock,
            Output::ReleaseLock => return Rest::ReleaseLock,
            Output::Coordinator(action) => return Rest::Coordinator(action),
            Output::Exit { reason } => return Rest::Exit(reason),
        };
        heard.map_or(Rest::Done, Rest::Heard)
    }

    fn own(&mut self, now: Time, owner: Owner, request: &Request, send: Send<'_>) -> Option<Heard> {
        let head = (Pnn::CURRENT, Srvid(0), ControlFlags::empty());
        self.control(now, owner, head, request, OWN_TIMEOUT, send)
    }

    /// Sends a control; gives its answer if that cannot be.
    fn control(
        &mut self,
        now: Time,
        owner: Owner,
        (destination, srvid, flags): (Pnn, Srvid, ControlFlags),
        request: &Request,
        timeout: Duration,
        send: Send<'_>,
    ) -> Option<Heard> {
        let srvid = if srvid == Srvid(0) {
            request.srvid()
        } else {
            srvid
        };
        let mut data = Vec::new();
        request.encode(&mut data);
        let reqid = if flags.contains(ControlFlags::NOREPLY) {
            ReqId(0)
        } else {
            match self.controls.add(now, timeout, owner) {
                Ok(reqid) => reqid,
                Err(owner) => return answered(owner, Err(ControlFailure::Disconnected)),
            }
        };
        let body = control_body(request.opcode(), srvid, flags, &data);
        if self.send(destination, reqid, body, send) {
            return None;
        }
        let owner = self.controls.take(reqid)?;
        answered(owner, Err(ControlFailure::Disconnected))
    }

    fn message(&self, destination: Pnn, srvid: Srvid, data: &[u8], send: Send<'_>) {
        let body = Body::ReqMessage(ReqMessage { srvid, data });
        self.send(destination, ReqId(0), body, send);
    }

    fn send(&self, destination: Pnn, reqid: ReqId, body: Body<'_>, send: Send<'_>) -> bool {
        let header = Header {
            generation: Generation(0),
            operation: body.operation(),
            destination,
            source: self.pnn,
            reqid,
        };
        send(&Packet { header, body })
    }
}

/// What an answer means to whoever waits for it.
fn answered(owner: Owner, result: Result<ControlAnswer, ControlFailure>) -> Option<Heard> {
    match owner {
        Owner::Manager(token) => Some(Heard::Manager(Input::ControlReply { token, result })),
        Owner::Registration(srvid) => match result {
            Ok(ControlAnswer { status: 0, .. }) => None,
            refused => Some(Heard::Refused(format!(
                "cannot register SRVID {srvid}: {refused:?}"
            ))),
        },
        Owner::DebugLevel => {
            let level = GetDebug::decode_reply(&result.ok()?.data).ok()?;
            Some(Heard::DebugLevel(level))
        }
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
fn result(status: i32, data: &[u8], error: &[u8]) -> Result<ControlAnswer, ControlFailure> {
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

//! Which part answers which control.

use cluster::membership::{self, Membership};
use database::Engine;
use database::io as engine;
use failover::Failover;
use tracing::{error, warn};
use wire::control::{Request, opcode_name, retired_text};
use wire::packet::{ControlFlags, ReqControl};
use wire::{ClientId, Pnn, Srvid};

use super::Daemon;
use super::asking::Asker;
use super::io::Output;

/// A control that is to be answered on this node.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) asker: Asker,
    /// The node that it came from.
    pub(super) source: Pnn,
    /// The local client that sent it.
    pub(super) client: Option<ClientId>,
    flags: ControlFlags,
    opcode: u32,
    srvid: Srvid,
    data: Vec<u8>,
}

impl Question {
    pub(super) fn new(
        asker: Asker,
        source: Pnn,
        client: Option<ClientId>,
        control: &ReqControl<'_>,
    ) -> Self {
        let ReqControl {
            flags,
            opcode,
            srvid,
            data,
            ..
        } = *control;
        Self {
            asker,
            source,
            client,
            flags,
            opcode,
            srvid,
            data: data.to_vec(),
        }
    }

    /// A command of this node to itself, without an answer.
    pub(super) fn of_our_own(me: Pnn, request: Request) -> Self {
        let mut data = Vec::new();
        request.encode(&mut data);
        let (opcode, srvid) = (request.opcode().number(), request.srvid());
        Self {
            asker: Asker::Nobody,
            source: me,
            client: None,
            flags: ControlFlags::NOREPLY,
            opcode,
            srvid,
            data,
        }
    }
}

impl Daemon {
    /// Finds the part that answers.
    pub(super) fn question(&mut self, question: Question, out: &mut Vec<Output>) {
        let request = match Request::decode(question.opcode, question.srvid, &question.data) {
            Ok(request) => request,
            Err(why) => {
                let name = opcode_name(question.opcode).unwrap_or("unknown");
                error!(source = %question.source, client = ?question.client, opcode = question.opcode, name, %why,
                    "a control was refused");
                return self.answer(question.asker, self.me, -1, &[], &why.to_string(), out);
            }
        };
        if let Request::Retired(opcode) = request {
            let text = retired_text(opcode).unwrap_or_default();
            warn!("{text}");
            return self.answer(question.asker, self.me, -1, &[], "", out);
        }
        if Membership::answers(&request) {
            let token = membership::Token(self.ask_part(question.asker));
            let input = membership::Input::Control {
                token,
                source: question.source,
                request,
            };
            self.tell_membership(input, out);
        } else if Engine::answers(&request) {
            let token = engine::Token(self.ask_part(question.asker));
            let Question {
                source,
                client,
                flags,
                ..
            } = question;
            let control = engine::ControlRequest {
                token,
                source,
                client,
                flags,
                request,
            };
            self.tell_engine(engine::Input::Control(control), out);
        } else if Failover::answers(&request) {
            let control = failover::ControlRequest {
                token: failover::Token(self.ask_part(question.asker)),
                source: question.source,
                client: question.client,
                flags: question.flags,
                request,
            };
            self.tell_failover(failover::Input::Control(control), out);
        } else {
            self.answer_here(&question, &request, out);
        }
    }

    /// Notes who gets what the part will answer.
    pub(super) fn ask_part(&mut self, asker: Asker) -> u64 {
        self.last_token += 1;
        self.questions.insert(self.last_token, asker);
        self.last_token
    }

    /// A part answered.
    pub(super) fn part_answered(
        &mut self,
        token: u64,
        status: i32,
        data: &[u8],
        error: &str,
        out: &mut Vec<Output>,
    ) {
        if let Some(asker) = self.questions.remove(&token) {
            self.answer(asker, self.me, status, data, error, out);
        }
    }
}

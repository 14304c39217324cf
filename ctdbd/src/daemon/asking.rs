//! Controls on their way: who asked, and which answers this node still waits for.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use cluster::membership;
use database::io as engine;
use tracing::{debug, info, warn};
use wire::control::{Opcode, Request, opcode_name};
use wire::packet::{Body, ControlFlags, Header, ReplyControl, ReqControl};
use wire::{ClientId, Pnn, ReqId, Time};

use super::controls::Question;
use super::io::Output;
use super::{Daemon, Local};

/// Who gets the answer to a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A local client, which knows its question by this number.
    Client(ClientId, ReqId),
    /// Another node.
    Node(Pnn, ReqId),
    /// The database.
    Engine(engine::OwnToken),
    /// The cluster manager's node side.
    Membership(membership::OwnToken),
    /// Nobody waits.
    Nobody,
}

impl Asker {
    pub(super) fn is_client(&self, client: ClientId) -> bool {
        matches!(self, Self::Client(id, _) if *id == client)
    }
}

/// A control that another node has not answered yet.
#[derive(Debug)]
pub(super) struct Asked {
    asker: Asker,
    node: Pnn,
    deadline: Time,
}

/// The controls that this node sent and that are not answered.
#[derive(Debug, Default)]
pub(super) struct Asking {
    asked: BTreeMap<ReqId, Asked>,
    /// The deadlines of all of them, the next first.
    deadlines: BTreeSet<(Time, ReqId)>,
    last: u32,
}

impl Asking {
    /// Numbers begin at `seed`, another one in each life of the daemon: answers to an earlier life may still come.
    pub(super) fn new(seed: u32) -> Self {
        Self {
            last: seed,
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    fn add(&mut self, asked: Asked) -> ReqId {
        loop {
            self.last = self.last.wrapping_add(1);
            let reqid = ReqId(self.last);
            if self.last != 0 && !self.asked.contains_key(&reqid) {
                self.deadlines.insert((asked.deadline, reqid));
                self.asked.insert(reqid, asked);
                return reqid;
            }
        }
    }

    pub(super) fn first_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A client is gone; answers to its questions are for nobody.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.take(|asked| asked.asker.is_client(client));
    }

    fn remove(&mut self, reqid: ReqId) -> Option<Asked> {
        let asked = self.asked.remove(&reqid)?;
        self.deadlines.remove(&(asked.deadline, reqid));
        Some(asked)
    }

    fn take(&mut self, which: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        let ids: Vec<ReqId> = self
            .asked
            .iter()
            .filter(|(_, asked)| which(asked))
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    fn take_late(&mut self, now: Time) -> Vec<Asked> {
        let late: Vec<ReqId> = self
            .deadlines
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, id)| *id)
            .collect();
        late.into_iter().filter_map(|id| self.remove(id)).collect()
    }
}

impl Daemon {
    /// A part asks one node something, or every node of a broadcast address (then nobody waits).
    pub(super) fn ask(
        &mut self,
        asker: Asker,
        to: Pnn,
        client: ClientId,
        request: Request,
        timeout: Duration,
        out: &mut Vec<Output>,
    ) {
        let mut data = Vec::new();
        request.encode(&mut data);
        let flags = if asker == Asker::Nobody {
            ControlFlags::NOREPLY
        } else {
            ControlFlags::empty()
        };
        let opcode = request.opcode().number();
        let control = ReqControl {
            opcode,
            srvid: request.srvid(),
            client,
            flags,
            data: &data,
        };
        if to.is_broadcast() {
            for node in self.nodes_of(to) {
                self.ask_node(Asker::Nobody, node, &control, timeout, out);
            }
        } else {
            self.ask_node(asker, to, &control, timeout, out);
        }
    }

    /// Sends a control to a node, this one included.
    pub(super) fn ask_node(
        &mut self,
        asker: Asker,
        node: Pnn,
        control: &ReqControl<'_>,
        timeout: Duration,
        out: &mut Vec<Output>,
    ) {
        if node == self.me {
            let client = matches!(asker, Asker::Client(..)).then_some(control.client);
            let question = Question::new(asker, node, client, control);
            self.local.push_back(Local::Control(question));
            return;
        }
        if !self.membership.is_connected(node) {
            return self.answer(
                asker,
                node,
                -1,
                &[],
                "ctdb_control to disconnected node",
                out,
            );
        }
        let reqid = if asker == Asker::Nobody {
            ReqId(0)
        } else {
            let timeout = if timeout.is_zero() {
                Duration::from_secs(60)
            } else {
                timeout
            };
            self.asking.add(Asked {
                asker,
                node,
                deadline: self.now + timeout,
            })
        };
        self.send_node(node, reqid, Body::ReqControl(*control), out);
    }

    /// Another node answered.
    pub(super) fn answered(
        &mut self,
        from: Pnn,
        reqid: ReqId,
        reply: &ReplyControl<'_>,
        out: &mut Vec<Output>,
    ) {
        if self
            .asking
            .asked
            .get(&reqid)
            .is_none_or(|asked| asked.node != from)
        {
            debug!(%from, %reqid, "answer to a control that nobody waits for");
            return;
        }
        let Some(asked) = self.asking.remove(reqid) else {
            return;
        };
        let error = String::from_utf8_lossy(reply.error).into_owned();
        self.answer(asked.asker, from, reply.status, reply.data, &error, out);
    }

    /// A node is gone: it answers nothing any more, and waits for nothing. What it asked must not be answered to the
    /// process that comes after it, which counts its questions from the start.
    pub(super) fn fail_questions_to(&mut self, node: Pnn, out: &mut Vec<Output>) {
        for asker in self.questions.values_mut() {
            if matches!(asker, Asker::Node(from, _) if *from == node) {
                *asker = Asker::Nobody;
            }
        }
        for asked in self.asking.take(|asked| asked.node == node) {
            self.answer(asked.asker, node, -1, &[], "node is disconnected", out);
        }
    }

    /// Nobody waits for ever.
    pub(super) fn fail_late_questions(&mut self, out: &mut Vec<Output>) {
        for asked in self.asking.take_late(self.now) {
            info!(node = %asked.node, "a control timed out");
            self.statistics.timeouts_control += 1;
            self.answer(
                asked.asker,
                asked.node,
                -1,
                &[],
                "ctdb_control timed out",
                out,
            );
        }
    }

    /// Gives an answer to whoever asked.
    pub(super) fn answer(
        &mut self,
        asker: Asker,
        from: Pnn,
        status: i32,
        data: &[u8],
        error: &str,
        out: &mut Vec<Output>,
    ) {
        let body = Body::ReplyControl(ReplyControl {
            status,
            data,
            error: error.as_bytes(),
        });
        match asker {
            Asker::Client(client, reqid) => self.send_client(client, reqid, body, out),
            Asker::Node(node, reqid) => self.send_node(node, reqid, body, out),
            Asker::Engine(token) => {
                let input = engine::Input::ControlReply {
                    token,
                    from,
                    status,
                    data: data.to_vec(),
                };
                self.local.push_back(Local::ToEngine(input));
            }
            Asker::Membership(token) => {
                let input = membership::Input::ControlReply {
                    token,
                    status,
                    data: data.to_vec(),
                };
                self.local.push_back(Local::ToMembership(input));
            }
            Asker::Nobody => {}
        }
    }

    /// A client's control: for this node, for another, or for many.
    pub(super) fn client_control(
        &mut self,
        client: ClientId,
        to: Pnn,
        reqid: ReqId,
        control: &ReqControl<'_>,
        out: &mut Vec<Output>,
    ) {
        let control = ReqControl { client, ..*control };
        let silent = control.flags.contains(ControlFlags::NOREPLY);
        let asker = if silent {
            Asker::Nobody
        } else {
            Asker::Client(client, reqid)
        };
        if to == self.me {
            self.local.push_back(Local::Control(Question::new(
                asker,
                to,
                Some(client),
                &control,
            )));
            return;
        }
        let timeout = Duration::from_secs(u64::from(self.tunables.control_timeout));
        if !to.is_broadcast() {
            return self.ask_node(asker, to, &control, timeout, out);
        }
        if !silent {
            return self.answer(
                asker,
                to,
                -1,
                &[],
                "a broadcast control has to be sent without reply",
                out,
            );
        }
        for node in self.nodes_of(to) {
            self.ask_node(Asker::Nobody, node, &control, timeout, out);
        }
    }

    /// A node's control. A commit of another generation has been overtaken by a recovery, which has decided about it:
    /// applied now, it would be on this node alone.
    pub(super) fn node_control(
        &mut self,
        from: Pnn,
        header: &Header,
        control: &ReqControl<'_>,
        out: &mut Vec<Output>,
    ) {
        let silent = control.flags.contains(ControlFlags::NOREPLY);
        let asker = if silent {
            Asker::Nobody
        } else {
            Asker::Node(from, header.reqid)
        };
        if counts_in_its_generation(control.opcode) && header.generation != self.generation {
            let name = opcode_name(control.opcode).unwrap_or_default();
            warn!(%from, theirs = %header.generation, ours = %self.generation, "{name} of another generation refused");
            return self.answer(asker, self.me, -1, &[], "a recovery was faster", out);
        }
        self.question(Question::new(asker, from, None, control), out);
    }
}

/// A late commit is not for what a recovery has made; and a node that is connected, and of another part of the cluster,
/// must not have its copies removed for what was deleted in this one. (C looks at the generation of calls alone.)
fn counts_in_its_generation(opcode: u32) -> bool {
    [Opcode::UpdateRecord, Opcode::TryDeleteRecords]
        .iter()
        .any(|of| of.number() == opcode)
}

//! The steps of a script, carried out.

use std::time::Duration;

use ctdbd::daemon::Input;
use wire::control::Request;
use wire::packet::{Body, ControlFlags, Header, Packet, ReqControl};
use wire::types::BanState;
use wire::{ClientId, Generation, Pnn, ReqId};

use super::{World, say};
use crate::script::What;

/// The administrator's client; answers to it are not awaited.
const ADMINISTRATOR: ClientId = ClientId(0xAD_0000);

impl World {
    pub(super) fn step(&mut self, what: What) {
        say!(self, "-- {what}");
        match what {
            What::Add(who, _)
            | What::Read(who, _)
            | What::Peek(who, _)
            | What::Delete(who, _)
            | What::Hold(who, ..)
            | What::Commit(who, _)
            | What::Traverse(who) => self.client_op(who, what),
            What::End(who) => {
                if let Some(client) = self.client_in(who) {
                    self.end_client(who.0 as usize, client);
                }
            }
            What::Freeze(who, ms) => {
                if let Some(client) = self.client_in(who) {
                    self.stop_client(who.0 as usize, client, ms);
                }
            }
            What::Cut(a, b) => self.cut(a as usize, b as usize),
            What::Heal => self.heal(),
            What::Reset(a, b) => self.reset(a as usize, b as usize),
            What::Slow(a, b, ms) => {
                self.net.link(a as usize, b as usize).slow = u64::from(ms);
            }
            What::Hang(n, ms) => {
                let until = self.now + Duration::from_millis(u64::from(ms));
                let node = &mut self.nodes[n as usize];
                // never earlier than what already waits for its end
                node.hung_until = node.hung_until.max(until);
            }
            What::Kill(n) => self.end_daemon(n as usize, false),
            What::Power(n) => self.end_daemon(n as usize, true),
            What::Start(n) => self.plan_start(n as usize, Duration::ZERO),
            What::Manager(n) => self.kill_manager(n as usize),
            What::Workers(n) => self.kill_workers(n as usize),
            What::Ban(n, seconds) => {
                let ban = BanState {
                    pnn: Pnn(n),
                    time: seconds,
                };
                self.administer(n as usize, &Request::SetBanState(ban));
            }
            What::Stop(n) => self.administer(n as usize, &Request::StopNode),
            What::Continue(n) => self.administer(n as usize, &Request::ContinueNode),
            What::Unlock => self.lose_cluster_lock(),
        }
    }

    /// A command of the administrator to a node, at the node itself.
    pub(super) fn administer(&mut self, n: usize, request: &Request) {
        if self.nodes[n].daemon.is_none() {
            return;
        }
        let (client, pid) = (ADMINISTRATOR, 2);
        self.input_now(n, Input::ClientConnected { client, pid });
        let mut data = Vec::new();
        request.encode(&mut data);
        let control = ReqControl {
            opcode: request.opcode().number(),
            srvid: request.srvid(),
            client: ClientId(0),
            flags: ControlFlags::NOREPLY,
            data: &data,
        };
        let body = Body::ReqControl(control);
        let header = Header {
            generation: Generation(0),
            operation: body.operation(),
            destination: Pnn::CURRENT,
            source: Pnn(n as u32),
            reqid: ReqId(0),
        };
        let mut packet = Vec::new();
        Packet { header, body }.encode_unpadded(&mut packet);
        self.input_now(n, Input::ClientPacket { client, packet });
        self.input_now(n, Input::ClientGone(client));
    }

    /// Everything is mended; a daemon that hangs goes on when its time is over.
    pub(super) fn script_over(&mut self) {
        say!(self, "-- the script is over");
        self.heal();
        for link in self.net.links() {
            link.slow = 0;
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].daemon.is_none() {
                self.plan_start(n, Duration::ZERO);
            }
            self.administer(n, &Request::ContinueNode);
        }
        self.begin_the_end();
    }
}

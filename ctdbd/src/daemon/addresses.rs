//! The public addresses' place in the daemon: what they are told, and what they want done.

use core::time::Duration;

use failover::{AddressEvent, Input, Output as Wanted};
use wire::control::Request;
use wire::event::Event;
use wire::types::BanState;
use wire::{ClientId, Pnn};

use super::asking::Asker;
use super::controls::Question;
use super::events::WhoseEvent;
use super::io::Output;
use super::{Daemon, Local};

impl Daemon {
    /// Gives the public addresses an input and carries out what follows.
    pub(super) fn tell_failover(&mut self, input: Input, out: &mut Vec<Output>) {
        let mut wanted = Vec::new();
        self.failover
            .handle(self.now, input, &*self.system, &mut wanted);
        for output in wanted {
            self.carry_out_failover(output, out);
        }
    }

    fn carry_out_failover(&mut self, output: Wanted, out: &mut Vec<Output>) {
        match output {
            Wanted::Reply {
                token,
                status,
                data,
                error,
            } => {
                self.part_answered(token.0, status, &data, error.as_deref().unwrap_or(""), out);
            }
            Wanted::RunEvent {
                id,
                event,
                arguments,
            } => {
                let event = match event {
                    AddressEvent::TakeIp => Event::TakeIp,
                    AddressEvent::ReleaseIp => Event::ReleaseIp,
                    AddressEvent::UpdateIp => Event::UpdateIp,
                };
                let whose = WhoseEvent::Failover(id);
                self.run_event(whose, event, arguments.join(" "), out);
            }
            Wanted::Control {
                destination,
                request,
            } => self.tell_nodes(destination, request, out),
            Wanted::Message {
                destination,
                srvid,
                data,
            } => self.send_message(destination, srvid, &data, out),
            Wanted::Arp { address, interface } => out.push(Output::Arp { address, interface }),
            Wanted::Tickle(connections) => out.push(Output::Tickle(connections)),
            Wanted::ReadAddresses => out.push(Output::ReadAddresses),
            Wanted::BanSelf => self.ban_self(),
        }
    }

    fn tell_nodes(&mut self, destination: Pnn, request: Request, out: &mut Vec<Output>) {
        let timeout = Duration::from_secs(self.tunables.control_timeout.into());
        self.ask(
            Asker::Nobody,
            destination,
            ClientId(0),
            request,
            timeout,
            out,
        );
    }

    fn ban_self(&mut self) {
        let ban = BanState {
            pnn: self.me,
            time: self.tunables.recovery_ban_period,
        };
        let question = Question::of_our_own(self.me, Request::SetBanState(ban));
        self.local.push_back(Local::Control(question));
    }

    /// Gives the public addresses a fresh copy of what they need to know of this node.
    pub(super) fn tell_failover_of_node(&mut self, out: &mut Vec<Output>) {
        let view = failover::View {
            run_state: self.membership.run_state(),
            flags: self.membership.own_flags(),
            in_recovery: self.membership.in_recovery(),
        };
        self.tell_failover(Input::View(view), out);
    }
}

//! TAKEOVER_IP and RELEASE_IP, the events that they run, and what follows at their end.
//!
//! The steps and log lines are those of C (`ctdb_takeover.c`, 4.17.12), but:
//!
//! * while an event is running for an address, both controls are refused. C answers a TAKEOVER_IP with 0
//!   while the release is under way, and a RELEASE_IP before the take-over has put the address there;
//!   the node then claims to have what it does not have, or the other way round;
//! * a `takeip` or `updateip` that is refused in recovery mode changes nothing;
//! * a `takeip` that timed out has passed only if the address is there.

use std::net::IpAddr;

use tracing::{debug, error, info, trace, warn};
use wire::Pnn;
use wire::control::Request;
use wire::message::Message;
use wire::types::PublicIp;

use crate::address::{Effect, Event, State, step};
use crate::engine::Failover;
use crate::io::{AddressEvent, EventId, Outcome, Output, System, Token};
use crate::table::Address;

/// An event that is running.
#[derive(Debug)]
pub(crate) struct Running {
    ip: IpAddr,
    /// The control that waits for its end.
    asker: Option<Token>,
    /// Where the address goes, if it is released.
    target: Pnn,
}

/// The status of an event that timed out, as others see it: ETIMEDOUT.
const TIMED_OUT: i32 = 110;

impl Failover {
    pub(crate) fn move_address(
        &mut self,
        token: Token,
        request: &Request,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) {
        let answer = match request {
            Request::TakeoverIp(wanted) => self.take_over(token, wanted, system, out),
            Request::ReleaseIp(wanted) => self.release(token, wanted, system, out),
            _ => Err("not a control that moves addresses".to_owned()),
        };
        match answer {
            // the event's end answers
            Ok(Effect::Run) => {}
            Ok(_) => out.push(Output::done(token)),
            Err(why) => out.push(Output::failed(token, why)),
        }
    }

    fn take_over(
        &mut self,
        token: Token,
        wanted: &PublicIp,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) -> Result<Effect, String> {
        let (addr, me) = (wanted.addr, self.me);
        if wanted.pnn != me {
            let node = wanted.pnn;
            error!("takeoverip called for an ip '{addr}' with pnn {node}, but we're node {me}");
            return Err("the address is for another node".to_owned());
        }
        let Some(address) = self.table.find(&addr) else {
            debug!("takeoverip called for an ip '{addr}' that is not a public address");
            return Ok(Effect::Nothing);
        };
        let present = self.is_present(address.ip, system);
        let Some(choice) = self.table.choose(address, present) else {
            error!(
                "takeoverip of IP {} failed to find a usable interface (old {}, have_ip {})",
                with_mask(address),
                address.interface_name(),
                u8::from(present)
            );
            return Err("no interface for it is up".to_owned());
        };
        if present && address.node != me && address.node != Pnn::UNKNOWN {
            error!(
                "takeoverip of IP {addr} is known to the kernel, and we have it on iface[{}], but it \
                 was assigned to node {} and we are node {me}, banning ourself",
                address.interface_name(),
                address.node
            );
            out.push(Output::BanSelf);
            return Err("another node should have it".to_owned());
        }
        if present && address.node == Pnn::UNKNOWN {
            warn!("Doing updateip for IP {addr} already on an interface");
        }
        let running = Running {
            ip: address.ip,
            asker: Some(token),
            target: me,
        };
        self.take(running, Event::Take(choice), out)
    }

    fn take(
        &mut self,
        running: Running,
        event: Event,
        out: &mut Vec<Output>,
    ) -> Result<Effect, String> {
        let Some(address) = self.table.get_mut(running.ip) else {
            return Ok(Effect::Nothing);
        };
        let shown = with_mask(address);
        let (next, effect) = step(address.state.clone(), event);
        match effect {
            Effect::Run if self.view.in_recovery => {
                let name = event_of(&next).map_or("", AddressEvent::name);
                error!("Refusing to run event '{name}' while in recovery");
                return Err("the recovery mode is ACTIVE".to_owned());
            }
            Effect::Run => {
                address.node = self.me;
                address.state = next;
                log_take(&shown, &address.state);
                self.run(running, out);
            }
            Effect::Refuse => {
                info!("Takeover of IP {shown} rejected update for this IP already in flight");
                return Err("an update of the address is in flight".to_owned());
            }
            _ => {
                if next != State::Elsewhere {
                    address.node = self.me;
                }
                debug!(
                    "Redundant takeover of IP {shown} on interface {} (ip already held)",
                    address.interface_name()
                );
            }
        }
        Ok(effect)
    }

    fn release(
        &mut self,
        token: Token,
        wanted: &PublicIp,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) -> Result<Effect, String> {
        let Some(address) = self.table.find(&wanted.addr) else {
            let addr = wanted.addr;
            debug!("releaseip called for an ip '{addr}' that is not a public address");
            return Ok(Effect::Nothing);
        };
        let ip = address.ip;
        let present = if self.asks_kernel() {
            system.has_address(ip)
        } else {
            address.state.interface().is_some()
        };
        self.announcements
            .retain(|announced| announced.ip() != Some(ip));
        let running = Running {
            ip,
            asker: Some(token),
            target: wanted.pnn,
        };
        self.give_up(running, Event::Release { present }, out)
    }

    /// Takes an address off this node, on demand or by its own decision.
    pub(crate) fn give_up(
        &mut self,
        running: Running,
        event: Event,
        out: &mut Vec<Output>,
    ) -> Result<Effect, String> {
        let me = self.me;
        let Some(address) = self.table.get_mut(running.ip) else {
            return Ok(Effect::Nothing);
        };
        let (shown, target) = (with_mask(address), running.target);
        let (next, effect) = step(address.state.clone(), event);
        match effect {
            Effect::Forget => {
                trace!("Redundant release of IP {shown} (ip not held)");
                address.state = next;
                address.settle(target, me);
                self.delete_if_wanted(running.ip);
            }
            Effect::Run => {
                let interface = address.interface_name();
                info!(
                    "Release of IP {shown} on interface {interface}  node:{}",
                    target.0.cast_signed()
                );
                address.state = next;
                self.run(running, out);
            }
            Effect::Refuse => {
                info!("Release of IP {shown} rejected update for this IP already in flight");
                return Err("an update of the address is in flight".to_owned());
            }
            Effect::Later => address.drop_later = true,
            _ => {}
        }
        Ok(effect)
    }

    /// Runs the event of the address's state.
    fn run(&mut self, running: Running, out: &mut Vec<Output>) {
        let Some(address) = self.table.get(running.ip) else {
            return;
        };
        let Some(event) = event_of(&address.state) else {
            return;
        };
        let mut arguments = Vec::new();
        if let State::Moving { from, .. } = &address.state {
            let from = from.as_deref().unwrap_or(crate::table::NO_INTERFACE);
            arguments.push(from.to_owned());
        }
        arguments.push(address.interface_name().to_owned());
        arguments.extend([address.ip.to_string(), address.mask.to_string()]);
        self.last_event += 1;
        let id = EventId(self.last_event);
        self.running.insert(id, running);
        out.push(Output::RunEvent {
            id,
            event,
            arguments,
        });
    }

    pub(crate) fn event_done(
        &mut self,
        id: EventId,
        outcome: Outcome,
        system: &dyn System,
        out: &mut Vec<Output>,
    ) {
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        let ip = running.ip;
        let present = self.is_present(ip, system);
        let hung = outcome == Outcome::TimedOut;
        let asks_kernel = self.asks_kernel();
        let Some(address) = self.table.get_mut(ip) else {
            return;
        };
        let taking = matches!(address.state, State::Taking(_));
        if hung
            && let Some(event) =
                event_of(&address.state).filter(|_| !matches!(address.state, State::Moving { .. }))
        {
            error!("Ignoring hung script for {} event", event.name());
        }
        let passed = match outcome {
            Outcome::Passed => true,
            Outcome::TimedOut => taking && (present || !asks_kernel),
            Outcome::Failed(_) => false,
        };
        let before = address.state.clone();
        let (next, effect) = step(before.clone(), Event::Done { passed, present });
        address.state = next;
        self.conclude(&running, &before, effect, status_of(outcome), out);
        self.drop_if_wanted(ip, system, out);
    }

    /// What follows the end of an event.
    fn conclude(
        &mut self,
        running: &Running,
        before: &State,
        effect: Effect,
        status: i32,
        out: &mut Vec<Output>,
    ) {
        let (ip, me) = (running.ip, self.me);
        let answer = |answer: fn(Token) -> Output| running.asker.map(answer);
        match effect {
            Effect::Taken => {
                self.announce_take_over(ip);
                out.push(self.message(Message::TakeIp(ip.to_string())));
                out.extend(answer(Output::done));
            }
            Effect::NotTaken => {
                let interface = before.interface().unwrap_or_default();
                error!("Failed to takeover IP {ip} on interface {interface}");
                out.extend(running.asker.map(|token| Output::status(token, status)));
            }
            Effect::Moved => out.extend(answer(Output::done)),
            Effect::NotMoved => {
                let (from, to) = ends_of(before);
                error!("Failed update of IP {ip} from interface {from} to {to}");
                if let Some(address) = self.table.get_mut(ip) {
                    // nobody has it, so the next take-over run looks at it again
                    address.node = Pnn::UNKNOWN;
                }
                out.extend(running.asker.map(|token| Output::status(token, status)));
            }
            Effect::Released => {
                out.push(self.message(Message::ReleaseIp(ip.to_string())));
                if let Some(address) = self.table.get_mut(ip) {
                    address.settle(running.target, me);
                }
                self.delete_if_wanted(ip);
                out.extend(answer(Output::done));
            }
            Effect::NotReleased => {
                error!("IP {ip} still hosted during release IP callback, failing");
                let failed = |token| Output::failed(token, "the address is still on an interface");
                out.extend(running.asker.map(failed));
            }
            _ => out.extend(answer(Output::done)),
        }
    }

    /// Deletes an address that was only kept until it is released.
    fn delete_if_wanted(&mut self, ip: IpAddr) {
        if self.table.get(ip).is_some_and(|address| address.deleted) {
            self.table.remove(ip);
        }
    }

    /// A message to the clients of this node.
    pub(crate) fn message(&self, message: Message) -> Output {
        Output::Message {
            destination: self.me,
            srvid: message.srvid(),
            data: message.to_bytes(),
        }
    }
}

impl Running {
    /// An event that nobody waits for, of an address that goes to nobody.
    pub(crate) const fn unasked(ip: IpAddr) -> Self {
        let (asker, target) = (None, Pnn::UNKNOWN);
        Self { ip, asker, target }
    }
}

impl Address {
    /// It is not here, but at `target`; that cannot be this node.
    fn settle(&mut self, target: Pnn, me: Pnn) {
        self.node = if target == me { Pnn::UNKNOWN } else { target };
    }
}

fn event_of(state: &State) -> Option<AddressEvent> {
    match state {
        State::Elsewhere | State::Assigned(_) => None,
        State::Taking(_) => Some(AddressEvent::TakeIp),
        State::Moving { .. } => Some(AddressEvent::UpdateIp),
        State::Releasing(_) => Some(AddressEvent::ReleaseIp),
    }
}

fn log_take(shown: &str, state: &State) {
    match state {
        State::Moving { .. } => {
            let (from, to) = ends_of(state);
            info!("Update of IP {shown} from interface {from} to {to}");
        }
        _ => {
            let interface = state.interface().unwrap_or_default();
            info!("Takeover of IP {shown} on interface {interface}");
        }
    }
}

/// The interfaces of a move.
fn ends_of(state: &State) -> (&str, &str) {
    let from = match state {
        State::Moving { from, .. } => from.as_deref(),
        _ => None,
    };
    let to = state.interface();
    let name = |interface: Option<_>| interface.unwrap_or(crate::table::NO_INTERFACE);
    (name(from), name(to))
}

fn with_mask(address: &Address) -> String {
    format!("{}/{}", address.ip, address.mask)
}

fn status_of(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Passed => 0,
        // 0 would say that it passed
        Outcome::Failed(0) => -1,
        Outcome::Failed(status) => status,
        Outcome::TimedOut => TIMED_OUT,
    }
}

//! The controls of this half and their answers.
//!
//! Status and data are those of 4.17.12 (`ctdb_control.c` and what it calls).

use wire::coding::Encode;
use wire::control::Request;
use wire::types::{BanState, Capabilities, NodeFlagChange, NodeFlags, RunState, TimeVal, Uptime};
use wire::{Pnn, Srvid};

use super::events::Pending;
use super::{Membership, Notification, Output, Outputs, Token, ban};
use crate::Time;

/// Who asks, and how to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) token: Token,
    pub(super) source: Pnn,
}

impl Ask {
    pub(super) fn reply(self, status: i32, data: Vec<u8>, out: &mut Outputs) {
        out.push(Output::Reply {
            token: self.token,
            status,
            data,
            error: None,
        });
    }

    pub(super) fn succeed(self, out: &mut Outputs) {
        self.reply(0, Vec::new(), out);
    }

    pub(super) fn fail(self, out: &mut Outputs) {
        self.reply(-1, Vec::new(), out);
    }

    fn answer(self, value: &impl Encode, out: &mut Outputs) {
        self.reply(0, value.to_bytes(), out);
    }
}

impl Membership {
    /// Whether a control is answered here.
    #[must_use]
    pub fn answers(request: &Request) -> bool {
        asks_value(request) || commands_node(request) || commands_recovery(request)
    }

    /// One control.
    pub(super) fn on_control(&mut self, now: Time, ask: Ask, request: Request, out: &mut Outputs) {
        if asks_value(&request) {
            self.on_question(now, ask, &request, out);
        } else if commands_recovery(&request) {
            self.on_recovery(now, ask, request, out);
        } else {
            self.on_command(now, ask, request, out);
        }
    }

    fn on_question(&self, now: Time, ask: Ask, request: &Request, out: &mut Outputs) {
        match request {
            Request::GetVnnMap => ask.answer(&self.vnn_map, out),
            Request::GetNodemap => ask.answer(&self.nodes.map(), out),
            Request::GetRecmode => {
                ask.reply(i32::from(self.recovery_mode.is_active()), Vec::new(), out);
            }
            Request::GetCapabilities => ask.answer(&self.capabilities, out),
            Request::GetRunstate => ask.answer(&self.run_state, out),
            Request::Uptime => ask.answer(&self.uptime(now), out),
            Request::GetBanState => ask.answer(&self.ban_state(), out),
            Request::GetReclockFile => ask.answer(&self.cluster_lock, out),
            other => not_ours(ask, other, out),
        }
    }

    fn on_recovery(&mut self, now: Time, ask: Ask, request: Request, out: &mut Outputs) {
        match request {
            Request::SetVnnMap(map) => self.set_vnn_map(ask, map, out),
            Request::SetRecmode(mode) => self.set_recovery_mode(ask, mode, out),
            Request::StartRecovery => self.start_recovery(now, ask, out),
            Request::EndRecovery => self.end_recovery(ask, out),
            other => not_ours(ask, &other, out),
        }
    }

    fn on_command(&mut self, now: Time, ask: Ask, request: Request, out: &mut Outputs) {
        match request {
            Request::StopNode => self.stop(out),
            Request::ContinueNode => {
                tracing::info!("Continue node");
                self.clear_own(NodeFlags::STOPPED, out);
            }
            Request::DisableNode => {
                tracing::info!("Disable node");
                self.set_own(NodeFlags::PERMANENTLY_DISABLED, out);
            }
            Request::EnableNode => {
                tracing::info!("Enable node");
                self.clear_own(NodeFlags::PERMANENTLY_DISABLED, out);
            }
            Request::SetBanState(ban) => return self.set_ban(now, ask, ban, out),
            Request::ModifyFlags(change) => return self.modify_flags(ask, &change, out),
            Request::SetLmasterRole(role) => self.set_role(Capabilities::LMASTER, role),
            Request::SetRecmasterRole(role) => self.set_role(Capabilities::RECMASTER, role),
            Request::RecdPing => self.manager_watch.pinged(now, &self.tunables),
            Request::RecdReclockLatency(latency) => {
                self.statistics.lock_latency.recd.update(latency);
                self.note_lock_latency("recd reclock", latency);
            }
            Request::ReloadNodesFile => return self.reload_nodes(ask, out),
            Request::Ipreallocated => return self.run_event(Pending::Ipreallocated(ask), out),
            Request::StartIpreallocate if self.run_state >= RunState::Running => {
                self.tell_clients(Srvid::START_IPREALLOCATE, out);
            }
            Request::StartIpreallocate => {}
            Request::Shutdown => {
                ask.succeed(out);
                return self.shut_down(0, "Received SHUTDOWN command.".into(), out);
            }
            other => return not_ours(ask, &other, out),
        }
        ask.succeed(out);
    }

    fn ban_state(&self) -> BanState {
        self.ban.in_force().unwrap_or(BanState {
            pnn: self.me,
            time: 0,
        })
    }

    fn uptime(&self, now: Time) -> Uptime {
        let at = |time| TimeVal::from_micros(self.wall_clock(time));
        Uptime {
            current_time: at(now),
            ctdbd_start_time: at(self.started),
            last_recovery_started: self.course.last_started.map(at).unwrap_or_default(),
            last_recovery_finished: self.course.last_finished.map(at).unwrap_or_default(),
        }
    }

    fn stop(&mut self, out: &mut Outputs) {
        tracing::info!("Stopping node");
        self.set_own(NodeFlags::STOPPED, out);
        self.become_inactive(out);
    }

    fn set_ban(&mut self, now: Time, ask: Ask, ban: BanState, out: &mut Outputs) {
        if ban.pnn != self.me {
            tracing::warn!("SET_BAN_STATE control for PNN {} ignored", ban.pnn.0);
            return ask.fail(out);
        }
        let effect = self
            .ban
            .set(now, ban.clone(), self.tunables.enable_bans != 0);
        match effect {
            ban::Effect::Keep if ban.time == 0 => self.clear_own(NodeFlags::BANNED, out),
            ban::Effect::Keep => {
                tracing::warn!("Bans are disabled - ignoring ban of node {}", ban.pnn.0);
            }
            ban::Effect::Banned | ban::Effect::Anew | ban::Effect::Prolonged => {
                tracing::warn!("Banning this node for {} seconds", ban.time);
                self.set_own(NodeFlags::BANNED, out);
            }
            ban::Effect::Lifted => {
                tracing::warn!("Unbanning this node");
                self.clear_own(NodeFlags::BANNED, out);
            }
        }
        if effect == ban::Effect::Banned {
            self.become_inactive(out);
        }
        ask.succeed(out);
    }

    /// MODIFY_FLAGS: what a leader or the node itself says of another node. Nobody else knows
    /// better than this node how itself is and whom it is connected to.
    fn modify_flags(&mut self, ask: Ask, change: &NodeFlagChange, out: &mut Outputs) {
        if change.pnn == self.me || change.pnn == Pnn::CURRENT {
            return ask.succeed(out);
        }
        let Some(node) = self.nodes.get(change.pnn) else {
            tracing::error!("Node {} is invalid", change.pnn.0);
            return ask.fail(out);
        };
        let old = node.flags;
        if !old.contains(NodeFlags::DISCONNECTED) {
            let new = change.new_flags - NodeFlags::DISCONNECTED;
            if new != old && new.is_empty() && self.run_state <= RunState::Startup {
                let reason = format!("Node {} became healthy", change.pnn.0);
                self.activate_recovery(&reason, out);
            }
            self.set_flags(change.pnn, new, out);
        }
        ask.succeed(out);
    }

    fn set_role(&mut self, capability: Capabilities, role: u32) {
        self.capabilities.set(capability, role != 0);
    }

    /// Tells clients that registered for it; only daemons after 4.17 do.
    pub(super) fn tell_clients(&self, srvid: Srvid, out: &mut Outputs) {
        out.push(Output::Message {
            destination: self.me,
            srvid,
            data: Vec::new(),
        });
    }

    fn become_inactive(&mut self, out: &mut Outputs) {
        tracing::warn!("Making node INACTIVE");
        self.vnn_map.generation = wire::Generation::INVALID;
        out.notify(Notification::VnnMap(self.vnn_map.clone()));
        self.activate_recovery("node is inactive", out);
        out.notify(Notification::BecameInactive);
    }
}

/// Questions: nothing changes.
fn asks_value(request: &Request) -> bool {
    matches!(
        request,
        Request::GetVnnMap
            | Request::GetNodemap
            | Request::GetRecmode
            | Request::GetCapabilities
            | Request::GetRunstate
            | Request::Uptime
            | Request::GetBanState
            | Request::GetReclockFile
    )
}

/// The steps of a recovery.
fn commands_recovery(request: &Request) -> bool {
    matches!(
        request,
        Request::SetVnnMap(_)
            | Request::SetRecmode(_)
            | Request::StartRecovery
            | Request::EndRecovery
    )
}

/// What administrators and other daemons want of this node.
fn commands_node(request: &Request) -> bool {
    matches!(
        request,
        Request::StopNode
            | Request::ContinueNode
            | Request::DisableNode
            | Request::EnableNode
            | Request::SetBanState(_)
            | Request::ModifyFlags(_)
            | Request::SetLmasterRole(_)
            | Request::SetRecmasterRole(_)
            | Request::RecdPing
            | Request::RecdReclockLatency(_)
            | Request::ReloadNodesFile
            | Request::Ipreallocated
            | Request::StartIpreallocate
            | Request::Shutdown
    )
}

/// The shell asked for something else than [`Membership::answers`] allows.
fn not_ours(ask: Ask, request: &Request, out: &mut Outputs) {
    tracing::error!(opcode = ?request.opcode(), "not a control of the membership");
    ask.fail(out);
}

//! The node's side of the cluster: what this node knows of the others, and what it answers when a
//! leader or the `ctdb` tool commands it.
//!
//! ```text
//!              transport: Connected, Disconnected, Keepalive     Dead, Keepalive, hello
//!                  |                                               ^
//!                  v                                               |
//!   controls -> [ peer (one a node) | recovery_mode | run_state | ban | fence ] -> Reply
//!                  ^                                               |
//!                  |                                               v
//!              database: RecoveryNeeded, generations, frozen     Notify, CheckClusterLock, ...
//!              service manager: EventDone, StartedUp, Health     RunEvent
//! ```
//!
//! The deciding side is [`crate::manager`], of whichever node leads. This half decides nothing but
//! what concerns itself: who is connected, and whether a command is one that a node in its state may
//! follow.

mod ban;
mod controls;
mod events;
mod fence;
mod health;
mod io;
mod keepalive;
mod links;
mod nodes;
mod peer;
mod recovery;
mod recovery_mode;
mod run_state;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use wire::message::Message;
use wire::tunables::Tunables;
use wire::types::{
    BanState, Capabilities, NodeFlagChange, NodeFlags, NodeMap, ReclockStatistics, RunState, VnnMap,
};
use wire::{Generation, Pnn, Srvid};

use self::controls::Ask;
use self::events::Pending;
use self::nodes::Nodes;
use crate::Time;

pub use self::fence::FenceSettings;
pub use self::io::{
    Input, LockOutcome, NodeEntry, Notification, Output, Outputs, OwnToken, Settings, Token,
};

/// What `ctdb statistics` shows of this half.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Recoveries that ended here.
    pub recoveries: u32,
    /// How long tries of the cluster lock take, by the daemon and by the manager.
    pub lock_latency: ReclockStatistics,
}

/// The node's side of the cluster.
#[derive(Debug)]
pub struct Membership {
    me: Pnn,
    cluster_lock: Option<String>,
    version: u32,
    wall_clock_at_zero: u64,
    started: Time,
    tunables: Tunables,
    capabilities: Capabilities,
    nodes: Nodes,
    fence: Option<fence::Fence>,
    vnn_map: VnnMap,
    course: recovery::Course,
    recovery_mode: recovery_mode::RecoveryMode,
    run_state: RunState,
    ban: ban::Ban,
    manager_watch: keepalive::ManagerWatch,
    next_keepalive: Time,
    databases_differ: bool,
    all_frozen: bool,
    lock_questions: BTreeMap<OwnToken, Ask>,
    reloads: Vec<Ask>,
    events: BTreeMap<OwnToken, Pending>,
    tokens: u64,
    statistics: Statistics,
}

impl Membership {
    /// Starts, when the databases are attached and frozen and the transport may connect: in
    /// recovery, all other nodes disconnected, with the event `setup`.
    pub fn new(settings: Settings, now: Time, out: &mut Outputs) -> Self {
        let nodes = Nodes::new(settings.me, &settings.nodes);
        let mut this = Self {
            me: settings.me,
            capabilities: capabilities(&settings),
            version: settings.version,
            wall_clock_at_zero: settings.wall_clock_at_zero,
            started: now,
            vnn_map: VnnMap {
                generation: Generation::INVALID,
                map: nodes.present(),
            },
            nodes,
            fence: settings.fence.map(fence::Fence::new),
            course: recovery::Course::default(),
            recovery_mode: recovery_mode::RecoveryMode::new(),
            run_state: RunState::Init,
            ban: ban::Ban::default(),
            manager_watch: keepalive::ManagerWatch::default(),
            next_keepalive: now + keepalive::interval(&settings.tunables),
            databases_differ: false,
            all_frozen: true,
            lock_questions: BTreeMap::new(),
            reloads: Vec::new(),
            events: BTreeMap::new(),
            tokens: 0,
            statistics: Statistics::default(),
            cluster_lock: settings.cluster_lock,
            tunables: settings.tunables,
        };
        if settings.start_as_disabled {
            this.set_own(NodeFlags::PERMANENTLY_DISABLED, out);
        }
        if settings.start_as_stopped {
            this.set_own(NodeFlags::STOPPED, out);
        }
        this.manager_watch.pinged(now, &this.tunables);
        this.advance(run_state::Event::Initialised, out);
        this.run_event(Pending::Setup, out);
        this
    }

    /// A packet came from that node: a sign of life. (C does not count a REQ_CALL that was
    /// redirected, hopcount above 0, since its sender is not where it comes from.)
    pub fn heard(&mut self, from: Pnn) {
        if let Some(node) = self.nodes.peer_mut(from) {
            node.peer.heard();
        }
    }

    /// Digests one input. The outputs are to be carried out in order.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Outputs) {
        self.watch_fence(now, out);
        match input {
            Input::Control {
                token,
                source,
                request,
            } => {
                self.on_control(now, Ask { token, source }, request, out);
            }
            Input::Connected(pnn) => self.fenced_link_up(pnn, out),
            Input::Disconnected(pnn) => self.fenced_link_down(pnn, out),
            Input::Standing(data) => self.on_standing(now, &data, out),
            Input::Hello { from, data } => self.on_hello(from, &data, out),
            Input::Stranger(from) => self.on_stranger(from, out),
            Input::Keepalive {
                from,
                version,
                uptime,
            } => {
                self.on_keepalive(now, from, version, uptime, out);
            }
            Input::LockChecked {
                token,
                outcome,
                latency,
            } => {
                self.lock_checked(token, &outcome, latency, out);
            }
            Input::ControlReply {
                token,
                status,
                data,
            } => {
                if let Some(ask) = self.lock_questions.remove(&token) {
                    self.leaders_lock(ask, status, &data, out);
                }
            }
            Input::RecoveryNeeded { reason } => self.activate_recovery(&reason, out),
            Input::DatabaseGenerationsDiffer(differ) => self.databases_differ = differ,
            Input::AllFrozen(frozen) => self.all_frozen = frozen,
            Input::Nodes(entries) => self.on_nodes(entries, out),
            Input::Tunables(tunables) => self.tunables = tunables,
            Input::EventDone { token, outcome } => self.event_done(now, token, outcome, out),
            Input::StartedUp => self.started_up(out),
            Input::Health { healthy } => self.on_health(healthy, out),
            Input::ShutdownAsked { exit_code, reason } => self.shut_down(exit_code, reason, out),
            Input::Timer => {}
        }
        self.on_time(now, out);
    }

    /// When to call [`Membership::handle`] with [`Input::Timer`], if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.run_state == RunState::Shutdown {
            return None;
        }
        [self.ban.until(), self.manager_watch.due(), self.fence_due()]
            .into_iter()
            .flatten()
            .chain([self.next_keepalive])
            .min()
    }
}

/// What the rest of the daemon may ask.
impl Membership {
    /// All nodes with their flags.
    #[must_use]
    pub fn node_map(&self) -> NodeMap {
        self.nodes.map()
    }

    /// The vnnmap.
    #[must_use]
    pub fn vnn_map(&self) -> &VnnMap {
        &self.vnn_map
    }

    /// Whether the recovery mode is ACTIVE.
    #[must_use]
    pub fn in_recovery(&self) -> bool {
        self.recovery_mode.is_active()
    }

    /// Whether the node is there, connected, and neither stopped nor banned.
    #[must_use]
    pub fn is_active(&self, pnn: Pnn) -> bool {
        !self.nodes.flags(pnn).is_inactive()
    }

    /// Whether both connections with the node are up; this node is connected with itself.
    #[must_use]
    pub fn is_connected(&self, pnn: Pnn) -> bool {
        !self
            .nodes
            .flags(pnn)
            .intersects(NodeFlags::DISCONNECTED | NodeFlags::DELETED)
    }

    /// The nodes behind a destination: itself, or those that a broadcast address stands for, this
    /// one included. Empty for a node that does not exist.
    #[must_use]
    pub fn fan_out(&self, destination: Pnn) -> Vec<Pnn> {
        self.nodes.fan_out(destination)
    }

    /// This node's flags.
    #[must_use]
    pub fn own_flags(&self) -> NodeFlags {
        self.nodes.flags(self.me)
    }

    /// How far the daemon has come.
    #[must_use]
    pub fn run_state(&self) -> RunState {
        self.run_state
    }

    /// What this node can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// What was counted since this was last asked.
    pub fn take_statistics(&mut self) -> Statistics {
        core::mem::take(&mut self.statistics)
    }
}

impl Membership {
    fn on_time(&mut self, now: Time, out: &mut Outputs) {
        if self.run_state == RunState::Shutdown {
            return;
        }
        if now >= self.next_keepalive {
            self.next_keepalive = now + keepalive::interval(&self.tunables);
            self.on_interval(now, out);
        }
        if self.manager_watch.due().is_some_and(|due| now >= due) {
            self.on_missed_ping(now, out);
        }
        if self.ban.until().is_some_and(|until| now >= until) {
            self.on_ban_expired(now, out);
        }
    }

    fn on_missed_ping(&mut self, now: Time, out: &mut Outputs) {
        if self.manager_watch.missed(now, &self.tunables) {
            let reason = "Final timeout for recovery daemon ping".into();
            out.push(Output::RestartManager { reason });
        }
    }

    fn on_ban_expired(&mut self, now: Time, out: &mut Outputs) {
        let again = BanState {
            pnn: self.me,
            time: self.tunables.recovery_ban_period,
        };
        match self.ban.expired(now, self.all_frozen, again) {
            ban::Effect::Lifted => {
                tracing::warn!("Banning timed out");
                self.clear_own(NodeFlags::BANNED, out);
            }
            _ => tracing::error!(
                "Banning timed out, but not all databases frozen yet - banning this node again."
            ),
        }
    }

    fn reload_nodes(&mut self, ask: Ask, out: &mut Outputs) {
        if self.reloads.is_empty() {
            out.push(Output::ReadNodesFile);
        }
        self.reloads.push(ask);
    }

    fn on_nodes(&mut self, entries: Option<Vec<NodeEntry>>, out: &mut Outputs) {
        let entries = entries.filter(|entries| self.nodes.reload(entries));
        let status = if entries.is_some() { 0 } else { -1 };
        if let Some(entries) = entries {
            out.push(Output::Nodes(entries));
            let flags = self
                .nodes
                .map()
                .nodes
                .iter()
                .map(|node| (node.pnn, node.flags))
                .collect();
            out.notify(Notification::NodeFlags(flags));
            let srvid = Srvid::RELOAD_NODES;
            out.push(Output::Message {
                destination: self.me,
                srvid,
                data: Vec::new(),
            });
        } else {
            tracing::error!("Failed to load nodes file");
        }
        for ask in core::mem::take(&mut self.reloads) {
            ask.reply(status, Vec::new(), out);
        }
    }

    /// Moves the run state on; whether that was a step.
    fn advance(&mut self, event: run_state::Event, out: &mut Outputs) -> bool {
        match run_state::step(self.run_state, event) {
            Some(next) => {
                self.enter(next, out);
                true
            }
            None => false,
        }
    }

    fn enter(&mut self, next: RunState, out: &mut Outputs) {
        tracing::info!("Set runstate to {next} ({})", next as u32);
        self.run_state = next;
        out.notify(Notification::RunState(next));
    }

    /// Begins the end: the manager first, so that another node can lead; then the event `shutdown`.
    fn shut_down(&mut self, exit_code: i32, reason: String, out: &mut Outputs) {
        if !self.advance(run_state::Event::Shutdown, out) {
            return tracing::info!("Already shutting down so will not proceed.");
        }
        self.leave_fence(out);
        out.push(Output::StopManager {
            reason: reason.clone(),
        });
        self.run_event(Pending::Shutdown { exit_code, reason }, out);
    }

    fn set_own(&mut self, flags: NodeFlags, out: &mut Outputs) {
        self.set_flags(self.me, self.own_flags() | flags, out);
    }

    fn clear_own(&mut self, flags: NodeFlags, out: &mut Outputs) {
        self.set_flags(self.me, self.own_flags() - flags, out);
    }

    fn set_flags(&mut self, pnn: Pnn, flags: NodeFlags, out: &mut Outputs) {
        let Some(node) = self.nodes.get_mut(pnn) else {
            return;
        };
        if node.flags != flags {
            tracing::info!(
                "Node {} has changed flags - {:#x} -> {:#x}",
                pnn.0,
                node.flags.bits(),
                flags.bits()
            );
            let old_flags = core::mem::replace(&mut node.flags, flags);
            out.notify(Notification::NodeFlags(vec![(pnn, flags)]));
            if (old_flags ^ flags).contains(NodeFlags::DISCONNECTED) {
                self.tell_manager(pnn, old_flags, flags, out);
            }
        }
    }

    /// Has the node's manager look at once, instead of at its next round. 4.17 has the address, and no use for it.
    fn tell_manager(
        &self,
        pnn: Pnn,
        old_flags: NodeFlags,
        new_flags: NodeFlags,
        out: &mut Outputs,
    ) {
        let change = Message::SetNodeFlags(NodeFlagChange {
            pnn,
            new_flags,
            old_flags,
        });
        out.push(Output::Message {
            destination: self.me,
            srvid: change.srvid(),
            data: change.to_bytes(),
        });
    }

    fn own_token(&mut self) -> OwnToken {
        self.tokens += 1;
        OwnToken(self.tokens)
    }

    /// Microseconds since 1970.
    fn wall_clock(&self, time: Time) -> i64 {
        let micros = self.wall_clock_at_zero.saturating_add(time.0 / 1000);
        i64::try_from(micros).unwrap_or(i64::MAX)
    }
}

fn capabilities(settings: &Settings) -> Capabilities {
    let mut capabilities = Capabilities::DEFAULT;
    capabilities.set(Capabilities::RECMASTER, settings.leader_capability);
    capabilities.set(Capabilities::LMASTER, settings.lmaster_capability);
    capabilities
}

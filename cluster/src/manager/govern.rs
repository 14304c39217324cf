//! What a leader does: round, recovery, takeover run, bans. And what every node does for itself.

use core::time::Duration;

use tracing::{error, info, warn};
use wire::Pnn;
use wire::control::Request;
use wire::message::Message;
use wire::packet::ControlFlags;
use wire::types::{BanState, Ignored, NodeFlags, RecoveryMode, SrvidMessage};

use super::consistency::{Findings, RECOVERY_NORMAL, Trouble};
use super::engine::{Chore, Engine};
use super::gather::Failure;
use super::io::{ControlAnswer, Output};
use super::leader::Event as LeaderEvent;
use super::monitor::{Answers, Progress};
use super::ports::Io;
use super::recovery::{self, Origins, Recovery};
use super::stragglers::Stragglers;
use super::takeover::{self, Takeover};
use super::view::seconds;

/// A RecoverInterval of 0 must not make us spin.
const SHORTEST_ROUND: Duration = Duration::from_millis(100);

impl Engine {
    /// Shows the daemon that we are alive, and asks it how things are.
    pub(super) fn begin_round(&mut self, io: &mut Io<'_>) {
        self.next_round = io.now + self.recover_interval();
        io.tell(self.view.pnn, Request::RecdPing);
        if self.is_daemon_mute(io) {
            self.on_mute_daemon(io);
        }
        self.unanswered_since.get_or_insert(io.now);
        if self.home.is_idle() {
            self.home.ask(io, &self.view);
        }
    }

    fn recover_interval(&self) -> Duration {
        seconds(self.view.tunables.recover_interval).max(SHORTEST_ROUND)
    }

    /// Whether the own daemon has been silent for so long that the other nodes take it for dead.
    pub(super) fn is_daemon_mute(&self, io: &Io<'_>) -> bool {
        let tunables = &self.view.tunables;
        let limit = tunables
            .keepalive_interval
            .max(1)
            .saturating_mul(tunables.keepalive_limit.max(1));
        self.unanswered_since
            .is_some_and(|since| io.now.since(since) >= seconds(limit))
    }

    /// A leader without a daemon keeps the cluster lock from those who could lead. The others have
    /// given this node up, so it gives up too, without a word that would come late.
    fn on_mute_daemon(&mut self, io: &mut Io<'_>) {
        if !self.leadership.is_ours() && !self.lock.is_held() {
            return;
        }
        error!("ctdbd does not answer any more: this node can no longer be leader");
        self.lock.release(io);
        self.on_resigned(io);
        self.drop_government(io);
        self.leadership.step(io.now, LeaderEvent::Forget);
    }

    /// Whether the leader has nothing in hand.
    fn is_idle(&self) -> bool {
        self.recovery.is_none()
            && self.takeover.is_idle()
            && self.peers.is_idle()
            && !self.election.in_progress()
    }

    /// The own daemon has answered.
    pub(super) fn on_home(&mut self, io: &mut Io<'_>, answers: Answers) {
        self.view.tunables = answers.tunables;
        self.view.nodemap = answers.nodemap;
        self.view.takes_capabilities(answers.capabilities);
        if let Some(member) = &mut self.member
            && answers.recmode == RECOVERY_NORMAL
        {
            member.daemon_is_normal();
        }
        if self.view.flags(self.view.pnn).is_none() {
            let reason = format!("the node map does not have node {}", self.view.pnn);
            io.push(Output::Exit { reason });
            return;
        }
        self.ban_misbehaving(io);
        if !self.view.can_lead() && self.leadership.is_ours() {
            self.step_down(io);
        }
        if self.view.is_inactive() {
            self.on_inactive(io, answers.recmode);
            return;
        }
        self.frozen_on_inactive = false;
        if !self.leadership.is_ours() {
            self.on_follower_round(io);
        } else if self.is_idle() {
            self.peers.ask(io, &self.view);
        }
    }

    /// A banned or stopped node keeps its databases frozen, and is the youngest when it is back:
    /// the leader shall be the most stable node.
    fn on_inactive(&mut self, io: &mut Io<'_>, recmode: i32) {
        self.active_since = self.unix_time(io.now);
        let me = self.view.pnn;
        if recmode == RECOVERY_NORMAL {
            error!(
                "Node is stopped or banned but recovery mode is not active. \
                 Activate recovery mode and lock databases"
            );
            io.tell(me, Request::SetRecmode(RecoveryMode::Active));
        }
        if !self.frozen_on_inactive && !self.chores.values().any(|c| *c == Chore::Freeze) {
            self.chore(io, me, Request::Freeze, Chore::Freeze);
        }
    }

    fn on_follower_round(&mut self, io: &mut Io<'_>) {
        self.need_recovery = false;
        self.need_takeover = false;
        self.takeover_requests.clear();
        self.rebalance.clear();
        self.stragglers = Stragglers::default();
        let leader = self.leadership.pnn(self.view.pnn);
        let flags = leader.and_then(|pnn| self.view.flags(pnn));
        if flags.is_some_and(|flags| flags.contains(NodeFlags::DISCONNECTED))
            && self.view.can_lead()
        {
            info!("Leader is disconnected");
            self.call_election(io);
        }
    }

    /// All nodes have answered.
    pub(super) fn on_peers(&mut self, io: &mut Io<'_>, progress: Progress) {
        match progress {
            Progress::Waiting => {}
            Progress::Complete(findings) => self.on_findings(io, findings),
            Progress::Failed(Some((pnn, Failure::Gone))) => warn!("Node {pnn} is gone"),
            Progress::Failed(Some((pnn, failure))) => {
                error!(%pnn, %failure, "Failed to read remote nodemaps");
                self.blame(io, pnn, 1);
            }
            Progress::Failed(None) => {}
        }
    }

    fn on_findings(&mut self, io: &mut Io<'_>, findings: Findings) {
        self.view.nodemap = findings.nodemap.clone();
        let interval = self.recover_interval();
        self.stragglers.look(io.now, interval, &findings);
        match self.judge(io, &findings) {
            Err(trouble) if self.waits_for_stragglers(io) => {
                info!("{}: waiting for all nodes to be back", trouble.reason);
            }
            Err(trouble) => {
                error!("{}", trouble.reason);
                if let Some(culprit) = trouble.culprit {
                    self.blame(io, culprit, 1);
                }
                self.recover(io);
            }
            Ok(()) => self.maybe_takeover(io, &findings),
        }
    }

    fn judge(&self, io: &Io<'_>, findings: &Findings) -> Result<(), Trouble> {
        if self.need_recovery {
            let reason = "A previous recovery did not finish".to_owned();
            return Err(Trouble {
                culprit: None,
                reason,
            });
        }
        findings.check_recovery_mode()?;
        // Recoveries are switched off while the nodes file is reloaded, too.
        if self.recovery_gate.is_disabled(io.now) {
            return Ok(());
        }
        findings.check_maps()
    }

    fn recover(&mut self, io: &mut Io<'_>) {
        self.need_recovery = true;
        if self.lock.is_enabled() && !self.lock.is_held() {
            error!("Cluster lock not held - abort recovery");
            self.step_down(io);
            return;
        }
        if self.ban_misbehaving(io) {
            info!("This node was banned, aborting recovery");
            return;
        }
        if self.waits_for_members(io) || !self.recovery_gate.begin(io.now) {
            return;
        }
        let culprit = self.culprits.last().unwrap_or(Pnn::UNKNOWN);
        info!("Recovery initiated due to problem with node {culprit}");
        let origins = core::mem::take(&mut self.origins);
        self.recovery = Some(Recovery::begin(io, &self.view, &self.sizes, origins));
    }

    fn waits_for_stragglers(&mut self, io: &Io<'_>) -> bool {
        let wait = self.stragglers.wait(io.now);
        if let Some(until) = wait {
            let again = io.now + self.recover_interval() / 4;
            self.next_round = self.next_round.min(until).min(again);
        }
        wait.is_some()
    }

    /// The recovery has come further.
    pub(super) fn on_recovery(&mut self, io: &mut Io<'_>, progress: recovery::Progress) {
        match progress {
            recovery::Progress::Waiting => {}
            recovery::Progress::Complete => self.on_databases_recovered(io),
            recovery::Progress::Failed { blame, ban } => {
                self.abandon_recovery(io);
                for pnn in blame {
                    self.blame(io, pnn, 1);
                }
                match ban {
                    Some(pnn) if self.view.tunables.enable_bans != 0 => self.ban(io, pnn),
                    Some(_) => error!("Bans are not enabled"),
                    None => {}
                }
            }
        }
    }

    /// All nodes have the same records; what is left is to tell everyone.
    fn on_databases_recovered(&mut self, io: &mut Io<'_>) {
        self.recovery = None;
        if !self.takeover_gate.begin(io.now) {
            self.need_takeover = true;
            self.on_recovered(io);
            return;
        }
        self.ends_recovery = true;
        self.begin_takeover(io, Vec::new());
    }

    fn on_recovered(&mut self, io: &mut Io<'_>) {
        let reconfigure = Message::Reconfigure(Ignored::default());
        io.message(Pnn::BROADCAST_CONNECTED, &reconfigure);
        info!("Recovery complete");
        if self.leadership.is_ours() {
            self.leadership.speak_up(io.now);
        }
        self.need_recovery = false;
        if let Some(member) = &mut self.member {
            member.is_in_touch();
        }
        self.recovery_gate.end();
        self.culprits.forgive_all();
        let timeout = self.view.tunables.rerecovery_timeout;
        info!(
            "Just finished a recovery. New recoveries will now be suppressed \
             for the rerecovery timeout ({timeout} seconds)"
        );
        // Not in progress any more, so it cannot fail.
        let _ = self.recovery_gate.disable(io.now, timeout);
    }

    /// A node that has just become active was not asked for its recovery mode: it takes no addresses before the
    /// recovery that it needs.
    fn maybe_takeover(&mut self, io: &mut Io<'_>, findings: &Findings) {
        let wanted = self.need_takeover || !self.takeover_requests.is_empty();
        let mut active = self.view.active().into_iter();
        if wanted && active.any(|pnn| !findings.recmodes.contains_key(&pnn)) {
            return self.hurry(io);
        }
        if wanted && !self.takeover_gate.is_disabled(io.now) {
            self.takeover_gate.begin(io.now);
            let requests = core::mem::take(&mut self.takeover_requests);
            self.begin_takeover(io, requests);
        }
    }

    fn begin_takeover(&mut self, io: &mut Io<'_>, requests: Vec<SrvidMessage>) {
        self.rebalancing = core::mem::take(&mut self.rebalance);
        let order = takeover::Order {
            requests,
            rebalance: self.rebalancing.clone(),
            disabled: self.failover_disabled,
        };
        self.takeover.begin(io, &self.view, order);
    }

    /// The takeover run has come further. One that failed is made again in the next round.
    pub(super) fn on_takeover(&mut self, io: &mut Io<'_>, progress: takeover::Progress) {
        match progress {
            takeover::Progress::Waiting => return,
            takeover::Progress::Complete => {
                self.need_takeover = false;
                self.rebalancing.clear();
            }
            takeover::Progress::Failed { culprit } => {
                self.need_takeover = true;
                self.rebalance.append(&mut self.rebalancing);
                if let Some(pnn) = culprit.filter(|_| self.view.tunables.enable_bans != 0) {
                    warn!("Assigning banning credits to node {pnn}");
                    let credits = self.view.nodemap.nodes.len();
                    self.blame(io, pnn, u32::try_from(credits).unwrap_or(u32::MAX));
                }
            }
        }
        self.takeover_gate.end();
        if core::mem::take(&mut self.ends_recovery) {
            self.on_recovered(io);
        }
    }

    /// Ends whatever only a leader does, because there is an election or this node steps down.
    pub(super) fn stop_governing(&mut self, io: &mut Io<'_>) {
        self.takeover.cancel(io);
        self.drop_government(io);
    }

    /// The same without a word to anybody.
    pub(super) fn drop_government(&mut self, io: &mut Io<'_>) {
        self.takeover = Takeover::default();
        self.takeover_gate.end();
        self.ends_recovery = false;
        self.abandon_recovery(io);
        // the next leader's recoveries are not known here
        self.origins = Origins::default();
        self.peers.cancel();
    }

    fn abandon_recovery(&mut self, io: &mut Io<'_>) {
        if let Some(recovery) = self.recovery.take() {
            self.origins = recovery.abandon(io);
        }
        self.recovery_gate.end();
    }

    /// Remembers a trouble maker.
    pub(super) fn blame(&mut self, io: &Io<'_>, pnn: Pnn, credits: u32) {
        if self.view.flags(pnn).is_none() {
            warn!("Unknown culprit node {pnn}");
        } else if self.view.is_inactive() {
            warn!("This node is INACTIVE, cannot set culprit node {pnn}");
        } else {
            let grace = seconds(self.view.tunables.recovery_grace_period);
            self.culprits.blame(pnn, credits, io.now, grace);
        }
    }

    /// Bans whoever made too much trouble. True: that was this node.
    fn ban_misbehaving(&mut self, io: &mut Io<'_>) -> bool {
        let due = self.culprits.due(self.view.nodemap.nodes.len());
        for &(pnn, credits) in &due {
            info!("Node {pnn} reached {credits} banning credits");
            self.ban(io, pnn);
        }
        due.iter().any(|(pnn, _)| *pnn == self.view.pnn)
    }

    fn ban(&mut self, io: &mut Io<'_>, pnn: Pnn) {
        let time = self.view.tunables.recovery_ban_period;
        info!("Banning node {pnn} for {time} seconds");
        let request = Request::SetBanState(BanState { pnn, time });
        self.chore(io, pnn, request, Chore::Ban(pnn));
    }

    fn chore(&mut self, io: &mut Io<'_>, pnn: Pnn, request: Request, chore: Chore) {
        let timeout = self.view.control_timeout();
        let token = io.control(pnn, request, ControlFlags::empty(), timeout);
        self.chores.insert(token, chore);
    }

    pub(super) fn on_chore(&mut self, chore: Chore, result: Result<ControlAnswer, Failure>) {
        match (chore, result) {
            (Chore::Freeze, Ok(_)) => self.frozen_on_inactive = true,
            (Chore::Freeze, Err(failure)) => {
                error!(%failure, "Failed to freeze node in STOPPED or BANNED state");
            }
            (Chore::Ban(_), Ok(_)) => {}
            (Chore::Ban(pnn), Err(failure)) => error!(%failure, "Failed to ban node {pnn}"),
        }
    }
}

//! This node's part in a recovery that some leader runs.
//!
//! ```text
//!   leader                                 this node
//!   SET_RECMODE ACTIVE                     recovery mode ACTIVE
//!   START_RECOVERY                         compares the cluster lock with the leader's; event
//!                                          startrecovery
//!   SETVNNMAP (new generation)             only from the leader that said START_RECOVERY
//!   (databases, one by one)                the database's matter
//!   SET_RECMODE NORMAL                     only from the leader that set the vnnmap, only with all
//!                                          databases in its generation; tries the cluster lock
//!   END_RECOVERY                           pending commits end; event recovered
//! ```
//!
//! Two leaders may command at once, for a while. START_RECOVERY says which recovery counts: what
//! an earlier leader still sends is refused, so that it cannot end the later one's recovery. The
//! protocol has no generation in SET_RECMODE, so the sender stands for it.

use wire::Pnn;
use wire::control::Request;
use wire::types::{self, NodeFlags, VnnMap};

use super::controls::Ask;
use super::events::Pending;
use super::recovery_mode::{Effect, Event};
use super::{LockOutcome, Membership, Notification, Output, Outputs, OwnToken};
use crate::Time;

/// Error text of SET_RECMODE NORMAL when the cluster lock was free (`ctdb_recover.c`, 4.17.12).
pub(super) const LOCK_TAKEN: &str = "Took recovery lock from daemon during recovery - probably a \
                                     cluster filesystem lock coherence problem";
/// Error text of SET_RECMODE NORMAL when the try failed (`ctdb_recover.c`, 4.17.12).
pub(super) const LOCK_FAILED: &str = "Unexpected error when testing recovery lock";
/// Error text of a SET_RECMODE NORMAL that was overtaken by another recovery.
pub(super) const OVERTAKEN: &str = "Another recovery has begun";

/// Which recovery this node takes part in.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Who sent the last START_RECOVERY that has not ended.
    begun_by: Option<Pnn>,
    /// Who set the vnnmap since.
    mapped_by: Option<Pnn>,
    /// Why the next one has to follow at once: something was lost behind the new vnnmap.
    again: Option<String>,
    pub(super) last_started: Option<Time>,
    pub(super) last_finished: Option<Time>,
}

impl Membership {
    /// SETVNNMAP.
    pub(super) fn set_vnn_map(&mut self, ask: Ask, map: VnnMap, out: &mut Outputs) {
        if let Some(reason) = self.vnn_map_refusal(ask.source, &map) {
            tracing::error!(source = ask.source.0, "{reason}");
            return ask.fail(out);
        }
        tracing::info!(
            generation = map.generation.0,
            size = map.map.len(),
            "new vnnmap"
        );
        self.overtake_check(out);
        self.course.mapped_by = Some(ask.source);
        self.course.again = None;
        self.vnn_map = map.clone();
        out.notify(Notification::VnnMap(map));
        ask.succeed(out);
    }

    fn vnn_map_refusal(&self, source: Pnn, map: &VnnMap) -> Option<&'static str> {
        if let refusal @ Some(_) = self.term_refusal(source) {
            return refusal;
        }
        if !self.recovery_mode.is_active() {
            return Some("Attempt to set vnnmap when not in recovery");
        }
        if self.course.begun_by.is_some_and(|leader| leader != source) {
            return Some("Attempt to set vnnmap within the recovery of another node");
        }
        if self.own_flags().is_inactive() {
            return Some("Attempt to set vnnmap while the node is inactive");
        }
        if map.map.is_empty() || map.map.iter().any(|&pnn| self.nodes.get(pnn).is_none()) {
            return Some("Attempt to set vnnmap without nodes or with unknown ones");
        }
        None
    }

    /// SET_RECMODE.
    pub(super) fn set_recovery_mode(
        &mut self,
        ask: Ask,
        mode: types::RecoveryMode,
        out: &mut Outputs,
    ) {
        match mode {
            types::RecoveryMode::Active => {
                self.activate_recovery("SET_RECMODE", out);
                ask.succeed(out);
            }
            types::RecoveryMode::Normal => self.finish_recovery(ask, out),
        }
    }

    fn finish_recovery(&mut self, ask: Ask, out: &mut Outputs) {
        if let Some(reason) = self.finish_refusal(ask.source) {
            tracing::error!(
                source = ask.source.0,
                "{reason}, recovery mode stays ACTIVE"
            );
            return ask.fail(out);
        }
        // with a coordinator it was asked whether that node leads
        let lock = self.cluster_lock.is_some() && self.fence.is_none();
        match self.recovery_mode.handle(Event::Finish { lock }) {
            Effect::Check => {
                let token = self.own_token();
                self.recovery_mode.checking(token);
                self.recovery_mode.wait(ask.token);
                out.push(Output::CheckClusterLock(token));
            }
            Effect::Join => self.recovery_mode.wait(ask.token),
            Effect::Normalised => {
                self.entered_normal(out);
                ask.succeed(out);
            }
            Effect::Keep | Effect::Activated | Effect::Refuse => ask.succeed(out),
        }
    }

    fn finish_refusal(&self, source: Pnn) -> Option<&'static str> {
        if !self.recovery_mode.is_active() {
            return None;
        }
        if let refusal @ Some(_) = self.term_refusal(source) {
            return refusal;
        }
        if self.databases_differ {
            return Some("Inconsistent DB generation");
        }
        if self.own_flags().is_inactive() {
            return Some("Node is inactive");
        }
        let Course {
            begun_by,
            mapped_by,
            ..
        } = self.course;
        if begun_by.is_some() && mapped_by != Some(source) {
            return Some("Attempt to end the recovery of another node");
        }
        None
    }

    fn entered_normal(&mut self, out: &mut Outputs) {
        tracing::info!("Recovery mode set to NORMAL");
        out.notify(Notification::RecoveryMode(false));
        if let Some(reason) = self.course.again.take() {
            self.activate_recovery(&reason, out);
        }
    }

    /// Packets of the present generation were lost. A recovery under way does not mend that any more: databases that it has
    /// thawed have sent their calls by then.
    pub(super) fn recover_again(&mut self, reason: String, out: &mut Outputs) {
        if self.recovery_mode.is_active() {
            self.course.again = Some(reason);
        } else {
            self.activate_recovery(&reason, out);
        }
    }

    /// Makes the recovery mode ACTIVE; a NORMAL under way is given up.
    pub(super) fn activate_recovery(&mut self, reason: &str, out: &mut Outputs) {
        match self.recovery_mode.handle(Event::Activate) {
            Effect::Activated => {
                tracing::info!(reason, "Recovery mode set to ACTIVE");
                out.notify(Notification::RecoveryMode(true));
                out.push(Output::RecoveryWanted);
            }
            Effect::Refuse => self.answer_waiting(-1, Some(OVERTAKEN), out),
            Effect::Keep | Effect::Check | Effect::Join | Effect::Normalised => {}
        }
    }

    /// A recovery has begun: it is not the one whose NORMAL is being checked.
    fn overtake_check(&mut self, out: &mut Outputs) {
        if self.recovery_mode.handle(Event::Begin) == Effect::Refuse {
            self.answer_waiting(-1, Some(OVERTAKEN), out);
        }
    }

    /// The end of a try of the cluster lock.
    pub(super) fn lock_checked(
        &mut self,
        token: OwnToken,
        outcome: &LockOutcome,
        latency: f64,
        out: &mut Outputs,
    ) {
        if !self.recovery_mode.is_check(token) {
            return;
        }
        let error = self.judge_lock(outcome, latency);
        let event = if error.is_some() {
            Event::LockWrong
        } else {
            Event::LockHeld
        };
        if self.recovery_mode.handle(event) == Effect::Normalised {
            self.entered_normal(out);
        }
        self.answer_waiting(if error.is_some() { -1 } else { 0 }, error, out);
    }

    fn judge_lock(&mut self, outcome: &LockOutcome, latency: f64) -> Option<&'static str> {
        match outcome {
            LockOutcome::Taken => {
                let lock = self.cluster_lock.as_deref();
                tracing::error!(lock, "Daemon able to take recovery lock during recovery");
                Some(LOCK_TAKEN)
            }
            LockOutcome::Contended => {
                self.statistics.lock_latency.ctdbd.update(latency);
                self.note_lock_latency("daemon reclock", latency);
                None
            }
            // The lock was not taken, which is what matters: a cluster file system may be slow
            // after the failure of a node.
            LockOutcome::TimedOut => {
                tracing::warn!("Time out getting recovery lock, allowing recmode set anyway");
                None
            }
            LockOutcome::Failed(reason) => {
                tracing::error!(%reason, "{LOCK_FAILED}");
                Some(LOCK_FAILED)
            }
        }
    }

    /// Says so if it took longer than RecLockLatencyMs to try the cluster lock.
    pub(super) fn note_lock_latency(&self, operation: &str, seconds: f64) {
        let limit = self.tunables.reclock_latency_ms;
        if limit > 0 && seconds * 1000.0 > f64::from(limit) {
            tracing::error!("High RECLOCK latency {seconds:.6}s for operation {operation}");
        }
    }

    fn answer_waiting(&mut self, status: i32, error: Option<&str>, out: &mut Outputs) {
        for token in self.recovery_mode.take_waiting() {
            let error = error.map(str::to_owned);
            out.push(Output::Reply {
                token,
                status,
                data: Vec::new(),
                error,
            });
        }
    }

    /// START_RECOVERY.
    pub(super) fn start_recovery(&mut self, now: Time, ask: Ask, out: &mut Outputs) {
        if let Some(reason) = self.term_refusal(ask.source) {
            tracing::error!(source = ask.source.0, "{reason}");
            return ask.fail(out);
        }
        tracing::info!(leader = ask.source.0, "Recovery has started");
        self.overtake_check(out);
        self.course.last_started = Some(now);
        self.course.begun_by = Some(ask.source);
        self.course.mapped_by = None;
        out.notify(Notification::RecoveryStarted);
        // This node may not know yet that the leader is connected; then it cannot ask.
        let lost = self
            .nodes
            .flags(ask.source)
            .contains(NodeFlags::DISCONNECTED);
        if lost || ask.source == self.me {
            return self.run_event(Pending::StartRecovery(ask), out);
        }
        let token = self.own_token();
        self.lock_questions.insert(token, ask);
        out.push(Output::Control {
            token: Some(token),
            destination: ask.source,
            request: Request::GetReclockFile,
        });
    }

    /// The leader's cluster lock: a node that has another one must not take part.
    pub(super) fn leaders_lock(&mut self, ask: Ask, status: i32, data: &[u8], out: &mut Outputs) {
        if status != 0 {
            tracing::error!(leader = ask.source.0, status, "GET_RECLOCK failed");
            return ask.reply(status, Vec::new(), out);
        }
        let theirs = data
            .split(|&byte| byte == 0)
            .next()
            .filter(|_| !data.is_empty());
        if theirs == self.cluster_lock.as_deref().map(str::as_bytes) {
            return self.run_event(Pending::StartRecovery(ask), out);
        }
        ask.fail(out);
        let theirs = theirs.map_or("NULL".into(), String::from_utf8_lossy);
        let ours = self.cluster_lock.as_deref().unwrap_or("NULL");
        let reason = format!(
            "Recovery lock configuration inconsistent: recmaster has {theirs}, this node has \
             {ours}, shutting down"
        );
        self.shut_down(1, reason, out);
    }

    /// END_RECOVERY. Commits that waited for it do not wait for the scripts.
    pub(super) fn end_recovery(&mut self, ask: Ask, out: &mut Outputs) {
        if let Some(reason) = self.term_refusal(ask.source) {
            tracing::error!(source = ask.source.0, "{reason}");
            return ask.fail(out);
        }
        // 4.17.12 refuses to run the event `recovered` within a recovery. Commits go on waiting.
        if self.recovery_mode.is_active() {
            tracing::error!("Refusing to run event 'recovered' while in recovery");
            return ask.fail(out);
        }
        tracing::info!("Recovery has finished");
        self.course.begun_by = None;
        self.course.mapped_by = None;
        out.notify(Notification::RecoveryEnded);
        self.run_event(Pending::Recovered(ask), out);
    }
}

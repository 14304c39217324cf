//! Modes: recovery mode, frozen databases, leaders.

use std::time::Duration;

use cluster::manager::Output;
use wire::DbId;
use wire::control::Request;
use wire::types::RecoveryMode;

use crate::world::World;

/// A holder of the cluster lock learns that it is lost within this time.
const TOLD_WITHIN: Duration = Duration::from_millis(1_500);

impl World {
    /// After every step of a daemon.
    pub(super) fn check_modes(&mut self, n: usize) {
        let node = &self.nodes[n];
        let Some(daemon) = &node.daemon else { return };
        let membership = daemon.membership();
        let in_recovery = membership.in_recovery();
        let inactive = membership.own_flags().is_inactive();
        let generation = membership.vnn_map().generation;
        let ended = node.was_in_recovery && !in_recovery;
        let dbs: Vec<DbId> = node.disk.borrow().files.keys().copied().collect();
        let states = dbs
            .iter()
            .filter_map(|db| Some((*db, daemon.database(*db)?)));
        let states: Vec<_> = states.collect();
        let mut wrong = None;
        for (db, state) in &states {
            if ended && (state.generation != generation || inactive) {
                wrong = Some((
                    "normal",
                    format!("node {n}: {db} is of {}", state.generation),
                ));
            }
            let restless = node.restless_until > self.now;
            if inactive && node.still.contains(db) && !state.frozen && !restless {
                wrong = Some(("thawed", format!("inactive node {n} has thawed {db}")));
            }
        }
        let still = states
            .iter()
            .filter(|(_, state)| inactive && state.frozen)
            .map(|(db, _)| *db)
            .collect();
        let node = &mut self.nodes[n];
        node.was_in_recovery = in_recovery;
        node.still = still;
        if let Some((rule, text)) = wrong {
            self.broken(rule, text);
        }
    }

    /// What a leader alone may say, only the holder of the cluster lock says.
    pub(super) fn check_leader(&mut self, n: usize, output: &Output) {
        let Output::Control { request, .. } = output else {
            return;
        };
        if !self.script.lock || !is_of_leader(request) {
            return;
        }
        let late = self.oracle.lock_lost_at.get(&n);
        let late = late.is_some_and(|at| self.now.since(*at) > TOLD_WITHIN);
        if late || self.oracle.lost_lock.contains(&n) {
            let text = format!(
                "node {n} has lost the cluster lock, and sends {}",
                request.opcode()
            );
            self.broken("leader", text);
        }
    }
}

fn is_of_leader(request: &Request) -> bool {
    matches!(
        request,
        Request::StartRecovery
            | Request::EndRecovery
            | Request::SetVnnMap(_)
            | Request::SetRecmode(RecoveryMode::Normal)
            | Request::DbTransactionStart(_)
            | Request::DbTransactionCommit(_)
            | Request::WipeDatabase(_)
            | Request::DbPushStart(_)
            | Request::DbThaw(_)
    )
}

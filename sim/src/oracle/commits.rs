//! Commits: acknowledged means on every node of the generation, on its disk where the database is persistent; and it
//! stays, as long as every recovery that a commit follows has a participant that had it. A commit is there whole or not.

use database::store::Stored;
use wire::packet::{Body, Packet};
use wire::types::SEQNUM_KEY;
use wire::{ClientId, DbId, Generation};

use super::Oracle;
use crate::disk::Records;
use crate::world::{CommitId, LOG_KEY, World, database};

/// A commit that a client was told of.
#[derive(Debug)]
pub(super) struct Acknowledged {
    db: DbId,
    generation: Generation,
    /// A recovery without any of its nodes, and a commit after that; or every copy of a replicated one has ended.
    forgotten: bool,
}

impl Oracle {
    /// Whether a commit was acknowledged and may not be lost.
    pub(super) fn is_owed(&self, commit: CommitId) -> bool {
        let known = self.acknowledged.get(&commit);
        known.is_some_and(|known| !known.forgotten)
    }

    fn owed(&self, db: DbId) -> Vec<CommitId> {
        let all = self.acknowledged.iter();
        all.filter(|(_, known)| known.db == db && !known.forgotten)
            .map(|(commit, _)| *commit)
            .collect()
    }

    pub(super) fn forget(&mut self, commit: CommitId) {
        if let Some(known) = self.acknowledged.get_mut(&commit) {
            known.forgotten = true;
        }
    }
}

/// The commits that a copy has had, in order.
pub(super) fn log_of(records: &Records) -> Vec<CommitId> {
    let log = records.get(LOG_KEY).map_or(&[][..], |stored| &stored.data);
    let words = log.as_chunks::<4>().0.iter();
    words.map(|word| u32::from_le_bytes(*word)).collect()
}

/// The sequence number of a copy.
pub(super) fn seqnum_of(records: &Records) -> u64 {
    let stored = records.get(SEQNUM_KEY);
    let bytes = stored.and_then(|stored| stored.data.as_slice().try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

/// Every commit writes all records: they name the same.
fn is_whole(records: &Records) -> bool {
    let last = log_of(records).last().map(|id| id.to_le_bytes());
    let mut others = records
        .iter()
        .filter(|(key, _)| *key != LOG_KEY && *key != SEQNUM_KEY);
    others.all(|(_, stored)| last.is_some_and(|last| stored.data == last))
}

impl World {
    /// A client sends a commit.
    pub(crate) fn note_commit(&mut self, db: DbId, commit: CommitId, log: &[u8]) {
        crate::world::say!(
            self,
            "commit {commit} of {db}, {} before it",
            log.len() / 4 - 1
        );
    }

    /// A node applies a commit.
    pub(crate) fn note_apply(&mut self, n: usize, db: DbId, writes: &[(Vec<u8>, Stored)]) {
        let new: Records = writes.iter().cloned().collect();
        let Some(state) = self.nodes[n].daemon.as_ref().and_then(|d| d.database(db)) else {
            return;
        };
        let log = log_of(&new);
        if log.is_empty() {
            return;
        }
        let generation = state.generation;
        for commit in self.oracle.owed(db) {
            if log.contains(&commit) {
                continue;
            }
            let of_this = self.oracle.acknowledged[&commit].generation == generation;
            let recovery = self.oracle.recoveries.get(&(db, generation));
            let had = recovery.is_some_and(|recovery| recovery.had.contains(&commit));
            if of_this || had {
                let text = format!("node {n} applies {log:?} to {db}, without {commit}");
                self.broken("lost commit", text);
            }
            self.oracle.forget(commit);
        }
    }

    /// A daemon answers a client: perhaps its commit.
    pub(crate) fn note_answer(&mut self, n: usize, client: ClientId, packet: &[u8]) {
        let Ok(packet) = Packet::decode(packet) else {
            return;
        };
        let Body::ReplyControl(reply) = packet.body else {
            return;
        };
        let Some((db, commit)) = self.commit_answered(n, client, packet.header.reqid) else {
            return;
        };
        if reply.status == 0 {
            self.acknowledged(n, db, commit);
        }
    }

    fn acknowledged(&mut self, n: usize, db: DbId, commit: CommitId) {
        self.count_commit();
        let of = |node: usize| {
            let daemon = self.nodes[node].daemon.as_ref()?;
            let active = !daemon.membership().own_flags().is_inactive();
            let map = daemon.membership().vnn_map().generation;
            active.then_some((map, daemon.database(db)?.generation))
        };
        let Some(here) = of(n) else { return };
        let lacking = (0..self.nodes.len())
            .filter(|node| of(*node) == Some(here))
            .find(|node| !self.has(*node, db, commit));
        if let Some(node) = lacking {
            let text = format!("commit {commit} of {db} is not on node {node}");
            self.broken("acknowledged", text);
        }
        let known = Acknowledged {
            db,
            generation: here.1,
            forgotten: false,
        };
        self.oracle.acknowledged.insert(commit, known);
    }

    fn has(&self, node: usize, db: DbId, commit: CommitId) -> bool {
        let disk = self.nodes[node].disk.borrow();
        let file = disk.files.get(&db);
        file.is_some_and(|file| {
            let safe = if file.is_persistent() {
                &file.synced
            } else {
                &file.records
            };
            log_of(safe).contains(&commit)
        })
    }

    /// A replicated database ends with the last of its copies.
    pub(crate) fn replicated_lost(&mut self, db: DbId) {
        if db != database(Some(1)) {
            return;
        }
        for commit in self.oracle.owed(db) {
            let mut alive = (0..self.nodes.len()).filter(|n| self.nodes[*n].daemon.is_some());
            if !alive.any(|node| self.has(node, db, commit)) {
                self.oracle.forget(commit);
            }
        }
    }

    /// At the end all copies are the same, and have all that was promised.
    pub(crate) fn check_end(&mut self) {
        for kind in [0, 1] {
            let db = database(Some(kind));
            let copies: Vec<Records> = self
                .nodes
                .iter()
                .filter_map(|node| Some(node.disk.borrow().files.get(&db)?.records.clone()))
                .collect();
            let logs: Vec<_> = copies.iter().map(log_of).collect();
            if logs.windows(2).any(|pair| pair[0] != pair[1]) {
                self.broken("copies differ", format!("{db}: {logs:?}"));
            }
            if !copies.iter().all(is_whole) {
                self.broken("torn commit", format!("{db}: {copies:?}"));
            }
            for commit in self.oracle.owed(db) {
                if !logs.iter().all(|log| log.contains(&commit)) {
                    let text = format!("commit {commit} of {db} is lost: {logs:?}");
                    self.broken("lost commit", text);
                }
            }
        }
        self.check_values();
    }
}

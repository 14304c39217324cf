//! Recoveries of databases: what comes out follows from what the participants had.
//!
//! A volatile record gets the newest version that a participant has had as its data master or passed on. Where
//! participants come from different generations (a network that was cut), it is the newest of one of them: sequence
//! numbers of generations that knew nothing of each other say nothing about time. A persistent or replicated database is
//! that of a participant with the highest sequence number, whole.

use std::collections::{BTreeMap, BTreeSet};

use cluster::manager::{Input, Output};
use wire::control::Request;
use wire::{DbId, Generation};

use super::{Oracle, Prior, Versions, version_of};
use crate::disk::Records;
use crate::world::{CommitId, World};

/// What a participant had.
#[derive(Debug)]
pub(super) struct Before {
    prior: Prior,
    pub(super) records: Records,
    tags: Versions,
    hints: Versions,
}

/// One recovery of one database.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    pub(super) participants: BTreeMap<usize, Before>,
    result: Option<Records>,
    /// The commits that some participant had.
    pub(super) had: BTreeSet<CommitId>,
}

impl World {
    /// A manager begins the recovery of a database on a node, or does it again.
    pub(crate) fn note_manager_output(&mut self, n: usize, output: &Output) {
        self.check_leader(n, output);
        if let Output::Control {
            request: Request::SetVnnMap(map),
            ..
        } = output
        {
            self.oracle.maps.insert(map.generation, map.map.clone());
        }
        let Output::Control {
            token,
            destination,
            request: Request::DbTransactionStart(start),
            ..
        } = output
        else {
            return;
        };
        let node = destination.0 as usize;
        let recovery = (start.db, start.transaction);
        let entry = self.oracle.recoveries.entry(recovery).or_default();
        if entry.result.is_some() || entry.participants.contains_key(&node) {
            *entry = Recovery::default();
        }
        let begun = (start.db, start.transaction, node);
        self.oracle.begun.insert((n, token.0), begun);
    }

    /// A node has begun: what it has is what the recovery has to go by.
    pub(crate) fn note_manager_input(&mut self, n: usize, input: &Input) {
        let Input::ControlReply { token, result } = input else {
            return;
        };
        let Some((db, generation, node)) = self.oracle.begun.remove(&(n, token.0)) else {
            return;
        };
        if result.as_ref().is_ok_and(|answer| answer.status == 0) {
            let disk = self.nodes[node].disk.borrow();
            let (Some((records, tags, hints)), Some(prior)) =
                (disk.before.get(&db), self.nodes[node].prior.get(&db))
            else {
                return;
            };
            let before = Before {
                prior: *prior,
                records: records.clone(),
                tags: tags.clone(),
                hints: hints.clone(),
            };
            let recovery = self.oracle.recoveries.entry((db, generation)).or_default();
            recovery.had.extend(super::commits::log_of(&before.records));
            recovery.participants.insert(node, before);
        }
    }

    /// A node has committed what a recovery gave it.
    pub(super) fn recovered(&mut self, n: usize, db: DbId) {
        let Some(daemon) = &self.nodes[n].daemon else {
            return;
        };
        let generation = daemon
            .database(db)
            .map_or(Generation::INVALID, |s| s.generation);
        if generation == Generation::INVALID && daemon.membership().own_flags().is_inactive() {
            // stopped or banned before the worker was through: what it has counts for nothing
            return;
        }
        if self.nodes[n].accepted.get(&db) != Some(&generation) {
            let text = format!("node {n} commits {db} for generation {generation}");
            return self.broken("generation", text);
        }
        let Some(mut recovery) = self.oracle.recoveries.remove(&(db, generation)) else {
            let text = format!("node {n} commits {db} for {generation}, which nobody began");
            return self.broken("generation", text);
        };
        self.oracle.recovered += 1;
        let (records, volatile) = {
            let disk = self.nodes[n].disk.borrow();
            let file = &disk.files[&db];
            (file.records.clone(), file.is_volatile())
        };
        if volatile {
            recovery
                .participants
                .retain(|node, before| self.counts(*node, db, before.prior));
        }
        match &recovery.result {
            Some(result) => self.compare(n, db, result, &records, volatile),
            None if volatile => self.check_volatile(db, generation, &recovery, &records),
            None => self.check_whole(db, &recovery, &records),
        }
        if volatile {
            let lineage = self.oracle.lineages.get(&(db, generation)).cloned();
            if let Some(file) = self.nodes[n].disk.borrow_mut().files.get_mut(&db) {
                file.tags = lineage.unwrap_or_default();
                file.hints.clear();
            }
        }
        let result = recovery.result.or(Some(records));
        let recovery = Recovery { result, ..recovery };
        self.oracle.recoveries.insert((db, generation), recovery);
    }

    /// Whether a copy counts: the leader has had its records, or could have; a node that is banned or dies before that
    /// takes no part any more.
    fn counts(&self, node: usize, db: DbId, prior: Prior) -> bool {
        let node = &self.nodes[node];
        let last = node.prior.get(&db).map(|last| last.begun);
        let state = node.daemon.as_ref().and_then(|d| d.database(db));
        let trusted = state.is_some_and(|state| state.trusted);
        self.oracle.pulled.contains(&prior.begun) || (trusted && last == Some(prior.begun))
    }

    /// All participants get the same.
    fn compare(&mut self, n: usize, db: DbId, first: &Records, this: &Records, volatile: bool) {
        let values = |records: &Records| -> Vec<(Vec<u8>, Vec<u8>)> {
            let all = records.iter();
            all.map(|(key, stored)| (key.clone(), stored.data.clone()))
                .collect()
        };
        if values(first) != values(this) {
            let text = format!("node {n} has another {db}: {this:?}, not {first:?}");
            return self.broken("recovery differs", text);
        }
        if !volatile {
            return;
        }
        for (key, stored) in this {
            let other = &first[key];
            if stored.header.dmaster != other.header.dmaster {
                let text = format!("{key:?}: {:?}, {:?}", stored.header, other.header);
                self.broken("recovery differs", text);
            }
        }
    }

    fn check_volatile(
        &mut self,
        db: DbId,
        generation: Generation,
        recovery: &Recovery,
        result: &Records,
    ) {
        let participants = recovery.participants.values();
        let mut keys: BTreeSet<&Vec<u8>> = result.keys().collect();
        keys.extend(participants.flat_map(|before| before.tags.keys()));
        let mut lineage = Versions::new();
        for key in keys {
            let allowed = self.oracle.allowed(recovery, key);
            let seen = result.get(key).and_then(|stored| version_of(&stored.data));
            let version = match seen {
                Some(version) => Some(version).filter(|version| allowed.contains(version)),
                None => {
                    let empty = allowed.iter().rev().find(|v| self.oracle.is_empty(**v));
                    empty.copied()
                }
            };
            match version {
                Some(version) => drop(lineage.insert(key.clone(), version)),
                None => {
                    let name = String::from_utf8_lossy(key);
                    let copies: Vec<_> = recovery
                        .participants
                        .iter()
                        .map(|(n, before)| {
                            (
                                n,
                                before.prior,
                                before.tags.get(key),
                                before.records.get(key),
                            )
                        })
                        .collect();
                    let text = format!("{name} is {seen:?}, not one of {allowed:?}; {copies:?}");
                    return self.broken("recovery", text);
                }
            }
        }
        self.oracle.lineages.insert((db, generation), lineage);
    }

    fn check_whole(&mut self, db: DbId, recovery: &Recovery, result: &Records) {
        let values = |records: &Records| -> Vec<(Vec<u8>, Vec<u8>)> {
            let all = records.iter();
            all.map(|(key, stored)| (key.clone(), stored.data.clone()))
                .collect()
        };
        let seqnum = |before: &Before| super::commits::seqnum_of(&before.records);
        let highest = recovery.participants.values().map(seqnum).max();
        let mut best = recovery
            .participants
            .values()
            .filter(|before| Some(seqnum(before)) == highest);
        if !best.any(|before| values(&before.records) == values(result)) {
            let text = format!("{db} is {result:?}, which no participant with {highest:?} had");
            return self.broken("recovery", text);
        }
        let log = super::commits::log_of(result);
        let logs = recovery.participants.values();
        let logs: Vec<_> = logs
            .map(|before| super::commits::log_of(&before.records))
            .collect();
        for commit in recovery.had.clone() {
            if log.contains(&commit) || !self.oracle.is_owed(commit) {
                continue;
            }
            // two parts of a cut network have gone on from the same, and one of them wins
            let with = logs.iter().filter(|had| had.contains(&commit));
            if with.into_iter().any(|had| had.starts_with(&log)) {
                let text = format!("commit {commit} of {db} is lost: {log:?}");
                self.broken("lost commit", text);
            }
            self.oracle.forget(commit);
        }
    }
}

impl Oracle {
    /// Whether the location master of a key takes part: it removes its copy last. Without it, copies that it has had
    /// removed do not say that all were: what is left then may be any older copy, as with C, whose vacuuming has these
    /// two steps too (`ctdb_process_delete_list`, 4.17.12).
    fn has_lmaster(&self, recovery: &Recovery, generation: Generation, key: &[u8]) -> bool {
        let Some(map) = self.maps.get(&generation).filter(|map| !map.is_empty()) else {
            return true;
        };
        let lmaster = map[wire::key_hash(key) as usize % map.len()].0 as usize;
        let lmaster = recovery.participants.get(&lmaster);
        lmaster.is_some_and(|before| before.prior.generation == generation)
    }

    /// The versions that a key may have after a recovery: for each generation that took part the newest that was held
    /// there; a lent copy may be newer, and a copy that was vacuumed may stand for a deletion elsewhere (`hints`).
    fn allowed(&self, recovery: &Recovery, key: &[u8]) -> BTreeSet<u64> {
        let mut newest = BTreeMap::<Generation, u64>::new();
        let mut others = BTreeSet::new();
        for before in recovery.participants.values() {
            if before.prior.generation == Generation::INVALID || !before.prior.trusted {
                continue;
            }
            let tag = before.tags.get(key).copied().unwrap_or_default();
            let hint = before.hints.get(key).copied();
            let gone = !before.records.contains_key(key);
            let deletion = hint.filter(|version| self.is_empty(*version));
            let vacuumed = gone && (self.is_empty(tag) || deletion > Some(tag));
            if !vacuumed || self.has_lmaster(recovery, before.prior.generation, key) {
                let entry = newest.entry(before.prior.generation).or_default();
                *entry = tag.max(*entry);
            }
            others.extend(hint);
        }
        let newest: BTreeSet<u64> = newest.into_values().collect();
        let oldest = newest.first().copied().unwrap_or_default();
        let newer = others.into_iter().filter(|version| *version > oldest);
        let mut allowed: BTreeSet<u64> = newer.chain(newest.iter().copied()).collect();
        if allowed.is_empty() {
            allowed.insert(0);
        }
        allowed
    }
}

//! Traverses: what one shows was there while it went on, and what nobody touched meanwhile is shown once.
//!
//! Nothing is promised where nodes disagree about the generation, or a recovery comes in between, or a worker dies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wire::coding::Decode;
use wire::types::{OwnedRecord, RecordHeader};
use wire::{ClientId, DbId, Generation, Pnn, Time};

use super::{Versions, version_of};
use crate::world::{World, database};

/// The daemon ends a traverse after its time-out, complete or not; well before that it is complete.
const IN_TIME: Duration = Duration::from_secs(4);

/// A traverse of the volatile database.
#[derive(Debug)]
pub(super) struct Walk {
    since: Time,
    generation: Generation,
    /// What there was when it began.
    versions: Versions,
    /// Written or moved since.
    touched: BTreeSet<Vec<u8>>,
    seen: BTreeMap<Vec<u8>, u32>,
}

impl World {
    /// The generation of a database, if no node has another.
    fn common_generation(&self, db: DbId) -> Option<Generation> {
        let mut all = (0..self.nodes.len()).map(|n| self.nodes[n].generation(db));
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    /// Whether a node believes that it can ask all others.
    fn has_all(&self, n: usize) -> bool {
        self.nodes[n].daemon.as_ref().is_some_and(|daemon| {
            let membership = daemon.membership();
            let mut others = (0..self.nodes.len()).filter(|other| *other != n);
            !membership.in_recovery()
                && others.all(|other| membership.is_connected(Pnn(other as u32)))
        })
    }

    /// A client begins a traverse.
    pub(crate) fn note_traverse(&mut self, n: usize, client: ClientId) {
        let db = database(None);
        self.oracle.walks.remove(&(n, client));
        if !self.has_all(n) {
            return;
        }
        if let Some(generation) = self.common_generation(db) {
            let lineage = self.oracle.lineages.get(&(db, generation));
            let versions = lineage.cloned().unwrap_or_default();
            let keys = versions.keys().cloned();
            let walk = Walk {
                since: self.now,
                generation,
                // those that are on their way count as moved
                touched: keys.filter(|key| !self.has_master(db, key)).collect(),
                versions,
                seen: BTreeMap::new(),
            };
            self.oracle.walks.insert((n, client), walk);
        }
    }

    fn has_master(&self, db: DbId, key: &[u8]) -> bool {
        let copies = self.nodes.iter().enumerate();
        let mut masters = copies.filter(|(n, node)| {
            let disk = node.disk.borrow();
            let stored = disk.files.get(&db).and_then(|file| file.records.get(key));
            stored.is_some_and(|stored| stored.header.dmaster == Pnn(*n as u32))
        });
        masters.next().is_some()
    }

    /// A copy of a record was written or removed somewhere.
    pub(super) fn touch(&mut self, db: DbId, key: &[u8]) {
        if db == database(None) {
            for walk in self.oracle.walks.values_mut() {
                walk.touched.insert(key.to_vec());
            }
        }
    }

    /// The client gets a record, or the end.
    pub(crate) fn note_traversed(&mut self, n: usize, client: ClientId, data: &[u8], ends: bool) {
        let db = database(None);
        let restless = self.nodes.iter().any(|node| node.restless_until > self.now);
        let Some(mut walk) = self.oracle.walks.remove(&(n, client)) else {
            return;
        };
        if restless || !self.has_all(n) || self.common_generation(db) != Some(walk.generation) {
            return;
        }
        let wrong = if ends {
            self.missing(&walk)
        } else {
            self.shown(db, &mut walk, data)
        };
        if let Some(wrong) = wrong {
            return self.broken("traverse", wrong);
        }
        if !ends {
            self.oracle.walks.insert((n, client), walk);
        }
    }

    fn shown(&self, db: DbId, walk: &mut Walk, data: &[u8]) -> Option<String> {
        let Ok(record) = OwnedRecord::from_bytes(data) else {
            return Some("a record that cannot be read".into());
        };
        let (_, value) = RecordHeader::split(&record.data).ok()?;
        let shown = version_of(value)?;
        let of = |versions: &Versions| versions.get(&record.key).copied().unwrap_or_default();
        let first = of(&walk.versions);
        let last = of(self.oracle.lineages.get(&(db, walk.generation))?);
        *walk.seen.entry(record.key.clone()).or_default() += 1;
        let name = String::from_utf8_lossy(&record.key);
        (!(first..=last).contains(&shown))
            .then(|| format!("{name} is shown as {shown}, and was {first} to {last}"))
    }

    fn missing(&self, walk: &Walk) -> Option<String> {
        if self.now.since(walk.since) > IN_TIME {
            return None;
        }
        let there = walk.versions.iter();
        let mut there = there.filter(|(key, version)| {
            !self.oracle.is_empty(**version) && !walk.touched.contains(*key)
        });
        there.find_map(|(key, version)| {
            let times = walk.seen.get(key).copied().unwrap_or_default();
            let name = String::from_utf8_lossy(key);
            (times != 1).then(|| format!("{name}, {version}, is shown {times} times"))
        })
    }
}

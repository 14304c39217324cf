//! Volatile values: what a client reads under the lock of a record is what was written last in its generation.
//!
//! Clients read and write in one moment, between the call of an operation and its return, so this is linearizability; a
//! recovery alone may take a record back, and `recoveries.rs` says how far.

use database::store::Stored;
use wire::types::RecordFlags;
use wire::{DbId, Generation};

use super::{Prior, version_of};
use crate::disk::Trace;
use crate::net::HandOver;
use crate::world::{World, say};

impl World {
    /// A client looks at a record that it has locked.
    pub(crate) fn observe(&mut self, n: usize, db: DbId, key: &[u8], stored: &Stored) {
        let Some(generation) = self.nodes[n].generation(db) else {
            return;
        };
        self.count_access();
        let lineage = self.oracle.lineages.get(&(db, generation));
        let expected = lineage.and_then(|versions| versions.get(key).copied());
        let expected = expected.unwrap_or_default();
        let seen = version_of(&stored.data);
        let fits = match seen {
            Some(version) => version == expected,
            None => self.oracle.is_empty(expected),
        };
        if !fits {
            let name = String::from_utf8_lossy(key);
            let text = format!(
                "node {n} reads {name} in generation {generation}: {seen:?}, not {expected}; {:?}",
                stored.header
            );
            self.broken("linearizability", text);
        }
    }

    /// A client writes a record that it has locked: a value, or nothing.
    pub(crate) fn write(
        &mut self,
        n: usize,
        db: DbId,
        key: &[u8],
        stored: &Stored,
        payload: Option<&[u8]>,
    ) {
        self.oracle.last_version += 1;
        let version = self.oracle.last_version;
        let data = match payload {
            Some(payload) => [&version.to_le_bytes(), payload].concat(),
            None => {
                self.oracle.deleted.insert(version);
                Vec::new()
            }
        };
        let written = Stored {
            header: stored.header,
            data,
        };
        if let Some(file) = self.nodes[n].disk.borrow_mut().files.get_mut(&db) {
            file.records.insert(key.to_vec(), written);
            file.tags.insert(key.to_vec(), version);
        }
        if let Some(generation) = self.generation_of_write(n, db) {
            let lineage = self.oracle.lineages.entry((db, generation)).or_default();
            lineage.insert(key.to_vec(), version);
            if payload.is_none() {
                let deletions = self.oracle.deletions.entry((db, generation)).or_default();
                deletions.insert(key.to_vec(), version);
            }
        }
        self.touch(db, key);
        self.say_record(n, db, key, "client");
    }

    /// The generation of a database that a client writes to: one that is in use, or whose freeze has died with its worker,
    /// which the daemon does not know yet.
    fn generation_of_write(&self, n: usize, db: DbId) -> Option<Generation> {
        let node = &self.nodes[n];
        let state = node.daemon.as_ref().and_then(|d| d.database(db));
        let unfrozen = state.filter(|_| node.restless_until > self.now);
        node.generation(db)
            .or(unfrozen.map(|state| state.generation))
    }

    /// What a copy is now, and whose doing it is.
    fn say_record(&self, n: usize, db: DbId, key: &[u8], who: &str) {
        if !self.trace {
            return;
        }
        let disk = self.nodes[n].disk.borrow();
        let file = &disk.files[&db];
        let name = String::from_utf8_lossy(key);
        let header = file.records.get(key).map(|stored| stored.header);
        let seen = file.records.get(key).map(|stored| version_of(&stored.data));
        let tag = file.tags.get(key);
        say!(
            self,
            "   {who} of node {n}: {name} {header:?} is {seen:?}, tag {tag:?}"
        );
    }

    /// A packet brings a record, or passes one on.
    pub(crate) fn note_arrival(&mut self, n: usize, handed: &HandOver) {
        let record = (n, handed.db, handed.key.clone());
        let arrived = self.oracle.arrived.entry(record).or_default();
        *arrived = handed.version.max(*arrived);
    }

    /// The daemon wrote: what is the newest that this copy has had?
    pub(crate) fn note_written(&mut self, n: usize, trace: &[Trace]) {
        for event in trace {
            match event {
                Trace::Wrote(db, key) => {
                    self.tag(n, *db, key);
                    self.touch(*db, key);
                    self.say_record(n, *db, key, "daemon");
                }
                Trace::Began(db) => {
                    let state = self.nodes[n].daemon.as_ref().and_then(|d| d.database(*db));
                    let generation = state.map_or(Generation::INVALID, |state| state.generation);
                    self.oracle.last_begun += 1;
                    let prior = Prior {
                        generation,
                        trusted: state.is_some_and(|state| state.trusted),
                        begun: self.oracle.last_begun,
                    };
                    self.nodes[n].prior.insert(*db, prior);
                }
                Trace::Pulled(db) => {
                    let prior = self.nodes[n].prior.get(db);
                    self.oracle.pulled.extend(prior.map(|prior| prior.begun));
                }
                Trace::Committed(db) => self.recovered(n, *db),
                Trace::Cleared(db) => {
                    self.oracle
                        .arrived
                        .retain(|(node, of, _), _| (*node, *of) != (n, *db));
                    self.replicated_lost(*db);
                }
                Trace::Broken(_) => {}
            }
        }
    }

    fn tag(&mut self, n: usize, db: DbId, key: &[u8]) {
        let disk = self.nodes[n].disk.clone();
        let mut disk = disk.borrow_mut();
        let Some(file) = disk.files.get_mut(&db).filter(|file| file.is_volatile()) else {
            return;
        };
        let generation = self.nodes[n].generation(db);
        let lineage = generation.and_then(|g| self.oracle.lineages.get(&(db, g)));
        let last = lineage.and_then(|versions| versions.get(key).copied());
        let deletion = last.filter(|version| self.oracle.is_empty(*version));
        let Some(stored) = file.records.get(key) else {
            // vacuumed, or passed on without a value: it may be a deletion by others, who may have written again before
            // the order to remove this copy was here
            let deletions = generation.and_then(|g| self.oracle.deletions.get(&(db, g)));
            let before = deletions.and_then(|versions| versions.get(key).copied());
            file.hints
                .extend(deletion.or(before).map(|version| (key.to_vec(), version)));
            return;
        };
        let seen = version_of(&stored.data);
        if stored.header.flags.contains(RecordFlags::RO_HAVE_READONLY) {
            file.hints
                .extend(seen.or(deletion).map(|version| (key.to_vec(), version)));
            return;
        }
        let version = seen.unwrap_or_else(|| {
            let old = file.tags.get(key).copied().unwrap_or_default();
            self.version_of_nothing(n, db, key, old)
        });
        file.tags.insert(key.to_vec(), version);
    }

    /// A copy without a value does not say which deletion it is of.
    fn version_of_nothing(&self, n: usize, db: DbId, key: &[u8], old: u64) -> u64 {
        let arrived = self.oracle.arrived.get(&(n, db, key.to_vec()));
        let version = old.max(arrived.copied().unwrap_or_default());
        if self.oracle.is_empty(version) {
            return version;
        }
        let generation = self.nodes[n].generation(db);
        let lineage = generation.and_then(|g| self.oracle.lineages.get(&(db, g)));
        let present = lineage.and_then(|versions| versions.get(key).copied());
        present.filter(|v| self.oracle.is_empty(*v)).unwrap_or(old)
    }
}

impl World {
    /// At the end the data masters have what was written last.
    pub(crate) fn check_values(&mut self) {
        for db in [wire::db_id("locking.tdb"), wire::db_id("g_lock.tdb")] {
            for n in 0..self.nodes.len() {
                let records = match self.nodes[n].disk.borrow().files.get(&db) {
                    Some(file) => file.records.clone(),
                    None => continue,
                };
                for (key, stored) in records {
                    if stored.header.dmaster == wire::Pnn(n as u32) {
                        self.observe(n, db, &key, &stored);
                    }
                }
            }
        }
    }
}

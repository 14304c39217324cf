//! One data master: among the nodes of one generation that are not frozen at most one copy has its own node as data
//! master, hand-overs that are on their way counted, and but for lent copies its sequence number is the greatest.

use database::store::Stored;
use wire::types::RecordFlags;
use wire::{DbId, Generation, Pnn};

use crate::disk::Trace;
use crate::world::World;

impl World {
    /// After a step of a daemon.
    pub(crate) fn check_step(&mut self, n: usize, trace: &[Trace]) {
        for event in trace {
            match event {
                Trace::Wrote(db, key) => self.check_masters(n, *db, key),
                Trace::Broken(_) if self.nodes[n].restless_until > self.now => {}
                Trace::Broken(what) => {
                    let text = format!("node {n}: {what}");
                    self.broken("locks", text);
                }
                _ => {}
            }
        }
        self.check_modes(n);
    }

    fn check_masters(&mut self, n: usize, db: DbId, key: &[u8]) {
        let volatile = |disk: &crate::disk::Disk| disk.files.get(&db).map(|f| f.is_volatile());
        if volatile(&self.nodes[n].disk.borrow()) != Some(true) {
            return;
        }
        let Some(generation) = self.nodes[n].generation(db) else {
            return;
        };
        let copies = self.copies(db, key, generation);
        let masters: Vec<&(usize, Stored)> = copies
            .iter()
            .filter(|(node, stored)| stored.header.dmaster == Pnn(*node as u32))
            .collect();
        let on_its_way = self.net.handed.get(&(db, key.to_vec()));
        let on_its_way =
            on_its_way.map_or(0, |all| all.iter().filter(|g| **g == generation).count());
        let name = String::from_utf8_lossy(key);
        if masters.len() + on_its_way > 1 {
            let text = format!("{name} in {generation}: {copies:?}, {on_its_way} on their way");
            return self.broken("one data master", text);
        }
        let Some((master, stored)) = masters.first() else {
            return;
        };
        let rsn = stored.header.rsn;
        let higher = copies
            .iter()
            .filter(|(node, copy)| node != master && copy.header.rsn >= rsn);
        let lent = copies
            .iter()
            .any(|(_, copy)| copy.header.flags.intersects(RecordFlags::RO_FLAGS));
        if !lent && let Some((node, copy)) = higher.into_iter().next() {
            let text = format!(
                "{name}: node {node} {:?}, master {:?}",
                copy.header, stored.header
            );
            self.broken("sequence numbers", text);
        }
    }

    /// The copies of the nodes of a generation that use the database.
    fn copies(&self, db: DbId, key: &[u8], generation: Generation) -> Vec<(usize, Stored)> {
        let of_generation = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].generation(db) == Some(generation));
        let copy = |node: usize| {
            let disk = self.nodes[node].disk.borrow();
            let stored = disk.files.get(&db)?.records.get(key)?.clone();
            Some((node, stored))
        };
        of_generation.filter_map(copy).collect()
    }
}

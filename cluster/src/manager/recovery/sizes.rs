//! How large the databases are, and so which of them are recovered first, and which beside which.
//!
//! Between the new vnnmap and the end of its recovery a database has no calls between nodes, and who wants a record waits.
//! Two that are recovered side by side share processors, workers and the manager, and each takes as long as both. So the
//! small ones come first, and a large one does not begin before they are done: their users wait no longer because of it, its
//! own wait a little longer.
//!
//! Each daemon of ours says how large its files are when its recovery mode becomes ACTIVE (RECOVERY_WANTED), which is at the
//! latest when the recovery makes it so. Of C's daemons, and of databases that nobody has spoken of, nothing is known:
//! they count as small. Only the order depends on it.

use std::collections::BTreeMap;

use wire::types::DbSizes;
use wire::{DbId, Pnn};

use super::database::Spec;

/// What no size matters below, in KiB: the file of an empty volatile database has as much, for its chains.
const SMALL: u32 = 4 * 1024;
/// A database is not recovered beside one of less than this part of its size.
const ALIKE: u32 = 2;
/// A longer list is no node's.
const LONGEST: usize = 100_000;

/// The databases' sizes on each node, in KiB.
#[derive(Clone, Debug, Default)]
pub(in crate::manager) struct Sizes(BTreeMap<Pnn, BTreeMap<DbId, u32>>);

impl Sizes {
    /// Takes what a node has said in place of what it said before.
    pub(in crate::manager) fn note(&mut self, source: Pnn, sizes: &DbSizes) {
        if sizes.dbs.len() <= LONGEST {
            let sizes = sizes.dbs.iter().map(|size| (size.db, size.kib));
            self.0.insert(source, sizes.collect());
        }
    }

    /// Where it is largest.
    fn of(&self, db: DbId) -> u32 {
        let all = self.0.values().filter_map(|sizes| sizes.get(&db));
        all.copied().max().unwrap_or_default()
    }

    /// The smallest first.
    pub(super) fn sort(&self, specs: &mut [Spec]) {
        specs.sort_by_key(|spec| self.of(spec.db));
    }

    /// Whether a database may be recovered while these are.
    pub(super) fn may_join<'a>(
        &self,
        db: DbId,
        running: impl IntoIterator<Item = &'a DbId>,
    ) -> bool {
        let size = self.of(db);
        let mut running = running.into_iter().map(|db| self.of(*db).max(SMALL));
        running.all(|other| size <= other.saturating_mul(ALIKE))
    }
}

#[cfg(test)]
mod tests {
    use wire::types::DbSize;

    use super::*;

    fn said(sizes: &[(u32, u32)]) -> DbSizes {
        let dbs = sizes.iter().map(|&(db, kib)| DbSize { db: DbId(db), kib });
        let dbs = dbs.collect();
        DbSizes { dbs }
    }

    #[test]
    fn what_a_node_said_last_counts_and_the_largest_file() {
        let mut sizes = Sizes::default();
        sizes.note(Pnn(0), &said(&[(1, 500), (2, 9000)]));
        sizes.note(Pnn(1), &said(&[(1, 700)]));
        assert_eq!([1, 2, 3].map(|db| sizes.of(DbId(db))), [700, 9000, 0]);
        sizes.note(Pnn(0), &said(&[(1, 500)]));
        assert_eq!([1, 2].map(|db| sizes.of(DbId(db))), [700, 0]);
    }

    #[test]
    fn a_list_without_end_changes_nothing() {
        let mut sizes = Sizes::default();
        sizes.note(Pnn(0), &said(&[(1, 500)]));
        sizes.note(Pnn(0), &said(&vec![(1, 7); LONGEST + 1]));
        assert_eq!(sizes.of(DbId(1)), 500);
    }

    #[test]
    fn only_databases_of_about_a_size_are_recovered_together() {
        let mut sizes = Sizes::default();
        sizes.note(
            Pnn(0),
            &said(&[(1, 100), (2, SMALL), (3, 2 * SMALL), (4, 4 * SMALL + 1)]),
        );
        let may = |db, running: &[u32]| {
            let running: Vec<_> = running.iter().map(|db| DbId(*db)).collect();
            sizes.may_join(DbId(db), &running)
        };
        assert!(may(4, &[]));
        assert!(may(3, &[1, 2]));
        assert!(!may(4, &[3]));
        assert!(may(1, &[4]));
        assert!(!may(4, &[4, 1]));
    }
}

//! Which generation each node's databases come from, and so whose copy is right where sequence numbers are equal.
//!
//! A node that is lost while it commits may be the only one that has the commit. The others recover without it, and what they
//! commit next has the same number. That commit was acknowledged, the other never was: so when the node is back, its copy must
//! not win. Its generation is an old one, or none, if it was started again; the leader's is that of those that went on. (C,
//! 4.17.12, takes the first node's copy, whichever it is.)
//!
//! An attempt gives all nodes its generation before it touches their databases. Until one is complete, it is what they had
//! before the first that counts.

use std::collections::{BTreeMap, BTreeSet};

use wire::types::VnnMap;
use wire::{Generation, Pnn};

/// The nodes' generations before the recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::manager) struct Origins {
    of: BTreeMap<Pnn, Generation>,
    /// Those of attempts that have not been completed.
    attempts: BTreeSet<Generation>,
}

/// Of two copies with the same sequence number the greater is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A node that was started, or has become active, since the last recovery.
    None,
    /// Another generation than the leader's.
    Other,
    /// The leader's.
    Leaders,
}

impl Origins {
    /// Takes the nodes' answers to GET_VNNMAP.
    pub(super) fn learn(&mut self, maps: BTreeMap<Pnn, VnnMap>) {
        let generations = maps.into_iter().map(|(pnn, map)| (pnn, map.generation));
        let new = generations.filter(|(_, generation)| !self.attempts.contains(generation));
        self.of.extend(new);
    }

    /// An attempt is about to give the nodes its generation.
    pub(super) fn begin(&mut self, attempt: Generation) {
        self.attempts.insert(attempt);
    }

    pub(super) fn origin(&self, node: Pnn, leader: Pnn) -> Origin {
        match (self.of.get(&node), self.of.get(&leader)) {
            (None | Some(&Generation::INVALID), _) => Origin::None,
            (node, leader) if node == leader => Origin::Leaders,
            _ => Origin::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(generations: &[(u32, u32)]) -> BTreeMap<Pnn, VnnMap> {
        let map = |&(pnn, generation)| {
            let generation = Generation(generation);
            let map = Vec::new();
            (Pnn(pnn), VnnMap { generation, map })
        };
        generations.iter().map(map).collect()
    }

    #[test]
    fn those_that_went_on_come_before_the_one_that_was_away() {
        let mut known = Origins::default();
        known.learn(origins(&[
            (0, 7),
            (1, 8),
            (2, 8),
            (3, Generation::INVALID.0),
        ]));
        let all = [0, 1, 2, 3, 4].map(|pnn| known.origin(Pnn(pnn), Pnn(2)));
        use Origin::{Leaders, None, Other};
        assert_eq!(all, [Other, Leaders, Leaders, None, None]);
        assert!(None < Other && Other < Leaders);
    }

    #[test]
    fn an_attempt_makes_no_node_right() {
        let mut known = Origins::default();
        known.learn(origins(&[(0, 7), (1, 8), (2, 8)]));
        known.begin(Generation(9));
        known.learn(origins(&[(0, 9), (1, 9), (2, 8)]));
        assert_eq!(known.origin(Pnn(0), Pnn(2)), Origin::Other);
        assert_eq!(known.origin(Pnn(1), Pnn(2)), Origin::Leaders);
        // it was started again in between
        known.learn(origins(&[(1, Generation::INVALID.0)]));
        assert_eq!(known.origin(Pnn(1), Pnn(2)), Origin::None);
    }
}

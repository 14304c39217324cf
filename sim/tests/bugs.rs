//! Bugs that are planted on purpose are found, each within so many seeds.

use sim::{Mutation, Script, play};

/// The seed that finds the one that hides best is a little over half of this.
const SEEDS: u64 = 600;

#[test]
fn every_planted_bug_is_found() {
    for bug in Mutation::ALL {
        let finds = |seed: &u64| {
            play(&Script::of_seed(*seed), Some(bug), false)
                .violation
                .is_some()
        };
        let found = (0..SEEDS).find(finds);
        println!("{bug}: {found:?}");
        assert!(found.is_some(), "{bug} is not found by {SEEDS} seeds");
    }
}

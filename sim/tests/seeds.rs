//! Some seeds; `cargo xtask sim` plays more.

use sim::{Script, play};

/// Played here; others than those of `cargo xtask sim`.
const SEEDS: std::ops::Range<u64> = 1_000_000..1_000_200;

#[test]
fn no_seed_breaks_a_rule() {
    for seed in SEEDS {
        let script = Script::of_seed(seed);
        assert_eq!(play(&script, None, false).violation, None, "seed {seed}");
    }
}

#[test]
fn a_seed_is_played_the_same_way_each_time() {
    for seed in 0..5 {
        let script = Script::of_seed(seed);
        let [first, second] = [(); 2].map(|()| play(&script, None, false));
        let figures = |report: &sim::Report| (report.events, report.accesses, report.commits);
        assert_eq!(figures(&first), figures(&second), "seed {seed}");
    }
}

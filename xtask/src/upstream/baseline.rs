//! What is known of each script, and what a run says of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::outcome::Outcome;
use super::{Done, Results};

/// The suites that run our daemons.
pub(super) const SUITES: [&str; 3] = [
    "INTEGRATION/simple",
    "INTEGRATION/database",
    "INTEGRATION/failover",
];
/// A line for each script: suite, name, outcome, and why if that is not `ok`; between them tabs.
const KNOWN: &str = include_str!("baseline.tsv");

/// The outcome that a script is known to have, as its word.
fn known() -> BTreeMap<(&'static str, &'static str), &'static str> {
    let fields = |line: &'static str| {
        let mut fields = line.split('\t');
        Some(((fields.next()?, fields.next()?), fields.next()?))
    };
    KNOWN.lines().filter_map(fields).collect()
}

/// The results as lines: suite, name, then the outcome and the seconds of each run.
pub(super) fn table(results: &Results) -> String {
    let mut text = String::new();
    for ((suite, name), runs) in results {
        write!(text, "{suite}\t{name}").expect("a String takes any text");
        for Done { outcome, seconds } in runs {
            write!(text, "\t{}\t{seconds}", outcome.word()).expect("a String takes any text");
        }
        text.push('\n');
    }
    text
}

/// Prints the sums and what is not as it is known; true if nothing is worse.
pub(super) fn compare(results: &Results) -> bool {
    let known = known();
    let mut well = true;
    for ((suite, name), runs) in results {
        let expected = known.get(&(suite.as_str(), name.as_str())).copied();
        let passed = count(runs, Outcome::Passed);
        if passed < runs.len() || expected != Some(Outcome::Passed.word()) {
            let words: Vec<_> = runs.iter().map(|done| done.outcome.word()).collect();
            let was = expected.unwrap_or("not known");
            println!("    {suite}/{name}: {} (was: {was})", words.join(", "));
        }
        well &= runs.iter().all(|done| is_as_good(done.outcome, expected));
    }
    sums(results);
    well
}

/// A script that is not known has to pass.
fn is_as_good(outcome: Outcome, expected: Option<&str>) -> bool {
    outcome == Outcome::Passed
        || expected.is_some_and(|word| word != Outcome::Passed.word() && word == outcome.word())
}

fn count(runs: &[Done], outcome: Outcome) -> usize {
    runs.iter().filter(|done| done.outcome == outcome).count()
}

/// A line for each suite.
fn sums(results: &Results) {
    let mut suites: BTreeMap<&str, (usize, usize, usize, u64)> = BTreeMap::new();
    for ((suite, _), runs) in results {
        let sum = suites.entry(suite).or_default();
        sum.0 += count(runs, Outcome::Passed);
        sum.1 += count(runs, Outcome::Skipped);
        sum.2 += runs.len();
        sum.3 += runs.iter().map(|done| done.seconds).sum::<u64>();
    }
    for (suite, (passed, skipped, all, seconds)) in suites {
        let failed = all - passed - skipped;
        println!(
            "{suite}: {passed} ok, {failed} not ok, {skipped} skipped; {seconds} s one after another"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_a_suite_that_is_run_a_script_and_an_outcome() {
        let lines = KNOWN.lines().count();
        let known = known();
        assert_eq!(known.len(), lines, "a line is damaged, or twice there");
        assert!(lines > 60);
        for ((suite, name), outcome) in known {
            assert!(SUITES.contains(&suite) || suite == "UNIT/cunit", "{suite}");
            assert!(name.ends_with(".sh"), "{name}");
            let words = [Outcome::Passed, Outcome::Skipped, Outcome::Failed].map(Outcome::word);
            assert!(words.contains(&outcome), "{outcome}");
        }
    }

    #[test]
    fn only_what_is_known_may_fail() {
        assert!(is_as_good(Outcome::Passed, None));
        assert!(is_as_good(Outcome::Passed, Some("not ok")));
        assert!(is_as_good(Outcome::Failed, Some("not ok")));
        assert!(!is_as_good(Outcome::Failed, Some("ok")));
        assert!(!is_as_good(Outcome::Failed, None));
        assert!(!is_as_good(Outcome::Skipped, Some("ok")));
        assert!(!is_as_good(Outcome::TimedOut, Some("not ok")));
    }
}

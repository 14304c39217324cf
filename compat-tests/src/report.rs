//! Assertions: one line each, a count at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Counts assertions and prints a line for each: `ok NAME (1.2 s)` or `not ok NAME (1.2 s)`
/// followed by the reason as comment lines.
#[derive(Debug, Default)]
pub struct Report {
    tests: usize,
    failed: usize,
}

impl Report {
    /// Runs one assertion; true if it held.
    pub fn check<E: Into<anyhow::Error>>(
        &mut self,
        name: &str,
        assertion: impl FnOnce() -> Result<(), E>,
    ) -> bool {
        let begin = Instant::now();
        let outcome = assertion().map_err(Into::into);
        let took = begin.elapsed().as_secs_f64();
        self.tests += 1;
        match &outcome {
            Ok(()) => println!("ok {name} ({took:.1} s)"),
            Err(why) => {
                self.failed += 1;
                println!("not ok {name} ({took:.1} s)");
                print_comment(&format!("{why:#}"));
            }
        }
        outcome.is_ok()
    }

    /// Runs a group of assertions; an error that ends the group early counts as a failure.
    pub fn group(&mut self, name: &str, run: impl FnOnce(&mut Self) -> Result<()>) {
        let begin = Instant::now();
        if let Err(why) = run(self) {
            self.check(&format!("{name} runs to its end"), || Err(why));
        }
        println!("# {name}: {:.1} s", begin.elapsed().as_secs_f64());
    }

    /// How many assertions failed so far.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Prints the closing line; true if every assertion held and there was at least one.
    pub fn finish(&self) -> bool {
        println!("# {} tests, {} failed", self.tests, self.failed);
        self.tests > 0 && self.failed == 0
    }
}

/// Prints the last twenty lines of a text as comments.
fn print_comment(text: &str) {
    let lines: Vec<_> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(20)..] {
        println!("# {line}");
    }
}

/// Repeats `probe` until it succeeds.
///
/// # Errors
/// The last error of `probe`, when `limit` has passed.
pub fn wait_for<T>(limit: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match probe() {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(200)),
            Err(why) => {
                return Err(why).with_context(|| format!("still so after {} s", limit.as_secs()));
            }
            done => return done,
        }
    }
}

/// [`wait_for`] with whole seconds.
///
/// # Errors
/// As `wait_for`.
pub fn within<T>(seconds: u64, probe: impl FnMut() -> Result<T>) -> Result<T> {
    wait_for(Duration::from_secs(seconds), probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_no_assertions_is_a_failure() {
        assert!(!Report::default().finish());
    }

    #[test]
    fn failures_are_counted_and_groups_that_stop_early_too() {
        let mut report = Report::default();
        assert!(report.check("holds", || anyhow::Ok(())));
        assert!(report.finish());
        report.group("stops", |_| anyhow::bail!("early"));
        assert_eq!(report.failed(), 1);
        assert!(!report.finish());
    }

    #[test]
    fn waiting_ends_with_the_last_error() {
        let outcome: Result<()> = wait_for(Duration::from_millis(1), || anyhow::bail!("never"));
        assert!(format!("{:#}", outcome.unwrap_err()).contains("never"));
    }
}

//! What is printed: a line a minute, and the figures of all at the end.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use super::fault::{KINDS, Kind};
use super::{LOADS, MINUTE, SAMPLE, Soak, check};
use crate::deaths::series::journal_of;
use crate::deaths::series::times::quantile;

/// How long it took after each fault, and when it was last looked.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Seconds until all were OK.
    all: BTreeMap<Kind, Vec<f64>>,
    looked: Duration,
    line: Duration,
}

impl Times {
    pub(super) fn add(&mut self, kind: Kind, took: Duration) {
        self.all.entry(kind).or_default().push(took.as_secs_f64());
    }

    /// Whether it is time to look again, and if so, whether for a line too.
    pub(super) fn look(&mut self, now: Duration) -> Option<bool> {
        if now < self.looked + SAMPLE {
            return None;
        }
        self.looked = now;
        let line = now >= self.line + MINUTE;
        if line {
            self.line = now;
        }
        Some(line)
    }

    fn count(&self) -> usize {
        self.all.values().map(Vec::len).sum()
    }

    fn print(&self) {
        println!("# seconds to all OK     n  median    p95  longest");
        let all: Vec<_> = self.all.values().flatten().copied().collect();
        for kind in KINDS {
            let of_kind = self.all.get(&kind).map_or(&[][..], Vec::as_slice);
            if !of_kind.is_empty() {
                print_times(&format!("{kind:?}"), of_kind);
            }
        }
        print_times("all", &all);
    }
}

fn print_times(name: &str, times: &[f64]) {
    println!(
        "# {name:<16} {:>6} {:>7.2} {:>6.2} {:>8.2}",
        times.len(),
        quantile(times, 0.5),
        quantile(times, 0.95),
        quantile(times, 1.0),
    );
}

impl Soak<'_> {
    /// The line of a minute.
    pub(super) fn print_minute(&self, now: Duration) -> Result<()> {
        let (works, kept_out, troubles) = lock(&self.done, |done| {
            (done.works, done.kept_out, done.troubles.len())
        });
        println!(
            "# minute {:>2}: {} faults; acknowledged {}; SMB {works} works, {kept_out} kept out, \
             {troubles} sessions lost, {} smbtorture; KiB of {}",
            now.as_secs() / 60,
            self.times.count(),
            self.acknowledged(),
            lock(&self.tortures, |outcomes| outcomes.len()),
            check::shown(&self.memory, now),
        );
        Ok(())
    }

    /// Writes of each model by the journals, of all nodes.
    fn acknowledged(&self) -> String {
        let counts = LOADS.map(|(model, _)| {
            let nodes = self.cluster.nodes.iter();
            // that of a node that is off is not to be had
            let journals = nodes.filter_map(|node| fs::read(node.path(&journal_of(model))).ok());
            let lines = |text: Vec<u8>| {
                let lines = text.split(|byte| *byte == b'\n');
                lines
                    .filter(|line| !line.is_empty() && !line.ends_with(b"unknown"))
                    .count()
            };
            format!("{model} {}", journals.map(lines).sum::<usize>())
        });
        counts.join(", ")
    }

    /// All figures.
    pub(super) fn print(&self) {
        println!(
            "# {:.1} minutes, seed {}, {} faults",
            self.begin.elapsed().as_secs_f64() / 60.0,
            self.options.seed,
            self.times.count()
        );
        self.times.print();
        println!("# acknowledged writes: {}", self.acknowledged());
        lock(&self.done, |done| {
            println!(
                "# SMB: {} works, {} counts in shared files, kept out {} times, {} oplocks and leases asked back, {} sessions lost",
                done.works,
                done.counts.values().map(Vec::len).sum::<usize>(),
                done.kept_out,
                done.breaks,
                done.troubles.len()
            );
        });
        self.print_torture();
        self.memory.print();
    }

    fn print_torture(&self) {
        let mut tests: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        lock(&self.tortures, |outcomes| {
            for outcome in outcomes {
                let (runs, failed) = tests.entry(outcome.suite).or_default();
                *runs += 1;
                *failed += usize::from(outcome.failed.is_some());
            }
        });
        for (test, (runs, failed)) in tests {
            println!("# smbtorture {test}: {runs} runs, {failed} of them disturbed");
        }
    }
}

/// What another thread may hold for a moment.
pub(super) fn lock<T, R>(shared: &Mutex<T>, with: impl FnOnce(&mut T) -> R) -> R {
    with(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

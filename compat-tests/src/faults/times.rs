//! How long it took, of each kind and side.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Outcome;
use super::fault::{Kind, Role};
use crate::deaths::series::times::quantile;
use crate::side::Side;

/// What is measured of a fault.
const MEASURED: [&str; 3] = ["leader", "rest", "all"];

type Key = (Kind, Role, usize, Side);

/// All times, in seconds.
#[derive(Debug, Default)]
pub(super) struct Times(BTreeMap<Key, Vec<f64>>);

impl Times {
    pub(super) fn add(&mut self, side: Side, kind: Kind, role: Role, outcome: &Outcome) {
        let times = [outcome.leader, outcome.rest, Some(outcome.all)];
        for (column, took) in times.into_iter().enumerate() {
            if let Some(took) = took {
                let key = (kind, role, column, side);
                self.0.entry(key).or_default().push(took.as_secs_f64());
            }
        }
    }

    fn of(&self, kind: Kind, role: Role, column: usize, side: Side) -> &[f64] {
        self.0
            .get(&(kind, role, column, side))
            .map_or(&[], Vec::as_slice)
    }

    /// A line for each kind: median and worst of a new leader, of the rest at work and of all OK.
    pub(super) fn print(&self, sides: &[Side]) {
        println!(
            "# seconds, median and worst: a new leader; the rest at work; all OK after the fault's end"
        );
        let mut kinds: Vec<_> = self.0.keys().map(|key| (key.0, key.1)).collect();
        kinds.dedup();
        for (kind, role) in kinds {
            for &side in sides {
                let columns: Vec<_> = (0..MEASURED.len())
                    .map(|column| shown(MEASURED[column], self.of(kind, role, column, side)))
                    .collect();
                let name = format!("{kind:?} of the {role:?}, {side:?}");
                let count = self.of(kind, role, MEASURED.len() - 1, side).len();
                println!("# {name:<34} {count:>3} {}", columns.join(""));
            }
        }
    }

    /// Where the rest of a cluster gets over a fault by itself, ours is as fast as C's, by the median.
    pub(super) fn check_ratio(&self, most: f64) -> Result<()> {
        let rest = 1;
        let mut kinds: Vec<_> = self.0.keys().map(|key| (key.0, key.1)).collect();
        kinds.dedup();
        for (kind, role) in kinds {
            let median = |side| quantile(self.of(kind, role, rest, side), 0.5);
            let ratio = median(Side::Ours) / median(Side::Theirs);
            // one that C does not get over is no number
            ensure!(
                ratio.is_nan() || ratio <= most,
                "{kind:?} of the {role:?}: {ratio:.2} times C's"
            );
        }
        Ok(())
    }
}

fn shown(name: &str, times: &[f64]) -> String {
    match times {
        [] => format!("  {name}     -     -"),
        _ => format!(
            "  {name} {:>5.2} {:>5.2}",
            quantile(times, 0.5),
            quantile(times, 1.0)
        ),
    }
}

/// A time as it is printed.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

//! How long it took, of each kind and side.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Role, TURNS, What};
use crate::side::Side;

/// All times, in seconds.
#[derive(Debug, Default)]
pub(super) struct Times(BTreeMap<(Side, What, Role), Vec<f64>>);

impl Times {
    pub(super) fn add(&mut self, side: Side, what: What, role: Role, took: Duration) {
        let times = self.0.entry((side, what, role)).or_default();
        times.push(took.as_secs_f64());
    }

    /// Those of a side, of one kind or of all.
    fn of(&self, side: Side, kind: Option<(What, Role)>) -> Vec<f64> {
        let wanted = |(of, what, role): &(Side, What, Role)| {
            *of == side && kind.is_none_or(|kind| kind == (*what, *role))
        };
        let all = self.0.iter().filter(|(key, _)| wanted(key));
        all.flat_map(|(_, times)| times.iter().copied()).collect()
    }

    /// A line for each kind, and one for all: median and 95th percentile of both sides.
    pub(super) fn print(&self) {
        println!(
            "# seconds to all OK                 ours: n  median    p95   C: n  median    p95   ratio"
        );
        for kind in TURNS.map(Some).into_iter().chain([None]) {
            let name = kind.map_or("all".to_owned(), |(what, role)| {
                format!("{what:?} of the {role:?}")
            });
            let (ours, theirs) = (self.of(Side::Ours, kind), self.of(Side::Theirs, kind));
            println!(
                "# {name:<32} {:>8} {:>7.2} {:>6.2} {:>6} {:>7.2} {:>6.2}   {:.2} {:.2}",
                ours.len(),
                quantile(&ours, 0.5),
                quantile(&ours, 0.95),
                theirs.len(),
                quantile(&theirs, 0.5),
                quantile(&theirs, 0.95),
                quantile(&ours, 0.5) / quantile(&theirs, 0.5),
                quantile(&ours, 0.95) / quantile(&theirs, 0.95),
            );
        }
    }

    /// Median and 95th percentile of all are at most so many times C's.
    pub(super) fn check_ratio(&self, most: f64) -> Result<()> {
        let (ours, theirs) = (self.of(Side::Ours, None), self.of(Side::Theirs, None));
        for (name, q) in [("median", 0.5), ("95th percentile", 0.95)] {
            let ratio = quantile(&ours, q) / quantile(&theirs, q);
            ensure!(ratio <= most, "the {name} is {ratio:.2} times C's");
        }
        Ok(())
    }
}

/// The smallest value that this share of all does not exceed; not a number if there are none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place in a short list"
    )]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_small_lists() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert!((quantile(&values, 0.5) - 2.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 0.95) - 4.0).abs() < f64::EPSILON);
        assert!(quantile(&[], 0.5).is_nan());
    }
}

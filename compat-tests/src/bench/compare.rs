//! All samples of a row, compared.

use std::collections::BTreeMap;

use super::statistics::{Better, Spread, ratio};
use super::{Outcome, Row, Sample, Side};

/// A row of the result.
#[derive(Debug)]
pub struct Comparison {
    /// How many nodes.
    pub nodes: usize,
    /// What was measured.
    pub row: Row,
    /// The median of our turns.
    pub ours: Option<f64>,
    /// The median of C's first turns.
    pub theirs: Option<f64>,
    /// Ours against C of the same round.
    pub ratio: Option<Spread>,
    /// C once more against C of the same round.
    pub noise: Option<Spread>,
    /// CPU time of the daemons for an operation: ours against C, over 1 is less time.
    pub cpu: Option<f64>,
    /// Why values are missing, each reason once, and whose.
    pub failures: Vec<(Side, String)>,
    /// Why there cannot be values here.
    pub unavailable: Option<String>,
}

/// Compares the samples; by number of nodes, then in the order of rows.
#[must_use]
pub fn compare(samples: &[Sample]) -> Vec<Comparison> {
    let mut rows: BTreeMap<(usize, Row), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        rows.entry((sample.nodes, sample.row))
            .or_default()
            .push(sample);
    }
    let one = |((nodes, row), samples): (_, Vec<_>)| compare_row(nodes, row, &samples);
    rows.into_iter().map(one).collect()
}

fn compare_row(nodes: usize, row: Row, samples: &[&Sample]) -> Comparison {
    let better = row.about().better;
    let value = |sample: &Sample| sample.outcome.value();
    let median = |side| {
        Spread::of(
            &of_side(samples, side, value)
                .into_values()
                .collect::<Vec<_>>(),
        )
        .map(|s| s.median)
    };
    let spread = |side| Spread::of(&ratios(samples, side, better, value));
    let mut failures: Vec<(Side, String)> = samples
        .iter()
        .filter_map(|sample| failure(sample))
        .collect();
    failures.sort();
    failures.dedup();
    Comparison {
        nodes,
        row,
        ours: median(Side::Ours),
        theirs: median(Side::Theirs),
        ratio: spread(Side::Ours),
        noise: spread(Side::TheirsAgain),
        cpu: Spread::of(&ratios(samples, Side::Ours, Better::Lower, |sample| {
            sample.cpu_us
        }))
        .map(|s| s.median),
        failures,
        unavailable: samples.iter().find_map(|sample| match &sample.outcome {
            Outcome::Unavailable(why) => Some(why.clone()),
            Outcome::Value(_) | Outcome::Failed(_) => None,
        }),
    }
}

fn failure(sample: &Sample) -> Option<(Side, String)> {
    match &sample.outcome {
        Outcome::Failed(why) => Some((sample.side, why.clone())),
        Outcome::Value(_) | Outcome::Unavailable(_) => None,
    }
}

/// The values of a side, by round.
fn of_side(
    samples: &[&Sample],
    side: Side,
    value: impl Fn(&Sample) -> Option<f64>,
) -> BTreeMap<usize, f64> {
    let own = samples.iter().filter(|sample| sample.side == side);
    own.filter_map(|sample| Some((sample.round, value(sample)?)))
        .collect()
}

/// A side against C's first turn of the same round, for each round that has both.
fn ratios(
    samples: &[&Sample],
    side: Side,
    better: Better,
    value: impl Fn(&Sample) -> Option<f64> + Copy,
) -> Vec<f64> {
    let theirs = of_side(samples, Side::Theirs, value);
    let own = of_side(samples, side, value);
    let pair = |(round, own): (usize, f64)| Some(ratio(own, *theirs.get(&round)?, better));
    own.into_iter().filter_map(pair).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bench) fn sample(round: usize, side: Side, row: Row, value: f64) -> Sample {
        let outcome = Outcome::Value(value);
        Sample {
            nodes: 1,
            round,
            side,
            row,
            outcome,
            cpu_us: None,
            clients: Vec::new(),
        }
    }

    #[test]
    fn ratios_are_of_the_same_round_and_medians_of_all() {
        let of = |round, side, value| sample(round, side, Row::MessageRing, value);
        let samples = [
            of(0, Side::Theirs, 100.0),
            of(0, Side::Ours, 200.0),
            of(0, Side::TheirsAgain, 110.0),
            of(1, Side::Theirs, 50.0),
            of(1, Side::Ours, 75.0),
            of(1, Side::TheirsAgain, 50.0),
            of(2, Side::Ours, 300.0),
        ];
        let rows = compare(&samples);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].ours, rows[0].theirs), (Some(200.0), Some(75.0)));
        assert_eq!(
            rows[0].ratio,
            Some(Spread {
                median: 1.75,
                min: 1.5,
                max: 2.0
            })
        );
        assert_eq!(rows[0].noise.map(|noise| noise.min), Some(1.0));
    }

    #[test]
    fn a_failure_is_told_once_for_each_side() {
        let failed = |round| Sample {
            outcome: Outcome::Failed("refused".to_owned()),
            ..sample(round, Side::Ours, Row::Attach, 0.0)
        };
        let rows = compare(&[
            failed(0),
            failed(1),
            sample(0, Side::Theirs, Row::Attach, 5.0),
        ]);
        assert_eq!(rows[0].failures, [(Side::Ours, "refused".to_owned())]);
        assert_eq!((rows[0].ours, rows[0].ratio), (None, None));
    }

    #[test]
    fn less_time_is_a_ratio_over_one() {
        let of = |side, value| sample(0, side, Row::Recovery10k, value);
        let rows = compare(&[of(Side::Ours, 0.5), of(Side::Theirs, 1.0)]);
        assert_eq!(rows[0].ratio.unwrap().median, 2.0);
    }
}

//! Medians, ratios and their spread.

/// The median and the extremes of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Of an even count, the mean of the middle two.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of no numbers there is none.
    #[must_use]
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let median = if low == high {
            low
        } else {
            f64::midpoint(low, high)
        };
        Some(Self { median, min, max })
    }
}

/// Which direction is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// A rate.
    Higher,
    /// A time, a cost.
    Lower,
}

/// How many times as good `ours` is as `theirs`: over 1 is better, whichever direction that is. Two values of zero
/// are equally good; a single one makes the ratio zero or infinite.
#[must_use]
pub fn ratio(ours: f64, theirs: f64, better: Better) -> f64 {
    let (over, under) = match better {
        Better::Higher => (ours, theirs),
        Better::Lower => (theirs, ours),
    };
    if over == under { 1.0 } else { over / under }
}

/// The smallest part of a whole that is divided among several, as a share of what would be fair: 1 is fair, 0 is
/// nothing at all.
#[must_use]
pub fn smallest_share(parts: &[f64]) -> Option<f64> {
    let total: f64 = parts.iter().sum();
    let smallest = Spread::of(parts)?.min;
    #[expect(clippy::cast_precision_loss, reason = "a handful of nodes")]
    let fair = total / parts.len() as f64;
    Some(if fair > 0.0 { smallest / fair } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_middle_two() {
        let spread = |numbers: &[f64]| Spread::of(numbers).unwrap();
        assert_eq!(
            spread(&[3.0, 1.0, 2.0]),
            Spread {
                median: 2.0,
                min: 1.0,
                max: 3.0
            }
        );
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(
            spread(&[7.0]),
            Spread {
                median: 7.0,
                min: 7.0,
                max: 7.0
            }
        );
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn infinite_ratios_leave_a_median() {
        let spread = Spread::of(&[f64::INFINITY, 2.0, f64::INFINITY]).unwrap();
        assert_eq!((spread.median, spread.min), (f64::INFINITY, 2.0));
    }

    #[test]
    fn over_one_is_better_in_either_direction() {
        assert_eq!(ratio(200.0, 100.0, Better::Higher), 2.0);
        assert_eq!(ratio(200.0, 100.0, Better::Lower), 0.5);
        assert_eq!(ratio(0.0, 0.0, Better::Lower), 1.0);
        assert_eq!(ratio(5.0, 0.0, Better::Higher), f64::INFINITY);
        assert_eq!(ratio(5.0, 0.0, Better::Lower), 0.0);
    }

    #[test]
    fn a_share_is_measured_against_the_fair_one() {
        assert_eq!(smallest_share(&[10.0, 10.0, 10.0]), Some(1.0));
        assert_eq!(smallest_share(&[1.0, 2.0, 3.0]), Some(0.5));
        assert_eq!(smallest_share(&[0.0, 5.0]), Some(0.0));
        assert_eq!(smallest_share(&[0.0, 0.0]), Some(0.0));
        assert_eq!(smallest_share(&[]), None);
    }
}

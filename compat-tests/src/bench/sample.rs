//! What a turn measured.

use serde::{Deserialize, Serialize};

use super::Row;

/// Which daemon a turn runs.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The daemon under test.
    Ours,
    /// The C daemon.
    Theirs,
    /// The C daemon once more, for the noise.
    TheirsAgain,
}

/// One value of one turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// How many nodes the cluster has.
    pub nodes: usize,
    /// From 0.
    pub round: usize,
    /// Which daemon.
    pub side: Side,
    /// What was measured.
    pub row: Row,
    /// The value, or why there is none.
    pub outcome: Outcome,
    /// Microseconds of CPU of all daemons of the cluster for one operation, where operations are counted.
    pub cpu_us: Option<f64>,
    /// What the clients printed: a line of JSON each.
    pub clients: Vec<serde_json::Value>,
}

/// What became of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// In the row's unit.
    Value(f64),
    /// It went wrong: the run fails.
    Failed(String),
    /// It cannot be measured on this machine.
    Unavailable(String),
}

impl Outcome {
    /// The value, if there is one.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Failed(_) | Self::Unavailable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_comes_back_from_its_line() {
        let sample = Sample {
            nodes: 3,
            round: 1,
            side: Side::TheirsAgain,
            row: Row::Attach,
            outcome: Outcome::Failed("no".to_owned()),
            cpu_us: None,
            clients: Vec::new(),
        };
        let line = serde_json::to_string(&sample).unwrap();
        let back: Sample = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (back.side, back.row, back.outcome),
            (sample.side, sample.row, sample.outcome)
        );
        assert!(line.contains("theirs-again"), "{line}");
    }
}

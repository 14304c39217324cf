//! What a workload measured, as one line of JSON.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::stall::Stalls;

/// Each power of two is divided into so many buckets: a latency is known to 1/64 of itself.
const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.ilog2();
/// Powers of two above the first `STEPS` nanoseconds, up to the largest `u64`.
const POWERS: usize = 64 - STEP_BITS as usize;

/// The result of a workload on one node.
#[derive(Debug, Serialize)]
pub struct Summary {
    workload: &'static str,
    node: u32,
    participants: u32,
    /// Done on this node; the rate is this by `seconds`.
    operations: u64,
    seconds: f64,
    failures: u64,
    latency_us: Latency,
    /// What the slowest of several clients of this node did.
    #[serde(skip_serializing_if = "Option::is_none")]
    slowest_client: Option<u64>,
    /// What the watchers of `stall` saw, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    stall_ms: Option<Stalls>,
}

/// Microseconds; 0 without operations.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// Counts operations and how long each took. Its size does not depend on how many there are.
#[derive(Debug)]
pub(super) struct Meter {
    started: Instant,
    operations: u64,
    failures: u64,
    counts: Vec<u64>,
    longest: u64,
}

impl Meter {
    /// Starts measuring.
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            operations: 0,
            failures: 0,
            counts: vec![0; (POWERS + 1) * STEPS],
            longest: 0,
        }
    }

    /// One operation has been done in this time.
    pub(super) fn done(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.operations += 1;
        self.counts[bucket(nanoseconds)] += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    /// One operation has failed.
    pub(super) fn failed(&mut self) {
        self.failures += 1;
    }

    /// So many have been done, together, in this time.
    pub(super) fn batch(&mut self, count: u64, took: Duration) {
        self.done(took);
        self.operations += count - 1;
    }

    /// What several meters measured, since the first of them.
    pub(super) fn all(meters: Vec<Self>) -> Self {
        let add = |mut all: Self, one: Self| {
            all.started = all.started.min(one.started);
            all.operations += one.operations;
            all.failures += one.failures;
            all.longest = all.longest.max(one.longest);
            let counts = all.counts.iter_mut().zip(one.counts);
            counts.for_each(|(all, one)| *all += one);
            all
        };
        meters.into_iter().reduce(add).unwrap_or_else(Self::start)
    }

    /// So many items have been done by one operation.
    pub(super) fn items(&mut self, count: u64) {
        self.operations += count;
    }

    /// How many operations were done.
    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    /// The end of the measurement.
    pub(super) fn finish(self) -> Measured {
        Measured {
            took: self.started.elapsed(),
            meter: self,
            slowest: None,
            stalls: None,
        }
    }

    /// The latency that this share of the operations did not exceed, in microseconds.
    fn percentile(&self, percent: u64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0.0, |index| {
            microseconds(upper_end(index).min(self.longest))
        })
    }
}

/// A measurement that has ended.
#[derive(Debug)]
pub(super) struct Measured {
    meter: Meter,
    took: Duration,
    slowest: Option<u64>,
    stalls: Option<Stalls>,
}

impl Measured {
    /// What several clients did together, and the slowest of them.
    pub(super) fn of_several(operations: u64, took: Duration, slowest: Option<u64>) -> Self {
        let mut meter = Meter::start();
        meter.items(operations);
        Self {
            meter,
            took,
            slowest,
            stalls: None,
        }
    }

    pub(super) fn with_stalls(self, stalls: Stalls) -> Self {
        Self {
            stalls: Some(stalls),
            ..self
        }
    }

    /// How many operations were done.
    pub(super) fn operations(&self) -> u64 {
        self.meter.operations
    }

    pub(super) fn summary(
        &self,
        workload: &'static str,
        (node, participants): (u32, u32),
    ) -> Summary {
        let meter = &self.meter;
        Summary {
            workload,
            node,
            participants,
            operations: meter.operations,
            seconds: (self.took.as_secs_f64() * 1e6).round() / 1e6,
            failures: meter.failures,
            latency_us: Latency {
                p50: meter.percentile(50),
                p95: meter.percentile(95),
                p99: meter.percentile(99),
                max: microseconds(meter.longest),
            },
            slowest_client: self.slowest,
            stall_ms: self.stalls,
        }
    }
}

/// With one decimal.
fn microseconds(nanoseconds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is printed with one decimal")]
    let tenths = (nanoseconds / 100) as f64;
    tenths / 10.0
}

/// The first bits of the number after its highest one, and the position of that.
fn bucket(nanoseconds: u64) -> usize {
    let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(STEP_BITS + 1);
    shift as usize * STEPS + (nanoseconds >> shift) as usize
}

/// The largest number in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let first = (bucket - shift * STEPS) as u64;
    (first << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_its_bucket() {
        for number in (0..200).chain([1000, 123_456_789, 1 << 40, u64::MAX - 1, u64::MAX]) {
            let index = bucket(number);
            assert!(index < (POWERS + 1) * STEPS, "{number}");
            let end = upper_end(index);
            assert!(
                end >= number && end - number <= number / 64,
                "{number} {end}"
            );
            assert_eq!(bucket(end), index, "{number}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let mut meter = Meter::start();
        for microseconds in 1..=100 {
            meter.done(Duration::from_micros(microseconds));
        }
        let measured = Measured {
            meter,
            took: Duration::from_secs(2),
            slowest: None,
            stalls: None,
        };
        let summary = measured.summary("test", (1, 3));
        let near = |found: f64, wanted: f64| (found - wanted).abs() <= wanted / 32.0;
        let latency = &summary.latency_us;
        assert!(near(latency.p50, 50.0) && near(latency.p95, 95.0) && near(latency.p99, 99.0));
        assert!((latency.max - 100.0).abs() < 0.01);
        let line = serde_json::to_string(&summary).unwrap();
        assert!(
            line.starts_with(r#"{"workload":"test","node":1,"participants":3,"operations":100,"seconds":2.0,"failures":0,"latency_us":{"p50":"#),
            "{line}"
        );
    }

    #[test]
    fn nothing_done_is_no_latency() {
        let summary = Meter::start().finish().summary("test", (0, 1));
        assert!(summary.latency_us.p99 == 0.0 && summary.operations == 0);
    }
}

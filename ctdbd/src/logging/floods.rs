//! What is said too often: nobody who sends bad packets must be able to fill the disk.
//!
//! Each place in the code that logs may do so [`BURST`] times at once, and once in [`EACH`] from then on; what is left
//! out is counted, and the count stands in front of the next line. Lines of INFO and DEBUG are not limited: they are
//! there because somebody wanted to see all, and neither is what children write.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Level, Metadata};

/// Lines at once. A node with hundreds of databases says something of each at its start.
const BURST: u64 = 1000;
/// The time in which one more may come.
const EACH: Duration = Duration::from_secs(1);

/// All places that log.
#[derive(Debug, Default)]
pub(super) struct Floods(HashMap<Identifier, Place>);

/// One of them.
#[derive(Debug)]
struct Place {
    /// Lines that may still come.
    left: u64,
    /// Until when it was counted how many may come.
    counted: Instant,
    /// Lines that did not come.
    left_out: u64,
}

impl Floods {
    /// How many lines were left out before this one, which may come; none if it is left out too.
    pub(super) fn admit(&mut self, metadata: &Metadata<'_>, now: Instant) -> Option<u64> {
        let is_asked_for = *metadata.level() > Level::INFO;
        if is_asked_for || metadata.target() == super::children::TARGET {
            return Some(0);
        }
        let place = self.0.entry(metadata.callsite()).or_insert(Place {
            left: BURST,
            counted: now,
            left_out: 0,
        });
        place.admit(now)
    }
}

impl Place {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.counted).as_secs() / EACH.as_secs();
        if passed > 0 {
            self.left = self.left.saturating_add(passed).min(BURST);
            self.counted = now;
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_a_line_a_second_comes_through() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut place = Place {
            left: BURST,
            counted: start,
            left_out: 0,
        };
        let said = (0..BURST + 10).filter(|_| place.admit(at(5)).is_some());
        assert_eq!(said.count() as u64, BURST);
        assert_eq!(place.admit(at(999)), None);
        assert_eq!(place.admit(at(1000)), Some(11));
        assert_eq!(place.admit(at(1001)), None);
        assert_eq!(place.admit(at(3_600_000)), Some(1));
        assert_eq!(place.left, BURST - 1);
    }
}

//! Complaints about what is tried again all the time: a full table of descriptors must not fill the disk too.

use std::time::{Duration, Instant};

/// Between one line of the log and the next that says the same.
const PAUSE: Duration = Duration::from_secs(10);

/// When it was last said.
#[derive(Debug, Default)]
pub(crate) struct Rarely(Option<Instant>);

impl Rarely {
    /// Whether it is to be said now.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= PAUSE);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while() {
        let mut rarely = Rarely::default();
        assert!(rarely.is_due());
        assert!(!rarely.is_due());
        rarely.0 = rarely.0.and_then(|last| last.checked_sub(PAUSE));
        assert!(rarely.is_due());
    }
}

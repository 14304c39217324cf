//! What a script said of itself, by the lines that `run_tests.sh` prints at its end.

/// What came of one script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// Cannot run here, and says so (status 77).
    Skipped,
    /// Failed, could not be set up (status 99), or ended without a word.
    Failed,
    /// Was still running when its time was over.
    TimedOut,
}

impl Outcome {
    /// The last word on it in what `run_tests.sh` printed, which holds whatever bytes the script made.
    pub(super) fn of_log(log: &[u8]) -> Self {
        let lines = log.rsplit(|byte| *byte == b'\n');
        let verdict = |line: &[u8]| {
            let word = line.strip_prefix(b"TEST ")?.split(|byte| *byte == b':');
            Some(word.take(1).next()?.to_owned())
        };
        match lines.filter_map(verdict).next().as_deref() {
            Some(b"PASSED") => Self::Passed,
            Some(b"SKIPPED") => Self::Skipped,
            Some(b"TIMEDOUT") => Self::TimedOut,
            _ => Self::Failed,
        }
    }

    /// As it is printed and kept.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Skipped => "skipped",
            Self::Failed => "not ok",
            Self::TimedOut => "timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_verdict_counts_whatever_bytes_are_around_it() {
        let log = b"\0\xff\nTEST FAILED: x (status 1) (duration: 2s)\n==\nTEST PASSED: y.sh (duration: 2s)\n==\n";
        assert_eq!(Outcome::of_log(log), Outcome::Passed);
        assert_eq!(Outcome::of_log(b"TEST SKIPPED: x\n"), Outcome::Skipped);
        assert_eq!(
            Outcome::of_log(b"TEST ERROR: x (status 99)\n"),
            Outcome::Failed
        );
        assert_eq!(Outcome::of_log(b"TEST TIMEDOUT: x\n"), Outcome::TimedOut);
        assert_eq!(
            Outcome::of_log(b"a TEST PASSED: x\nkilled"),
            Outcome::Failed
        );
    }
}

//! Files that all SMB clients count in, one at a time: what keeps the others out is what is tested.

use crate::smb2::{Caching, Open, Share};

/// What keeps the others out while one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exclusion {
    /// A share mode that allows nothing.
    ShareMode,
    /// Locked bytes.
    ByteRange,
    /// A batch oplock: whoever comes waits until it is given up.
    Oplock,
    /// A lease to read, write and keep the handle.
    Lease,
}

impl Exclusion {
    pub(super) const ALL: [Self; 4] = [Self::ShareMode, Self::ByteRange, Self::Oplock, Self::Lease];

    /// The name of one of the files, which nobody uses otherwise.
    pub(super) fn file(self, number: usize) -> String {
        format!("count-{self:?}-{number}")
    }

    /// The open of that file by a client; `key` is that of its leases.
    pub(super) fn open(self, name: &str, key: [u8; 16]) -> Open<'_> {
        let open = Open::writing(name);
        match self {
            Self::ShareMode => open.share(Share::None),
            Self::ByteRange => open,
            Self::Oplock => open.caching(Caching::Batch),
            Self::Lease => open.caching(Caching::Lease(key, 7)),
        }
    }
}

/// From when to when, by the clock of the journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Window {
    /// Whether they touch.
    pub(super) fn meets(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// A counter that was written, and when that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Count {
    pub(super) at: u64,
    pub(super) counter: u64,
    /// The client.
    pub(super) client: usize,
}

/// Outside of the times of faults each counter is more than all before it, and `found` is not less than the last.
///
/// Within one, an smbd whose node was lost may still write to a file that it had open.
///
/// # Errors
/// Names the two that contradict each other.
pub(super) fn check_counts(
    mut counts: Vec<Count>,
    faults: &[Window],
    found: u64,
) -> Result<(), String> {
    counts.sort_unstable();
    let is_quiet = |count: &&Count| {
        let (from, to) = (count.at, count.at);
        !faults.iter().any(|fault| fault.meets(Window { from, to }))
    };
    let mut last: Option<&Count> = None;
    for count in counts.iter().filter(is_quiet) {
        if let Some(last) = last.filter(|last| last.counter >= count.counter) {
            return Err(format!("{last:?} and then {count:?}"));
        }
        last = Some(count);
    }
    match last.filter(|last| last.counter > found) {
        Some(last) => Err(format!("{last:?}, and {found} is there")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(u64, u64)]) -> Vec<Count> {
        let count = |&(at, counter): &(u64, u64)| Count {
            at,
            counter,
            client: 0,
        };
        list.iter().map(count).collect()
    }

    #[test]
    fn a_counter_never_repeats_nor_goes_back() {
        check_counts(counts(&[(10, 1), (20, 2), (30, 4)]), &[], 4).unwrap();
        check_counts(counts(&[(10, 1), (20, 1)]), &[], 1).unwrap_err();
        check_counts(counts(&[(10, 2), (20, 1)]), &[], 2).unwrap_err();
        check_counts(counts(&[(10, 2)]), &[], 1).unwrap_err();
    }

    #[test]
    fn but_for_what_is_written_during_a_fault() {
        let fault = Window { from: 15, to: 25 };
        let list = counts(&[(10, 1), (20, 2), (30, 2)]);
        check_counts(list.clone(), &[fault], 2).unwrap();
        check_counts(list, &[], 2).unwrap_err();
    }
}

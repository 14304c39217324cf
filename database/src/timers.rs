//! Deadlines in one ordered map: the shell asks for the first and reports that it has passed.

use std::collections::BTreeMap;

use wire::{DbId, Time};

use crate::io::Token;

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// A deferred attach waited long enough.
    Attach(Token),
    /// A commit's nodes did not all answer.
    Commit(DbId, Token),
    /// Other clients' calls waited long enough behind the fetch of this key.
    Fetch(DbId, Vec<u8>),
    /// A traverse took too long.
    Traverse(wire::ReqId),
    /// Compare and spread a sequence number.
    Seqnum(DbId),
    /// Calls that were held up after copies were taken back.
    Delayed(DbId),
    /// The stickiness of a record, or its pin-down.
    Sticky(DbId, Vec<u8>),
    /// Old counts of migrations.
    Migrations(DbId),
    /// Remove records that were scheduled for deletion.
    Vacuum(DbId),
}

/// The deadlines that are set. A deadline whose object is gone is ignored when it comes.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<(Time, u64), Deadline>,
    count: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Time, what: Deadline) {
        self.count += 1;
        self.deadlines.insert((at, self.count), what);
    }

    pub(crate) fn first(&self) -> Option<Time> {
        self.deadlines.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Deadline> {
        let entry = self.deadlines.first_entry()?;
        if entry.key().0 > now {
            None
        } else {
            Some(entry.remove())
        }
    }
}

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
    /// A GET_DB_SEQNUM whose record is locked looks again, until it has waited long enough.
    LookAtSeqnum(DbId, Token, Time),
    /// A chain for which no worker was to be had is tried again.
    LockAgain(DbId, Vec<u8>),
    /// A database that has to be frozen, and is not, is frozen again.
    FreezeAgain(DbId),
    /// A traverse took too long.
    Traverse(wire::ReqId),
    /// Compare and spread a sequence number.
    Seqnum(DbId),
    /// Calls that were held up after copies were taken back.
    Delayed(DbId),
    /// The stickiness of a record, or its pin-down.
    Sticky(DbId, Vec<u8>),
    /// Records that came have been here for a moment.
    Residence(DbId),
    /// Old counts of migrations.
    Migrations(DbId),
    /// Remove records that were scheduled for deletion.
    Vacuum(DbId),
    /// The next slice of a TRY_DELETE_RECORDS.
    TryDelete(DbId),
    /// The next slice of a vacuuming run.
    VacuumGoesOn(DbId),
    /// A vacuuming run took too long.
    VacuumTooLong(DbId),
}

/// Names a deadline that is set, in order to cancel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId(Time, u64);

/// The deadlines that are set. A deadline whose object is gone is ignored when it comes; one that is set for every call
/// or commit is cancelled, or they would pile up.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<TimerId, Deadline>,
    count: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Time, what: Deadline) -> TimerId {
        self.count += 1;
        let id = TimerId(at, self.count);
        self.deadlines.insert(id, what);
        id
    }

    /// Does nothing if it has come already.
    pub(crate) fn cancel(&mut self, id: TimerId) {
        self.deadlines.remove(&id);
    }

    pub(crate) fn first(&self) -> Option<Time> {
        self.deadlines.keys().next().map(|TimerId(at, _)| *at)
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

//! A record that has come for a client stays for a moment.
//!
//! Where several nodes want one record, the next node's call is there when the record comes, or a moment later. Were it
//! given up at once, the client that it came for would look under the chain lock, find that it has gone again, and ask
//! once more: the record wanders, and nothing is done with it. So a call of another node that is there [`AT_ONCE`] with
//! the record waits until [`RESIDENCE`] is over, and so do those that come behind it. Nobody waits for a record that only
//! one node wants at a time: its next call takes longer than that to come, two processes have to wake up for it.
//!
//! Where more than one client of this node waited for it, each has its [`TURN`], up to [`LONGEST`] for all of them, and a
//! call of another node waits whenever it comes: else those that wake up last would find it gone every time.

use core::time::Duration;
use std::collections::VecDeque;

use wire::{DbId, Time};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::migration::{Fetching, Parked};
use crate::timers::{Deadline, Timers};

/// Enough for a waiting process to wake up and do what it wants with the record. The migration itself takes several
/// times as long.
const RESIDENCE: Duration = Duration::from_micros(200);
/// A record that goes round three nodes in single hands has its next call some 120 microseconds after it came, where
/// a whole round of messages takes 200.
const AT_ONCE: Duration = Duration::from_micros(50);
/// A client that wakes up behind others, on a machine where those are busy with the record.
const TURN: Duration = Duration::from_micros(100);
/// However many wait: other nodes' clients wait as well.
const LONGEST: Duration = Duration::from_millis(1);

/// The records that came for a client a moment ago, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Residents(VecDeque<Resident>);

#[derive(Debug)]
struct Resident {
    key: Vec<u8>,
    /// A call that comes after this finds the record free, unless others wait for it.
    wanted_by: Time,
    until: Time,
    waiting: Vec<Parked>,
}

impl Residents {
    /// The record has come, for one client and some that waited behind it. Those whose time is over without that
    /// anybody waited are forgotten.
    fn came(&mut self, key: &[u8], now: Time, others: usize) {
        let forgotten =
            |resident: &mut Resident| resident.until <= now && resident.waiting.is_empty();
        while self.0.pop_front_if(forgotten).is_some() {}
        let turns = TURN.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX));
        let stay = RESIDENCE.saturating_add(turns).min(LONGEST);
        self.0.push_back(Resident {
            key: key.to_vec(),
            wanted_by: now + if others == 0 { AT_ONCE } else { stay },
            until: now + stay,
            waiting: Vec::new(),
        });
    }

    /// What a call of another node has to wait for.
    fn find(&mut self, key: &[u8], now: Time) -> Option<&mut Resident> {
        let mut latest_first = self.0.iter_mut().rev();
        let latest = latest_first.find(|resident| resident.key == key && resident.until > now)?;
        let holds = now < latest.wanted_by || !latest.waiting.is_empty();
        holds.then_some(latest)
    }

    /// Gives the calls that waited for records whose time is over.
    fn leave(&mut self, now: Time) -> Vec<Parked> {
        let mut calls = Vec::new();
        self.0.retain_mut(|resident| {
            if resident.until > now {
                return true;
            }
            calls.append(&mut resident.waiting);
            false
        });
        calls
    }
}

impl Database {
    /// A record has come for a client's call, and for those that were held up behind it.
    pub(crate) fn settle_in(&mut self, ctx: &Ctx<'_>, key: &[u8]) {
        let others = self.fetching.get(key).map_or(0, Fetching::waiting);
        self.residents.came(key, ctx.now, others);
    }

    /// Has a call of another node wait if the record has only just come. True: it waits.
    pub(crate) fn resides(
        &mut self,
        ctx: &Ctx<'_>,
        timers: &mut Timers,
        key: &[u8],
        call: impl FnOnce() -> Parked,
    ) -> bool {
        let Some(resident) = self.residents.find(key, ctx.now) else {
            return false;
        };
        if resident.waiting.is_empty() {
            timers.set(resident.until, Deadline::Residence(self.id));
        }
        resident.waiting.push(call());
        true
    }
}

impl Engine {
    /// Records may have stayed long enough.
    pub(crate) fn residence_over(&mut self, ctx: &Ctx<'_>, id: DbId) {
        if let Some(db) = self.databases.get_mut(&id) {
            self.ready.extend(db.residents.leave(ctx.now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Time = Time(RESIDENCE.as_nanos() as u64);

    fn call(number: u8) -> Parked {
        Parked::Node(vec![number])
    }

    #[test]
    fn calls_wait_until_the_record_has_been_here_for_a_moment() {
        let mut residents = Residents::default();
        residents.came(b"k", Time(0), 0);
        assert!(residents.find(b"other", Time(0)).is_none());
        for (number, at) in [(0, Time(1)), (1, Time(END.0 - 1))] {
            let resident = residents.find(b"k", at).unwrap();
            resident.waiting.push(call(number));
        }
        assert!(residents.leave(Time(END.0 - 1)).is_empty());
        assert!(residents.find(b"k", END).is_none());
        assert_eq!(residents.leave(END).len(), 2);
        assert!(residents.0.is_empty());
    }

    #[test]
    fn each_of_those_that_waited_for_the_record_has_its_turn() {
        let mut residents = Residents::default();
        residents.came(b"k", Time(0), 2);
        let end = END + TURN + TURN;
        let resident = residents.find(b"k", Time(end.0 - 1)).unwrap();
        resident.waiting.push(call(0));
        assert!(residents.leave(Time(end.0 - 1)).is_empty());
        assert_eq!(residents.leave(end).len(), 1);
        residents.came(b"k", Time(0), usize::MAX);
        assert!(residents.find(b"k", Time(0) + LONGEST).is_none());
    }

    #[test]
    fn a_record_does_not_wait_for_another_that_came_before() {
        let mut residents = Residents::default();
        residents.came(b"long", Time(0), 5);
        residents.came(b"k", Time(0), 0);
        for key in [b"long".as_slice(), b"k"] {
            residents.find(key, Time(1)).unwrap().waiting.push(call(0));
        }
        assert_eq!(residents.leave(END).len(), 1);
        assert_eq!(residents.leave(Time(0) + LONGEST).len(), 1);
    }

    #[test]
    fn a_record_that_nobody_waited_for_is_given_up_at_once() {
        let mut residents = Residents::default();
        residents.came(b"k", Time(0), 0);
        assert!(residents.find(b"k", Time(0) + AT_ONCE).is_none());
    }

    #[test]
    fn records_that_nobody_else_wants_are_forgotten() {
        let mut residents = Residents::default();
        for nanos in 0..1000 {
            residents.came(b"k", Time(nanos * END.0), 0);
        }
        assert_eq!(residents.0.len(), 1);
    }

    #[test]
    fn a_record_that_came_twice_has_its_latest_time() {
        let mut residents = Residents::default();
        residents.came(b"k", Time(0), 0);
        residents.came(b"k", END, 0);
        assert!(residents.find(b"k", END).is_some());
    }
}

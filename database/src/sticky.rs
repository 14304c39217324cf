//! Sticky records: a record that wanders so fast that calls chase it through many nodes is held for a moment.
//!
//! In a database with this property (SET_DB_STICKY):
//!
//! ```text
//!   a call arrives with HopcountMakeSticky hops ──▶ the record is sticky here for StickyDuration seconds
//!   a sticky record comes back ───────────────────▶ pinned down for StickyPindown ms: calls of other nodes wait
//! ```
//!
//! So this node's clients get something done with it in between (`ctdb_call.c`, 4.17.12).

use core::time::Duration;
use std::collections::BTreeMap;

use tracing::{error, info, warn};
use wire::types::DbFlags;
use wire::{DbId, Time};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::io::Token;
use crate::migration::Parked;
use crate::timers::{Deadline, Timers};

/// The sticky records of one database, by key.
#[derive(Debug, Default)]
pub(crate) struct Sticky(BTreeMap<Vec<u8>, Record>);

#[derive(Debug)]
struct Record {
    until: Time,
    pinned: Option<Pin>,
}

/// The record does not leave.
#[derive(Debug)]
struct Pin {
    until: Time,
    waiting: Vec<Parked>,
}

impl Sticky {
    /// Has a call of another node wait if the record is pinned down. True: it waits.
    pub(crate) fn waits(&mut self, key: &[u8], call: impl FnOnce() -> Parked) -> bool {
        let pin = self
            .0
            .get_mut(key)
            .and_then(|record| record.pinned.as_mut());
        pin.map(|pin| pin.waiting.push(call())).is_some()
    }

    /// Ends what is over by now. Gives the calls that waited.
    fn expire(&mut self, key: &[u8], now: Time) -> Vec<Parked> {
        let Some(record) = self.0.get_mut(key) else {
            return Vec::new();
        };
        let over = record.until <= now;
        let pin = record.pinned.take_if(|pin| over || pin.until <= now);
        if over {
            self.0.remove(key);
        }
        pin.map(|pin| pin.waiting).unwrap_or_default()
    }
}

impl Database {
    fn is_sticky(&self) -> bool {
        self.flags.contains(DbFlags::STICKY)
    }

    /// A call came to where the record is: it is sticky from now on if that took many hops.
    pub(crate) fn make_sticky(
        &mut self,
        ctx: &Ctx<'_>,
        timers: &mut Timers,
        key: &[u8],
        hops: u32,
    ) {
        let hot = self.is_sticky() && hops >= ctx.tunables.hopcount_make_sticky;
        if !hot || self.sticky.0.contains_key(key) {
            return;
        }
        let seconds = ctx.tunables.sticky_duration;
        warn!(db = %self.name, hops, seconds, "Make record sticky");
        let until = ctx.now + Duration::from_secs(u64::from(seconds));
        let record = Record {
            until,
            pinned: None,
        };
        self.sticky.0.insert(key.to_vec(), record);
        timers.set(until, Deadline::Sticky(self.id, key.to_vec()));
    }

    /// The record has come here: if it is sticky, it stays for a while.
    pub(crate) fn pin_down(&mut self, ctx: &Ctx<'_>, timers: &mut Timers, key: &[u8]) {
        let Some(record) = self.sticky.0.get_mut(key) else {
            return;
        };
        if record.pinned.is_some() {
            return;
        }
        let pindown = Duration::from_millis(u64::from(ctx.tunables.sticky_pindown));
        info!(db = %self.name, ms = pindown.as_millis(), "Pinning down record");
        let until = ctx.now + pindown;
        record.pinned = Some(Pin {
            until,
            waiting: Vec::new(),
        });
        timers.set(until, Deadline::Sticky(self.id, key.to_vec()));
    }
}

impl Engine {
    /// SET_DB_READONLY, SET_DB_STICKY: a property of the database on this node alone, and of volatile ones only.
    pub(crate) fn set_property(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        id: DbId,
        property: DbFlags,
    ) {
        let Some(db) = self.databases.get_mut(&id) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        if !db.is_volatile() {
            error!(db = %db.name, flag = property.bits(), "Non-volatile databases do not support this flag");
            return ctx.refuse(
                token,
                -1,
                "only volatile databases can be read-only or sticky",
            );
        }
        if !db.flags.contains(property) {
            info!(db = %db.name, flag = property.bits(), "property set on database");
            db.flags |= property;
        }
        ctx.reply(token, 0, Vec::new());
    }

    /// A record's stickiness or its pin-down may be over.
    pub(crate) fn unstick(&mut self, ctx: &Ctx<'_>, id: DbId, key: &[u8]) {
        if let Some(db) = self.databases.get_mut(&id) {
            self.ready.extend(db.sticky.expire(key, ctx.now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(until: u64, pin: u64) -> Sticky {
        let pinned = Some(Pin {
            until: Time(pin),
            waiting: Vec::new(),
        });
        let until = Time(until);
        Sticky(BTreeMap::from([(b"k".to_vec(), Record { until, pinned })]))
    }

    #[test]
    fn calls_wait_only_while_the_record_is_pinned_down() {
        let mut sticky = pinned(100, 10);
        assert!(sticky.waits(b"k", || Parked::Node(vec![1])));
        assert!(!sticky.waits(b"other", || Parked::Node(vec![2])));
        assert!(sticky.expire(b"k", Time(9)).is_empty());
        assert_eq!(sticky.expire(b"k", Time(10)).len(), 1);
        assert!(!sticky.waits(b"k", || Parked::Node(vec![3])));
    }

    #[test]
    fn what_is_no_longer_sticky_is_no_longer_pinned() {
        let mut sticky = pinned(100, 200);
        assert!(sticky.waits(b"k", || Parked::Node(vec![1])));
        assert_eq!(sticky.expire(b"k", Time(100)).len(), 1);
        assert!(sticky.0.is_empty());
    }
}

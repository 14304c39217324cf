//! Hot keys: the records that migrated to this node most often within a second (`ctdb dbstatistics`).
//!
//! Migrations are counted by key; a count starts again with the first migration after [`WINDOW`]
//! (`hash_count.c`, 4.17.12). Counts that nothing was added to are dropped from time to time.

use core::time::Duration;
use std::collections::BTreeMap;

use tracing::warn;
use wire::types::{DbStatistics, HOT_KEYS, HotKey};
use wire::{DbId, Time};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::timers::{Deadline, Timers};

/// A count is for so long.
const WINDOW: Duration = Duration::from_secs(1);
/// Old counts are dropped so often.
const EXPIRE: Duration = Duration::from_secs(10);

/// Migrations by key.
#[derive(Debug, Default)]
pub(crate) struct Migrations {
    counts: BTreeMap<Vec<u8>, Count>,
    timer_set: bool,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Time,
    migrations: u32,
}

impl Migrations {
    /// One more; gives how many there were within the window.
    fn add(&mut self, key: &[u8], now: Time) -> u32 {
        let Some(count) = self.counts.get_mut(key) else {
            let first = Count {
                since: now,
                migrations: 1,
            };
            self.counts.insert(key.to_vec(), first);
            return 1;
        };
        if now < count.since + WINDOW {
            count.migrations = count.migrations.saturating_add(1);
        } else {
            *count = Count {
                since: now,
                migrations: 1,
            };
        }
        count.migrations
    }
}

/// Enters a count in the list of the highest, which is in ascending order. True: the key is new there.
fn enter(statistics: &mut DbStatistics, key: &[u8], count: u32) -> bool {
    let hot = &mut statistics.hot_keys;
    let known = hot.iter_mut().find(|hot| hot.key == key);
    let added = known.is_none();
    if let Some(known) = known {
        known.count = known.count.max(count);
    } else if hot.len() < HOT_KEYS {
        let key = key.to_vec();
        hot.push(HotKey { count, key });
    } else {
        match hot.first_mut() {
            Some(least) if least.count < count => {
                let key = key.to_vec();
                *least = HotKey { count, key };
            }
            _ => return false,
        }
    }
    hot.sort_by_key(|hot| hot.count);
    added
}

impl Database {
    /// A record has come here because a call asked for it.
    pub(crate) fn count_migration(&mut self, ctx: &Ctx<'_>, timers: &mut Timers, key: &[u8]) {
        if !self.is_volatile() {
            return;
        }
        let count = self.migrations.add(key, ctx.now);
        let added = enter(&mut self.statistics, key, count);
        if added && count > 1 {
            warn!(db = %self.name, key = ?key, count, "Added hot key");
        }
        if !core::mem::replace(&mut self.migrations.timer_set, true) {
            timers.set(ctx.now + EXPIRE, Deadline::Migrations(self.id));
        }
    }
}

impl Engine {
    /// Drops the counts that are over; comes again while there are any.
    pub(crate) fn expire_migrations(&mut self, ctx: &Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let migrations = &mut db.migrations;
        migrations
            .counts
            .retain(|_, count| ctx.now < count.since + WINDOW);
        migrations.timer_set = !migrations.counts.is_empty();
        if migrations.timer_set {
            self.timers.set(ctx.now + EXPIRE, Deadline::Migrations(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_begins_again_after_a_second() {
        let mut migrations = Migrations::default();
        let at = |ms: u64| Time::ZERO + Duration::from_millis(ms);
        let counts = [0, 500, 999, 1000, 1500].map(|ms| migrations.add(b"k", at(ms)));
        assert_eq!(counts, [1, 2, 3, 1, 2]);
    }

    #[test]
    fn the_highest_counts_are_kept_in_ascending_order() {
        let mut statistics = DbStatistics::default();
        for count in 1..=12u32 {
            enter(&mut statistics, &[count as u8], count);
        }
        enter(&mut statistics, &[5], 50);
        enter(&mut statistics, &[1], 1);
        let counts: Vec<u32> = statistics.hot_keys.iter().map(|hot| hot.count).collect();
        assert_eq!(counts, [3, 4, 6, 7, 8, 9, 10, 11, 12, 50]);
    }
}

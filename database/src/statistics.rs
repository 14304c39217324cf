//! Counters that the database part keeps; the meaning of each is that of ctdb-statistics(7).

use wire::types::{DbStatistics, LockStatistics, Statistics, lock_bucket};

/// The bucket of a count: how many bits it has, at most the last bucket.
fn bucket(count: u32) -> usize {
    let bits = (u32::BITS - count.leading_zeros()) as usize;
    bits.min(wire::types::BUCKETS - 1)
}

/// Counts a call by the number of nodes that passed it on.
pub(crate) fn count_hops(node: &mut Statistics, db: &mut DbStatistics, hops: u32) {
    node.max_hop_count = node.max_hop_count.max(hops);
    node.hop_count_bucket[bucket(hops)] += 1;
    db.hop_count_bucket[bucket(hops)] += 1;
}

/// A lock process is at work: it waits for the lock, then holds it.
pub(crate) fn lock_began(locks: &mut LockStatistics) {
    locks.num_current += 1;
}

/// It has the lock after so many seconds, or does not get it.
pub(crate) fn lock_answered(locks: &mut LockStatistics, seconds: f64, granted: bool) {
    locks.num_calls += 1;
    if !granted {
        locks.num_failed += 1;
        return;
    }
    locks.latency.update(seconds);
    locks.buckets[lock_bucket(seconds)] += 1;
}

/// It lets go of the lock, or waits no more.
pub(crate) fn lock_ended(locks: &mut LockStatistics) {
    locks.num_current = locks.num_current.saturating_sub(1);
}

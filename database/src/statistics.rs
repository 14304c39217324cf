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

/// A lock is being waited for.
pub(crate) fn lock_wait_began(locks: &mut LockStatistics) {
    locks.num_calls += 1;
    locks.num_pending += 1;
}

/// The wait is over, after so many seconds.
pub(crate) fn lock_wait_ended(locks: &mut LockStatistics, seconds: f64, granted: bool) {
    locks.num_pending = locks.num_pending.saturating_sub(1);
    if !granted {
        locks.num_failed += 1;
        return;
    }
    locks.latency.update(seconds);
    locks.buckets[lock_bucket(seconds)] += 1;
}

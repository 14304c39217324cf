//! Counters of a node and of a database, as raw C structures with their padding.

use serde::{Deserialize, Serialize};

use crate::coding::{Decode, DecodeError, Encode, Reader, put_length, put_pad, wire_struct};
use crate::layout::layout;
use crate::types::TimeVal;

/// How many buckets the histograms have.
pub const BUCKETS: usize = 16;
/// How many hot keys a database remembers.
pub const HOT_KEYS: usize = 10;

/// The bucket of a lock's waiting time in seconds: under 1 ms, 10 ms, 100 ms, 1 s, 2 s, 4 s, ...
/// 64 s, and the rest (ctdb_lock.c, 4.17.12).
pub fn lock_bucket(seconds: f64) -> usize {
    const LIMITS: [f64; 10] = [0.001, 0.01, 0.1, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
    LIMITS
        .iter()
        .position(|&limit| seconds < limit)
        .unwrap_or(LIMITS.len())
}

/// The bucket of a call's hop count: the number of bits it takes, up to 15 (ctdb_call.c, 4.17.12).
pub fn hop_bucket(hopcount: u32) -> usize {
    ((u32::BITS - hopcount.leading_zeros()) as usize).min(BUCKETS - 1)
}

wire_struct! {
    /// How long something takes, in seconds: 32 bytes.
    #[derive(Copy, Default)]
    pub struct LatencyCounter {
        /// How often.
        pub num: i32 => pad 4,
        /// The shortest.
        pub min: f64,
        /// The longest.
        pub max: f64,
        /// All together.
        pub total: f64,
    }

    /// Locking of records.
    #[derive(Copy, Default)]
    pub struct LockStatistics {
        /// Locks asked for.
        pub num_calls: u32,
        /// Locks held.
        pub num_current: u32,
        /// Locks waited for.
        pub num_pending: u32,
        /// Locks not got.
        pub num_failed: u32,
        /// The waiting.
        pub latency: LatencyCounter,
        /// The waiting, by [`lock_bucket`].
        pub buckets: [u32; BUCKETS],
    }

    /// How long the cluster lock takes.
    #[derive(Copy, Default)]
    pub struct ReclockStatistics {
        /// To the daemon.
        pub ctdbd: LatencyCounter,
        /// To the recovery daemon.
        pub recd: LatencyCounter,
    }

    /// STATISTICS: 488 bytes.
    #[derive(Copy, Default)]
    #[expect(missing_docs, reason = "the counters are upstream's, described in ctdb-statistics(7)")]
    pub struct Statistics {
        pub num_clients: u32,
        pub frozen: u32,
        pub recovering: u32,
        pub client_packets_sent: u32,
        pub client_packets_recv: u32,
        pub node_packets_sent: u32,
        pub node_packets_recv: u32,
        pub keepalive_packets_sent: u32,
        pub keepalive_packets_recv: u32,
        pub node_req_call: u32,
        pub node_reply_call: u32,
        pub node_req_dmaster: u32,
        pub node_reply_dmaster: u32,
        pub node_reply_error: u32,
        pub node_req_message: u32,
        pub node_req_control: u32,
        pub node_reply_control: u32,
        pub node_req_tunnel: u32,
        pub client_req_call: u32,
        pub client_req_message: u32,
        pub client_req_control: u32,
        pub client_req_tunnel: u32,
        pub timeouts_call: u32,
        pub timeouts_control: u32,
        pub timeouts_traverse: u32 => pad 4,
        pub reclock: ReclockStatistics,
        pub locks: LockStatistics,
        pub total_calls: u32,
        pub pending_calls: u32,
        pub childwrite_calls: u32,
        pub pending_childwrite_calls: u32,
        pub memory_used: u32,
        /// C's mark between what is counted and what is not; not used.
        pub last_counter: u32,
        pub max_hop_count: u32,
        pub hop_count_bucket: [u32; BUCKETS] => pad 4,
        pub call_latency: LatencyCounter,
        pub childwrite_latency: LatencyCounter,
        pub num_recoveries: u32 => pad 4,
        pub statistics_start_time: TimeVal,
        pub statistics_current_time: TimeVal,
        pub total_ro_delegations: u32,
        pub total_ro_revokes: u32,
    }
}

/// Adds up the named fields.
macro_rules! add_up {
    ($to:ident, $from:ident: $($($field:ident).+),+ $(,)?) => {
        $($to.$($field).+ = $to.$($field).+.wrapping_add($from.$($field).+);)+
    };
}

impl Statistics {
    /// Adds what came later: counters are added up, what tells of a moment (`num_clients`, what is pending) and the
    /// time are those of the later.
    pub fn add(&mut self, later: &Self) {
        add_up!(self, later: client_packets_sent, client_packets_recv, node_packets_sent,
            node_packets_recv, keepalive_packets_sent, keepalive_packets_recv, node_req_call,
            node_reply_call, node_req_dmaster, node_reply_dmaster, node_reply_error,
            node_req_message, node_req_control, node_reply_control, node_req_tunnel,
            client_req_call, client_req_message, client_req_control, client_req_tunnel,
            timeouts_call, timeouts_control, timeouts_traverse, locks.num_calls, locks.num_failed,
            total_calls, childwrite_calls, num_recoveries, total_ro_delegations, total_ro_revokes);
        for (to, from) in [
            (&mut self.reclock.ctdbd, &later.reclock.ctdbd),
            (&mut self.reclock.recd, &later.reclock.recd),
            (&mut self.locks.latency, &later.locks.latency),
            (&mut self.call_latency, &later.call_latency),
            (&mut self.childwrite_latency, &later.childwrite_latency),
        ] {
            to.add(from);
        }
        add_buckets(&mut self.locks.buckets, &later.locks.buckets);
        add_buckets(&mut self.hop_count_bucket, &later.hop_count_bucket);
        self.max_hop_count = self.max_hop_count.max(later.max_hop_count);
        self.num_clients = later.num_clients;
        self.frozen = later.frozen;
        self.recovering = later.recovering;
        self.memory_used = later.memory_used;
        self.pending_calls = later.pending_calls;
        self.pending_childwrite_calls = later.pending_childwrite_calls;
        self.locks.num_current = later.locks.num_current;
        self.locks.num_pending = later.locks.num_pending;
        self.statistics_current_time = later.statistics_current_time;
    }
}

fn add_buckets(to: &mut [u32; BUCKETS], from: &[u32; BUCKETS]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = to.wrapping_add(*from);
    }
}

impl LatencyCounter {
    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        if other.num == 0 {
            return;
        }
        self.min = if self.num == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.total += other.total;
        self.num = self.num.wrapping_add(other.num);
    }

    /// Counts one more, which took so many seconds. Times below 0 (the clock was set) count as 0.
    pub fn update(&mut self, seconds: f64) {
        let seconds = if seconds > 0.0 { seconds } else { 0.0 };
        self.min = if self.num == 0 {
            seconds
        } else {
            self.min.min(seconds)
        };
        self.max = self.max.max(seconds);
        self.total += seconds;
        self.num = self.num.wrapping_add(1);
    }

    /// The mean in seconds; 0 if there was none.
    pub fn mean(&self) -> f64 {
        if self.num == 0 {
            0.0
        } else {
            self.total / f64::from(self.num)
        }
    }
}

/// GET_STAT_HISTORY: count, 4 bytes of padding, statistics. C always sends 100, unused ones zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StatisticsList {
    /// The newest first.
    pub stats: Vec<Statistics>,
}

layout! {
    StatisticsList "GET_STAT_HISTORY." {
        count: u32 => pad 4, "C always sends 100, unused ones zero.";
        stats: bytes, "As many Statistics, the newest first.";
    }
    HotKey "A hot key of DbStatistics: 24 bytes, the key itself elsewhere." {
        count: u32 => pad 4, "Its hop count.";
        pointer: u64, "C sends an address in its memory; we send 0.";
        size: u64, "The length of the key.";
    }
    DbStatistics "GET_DB_STATISTICS: 464 bytes and the hot keys behind them." {
        locks: LockStatistics, "Locking of records.";
        vacuum_latency: LatencyCounter, "Vacuuming runs.";
        ro_delegations: u32, "Read-only delegations given.";
        ro_revokes: u32, "Read-only delegations taken back.";
        hop_count_bucket: [u32; BUCKETS], "Calls by the number of nodes they went through.";
        num_hot_keys: u32 => pad 4, "Always 10 from C.";
        hot_keys: [[u64; 3]; HOT_KEYS], "Ten HotKey.";
        keys: bytes, "The keys, one behind the other.";
    }
}

impl Encode for StatisticsList {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(out, self.stats.len());
        put_pad(out, 4);
        self.stats.iter().for_each(|stats| stats.encode(out));
    }
}

impl Decode for StatisticsList {
    const MIN_SIZE: usize = 8;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r
            .at("StatisticsList", "count")
            .count(Statistics::MIN_SIZE)?;
        r.at("StatisticsList", "padding").pad(4)?;
        let stats = (0..count).map(|_| r.get()).collect::<Result<_, _>>()?;
        Ok(Self { stats })
    }
}

/// A record that travels much.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HotKey {
    /// Its hop count.
    pub count: u32,
    /// Its key.
    pub key: Vec<u8>,
}

/// GET_DB_STATISTICS: 464 bytes and the hot keys behind them.
///
/// C sends its key structures as they are in memory, pointers included; we send zeros there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DbStatistics {
    /// Locking of records.
    pub locks: LockStatistics,
    /// Vacuuming runs.
    pub vacuum_latency: LatencyCounter,
    /// Read-only delegations given.
    pub ro_delegations: u32,
    /// Read-only delegations taken back.
    pub ro_revokes: u32,
    /// Calls by the number of nodes they went through.
    pub hop_count_bucket: [u32; BUCKETS],
    /// Always [`HOT_KEYS`] from C.
    pub num_hot_keys: u32,
    /// Up to [`HOT_KEYS`].
    pub hot_keys: Vec<HotKey>,
}

impl Encode for DbStatistics {
    fn encode(&self, out: &mut Vec<u8>) {
        self.locks.encode(out);
        self.vacuum_latency.encode(out);
        self.ro_delegations.encode(out);
        self.ro_revokes.encode(out);
        self.hop_count_bucket.encode(out);
        self.num_hot_keys.encode(out);
        put_pad(out, 4);
        let hot = &self.hot_keys[..self.hot_keys.len().min(HOT_KEYS)];
        for HotKey { count, key } in hot {
            count.encode(out);
            put_pad(out, 12);
            (key.len() as u64).encode(out);
        }
        put_pad(out, (HOT_KEYS - hot.len()) * 24);
        hot.iter().for_each(|hot| out.extend_from_slice(&hot.key));
    }
}

impl Decode for DbStatistics {
    const MIN_SIZE: usize = 464;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const NAME: &str = "DbStatistics";
        let locks = r.at(NAME, "locks").get()?;
        let vacuum_latency = r.at(NAME, "vacuum_latency").get()?;
        let ro_delegations = r.at(NAME, "ro_delegations").get()?;
        let ro_revokes = r.at(NAME, "ro_revokes").get()?;
        let hop_count_bucket = r.at(NAME, "hop_count_bucket").get()?;
        let num_hot_keys = r.at(NAME, "num_hot_keys").get()?;
        r.at(NAME, "padding").pad(4)?;
        let hot_keys = hot_keys(r)?;
        Ok(Self {
            locks,
            vacuum_latency,
            ro_delegations,
            ro_revokes,
            hop_count_bucket,
            num_hot_keys,
            hot_keys,
        })
    }
}

/// Ten counts and key sizes, then the keys.
fn hot_keys(r: &mut Reader<'_>) -> Result<Vec<HotKey>, DecodeError> {
    let mut sizes = [(0, 0); HOT_KEYS];
    for (count, size) in &mut sizes {
        *count = r.at("DbStatistics", "hot_keys.count").u32()?;
        r.pad(12)?;
        *size = r.at("DbStatistics", "hot_keys.size").u64()?;
    }
    let key = |(count, size): (u32, u64)| {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let key = r.at("DbStatistics", "hot_keys.key").take(size)?.to_vec();
        Ok(HotKey { count, key })
    };
    sizes.into_iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_c() {
        assert_eq!(Statistics::default().to_bytes().len(), 488);
        assert_eq!(Statistics::MIN_SIZE, 488);
        assert_eq!(DbStatistics::default().to_bytes().len(), 464);
        assert_eq!(LatencyCounter::MIN_SIZE, 32);
    }

    #[test]
    fn sums_keep_extremes_and_the_later_moment() {
        let mut first = Statistics {
            total_calls: 2,
            pending_calls: 1,
            max_hop_count: 3,
            ..Statistics::default()
        };
        first.call_latency.update(0.5);
        let mut later = Statistics {
            total_calls: 5,
            max_hop_count: 1,
            ..Statistics::default()
        };
        later.call_latency.update(0.25);
        later.hop_count_bucket[1] = 4;
        first.add(&later);
        let latency = first.call_latency;
        assert_eq!((latency.num, latency.min, latency.max), (2, 0.25, 0.5));
        assert_eq!((first.total_calls, first.pending_calls), (7, 0));
        assert_eq!((first.max_hop_count, first.hop_count_bucket[1]), (3, 4));
        let before = first;
        first.call_latency.add(&LatencyCounter::default());
        assert_eq!(first, before);
    }

    #[test]
    fn latency_keeps_the_extremes() {
        let mut counter = LatencyCounter::default();
        [2.0, 0.5, -1.0]
            .into_iter()
            .for_each(|seconds| counter.update(seconds));
        assert_eq!(
            (counter.num, counter.min, counter.max, counter.total),
            (3, 0.0, 2.0, 2.5)
        );
    }
}

//! The counters of `ctdb statistics`, and their history for `ctdb stats`.

use core::time::Duration;

use wire::Time;
use wire::packet::Body;
use wire::tunables::Tunables;
use wire::types::{Statistics, StatisticsList, TimeVal};

use super::Daemon;

/// Entries of GET_STAT_HISTORY (`MAX_STAT_HISTORY`, 4.17.12).
const ENTRIES: usize = 100;

/// Counters as they were at the end of each interval, the newest first.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Statistics>,
    last: Time,
}

impl History {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the next entry is to be made.
    pub(super) fn due(&self, tunables: &Tunables) -> Option<Time> {
        let interval = u64::from(tunables.stat_history_interval);
        (interval > 0).then(|| self.last + Duration::from_secs(interval))
    }

    /// GET_STAT_HISTORY: always the full number, empty ones at the end.
    pub(super) fn list(&self) -> StatisticsList {
        let mut stats = self.entries.clone();
        stats.resize_with(ENTRIES, Statistics::default);
        StatisticsList { stats }
    }
}

impl Daemon {
    /// The counters now.
    pub(super) fn current_statistics(&self) -> Statistics {
        let database = self.engine.statistics();
        Statistics {
            num_clients: u32::try_from(self.clients.len()).unwrap_or(u32::MAX),
            frozen: u32::from(self.engine.all_frozen()),
            recovering: u32::from(self.membership.in_recovery()),
            timeouts_traverse: database.timeouts_traverse,
            locks: database.locks,
            total_calls: database.total_calls,
            pending_calls: database.pending_calls,
            childwrite_calls: database.childwrite_calls,
            pending_childwrite_calls: database.pending_childwrite_calls,
            max_hop_count: database.max_hop_count,
            hop_count_bucket: database.hop_count_bucket,
            call_latency: database.call_latency,
            childwrite_latency: database.childwrite_latency,
            total_ro_delegations: database.total_ro_delegations,
            total_ro_revokes: database.total_ro_revokes,
            num_recoveries: self.membership.statistics().recoveries,
            reclock: self.membership.statistics().lock_latency,
            statistics_current_time: self.wall_clock(),
            ..self.statistics
        }
    }

    /// STATISTICS_RESET.
    pub(super) fn reset_statistics(&mut self) {
        self.statistics = Statistics::default();
        self.engine.reset_statistics();
        self.membership.reset_statistics();
        self.reset_start_times();
    }

    pub(super) fn reset_start_times(&mut self) {
        self.statistics.statistics_start_time = self.wall_clock();
    }

    /// Makes an entry if it is time.
    pub(super) fn keep_history(&mut self) {
        if self
            .history
            .due(&self.tunables)
            .is_some_and(|at| at <= self.now)
        {
            self.history.last = self.now;
            let now = self.current_statistics();
            self.history.entries.insert(0, now);
            self.history.entries.truncate(ENTRIES);
        }
    }

    pub(super) fn wall_clock(&self) -> TimeVal {
        let micros = self.wall_clock_at_zero + self.now.0 / 1000;
        TimeVal::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    pub(super) fn count_node_packet(&mut self, body: &Body<'_>) {
        let statistics = &mut self.statistics;
        *match body {
            Body::ReqCall(_) => &mut statistics.node_req_call,
            Body::ReplyCall(_) => &mut statistics.node_reply_call,
            Body::ReqDmaster(_) => &mut statistics.node_req_dmaster,
            Body::ReplyDmaster(_) => &mut statistics.node_reply_dmaster,
            Body::ReplyError(_) => &mut statistics.node_reply_error,
            Body::ReqMessage(_) => &mut statistics.node_req_message,
            Body::ReqControl(_) => &mut statistics.node_req_control,
            Body::ReplyControl(_) => &mut statistics.node_reply_control,
            Body::ReqKeepalive(_) => &mut statistics.keepalive_packets_recv,
            Body::ReqTunnel(_) => &mut statistics.node_req_tunnel,
        } += 1;
    }
}

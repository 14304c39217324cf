//! The counters of `ctdb statistics`, and their history for `ctdb stats`.

use core::time::Duration;

use wire::Time;
use wire::packet::Body;
use wire::tunables::Tunables;
use wire::types::{Statistics, StatisticsList, TimeVal};

use super::Daemon;

/// Entries of GET_STAT_HISTORY (`MAX_STAT_HISTORY`, 4.17.12).
const ENTRIES: usize = 100;

/// What was counted in each interval, the newest first.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Statistics>,
    /// The interval that has not ended.
    running: Statistics,
    /// All since the start or the last reset, which is none for the intervals.
    total: Statistics,
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

    fn add(&mut self, counted: &Statistics) {
        self.running.add(counted);
        self.total.add(counted);
    }

    /// The interval ends; the next begins.
    fn end_interval(&mut self, now: Time, time: TimeVal) {
        self.last = now;
        let ended = core::mem::replace(&mut self.running, starting(time));
        self.entries.insert(0, ended);
        self.entries.truncate(ENTRIES);
    }
}

/// Counters that begin now.
fn starting(time: TimeVal) -> Statistics {
    Statistics {
        statistics_start_time: time,
        ..Statistics::default()
    }
}

impl Daemon {
    /// STATISTICS: the counters now, and what tells of the moment.
    pub(super) fn current_statistics(&mut self) -> Statistics {
        self.collect_statistics();
        let recovering = self.membership.in_recovery();
        let has_databases = self.engine.database_count() > 0;
        Statistics {
            num_clients: u32::try_from(self.clients.len()).unwrap_or(u32::MAX),
            // without databases as the mode says
            frozen: u32::from(self.engine.all_frozen() && (has_databases || recovering)),
            recovering: u32::from(recovering),
            memory_used: u32::try_from(self.memory_report().bytes()).unwrap_or(u32::MAX),
            ..self.history.total
        }
    }

    /// Takes what all parts have counted since the last time.
    fn collect_statistics(&mut self) {
        let mut counted = core::mem::take(&mut self.statistics);
        let membership = self.membership.take_statistics();
        counted.num_recoveries = membership.recoveries;
        counted.reclock = membership.lock_latency;
        counted.add(&self.engine.take_statistics());
        counted.statistics_current_time = self.wall_clock();
        self.history.add(&counted);
    }

    /// STATISTICS_RESET.
    pub(super) fn reset_statistics(&mut self) {
        self.collect_statistics();
        self.engine.reset_database_statistics();
        self.history.total = starting(self.wall_clock());
    }

    /// At the start.
    pub(super) fn begin_statistics(&mut self) {
        let begin = starting(self.wall_clock());
        (self.history.total, self.history.running) = (begin, begin);
    }

    /// Makes an entry if it is time.
    pub(super) fn keep_history(&mut self) {
        let due = self.history.due(&self.tunables);
        if due.is_some_and(|at| at <= self.now) {
            self.collect_statistics();
            self.history.end_interval(self.now, self.wall_clock());
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

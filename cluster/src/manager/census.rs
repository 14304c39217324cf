//! Is the cluster complete? A line in the log from time to time while it is not.
//!
//! ```text
//!              a node is missing: log
//!   Complete ---------------------------> Incomplete --+ still missing: log every minute, after
//!      ^                                      |  ^     | 10 minutes every 10, then every hour
//!      +--------------------------------------+  +-----+
//!              all are back: log
//! ```
//!
//! Only where there is no cluster lock: two leaders that log that the cluster is incomplete show
//! a split brain. Times and texts are those of `ctdb_recoverd.c`, 4.17.12.

use core::time::Duration;

use tracing::warn;
use wire::Pnn;
use wire::types::{NodeAndFlags, NodeFlags};

use crate::Time;

/// How often the leader looks.
const EVERY: Duration = Duration::from_secs(60);

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remark {
    Nothing,
    Complete,
    Incomplete { minutes: u64 },
}

/// Since when the cluster has been incomplete, and when to look again.
#[derive(Debug)]
pub(super) struct Census {
    incomplete_since: Option<Time>,
    next: Time,
}

impl Census {
    pub(super) fn new(now: Time) -> Self {
        Self {
            incomplete_since: None,
            next: now + EVERY,
        }
    }

    pub(super) const fn poll_timeout(&self) -> Time {
        self.next
    }

    /// Looks, if it is time to.
    pub(super) fn run(&mut self, now: Time, leader: Pnn, nodes: &[NodeAndFlags]) {
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        let others = || {
            let others = nodes.iter().filter(|node| node.pnn != leader);
            others.filter(|node| !node.flags.contains(NodeFlags::DELETED))
        };
        let is_connected = |node: &&NodeAndFlags| !node.flags.contains(NodeFlags::DISCONNECTED);
        let connected = others().filter(is_connected).count();
        match self.remark(now, connected == others().count()) {
            Remark::Nothing => {}
            Remark::Complete => warn!("Cluster complete with leader={leader}"),
            Remark::Incomplete { minutes } => warn!(
                "Cluster incomplete with leader={leader}, elapsed={minutes} minutes, \
                 connected={connected}"
            ),
        }
    }

    fn remark(&mut self, now: Time, complete: bool) -> Remark {
        let since = match (complete, self.incomplete_since) {
            (true, None) => return Remark::Nothing,
            (true, Some(_)) => {
                self.incomplete_since = None;
                return Remark::Complete;
            }
            (false, since) => *self.incomplete_since.insert(since.unwrap_or(now)),
        };
        let minutes = now.since(since).as_secs() / 60;
        let every = match minutes {
            0..10 => 1,
            10..60 => 10,
            _ => 60,
        };
        if minutes.is_multiple_of(every) {
            Remark::Incomplete { minutes }
        } else {
            Remark::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_less_and_less() {
        let mut census = Census::new(Time::ZERO);
        let minute = |n: u64| Time::ZERO + Duration::from_secs(60 * n);
        assert_eq!(census.remark(minute(1), true), Remark::Nothing);
        let said: Vec<u64> = (2..=240)
            .filter_map(|n| match census.remark(minute(n), false) {
                Remark::Incomplete { minutes } => Some(minutes),
                _ => None,
            })
            .collect();
        let expected = (0..10).chain([10, 20, 30, 40, 50, 60, 120, 180]);
        assert!(said.into_iter().eq(expected));
        assert_eq!(census.remark(minute(241), true), Remark::Complete);
        assert_eq!(census.remark(minute(242), true), Remark::Nothing);
    }
}

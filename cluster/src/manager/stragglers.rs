//! Nodes that were lost together come back together, but not in the same moment, and not to all nodes at once.
//!
//! A network that is whole again brings one node back up to a second before the next (a kernel asks for an address it does not
//! know once a second), and to one of the others before it brings it to the leader. A recovery for the first alone would have
//! the second wait for RerecoveryTimeout, 10 s by default; one in which two of the nodes find each other fails. So after a node
//! was seen again the leader waits while a node that one sees is missing to another, for one and a half RecoverIntervals at most,
//! and for as long it does not wait again: a connection that comes and goes all the time must not put a recovery off for ever.

use core::time::Duration;
use std::collections::BTreeSet;

use wire::Pnn;
use wire::types::NodeFlags;

use super::consistency::Findings;
use crate::Time;

/// Who is there, and until when a recovery waits for the rest.
#[derive(Debug, Default)]
pub(super) struct Stragglers {
    /// Those that some node saw last time; none: before the first look.
    seen: Option<BTreeSet<Pnn>>,
    /// Until when a recovery waits; also afterwards, for the next wait is not to follow at once.
    until: Option<Time>,
    /// Whether a node that one saw was missing to another.
    is_incomplete: bool,
}

impl Stragglers {
    /// Looks who is there, by the leader's node map or by that of another node. What the first look finds has not come back.
    pub(super) fn look(&mut self, now: Time, interval: Duration, findings: &Findings) {
        let maps = findings.nodemaps.values().chain([&findings.nodemap]);
        let (missing, there): (Vec<_>, Vec<_>) = maps
            .flat_map(|map| &map.nodes)
            .partition(|node| node.flags.contains(NodeFlags::DISCONNECTED));
        let seen: BTreeSet<Pnn> = there.iter().map(|node| node.pnn).collect();
        self.is_incomplete = missing.iter().any(|node| seen.contains(&node.pnn));
        let patience = interval * 3 / 2;
        let is_due = self.until.is_none_or(|until| now >= until + patience);
        if let Some(before) = &self.seen
            && !seen.is_subset(before)
            && is_due
        {
            self.until = Some(now + patience);
        }
        self.seen = Some(seen);
    }

    /// Until when a recovery has to wait, if it has.
    pub(super) fn wait(&self, now: Time) -> Option<Time> {
        self.until
            .filter(|until| now < *until && self.is_incomplete)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use wire::types::{NodeAndFlags, NodeMap, SockAddr};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);
    const UP: NodeFlags = NodeFlags::empty();
    const AWAY: NodeFlags = NodeFlags::DISCONNECTED;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn map(flags: &[NodeFlags]) -> NodeMap {
        let node = |(pnn, &flags): (u32, &NodeFlags)| NodeAndFlags {
            pnn: Pnn(pnn),
            flags,
            addr: SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 4379))),
        };
        NodeMap {
            nodes: (0..).zip(flags).map(node).collect(),
        }
    }

    type Look = (u64, [NodeFlags; 3], [NodeFlags; 3]);

    /// Node 2 is lost to both.
    fn lost(time: u64) -> Look {
        (time, [UP, UP, AWAY], [UP, UP, AWAY])
    }

    /// Only node 1 sees node 2.
    fn seen(time: u64) -> Look {
        (time, [UP, UP, AWAY], [UP; 3])
    }

    /// What node 0 leads, as it is seen at these times by nodes 0 and 1; and until when a recovery waits after that.
    fn waits(looks: &[Look]) -> Option<Time> {
        let mut stragglers = Stragglers::default();
        let mut now = Time::ZERO;
        for (time, of_0, of_1) in looks {
            now = at(*time);
            let mut findings = Findings::new(Pnn(0), map(of_0));
            findings.nodemaps.insert(Pnn(1), map(of_1));
            stragglers.look(now, INTERVAL, &findings);
        }
        stragglers.wait(now)
    }

    #[test]
    fn the_first_that_comes_back_waits_for_those_that_it_sees() {
        let alone = (0, [UP, AWAY, AWAY], [AWAY; 3]);
        let first = (1000, [UP, UP, AWAY], [UP; 3]);
        let all = (1033, [UP; 3], [UP; 3]);
        assert_eq!(waits(&[alone, first]), Some(at(2500)));
        assert_eq!(waits(&[alone, first, all]), None);
    }

    #[test]
    fn one_that_is_back_for_another_node_is_waited_for() {
        assert_eq!(waits(&[lost(0), seen(1000)]), Some(at(2500)));
    }

    #[test]
    fn two_that_have_not_found_each_other_are_waited_for() {
        let found = (1000, [UP; 3], [UP, UP, AWAY]);
        let all = (1100, [UP; 3], [UP; 3]);
        assert_eq!(waits(&[lost(0), found]), Some(at(2500)));
        assert_eq!(waits(&[lost(0), found, all]), None);
    }

    #[test]
    fn nobody_waits_for_long() {
        let looks = [lost(0), seen(1000), seen(2000), seen(2500)];
        assert_eq!(waits(&looks), None);
    }

    #[test]
    fn one_that_comes_and_goes_is_not_waited_for_all_the_time() {
        let looks = [lost(0), seen(1000), lost(1800), seen(2600)];
        assert_eq!(waits(&looks), None);
        let looks = [lost(0), seen(1000), lost(3000), seen(4000)];
        assert_eq!(waits(&looks), Some(at(5500)));
    }

    #[test]
    fn a_loss_waits_for_nobody() {
        let all = (0, [UP; 3], [UP; 3]);
        assert_eq!(waits(&[all, seen(1000)]), None);
        assert_eq!(waits(&[all, seen(1000), lost(1100)]), None);
    }

    #[test]
    fn nobody_waits_for_a_node_that_no_other_sees() {
        let before = (0, [UP, AWAY, AWAY], [AWAY; 3]);
        let after = (1000, [UP, UP, AWAY], [UP, UP, AWAY]);
        assert_eq!(waits(&[before, after]), None);
    }
}

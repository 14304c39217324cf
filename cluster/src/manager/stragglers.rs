//! Nodes that were lost together come back together, but not in the same moment.
//!
//! A network that is whole again brings one node back some hundredths of a second before the next. A recovery for the first
//! alone would have the second wait for RerecoveryTimeout, 10 s by default: so the leader waits half a RecoverInterval
//! after a node that has come back, if another one is still missing.

use core::time::Duration;
use std::collections::BTreeSet;

use wire::Pnn;

use super::view::View;
use crate::Time;

/// When a node last came back.
#[derive(Debug, Default)]
pub(super) struct Stragglers {
    /// Those that were there last time; none: before the first look.
    connected: Option<BTreeSet<Pnn>>,
    last_return: Option<Time>,
}

impl Stragglers {
    /// Looks who is there. What the first look finds has not come back.
    pub(super) fn look(&mut self, now: Time, view: &View) {
        let connected: BTreeSet<Pnn> = view.connected().into_iter().collect();
        let before = self.connected.replace(connected.clone());
        if before.is_some_and(|before| !connected.is_subset(&before)) {
            self.last_return = Some(now);
        }
    }

    /// Until when a recovery has to wait, if it has.
    pub(super) fn wait(&self, now: Time, view: &View, interval: Duration) -> Option<Time> {
        let until = self.last_return? + interval / 2;
        (now < until && view.is_missing_a_node()).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use wire::types::{NodeAndFlags, NodeFlags, SockAddr};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn view(flags: &[NodeFlags]) -> View {
        let mut view = View::new(Pnn(0), true);
        view.nodemap.nodes = (0..)
            .zip(flags)
            .map(|(pnn, &flags)| NodeAndFlags {
                pnn: Pnn(pnn),
                flags,
                addr: SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 4379))),
            })
            .collect();
        view
    }

    const UP: NodeFlags = NodeFlags::empty();
    const AWAY: NodeFlags = NodeFlags::DISCONNECTED;

    #[test]
    fn the_first_that_comes_back_waits_for_the_next() {
        let mut stragglers = Stragglers::default();
        stragglers.look(at(0), &view(&[UP, AWAY, AWAY]));
        let first = view(&[UP, UP, AWAY]);
        stragglers.look(at(1000), &first);
        assert_eq!(stragglers.wait(at(1001), &first, INTERVAL), Some(at(1500)));
        let all = view(&[UP, UP, UP]);
        stragglers.look(at(1033), &all);
        assert_eq!(stragglers.wait(at(1034), &all, INTERVAL), None);
    }

    #[test]
    fn nobody_waits_for_long() {
        let mut stragglers = Stragglers::default();
        stragglers.look(at(0), &view(&[UP, AWAY, AWAY]));
        let first = view(&[UP, UP, AWAY]);
        stragglers.look(at(1000), &first);
        stragglers.look(at(1400), &first);
        assert_eq!(stragglers.wait(at(1500), &first, INTERVAL), None);
    }

    #[test]
    fn a_loss_waits_for_nobody() {
        let mut stragglers = Stragglers::default();
        stragglers.look(at(0), &view(&[UP, UP, UP]));
        let lost = view(&[UP, UP, AWAY]);
        stragglers.look(at(1000), &lost);
        assert_eq!(stragglers.wait(at(1000), &lost, INTERVAL), None);
    }

    #[test]
    fn a_deleted_node_is_not_missing() {
        let mut stragglers = Stragglers::default();
        stragglers.look(at(0), &view(&[UP, AWAY, AWAY]));
        let first = view(&[UP, UP, AWAY | NodeFlags::DELETED]);
        stragglers.look(at(1000), &first);
        assert_eq!(stragglers.wait(at(1001), &first, INTERVAL), None);
    }
}

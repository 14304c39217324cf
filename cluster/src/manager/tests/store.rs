//! A coordinator in memory: what etcd and its program do, with a clock.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use wire::Pnn;

use crate::Time;
use crate::coordinator::{Action, Notification};

#[derive(Debug)]
struct Lease {
    incarnation: u64,
    revision: u64,
    length: Duration,
    ends: Time,
}

/// What it knows, and whom it can reach.
#[derive(Debug, Default)]
pub(super) struct Store {
    revision: u64,
    leases: BTreeMap<usize, Lease>,
    leader: Option<(usize, u64)>,
    /// Nodes that it does not answer.
    pub(super) cut_off: BTreeSet<usize>,
}

/// To whom: none is all nodes.
type News = (Option<usize>, Notification);

fn pnn(node: usize) -> Pnn {
    Pnn(u32::try_from(node).unwrap())
}

impl Store {
    pub(super) fn leader(&self) -> Option<usize> {
        self.leader.map(|(node, _)| node)
    }

    pub(super) fn members(&self) -> Vec<usize> {
        self.leases.keys().copied().collect()
    }

    fn next(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// When the next lease ends.
    pub(super) fn next_end(&self) -> Option<Time> {
        self.leases.values().map(|lease| lease.ends).min()
    }

    /// Ends the leases whose time is over.
    pub(super) fn expire(&mut self, now: Time) -> Vec<News> {
        let over = self.leases.iter().filter(|(_, lease)| lease.ends <= now);
        let over: Vec<usize> = over.map(|(node, _)| *node).collect();
        over.into_iter().flat_map(|node| self.end(node)).collect()
    }

    fn end(&mut self, node: usize) -> Vec<News> {
        if self.leases.remove(&node).is_none() {
            return Vec::new();
        }
        let revision = self.next();
        let pnn = pnn(node);
        let mut news = vec![(None, Notification::MemberGone { pnn, revision })];
        news.extend(self.depose(node));
        news
    }

    fn depose(&mut self, node: usize) -> Option<News> {
        self.leader.filter(|(leader, _)| *leader == node)?;
        self.leader = None;
        self.next();
        Some((None, Notification::LeaderGone))
    }

    pub(super) fn act(&mut self, node: usize, now: Time, action: Action) -> Vec<News> {
        match action {
            Action::Join {
                number,
                incarnation,
                seconds,
                ..
            } => self.join(node, now, number, incarnation, seconds),
            Action::Renew { number } => match self.leases.get_mut(&node) {
                Some(lease) => {
                    lease.ends = now + lease.length;
                    vec![(Some(node), Notification::Renewed { number })]
                }
                None => vec![(Some(node), Notification::Expired)],
            },
            Action::Campaign if self.leader.is_none() && self.leases.contains_key(&node) => {
                let revision = self.next();
                self.leader = Some((node, revision));
                let pnn = pnn(node);
                vec![(None, Notification::Leader { pnn, revision })]
            }
            Action::Campaign => vec![(Some(node), Notification::Contended)],
            Action::Resign => self.depose(node).into_iter().collect(),
            Action::Leave => self.end(node),
        }
    }

    fn join(
        &mut self,
        node: usize,
        now: Time,
        number: u64,
        incarnation: u64,
        seconds: u32,
    ) -> Vec<News> {
        let length = Duration::from_secs(seconds.into());
        let mut news = Vec::new();
        if self
            .leases
            .get(&node)
            .is_some_and(|lease| lease.incarnation != incarnation)
        {
            news = self.end(node);
        }
        let is_new = !self.leases.contains_key(&node);
        let revision = if is_new {
            self.next()
        } else {
            self.leases[&node].revision
        };
        let lease = Lease {
            incarnation,
            revision,
            length,
            ends: now + length,
        };
        self.leases.insert(node, lease);
        let joined = Notification::Joined {
            number,
            revision,
            seconds,
        };
        news.push((Some(node), joined));
        if is_new {
            let pnn = pnn(node);
            news.push((None, Notification::Member { pnn, revision }));
        }
        for (&other, lease) in self.leases.iter().filter(|(other, _)| **other != node) {
            let (pnn, revision) = (pnn(other), lease.revision);
            news.push((Some(node), Notification::Member { pnn, revision }));
        }
        news.push((
            Some(node),
            match self.leader {
                Some((leader, revision)) => Notification::Leader {
                    pnn: pnn(leader),
                    revision,
                },
                None => Notification::LeaderGone,
            },
        ));
        news
    }
}

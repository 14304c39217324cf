//! Banning credits: who keeps the cluster from recovering.
//!
//! Each trouble adds a credit to the node behind it. At twice the number of nodes it is banned
//! for RecoveryBanPeriod seconds; after RecoveryGracePeriod without trouble, or after a complete
//! recovery, all is forgiven (`ctdb_recoverd.c`, 4.17.12).

use core::time::Duration;
use std::collections::BTreeMap;

use wire::Pnn;

use crate::Time;

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    credits: u32,
    last: Time,
}

/// The accounts of all nodes that ever made trouble.
#[derive(Debug, Default)]
pub(super) struct Culprits {
    accounts: BTreeMap<Pnn, Account>,
    last: Option<Pnn>,
}

impl Culprits {
    pub(super) fn blame(&mut self, pnn: Pnn, credits: u32, now: Time, grace: Duration) {
        let account = self.accounts.entry(pnn).or_default();
        if now.since(account.last) > grace {
            account.credits = 0;
        }
        account.credits = account.credits.saturating_add(credits);
        account.last = now;
        self.last = Some(pnn);
    }

    /// The nodes to ban now, with their credits; their accounts start again from 0.
    pub(super) fn due(&mut self, nodes: usize) -> Vec<(Pnn, u32)> {
        let limit = u32::try_from(nodes.saturating_mul(2)).unwrap_or(u32::MAX);
        let mut due = Vec::new();
        for (&pnn, account) in &mut self.accounts {
            if account.credits >= limit {
                due.push((pnn, account.credits));
                account.credits = 0;
            }
        }
        due
    }

    /// Who made the last trouble.
    pub(super) const fn last(&self) -> Option<Pnn> {
        self.last
    }

    pub(super) fn forgive_all(&mut self) {
        self.accounts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(120);
    const A: Pnn = Pnn(1);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn twice_the_nodes_is_too_much() {
        let mut culprits = Culprits::default();
        for second in 0..5 {
            culprits.blame(A, 1, at(second), GRACE);
            assert!(culprits.due(3).is_empty());
        }
        culprits.blame(A, 1, at(6), GRACE);
        assert_eq!(culprits.due(3), [(A, 6)]);
        assert!(culprits.due(3).is_empty(), "one ban for one offence");
        assert_eq!(culprits.last(), Some(A));
    }

    #[test]
    fn time_and_a_recovery_forgive() {
        let mut culprits = Culprits::default();
        culprits.blame(A, 5, at(0), GRACE);
        culprits.blame(A, 5, at(121), GRACE);
        assert!(culprits.due(3).is_empty());
        culprits.forgive_all();
        culprits.blame(A, 1, at(122), GRACE);
        assert!(culprits.due(3).is_empty());
    }
}

//! The controls under way: by request id for the replies, by deadline for the time-outs.

use std::collections::BTreeSet;
use std::time::Duration;

use client::Pending;
use cluster::Time;
use wire::ReqId;

/// What is under way, each with its owner (`T`). Bounded.
#[derive(Debug)]
pub(super) struct Controls<T> {
    pending: Pending<Entry<T>>,
    deadlines: BTreeSet<(Time, ReqId)>,
}

#[derive(Debug)]
struct Entry<T> {
    owner: T,
    deadline: Time,
}

impl<T> Controls<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            pending: Pending::new(limit),
            deadlines: BTreeSet::new(),
        }
    }

    /// Adds one; a time-out of zero means never. Gives the owner back if there are too many.
    pub(super) fn add(&mut self, now: Time, timeout: Duration, owner: T) -> Result<ReqId, T> {
        let deadline = if timeout.is_zero() {
            Time::NEVER
        } else {
            now + timeout
        };
        let entry = Entry { owner, deadline };
        let id = self.pending.add(entry).map_err(|entry| entry.owner)?;
        self.deadlines.insert((deadline, id));
        Ok(id)
    }

    /// Takes the owner of a reply; none if nobody waits for it any more.
    pub(super) fn take(&mut self, id: ReqId) -> Option<T> {
        let entry = self.pending.take(id)?;
        self.deadlines.remove(&(entry.deadline, id));
        Some(entry.owner)
    }

    /// Takes the owner of one control whose time is over, the oldest first.
    pub(super) fn expire(&mut self, now: Time) -> Option<T> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now || deadline == Time::NEVER {
            return None;
        }
        self.take(id)
    }

    /// When the first of them expires.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let &(deadline, _) = self.deadlines.first()?;
        (deadline != Time::NEVER).then_some(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn expire_in_order_and_once() {
        let mut controls = Controls::new(9);
        controls.add(Time::ZERO, 3 * SECOND, 'c').unwrap();
        let answered = controls.add(Time::ZERO, 2 * SECOND, 'b').unwrap();
        controls.add(Time::ZERO, SECOND, 'a').unwrap();
        controls.add(Time::ZERO, Duration::ZERO, 'z').unwrap();
        let late = Time::ZERO + 5 * SECOND;
        assert_eq!(controls.next_deadline(), Some(Time::ZERO + SECOND));
        assert_eq!(controls.expire(Time::ZERO), None);
        assert_eq!(controls.take(answered), Some('b'));
        assert_eq!(controls.take(answered), None);
        assert_eq!(controls.expire(late), Some('a'));
        assert_eq!(controls.expire(late), Some('c'));
        assert_eq!(controls.expire(Time::NEVER), None, "zero is never");
        assert_eq!(controls.next_deadline(), None);
    }

    #[test]
    fn are_bounded() {
        let mut controls = Controls::new(1);
        assert!(controls.add(Time::ZERO, SECOND, ()).is_ok());
        assert!(controls.add(Time::ZERO, SECOND, ()).is_err());
    }
}

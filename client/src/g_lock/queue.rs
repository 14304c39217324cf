//! The locks that this client holds or waits for, and who waits behind it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;
use wire::types::{GLockEntry, ServerId};

/// The most that wait for one lock; whoever comes later looks again from time to time.
const LONGEST: usize = 4096;

/// What a waiter is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Signal {
    /// It holds the lock.
    Granted,
    /// This one is not, or no longer, a holder.
    Look(ServerId),
}

/// By the unique id of the holder or waiter, each of which is this client.
#[derive(Debug, Default)]
pub(super) struct Queues {
    own: BTreeMap<u64, Own>,
}

#[derive(Debug, Default)]
struct Own {
    behind: Behind,
    /// When this client got the lock from another, or the first one began to wait for it.
    since: Option<Instant>,
    signal: Option<Signal>,
    wake: Rc<Notify>,
}

/// Those who wait behind a holder.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Behind {
    /// In the order of asking.
    pub(super) waiters: Vec<GLockEntry>,
    /// How often the lock has been handed on since it was free.
    pub(super) turns: u32,
}

impl Own {
    fn tell(&mut self, signal: Signal) {
        // being granted outlasts everything else
        if self.signal != Some(Signal::Granted) {
            self.signal = Some(signal);
        }
        self.wake.notify_one();
    }
}

impl Queues {
    /// A new holder or waiter; false: there is one with this id.
    pub(super) fn enter(&mut self, unique: u64) -> bool {
        let free = !self.own.contains_key(&unique);
        if free {
            self.own.insert(unique, Own::default());
        }
        free
    }

    /// It is neither any more; those who waited behind it, and since when they do.
    pub(super) fn leave(&mut self, unique: u64) -> (Behind, Option<Instant>) {
        let own = self.own.remove(&unique).unwrap_or_default();
        (own.behind, own.since)
    }

    /// Who waited behind an earlier holder of this client waits behind this one now.
    pub(super) fn succeed(&mut self, unique: u64, mut behind: Behind, since: Option<Instant>) {
        let own = self.own.entry(unique).or_default();
        behind.waiters.append(&mut own.behind.waiters);
        own.behind = behind;
        own.since = since;
    }

    /// Somebody waits behind this holder or waiter; false: there is no such one, or too many do.
    pub(super) fn wait_behind(&mut self, unique: u64, waiter: GLockEntry) -> bool {
        let Some(own) = self.own.get_mut(&unique) else {
            return false;
        };
        let waiters = &mut own.behind.waiters;
        let known = waiters.iter().any(|other| other.server == waiter.server);
        if !known && waiters.len() < LONGEST {
            waiters.push(waiter);
            own.since.get_or_insert_with(Instant::now);
            return true;
        }
        known
    }

    /// A waiter holds the lock now, with these behind it; otherwise they come back.
    pub(super) fn grant(&mut self, unique: u64, mut behind: Behind) -> Result<(), Behind> {
        let Some(own) = self.own.get_mut(&unique) else {
            return Err(behind);
        };
        // they asked before those who found this waiter in the record already
        behind.waiters.append(&mut own.behind.waiters);
        own.behind = behind;
        own.since = Some(Instant::now());
        own.tell(Signal::Granted);
        Ok(())
    }

    /// A waiter is to look again.
    pub(super) fn look(&mut self, unique: u64, gone: ServerId) {
        if let Some(own) = self.own.get_mut(&unique) {
            own.tell(Signal::Look(gone));
        }
    }

    /// What a waiter was told, once; or what wakes it.
    pub(super) fn signal(&mut self, unique: u64) -> Result<Signal, Rc<Notify>> {
        let own = self.own.entry(unique).or_default();
        own.signal.take().ok_or_else(|| own.wake.clone())
    }
}

#[cfg(test)]
mod tests {
    use wire::Pnn;
    use wire::types::GLockMode;

    use super::*;

    fn server(unique: u64) -> ServerId {
        ServerId {
            pid: 1,
            task: 0,
            vnn: Pnn(0),
            unique,
        }
    }

    fn waiter(unique: u64) -> GLockEntry {
        let server = server(unique);
        GLockEntry {
            mode: GLockMode::Write,
            server,
        }
    }

    #[test]
    fn those_behind_go_along_in_their_order() {
        let mut queues = Queues::default();
        assert!(queues.enter(1) && !queues.enter(1));
        assert!(queues.wait_behind(1, waiter(30)));
        assert!(queues.wait_behind(1, waiter(30)), "once is enough");
        let behind = |uniques: &[u64]| Behind {
            waiters: uniques.iter().map(|unique| waiter(*unique)).collect(),
            turns: 4,
        };
        assert_eq!(queues.grant(1, behind(&[10, 20])), Ok(()));
        assert_eq!(queues.leave(1).0, behind(&[10, 20, 30]));
        assert!(!queues.wait_behind(1, waiter(40)), "it is gone");
        assert_eq!(queues.grant(1, behind(&[50])), Err(behind(&[50])));
    }

    #[test]
    fn a_successor_has_those_who_waited() {
        let mut queues = Queues::default();
        queues.enter(1);
        assert_eq!(queues.leave(1), (Behind::default(), None));
        queues.enter(2);
        assert!(queues.wait_behind(2, waiter(30)));
        let (behind, since) = queues.leave(2);
        assert!(since.is_some());
        queues.enter(3);
        assert!(queues.wait_behind(3, waiter(40)));
        queues.succeed(3, behind, since);
        let (behind, still) = queues.leave(3);
        assert_eq!(still, since);
        assert_eq!(behind.waiters, [waiter(30), waiter(40)]);
    }

    #[test]
    fn a_grant_is_not_forgotten() {
        let mut queues = Queues::default();
        queues.enter(1);
        assert!(queues.signal(1).is_err());
        queues.look(1, server(9));
        queues.grant(1, Behind::default()).unwrap();
        queues.look(1, server(9));
        assert_eq!(queues.signal(1).unwrap(), Signal::Granted);
        assert!(queues.signal(1).is_err());
        queues.look(1, server(9));
        assert_eq!(queues.signal(1).unwrap(), Signal::Look(server(9)));
    }

    #[test]
    fn a_queue_is_bounded() {
        let mut queues = Queues::default();
        queues.enter(1);
        assert!((0..LONGEST as u64).all(|unique| queues.wait_behind(1, waiter(unique))));
        assert!(!queues.wait_behind(1, waiter(u64::MAX)));
    }
}

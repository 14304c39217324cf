//! Staying awake for what another node is about to say, in the middle of a conversation.
//!
//! To wake a processor that sleeps costs more than all that a daemon does with a packet. So while nodes talk with each
//! other, one that has said something looks for the answer again and again, for a moment, before it sleeps. In between,
//! whoever else wants the processor has it (`sched_yield`); a client that was just answered wants it most likely, and is
//! not made to wait. Where somebody computes, the processor does not sleep, there is nothing to gain, and whoever gives
//! way again and again is the last to have it: then nobody is awaited for a while, and for twice as long if it is no better
//! afterwards.
//!
//! ```text
//!            a node has spoken less than CONVERSATION ago,
//!            and packets went to nodes alone
//!   Asleep ─────────────────────────────────────────────────▶ Polling
//!    ▲  ▲                                                      │  │
//!    │  └───── the limit is over, or a client was answered ────┘  │ somebody had the processor
//!    │                                                            │ for COMPUTING
//!    └──────────── the pause is over ────────── Paused ◀──────────┘
//! ```

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Handle;

/// Nodes that have said nothing for so long are not talking.
const CONVERSATION: Duration = Duration::from_millis(1);
/// Who has the processor for so long computes; a daemon or a client is done with a packet sooner.
const COMPUTING: Duration = Duration::from_micros(500);
/// The first pause.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest. To find out whether the processor is still used costs a turn of whoever uses it, some milliseconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long, and since when.
#[derive(Debug)]
pub(super) struct BusyPoll {
    /// From the last packet that was sent; zero for never.
    limit: Duration,
    /// When a node last spoke.
    heard: Option<Instant>,
    until: Option<Instant>,
    /// The latest pause.
    pause: Option<Pause>,
    begun: Rc<Notify>,
}

/// The processor is used by somebody.
#[derive(Debug, Clone, Copy)]
struct Pause {
    length: Duration,
    end: Instant,
}

impl Pause {
    /// One that begins now: longer than the one before if that has ended not long ago.
    fn after(before: Option<Self>, now: Instant) -> Self {
        let length = match before {
            Some(Self { length, end }) if now < end + length * 2 => (length * 2).min(LONGEST_PAUSE),
            _ => PAUSE,
        };
        let end = now + length;
        Self { length, end }
    }
}

impl BusyPoll {
    /// `limit` is `[cluster] busy poll`. A real-time process does not give way to others: on the only processor it does
    /// not poll.
    pub(super) fn new(limit: Duration, realtime: bool) -> Self {
        let alone = std::thread::available_parallelism().is_ok_and(|count| count.get() == 1);
        Self {
            limit: if realtime && alone {
                Duration::ZERO
            } else {
                limit
            },
            heard: None,
            until: None,
            pause: None,
            begun: Rc::new(Notify::new()),
        }
    }

    /// It can be turned off, and then costs nothing.
    pub(super) fn is_on(&self) -> bool {
        !self.limit.is_zero()
    }

    /// A node has spoken.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// Packets were sent in this turn: to nodes alone, or to clients too.
    pub(super) fn sent(&mut self, now: Instant, to_nodes_alone: bool) {
        let talking = self
            .heard
            .is_some_and(|heard| now.saturating_duration_since(heard) < CONVERSATION);
        let paused = self.pause.is_some_and(|pause| now < pause.end);
        let asleep = self.until.is_none();
        self.until = (to_nodes_alone && talking && !paused).then(|| now + self.limit);
        if asleep && self.until.is_some() {
            self.begun.notify_one();
        }
    }

    /// Others could have the processor, from `since` until `now`.
    fn gave_way(&mut self, since: Instant, now: Instant) {
        if now.saturating_duration_since(since) >= COMPUTING {
            self.until = None;
            self.pause = Some(Pause::after(self.pause, now));
        }
    }

    fn is_over(&mut self, now: Instant) -> bool {
        self.until = self.until.filter(|until| now < *until);
        self.until.is_none()
    }
}

/// Keeps the runtime looking at its sockets while the shell says so.
pub(super) async fn run(handle: Handle) {
    let begun = handle.borrow().busy_poll.begun.clone();
    loop {
        if handle.borrow_mut().busy_poll.is_over(Instant::now()) {
            begun.notified().await;
        } else {
            let since = Instant::now();
            std::thread::yield_now();
            let now = Instant::now();
            handle.borrow_mut().busy_poll.gave_way(since, now);
            // with nothing else to do the runtime looks at the sockets, without waiting, and comes back
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(100);

    fn talking() -> (BusyPoll, Instant) {
        let (mut poll, now) = (BusyPoll::new(LIMIT, false), Instant::now());
        poll.heard(now);
        poll.sent(now, true);
        (poll, now)
    }

    #[test]
    fn an_answer_is_awaited_for_so_long() {
        let (mut poll, now) = talking();
        assert!(!poll.is_over(now));
        assert!(!poll.is_over(now + LIMIT / 2));
        poll.sent(now + LIMIT / 2, true);
        assert!(!poll.is_over(now + LIMIT));
        assert!(poll.is_over(now + LIMIT * 2));
        assert!(poll.is_over(now), "until something is sent again");
    }

    #[test]
    fn a_client_that_was_answered_has_the_processor() {
        let (mut poll, now) = talking();
        poll.sent(now, false);
        assert!(poll.is_over(now));
    }

    #[test]
    fn nobody_is_awaited_who_was_not_talking() {
        let (mut poll, now) = talking();
        let later = now + CONVERSATION;
        poll.sent(later, true);
        assert!(poll.is_over(later));
        let mut poll = BusyPoll::new(LIMIT, false);
        poll.sent(now, true);
        assert!(poll.is_over(now), "a first word");
    }

    #[test]
    fn there_is_nothing_to_gain_where_somebody_computes() {
        let (mut poll, now) = talking();
        poll.gave_way(now, now + COMPUTING / 2);
        assert!(!poll.is_over(now), "somebody had a packet to work on");
        poll.gave_way(now, now + COMPUTING);
        assert!(poll.is_over(now));
        for (after, polls) in [(PAUSE / 2, false), (PAUSE * 2, true)] {
            let later = now + COMPUTING + after;
            poll.heard(later);
            poll.sent(later, true);
            assert_eq!(!poll.is_over(later), polls, "{after:?}");
        }
    }

    #[test]
    fn pauses_become_longer_while_it_is_no_better() {
        let begin = Instant::now();
        let first = Pause::after(None, begin);
        assert_eq!(first.length, PAUSE);
        let second = Pause::after(Some(first), first.end + LIMIT);
        assert_eq!(second.length, PAUSE * 2);
        let later = second.end + second.length * 2;
        assert_eq!(Pause::after(Some(second), later).length, PAUSE);
        let many = (0..20).fold(first, |last, _| Pause::after(Some(last), last.end));
        assert_eq!(many.length, LONGEST_PAUSE);
    }

    #[test]
    fn zero_is_never() {
        let (mut poll, now) = (BusyPoll::new(Duration::ZERO, false), Instant::now());
        assert!(!poll.is_on());
        poll.heard(now);
        poll.sent(now, true);
        assert!(poll.is_over(now));
    }
}

//! Waiting for a deadline, to the microsecond.
//!
//! The runtime's own timer has milliseconds for its unit, and wakes the process two or three times for one deadline that is
//! some way off: its wheel turns in steps. A daemon that has nothing to do is woken as seldom as it can be.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use client::socket::watched;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::warn;

/// A timer of the kernel's.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: TimerFd,
    /// The same descriptor once more, watched. It is never read: to set it makes it unready.
    rings: AsyncFd<OwnedFd>,
    /// When it rings.
    set: Cell<Option<Instant>>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let rings = watched(timer.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        let set = Cell::new(None);
        Ok(Self { timer, rings, set })
    }

    /// Returns when the time has come; never without one.
    pub(crate) async fn wait(&self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return pending().await;
        };
        if let Err(error) = self.ring_at(deadline).await {
            warn!(%error, "the timer fails");
            tokio::time::sleep_until(deadline.into()).await;
        }
    }

    async fn ring_at(&self, deadline: Instant) -> io::Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.set.replace(Some(deadline)) != Some(deadline) {
                self.set_to(left)?;
            }
            self.rings.readable().await?.clear_ready();
            // it may have been the last deadline's ringing, that nobody waited for
        }
    }

    fn set_to(&self, left: Duration) -> io::Result<()> {
        let once = Expiration::OneShot(TimeSpec::from_duration(left));
        Ok(self.timer.set(once, TimerSetTimeFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn it_rings_not_before_its_time_and_again_for_the_next() {
        let alarm = Alarm::new().unwrap();
        for micros in [3_000, 200, 80_000, 0] {
            let deadline = Instant::now() + Duration::from_micros(micros);
            alarm.wait(Some(deadline)).await;
            assert!(Instant::now() >= deadline);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_that_nobody_waits_for_any_more_is_replaced() {
        let alarm = Alarm::new().unwrap();
        let now = Instant::now();
        let soon = now + Duration::from_millis(5);
        let given_up = tokio::time::timeout(Duration::from_millis(1), alarm.wait(Some(soon)));
        assert!(given_up.await.is_err());
        tokio::time::sleep(Duration::from_millis(10)).await;
        let later = now + Duration::from_millis(60);
        alarm.wait(Some(later)).await;
        assert!(Instant::now() >= later);
    }
}

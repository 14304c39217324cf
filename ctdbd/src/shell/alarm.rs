//! Waiting for a deadline: coarsely by the runtime's timer, whose unit is a millisecond, and to the microsecond where the
//! deadline is near.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::warn;

use crate::watched::watched;

/// What is further away than this is waited for coarsely.
const NEAR: Duration = Duration::from_millis(2);

/// The fine timer.
pub(super) struct Alarm {
    timer: TimerFd,
    /// The same descriptor once more, watched.
    rings: AsyncFd<OwnedFd>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let rings = watched(timer.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        Ok(Self { timer, rings })
    }

    /// Returns when the time has come; never without one.
    pub(super) async fn wait(&self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return pending().await;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > NEAR {
            return tokio::time::sleep_until(deadline.into()).await;
        }
        if let Err(error) = self.ring_after(left).await {
            warn!(%error, "the fine timer fails");
            tokio::time::sleep(left).await;
        }
    }

    async fn ring_after(&self, left: Duration) -> io::Result<()> {
        let once = Expiration::OneShot(TimeSpec::from_duration(left));
        self.timer.set(once, TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.rings.readable().await?;
            // there is nothing to read if it was ready for an earlier setting that nobody waited for
            match ready.try_io(|_| self.timer.wait().map_err(io::Error::from)) {
                Ok(rung) => return rung,
                Err(_would_block) => {}
            }
        }
    }
}

//! The cluster lock: the helper process on the manager's behalf.
//!
//! ```text
//!          take                      Taken
//!  idle ---------> wanted -> trying -------> held
//!   ^                 |        |              |
//!   |  release; Contended, TimedOut, Failed; Lost
//!   +-----------------+--------+--------------+
//! ```

use std::future::pending;
use std::process::Stdio;
use std::time::Duration;

use cluster::manager::LockEvent;
use config::{ClusterLock, Paths};
use tokio::time::Instant;

use crate::lock_helper::{LockHelper, Outcome};

/// How long a new attempt waits for the end of a helper that was told to release the lock, and with
/// which it would collide.
const HANDOVER: Duration = Duration::from_secs(5);

/// The lock as this process has it.
#[derive(Debug)]
pub(super) struct Lock {
    lock: Option<ClusterLock>,
    paths: Paths,
    state: State,
    /// The helper before this one, on its way out, and until when that is waited for.
    leaving: Option<(LockHelper, Instant)>,
}

#[derive(Debug)]
enum State {
    Idle,
    Wanted,
    Trying(LockHelper),
    Held(LockHelper),
}

impl Lock {
    pub(super) const fn new(lock: Option<ClusterLock>, paths: Paths) -> Self {
        Self {
            lock,
            paths,
            state: State::Idle,
            leaving: None,
        }
    }

    /// Starts to try; [`Lock::event`] says how it went.
    pub(super) fn take(&mut self) {
        self.release();
        self.state = State::Wanted;
    }

    /// Lets the lock go, or stops trying. No event follows.
    pub(super) fn release(&mut self) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Trying(helper) | State::Held(helper) => {
                helper.terminate();
                self.leaving = Some((helper, Instant::now() + HANDOVER));
            }
            State::Idle | State::Wanted => {}
        }
    }

    /// The next event; may be cancelled. Never returns while the lock is neither tried nor held.
    pub(super) async fn event(&mut self) -> LockEvent {
        loop {
            let event = match &mut self.state {
                State::Idle => {
                    self.see_off().await;
                    pending().await
                }
                State::Wanted => match self.start().await {
                    Ok(helper) => {
                        self.state = State::Trying(helper);
                        continue;
                    }
                    Err(reason) => LockEvent::Failed { reason },
                },
                State::Trying(helper) => match helper.outcome().await {
                    Outcome::Taken => {
                        self.hold();
                        return LockEvent::Taken;
                    }
                    Outcome::Contended => LockEvent::Contended,
                    Outcome::TimedOut => LockEvent::TimedOut,
                    Outcome::Failed(reason) => LockEvent::Failed { reason },
                },
                State::Held(helper) => {
                    helper.lost().await;
                    LockEvent::Lost
                }
            };
            self.release();
            return event;
        }
    }

    /// Waits for the end of the helper before, or it would stay a zombie.
    async fn see_off(&mut self) {
        if let Some((helper, _)) = &mut self.leaving {
            helper.gone().await;
            self.leaving = None;
        }
    }

    fn hold(&mut self) {
        if let State::Trying(helper) = std::mem::replace(&mut self.state, State::Idle) {
            self.state = State::Held(helper);
        }
    }

    async fn start(&mut self) -> Result<LockHelper, String> {
        if let Some((helper, limit)) = &mut self.leaving {
            if tokio::time::timeout_at(*limit, helper.gone())
                .await
                .is_err()
            {
                tracing::warn!("the last cluster lock helper does not end");
            }
            self.leaving = None;
        }
        let lock = self.lock.as_ref().ok_or("no cluster lock is configured")?;
        LockHelper::start(lock, &self.paths, Stdio::inherit()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(helper: &str) -> Lock {
        // words are split at blanks, so the script must be one
        let folder = tempfile::tempdir().unwrap().keep();
        let script = folder.join("helper");
        std::fs::write(&script, helper).unwrap();
        let text = format!("!/bin/sh {}", script.display());
        let paths = Paths::from_env(|_| None).unwrap();
        Lock::new(Some(text.parse().unwrap()), paths)
    }

    async fn next(lock: &mut Lock) -> LockEvent {
        tokio::time::timeout(Duration::from_secs(20), lock.event())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn taken_and_lost() {
        let mut lock = lock("printf 0\nsleep 0.2");
        lock.take();
        assert_eq!(next(&mut lock).await, LockEvent::Taken);
        assert_eq!(next(&mut lock).await, LockEvent::Lost);
        let idle = tokio::time::timeout(Duration::from_millis(50), lock.event()).await;
        assert!(idle.is_err(), "nothing more to say");
    }

    #[tokio::test]
    async fn contended_and_tried_again() {
        let mut lock = lock("printf 1");
        for _ in 0..2 {
            lock.take();
            assert_eq!(next(&mut lock).await, LockEvent::Contended);
        }
    }

    #[tokio::test]
    async fn released_while_trying() {
        let mut lock = lock("exec sleep 20");
        lock.take();
        assert!(
            tokio::time::timeout(Duration::from_millis(100), lock.event())
                .await
                .is_err()
        );
        lock.release();
        assert!(
            tokio::time::timeout(Duration::from_millis(100), lock.event())
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn without_a_lock_there_is_nothing_to_take() {
        let mut lock = Lock::new(None, Paths::from_env(|_| None).unwrap());
        lock.take();
        assert!(matches!(next(&mut lock).await, LockEvent::Failed { .. }));
    }
}

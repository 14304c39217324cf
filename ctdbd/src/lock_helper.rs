//! Runs a helper process that takes and holds the cluster lock.
//!
//! ```text
//!            '0'               end of its output
//! started ---------> taken -------------------------> lost
//!    |  '1' contended, '2' timed out, '3' or the end: failed
//! ```
//!
//! The helper writes one character and, if it has the lock, stays; SIGTERM makes it release the lock
//! and exit (`doc/cluster_mutex_helper.txt`, 4.17.12). That nobody holds the other end of its output
//! any more says that it is gone, even if it died without a word.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use config::{ClusterLock, Paths};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

/// A helper process. Dropping it sends SIGTERM, and so releases the lock.
#[derive(Debug)]
pub struct LockHelper {
    child: Child,
    stdout: ChildStdout,
}

/// What the helper says about its attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds the lock.
    Taken,
    /// Another process holds it.
    Contended,
    /// It took too long.
    TimedOut,
    /// Anything else; the reason is for the log.
    Failed(String),
}

impl Outcome {
    /// By the helper's status character.
    fn from_status(status: u8) -> Self {
        match status {
            b'0' => Self::Taken,
            b'1' => Self::Contended,
            b'2' => Self::TimedOut,
            b'3' => Self::Failed("the helper reports an error".into()),
            other => Self::Failed(format!(
                "unknown status '{}' of the helper",
                other.escape_ascii()
            )),
        }
    }
}

impl LockHelper {
    /// Starts the helper; `errors` is where it complains. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start(lock: &ClusterLock, paths: &Paths, errors: Stdio) -> io::Result<Self> {
        Self::spawn(&lock.argv(paths), errors)
    }

    fn spawn(argv: &[std::ffi::OsString], errors: Stdio) -> io::Result<Self> {
        let Some((program, args)) = argv.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors);
        // a helper looks for its parent only now and then
        sys::child::set_parent_death_signal(command.as_std_mut(), Signal::SIGTERM);
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        };
        let mut child = command.spawn().map_err(named)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, stdout })
    }

    /// Waits for the helper's answer. To be called once; may be cancelled. A time-out is the caller's:
    /// the recovery daemon of 4.17 waits for ever, SET_RECMODE for 5 s.
    pub async fn outcome(&mut self) -> Outcome {
        match self.stdout.read_u8().await {
            Ok(status) => Outcome::from_status(status),
            Err(error) => Outcome::Failed(format!("the helper ended without an answer: {error}")),
        }
    }

    /// [`LockHelper::outcome`], or [`Outcome::TimedOut`] after a while.
    pub async fn outcome_within(&mut self, limit: Duration) -> Outcome {
        tokio::time::timeout(limit, self.outcome())
            .await
            .unwrap_or(Outcome::TimedOut)
    }

    /// Returns when a lock that was taken is lost, because the helper is gone. May be cancelled.
    pub async fn lost(&mut self) {
        let mut ignored = [0; 64];
        while matches!(self.stdout.read(&mut ignored).await, Ok(1..)) {}
    }

    /// Releases the lock, or stops trying, and waits until the helper is gone: then another may have
    /// the lock. A helper that ignores SIGTERM makes this wait; it may be cancelled.
    pub async fn release(mut self) {
        self.terminate();
        self.gone().await;
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        // none if it was waited for: its number may already be another process's
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Returns when the helper has ended. May be cancelled.
    pub async fn gone(&mut self) {
        let _ = self.child.wait().await;
    }
}

impl Drop for LockHelper {
    fn drop(&mut self) {
        // the runtime collects the exit status of a child that was dropped
        self.terminate();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn helper(script: &str) -> LockHelper {
        let argv = ["/bin/sh", "-c", script].map(Into::into);
        LockHelper::spawn(&argv, Stdio::inherit()).unwrap()
    }

    #[tokio::test]
    async fn every_status_has_its_outcome() {
        for (script, expected) in [
            ("printf 0; exec sleep 20", Outcome::Taken),
            ("printf 1", Outcome::Contended),
            ("printf 2", Outcome::TimedOut),
        ] {
            assert_eq!(
                helper(script).outcome_within(LIMIT).await,
                expected,
                "{script}"
            );
        }
        for script in ["printf 3", "printf x", "exit 0"] {
            let outcome = helper(script).outcome_within(LIMIT).await;
            assert!(
                matches!(outcome, Outcome::Failed(_)),
                "{script}: {outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn silence_times_out() {
        let mut silent = helper("exec sleep 20");
        assert_eq!(
            silent.outcome_within(Duration::from_millis(50)).await,
            Outcome::TimedOut
        );
        tokio::time::timeout(LIMIT, silent.release()).await.unwrap();
    }

    #[tokio::test]
    async fn a_helper_that_dies_has_lost_the_lock() {
        let mut helper = helper("printf 0; sleep 0.2; printf noise");
        assert_eq!(helper.outcome_within(LIMIT).await, Outcome::Taken);
        tokio::time::timeout(LIMIT, helper.lost()).await.unwrap();
    }

    #[tokio::test]
    async fn dropping_ends_the_helper() {
        let mut helper = helper("printf 0; exec sleep 20");
        assert_eq!(helper.outcome_within(LIMIT).await, Outcome::Taken);
        let pid = Pid::from_raw(helper.child.id().unwrap().cast_signed());
        drop(helper);
        let gone = async {
            while kill(pid, None).is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, gone).await.unwrap();
    }

    #[test]
    fn a_missing_program_is_named() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _guard = runtime.enter();
        let error =
            LockHelper::spawn(&["/nonexistent/helper".into()], Stdio::inherit()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/helper"), "{error}");
    }
}

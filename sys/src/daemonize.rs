//! Becoming a daemon, before any thread or runtime exists.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;

use nix::unistd::{self, ForkResult};

/// How far to get away from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detach {
    /// A session of its own; standard input and output are /dev/null. Standard error stays
    /// until the log is open, as with C's `become_daemon(true, false, false)`.
    Session,
    /// Only a fork. Test mode needs this: session, process group and standard input stay, so
    /// that the daemon ends with its test.
    ForkOnly,
}

/// Goes on in a child process; the calling process exits with status 0 at once, as C's does, so
/// what comes later must be reported through the log.
///
/// # Errors
/// If the process has more than one thread already (they would not be in the child), and if
/// the system refuses.
pub fn daemonize(detach: Detach) -> io::Result<()> {
    if thread_count()? != 1 {
        return Err(io::Error::other("cannot fork: threads are running"));
    }
    // SAFETY: there is no other thread, so no lock is held in the child by a thread that is not
    // there, and the child may go on with any function.
    match unsafe { unistd::fork() }? {
        ForkResult::Parent { .. } => exit_parent(),
        ForkResult::Child => {}
    }
    if detach == Detach::Session {
        unistd::setsid()?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        unistd::dup2_stdin(null.as_fd())?;
        unistd::dup2_stdout(null.as_fd())?;
    }
    Ok(())
}

fn exit_parent() -> ! {
    // SAFETY: _exit only ends the process. Exit handlers and buffers belong to the child now.
    unsafe { libc::_exit(0) }
}

fn thread_count() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_with_threads() {
        // the test harness runs each test in a thread of its own
        assert!(daemonize(Detach::ForkOnly).is_err());
    }
}

//! Real-time scheduling, as ctdbd has it: SCHED_FIFO with the lowest priority (`common/system.c`,
//! 4.17.12). For the calling thread only.

use std::io;

use crate::check;

/// Puts the calling thread before all ordinary processes. Its children start as ordinary ones
/// (SCHED_RESET_ON_FORK), so nobody has to remember to reset them.
///
/// # Errors
/// Most often EPERM: not root, or a container without real-time budget.
pub fn set() -> io::Result<()> {
    schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 1)
}

/// Back to ordinary scheduling.
///
/// # Errors
/// What sched_setscheduler(2) says.
pub fn reset() -> io::Result<()> {
    // the flag stays: taking it away needs a privilege
    schedule(libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0)
}

fn schedule(policy: libc::c_int, sched_priority: libc::c_int) -> io::Result<()> {
    let param = libc::sched_param { sched_priority };
    // SAFETY: 0 is the calling thread, and the kernel only reads `param`.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const param) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> libc::c_int {
        // SAFETY: 0 is the calling thread; nothing is written.
        check(unsafe { libc::sched_getscheduler(0) }).unwrap()
    }

    #[test]
    fn there_and_back_if_allowed() {
        match set() {
            Ok(()) => {
                assert_eq!(policy(), libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK);
                let child = std::thread::spawn(policy).join().unwrap();
                assert_eq!(child, libc::SCHED_OTHER);
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        reset().unwrap();
        assert_eq!(policy() & !libc::SCHED_RESET_ON_FORK, libc::SCHED_OTHER);
    }
}

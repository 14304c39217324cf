//! Keeping a daemon's memory from being paged out.

use std::hint::black_box;
use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::unistd::geteuid;

/// Stack that is brought in before it is locked; C locks as much.
const STACK: usize = 10_000;

/// Locks what is mapped now, and some stack to grow into. Mappings to come are not locked, as in C:
/// databases are mapped whole, and mapping them could fail then. Does nothing unless the process
/// is root's. Children are not locked (the kernel sees to that).
///
/// # Errors
/// What mlockall(2) says; not worth stopping for.
pub fn lock_all() -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    black_box([0_u8; STACK]);
    Ok(mlockall(MlockAllFlags::MCL_CURRENT)?)
}

/// Unlocks everything.
///
/// # Errors
/// What munlockall(2) says.
pub fn unlock_all() -> io::Result<()> {
    Ok(munlockall()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        match lock_all() {
            Ok(()) => {}
            // a small RLIMIT_MEMLOCK without the privilege to pass it
            Err(error) => assert!(matches!(
                error.raw_os_error(),
                Some(libc::ENOMEM | libc::EPERM | libc::EAGAIN)
            )),
        }
        unlock_all().unwrap();
    }
}

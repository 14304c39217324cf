//! A daemon's memory: kept from being paged out, and given back.

use std::hint::black_box;
use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::unistd::geteuid;

/// Stack that is brought in before it is locked; C locks as much.
const STACK: usize = 10_000;
/// Bytes from which on a block of the heap is a mapping of its own, which goes when it is freed.
#[cfg(target_env = "gnu")]
const LARGE_BLOCK: i32 = 4 << 20;
/// Bytes that stay free at the end of the heap.
#[cfg(target_env = "gnu")]
const KEPT: i32 = 4 << 20;

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

/// Has the heap keep at most a few MiB of free memory, and large blocks none. Left alone, the C library learns from the
/// first large block that is freed to keep up to 64 MiB.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets numbers of malloc's
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// Gives the heap's free pages back to the system: after work that needs much memory for a moment, and not soon again.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches nothing but what is free, and takes malloc's own locks
    unsafe {
        libc::malloc_trim(0);
    }
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

//! Classic POSIX record locks: they belong to the process, and exclude the C helpers' locks.
//!
//! Not open-file-description locks, which would not see a lock of the same process and which older
//! cluster file systems do not carry. All locks of a file go when the process closes any of its
//! descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Locks `len` bytes from `offset` for writing, to the end of the file if `len` is 0.
/// False if another process holds a lock there.
///
/// # Errors
/// What fcntl(2) says, apart from EAGAIN and EACCES.
pub fn try_lock_write(file: impl AsFd, offset: i64, len: i64) -> io::Result<bool> {
    let request = region(libc::F_WRLCK, offset, len);
    match retry(|| fcntl(file.as_fd(), FcntlArg::F_SETLK(&request))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives such a lock up.
///
/// # Errors
/// What fcntl(2) says.
pub fn unlock(file: impl AsFd, offset: i64, len: i64) -> io::Result<()> {
    let request = region(libc::F_UNLCK, offset, len);
    retry(|| fcntl(file.as_fd(), FcntlArg::F_SETLK(&request)))?;
    Ok(())
}

/// A process that keeps this one from locking the bytes. The pid is 0 or less if the holder is
/// on another machine or in a pid namespace that is not seen from here.
///
/// # Errors
/// What fcntl(2) says.
pub fn holder(file: impl AsFd, offset: i64, len: i64) -> io::Result<Option<i32>> {
    let mut request = region(libc::F_WRLCK, offset, len);
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for as long as `file` lives, and F_GETLK writes one flock.
    retry(|| Errno::result(unsafe { libc::fcntl(fd, libc::F_GETLK, &raw mut request) }))?;
    let is_held = i32::from(request.l_type) != libc::F_UNLCK;
    Ok(is_held.then_some(request.l_pid))
}

fn region(kind: libc::c_int, offset: i64, len: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset,
        l_len: len,
        l_pid: 0,
    }
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::env;
    use std::fs::File;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::thread::sleep;
    use std::time::Duration;

    const FILE: &str = "FCNTL_LOCK_TEST_FILE";

    /// Not a test but the other process of tests: locks byte 4 until its input ends.
    #[test]
    fn lock_holder() {
        let Some(path) = env::var_os(FILE) else {
            return;
        };
        let file = File::options().write(true).open(path).unwrap();
        assert!(try_lock_write(&file, 4, 1).unwrap());
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
    }

    /// A process that holds a lock on byte 4 of the file until it is waited for.
    pub(crate) fn hold_elsewhere(path: &Path) -> Child {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "fcntl_lock::tests::lock_holder"])
            .env(FILE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let file = File::options().write(true).open(path).unwrap();
        let is_held = || {
            sleep(Duration::from_millis(10));
            holder(&file, 0, 0).unwrap().is_some()
        };
        assert!((0..1000).any(|_| is_held()), "no lock after 10 s");
        child
    }

    #[test]
    fn excludes_other_processes_by_region() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        let mut other = hold_elsewhere(temp.path());
        let file = temp.as_file();
        let pid = other.id().cast_signed();
        assert!(!try_lock_write(file, 4, 1).unwrap());
        assert!(!try_lock_write(file, 0, 0).unwrap());
        assert!(try_lock_write(file, 0, 4).unwrap());
        assert_eq!(holder(file, 0, 0).unwrap(), Some(pid));
        assert!(other.wait().unwrap().success());
        assert_eq!(holder(file, 0, 0).unwrap(), None);
        assert!(try_lock_write(file, 4, 1).unwrap());
        unlock(file, 0, 0).unwrap();
    }
}

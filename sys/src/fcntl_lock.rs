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
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn excludes_other_processes_by_region() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = "import fcntl,sys,time\nf=open(sys.argv[1],'r+')\n\
                      fcntl.lockf(f,fcntl.LOCK_EX,1,4)\nprint(flush=True)\ntime.sleep(30)";
        let mut other = Command::new("python3")
            .args(["-c", script])
            .arg(file.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        other.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let there = (
            try_lock_write(file.as_file(), 4, 1).unwrap(),
            holder(file.as_file(), 0, 0).unwrap(),
        );
        let elsewhere = try_lock_write(file.as_file(), 0, 4).unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(there, (false, Some(other.id().cast_signed())));
        assert!(elsewhere);
        assert_eq!(holder(file.as_file(), 0, 0).unwrap(), None);
        assert!(try_lock_write(file.as_file(), 4, 1).unwrap());
        unlock(file.as_file(), 0, 0).unwrap();
    }
}

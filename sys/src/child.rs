//! Running helper and worker processes.
//!
//! All functions work on [`std::process::Command`] (for tokio's, `as_std_mut()`). Descriptors that
//! Rust opens are closed on exec, so a child gets what is passed here and the standard three.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::check;

/// The child is sent `signal` when the thread that starts it ends, however it ends. A daemon's
/// threads start their children from the thread that lives longest, the main one.
pub fn set_parent_death_signal(command: &mut Command, signal: Signal) -> &mut Command {
    let parent = std::process::id();
    let arm = move || {
        // SAFETY: prctl(PR_SET_PDEATHSIG) takes a number; nothing is read or written.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) })?;
        // SAFETY: getppid only answers.
        let still_there = unsafe { libc::getppid() }.cast_unsigned() == parent;
        match still_there {
            true => Ok(()),
            // it died before the signal was armed
            false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(arm) }
}

/// Hands a descriptor down under its own number, which is returned: upstream's helpers are told
/// such numbers as arguments. This process's copy is closed with the command.
pub fn inherit(command: &mut Command, fd: OwnedFd) -> RawFd {
    let number = fd.as_raw_fd();
    let keep_open = move || {
        // SAFETY: the closure owns the descriptor, so it is open; F_SETFD takes a number.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) })?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(keep_open) };
    number
}

/// A running worker and this end of the socket that is its standard input.
#[derive(Debug)]
pub struct Worker {
    /// The process. Nothing happens to it when this is dropped; it sees the end of its input.
    pub process: Child,
    /// Blocking; the worker's end is its descriptor 0, so it sees the end of file when this is
    /// closed.
    pub socket: UnixStream,
}

/// Starts a worker that talks over its standard input and dies with this process. Its output goes
/// where this process's goes.
///
/// # Errors
/// What socketpair(2), fork(2) and execve(2) say.
pub fn spawn_worker(command: &mut Command) -> io::Result<Worker> {
    let (socket, theirs) = UnixStream::pair()?;
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    let process = set_parent_death_signal(command, Signal::SIGKILL).spawn()?;
    // the command would keep their end open here, and a dead worker would go unseen
    command.stdin(Stdio::null());
    Ok(Worker { process, socket })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::time::Duration;

    #[test]
    fn a_worker_answers_and_its_end_is_seen() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; echo \"got $line\" >&0"]);
        let Worker {
            mut process,
            mut socket,
        } = spawn_worker(&mut command).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket.write_all(b"it\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "got it\n");
        assert!(process.wait().unwrap().success());
    }

    #[test]
    fn a_descriptor_under_its_own_number() {
        let (mut read, write) = io::pipe().unwrap();
        let mut command = Command::new("sh");
        let number = inherit(&mut command, write.into());
        let status = command
            .args(["-c", &format!("echo through >&{number}")])
            .status()
            .unwrap();
        assert!(status.success());
        drop(command);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through\n");
    }

    #[test]
    fn others_are_not_inherited() {
        let file = File::open("/dev/null").unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let status = Command::new("test").args(["-e", &path]).status().unwrap();
        assert!(!status.success());
    }

    #[test]
    fn a_child_dies_with_its_parent_thread() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let start = move || {
            let command = set_parent_death_signal(&mut command, Signal::SIGTERM);
            command.spawn().unwrap()
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        let status = child.wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(libc::SIGTERM));
    }
}

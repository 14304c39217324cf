//! `ctdb_mutex_fcntl_helper`: holds the cluster lock as an `fcntl(2)` lock on one byte of a file in
//! the cluster filesystem.
//!
//! It answers one character on standard output (`0` taken, `1` contention, `3` error) and, if it has
//! the lock, stays until SIGTERM, until its parent is gone or until the lock can no longer be
//! trusted: the file was removed or replaced, or the filesystem does not answer.
//!
//! ```text
//! ctdb_mutex_fcntl_helper FILE [recheck_interval [ping_timeout]]
//!   |  lock of byte 0; every second: is the parent there?
//!   +-- the same program, connected by a socket pair: every recheck_interval seconds opens FILE,
//!       compares its inode and takes byte 1, blocking; sends a ping a second if there is a time-out
//! ```
//!
//! The check is a process of its own because closing any descriptor of a file drops all `fcntl` locks
//! that the process has on it, and because it may block in a sick filesystem.
//!
//! Arguments, defaults and messages are those of `ctdb_mutex_fcntl_helper.c`, 4.17.12. Only classic
//! POSIX locks are used, so that ours and the C helper meet each other on every cluster filesystem.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// First argument of the checking child. The helper itself never has five arguments, so a lock file
/// may have this name.
const CHECK: &str = "--check";
/// How often the parent and the pings are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Where the lock is; the check takes the byte after it.
const LOCK_BYTE: i64 = 0;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let program = Path::new(
        args.first()
            .map_or(OsStr::new("ctdb_mutex_fcntl_helper"), |arg| arg),
    );
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let name = name.as_ref();
    match args.get(1..).unwrap_or_default() {
        [check, file, numbers @ ..] if check == CHECK && numbers.len() == 3 => {
            run_check(name, Path::new(file), numbers)
        }
        [file, rest @ ..] if rest.len() <= 2 => match seconds(rest) {
            Some([recheck, ping]) => {
                let file = Path::new(file);
                hold(&Helper {
                    name,
                    program,
                    file,
                    recheck,
                    ping,
                })
            }
            None => usage(name),
        },
        _ => usage(name),
    }
}

fn usage(name: &str) -> ExitCode {
    eprintln!("Usage: {name} <file> [recheck_interval [ping_timeout]]");
    ExitCode::FAILURE
}

/// The two optional arguments, or their defaults: check every 5 s, no pings.
fn seconds(args: &[OsString]) -> Option<[Duration; 2]> {
    let parse = |index: usize, default| match args.get(index) {
        Some(text) => leading_number(text).map(Duration::from_secs),
        None => Some(Duration::from_secs(default)),
    };
    Some([parse(0, 5)?, parse(1, 0)?])
}

/// A number as `strtoul` takes it: blanks before it and anything behind it do not matter.
fn leading_number(text: &OsStr) -> Option<u64> {
    let text = text.to_str()?.trim_start().trim_start_matches('+');
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..end)?.parse().ok()
}

/// The arguments of one run.
struct Helper<'a> {
    name: &'a str,
    program: &'a Path,
    file: &'a Path,
    recheck: Duration,
    ping: Duration,
}

/// Takes the lock, reports, and keeps it as long as that makes sense.
fn hold(helper: &Helper<'_>) -> ExitCode {
    let parent = parent_id();
    let (answer, lock) = match take(helper) {
        Ok(lock) => (b'0', Some(lock)),
        Err(answer) => (answer, None),
    };
    let mut stdout = io::stdout();
    let told = stdout.write_all(&[answer]).and_then(|()| stdout.flush());
    if let (Some(lock), Ok(())) = (lock, told) {
        wait_for_exit(helper, parent, &lock);
    }
    ExitCode::SUCCESS
}

fn take(helper: &Helper<'_>) -> Result<File, u8> {
    let (name, file) = (helper.name, helper.file.display());
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(helper.file)
        .map_err(|error| {
            eprintln!("{name}: Unable to open {file} - ({})", errno(&error).desc());
            b'3'
        })?;
    match lock_byte(&lock, LOCK_BYTE, false) {
        Ok(()) => Ok(lock),
        Err(Errno::EACCES | Errno::EAGAIN) => Err(b'1'),
        Err(error) => {
            eprintln!(
                "{name}: Failed to get lock on '{file}' - ({})",
                error.desc()
            );
            Err(b'3')
        }
    }
}

fn lock_byte(file: &File, start: i64, block: bool) -> Result<(), Errno> {
    let range = libc_flock(start);
    let command = if block {
        FcntlArg::F_SETLKW(&range)
    } else {
        FcntlArg::F_SETLK(&range)
    };
    fcntl(file, command).map(drop)
}

fn libc_flock(start: i64) -> nix::libc::flock {
    nix::libc::flock {
        l_type: nix::libc::F_WRLCK as _,
        l_whence: nix::libc::SEEK_SET as _,
        l_start: start,
        l_len: 1,
        l_pid: 0,
    }
}

/// Returns when the lock should be given up; the reason has been printed.
fn wait_for_exit(helper: &Helper<'_>, parent: u32, lock: &File) {
    if parent == 1 {
        // process 1 never goes away, so nobody would ever end this helper
        eprintln!("parent == 1");
        return;
    }
    let mut check = match Check::start(helper, lock) {
        Ok(check) => check,
        Err(error) => {
            eprintln!(
                "{}: cannot start the lock test child ({error})",
                helper.name
            );
            return;
        }
    };
    loop {
        if parent_gone(parent) {
            eprintln!("parent gone");
            return;
        }
        let done = match &mut check {
            Some(check) => check.tick(helper.name),
            None => {
                std::thread::sleep(TICK);
                false
            }
        };
        if done {
            return;
        }
    }
}

/// A parent that is a zombie has already left its children to another.
fn parent_gone(parent: u32) -> bool {
    let alive =
        i32::try_from(parent).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH));
    !alive || parent_id() != parent
}

/// The parent's end of the checking child.
struct Check {
    child: Child,
    socket: UnixStream,
    /// How long the child may be silent; none: for ever.
    ping_timeout: Option<Duration>,
    last_ping: Instant,
}

impl Check {
    fn start(helper: &Helper<'_>, lock: &File) -> io::Result<Option<Self>> {
        if helper.recheck.is_zero() {
            return Ok(None);
        }
        let inode = lock.metadata()?.ino();
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg0(helper.program)
            .arg(CHECK)
            .arg(helper.file)
            .arg(inode.to_string())
            .args([helper.recheck, helper.ping].map(|d| d.as_secs().to_string()))
            .stdin(OwnedFd::from(theirs))
            // the lock counts as lost when the last descriptor of this pipe is closed
            .stdout(Stdio::null())
            .spawn()?;
        socket.set_nonblocking(true)?;
        let ping_timeout = (!helper.ping.is_zero()).then_some(helper.ping);
        Ok(Some(Self {
            child,
            socket,
            ping_timeout,
            last_ping: Instant::now(),
        }))
    }

    /// Waits for up to a tick; true: the lock cannot be trusted any more.
    fn tick(&mut self, name: &str) -> bool {
        let left = self
            .ping_timeout
            .map(|t| t.saturating_sub(self.last_ping.elapsed()));
        readable_within(&self.socket, left.unwrap_or(TICK).min(TICK));
        let mut buffer = [0; 64];
        match self.socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => self.last_ping = Instant::now(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
        let silent = self
            .ping_timeout
            .is_some_and(|t| self.last_ping.elapsed() >= t);
        if silent {
            eprintln!("{name}: ping timeout from lock test child");
        }
        silent
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        // not waited for: it may be stuck in the filesystem
        let _ = self.child.kill();
    }
}

/// Waits until the socket has something to read or was closed, or the time is over.
fn readable_within(socket: &UnixStream, limit: Duration) {
    // whole milliseconds, rounded up: the time is over then
    let whole = limit + Duration::from_micros(999);
    let timeout = PollTimeout::try_from(whole).unwrap_or(PollTimeout::ZERO);
    let _ = poll(
        &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
        timeout,
    );
}

/// The child: checks the file again and again. It ends when the check fails or the parent is gone.
fn run_check(name: &str, file: &Path, numbers: &[OsString]) -> ExitCode {
    let numbers: Vec<u64> = numbers
        .iter()
        .filter_map(|arg| leading_number(arg))
        .collect();
    let &[inode, interval, ping] = numbers.as_slice() else {
        return usage(name);
    };
    let Ok(parent) = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from)
    else {
        return ExitCode::FAILURE;
    };
    let interval = Duration::from_secs(interval);
    while sleep_and_ping(&parent, interval, ping != 0) {
        if let Err(reason) = check_once(file, inode) {
            eprintln!("{name}: {reason}");
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::SUCCESS
}

/// Waits for `interval` and sends a ping each second, if wanted; none at its end, as in C: a check that blocks would
/// be noticed a second later. False: the parent is gone.
fn sleep_and_ping(mut parent: &UnixStream, interval: Duration, ping: bool) -> bool {
    let end = Instant::now() + interval;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        if ping && parent.write_all(&[0]).is_err() {
            return false;
        }
        readable_within(parent, if ping { left.min(TICK) } else { left });
        // the parent never writes: anything readable is its end
        let mut fd = [PollFd::new(parent.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fd, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            return false;
        }
    }
}

/// One look at the lock file by its name.
fn check_once(file: &Path, inode: u64) -> Result<(), String> {
    let shown = file.display();
    let failed = |what: &str, error: Errno| {
        format!(
            "lock lost - lock file \"{shown}\" {what} failed (ret={})",
            error as i32
        )
    };
    let test = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .map_err(|error| failed("open", errno(&error)))?;
    let found = test
        .metadata()
        .map_err(|error| failed("check", errno(&error)))?;
    if found.ino() != inode {
        return Err(format!("lock lost - lock file \"{shown}\" inode changed"));
    }
    lock_byte(&test, LOCK_BYTE + 1, true).map_err(|error| {
        format!(
            "lock fail - lock file \"{shown}\" test lock error ({})",
            error as i32
        )
    })
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ping_is_sent_between_the_wait_and_the_check() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert!(sleep_and_ping(&theirs, TICK, true));
        drop(theirs);
        let mut pings = Vec::new();
        ours.read_to_end(&mut pings).unwrap();
        assert_eq!(pings.len(), 1);
    }
}

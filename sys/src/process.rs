//! Other processes, and this one's name.

use std::ffi::CString;
use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::kill;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Whether there is a process of that number. One of another user counts; numbers that name
/// process groups, 0 and below, do not.
#[must_use]
pub fn process_exists(pid: i32) -> bool {
    pid > 0 && matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM))
}

/// The children of a process that its main thread has started and that have not been waited for; none if it
/// is not there, or if the kernel does not tell.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let numbers = list.split_ascii_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Sets the name that ps and top show, of which the kernel keeps 15 bytes.
///
/// # Errors
/// A NUL in the name.
pub fn set_process_name(name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    Ok(prctl::set_name(&name)?)
}

/// Whether orphans become this process's children: it is the first of its pid namespace, as in
/// a container.
#[must_use]
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// Ends the zombies that nobody waits for: every dead child for which `is_ours` is false.
/// Returns their pids.
///
/// Waiting for *any* child would steal exit statuses from whoever started them. So the dead
/// children are found in /proc, and only strangers among them are waited for, one by one. A
/// process counts as ours from the moment it is started, so call this from the thread that
/// starts them.
///
/// # Errors
/// If /proc is not there.
pub fn reap_orphans(is_ours: impl Fn(i32) -> bool) -> io::Result<Vec<i32>> {
    let mut reaped = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if is_dead_child(pid) && !is_ours(pid) && collect(pid) {
            reaped.push(pid);
        }
    }
    Ok(reaped)
}

/// Whether /proc shows `pid` as a zombie whose parent is this process.
fn is_dead_child(pid: i32) -> bool {
    // a process may go away at any time; then it is not ours to reap either
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // pid (name) state ppid ...; the name may hold blanks and brackets
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut fields = rest.split(' ');
    let is_zombie = fields.next() == Some("Z");
    let parent = fields.next().and_then(|field| field.parse().ok());
    is_zombie && parent == Some(std::process::id())
}

fn collect(pid: i32) -> bool {
    let status = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    matches!(
        status,
        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, id};
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn existence() {
        assert!(process_exists(id().cast_signed()));
        assert!(process_exists(1));
        assert!(!process_exists(0));
        assert!(!process_exists(-1));
        assert!(!process_exists(i32::MAX));
    }

    #[test]
    fn name_of_a_thread() {
        std::thread::spawn(|| {
            set_process_name("ctdb-test").unwrap();
            let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
            assert_eq!(name, "ctdb-test\n");
            assert!(set_process_name("a\0b").is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn only_strangers_are_reaped() {
        let mut ours = Command::new("true").spawn().unwrap();
        let mut stranger = Command::new("true").spawn().unwrap();
        let (kept, taken) = (ours.id().cast_signed(), stranger.id().cast_signed());
        let mut reaped = Vec::new();
        for _ in 0..500 {
            // other tests of this process have children too: only this one is a stranger
            reaped.extend(reap_orphans(|pid| pid != taken).unwrap());
            if !reaped.is_empty() && is_dead_child(kept) {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        assert_eq!(reaped, [taken]);
        assert!(ours.wait().unwrap().success());
        assert!(stranger.wait().is_err());
    }
}

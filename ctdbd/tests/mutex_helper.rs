//! `ctdb_mutex_fcntl_helper` as ctdbd and upstream's own tests (`cluster_mutex_00?.sh`) use it, alone
//! and against the C helper.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const OURS: &str = env!("CARGO_BIN_EXE_ctdb_mutex_fcntl_helper");
const THEIRS: &str = "/usr/libexec/ctdb/ctdb_mutex_fcntl_helper";
const LIMIT: Duration = Duration::from_secs(20);

/// A helper process; dropped, it is told to end, as ctdbd does it.
struct Helper {
    child: Child,
    stdout: ChildStdout,
}

impl Helper {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Self { child, stdout }
    }

    /// The status character; none if there was none.
    fn status(&mut self) -> Option<char> {
        let mut status = [0];
        let length = self.stdout.read(&mut status).unwrap();
        (length == 1).then(|| char::from(status[0]))
    }

    /// Waits until it has ended; what it said.
    fn complaint(mut self) -> String {
        let end = Instant::now() + LIMIT;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the helper goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut text = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.is_running() {
            kill(
                Pid::from_raw(self.child.id().cast_signed()),
                Signal::SIGTERM,
            )
            .unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// A lock file of its own for each test.
struct LockFile {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl LockFile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        Self {
            _folder: folder,
            path,
        }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn helper(&self, program: &str, args: &[&str]) -> Helper {
        Helper::start(program, &[&[self.name()], args].concat())
    }
}

#[test]
fn one_holds_the_lock_until_it_is_told_to_end() {
    let file = LockFile::new();
    let mut first = file.helper(OURS, &[]);
    assert_eq!(first.status(), Some('0'));
    let mut second = file.helper(OURS, &[]);
    assert_eq!(second.status(), Some('1'));
    assert_eq!(second.complaint(), "", "contention is no error");
    drop(first);
    assert_eq!(file.helper(OURS, &["0"]).status(), Some('0'));
}

#[test]
fn ours_and_the_c_helper_exclude_each_other() {
    if !Path::new(THEIRS).exists() {
        println!("skipped: needs {THEIRS}");
        return;
    }
    for (holder, other) in [(OURS, THEIRS), (THEIRS, OURS)] {
        let file = LockFile::new();
        let mut first = file.helper(holder, &["1", "5"]);
        assert_eq!(first.status(), Some('0'), "{holder}");
        assert_eq!(file.helper(other, &[]).status(), Some('1'), "{other}");
        // long enough for a few checks, which must not drop the lock
        std::thread::sleep(Duration::from_millis(2500));
        assert!(first.is_running(), "{holder}");
        assert_eq!(file.helper(other, &[]).status(), Some('1'), "{other}");
        drop(first);
        assert_eq!(file.helper(other, &[]).status(), Some('0'), "{other}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let mut helper = Helper::start(OURS, &["/nonexistent/lock"]);
    assert_eq!(helper.status(), Some('3'));
    let expected =
        "ctdb_mutex_fcntl_helper: Unable to open /nonexistent/lock - (No such file or directory)\n";
    assert_eq!(helper.complaint(), expected);
}

#[test]
fn wrong_arguments_are_refused() {
    for args in [
        &[][..],
        &["lock", "x"],
        &["lock", "5", "x"],
        &["lock", "5", "5", "5"],
    ] {
        let mut helper = Helper::start(OURS, args);
        assert_eq!(helper.status(), None, "{args:?}");
        let usage = "Usage: ctdb_mutex_fcntl_helper <file> [recheck_interval [ping_timeout]]\n";
        assert_eq!(helper.complaint(), usage);
    }
}

#[test]
fn a_removed_file_means_a_lost_lock() {
    let file = LockFile::new();
    let mut helper = file.helper(OURS, &["1"]);
    assert_eq!(helper.status(), Some('0'));
    std::fs::remove_file(&file.path).unwrap();
    assert_eq!(
        helper.status(),
        None,
        "the end of its output says that the lock is lost"
    );
    let name = file.name();
    let expected =
        format!("ctdb_mutex_fcntl_helper: lock lost - lock file \"{name}\" open failed (ret=2)\n");
    assert_eq!(helper.complaint(), expected);
}

#[test]
fn a_replaced_file_means_a_lost_lock() {
    let file = LockFile::new();
    let mut helper = file.helper(OURS, &["1"]);
    assert_eq!(helper.status(), Some('0'));
    // beside the old one, so that it cannot get its inode number
    let new = file.path.with_extension("new");
    File::create(&new).unwrap();
    std::fs::rename(&new, &file.path).unwrap();
    assert_eq!(helper.status(), None);
    let name = file.name();
    let expected =
        format!("ctdb_mutex_fcntl_helper: lock lost - lock file \"{name}\" inode changed\n");
    assert_eq!(helper.complaint(), expected);
}

#[test]
fn without_checks_a_removed_file_does_not_matter() {
    let file = LockFile::new();
    let mut first = file.helper(OURS, &["0"]);
    assert_eq!(first.status(), Some('0'));
    std::fs::remove_file(&file.path).unwrap();
    assert_eq!(file.helper(OURS, &["0"]).status(), Some('0'));
    std::thread::sleep(Duration::from_millis(1500));
    assert!(first.is_running());
}

#[test]
fn a_filesystem_that_does_not_answer_means_a_lost_lock() {
    let file = LockFile::new();
    let mut helper = file.helper(OURS, &["1", "2"]);
    assert_eq!(helper.status(), Some('0'));
    // the check waits for this byte, and cannot send its pings meanwhile
    let blocker = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&file.path)
        .unwrap();
    let range = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as _,
        l_whence: nix::libc::SEEK_SET as _,
        l_start: 1,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&blocker, FcntlArg::F_SETLKW(&range)).unwrap();
    assert_eq!(helper.status(), None);
    let expected = "ctdb_mutex_fcntl_helper: ping timeout from lock test child\n";
    assert_eq!(helper.complaint(), expected);
}

#[test]
fn it_ends_with_its_parent() {
    let file = LockFile::new();
    let script = "\"$0\" \"$1\" & sleep 1";
    let mut shell = Helper::start("/bin/sh", &["-c", script, OURS, file.name()]);
    assert_eq!(shell.status(), Some('0'));
    assert_eq!(
        shell.status(),
        None,
        "the helper has the shell's output too"
    );
    assert_eq!(shell.complaint(), "parent gone\n");
    assert_eq!(file.helper(OURS, &[]).status(), Some('0'));
}

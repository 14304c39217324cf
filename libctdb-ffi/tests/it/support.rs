//! What the tests of C programs share: the library as it is installed, compilers, daemons.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// The top of the project.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where this crate's C sources for tests are.
pub(crate) fn sources() -> PathBuf {
    top().join("libctdb-ffi/tests/c")
}

/// A place for what is compiled.
pub(crate) fn scratch() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    std::fs::create_dir_all(&place).unwrap();
    place
}

/// The project, installed without optimization below a folder: once for this process.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("root");
        std::fs::create_dir_all(&root).unwrap();
        // several test programs may want to do this at the same time
        let lock = std::fs::File::create(root.join("lock")).unwrap();
        lock.lock().unwrap();
        let done = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "xtask", "--target-dir"])
            .arg(target())
            .args(["--", "install", "--debug", "--root"])
            .arg(&root)
            .current_dir(top())
            .output()
            .unwrap();
        succeeded("cargo xtask install", &done);
        root
    })
}

/// Cargo's target folder, whose `tmp` is ours.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// The folder of the installed library.
pub(crate) fn library() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let found = Command::new("cc").arg("-print-multiarch").output().unwrap();
        let multiarch = String::from_utf8(found.stdout).unwrap();
        root().join("usr/lib").join(multiarch.trim())
    })
}

/// Panics with what a command said if it failed.
pub(crate) fn succeeded(what: &str, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what}: {}\n{said}{errors}",
        output.status
    );
    said
}

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Shared,
    Static,
}

/// Compiles a C program of `tests/c` against the installed library, with more options if need be.
pub(crate) fn compile(source: &str, link: Link, options: &[&str]) -> PathBuf {
    let name = format!(
        "{}-{link:?}{}",
        source.trim_end_matches(".c"),
        options.concat()
    );
    let program = scratch().join(name.replace(['/', '='], "_"));
    // once: another test may be running it
    static COMPILED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if compiled.contains(&program) {
        return program;
    }
    let mut command = Command::new("cc");
    command
        .args(["-g", "-Wall", "-Wextra", "-Werror"])
        .args(options)
        .arg(format!("-I{}", root().join("usr/include").display()))
        .arg(sources().join(source))
        .arg("-o")
        .arg(&program);
    match link {
        Link::Shared => {
            let place = library().display();
            command
                .args([format!("-L{place}"), format!("-Wl,-rpath,{place}")])
                .args(["-ltdb", "-lctdb"]);
        }
        Link::Static => {
            command.arg(library().join("libctdb.a")).args([
                "-ltdb",
                "-lgcc_s",
                "-lpthread",
                "-lm",
                "-ldl",
            ]);
        }
    }
    succeeded(source, &command.output().unwrap());
    compiled.insert(program.clone());
    program
}

/// Runs a command, for as long as a test may take.
pub(crate) fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["-k", "5", "120"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Whose daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    /// Debian's.
    C,
}

/// A daemon of one node in test mode; it ends with its standard input, so it ends with us.
pub(crate) struct Daemon {
    program: PathBuf,
    process: Child,
    base: tempfile::TempDir,
}

impl Daemon {
    /// None, after a word why, where it is not installed.
    pub(crate) fn start(whose: Whose) -> Option<Self> {
        let address = address();
        let daemon = Self::start_at(whose, (&address, std::slice::from_ref(&address)))?;
        daemon.wait();
        Some(daemon)
    }

    /// The nodes of a cluster, which begin to listen and come together some time after this.
    pub(crate) fn start_cluster<const N: usize>(whose: [Whose; N]) -> Option<[Self; N]> {
        let nodes: Vec<_> = whose.iter().map(|_| address()).collect();
        let start = |(whose, own): (Whose, &String)| Self::start_at(whose, (own, &nodes));
        let daemons: Option<Vec<_>> = whose.into_iter().zip(&nodes).map(start).collect();
        daemons?.try_into().ok()
    }

    fn start_at(whose: Whose, addresses: (&str, &[String])) -> Option<Self> {
        let program = match whose {
            Whose::Ours => root().join("usr/sbin/ctdbd"),
            Whose::C => "/usr/sbin/ctdbd".into(),
        };
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        if whose == Whose::C && !(program.exists() && is_root) {
            println!("skipped: needs root and {}", program.display());
            return None;
        }
        let base = tempfile::tempdir().unwrap();
        configure(base.path(), addresses);
        let process = spawn(&program, base.path());
        Some(Self {
            program,
            process,
            base,
        })
    }

    /// Starts it again after [`kill`](Self::kill), where it was.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(&self.program, self.base.path());
        self.wait();
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> String {
        let socket = self.base.path().join("run/ctdbd.socket");
        socket.to_str().unwrap().to_owned()
    }

    /// Ends it at once. When this returns, its sockets are closed.
    pub(crate) fn kill(&mut self) {
        // C's has children that have its clients' sockets too
        let pid = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        self.process.kill().unwrap();
        for child in children.split_whitespace() {
            let _ = Command::new("kill").args(["-9", child]).status();
        }
        self.process.wait().unwrap();
        // one of ours that was just being started still has them all
        let deadline = Instant::now() + LIMIT;
        while children.split_whitespace().any(is_alive) {
            assert!(Instant::now() < deadline, "killed and alive: {children}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait(&self) {
        let probe = compile("running.c", Link::Shared, &[]);
        let deadline = Instant::now() + LIMIT;
        while !run(&probe, &[&self.socket()]).status.success() {
            let log = || std::fs::read_to_string(self.base.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "ctdbd does not run:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whether a process has not come to its end yet, waited for or not.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn spawn(program: &Path, base: &Path) -> Child {
    Command::new(program)
        .arg("--interactive")
        .env("CTDB_TEST_MODE", "yes")
        .env("CTDB_BASE", base)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One that no other test uses.
fn address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let pid = std::process::id().to_le_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{}.{last}", 128 | pid[1] >> 1, pid[0])
}

fn configure(base: &Path, (own, nodes): (&str, &[String])) {
    for name in [
        "run",
        "var",
        "share",
        "events/legacy",
        "db/volatile",
        "db/persistent",
        "db/state",
    ] {
        std::fs::create_dir_all(base.join(name)).unwrap();
    }
    let list: String = nodes.iter().map(|node| format!("{node}\n")).collect();
    std::fs::write(base.join("nodes"), list).unwrap();
    let at = base.display();
    let text = format!(
        "[logging]\n\tlocation = file:{at}/log\n\
         [cluster]\n\tnode address = {own}\n\tleader timeout = 2\n\
         [database]\n\tvolatile database directory = {at}/db/volatile\n\
         \tpersistent database directory = {at}/db/persistent\n\
         \tstate database directory = {at}/db/state\n\
         [legacy]\n\trealtime scheduling = false\n"
    );
    std::fs::write(base.join("ctdb.conf"), text).unwrap();
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        for _ in 0..100 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

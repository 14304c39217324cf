//! The machine in which a cluster lives: namespaces of the test program's own.
//!
//! ```text
//! outer process            waits; its end kills the inner one
//!   └ inner process        pid 1 of the new namespaces, runs the tests
//!       └ node ...         namespaces inside those, see `node`
//! ```

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};

/// Set for the inner process.
const INSIDE: &str = "CTDB_COMPAT_INSIDE";
/// Our own mount points, in order of preference: they exist on every Debian, and seldom hold
/// anything that a test needs to see.
const MOUNT_POINTS: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];
/// What the tests start, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 12] = [
    ("ctdb", "ctdb"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("net", "samba-common-bin"),
    ("nsenter", "util-linux"),
    ("pgrep", "procps"),
    ("smbclient", "smbclient"),
    ("smbd", "samba"),
    ("smbstatus", "samba"),
    ("taskset", "util-linux"),
    ("tdbtool", "tdb-tools"),
    ("unshare", "util-linux"),
];

/// The bridge's own address. One that it has from a port changes when that node loses power, and then no other node reaches
/// the machine, with etcd on it, until it has asked for the new one.
const BRIDGE: &str = "02:00:00:00:01:00";

/// The directories in which programs are looked for, here and on nodes.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a cluster keeps its files, and its network.
#[derive(Debug)]
pub struct Host {
    /// A tmpfs, seen by every node at the same place.
    pub dir: PathBuf,
    /// The process file system outside, which knows our processes by other numbers.
    outer_proc: File,
}

/// Whether this process is the inner one.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program again, with the same arguments, in namespaces of its own, and waits.
///
/// # Errors
/// Not root, a program is missing, or the kernel refuses.
pub fn run_inside() -> Result<ExitCode> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "namespaces, mounts and smbd need root"
    );
    check_programs()?;
    let program = std::env::current_exe().context("own path")?;
    let new = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC;
    unshare(new).context("new namespaces")?;
    mount_private()?;
    let inner = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .spawn()
        .context("the inner process")?;
    wait_for_inner(inner)
}

/// Whether a program is there that the tests could start.
pub(crate) fn has_program(name: &str) -> bool {
    let mut folders = PATH.split(':');
    folders.any(|folder| Path::new(folder).join(name).exists())
}

fn check_programs() -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(name, _)| !has_program(name));
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = missing
        .iter()
        .map(|(name, package)| format!("{name} ({package})"))
        .collect();
    bail!(
        "missing programs: {}; `cargo xtask setup` installs them",
        list.join(", ")
    )
}

fn mount_private() -> Result<()> {
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .context("private mounts")
}

/// Waits for the inner process; a signal to stop ends it with everything in it.
fn wait_for_inner(mut inner: Child) -> Result<ExitCode> {
    let stop = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let signals: SigSet = stop.into_iter().chain([Signal::SIGCHLD]).collect();
    signals.thread_block()?;
    loop {
        if let Some(status) = inner.try_wait()? {
            let code = status.code().unwrap_or(128 + status.signal().unwrap_or(0));
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        let signal = signals.wait()?;
        if stop.contains(&signal) {
            inner.kill()?;
            inner.wait()?;
            println!("# {}: everything taken down", signal.as_str());
            return Ok(ExitCode::from(130));
        }
    }
}

impl Host {
    /// Prepares the namespaces of the inner process. `seen` are paths that must stay visible.
    ///
    /// # Errors
    /// A mount or a network command fails.
    pub fn prepare(seen: &[PathBuf]) -> Result<Self> {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("parent death signal")?;
        let outer_proc = File::open("/proc").context("/proc")?;
        mount(
            Some("proc"),
            "/proc",
            Some("proc"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("mount of /proc")?;
        let dir = MOUNT_POINTS
            .iter()
            .map(PathBuf::from)
            .find(|dir| dir.is_dir() && !seen.iter().any(|path| path.starts_with(dir)))
            .context("no directory to mount on")?;
        mount(
            Some("ctdb-compat"),
            &dir,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=755"),
        )
        .context("mount of a tmpfs")?;
        let host = Self { dir, outer_proc };
        host.make_network()?;
        host.make_client_config()?;
        Ok(host)
    }

    fn make_network(&self) -> Result<()> {
        ip("link set lo up")?;
        ip(&format!("link add br0 address {BRIDGE} type bridge"))?;
        ip("link set br0 up")?;
        ip("addr add 192.0.2.1/24 dev br0")
    }

    /// smbclient's own files go to the tmpfs too.
    fn make_client_config(&self) -> Result<()> {
        let own = self.dir.join("client");
        fs::create_dir_all(&own)?;
        let own = own.display();
        let text = format!(
            "[global]\nclient min protocol = SMB2\nlock directory = {own}\nprivate dir = {own}\n\
             state directory = {own}\ncache directory = {own}\n"
        );
        fs::write(self.dir.join("client.conf"), text).context("client.conf")
    }

    /// The number by which a process of ours is known outside.
    #[must_use]
    pub fn outer_pid(&self, inner: u32) -> Option<u32> {
        let same = fs::read_link(format!("/proc/{inner}/ns/pid")).ok()?;
        let outer = PathBuf::from(format!("/proc/self/fd/{}", self.outer_proc.as_raw_fd()));
        let entries = fs::read_dir(&outer).ok()?.flatten().filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let ids = status
                .lines()
                .find_map(|line| line.strip_prefix("NSpid:"))?;
            ids.split_whitespace()
                .any(|id| id == inner.to_string())
                .then_some(pid)
        });
        let is_it = |pid: &u32| {
            fs::read_link(outer.join(format!("{pid}/ns/pid"))).is_ok_and(|found| found == same)
        };
        entries.into_iter().find(is_it)
    }

    /// The output of smbclient, run on the bridge as the cluster's user.
    ///
    /// # Errors
    /// smbclient fails.
    pub fn smbclient(&self, args: &[&str]) -> Result<String> {
        let config = self.dir.join("client.conf");
        let mut command = Command::new("timeout");
        command
            .args(["60", "smbclient", "-s"])
            .arg(config)
            .args(["-U", crate::cluster::USER]);
        output(command.args(args))
    }
}

/// A node's address on the bridge. The range is TEST-NET-1 (RFC 5737).
#[must_use]
pub fn address(pnn: usize) -> IpAddr {
    let host = u8::try_from(10 + pnn).expect("clusters of the tests are small");
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}

/// Runs `ip` with words.
pub(crate) fn ip(words: &str) -> Result<()> {
    output(Command::new("ip").args(words.split(' '))).map(drop)
}

/// The standard output of a command that has to succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let done = command.env("PATH", PATH).stdin(Stdio::null()).output()?;
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(stdout);
    }
    let program = command.get_program().to_string_lossy();
    let stderr = String::from_utf8_lossy(&done.stderr);
    bail!("{program}: {}\n{stderr}{stdout}", done.status)
}

//! One node: namespaces and directories of its own, in which every program runs with its
//! compiled-in paths.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{self, address, ip, output};
use crate::report::within;

/// Each is bound over a place of the system, see `boot.sh`.
const DIRECTORIES: [&str; 10] = [
    "etc-ctdb",
    "etc-samba",
    "lib-ctdb/persistent",
    "lib-ctdb/state",
    "lib-ctdb/volatile",
    "lib-samba/private",
    "cache-samba",
    "log/ctdb",
    "log/samba",
    "scratch",
];
/// The longest that a command on a node may take, in seconds.
const COMMAND_LIMIT: u64 = 60;

/// A booted node. Dropping it powers it off.
#[derive(Debug)]
pub struct Node {
    /// Its number in the nodes file.
    pub pnn: usize,
    dir: PathBuf,
    root: Option<PathBuf>,
    unshare: Child,
    init: u32,
    processor: Option<usize>,
}

impl Node {
    /// Makes the node's directories below `dir` and boots it. Without a package root it runs the
    /// files of the machine.
    ///
    /// # Errors
    /// A file, mount or network command fails.
    pub fn install(dir: PathBuf, pnn: usize, root: Option<PathBuf>, files: &Files) -> Result<Self> {
        for name in DIRECTORIES {
            fs::create_dir_all(dir.join(name))?;
        }
        output(
            Command::new("cp")
                .arg("-a")
                .arg("/etc/ctdb/.")
                .arg(dir.join("etc-ctdb")),
        )?;
        if !files.event_scripts {
            let scripts = dir.join("etc-ctdb/events/legacy");
            fs::remove_dir_all(&scripts)?;
            fs::create_dir(&scripts)?;
        }
        fs::write(dir.join("etc-ctdb/nodes"), &files.nodes)?;
        fs::write(dir.join("etc-ctdb/ctdb.conf"), &files.ctdb_conf)?;
        fs::write(dir.join("etc-ctdb/ctdb.tunables"), &files.tunables)?;
        fs::write(dir.join("etc-samba/smb.conf"), &files.smb_conf)?;
        let users = fs::read_to_string("/etc/passwd")?;
        fs::write(
            dir.join("passwd"),
            format!("{users}smbu:x:5001:5001::/:/bin/false\n"),
        )?;
        let (unshare, init) = boot(&dir, pnn, root.as_deref())?;
        Ok(Self {
            pnn,
            dir,
            root,
            unshare,
            init,
            processor: None,
        })
    }

    /// Boots a node again that was powered off.
    ///
    /// # Errors
    /// As `install`.
    pub fn boot(&mut self) -> Result<()> {
        (self.unshare, self.init) = boot(&self.dir, self.pnn, self.root.as_deref())?;
        Ok(())
    }

    /// Installs other files, while the node runs: those below a package root, or the machine's own. What runs
    /// goes on with the old ones.
    ///
    /// # Errors
    /// A mount fails.
    pub fn replace(&mut self, root: Option<PathBuf>) -> Result<()> {
        if self.root.take().is_some() {
            self.sh("umount -l /usr")?;
        }
        if let Some(root) = &root {
            let layers = format!("lowerdir={}/usr:/usr", root.display());
            self.run(
                "mount",
                &["-t", "overlay", "package", "-o", &layers, "/usr"],
            )?;
        }
        self.root = root;
        Ok(())
    }

    /// Every process of the node ends at once, and its cable is pulled.
    ///
    /// # Errors
    /// The node was off already.
    pub fn power_off(&mut self) -> Result<()> {
        let init = Pid::from_raw(i32::try_from(self.init)?);
        kill(init, Signal::SIGKILL).context("the node is off")?;
        // it reaps its child, so all processes of the namespace are gone afterwards
        self.unshare.wait()?;
        // the cable goes with the network namespace, or a moment earlier by this
        let _ = ip(&format!("link del v{}", self.pnn));
        Ok(())
    }

    /// Has whatever is started on the node from now on run on this processor alone.
    pub fn pin(&mut self, processor: usize) {
        self.processor = Some(processor);
    }

    /// A command to be run on the node, for a minute at most.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.command_within(program, COMMAND_LIMIT)
    }

    /// A command to be run on the node, for that many seconds at most.
    #[must_use]
    pub fn command_within(&self, program: &str, seconds: u64) -> Command {
        let mut command = match self.processor {
            Some(number) => {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", &number.to_string(), "nsenter"]);
                pinned
            }
            None => Command::new("nsenter"),
        };
        command.args(["-t", &self.init.to_string(), "-m", "-n", "-p", "-u", "--"]);
        command.args([
            "env",
            "-C",
            "/",
            "timeout",
            "-k",
            "5",
            &seconds.to_string(),
            program,
        ]);
        command.env("LC_ALL", "C").env("PATH", host::PATH);
        for name in ["CTDB_BASE", "CTDB_TEST_MODE", "CTDB_SOCKET"] {
            command.env_remove(name);
        }
        command
    }

    /// The output of a command on the node that has to succeed.
    ///
    /// # Errors
    /// It fails; the error has its output.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let what = || format!("node {}: {program} {}", self.pnn, args.join(" "));
        output(self.command(program).args(args)).with_context(what)
    }

    /// The output of a shell script on the node.
    ///
    /// # Errors
    /// It fails; the error has its output.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.run("sh", &["-c", script])
    }

    /// The output of the `ctdb` tool on the node.
    ///
    /// # Errors
    /// It fails; the error has its output.
    pub fn ctdb(&self, args: &[&str]) -> Result<String> {
        self.run("ctdb", args)
    }

    /// Starts a program that makes itself a daemon.
    ///
    /// # Errors
    /// It ends with a failure.
    pub fn start_daemon(&self, program: &str, args: &[&str]) -> Result<()> {
        // not by a pipe: the daemon may keep it open
        let log = fs::File::create(self.dir.join("log/start"))?;
        let mut command = self.command(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = command.status()?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read_to_string(self.dir.join("log/start"))?;
        bail!("node {}: {program}: {status}\n{text}", self.pnn)
    }

    /// Starts ctdbd, and makes sure that it is the one it should be.
    ///
    /// # Errors
    /// It does not start, or the running program is not the one of the package root.
    pub fn start_ctdbd(&self) -> Result<()> {
        self.start_daemon("/usr/sbin/ctdbd", &[])?;
        within(10, || self.sh("test -s /run/ctdb/ctdbd.pid"))?;
        let Some(root) = &self.root else {
            return Ok(());
        };
        let ours = root.join("usr/sbin/ctdbd");
        let compare = format!(
            "cmp /proc/$(cat /run/ctdb/ctdbd.pid)/exe '{}'",
            ours.display()
        );
        // at first the file may be that of one that was killed
        within(10, || self.sh(&compare))
            .context("another ctdbd runs than the one under test")
            .map(drop)
    }

    /// Ends ctdbd as a crash does. It has let go of its address then; on a busy machine that takes a moment.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_ctdbd(&self) -> Result<()> {
        let pid = self.sh("cat /run/ctdb/ctdbd.pid")?;
        let pid = pid.trim();
        self.sh(&format!("kill -9 {pid}"))?;
        // a zombie has closed its files
        within(10, || {
            self.sh(&format!(
                "grep -q '^State:.Z' /proc/{pid}/status || ! test -e /proc/{pid}"
            ))
        })
        .map(drop)
    }

    /// Starts smbd.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_smbd(&self) -> Result<()> {
        self.start_daemon("/usr/sbin/smbd", &["-D"])
    }

    /// Fails while a process of that name runs on the node.
    ///
    /// # Errors
    /// Names the processes.
    pub fn check_none(&self, name: &str) -> Result<()> {
        let found = self.sh(&format!("pgrep -lx '{name}' || true"))?;
        ensure!(found.is_empty(), "node {} still runs\n{found}", self.pnn);
        Ok(())
    }

    /// A path of the node, as the test program sees it.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// The node's process 1, as the test program sees it.
    #[must_use]
    pub fn init(&self) -> u32 {
        self.init
    }

    /// Whether the node runs the files under test.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.root.is_some()
    }

    /// The node's network namespace.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.init))
    }

    /// Copies the node's logs into a directory.
    ///
    /// # Errors
    /// They cannot be copied.
    pub fn keep_logs(&self, to: &Path) -> Result<()> {
        let to = to.join(format!("node{}", self.pnn));
        fs::create_dir_all(&to)?;
        output(
            Command::new("cp")
                .arg("-a")
                .arg(self.dir.join("log/."))
                .arg(to),
        )
        .map(drop)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // an error means that it was off already
        let _ = self.power_off();
    }
}

/// The texts of a node's configuration.
#[derive(Debug, Default)]
pub struct Files {
    /// `/etc/ctdb/nodes`
    pub nodes: String,
    /// `/etc/ctdb/ctdb.conf`
    pub ctdb_conf: String,
    /// `/etc/ctdb/ctdb.tunables`
    pub tunables: String,
    /// `/etc/samba/smb.conf`
    pub smb_conf: String,
    /// Whether `/etc/ctdb/events/legacy` is the machine's; otherwise it is empty.
    pub event_scripts: bool,
}

/// Boots; the unshare process and the node's process 1.
fn boot(dir: &Path, pnn: usize, root: Option<&Path>) -> Result<(Child, u32)> {
    let up = dir.join("up");
    let _ = fs::remove_file(&up);
    let unshare = Command::new("unshare")
        .args([
            "-m",
            "-n",
            "-p",
            "-u",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args([
            "--propagation",
            "private",
            "sh",
            "-c",
            include_str!("boot.sh"),
            "node",
        ])
        .arg(dir)
        .arg(pnn.to_string())
        .arg(root.unwrap_or(Path::new("none")))
        .arg(address(pnn).to_string())
        .env("PATH", host::PATH)
        .stdin(Stdio::null())
        .stderr(fs::File::create(dir.join("log/boot"))?)
        .spawn()
        .context("unshare")?;
    let init = within(10, || child_of(unshare.id()))?;
    // the child must have made its network namespace before it can be given a cable
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net"));
    within(10, || {
        ensure!(
            network(&init.to_string())? != network("self")?,
            "no network namespace yet"
        );
        Ok(())
    })?;
    ip(&format!(
        "link add v{pnn} type veth peer name eth0 netns {init}"
    ))?;
    ip(&format!("link set v{pnn} master br0 up"))?;
    within(10, || {
        up.exists().then_some(()).context("the node does not boot")
    })?;
    Ok((unshare, init))
}

/// The one child of a process.
fn child_of(parent: u32) -> Result<u32> {
    let pids = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| parent_of(*pid).is_some_and(|p| p == parent);
    pids.into_iter().find(is_child).context("no child yet")
}

/// The fourth field of /proc/PID/stat; the second one is in parentheses and may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

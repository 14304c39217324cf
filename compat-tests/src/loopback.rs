//! A cluster without root: ctdbd alone, in its test mode, on loopback addresses.
//!
//! The test mode is upstream's: with `CTDB_TEST_MODE` set, every place of the daemon and of the
//! tool is below `CTDB_BASE`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::report::within;

/// Three daemons of a package root, and their files.
struct Loopback {
    dir: PathBuf,
    daemons: Vec<Child>,
}

/// Shows the cluster, and keeps it until a signal unless `once`.
///
/// # Errors
/// The cluster does not come up.
pub fn run(root: &Path, nodes: usize, once: bool) -> Result<ExitCode> {
    let cluster = Loopback::start(root, nodes)?;
    within(60, || cluster.check_all_ok())?;
    for pnn in 0..nodes {
        println!("\n== node {pnn}: ctdb status");
        print!("{}", cluster.ctdb(pnn, "status")?);
    }
    if once {
        println!("\n== done, taking it down");
        return Ok(ExitCode::SUCCESS);
    }
    println!("\n== the cluster stays until Ctrl-C. From another terminal:");
    println!(
        "   export CTDB_TEST_MODE=yes CTDB_BASE={}",
        cluster.base(0).display()
    );
    println!("   ctdb status");
    let stop: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    stop.thread_block()?;
    let signal = stop.wait()?;
    println!("\n== {}: taking it down", signal.as_str());
    Ok(ExitCode::SUCCESS)
}

impl Loopback {
    fn start(root: &Path, nodes: usize) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("ctdb-remix-{}", std::process::id()));
        let mut cluster = Self {
            dir,
            daemons: Vec::new(),
        };
        for pnn in 0..nodes {
            cluster.configure(pnn, nodes)?;
        }
        for pnn in 0..nodes {
            let daemon = cluster.daemon(root, pnn).spawn().context("ctdbd")?;
            cluster.daemons.push(daemon);
        }
        Ok(cluster)
    }

    fn base(&self, pnn: usize) -> PathBuf {
        self.dir.join(format!("node{pnn}"))
    }

    fn configure(&self, pnn: usize, nodes: usize) -> Result<()> {
        let base = self.base(pnn);
        for name in [
            "run",
            "var",
            "events/legacy",
            "db/volatile",
            "db/persistent",
            "db/state",
        ] {
            fs::create_dir_all(base.join(name))?;
        }
        let list: String = (0..nodes)
            .map(|pnn| format!("{}\n", address(pnn)))
            .collect();
        fs::write(base.join("nodes"), list)?;
        let at = base.display();
        let text = format!(
            "[logging]\n\tlocation = file:{at}/log.ctdb\n\
             [cluster]\n\tcluster lock = {}/lock\n\tnode address = {}\n\tleader timeout = 2\n\
             [database]\n\tvolatile database directory = {at}/db/volatile\n\
             \tpersistent database directory = {at}/db/persistent\n\
             \tstate database directory = {at}/db/state\n\
             [legacy]\n\trealtime scheduling = false\n",
            self.dir.display(),
            address(pnn)
        );
        fs::write(base.join("ctdb.conf"), text).context("ctdb.conf")
    }

    fn daemon(&self, root: &Path, pnn: usize) -> Command {
        let mut command = Command::new(root.join("usr/sbin/ctdbd"));
        // in test mode a daemon ends with its standard input, so it ends with us, however we end
        command
            .arg("--interactive")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Ctrl-C is for us, and we tell them
        command.process_group(0);
        self.in_test_mode(command, pnn)
    }

    fn in_test_mode(&self, mut command: Command, pnn: usize) -> Command {
        command
            .env("CTDB_TEST_MODE", "yes")
            .env("CTDB_BASE", self.base(pnn));
        command
    }

    fn ctdb(&self, pnn: usize, word: &str) -> Result<String> {
        let mut command = Command::new("timeout");
        command.args(["10", "ctdb", word]);
        crate::host::output(&mut self.in_test_mode(command, pnn))
    }

    fn check_all_ok(&self) -> Result<()> {
        for pnn in 0..self.daemons.len() {
            let status = self.ctdb(pnn, "status")?;
            let ok = status
                .lines()
                .filter(|line| crate::cluster::is_ok(line))
                .count();
            ensure!(ok == self.daemons.len(), "node {pnn}\n{status}");
        }
        Ok(())
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        for pnn in 0..self.daemons.len() {
            // a daemon that does not answer is killed below
            let _ = self.ctdb(pnn, "shutdown");
        }
        for daemon in &mut self.daemons {
            let ended = within(5, || daemon.try_wait()?.context("ctdbd still runs"));
            if ended.is_err() {
                let group = i32::try_from(daemon.id()).map(|pid| Pid::from_raw(-pid));
                let _ = group.map(|group| kill(group, Signal::SIGKILL));
                let _ = daemon.wait();
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn address(pnn: usize) -> String {
    format!("127.0.0.{}", pnn + 1)
}

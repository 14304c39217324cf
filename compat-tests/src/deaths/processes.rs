//! Programs that cannot be started: workers and the cluster manager. And no process or thread at all, where the machine
//! has control groups that can be made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::actor::{Acting, Actor};
use super::scene::{
    Log, Scene, VOLATILE, check_value, check_waits, ctdbd, number_here, pid, pids, signal, write,
};
use crate::node::Node;
use crate::report::{Report, within};

const KEY: &str = "workless";

/// Where control groups of numbers of processes are made.
const GROUPS: &str = "/sys/fs/cgroup/pids";

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    no_programs(scene, report)?;
    no_forks(scene, report)
}

/// A control group without room, which ctdbd of a node is in.
struct NoRoom {
    group: PathBuf,
    /// Where it was before.
    home: PathBuf,
    daemon: u32,
}

impl NoRoom {
    fn for_daemon(node: &Node) -> Result<Self> {
        let daemon = number_here(node, ctdbd(node)?)?;
        let home = fs::read_to_string(format!("/proc/{daemon}/cgroup"))?;
        let home = home.lines().find_map(|line| line.split_once(":pids:/"));
        let home = Path::new(GROUPS).join(home.context("no group of pids")?.1);
        let name = format!("ctdb-deaths-{}-{daemon}", std::process::id());
        let group = Path::new(GROUPS).join(name);
        fs::create_dir(&group)?;
        let room = Self {
            group,
            home,
            daemon,
        };
        fs::write(room.group.join("pids.max"), "0")?;
        fs::write(room.group.join("cgroup.procs"), daemon.to_string())?;
        Ok(room)
    }
}

impl Drop for NoRoom {
    fn drop(&mut self) {
        let _ = fs::write(self.group.join("pids.max"), "max");
        let _ = fs::write(self.home.join("cgroup.procs"), self.daemon.to_string());
        let _ = fs::remove_dir(&self.group);
    }
}

fn no_forks(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let (node, other) = (scene.node(scene.follower()?), scene.node(0));
    let log = Log::of(node);
    let daemon = ctdbd(node)?;
    let room = match NoRoom::for_daemon(node) {
        Ok(room) => room,
        Err(why) => {
            println!("# left out: no control group can be made here: {why:#}");
            return Ok(());
        }
    };
    report.check(
        "fork fails: what needs a process or a thread fails, and the log says why",
        || {
            signal(node, pid(node, "ctdb-clusterd")?, "KILL")?;
            ensure!(
                node.ctdb(&["reloadnodes"]).is_err(),
                "the nodes file was read"
            );
            within(5, || {
                log.check_says(&["cannot start the cluster manager", "os error 11"])?;
                log.check_says(&["the nodes file cannot be read", "os error 11"])
            })
        },
    );
    report.check("the daemon lives, records go on between the nodes", || {
        write(node, VOLATILE, "free", "four")?;
        check_value(other, VOLATILE, "free", "four")?;
        ensure!(ctdbd(node)? == daemon, "another daemon");
        Ok(())
    });
    drop(room);
    report.check(
        "with room for processes it has its cluster manager again",
        || within(5, || pid(node, "ctdb-clusterd").map(drop)),
    );
    Ok(())
}

fn no_programs(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    // the leader's end of leadership would lead to a recovery, which needs a process for each database
    let (node, other) = (scene.node(scene.follower()?), scene.node(0));
    write(node, VOLATILE, KEY, "kept")?;
    let log = Log::of(node);
    for program in ["ctdb-database-worker", "ctdb-clusterd"] {
        // what execve says of it is what fork says without memory: an error of the start
        node.sh(&format!(
            "mount --bind /dev/null /usr/libexec/ctdb/{program}"
        ))?;
    }
    for worker in pids(node, "ctdb-database-w")? {
        signal(node, worker, "KILL")?;
    }
    signal(node, pid(node, "ctdb-clusterd")?, "KILL")?;
    let client = Acting::start(
        node,
        &Actor::HoldChain {
            database: VOLATILE.into(),
            key: KEY.into(),
        },
    )?;
    report.check(
        "no process for a wait: it is tried again, and said in the log",
        || {
            check_waits(other, 3, VOLATILE, KEY)?;
            log.check_says(&["cannot start", "ctdb-database-worker"])?;
            let lines = log.text()?.lines().count();
            ensure!(lines < 60, "{lines} lines in 3 s");
            Ok(())
        },
    );
    report.check("no process for the cluster manager: the same", || {
        within(5, || log.check_says(&["cannot start the cluster manager"]))
    });
    report.check("the daemon lives, records go on", || {
        write(node, VOLATILE, "free", "three")?;
        check_value(other, VOLATILE, "free", "three")
    });
    client.end(node)?;
    for program in ["ctdb-database-worker", "ctdb-clusterd"] {
        node.sh(&format!("umount /usr/libexec/ctdb/{program}"))?;
    }
    report.check(
        "with processes again, everything comes back by itself",
        || {
            within(10, || check_value(other, VOLATILE, KEY, "kept"))?;
            within(10, || pid(node, "ctdb-clusterd").map(drop))
        },
    );
    Ok(())
}

//! ctdb-clusterd: killed, stopped, ending again and again; and what of a dead ctdbd is left.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::scene::{Log, Scene, pid, pids, signal};
use crate::node::Node;
use crate::report::{Report, within};

/// As the kernel names them, in 15 characters.
const MANAGER: &str = "ctdb-clusterd";
const LOCK_HELPER: &str = "ctdb_mutex_fcnt";

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    killed(scene, report)?;
    stopped(scene, report)?;
    again_and_again(scene, report)?;
    orphaned(scene, report)
}

fn killed(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let leader = scene.node(scene.leader()?);
    let old = pid(leader, MANAGER)?;
    report.check(
        "the leader's ctdb-clusterd is killed: another is started",
        || {
            signal(leader, old, "KILL")?;
            within(5, || check_replaced(leader, old))
        },
    );
    report.check("the cluster goes on at once", || {
        scene.check_works("clusterd-killed")
    });
    report.check("the cluster lock is taken again, once", || {
        within(15, || check_one_lock(scene))
    });
    report.check("all nodes are OK", || {
        within(15, || scene.cluster.check_all_ok())
    });
    Ok(())
}

fn stopped(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let leader = scene.node(scene.leader()?);
    let old = pid(leader, MANAGER)?;
    let log = Log::of(leader);
    report.check(
        "the leader's ctdb-clusterd is stopped: it is killed and another started",
        || {
            signal(leader, old, "STOP")?;
            within(12, || check_replaced(leader, old))
        },
    );
    report.check("the log says so", || {
        log.check_says(&["the cluster manager is restarted"])
    });
    report.check("the cluster lock is taken again, once", || {
        within(15, || check_one_lock(scene))
    });
    Ok(())
}

fn again_and_again(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(scene.follower()?);
    let program = "/usr/libexec/ctdb/ctdb-clusterd";
    let log = Log::of(node);
    node.sh(&format!("mount --bind /bin/false {program}"))?;
    signal(node, pid(node, MANAGER)?, "KILL")?;
    report.check(
        "ctdb-clusterd that ends at once: a start a second, not more",
        || {
            std::thread::sleep(Duration::from_secs(4));
            let starts = log.count("cluster manager started")?;
            ensure!((2..=5).contains(&starts), "{starts} starts in 4 s");
            let lines = log.text()?.lines().count();
            ensure!(lines < 40, "{lines} lines of log in 4 s");
            Ok(())
        },
    );
    report.check("records go on without it", || {
        scene.check_works("no-clusterd")
    });
    node.sh(&format!("umount {program}"))?;
    report.check("it comes back with its program", || {
        within(5, || pid(node, MANAGER).map(drop))
    });
    Ok(())
}

fn orphaned(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let pnn = scene.leader()?;
    let leader = scene.node(pnn);
    report.check(
        "the leader's ctdbd is killed: nothing of it is left",
        || {
            leader.kill_ctdbd()?;
            within(5, || {
                ["ctdbd", "ctdb-clusterd", "ctdb-database-w", LOCK_HELPER]
                    .iter()
                    .try_for_each(|name| leader.check_none(name))?;
                check_no_locks(leader)
            })
        },
    );
    report.check(
        "another node takes the cluster lock, and the rest recovers",
        || {
            within(20, || {
                check_one_lock(scene)?;
                scene.check_rest_ok(pnn)
            })
        },
    );
    report.check("it starts again at once, and all are OK", || {
        leader.start_ctdbd()?;
        within(30, || scene.cluster.check_all_ok())
    });
    Ok(())
}

fn check_replaced(node: &Node, old: u32) -> Result<()> {
    let now = pid(node, MANAGER)?;
    ensure!(now != old, "{now} still runs");
    Ok(())
}

/// One node alone has a process that holds the cluster lock.
fn check_one_lock(scene: &Scene<'_>) -> Result<()> {
    let nodes = scene.cluster.nodes.iter();
    let holders: Vec<_> = nodes
        .map(|node| pids(node, LOCK_HELPER).map(|pids| (node.pnn, pids)))
        .collect::<Result<_>>()?;
    let count: usize = holders.iter().map(|(_, pids)| pids.len()).sum();
    ensure!(count == 1, "holders of the cluster lock: {holders:?}");
    Ok(())
}

/// No process has a lock on a file of the node's databases.
fn check_no_locks(node: &Node) -> Result<()> {
    let script = "for file in /var/lib/ctdb/*/*.tdb.*; do stat -c :%i: $file; done \
                  | sed 's/:$/ /' | grep -Ff - /proc/locks || true";
    let found = node.sh(script)?;
    ensure!(found.is_empty(), "{found}");
    Ok(())
}

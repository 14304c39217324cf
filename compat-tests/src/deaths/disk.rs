//! No space on the disk.

use anyhow::{Result, bail, ensure};

use super::scene::{Log, Scene, check_committed, commit, ctdbd};
use crate::node::Node;
use crate::report::{Report, within};

/// For all databases of the node.
const SIZE: &str = "150M";
const FILLER: &str = "/var/lib/ctdb/filler";

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(2);
    move_to_small_disk(scene, node)?;
    full(scene, node, report)?;
    if !scene.quick {
        full_at_start(scene, node, report)?;
    }
    unwritable(scene, node, report)?;
    move_back(scene, node)
}

fn restart(scene: &Scene<'_>, node: &Node, script: &str) -> Result<()> {
    node.ctdb(&["shutdown"])?;
    within(10, || node.check_none("ctdbd"))?;
    node.sh(script)?;
    node.start_ctdbd()?;
    within(30, || scene.cluster.check_all_ok())
}

/// The node's databases go to a file system of their own.
fn move_to_small_disk(scene: &Scene<'_>, node: &Node) -> Result<()> {
    let script = format!(
        "mkdir /run/small && mount -t tmpfs -o size={SIZE} small /run/small \
         && cp -a /var/lib/ctdb/persistent /var/lib/ctdb/state /run/small \
         && mkdir /run/small/volatile \
         && mount --bind /run/small /var/lib/ctdb"
    );
    restart(scene, node, &script)
}

fn move_back(scene: &Scene<'_>, node: &Node) -> Result<()> {
    restart(
        scene,
        node,
        "umount /var/lib/ctdb && umount /run/small && rmdir /run/small",
    )
}

fn fill(node: &Node) -> Result<()> {
    node.sh(&format!("cat /dev/zero > {FILLER} 2>/dev/null; true"))
        .map(drop)
}

fn empty(node: &Node) -> Result<()> {
    node.sh(&format!("rm -f {FILLER}")).map(drop)
}

fn full(scene: &Scene<'_>, node: &Node, report: &mut Report) -> Result<()> {
    let big = "x".repeat(100_000);
    let daemon = ctdbd(node)?;
    let log = Log::of(node);
    fill(node)?;
    report.check(
        "full disk: a commit there fails, and the log says why",
        || {
            // it is confirmed once the node is out of the cluster
            let _ = commit(scene.node(0), &big);
            within(5, || log.check_says(&["no space left on the file system"]))
        },
    );
    report.check("the node is banned, the rest goes on", || {
        within(30, || scene.check_rest_ok(node.pnn))
    });
    report.check("its daemon lives, and its log is bounded", || {
        node.sh(&format!("kill -0 {daemon}"))?;
        let lines = log.text()?.lines().count();
        ensure!(lines < 1000, "{lines} lines");
        Ok(())
    });
    empty(node)?;
    report.check(
        "with space it comes back by itself, with everything",
        || {
            within(40, || scene.cluster.check_all_ok())?;
            commit(scene.node(0), &big)?;
            let mut nodes = scene.cluster.nodes.iter();
            nodes.try_for_each(|node| check_committed(node, &big))
        },
    );
    Ok(())
}

fn full_at_start(scene: &Scene<'_>, node: &Node, report: &mut Report) -> Result<()> {
    let big = "y".repeat(100_000);
    node.kill_ctdbd()?;
    within(10, || node.check_none("ctdbd"))?;
    within(20, || scene.check_rest_ok(node.pnn))?;
    commit(scene.node(0), &big)?;
    node.sh("rm -f /var/lib/ctdb/volatile/*")?;
    fill(node)?;
    let log = Log::of(node);
    report.check(
        "full disk at the start: no database is opened, which the log says",
        || {
            node.start_daemon("/usr/sbin/ctdbd", &[])?;
            within(15, || log.check_says(&["no space left on the file system"]))
        },
    );
    report.check("the rest goes on", || {
        within(30, || scene.check_rest_ok(node.pnn))
    });
    empty(node)?;
    report.check("with space it comes in, with what it missed", || {
        within(40, || scene.cluster.check_all_ok())?;
        check_committed(node, &big)
    });
    Ok(())
}

fn unwritable(scene: &Scene<'_>, node: &Node, report: &mut Report) -> Result<()> {
    node.ctdb(&["shutdown"])?;
    within(10, || node.check_none("ctdbd"))?;
    // its workers end a moment after it
    within(10, || node.sh("mount -o remount,ro,bind /var/lib/ctdb"))?;
    report.check(
        "a directory that cannot be written: ctdbd refuses to start, and names it",
        || match node.start_daemon("/usr/sbin/ctdbd", &[]) {
            Ok(()) => bail!("it starts"),
            Err(why) => {
                let text = format!("{why:#}");
                ensure!(text.contains("directory /var/lib/ctdb/"), "{text}");
                Ok(())
            }
        },
    );
    node.sh("mount -o remount,rw,bind /var/lib/ctdb")?;
    node.start_ctdbd()?;
    within(30, || scene.cluster.check_all_ok())
}

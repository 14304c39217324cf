//! Programs that cannot be started: workers and the cluster manager.

use anyhow::{Result, ensure};

use super::actor::{Acting, Actor};
use super::scene::{Log, Scene, VOLATILE, check_value, check_waits, pid, pids, signal, write};
use crate::report::{Report, within};

const KEY: &str = "workless";

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
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

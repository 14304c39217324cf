//! ctdbd with no descriptor left.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::actor::{Acting, Actor};
use super::scene::{Log, Scene, cpu_share, ctdbd};
use crate::report::{Report, within};

/// Descriptors that it may still open.
const LEFT: usize = 4;

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(2);
    let daemon = ctdbd(node)?;
    let open: usize = node
        .sh(&format!("ls /proc/{daemon}/fd | wc -l"))?
        .trim()
        .parse()?;
    let before = node.sh(&format!(
        "prlimit --pid {daemon} --nofile --output SOFT --noheadings"
    ))?;
    node.sh(&format!("prlimit --pid {daemon} --nofile={}:", open + LEFT))?;
    let log = Log::of(node);
    let crowd = Acting::start(node, &Actor::Crowd { count: 40 })?;
    report.check("no descriptors left: no busy loop", || {
        let share = cpu_share(node, daemon, Duration::from_secs(2))?;
        ensure!(share < 0.2, "{share:.2} of a CPU");
        Ok(())
    });
    report.check("few lines of log, which say why", || {
        log.check_says(&["cannot accept", "Too many open files"])?;
        let lines = log.text()?.lines().count();
        ensure!(lines < 20, "{lines} lines in 2 s");
        Ok(())
    });
    report.check(
        "the node stays in the cluster, records go on elsewhere",
        || {
            scene.node(0).ctdb(&["status"]).map(drop)?;
            scene.check_rest_works(2, "crowded")?;
            ensure!(
                scene.node(0).ctdb(&["status"])?.matches(" OK").count() == 3,
                "not all OK"
            );
            Ok(())
        },
    );
    crowd.end(node)?;
    report.check("with the crowd gone, clients are served again", || {
        within(5, || node.ctdb(&["-t", "3", "ping"]).map(drop))
    });
    node.sh(&format!(
        "prlimit --pid {daemon} --nofile={}:",
        before.trim()
    ))?;
    Ok(())
}

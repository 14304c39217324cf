//! A volatile file that is still open in another process when ctdbd starts again.

use std::fs;

use anyhow::{Result, ensure};

use super::actor::{Acting, Actor};
use super::scene::{Log, OTHER, Scene, pids};
use crate::cluster::check_serves;
use crate::node::Node;
use crate::report::{Report, within};

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    stopped_client(scene, report)?;
    stopped_smbd(scene, report)
}

/// The real one, all of its processes.
fn stopped_smbd(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(2);
    node.start_smbd()?;
    within(20, || check_serves(node.pnn))?;
    let log = Log::of(node);
    node.sh("pkill -STOP -x smbd")?;
    let held = pids(node, "smbd")?;
    node.kill_ctdbd()?;
    within(5, || node.check_none("ctdbd"))?;
    node.start_daemon("/usr/sbin/ctdbd", &[])?;
    report.check(
        "a stopped smbd has volatile databases open: ctdbd waits and names it",
        || {
            within(5, || {
                let named =
                    |pid: &u32| log.check_says(&["waiting for a process", &format!("pid={pid}")]);
                ensure!(
                    held.iter().any(|pid| named(pid).is_ok()),
                    "{held:?}: {}",
                    log.text()?
                );
                Ok(())
            })
        },
    );
    node.sh("pkill -KILL -x smbd; true")?;
    report.check("when smbd has ended, ctdbd comes up by itself", || {
        within(30, || scene.cluster.check_all_ok())
    });
    Ok(())
}

fn stopped_client(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(2);
    let client = Acting::start(
        node,
        &Actor::KeepOpen {
            database: OTHER.into(),
        },
    )?;
    client.signal(node, "STOP")?;
    node.kill_ctdbd()?;
    within(5, || node.check_none("ctdbd"))?;
    let file = node.path(&format!("/var/lib/ctdb/volatile/{OTHER}.2"));
    let before = fs::read(&file)?;
    let log = Log::of(node);
    node.start_daemon("/usr/sbin/ctdbd", &[])?;
    report.check(
        "a stopped process has a volatile database open: ctdbd waits and names it",
        || {
            within(5, || {
                log.check_says(&[
                    "waiting for a process",
                    OTHER,
                    &format!("pid={}", client.pid),
                ])
            })
        },
    );
    if !scene.quick {
        gives_up(&log, node, client.pid, report)?;
    }
    report.check("nothing was truncated", || {
        ensure!(fs::read(&file)? == before, "the file is another");
        Ok(())
    });
    client.end(node)?;
    report.check("when that process ends, ctdbd comes up by itself", || {
        within(30, || scene.cluster.check_all_ok())
    });
    Ok(())
}

fn gives_up(log: &Log<'_>, node: &Node, pid: u32, report: &mut Report) -> Result<()> {
    report.check("after 20 seconds it gives up, and says what to do", || {
        within(30, || {
            let advice = format!("is still open in process {}: end that process", pid);
            log.check_says(&[&advice])?;
            node.check_none("ctdbd")
        })
    });
    node.start_daemon("/usr/sbin/ctdbd", &[])?;
    within(5, || {
        ensure!(log.count("waiting for a process")? == 2, "not again");
        Ok(())
    })
}

//! Nodes that stop, crash, lose power, return, and end.

use std::time::Instant;

use anyhow::{Context, Result};

use super::{Held, check_line, check_open};
use crate::cluster::{Cluster, check_serves};
use crate::report::{Report, within};
use crate::smb2::Status;

pub(super) fn stop(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let last = &cluster.nodes[cluster.last()];
    report.check("ctdb stop", || last.ctdb(&["stop"]).map(drop));
    report.check("the node is shown as stopped", || {
        within(10, || {
            let status = cluster.nodes[0].ctdb(&["status"])?;
            check_line(&status, &[&format!("pnn:{} ", last.pnn), "STOPPED"])
        })
    });
    report.check("the rest goes on", || {
        check_open(cluster, 0, "x-stop", Status::OK)
    });
    report.check("ctdb continue", || last.ctdb(&["continue"]).map(drop));
    report.check("all OK again", || within(40, || cluster.check_all_ok()));
    Ok(())
}

pub(super) fn kill(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let last = &cluster.nodes[cluster.last()];
    let mut stays = Held::new(cluster, 0, "x-stays")?;
    let mut goes = Held::new(cluster, cluster.last(), "x-goes")?;
    report.check("held on the last node: the first is refused", || {
        check_open(cluster, 0, "x-goes", Status::SHARING_VIOLATION)
    });
    let begin = Instant::now();
    report.check("kill -9 of the last node's ctdbd", || last.kill_ctdbd());
    report.check("the rest recovers", || {
        within(40, || cluster.check_rest_ok())
    });
    println!("# recovered after {:.1} s", begin.elapsed().as_secs_f64());
    report.check("the dead node's open is gone", || {
        within(30, || check_open(cluster, 0, "x-goes", Status::OK))
    });
    report.check("the dead node's client is told", || {
        within(20, || goes.check_lost())
    });
    report.check("the open file of the first node lives on", || {
        stays.check_alive()
    });
    report.check("smbd of the dead node has ended by itself", || {
        within(20, || last.check_none("smbd"))
    });
    // C's event daemon outlives its ctdbd by up to 5 s, and a new ctdbd cannot start beside it
    report.check("the event daemon has ended by itself", || {
        within(20, || last.check_none("ctdb-eventd"))
    });
    come_back(cluster, report)?;
    report.check("the cluster's user is still known", || {
        check_line(&last.run("pdbedit", &["-L"])?, &["smbu:5001:"])
    });
    report.check("held on the first node: the new one is refused", || {
        within(10, || {
            check_open(
                cluster,
                cluster.last(),
                "x-stays",
                Status::SHARING_VIOLATION,
            )
        })
    });
    report.check("the open file of the first node still lives", || {
        stays.check_alive()
    });
    Ok(())
}

pub(super) fn power(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let last = cluster.last();
    let mut stays = Held::new(cluster, 0, "x-powered")?;
    let begin = Instant::now();
    cluster.nodes[last].power_off()?;
    report.check("power off of the last node: the rest recovers", || {
        within(60, || cluster.check_rest_ok())
    });
    println!("# recovered after {:.1} s", begin.elapsed().as_secs_f64());
    report.check("the open file of the first node lives on", || {
        stays.check_alive()
    });
    cluster.nodes[last].boot().context("the node boots again")?;
    come_back(cluster, report)?;
    report.check("held on the first node: the new one is refused", || {
        within(10, || {
            check_open(cluster, last, "x-powered", Status::SHARING_VIOLATION)
        })
    });
    Ok(())
}

/// The last node's daemons start again and join.
pub(super) fn come_back(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let last = &cluster.nodes[cluster.last()];
    report.check("ctdbd starts again", || last.start_ctdbd());
    report.check("all OK again", || within(60, || cluster.check_all_ok()));
    report.check("smbd starts again", || last.start_smbd());
    report.check("and serves", || within(20, || check_serves(last.pnn)));
    Ok(())
}

pub(super) fn end(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    for node in &cluster.nodes {
        report.check(&format!("ctdb shutdown on node {}", node.pnn), || {
            node.ctdb(&["shutdown"]).map(drop)
        });
    }
    for name in ["ctdbd", "ctdb-.*", "ctdb_.*", "smbd"] {
        report.check(&format!("no {name} is left on any node"), || {
            within(20, || {
                cluster
                    .nodes
                    .iter()
                    .try_for_each(|node| node.check_none(name))
            })
        });
    }
    Ok(())
}

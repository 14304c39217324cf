//! Every node sees the sessions and open files of all, and messages reach processes of others.

use anyhow::{Context, Result, ensure};

use super::{Held, check_line};
use crate::cluster::{Cluster, SHARE};
use crate::host::address;
use crate::report::{Report, within};

pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let all = 0..cluster.nodes.len();
    for pnn in all.clone() {
        report.check(
            &format!("smbclient as the cluster's user on node {pnn}"),
            || {
                let share = format!("//{}/{SHARE}", address(pnn));
                check_line(
                    &cluster.host.smbclient(&[&share, "-c", "ls"])?,
                    &["blocks available"],
                )
            },
        );
    }
    let name = |pnn: usize| format!("held-{pnn}");
    let held: Vec<_> = all
        .map(|pnn| Held::new(cluster, pnn, &name(pnn)))
        .collect::<Result<_>>()?;
    for node in &cluster.nodes {
        report.check(
            &format!("smbstatus on node {} shows the sessions of all", node.pnn),
            || {
                within(5, || {
                    check_each(&node.run("smbstatus", &["-b"])?, "nobody", held.len())
                })
            },
        );
        report.check(
            &format!("smbstatus -L on node {} shows all open files", node.pnn),
            || {
                within(5, || {
                    check_each(&node.run("smbstatus", &["-L"])?, "held-", held.len())
                })
            },
        );
    }
    report.check("smbcontrol reaches a process of another node", || {
        let sessions = cluster.nodes[0].run("smbstatus", &["-b"])?;
        let id = server_id(&sessions, cluster.last())?;
        let answer = cluster.nodes[0].run("smbcontrol", &[id, "ping"])?;
        check_line(&answer, &[&format!("PONG from pid {id}")])
    });
    report.check("smbcontrol reaches all smbd", || {
        check_line(
            &cluster.nodes[0].run("smbcontrol", &["-t", "3", "smbd", "ping"])?,
            &["PONG"],
        )
    });
    Ok(())
}

/// Each node has a line that starts with its number and contains the word.
fn check_each(text: &str, word: &str, nodes: usize) -> Result<()> {
    let of = |pnn: usize| {
        let prefix = format!("{pnn}:");
        text.lines()
            .any(|line| line.starts_with(&prefix) && line.contains(word))
    };
    let missing: Vec<_> = (0..nodes).filter(|pnn| !of(*pnn)).collect();
    ensure!(
        missing.is_empty(),
        "no {word:?} of nodes {missing:?} in\n{text}"
    );
    Ok(())
}

/// `PNN:PID` of a session of that node.
fn server_id(sessions: &str, pnn: usize) -> Result<&str> {
    let prefix = format!("{pnn}:");
    let ids = sessions
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    ids.into_iter()
        .find(|id| id.starts_with(&prefix))
        .context("no session of the node is shown")
}

//! Clustered persistent databases and `net g_lock`: transactions, traverses, wake-ups.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::check_line;
use crate::cluster::Cluster;
use crate::report::{Report, within};

const KEY: &str = "HKLM/Software/x";

pub(super) fn persistent(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let (first, last) = (&cluster.nodes[0], &cluster.nodes[cluster.last()]);
    for node in &cluster.nodes {
        report.check(
            &format!("pdbedit on node {} knows the user", node.pnn),
            || check_line(&node.run("pdbedit", &["-L"])?, &["smbu:5001:"]),
        );
    }
    report.check("net registry setvalue on the first node", || {
        first.run("net", &["registry", "createkey", KEY])?;
        first
            .run("net", &["registry", "setvalue", KEY, "v", "sz", "abc"])
            .map(drop)
    });
    report.check("net registry getvalue on the last", || {
        check_line(
            &last.run("net", &["registry", "getvalue", KEY, "v"])?,
            &["abc"],
        )
    });
    report.check("net conf addshare on the first node", || {
        let path = cluster.host.dir.join(crate::cluster::SHARE);
        let path = path.to_string_lossy();
        let share = [
            "conf",
            "addshare",
            "regshare",
            &path,
            "writeable=y",
            "guest_ok=y",
        ];
        first.run("net", &share).map(drop)
    });
    // smbd looks for new registry shares once a minute, and when it is told
    report.check("the last node serves it", || {
        within(70, || sees_share(cluster))
    });
    report.check("dbwrap_tool store on the first node", || {
        first
            .run(
                "dbwrap_tool",
                &["--persistent", "secrets.tdb", "store", "k", "uint32", "42"],
            )
            .map(drop)
    });
    report.check("dbwrap_tool fetch on the last", || {
        let fetch = ["--persistent", "secrets.tdb", "fetch", "k", "uint32"];
        check_line(&last.run("dbwrap_tool", &fetch)?, &["42"])
    });
    report.check("30 transactions of all nodes at once all hold", || {
        race(cluster)
    });
    Ok(())
}

fn sees_share(cluster: &Cluster) -> Result<()> {
    let server = crate::host::address(cluster.last()).to_string();
    check_line(&cluster.host.smbclient(&["-gL", &server])?, &["regshare"])
}

/// Six writers of one database, on all nodes in turn, five transactions each.
fn race(cluster: &Cluster) -> Result<()> {
    let start = |writer: usize| -> Result<Child> {
        let script = format!(
            "for k in 1 2 3 4 5; do net registry setvalue {KEY} r{writer}-$k dword $k || exit 1; done"
        );
        let node = &cluster.nodes[writer % cluster.nodes.len()];
        let mut command = node.command("sh");
        Ok(command
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?)
    };
    let writers: Vec<_> = (0..6).map(start).collect::<Result<_>>()?;
    for mut writer in writers {
        ensure!(writer.wait()?.success(), "a writer failed");
    }
    let values = cluster.nodes[cluster.last()].run("net", &["registry", "enumerate", KEY])?;
    let count = values
        .lines()
        .filter(|line| line.starts_with("Valuename") && line.contains("= r"));
    let count = count.count();
    ensure!(count == 30, "{count} of 30 values are there");
    Ok(())
}

pub(super) fn g_lock(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let last = &cluster.nodes[cluster.last()];
    let hold = ["g_lock", "do", "TESTLOCK", "5000", "sleep 3"];
    let begin = Instant::now();
    let mut command = cluster.nodes[0].command("net");
    let mut holder = command
        .args(hold)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    report.check("net g_lock locks shows a lock of another node", || {
        // its exit status is how many it shows
        within(2, || {
            check_line(&last.sh("net g_lock locks; true")?, &["TESTLOCK"])
        })
    });
    report.check("net g_lock dump shows its holder", || {
        check_line(&last.run("net", &["g_lock", "dump", "TESTLOCK"])?, &["0:"])
    });
    report.check("and it is refused", || {
        let refused = last
            .run("net", &["g_lock", "do", "TESTLOCK", "200", "true"])
            .is_err();
        ensure!(refused, "got it while it was held");
        Ok(())
    });
    report.check("a waiter is woken by its release", || {
        last.run("net", &["g_lock", "do", "TESTLOCK", "10000", "true"])?;
        let waited = begin.elapsed();
        ensure!(
            waited > Duration::from_secs(2),
            "got it after {waited:?}, while it was held"
        );
        ensure!(
            waited < Duration::from_secs(8),
            "woken only after {waited:?}"
        );
        Ok(())
    });
    ensure!(
        holder.wait().context("the holder")?.success(),
        "the holder failed"
    );
    Ok(())
}

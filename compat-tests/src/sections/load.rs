//! The workloads of `ctdb-load`, a second each, on all nodes at the same time: that they work, and
//! that what they check holds. Their figures are printed and not judged.

use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::report::Report;

/// On which nodes a workload runs.
#[derive(Clone, Copy)]
enum On {
    All,
    First,
}

const WORKLOADS: &[(On, &str)] = &[
    (On::All, "message-ring"),
    (On::All, "tunnel-ring"),
    (On::All, "fetch-ring"),
    (On::All, "contended-fetch"),
    (On::First, "contended-fetch"),
    (On::All, "g-lock"),
    (On::First, "g-lock"),
    (On::All, "transaction --model persistent"),
    (On::First, "transaction --model persistent"),
    (On::All, "transaction --model replicated"),
    (On::All, "packets --count 1000"),
    (On::All, "attach --count 5"),
    (
        On::All,
        "fill --database load_fill.tdb --records 1000 --size 100",
    ),
    (On::First, "traverse --database load_fill.tdb"),
    (
        On::All,
        "write --model volatile --journal /var/log/ctdb/journal",
    ),
    (On::First, "dump --database load_write_volatile.tdb"),
    (
        On::All,
        "write --model persistent --journal /var/log/ctdb/journal",
    ),
    (
        On::First,
        "dump --database load_write_persistent.tdb --model persistent",
    ),
    (On::First, "recover"),
    (On::All, "idle"),
];

pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    for &(on, words) in WORKLOADS {
        report.check(&format!("ctdb-load {words}"), || {
            work(cluster, on, &format!("--seconds 1 {words}"))
        });
    }
    report.check("the C tool's transactions get their turns", || {
        together_with_c(cluster)
    });
    Ok(())
}

/// The tool waits for the same global lock, in its own way. `ctdb-load` finds out if one of them
/// writes while another does.
fn together_with_c(cluster: &Cluster) -> Result<()> {
    let nodes = &cluster.nodes[..];
    let words = "--seconds 3 transaction --model persistent";
    let begin = |node| start(node, nodes.len(), words);
    let programs: Vec<_> = nodes.iter().map(begin).collect::<Result<_>>()?;
    let last = &nodes[cluster.last()];
    last.sh("sleep 0.5; echo value > /var/log/ctdb/value")?;
    for number in 0..3 {
        let key = format!("key{number}");
        last.ctdb(&["pstore", "load_persistent.tdb", &key, "/var/log/ctdb/value"])?;
    }
    let ends: Vec<_> = programs.into_iter().map(end).collect();
    ends.into_iter().try_for_each(|end| end)
}

fn work(cluster: &Cluster, on: On, words: &str) -> Result<()> {
    let nodes = match on {
        On::All => &cluster.nodes[..],
        On::First => &cluster.nodes[..1],
    };
    let begin = |node| start(node, nodes.len(), words);
    let programs: Vec<_> = nodes.iter().map(begin).collect::<Result<_>>()?;
    let ends: Vec<_> = programs.into_iter().map(end).collect();
    ends.into_iter().try_for_each(|end| end)
}

/// The program stands beside this one, and its path is the same on the nodes.
fn start(node: &Node, participants: usize, words: &str) -> Result<Child> {
    let program = std::env::current_exe()?.with_file_name("ctdb-load");
    let mut command = node.command(&program.to_string_lossy());
    command
        .args(["--participants", &participants.to_string()])
        .args(words.split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().context("ctdb-load")
}

fn end(program: Child) -> Result<()> {
    let done = program.wait_with_output()?;
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    ensure!(done.status.success(), "{}\n{err}{out}", done.status);
    let Some(line) = out.lines().last() else {
        bail!("no line");
    };
    println!("#   {line}");
    let summary: Value = serde_json::from_str(line)?;
    let idle = summary["workload"] == "idle";
    ensure!(
        idle || summary["operations"].as_u64() > Some(0),
        "nothing done: {line}"
    );
    ensure!(summary["failures"] == 0, "failures: {line}");
    Ok(())
}

//! The `ctdb` tool says the same of our cluster as of a C cluster in the same state.
//!
//! A script of steps runs on both; every step's output is compared line by line, with what has to
//! differ masked: times, the generation, which node became leader, how many clients there are.

use anyhow::{Context, Result, ensure};

use super::check_line;
use crate::cluster::Cluster;
use crate::node::Node;
use crate::report::{Report, within};

/// A run of digits and dots after one of these is masked.
const MASKED: [&str; 6] = [
    "Generation:",
    "Leader:",
    "time=",
    " sec  (",
    "Ticks:",
    "PID:",
];
/// Commands whose whole output names the leader's number.
const NAMES_LEADER: &str = "leader";
/// What is asked in every state, on the first and on the last node.
const QUESTIONS: [&[&str]; 12] = [
    &["status"],
    &["status", "-X"],
    &["nodestatus"],
    &["nodestatus", "all"],
    &["pnn"],
    &["leader"],
    &["listnodes"],
    &["listnodes", "-X"],
    &["getdbmap"],
    &["runstate"],
    &["getcapabilities"],
    &["ping"],
];
/// What is asked once.
const ONCE: [&[&str]; 12] = [
    &["ping", "-n", "all"],
    &["pnn", "-n", "all"],
    &["getreclock"],
    &["getdebug"],
    &["getvar", "MonitorInterval"],
    &["getvar", "NoSuchTunable"],
    &["setvar", "MonitorInterval", "3"],
    &["getvar", "MonitorInterval"],
    &["getdbstatus", "compare.tdb"],
    &["getdbstatus", "nosuch.tdb"],
    &["listvars"],
    &["status", "-n", "9"],
];

/// What is asked of databases, of the first node and then of the last.
const DATA: [&[&str]; 22] = [
    &["pstore", "kept.tdb", "k", "hello"],
    &["pfetch", "kept.tdb", "k"],
    &["pfetch", "kept.tdb", "nosuch"],
    &["getdbseqnum", "kept.tdb"],
    &["catdb", "kept.tdb"],
    &["pdelete", "kept.tdb", "k"],
    &["catdb", "kept.tdb"],
    &["writekey", "compare.tdb", "vk", "value"],
    &["readkey", "compare.tdb", "vk"],
    &["readkey", "compare.tdb", "nosuch"],
    &["deletekey", "compare.tdb", "vk"],
    &["readkey", "compare.tdb", "vk"],
    &["setdbreadonly", "compare.tdb"],
    &["setdbsticky", "compare.tdb"],
    &["getdbstatus", "compare.tdb"],
    &["detach", "compare.tdb"],
    &["wipedb", "compare.tdb"],
    &["wipedb", "kept.tdb"],
    &["process-exists", "1"],
    &["setdebug", "INFO"],
    &["getdebug"],
    &["setdebug", "NOTICE"],
];
/// How the last node leaves and returns: a command, the flag that is then shown, and the way back.
const AWAY: [(&[&str], &str, &[&str]); 3] = [
    (&["disable"], "DISABLED", &["enable"]),
    (&["ban", "300"], "BANNED", &["unban"]),
    (&["stop"], "STOPPED", &["continue"]),
];

/// One step's command, and what it printed.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    what: String,
    output: String,
}

/// Runs the script on a cluster whose nodes are booted, to its end.
///
/// # Errors
/// The cluster does not reach one of the states.
pub fn record(cluster: &Cluster) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    cluster.start_ctdbd()?;
    ask_all("up", cluster, &mut steps)?;
    databases(cluster, &mut steps)?;
    for (leave, flag, come_back) in AWAY {
        away(cluster, leave, flag, come_back, &mut steps)?;
    }
    recoveries(cluster, &mut steps)?;
    let (first, last) = (&cluster.nodes[0], &cluster.nodes[cluster.last()]);
    steps.push(ask("recovered", first, &["reloadnodes"])?);
    steps.push(ask("recovered", last, &["shutdown"])?);
    within(20, || last.check_none("ctdbd"))?;
    within(60, || cluster.check_rest_ok())?;
    ask_all("one shut down", cluster, &mut steps)?;
    Ok(steps)
}

fn databases(cluster: &Cluster, steps: &mut Vec<Step>) -> Result<()> {
    let (first, last) = (&cluster.nodes[0], &cluster.nodes[cluster.last()]);
    for attach in [
        &["attach", "compare.tdb"][..],
        &["attach", "kept.tdb", "persistent"],
    ] {
        steps.push(ask("up", first, attach)?);
    }
    for question in ONCE {
        steps.push(ask("attached", first, question)?);
    }
    for question in DATA {
        steps.push(ask("attached", first, question)?);
    }
    for question in DATA {
        steps.push(ask("attached", last, question)?);
    }
    within(60, || cluster.check_all_ok())?;
    ask_all("attached", cluster, steps)
}

/// The last node leaves, everything is asked, and it returns.
fn away(
    cluster: &Cluster,
    leave: &[&str],
    flag: &str,
    come_back: &[&str],
    steps: &mut Vec<Step>,
) -> Result<()> {
    let (first, last) = (&cluster.nodes[0], &cluster.nodes[cluster.last()]);
    steps.push(ask("all OK", last, leave)?);
    let shown = || {
        check_line(
            &first.ctdb(&["status"])?,
            &[&format!("pnn:{} ", last.pnn), flag],
        )
    };
    within(20, shown).with_context(|| format!("ctdb {}", leave.join(" ")))?;
    within(20, || settled(first))?;
    ask_all(flag, cluster, steps)?;
    steps.push(ask(flag, last, come_back)?);
    within(60, || cluster.check_all_ok()).with_context(|| format!("ctdb {}", come_back.join(" ")))
}

/// What makes the leader recover.
fn recoveries(cluster: &Cluster, steps: &mut Vec<Step>) -> Result<()> {
    let (first, last) = (&cluster.nodes[0], &cluster.nodes[cluster.last()]);
    steps.push(ask("all OK", last, &["setlmasterrole", "off"])?);
    within(60, || check_line(&first.ctdb(&["status"])?, &["Size:2"]))?;
    within(60, || cluster.check_all_ok())?;
    ask_all("one without lmaster role", cluster, steps)?;
    steps.push(ask(
        "one without lmaster role",
        last,
        &["setlmasterrole", "on"],
    )?);
    within(60, || check_line(&first.ctdb(&["status"])?, &["Size:3"]))?;
    within(60, || cluster.check_all_ok())?;
    steps.push(ask("all OK", first, &["recover"])?);
    within(60, || cluster.check_all_ok())?;
    ask_all("recovered", cluster, steps)
}

/// Not in recovery.
fn settled(node: &Node) -> Result<()> {
    check_line(&node.ctdb(&["status"])?, &["Recovery mode:NORMAL"])
}

fn ask_all(state: &str, cluster: &Cluster, steps: &mut Vec<Step>) -> Result<()> {
    for node in [&cluster.nodes[0], &cluster.nodes[cluster.last()]] {
        for question in QUESTIONS {
            steps.push(ask(state, node, question)?);
        }
    }
    Ok(())
}

/// Asks; an exit status is part of the answer, and so is what goes to standard error.
fn ask(state: &str, node: &Node, args: &[&str]) -> Result<Step> {
    let line = format!("ctdb {} 2>&1; echo \"exit status $?\"", args.join(" "));
    let output = node.sh(&line).context("the shell")?;
    let output = output
        .lines()
        .map(|line| mask(args, line))
        .collect::<Vec<_>>()
        .join("\n");
    Ok(Step {
        what: format!("{state}: node {}: ctdb {}", node.pnn, args.join(" ")),
        output,
    })
}

fn mask(args: &[&str], line: &str) -> String {
    let mut line = line.to_owned();
    for key in MASKED {
        if let Some(at) = line.find(key) {
            let start = at + key.len();
            let is_number = |c: char| c.is_ascii_digit() || c == '.';
            let length = line[start..]
                .find(|c| !is_number(c))
                .unwrap_or(line.len() - start);
            line.replace_range(start..start + length, "#");
        }
    }
    if args == [NAMES_LEADER] && line.parse::<u32>().is_ok() {
        "#".to_owned()
    } else {
        line
    }
}

/// One assertion for each step.
pub fn compare(theirs: &[Step], ours: &[Step], report: &mut Report) {
    report.check("as many steps on both", || {
        ensure!(
            theirs.len() == ours.len(),
            "{} and {}",
            theirs.len(),
            ours.len()
        );
        Ok(())
    });
    for (theirs, ours) in theirs.iter().zip(ours) {
        report.check(&theirs.what, || {
            ensure!(
                theirs == ours,
                "theirs:\n{}\nours:\n{}",
                theirs.output,
                ours.output
            );
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_differ_is_masked_and_nothing_else() {
        let masked = |line| mask(&["status"], line);
        assert_eq!(masked("Generation:1234567"), "Generation:#");
        assert_eq!(masked("Size:3"), "Size:3");
        let ping = "response from 0 time=0.000046 sec  (11 clients)";
        assert_eq!(
            mask(&["ping"], ping),
            "response from 0 time=# sec  (# clients)"
        );
        assert_eq!(mask(&["leader"], "2"), "#");
        assert_eq!(mask(&["leader"], "UNKNOWN"), "UNKNOWN");
        assert_eq!(mask(&["pnn"], "2"), "2");
    }
}

//! A cluster of C nodes whose nodes are replaced by ours one at a time, and by C again, while it works.
//!
//! The steps are those of `docs/operations.md`, "Replace a cluster one node at a time". `ctdb-load write` writes on
//! every node meanwhile, and SMB clients visit the public addresses. No acknowledged record may be lost, and
//! what the nodes that stay do may not rest for longer than one recovery takes.

mod gaps;
mod visitor;
mod watch;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, check_serves};
use crate::deaths::series::journal::{Journal, Kill};
use crate::deaths::series::monotonic;
use crate::deaths::series::writers::{self, Writers};
use crate::host::ip;
use crate::node::Node;
use crate::report::{Report, within};
use gaps::Work;
use visitor::Visitor;
use watch::{Span, Watch};

/// Between two replacements.
const PAUSE: Duration = Duration::from_secs(2);

/// What is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// The package root of ours.
    pub root: PathBuf,
    /// One node alone, and without public addresses.
    pub quick: bool,
}

/// One node's replacement.
#[derive(Debug)]
struct Step {
    node: usize,
    /// It was the leader until then.
    led: bool,
    /// By whom.
    to: &'static str,
    span: Span,
    /// Recoveries of those that stayed.
    recoveries: Vec<Span>,
}

/// Replaces the nodes of a cluster that was just booted, all of them C's.
///
/// # Errors
/// The cluster does not come up, or not come back.
pub fn run(cluster: &mut Cluster, options: &Options, report: &mut Report) -> Result<()> {
    let addresses = match options.quick {
        true => Vec::new(),
        false => give_addresses(cluster)?,
    };
    let up = report.check("a cluster of C nodes, smbd on each", || {
        cluster.start_ctdbd()?;
        cluster.start_smbd()?;
        within(30, || check_hosted(&cluster.nodes[0], &addresses))
    });
    ensure!(up, "the cluster did not come up");
    let nodes: Vec<_> = match options.quick {
        true => vec![leader(cluster)?],
        false => (0..cluster.nodes.len()).collect(),
    };
    let writers = Writers::start(cluster)?;
    let visitors = match options.quick {
        // by the node's own address: that of one which stays
        true => vec![Visitor::start(crate::host::address(
            (nodes[0] + 1) % cluster.nodes.len(),
        ))],
        false => addresses.iter().copied().map(Visitor::start).collect(),
    };
    std::thread::sleep(PAUSE);
    let mut steps = Vec::new();
    for (to, root) in [("ours", Some(&options.root)), ("C's", None)] {
        for &pnn in &nodes {
            let mut step = None;
            let well = report.check(
                &format!("node {pnn} is replaced by {to}, all OK again"),
                || {
                    step = Some(replace(cluster, pnn, to, root, &addresses)?);
                    anyhow::Ok(())
                },
            );
            ensure!(well, "the cluster does not come back");
            steps.extend(step);
        }
    }
    writers.stop(cluster)?;
    let mut work = Vec::new();
    for visitor in visitors {
        let what = format!("SMB at {}", visitor.server);
        work.push(Work::of_clients(what, !options.quick, visitor.end()?));
    }
    let journal = read_journals(cluster, &steps)?;
    println!("# {}", journal.summary());
    for pnn in 0..cluster.nodes.len() {
        for model in ["volatile", "persistent"] {
            work.push(Work::of_node(pnn, model, journal.acknowledged(pnn, model)));
        }
    }
    report.check("every acknowledged persistent write is there", || {
        journal.check_persistent()
    });
    report.check("the volatile writes of nodes that stayed are there", || {
        journal.check_volatile()
    });
    gaps::print(&steps, &work);
    report.check("nothing rested for longer than one recovery", || {
        gaps::check(&steps, &work)
    });
    Ok(())
}

/// Two public addresses a node, which every node can host.
pub(crate) fn give_addresses(cluster: &Cluster) -> Result<Vec<IpAddr>> {
    ip("addr add 198.51.100.1/24 dev br0")?;
    let addresses: Vec<IpAddr> = (0..cluster.nodes.len())
        .map(|n| u8::try_from(100 + n).map(|host| Ipv4Addr::new(198, 51, 100, host).into()))
        .collect::<Result<_, _>>()?;
    let file: String = addresses
        .iter()
        .map(|address| format!("{address}/24 eth0\n"))
        .collect();
    for node in &cluster.nodes {
        fs::write(node.path("/etc/ctdb/public_addresses"), &file)?;
    }
    Ok(addresses)
}

/// All public addresses are on nodes.
pub(crate) fn check_hosted(node: &Node, addresses: &[IpAddr]) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let table = node.ctdb(&["ip", "all"])?;
    for address in addresses {
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("{address} ")));
        let host = line.and_then(|line| line.split(' ').nth(1));
        ensure!(
            host.is_some_and(|host| host.parse::<usize>().is_ok()),
            "{table}"
        );
    }
    Ok(())
}

fn leader(cluster: &Cluster) -> Result<usize> {
    let text = cluster.nodes[0].ctdb(&["leader"])?;
    text.trim()
        .parse()
        .with_context(|| format!("leader: {text}"))
}

/// Takes a node out, installs other files, and brings it back.
fn replace(
    cluster: &mut Cluster,
    pnn: usize,
    to: &'static str,
    root: Option<&PathBuf>,
    addresses: &[IpAddr],
) -> Result<Step> {
    let others = cluster.nodes.iter().filter(|node| node.pnn != pnn);
    let watches: Vec<_> = others.map(Watch::start).collect::<Result<_>>()?;
    let led = leader(cluster)? == pnn;
    let begin = monotonic()?;
    take_out(cluster, pnn, addresses)?;
    cluster.nodes[pnn].replace(root.cloned())?;
    bring_back(cluster, pnn, addresses)?;
    std::thread::sleep(PAUSE);
    let mut recoveries = Vec::new();
    for watch in watches {
        recoveries.extend(watch.end()?);
    }
    Ok(Step {
        node: pnn,
        led,
        to,
        span: Span {
            from: begin,
            to: monotonic()?,
        },
        recoveries: watch::joined(recoveries),
    })
}

fn take_out(cluster: &Cluster, pnn: usize, addresses: &[IpAddr]) -> Result<()> {
    let node = &cluster.nodes[pnn];
    let other = &cluster.nodes[(pnn + 1) % cluster.nodes.len()];
    if !addresses.is_empty() {
        node.ctdb(&["disable"])?;
        within(30, || check_hosted_elsewhere(other, pnn))?;
    }
    node.ctdb(&["shutdown"])?;
    // C's event daemon outlives its ctdbd by up to 5 s, and a new ctdbd cannot start beside it
    for name in ["ctdbd", "smbd", "ctdb-eventd"] {
        within(20, || node.check_none(name))?;
    }
    Ok(())
}

fn check_hosted_elsewhere(other: &Node, pnn: usize) -> Result<()> {
    let table = other.ctdb(&["ip", "all"])?;
    let here = table.lines().any(|line| line.ends_with(&format!(" {pnn}")));
    ensure!(!here, "{table}");
    Ok(())
}

fn bring_back(cluster: &Cluster, pnn: usize, addresses: &[IpAddr]) -> Result<()> {
    let node = &cluster.nodes[pnn];
    node.start_ctdbd()?;
    within(60, || cluster.check_all_ok())?;
    node.start_smbd()?;
    within(20, || check_serves(pnn))?;
    within(30, || check_hosted(node, addresses))
}

fn read_journals(cluster: &Cluster, steps: &[Step]) -> Result<Journal> {
    let mut journal = Journal::default();
    for node in &cluster.nodes {
        journal.read(node)?;
    }
    let dumps = cluster.nodes.iter();
    journal.persistent = dumps
        .map(|node| writers::dump(node, "persistent"))
        .collect::<Result<_>>()?;
    journal.volatile = writers::dump(&cluster.nodes[0], "volatile")?;
    // what only a node that leaves had of a volatile database is lost, as with a node that dies
    journal.kills = steps
        .iter()
        .map(|step| Kill {
            node: step.node,
            at: step.span.from,
            until: step.span.to,
            power: false,
        })
        .collect();
    Ok(journal)
}

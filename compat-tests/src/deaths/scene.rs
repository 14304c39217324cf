//! What all groups need: a cluster that is up, and ways to look at it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::report::{Report, within};

/// A volatile and a persistent database of the tests.
pub(crate) const VOLATILE: &str = "deaths_v.tdb";
/// The other one.
pub(crate) const PERSISTENT: &str = "deaths_p.tdb";
/// A second volatile one.
pub(crate) const OTHER: &str = "deaths_o.tdb";
/// Says that it was called, and with what.
const DEBUG_LOCKS: &str = "#!/bin/sh\necho \"$@\" >> /run/debug-locks\n";
/// The same, for scripts.
const DEBUG_HUNG: &str = "#!/bin/sh\necho \"$@\" >> /run/debug-hung\n";

/// A cluster that is up, with databases.
pub(super) struct Scene<'a> {
    pub(super) cluster: &'a Cluster,
    /// Without what takes long to wait for.
    pub(super) quick: bool,
}

impl<'a> Scene<'a> {
    pub(super) fn set(cluster: &'a Cluster, quick: bool) -> Result<Self> {
        for node in &cluster.nodes {
            for (name, text) in [("locks", DEBUG_LOCKS), ("hung", DEBUG_HUNG)] {
                let script = node.path(&format!("/etc/ctdb/debug-{name}-of-test"));
                fs::write(&script, text)?;
                fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
            }
        }
        cluster.start_ctdbd()?;
        let scene = Self { cluster, quick };
        scene.attach(&cluster.nodes[0])?;
        scene.check_works("first")?;
        Ok(scene)
    }

    pub(super) fn node(&self, pnn: usize) -> &'a Node {
        &self.cluster.nodes[pnn]
    }

    /// Attaches the databases on a node; an attached one is attached on all.
    pub(super) fn attach(&self, node: &Node) -> Result<()> {
        node.ctdb(&["attach", VOLATILE])?;
        node.ctdb(&["attach", OTHER])?;
        node.ctdb(&["attach", PERSISTENT, "persistent"]).map(drop)
    }

    /// The node that leads.
    pub(super) fn leader(&self) -> Result<usize> {
        self.leader_of(self.node(0))
    }

    pub(super) fn leader_of(&self, node: &Node) -> Result<usize> {
        let text = node.ctdb(&["leader"])?;
        text.trim()
            .parse()
            .with_context(|| format!("leader: {text}"))
    }

    /// A node that follows, and is not the first.
    pub(super) fn follower(&self) -> Result<usize> {
        Ok(if self.leader()? == 2 { 1 } else { 2 })
    }

    /// All nodes but one see each other OK and are not in recovery.
    pub(super) fn check_rest_ok(&self, but: usize) -> Result<()> {
        let others = || self.cluster.nodes.iter().filter(|node| node.pnn != but);
        others().try_for_each(|node| check_ok(node, others().count()))
    }

    /// A record written on each node is read on the next; a persistent one on all.
    pub(super) fn check_works(&self, what: &str) -> Result<()> {
        let nodes: Vec<_> = self.cluster.nodes.iter().collect();
        check_work_together(&nodes, what)
    }

    /// The same without one node.
    pub(super) fn check_rest_works(&self, but: usize, what: &str) -> Result<()> {
        let others = self.cluster.nodes.iter().filter(|node| node.pnn != but);
        check_work_together(&others.collect::<Vec<_>>(), what)
    }

    /// After a group: all is well, or made well for the next one.
    pub(super) fn recover_from(&self, report: &mut Report) -> Result<()> {
        let well = report.check("afterwards all nodes are OK and work", || {
            within(40, || self.cluster.check_all_ok())?;
            self.check_works("after")
        });
        ensure!(well, "the cluster is not as it was");
        Ok(())
    }
}

fn check_ok(node: &Node, wanted: usize) -> Result<()> {
    let status = node.ctdb(&["status"])?;
    let is_ok = |line: &&str| line.starts_with("pnn:") && crate::cluster::is_ok(line);
    let ok = status.lines().filter(is_ok).count();
    ensure!(
        ok == wanted && status.contains("Recovery mode:NORMAL"),
        "node {} sees {ok} of {wanted} OK\n{status}",
        node.pnn
    );
    Ok(())
}

pub(crate) fn check_work_together(nodes: &[&Node], what: &str) -> Result<()> {
    for (writer, reader) in nodes.iter().zip(nodes.iter().cycle().skip(1)) {
        let value = format!("{what}-{}", writer.pnn);
        write(writer, VOLATILE, "shared", &value)?;
        check_value(reader, VOLATILE, "shared", &value)?;
    }
    commit(nodes[0], what)?;
    nodes
        .iter()
        .try_for_each(|node| check_committed(node, what))
}

/// Writes a volatile record, as smbd would.
pub(crate) fn write(node: &Node, database: &str, key: &str, value: &str) -> Result<()> {
    node.ctdb(&["-t", "20", "writekey", database, key, value])
        .map(drop)
}

pub(crate) fn check_value(node: &Node, database: &str, key: &str, value: &str) -> Result<()> {
    let found = node.ctdb(&["-t", "20", "readkey", database, key])?;
    ensure!(
        found.contains(&format!("[{value}]")),
        "{value} is not in {found}"
    );
    Ok(())
}

/// Whoever wants that record gets nothing for so many seconds.
pub(crate) fn check_waits(node: &Node, seconds: u32, database: &str, key: &str) -> Result<()> {
    let script = format!("timeout -s KILL {seconds} ctdb readkey {database} {key} || echo waits");
    let found = node.sh(&script)?;
    ensure!(found.ends_with("waits\n"), "{found}");
    Ok(())
}

/// Commits to the persistent database.
pub(super) fn commit(node: &Node, value: &str) -> Result<()> {
    node.ctdb(&["-t", "20", "pstore", PERSISTENT, "key", value])
        .map(drop)
}

pub(super) fn check_committed(node: &Node, value: &str) -> Result<()> {
    let found = node.ctdb(&["-t", "20", "pfetch", PERSISTENT, "key"])?;
    ensure!(found.trim() == value, "{found} instead of {value}");
    Ok(())
}

/// The processes of that name on a node.
pub(crate) fn pids(node: &Node, name: &str) -> Result<Vec<u32>> {
    let found = node.sh(&format!("pgrep -x '{name}' || true"))?;
    found.lines().map(|pid| Ok(pid.trim().parse()?)).collect()
}

/// The one process of that name on a node.
pub(crate) fn pid(node: &Node, name: &str) -> Result<u32> {
    match pids(node, name)?[..] {
        [pid] => Ok(pid),
        ref pids => bail!("node {}: {name}: {pids:?}", node.pnn),
    }
}

/// ctdbd of a node.
pub(crate) fn ctdbd(node: &Node) -> Result<u32> {
    Ok(node.sh("cat /run/ctdb/ctdbd.pid")?.trim().parse()?)
}

pub(crate) fn signal(node: &Node, pid: u32, signal: &str) -> Result<()> {
    node.sh(&format!("kill -{signal} {pid}")).map(drop)
}

/// What a node's log says from now on.
pub(super) struct Log<'a> {
    node: &'a Node,
    from: usize,
}

impl<'a> Log<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        let from = fs::read(Self::path(node)).map_or(0, |text| text.len());
        Self { node, from }
    }

    fn path(node: &Node) -> std::path::PathBuf {
        node.path("/var/log/ctdb/log.ctdb")
    }

    pub(super) fn text(&self) -> Result<String> {
        let text = fs::read(Self::path(self.node)).context("the log")?;
        Ok(String::from_utf8_lossy(&text[self.from.min(text.len())..]).into_owned())
    }

    pub(super) fn count(&self, word: &str) -> Result<usize> {
        Ok(self
            .text()?
            .lines()
            .filter(|line| line.contains(word))
            .count())
    }

    pub(super) fn check_says(&self, words: &[&str]) -> Result<()> {
        let text = self.text()?;
        let found = text
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)));
        let tail: Vec<_> = text.lines().rev().take(15).collect();
        ensure!(
            found,
            "no line with {words:?}; the last, backwards:\n{}",
            tail.join("\n")
        );
        Ok(())
    }
}

/// The share of one CPU that a process of a node takes in that time.
pub(super) fn cpu_share(node: &Node, pid: u32, time: Duration) -> Result<f64> {
    let ticks = || -> Result<u64> {
        let stat = node.sh(&format!("cat /proc/{pid}/stat"))?;
        let rest = stat.rsplit_once(')').context("stat")?.1;
        let fields: Vec<_> = rest.split_whitespace().collect();
        Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
    };
    let (before, begin) = (ticks()?, Instant::now());
    std::thread::sleep(time);
    let used = ticks()? - before;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    Ok(used as f64 / 100.0 / begin.elapsed().as_secs_f64())
}

/// Resident memory of a process of a node, in KiB.
pub(super) fn resident(node: &Node, pid: u32) -> Result<u64> {
    let status = node.sh(&format!("grep VmRSS: /proc/{pid}/status"))?;
    let number = status.split_whitespace().nth(1).context("VmRSS")?;
    Ok(number.parse()?)
}

/// The number by which this program knows a process of a node.
pub(super) fn number_here(node: &Node, pid: u32) -> Result<u32> {
    let same = fs::read_link(format!("/proc/{}/ns/pid", node.init()))?;
    let is_it = |here: &u32| {
        let status = fs::read_to_string(format!("/proc/{here}/status")).unwrap_or_default();
        let mut lines = status.lines();
        let ids = lines.find_map(|line| line.strip_prefix("NSpid:"));
        ids.and_then(|ids| ids.split_whitespace().last()) == Some(&pid.to_string())
            && fs::read_link(format!("/proc/{here}/ns/pid")).is_ok_and(|found| found == same)
    };
    let mut pids = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(is_it).context("no such process")
}

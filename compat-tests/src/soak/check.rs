//! What is checked while all rest.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::shared::{Window, check_counts};
use super::smb;
use super::summary::lock;
use super::{Memory, Soak};
use crate::deaths::series::witness::State;
use crate::deaths::series::writers::dump;
use crate::host::address;
use crate::report::{Report, within};

/// What a daemon that leads has more than one that does not, in descriptors.
const ROLE: usize = 4;
/// What runs all the time.
const DAEMONS: [&str; 3] = ["ctdbd", "ctdb-clusterd", "ctdb-eventd"];
/// Workers that have nothing to do end within this time, in seconds.
const IDLE: u64 = 75;
/// What no daemon says unless it has a bug.
const BUGS: &str = "panicked|internal error|assertion|aborting";
/// Where daemons of the project may leave a core.
const CORES: &str = "/core* /var/lib/ctdb /var/log/ctdb /run/ctdb";
/// A file as old as the cluster.
const INSTALLED: &str = "/etc/ctdb/nodes";

impl Soak<'_> {
    /// Everything that was acknowledged is there.
    pub(super) fn check_data(&self, report: &mut Report) {
        for model in ["persistent", "replicated"] {
            report.check(
                &format!("every acknowledged {model} write is there"),
                || self.check_commits(model),
            );
        }
        report.check("a survivor's volatile writes are there", || {
            let mut journal = self.journal();
            for node in &self.cluster.nodes {
                journal.read_volatile(node)?;
            }
            journal.volatile = dump(&self.cluster.nodes[0], "volatile")?;
            journal.check_volatile()
        });
    }

    fn check_commits(&self, model: &str) -> Result<()> {
        let mut journal = self.journal();
        for node in &self.cluster.nodes {
            journal.read_commits(node, model)?;
            journal.persistent.push(dump(node, model)?);
        }
        journal.check_persistent()
    }

    /// Every file has what was written, and nobody counted beside another.
    pub(super) fn check_smb(&self, report: &mut Report) {
        report.check("every file of the SMB clients is as it was left", || {
            let last = self.cluster.nodes.len() - 1;
            let directories = smb::check_left(&self.done, address(last))?;
            println!("# {directories} directories");
            let wrong = lock(&self.done, |done| done.wrong.clone());
            ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
            Ok(())
        });
        report.check("nobody counted who should have been kept out", || {
            self.check_counters()
        });
        report.check("SMB works whenever nothing is broken", || {
            let troubles = lock(&self.done, |done| done.troubles.clone());
            self.check_quiet(troubles)
        });
        report.check("smbtorture passes whenever nothing is broken", || {
            let outcomes = lock(&self.tortures, |outcomes| outcomes.clone());
            let failed = outcomes.into_iter().filter_map(|outcome| {
                let why = format!("{}: {}", outcome.suite, outcome.failed?);
                Some((outcome.window, why))
            });
            self.check_quiet(failed.collect())
        });
    }

    fn check_counters(&self) -> Result<()> {
        let found = smb::counters(address(0))?;
        let counts = lock(&self.done, |done| done.counts.clone());
        for (name, counts) in counts {
            let found = found.get(&name).copied().unwrap_or(0);
            let right = check_counts(counts, &self.faults, found);
            right.map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
        }
        Ok(())
    }

    /// All of these troubles have to do with a fault.
    fn check_quiet(&self, troubles: Vec<(Window, String)>) -> Result<()> {
        let explained = |window: &Window| self.faults.iter().any(|fault| fault.meets(*window));
        let mut left: Vec<_> = troubles
            .into_iter()
            .filter(|(window, _)| !explained(window))
            .map(|(window, why)| {
                let took = (window.to - window.from) / 1_000_000;
                format!("at {} for {took} ms: {why}", window.from)
            })
            .collect();
        left.sort();
        ensure!(
            left.is_empty(),
            "{} times:\n{}",
            left.len(),
            left.join("\n")
        );
        Ok(())
    }

    /// The daemons have what they had before, and have not ended, disputed or complained.
    pub(super) fn check_daemons(&mut self, report: &mut Report) {
        let disputes: usize = self.views().iter().map(|view| view.disputes).sum();
        report.check("no two led at the same time", || {
            ensure!(disputes == 0, "{disputes} times");
            anyhow::Ok(())
        });
        report.check("no daemon ended by itself", || {
            ensure!(self.revived == 0, "{} did", self.revived);
            anyhow::Ok(())
        });
        report.check("no panic and no core file", || self.check_logs());
        report.check(
            "as many processes, descriptors and locks as at first",
            || within(IDLE, || self.check_states()),
        );
        report.check("no process that lives long has grown", || {
            self.memory.check()
        });
    }

    fn check_logs(&self) -> Result<()> {
        for node in &self.cluster.nodes {
            let bugs = format!("grep -iE '{BUGS}' /var/log/ctdb/log.ctdb | head -n 20");
            let bugs = node.sh(&bugs)?;
            ensure!(bugs.is_empty(), "node {}: {bugs}", node.pnn);
            let cores = node.sh(&format!(
                "find {CORES} -name 'core*' -type f -newer {INSTALLED} 2>/dev/null || true"
            ))?;
            ensure!(cores.is_empty(), "node {}: {cores}", node.pnn);
        }
        Ok(())
    }

    fn check_states(&mut self) -> Result<()> {
        let mut processes = BTreeMap::new();
        let mut states = Vec::new();
        for node in &self.cluster.nodes {
            let state = State::of(node)?;
            for (name, count) in state.processes() {
                *processes.entry(name.clone()).or_insert(0) += count;
            }
            states.push((node.pnn, state));
        }
        let then = self.processes.get_or_insert_with(|| processes.clone());
        let count = |all: &BTreeMap<String, usize>, name: &str| all.get(name).copied().unwrap_or(0);
        // an event that runs has more, for a moment
        let more = processes
            .keys()
            .any(|name| count(&processes, name) > count(then, name));
        let less = DAEMONS
            .iter()
            .any(|name| count(&processes, name) < count(then, name));
        if more || less {
            bail!("processes: {then:?}, then {processes:?}");
        }
        for (node, state) in states {
            let now = state.without_workers();
            let key = (node, now.pid());
            let first = self.first.entry(key).or_insert_with(|| now.clone());
            now.check_counts(first, ROLE)
                .with_context(|| format!("node {node}"))?;
        }
        Ok(())
    }
}

/// The memory of the daemons and of their managers, for the line of a minute.
pub(super) fn shown(memory: &Memory, at: std::time::Duration) -> String {
    ["ctdbd", "ctdb-clusterd"]
        .map(|name| format!("{name} {:?}", memory.now(name, at)))
        .join(", ")
}

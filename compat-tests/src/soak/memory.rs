//! What memory each process of the project has, from its first moment to its last.
//!
//! What counts for a leak is memory of its own, `RssAnon`: what it shares are the databases' files, which grow with what is
//! written to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::node::Node;

/// How much more a process may have than at its level, in KiB.
const GROWTH: u64 = 8 * 1024;

/// One process: its node, number and start, by the kernel's clock.
type Key = (usize, u32, u64);

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at: Duration,
    /// KiB of its own.
    own: u64,
    /// KiB resident in all.
    resident: u64,
}

#[derive(Debug)]
struct Life {
    name: String,
    samples: Vec<Sample>,
}

impl Life {
    fn lasted(&self) -> Duration {
        match (self.samples.first(), self.samples.last()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => Duration::ZERO,
        }
    }

    /// What it had at its level, and what it had last.
    fn growth(&self, settle: Duration) -> Option<(Sample, Sample)> {
        let first = self.samples.first()?;
        let mut settled = self.samples.iter();
        let level = settled.find(|sample| sample.at >= first.at + settle)?;
        Some((*level, *self.samples.last()?))
    }
}

/// All processes that were seen.
#[derive(Debug)]
pub(super) struct Memory {
    lives: BTreeMap<Key, Life>,
    /// After which time a process has its level.
    settle: Duration,
    /// How long one has to live to be judged.
    life: Duration,
}

impl Memory {
    pub(super) fn new(settle: Duration, life: Duration) -> Self {
        Self {
            lives: BTreeMap::new(),
            settle,
            life,
        }
    }

    /// Looks at all of a node's processes; one that ends meanwhile is none.
    pub(super) fn look(&mut self, node: &Node, at: Duration) {
        let Ok(entries) = fs::read_dir(node.path("/proc")) else {
            return;
        };
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else {
                continue;
            };
            if let Some((name, start, sample)) = look_at(&entry.path(), at) {
                let life = self.lives.entry((node.pnn, pid, start));
                let new = || Life {
                    name,
                    samples: Vec::new(),
                };
                life.or_insert_with(new).samples.push(sample);
            }
        }
    }

    /// Those that lived long, with their level and what they had last.
    fn judged(&self) -> impl Iterator<Item = (&Key, &Life, Sample, Sample)> {
        let long = self.lives.iter();
        long.filter(|(_, life)| life.lasted() >= self.life)
            .filter_map(|(key, life)| {
                let (level, last) = life.growth(self.settle)?;
                Some((key, life, level, last))
            })
    }

    /// None that lived long has grown.
    ///
    /// # Errors
    /// Names the first that has.
    pub(super) fn check(&self) -> Result<()> {
        for ((node, pid, _), life, level, last) in self.judged() {
            if last.own > level.own + GROWTH {
                let all: Vec<_> = life.samples.iter().map(|sample| sample.own).collect();
                bail!("node {node}: {} {pid}: KiB {all:?}", life.name);
            }
        }
        Ok(())
    }

    /// A line for each that lived long; of processes with the same name on a node for that which has grown most.
    pub(super) fn print(&self) {
        println!("# memory of what lived for {:?}, in KiB", self.life);
        let mut grown: BTreeMap<_, (i64, usize, String)> = BTreeMap::new();
        for ((node, pid, _), life, level, last) in self.judged() {
            let growth = last.own.cast_signed() - level.own.cast_signed();
            let line = format!(
                "{pid:>6} {:>5} s: own {:>6} at its level, {:>6} last; resident {:>6}, {:>6}",
                life.lasted().as_secs(),
                level.own,
                last.own,
                level.resident,
                last.resident,
            );
            let most = grown.entry((*node, &life.name));
            let most = most.or_insert((i64::MIN, 0, String::new()));
            most.1 += 1;
            if growth > most.0 {
                (most.0, most.2) = (growth, line);
            }
        }
        for ((node, name), (_, count, line)) in grown {
            println!("#   node {node} {name:<16} the most of {count:>2}: {line}");
        }
    }

    /// What the processes of that name have now, by node, in KiB of their own.
    pub(super) fn now(&self, name: &str, at: Duration) -> Vec<u64> {
        let named = self.lives.values().filter(|life| life.name == name);
        let last = named.filter_map(|life| life.samples.last());
        last.filter(|sample| sample.at == at)
            .map(|sample| sample.own)
            .collect()
    }
}

/// Name, start and memory of a process of the project.
fn look_at(process: &Path, at: Duration) -> Option<(String, u64, Sample)> {
    let name = fs::read_to_string(process.join("comm")).ok()?;
    let name = name.trim();
    // its tool and the writers of the test are not what is tested
    if !name.starts_with("ctdb") || matches!(name, "ctdb" | "ctdb-load") {
        return None;
    }
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let start = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    let status = fs::read_to_string(process.join("status")).ok()?;
    let kib = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let sample = Sample {
        at,
        own: kib("RssAnon:")?,
        resident: kib("VmRSS:")?,
    };
    Some((name.to_owned(), start.parse().ok()?, sample))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(own: &[u64]) -> Memory {
        let sample = |(at, own): (usize, &u64)| Sample {
            at: Duration::from_secs(at as u64 * 60),
            own: *own,
            resident: *own,
        };
        let life = Life {
            name: "ctdbd".to_owned(),
            samples: own.iter().enumerate().map(sample).collect(),
        };
        Memory {
            lives: BTreeMap::from([((0, 1, 0), life)]),
            ..Memory::new(Duration::from_secs(120), Duration::from_secs(300))
        }
    }

    #[test]
    fn what_grows_after_its_level_leaks() {
        memory(&[1000, 90_000, 100_000, 100_000, 104_000, 108_000])
            .check()
            .unwrap();
        memory(&[1000, 1000, 1000, 4000, 8000, 12_000])
            .check()
            .unwrap_err();
    }

    #[test]
    fn what_lives_briefly_is_not_judged() {
        memory(&[1000, 1000, 1000, 100_000]).check().unwrap();
    }
}

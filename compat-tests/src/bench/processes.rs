//! What a daemon's processes cost: CPU time and memory, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::node::Node;

/// Of `cutime` and `cstime` (USER_HZ, the same on every Linux).
const TICK: Duration = Duration::from_millis(10);

/// The ctdbd of a node.
#[derive(Debug, Clone, Copy)]
pub struct Daemon {
    /// As this process sees it.
    pub pid: u32,
}

impl Daemon {
    /// The daemon that runs on a node.
    ///
    /// # Errors
    /// None runs.
    pub fn of(node: &Node) -> Result<Self> {
        let text = fs::read_to_string(node.path("/run/ctdb/ctdbd.pid")).context("ctdbd.pid")?;
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = namespace(node.init());
        let is_it = |pid: &u32| {
            inner_number(*pid).as_deref() == Some(text.trim()) && namespace(*pid) == own
        };
        let pid = numbers("/proc")
            .into_iter()
            .find(is_it)
            .context("ctdbd does not run")?;
        Ok(Self { pid })
    }

    /// The daemon and all that it started, and those in turn.
    #[must_use]
    pub fn processes(self) -> Vec<u32> {
        descendants(self.pid, &parents())
    }

    /// CPU time of all its processes until now; also of children that ended, to a tick.
    #[must_use]
    pub fn cpu(self) -> Duration {
        self.processes().into_iter().map(cpu_of).sum()
    }

    /// Resident memory of the daemon itself, in bytes.
    ///
    /// # Errors
    /// It is gone.
    pub fn resident(self) -> Result<u64> {
        sized_line(Path::new(&format!("/proc/{}/status", self.pid)), "VmRSS:")
    }

    /// How many descriptors it has open.
    ///
    /// # Errors
    /// It is gone.
    pub fn descriptors(self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// Memory of all its processes, a page that several share counted in parts; in bytes.
    ///
    /// # Errors
    /// The daemon is gone.
    pub fn proportional(self) -> Result<u64> {
        let of = |pid: u32| sized_line(Path::new(&format!("/proc/{pid}/smaps_rollup")), "Pss:");
        let own = of(self.pid)?;
        // one that ended meanwhile has none
        let others = self.processes().into_iter().filter(|pid| *pid != self.pid);
        Ok(own + others.filter_map(|pid| of(pid).ok()).sum::<u64>())
    }
}

/// The names of a directory that are numbers.
fn numbers(dir: &str) -> Vec<u32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The number of a process in its own namespace.
fn inner_number(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_whitespace().last().map(str::to_owned)
}

/// The parent of every process.
fn parents() -> BTreeMap<u32, u32> {
    let parent = |pid| Some((pid, Stat::read(&format!("/proc/{pid}/stat"))?.parent));
    numbers("/proc").into_iter().filter_map(parent).collect()
}

fn descendants(of: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, p)| **p == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
}

fn cpu_of(pid: u32) -> Duration {
    let tasks = format!("/proc/{pid}/task");
    let own = numbers(&tasks).into_iter().filter_map(|tid| {
        let text = fs::read_to_string(format!("{tasks}/{tid}/schedstat")).ok()?;
        text.split(' ')
            .next()?
            .parse()
            .ok()
            .map(Duration::from_nanos)
    });
    let children = Stat::read(&format!("/proc/{pid}/stat")).map_or(0, |stat| stat.children_ticks);
    own.sum::<Duration>() + TICK * children
}

/// Some fields of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// CPU time of children that ended and were waited for.
    children_ticks: u32,
}

impl Stat {
    fn read(path: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(path).ok()?)
    }

    /// The second field is in parentheses and may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
        Some(Self {
            parent: number(1)?,
            children_ticks: number(13)?.saturating_add(number(14)?),
        })
    }
}

/// `Pss:   123 kB`, in bytes.
fn sized_line(path: &Path, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("{} in {}", name, path.display()))?;
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let line = "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 99";
        assert_eq!(
            Stat::parse(line),
            Some(Stat {
                parent: 3,
                children_ticks: 15
            })
        );
    }

    #[test]
    fn children_of_children_belong_to_it() {
        let parents = BTreeMap::from([(1, 0), (2, 1), (3, 2), (4, 1), (5, 3)]);
        assert_eq!(descendants(2, &parents), [2, 3, 5]);
    }

    #[test]
    fn own_time_and_memory_are_found() {
        let own = Daemon {
            pid: std::process::id(),
        };
        assert!(own.cpu() > Duration::ZERO);
        assert!(own.resident().unwrap() > 100_000);
        assert!(own.proportional().unwrap() > 10_000);
    }
}

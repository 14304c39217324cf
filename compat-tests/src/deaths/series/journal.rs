//! What was written, by the journals of the writers, against what is there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::{journal_of, lines};
use crate::node::Node;

/// How long after the start of a new daemon a writer may still have had the files of the old one.
const CLOSING: u64 = 500_000_000;
/// Kills so long before and after what is lost are told with it.
const AROUND: u64 = 60_000_000_000;

/// One kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) node: usize,
    /// When, by the clock of the journals.
    pub(crate) at: u64,
    /// When its ctdbd was started again.
    pub(crate) until: u64,
    /// The writers died with it, perhaps between a write and its line.
    pub(crate) power: bool,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    counter: u64,
    node: usize,
    acknowledged: bool,
}

type Entries = BTreeMap<String, Vec<Entry>>;

/// All journals of a cluster, and what it has at the end.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) kills: Vec<Kill>,
    volatile_entries: Entries,
    persistent_entries: Entries,
    /// Counters by key.
    pub(crate) volatile: BTreeMap<String, u64>,
    /// The same as each node has them.
    pub(crate) persistent: Vec<BTreeMap<String, u64>>,
}

impl Journal {
    /// Takes in the journals of a node.
    pub(crate) fn read(&mut self, node: &Node) -> Result<()> {
        self.read_volatile(node)?;
        self.read_commits(node, "persistent")
    }

    /// Takes in a node's journal of volatile writes alone.
    pub(crate) fn read_volatile(&mut self, node: &Node) -> Result<()> {
        read_into(&mut self.volatile_entries, node, "volatile")
    }

    /// Takes in a node's journal of the commits of one model, of which the rules of the persistent one hold.
    pub(crate) fn read_commits(&mut self, node: &Node, model: &str) -> Result<()> {
        read_into(&mut self.persistent_entries, node, model)
    }

    /// When the node's writes of a kind were acknowledged, in order, by the clock of the journals.
    pub(crate) fn acknowledged(&self, node: usize, model: &str) -> Vec<u64> {
        let entries = match model {
            "volatile" => &self.volatile_entries,
            _ => &self.persistent_entries,
        };
        let all = entries.values().flatten();
        let its = all.filter(|entry| entry.node == node && entry.acknowledged);
        let mut times: Vec<_> = its.map(|entry| entry.at).collect();
        times.sort_unstable();
        times
    }

    pub(crate) fn summary(&self) -> String {
        let count = |entries: &Entries| entries.values().map(Vec::len).sum::<usize>();
        let all = self.persistent_entries.values().flatten();
        let unknown = all.filter(|entry| !entry.acknowledged).count();
        format!(
            "{} volatile writes, {} persistent ones, {unknown} of them unknown; {} kills",
            count(&self.volatile_entries),
            count(&self.persistent_entries),
            self.kills.len()
        )
    }

    /// Every counter that was acknowledged was so once, and is not more than what every node has.
    pub(crate) fn check_persistent(&self) -> Result<()> {
        ensure!(!self.persistent_entries.is_empty(), "nothing was written");
        let first = self.persistent.first().context("no node")?;
        for (pnn, other) in self.persistent.iter().enumerate() {
            ensure!(other == first, "node {pnn} has {other:?}, node 0 {first:?}");
        }
        for (key, entries) in &self.persistent_entries {
            let found = first.get(key).copied().unwrap_or(0);
            let mut seen = BTreeSet::new();
            for entry in entries.iter().filter(|entry| entry.acknowledged) {
                let counter = entry.counter;
                ensure!(counter <= found, "{key} is {found}, {entry:?} is lost");
                ensure!(
                    seen.insert(counter),
                    "{key}: {counter} was acknowledged twice"
                );
            }
        }
        Ok(())
    }

    /// A counter goes back only behind writes of a node that was killed in between.
    pub(crate) fn check_volatile(&self) -> Result<()> {
        ensure!(!self.volatile_entries.is_empty(), "nothing was written");
        let power = self.kills.iter().filter(|kill| kill.power).count() as u64;
        for (key, entries) in &self.volatile_entries {
            let found = self.volatile.get(key).copied().unwrap_or(0);
            let most = entries.iter().map(|entry| entry.counter).max().unwrap_or(0);
            ensure!(
                found <= most + power,
                "{key} is {found}, nobody wrote more than {most}"
            );
            self.check_steps(key, entries, found)?;
        }
        Ok(())
    }

    /// `entries` are in the order of their time; what is found at the end comes after all.
    fn check_steps(&self, key: &str, entries: &[Entry], found: u64) -> Result<()> {
        // those that nothing has gone back behind so far, with rising counters
        let mut standing: Vec<Entry> = Vec::new();
        // what the next writer has seen is one less than what it wrote
        let seen = |entry: &Entry| (entry.at, entry.counter - 1);
        let steps = entries.iter().map(|entry| (Some(entry), seen(entry)));
        for (entry, (at, value)) in steps.chain([(None, (u64::MAX, found))]) {
            let kept = standing.partition_point(|entry| entry.counter <= value);
            let lost = standing[kept..].iter();
            match lost.rev().find(|entry| !self.may_be_lost(entry, at)) {
                None => standing.truncate(kept),
                // a node that the others went on without has written on to its own copy, which is lost
                Some(_) if entry.is_some_and(|entry| self.may_be_lost(entry, at)) => continue,
                Some(last) => bail!(
                    "{key} was {value} at {at}: {last:?} is lost; kills then {:?}",
                    self.kills_between(last.at.saturating_sub(AROUND), at.saturating_add(AROUND))
                ),
            }
            standing.extend(entry);
        }
        Ok(())
    }

    fn kills_between(&self, begin: u64, end: u64) -> Vec<&Kill> {
        let kills = self.kills.iter();
        kills
            .filter(|kill| kill.at <= end && kill.until >= begin)
            .collect()
    }

    fn may_be_lost(&self, entry: &Entry, by: u64) -> bool {
        let mut kills = self.kills.iter().filter(|kill| kill.node == entry.node);
        kills.any(|kill| entry.at <= kill.until + CLOSING && by >= kill.at)
    }
}

fn read_into(all: &mut Entries, node: &Node, model: &str) -> Result<()> {
    for line in lines(node, &format!("cat {}", journal_of(model)))? {
        let (key, entry) = parse(&line, node.pnn).with_context(|| format!("journal: {line}"))?;
        let entries = all.entry(key).or_default();
        entries.push(entry);
    }
    all.values_mut().for_each(|entries| entries.sort());
    Ok(())
}

/// `NANOSECONDS MODEL KEY COUNTER [unknown]`
fn parse(line: &str, node: usize) -> Option<(String, Entry)> {
    let mut words = line.split(' ');
    let at = words.next()?.parse().ok()?;
    let key = words.nth(1)?.to_owned();
    let counter: u64 = words.next()?.parse().ok().filter(|counter| *counter > 0)?;
    let acknowledged = match words.next() {
        None => true,
        Some("unknown") => false,
        Some(_) => return None,
    };
    let entry = Entry {
        at,
        counter,
        node,
        acknowledged,
    };
    Some((key, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(lines: &[(usize, &str)], kills: &[Kill]) -> Journal {
        let mut journal = Journal {
            kills: kills.to_vec(),
            ..Journal::default()
        };
        for (node, line) in lines {
            let (key, entry) = parse(line, *node).unwrap();
            let entries = match line.contains("volatile") {
                true => &mut journal.volatile_entries,
                false => &mut journal.persistent_entries,
            };
            entries.entry(key).or_default().push(entry);
        }
        journal
    }

    const KILL: Kill = Kill {
        node: 1,
        at: 1_000_000_000,
        until: 1_000_000_000,
        power: false,
    };
    const LINES: [(usize, &str); 4] = [
        (0, "10 volatile k 1"),
        (0, "20 volatile k 2"),
        (1, "30 volatile k 3"),
        (0, "2000000000 volatile k 3"),
    ];

    #[test]
    fn what_only_the_killed_node_wrote_may_be_lost() {
        let mut killed = journal(&LINES, &[KILL]);
        killed.volatile.insert("k".into(), 3);
        killed.check_volatile().unwrap();
        let mut survived = journal(&LINES, &[Kill { node: 0, ..KILL }]);
        survived.volatile.insert("k".into(), 3);
        survived.check_volatile().unwrap_err();
    }

    #[test]
    fn what_a_node_writes_that_the_others_went_on_without_is_lost_alone() {
        let hung = Kill {
            at: 20,
            until: 70,
            ..KILL
        };
        let lines = [
            (0, "10 volatile k 1"),
            (0, "30 volatile k 2"),
            (0, "40 volatile k 3"),
            (1, "50 volatile k 2"),
            (0, "60 volatile k 4"),
        ];
        let mut went_on = journal(&lines, &[hung]);
        went_on.volatile.insert("k".into(), 4);
        went_on.check_volatile().unwrap();
        let mut went_back = journal(&lines, &[hung]);
        went_back.volatile.insert("k".into(), 2);
        went_back.check_volatile().unwrap_err();
    }

    #[test]
    fn the_end_counts_too_and_nothing_comes_from_nowhere() {
        let mut lost = journal(&LINES, &[KILL]);
        lost.volatile.insert("k".into(), 2);
        lost.check_volatile().unwrap_err();
        lost.volatile.insert("k".into(), 4);
        lost.check_volatile().unwrap_err();
    }

    #[test]
    fn an_acknowledged_commit_is_on_all_nodes() {
        let lines = [(0, "1 persistent k 1"), (1, "2 persistent k 2 unknown")];
        let mut journal = journal(&lines, &[]);
        let has = |counter| BTreeMap::from([("k".to_owned(), counter)]);
        journal.persistent = vec![has(1), has(1)];
        journal.check_persistent().unwrap();
        journal.persistent = vec![has(2), has(1)];
        journal.check_persistent().unwrap_err();
        journal.persistent = vec![has(0), has(0)];
        journal.check_persistent().unwrap_err();
    }
}

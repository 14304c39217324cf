//! What happens in a run: how the cluster is made, and a list of what clients do and what breaks, each at its time.
//!
//! A script comes from a seed, or from a file: a line of settings, then one line for each step. Whatever else is left to
//! chance in a run (delays, above all) comes from the script's seed, so a script is played the same way each time.
//!
//! ```text
//! seed 17 nodes 3 lock readonly
//! 1200 add 0.1 2
//! 5000 cut 0 1
//! ```

use std::fmt;
use std::str::FromStr;

use crate::rng::Rng;

/// A node, and a client of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who(pub u32, pub u32);

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A client writes a new value to a volatile record.
    Add(Who, u32),
    /// A client reads a volatile record.
    Read(Who, u32),
    /// A client reads a volatile record and is content with a lent copy.
    Peek(Who, u32),
    /// A client empties a volatile record.
    Delete(Who, u32),
    /// A client writes a volatile record and keeps its lock for so many milliseconds.
    Hold(Who, u32, u32),
    /// A client commits to the persistent database (0) or the replicated one (1).
    Commit(Who, u32),
    /// A client reads the whole volatile database.
    Traverse(Who),
    /// A client dies.
    End(Who),
    /// A client is stopped for so many milliseconds.
    Freeze(Who, u32),
    /// Nothing goes from one node to another any more.
    Cut(u32, u32),
    /// All goes again.
    Heal,
    /// The connections of two nodes break.
    Reset(u32, u32),
    /// What one node sends to another is late by so many milliseconds, from now on.
    Slow(u32, u32, u32),
    /// A daemon does nothing for so many milliseconds.
    Hang(u32, u32),
    /// A daemon is killed.
    Kill(u32),
    /// A node loses power: what was not synced may be lost.
    Power(u32),
    /// A daemon that is not there is started.
    Start(u32),
    /// A cluster manager is killed; its daemon starts another.
    Manager(u32),
    /// The workers of a node die.
    Workers(u32),
    /// A node is banned for so many seconds.
    Ban(u32, u32),
    /// `ctdb stop`.
    Stop(u32),
    /// `ctdb continue`.
    Continue(u32),
    /// The cluster lock is lost by whoever holds it.
    Unlock,
}

/// A step and its time, in milliseconds since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: u64,
    /// What.
    pub what: What,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For all that is left to chance.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u32,
    /// Whether there is a cluster lock.
    pub lock: bool,
    /// Whether the volatile database lends copies.
    pub readonly: bool,
    /// Whether its records may become sticky.
    pub sticky: bool,
    /// The steps, in order of time.
    pub steps: Vec<Step>,
}

/// Keys of the volatile database.
pub(crate) const KEYS: u32 = 6;
/// Clients of each node.
pub(crate) const CLIENTS: u32 = 2;
/// When the first step may be: the cluster has recovered for the first time by then, mostly.
const FIRST: u64 = 8_000;

impl Script {
    /// The script of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let nodes = [2, 3, 3, 3, 4, 5, 7][rng.below(7) as usize];
        let mut script = Self {
            seed,
            nodes,
            lock: rng.chance(70),
            readonly: rng.chance(30),
            sticky: rng.chance(10),
            steps: Vec::new(),
        };
        let length = 5_000 + rng.below(25_000);
        for _ in 0..1 + rng.below(4) {
            script.burst(&mut rng, length);
        }
        for _ in 0..rng.below(7) {
            script.fault(&mut rng, length);
        }
        script.steps.sort_by_key(|step| step.at);
        script
    }

    /// How many nodes there must be for all steps to have theirs.
    pub(crate) fn nodes_named(&self) -> u32 {
        let named = self.steps.iter().flat_map(|step| step.what.nodes());
        named.max().map_or(0, |node| node + 1)
    }

    fn push(&mut self, at: u64, what: What) {
        let at = FIRST + at;
        self.steps.push(Step { at, what });
    }

    /// Clients are busy for a while.
    fn burst(&mut self, rng: &mut Rng, length: u64) {
        let mut at = rng.below(length);
        // few keys: they are to meet
        let keys = 1 + rng.below(u64::from(KEYS)) as u32;
        let gap = [2, 20, 200][rng.below(3) as usize];
        let kinds = rng.below(3);
        for _ in 0..10 + rng.below(60) {
            at += rng.below(gap);
            let what = self.op(rng, keys, kinds);
            self.push(at, what);
        }
    }

    fn op(&self, rng: &mut Rng, keys: u32, kinds: u64) -> What {
        let who = self.who(rng);
        let key = rng.below(u64::from(keys)) as u32;
        if kinds == 0 || rng.chance(5) {
            return What::Commit(who, rng.below(2) as u32);
        }
        match rng.below(20) {
            0..=8 => What::Add(who, key),
            9..=11 => What::Read(who, key),
            12..=14 => What::Peek(who, key),
            15 | 16 => What::Delete(who, key),
            17 | 18 => What::Hold(who, key, 1 + rng.below(40) as u32),
            _ => What::Traverse(who),
        }
    }

    fn who(&self, rng: &mut Rng) -> Who {
        Who(self.node(rng), rng.below(u64::from(CLIENTS)) as u32)
    }

    fn node(&self, rng: &mut Rng) -> u32 {
        rng.below(u64::from(self.nodes)) as u32
    }

    /// Something breaks, and is mended later, mostly.
    fn fault(&mut self, rng: &mut Rng, length: u64) {
        let at = rng.below(length);
        let after = at + 100 + rng.below(12_000);
        let node = self.node(rng);
        let other = (node + 1 + rng.below(u64::from(self.nodes - 1)) as u32) % self.nodes;
        let ms = [3, 30, 400, 3_000, 12_000][rng.below(5) as usize];
        let ms = 1 + rng.below(ms) as u32;
        match rng.below(15) {
            0 => self.push(at, What::Reset(node, other)),
            1 => self.push(at, What::Slow(node, other, ms.min(2_000))),
            2 => self.push(at, What::Hang(node, ms)),
            3 | 4 => self.down(at, after, What::Kill(node), node),
            5 => self.down(at, after, What::Power(node), node),
            6 => self.push(at, What::Manager(node)),
            7 => self.push(at, What::Workers(node)),
            8 => self.push(at, What::Ban(node, 1 + ms / 1_000)),
            9 => {
                self.push(at, What::Stop(node));
                self.push(after, What::Continue(node));
            }
            10 => self.push(at, What::Unlock),
            11 => {
                let who = self.who(rng);
                self.push(at, What::End(who));
            }
            12 => {
                let who = self.who(rng);
                let what = What::Hold(who, rng.below(u64::from(KEYS)) as u32, ms);
                self.push(at, what);
                self.push(at + rng.below(20), What::Freeze(who, ms));
            }
            13 => {
                self.push(at, What::Cut(node, other));
                if rng.chance(50) {
                    self.push(at, What::Cut(other, node));
                }
                self.push(after, What::Heal);
            }
            _ => self.partition(rng, at, after),
        }
    }

    fn down(&mut self, at: u64, after: u64, what: What, node: u32) {
        self.push(at, what);
        self.push(after, What::Start(node));
    }

    /// The cluster falls into two parts.
    fn partition(&mut self, rng: &mut Rng, at: u64, after: u64) {
        let side = 1 + rng.below((1 << self.nodes) - 2);
        for a in 0..self.nodes {
            for b in 0..self.nodes {
                if (side >> a) & 1 != (side >> b) & 1 {
                    self.push(at, What::Cut(a, b));
                }
            }
        }
        self.push(after, What::Heal);
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(who, key) => write!(f, "add {who} {key}"),
            Self::Read(who, key) => write!(f, "read {who} {key}"),
            Self::Peek(who, key) => write!(f, "peek {who} {key}"),
            Self::Delete(who, key) => write!(f, "delete {who} {key}"),
            Self::Hold(who, key, ms) => write!(f, "hold {who} {key} {ms}"),
            Self::Commit(who, db) => write!(f, "commit {who} {db}"),
            Self::Traverse(who) => write!(f, "traverse {who}"),
            Self::End(who) => write!(f, "end {who}"),
            Self::Freeze(who, ms) => write!(f, "freeze {who} {ms}"),
            Self::Cut(a, b) => write!(f, "cut {a} {b}"),
            Self::Heal => write!(f, "heal"),
            Self::Reset(a, b) => write!(f, "reset {a} {b}"),
            Self::Slow(a, b, ms) => write!(f, "slow {a} {b} {ms}"),
            Self::Hang(n, ms) => write!(f, "hang {n} {ms}"),
            Self::Kill(n) => write!(f, "kill {n}"),
            Self::Power(n) => write!(f, "power {n}"),
            Self::Start(n) => write!(f, "start {n}"),
            Self::Manager(n) => write!(f, "manager {n}"),
            Self::Workers(n) => write!(f, "workers {n}"),
            Self::Ban(n, s) => write!(f, "ban {n} {s}"),
            Self::Stop(n) => write!(f, "stop {n}"),
            Self::Continue(n) => write!(f, "continue {n}"),
            Self::Unlock => write!(f, "unlock"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} nodes {}", self.seed, self.nodes)?;
        let words = [
            (self.lock, " lock"),
            (self.readonly, " readonly"),
            (self.sticky, " sticky"),
        ];
        for (_, word) in words.iter().filter(|(is, _)| *is) {
            f.write_str(word)?;
        }
        writeln!(f)?;
        self.steps
            .iter()
            .try_for_each(|step| writeln!(f, "{} {}", step.at, step.what))
    }
}

/// The words of one line.
struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| "a word is missing".to_owned())
    }

    fn number<T: FromStr>(&mut self) -> Result<T, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("{word} is no number"))
    }

    fn who(&mut self) -> Result<Who, String> {
        let word = self.word()?;
        let numbers = word.split_once('.');
        let numbers = numbers.and_then(|(n, c)| Some(Who(n.parse().ok()?, c.parse().ok()?)));
        numbers.ok_or_else(|| format!("{word} is no client"))
    }

    fn what(&mut self) -> Result<What, String> {
        Ok(match self.word()? {
            "add" => What::Add(self.who()?, self.number()?),
            "read" => What::Read(self.who()?, self.number()?),
            "peek" => What::Peek(self.who()?, self.number()?),
            "delete" => What::Delete(self.who()?, self.number()?),
            "hold" => What::Hold(self.who()?, self.number()?, self.number()?),
            "commit" => What::Commit(self.who()?, self.number()?),
            "traverse" => What::Traverse(self.who()?),
            "end" => What::End(self.who()?),
            "freeze" => What::Freeze(self.who()?, self.number()?),
            "cut" => What::Cut(self.number()?, self.number()?),
            "heal" => What::Heal,
            "reset" => What::Reset(self.number()?, self.number()?),
            "slow" => What::Slow(self.number()?, self.number()?, self.number()?),
            "hang" => What::Hang(self.number()?, self.number()?),
            "kill" => What::Kill(self.number()?),
            "power" => What::Power(self.number()?),
            "start" => What::Start(self.number()?),
            "manager" => What::Manager(self.number()?),
            "workers" => What::Workers(self.number()?),
            "ban" => What::Ban(self.number()?, self.number()?),
            "stop" => What::Stop(self.number()?),
            "continue" => What::Continue(self.number()?),
            "unlock" => What::Unlock,
            other => return Err(format!("{other} is no step")),
        })
    }
}

impl What {
    /// The nodes that it names.
    fn nodes(self) -> [u32; 2] {
        match self {
            Self::Add(who, _)
            | Self::Read(who, _)
            | Self::Peek(who, _)
            | Self::Delete(who, _)
            | Self::Hold(who, ..)
            | Self::Commit(who, _)
            | Self::Traverse(who)
            | Self::End(who)
            | Self::Freeze(who, _) => [who.0; 2],
            Self::Cut(a, b) | Self::Reset(a, b) | Self::Slow(a, b, _) => [a, b],
            Self::Hang(n, _)
            | Self::Kill(n)
            | Self::Power(n)
            | Self::Start(n)
            | Self::Manager(n)
            | Self::Workers(n)
            | Self::Ban(n, _)
            | Self::Stop(n)
            | Self::Continue(n) => [n; 2],
            Self::Heal | Self::Unlock => [0; 2],
        }
    }
}

fn settings(line: &str) -> Result<Script, String> {
    let mut words = Words(line.split_whitespace());
    let mut script = Script {
        seed: 0,
        nodes: 3,
        lock: false,
        readonly: false,
        sticky: false,
        steps: Vec::new(),
    };
    while let Ok(word) = words.word() {
        match word {
            "seed" => script.seed = words.number()?,
            "nodes" => script.nodes = words.number()?,
            "lock" => script.lock = true,
            "readonly" => script.readonly = true,
            "sticky" => script.sticky = true,
            other => return Err(format!("{other} is no setting")),
        }
    }
    Ok(script)
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let mut script = settings(lines.next().ok_or("no settings")?)?;
        for line in lines {
            let mut words = Words(line.split_whitespace());
            let at = words.number()?;
            let what = words.what().map_err(|why| format!("{line}: {why}"))?;
            if what.nodes().iter().any(|node| *node >= script.nodes) {
                return Err(format!("{line}: there is no such node"));
            }
            script.steps.push(Step { at, what });
        }
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_what_its_text_says() {
        for seed in 0..300 {
            let script = Script::of_seed(seed);
            assert_eq!(script.to_string().parse(), Ok(script));
        }
    }

    #[test]
    fn what_is_no_script_is_refused() {
        for text in [
            "",
            "nodes x",
            "nodes 3\n1 cut 0",
            "nodes 3\n1 cut 0 3",
            "nodes 3\n1 dance",
        ] {
            assert!(text.parse::<Script>().is_err(), "{text}");
        }
    }
}

//! The states that a cluster goes through, and what is asked in each.
//!
//! The first node starts alone and leads from then on, so who leads is the same on both sides.
//! Nothing waits for a time; all waiting is for a state.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, bail, ensure};

use super::Which;
use super::addresses;
use super::ask::{Step, ask};
use super::databases::{
    ATTACH, BY_NUMBER, DATABASE_USAGE, DATABASES, DETACH, NO_DATABASE, OF_DATABASE,
    OF_DATABASE_AGAIN, RECORDS, RESTORE, RESTORE_AGAIN,
};
use super::statistics::COUNTED;
use super::tables::{
    BESIDE_INACTIVE, COUNTERS, COUNTS, INACTIVE, NO_DAEMON, NO_LEADER, ONCE, QUESTIONS, RESET, WORK,
};
use crate::cluster::{Cluster, check_ok};
use crate::node::Node;
use crate::report::within;
use crate::sections::check_line;

/// Vacuuming would come and go as a client, and as records that are there or not.
const TUNABLES: &str = "VacuumInterval=3600\n";
/// An event script that the daemon's counters do not see.
const SCRIPT: &str = "#!/bin/sh\nexit 0\n";
/// A tool that still runs, and what C's recovery daemon starts and waits for.
const HELPERS: &str = "^ctdb$|ctdb_recovery_h|ctdb_takeover_h";
/// How the last node leaves and returns: a command, the flag that is then shown, and the way back.
const AWAY: [(&str, &str, &str); 3] = [
    ("disable", "DISABLED", "enable"),
    ("ban 300", "BANNED", "unban"),
    ("stop", "STOPPED", "continue"),
];
/// The nodes file, and an address where nobody is.
const NODES: &str = "/etc/ctdb/nodes";
const NOBODY: &str = "192.0.2.99";

/// A cluster on its way.
pub(super) struct Walk<'a> {
    pub(super) cluster: &'a Cluster,
    state: String,
    steps: Vec<Step>,
}

/// Takes booted nodes through all states of a walk: the steps, and what kept it from going further.
pub fn record(cluster: &Cluster, which: Which) -> (Vec<Step>, Result<()>) {
    let mut walk = Walk {
        cluster,
        state: String::new(),
        steps: Vec::new(),
    };
    let walked = match which {
        Which::Cluster => walk.all(),
        Which::Addresses | Which::Takeover => addresses::walk(&mut walk),
    };
    (walk.steps, walked)
}

impl Walk<'_> {
    fn all(&mut self) -> Result<()> {
        self.prepare()?;
        self.start()?;
        self.databases()?;
        self.counted()?;
        for (leave, flag, come_back) in AWAY {
            self.away(leave, flag, come_back)
                .with_context(|| format!("ctdb {leave}"))?;
        }
        self.lmaster_role()?;
        self.leader_role()?;
        self.in_recovery()?;
        self.nodes_file()?;
        self.end()
    }

    fn prepare(&self) -> Result<()> {
        ensure!(
            self.cluster.nodes.len() == 3,
            "the tables are for three nodes"
        );
        for node in &self.cluster.nodes {
            let file = node.path("/etc/ctdb/ctdb.tunables");
            let mut file = OpenOptions::new().append(true).open(file)?;
            file.write_all(TUNABLES.as_bytes())?;
            let script = node.path("/etc/ctdb/events/legacy/50.test.script");
            fs::write(&script, SCRIPT)?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// The first node alone, then all.
    fn start(&mut self) -> Result<()> {
        self.enter("one alone");
        self.first().start_ctdbd()?;
        within(60, || settled(&[self.first()], 1))?;
        self.questions(&[self.first()])?;
        let rest = &self.cluster.nodes[1..];
        rest.iter().try_for_each(Node::start_ctdbd)?;
        self.enter("up");
        self.settle()?;
        self.everywhere()?;
        self.in_turn(self.first(), ONCE)
    }

    fn databases(&mut self) -> Result<()> {
        self.enter("databases");
        self.in_turn(self.first(), ATTACH)?;
        self.in_turn(self.first(), NO_DATABASE)?;
        self.of_databases(self.first(), OF_DATABASE)?;
        self.in_turn(self.first(), RESTORE)?;
        self.in_turn(self.first(), BY_NUMBER)?;
        self.of_databases(self.last(), OF_DATABASE_AGAIN)?;
        self.in_turn(self.last(), RESTORE_AGAIN)?;
        self.in_turn(self.first(), DATABASE_USAGE)?;
        self.in_turn(self.first(), DETACH)?;
        self.settle()?;
        self.records()?;
        self.everywhere()
    }

    /// The databases have nothing to do with each other, so all are asked at once.
    fn of_databases(&mut self, node: &Node, lines: &[&str]) -> Result<()> {
        let of = |name: &&str| lines.iter().map(|line| line.replace("DB", name)).collect();
        let lanes: Vec<_> = DATABASES.iter().map(of).collect();
        self.ask(node, &lanes)
    }

    fn counted(&mut self) -> Result<()> {
        self.enter(COUNTED);
        self.in_turn(self.first(), RESET)?;
        self.in_turn(self.first(), WORK)?;
        self.in_turn(self.last(), WORK)?;
        self.in_turn(self.first(), COUNTERS)
    }

    /// The last node leaves, everything is asked, and the first one has it return.
    fn away(&mut self, leave: &str, flag: &str, come_back: &str) -> Result<()> {
        self.enter("all OK");
        self.in_turn(self.last(), &[leave])?;
        let line = format!("pnn:{} ", self.last().pnn);
        self.wait_for(&[&line, flag])?;
        if leave != "disable" {
            self.wait_for(&["Size:2"])?;
        }
        self.wait_for(&["Recovery mode:NORMAL"])?;
        self.enter(flag);
        self.everywhere()?;
        self.in_turn(self.first(), BESIDE_INACTIVE)?;
        if leave != "disable" {
            self.at_once(self.last(), INACTIVE)?;
        }
        self.in_turn(self.last(), &[leave])?;
        self.in_turn(self.first(), &[&format!("{come_back} -n 2")])?;
        self.wait_for(&["Size:3"])?;
        self.settle()?;
        self.enter("back again");
        self.records()
    }

    /// Fewer nodes, and a recovery on demand.
    fn lmaster_role(&mut self) -> Result<()> {
        self.enter("all OK");
        self.in_turn(self.last(), &["setlmasterrole off"])?;
        self.wait_for(&["Size:2"])?;
        self.settle()?;
        self.enter("one without lmaster role");
        self.everywhere()?;
        self.in_turn(self.first(), &["setlmasterrole on -n 2"])?;
        self.wait_for(&["Size:3"])?;
        self.settle()?;
        self.in_turn(self.first(), &["recover", "recover -n 2"])?;
        self.settle()?;
        self.enter("recovered");
        self.records()?;
        self.everywhere()
    }

    /// The second node leads, then nobody, then the first node again.
    fn leader_role(&mut self) -> Result<()> {
        self.enter("all OK");
        let off = ["setleaderrole off -n 2", "setleaderrole off"];
        let before = self.generation()?;
        self.in_turn(self.first(), &off)?;
        self.wait_for(&["Leader:1"])?;
        self.wait_for_recovery(&before)?;
        self.enter("another leads");
        self.everywhere()?;
        self.in_turn(self.first(), &["setleaderrole off -n 1"])?;
        within(30, || {
            check_line(&self.first().ctdb(&["leader", "-t", "2"])?, &["UNKNOWN"])
        })?;
        self.enter("nobody leads");
        self.at_once(self.first(), NO_LEADER)?;
        let before = self.generation()?;
        self.in_turn(self.first(), &["setleaderrole on"])?;
        self.wait_for(&["Leader:0"])?;
        self.wait_for_recovery(&before)?;
        let on = ["setleaderrole on -n 1", "setleaderrole on -n 2"];
        self.in_turn(self.first(), &on)?;
        self.settle()
    }

    /// A recovery is asked for where none may begin: after one, within RerecoveryTimeout.
    fn in_recovery(&mut self) -> Result<()> {
        self.in_turn(self.first(), &["setvar RerecoveryTimeout 3600", "recover"])?;
        // one that finds the leader in recovery mode would wait before it asks for one itself
        for node in [self.last(), self.first()] {
            node.sh("setsid ctdb recover -T 100 >/dev/null 2>&1 </dev/null &")?;
            let active = || check_line(&node.ctdb(&["status"])?, &["Recovery mode:RECOVERY"]);
            within(20, active)?;
        }
        self.enter("in recovery mode");
        self.everywhere()?;
        self.in_turn(self.first(), &["setvar RerecoveryTimeout 2"])
    }

    /// A node is added that is not there, and deleted; the first reload lets recoveries begin.
    fn nodes_file(&mut self) -> Result<()> {
        let file = fs::read_to_string(self.first().path(NODES))?;
        let reload = ["reloadnodes"];
        fs::write(self.first().path(NODES), format!("{file}{NOBODY}\n"))?;
        self.in_turn(self.first(), &reload)?;
        self.write_nodes(&format!("{file}{NOBODY}\n"))?;
        self.in_turn(self.first(), &reload)?;
        self.settle()?;
        self.enter("one that is not there");
        self.everywhere()?;
        self.write_nodes(&format!("{file}#{NOBODY}\n"))?;
        self.in_turn(self.first(), &reload)?;
        self.settle()?;
        self.enter("one deleted");
        self.everywhere()?;
        self.in_turn(self.first(), &["status -n 3", "reloadnodes"])
    }

    fn end(&mut self) -> Result<()> {
        self.in_turn(self.last(), &["shutdown"])?;
        within(20, || self.last().check_none("ctdbd"))?;
        let rest = &self.cluster.nodes[..self.cluster.last()];
        let rest: Vec<_> = rest.iter().collect();
        self.wait_for(&["Size:2"])?;
        within(60, || settled(&rest, rest.len()))?;
        self.enter("one shut down");
        self.questions(&[self.first()])?;
        self.at_once(self.last(), NO_DAEMON)?;
        self.in_turn(self.first(), &["shutdown -n 2", "shutdown -n 1"])?;
        within(20, || self.cluster.nodes[1].check_none("ctdbd"))?;
        self.in_turn(self.first(), &["shutdown"])?;
        within(20, || self.first().check_none("ctdbd"))?;
        self.at_once(self.first(), NO_DAEMON)
    }

    /// The first and the last node are asked everything.
    fn everywhere(&mut self) -> Result<()> {
        self.questions(&[self.first(), self.last()])
    }

    /// What waits for a broadcast of the leader waits on all nodes at the same time.
    fn questions(&mut self, nodes: &[&Node]) -> Result<()> {
        let (state, lanes) = (&self.state, &lanes(QUESTIONS));
        let answers = of_each(nodes, |node| ask(state, node, lanes))?;
        self.steps.extend(answers.into_iter().flatten());
        nodes.iter().try_for_each(|node| self.in_turn(node, COUNTS))
    }

    fn records(&mut self) -> Result<()> {
        self.cluster
            .nodes
            .iter()
            .try_for_each(|node| self.in_turn(node, RECORDS))
    }

    pub(super) fn in_turn(&mut self, node: &Node, lines: &[&str]) -> Result<()> {
        let lane = lines.iter().map(|&line| line.to_owned()).collect();
        self.ask(node, &[lane])
    }

    fn at_once(&mut self, node: &Node, lines: &[&str]) -> Result<()> {
        self.ask(node, &lanes(lines))
    }

    fn ask(&mut self, node: &Node, lanes: &[Vec<String>]) -> Result<()> {
        self.steps.extend(ask(&self.state, node, lanes)?);
        Ok(())
    }

    /// All nodes are OK, and nothing is going on.
    fn settle(&self) -> Result<()> {
        let nodes: Vec<_> = self.cluster.nodes.iter().collect();
        within(60, || settled(&nodes, nodes.len()))
    }

    /// The number of the first node's last recovery.
    fn generation(&self) -> Result<String> {
        let status = self.first().ctdb(&["status", "-t", "2"])?;
        let mut lines = status.lines();
        let line = lines.find(|line| line.starts_with("Generation:"));
        Ok(line.context("no generation")?.to_owned())
    }

    /// The recovery that a new leader begins with is over.
    fn wait_for_recovery(&self, before: &str) -> Result<()> {
        within(60, || {
            let now = self.generation()?;
            ensure!(now != before, "still {now}");
            Ok(())
        })?;
        self.settle()
    }

    /// The first node's status has a line with these words.
    fn wait_for(&self, words: &[&str]) -> Result<()> {
        within(60, || check_line(&self.first().ctdb(&["status"])?, words))
    }

    fn write_nodes(&self, text: &str) -> Result<()> {
        let mut nodes = self.cluster.nodes.iter();
        nodes.try_for_each(|node| Ok(fs::write(node.path(NODES), text)?))
    }

    pub(super) fn enter(&mut self, state: &str) {
        state.clone_into(&mut self.state);
    }
}

impl<'a> Walk<'a> {
    fn first(&self) -> &'a Node {
        &self.cluster.nodes[0]
    }

    pub(super) fn last(&self) -> &'a Node {
        &self.cluster.nodes[self.cluster.last()]
    }
}

/// A lane for each line.
fn lanes(lines: &[&str]) -> Vec<Vec<String>> {
    lines.iter().map(|&line| vec![line.to_owned()]).collect()
}

/// Each of the nodes sees that many OK, and nothing is going on.
pub(super) fn settled(nodes: &[&Node], wanted: usize) -> Result<()> {
    let check = |node: &Node| {
        check_ok(node, wanted)?;
        node.sh(&format!("! pgrep -l '{HELPERS}'"))
    };
    of_each(nodes, check).map(drop)
}

/// Asks all nodes at the same time; the answers are in their order.
fn of_each<T: Send>(nodes: &[&Node], ask: impl Fn(&Node) -> Result<T> + Sync) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for node in nodes {
            threads.push(scope.spawn(|| ask(node)));
        }
        let join = |thread: ScopedJoinHandle<'_, Result<T>>| match thread.join() {
            Ok(answer) => answer,
            Err(_) => bail!("a thread that asks panicked"),
        };
        threads.into_iter().map(join).collect()
    })
}

//! Faults by chance, one after the other, in a cluster under load: daemons that die or hang, nodes that lose power,
//! cables, lines and disks; servers of etcd, where members and leader are etcd's word. `docs/operations.md` and
//! `docs/cluster-manager.md` state what comes of each.
//!
//! `ctdb-load write` writes on every node meanwhile. After each fault the cluster has to be whole again by itself
//! within a bound, with one leader, and at the end everything that was acknowledged has to be there. The same
//! seed is the same plan, also for the C daemon.

pub(crate) mod eye;
mod fault;
mod options;
mod times;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, Spec};
use crate::deaths::series::journal::{Journal, Kill};
use crate::deaths::series::writers::{self, Writers};
use crate::deaths::series::{is_running, monotonic};
use crate::etcd::Servers;
use crate::host::Host;
use crate::hostile::chance::Chance;
use crate::report::{Report, within};
use crate::side::Side;
use eye::{Eye, View, check_led_since, check_one_leads, check_together};
use fault::Fault;
pub use fault::{Kind, Role};
pub use options::{Manager, Options};
use times::{Times, seconds};
use wire::Generation;

/// Between all OK and the next fault: the load goes on, and recoveries are no longer suppressed.
const PAUSE: Duration = Duration::from_secs(3);
/// How often it is looked whether things are well.
const LOOK: Duration = Duration::from_millis(5);
/// The longest that the others may need to go on without a node that died.
const REST: Duration = Duration::from_secs(45);
/// The longest that etcd may need until it has settled what the nodes have, in seconds.
const SETTLED: u64 = 10;

/// How long it took.
#[derive(Debug)]
struct Outcome {
    /// Until another node led.
    leader: Option<Duration>,
    /// Until the others were at work without the node.
    rest: Option<Duration>,
    /// From the end of the fault until all were OK.
    all: Duration,
}

/// Runs the faults. `spec` is of a cluster of ours; `logs` is where those of one that failed go.
///
/// # Errors
/// A cluster does not come up.
pub fn run(
    mut host: Host,
    spec: &Spec,
    options: &Options,
    logs: Option<&Path>,
    report: &mut Report,
) -> Result<()> {
    let sides = Side::compared(options.against_c);
    println!("# seed {}", options.seed);
    let mut times = Times::default();
    for &side in sides {
        let spec = side.spec(spec);
        let cluster = Cluster::boot(host, &spec)?;
        let servers = match options.manager {
            Manager::Native => None,
            Manager::Etcd => Some(Servers::start(cluster.host.dir.join("etcd"))?),
        };
        let mut scene = Scene {
            cluster,
            servers,
            side,
            options,
            eyes: Vec::new(),
            closed: Vec::new(),
            journal: Journal::default(),
            revived: 0,
        };
        let before = report.failed();
        report.group(&format!("{side:?}"), |report| scene.run(&mut times, report));
        if let Some(logs) = logs.filter(|_| report.failed() > before) {
            scene.cluster.keep_logs(&logs.join(format!("{side:?}")))?;
        }
        host = scene.cluster.power_off()?;
    }
    times.print(sides);
    if options.against_c {
        report.check(
            "the rest is at work again at most 1.15 times as late as with C",
            || times.check_ratio(1.15),
        );
    }
    Ok(())
}

/// Faults on one cluster.
struct Scene<'a> {
    cluster: Cluster,
    servers: Option<Servers>,
    side: Side,
    options: &'a Options,
    eyes: Vec<Eye>,
    /// What those saw that were on nodes that lost power.
    closed: Vec<View>,
    journal: Journal,
    /// Daemons that ended by themselves and were started again.
    revived: usize,
}

impl Scene<'_> {
    fn run(&mut self, times: &mut Times, report: &mut Report) -> Result<()> {
        self.cluster.start_ctdbd()?;
        self.eyes = self
            .cluster
            .nodes
            .iter()
            .map(Eye::on)
            .collect::<Result<_>>()?;
        let mut writers = Writers::start(&self.cluster)?;
        std::thread::sleep(PAUSE);
        self.until_whole(Instant::now())?;
        let mut chance = Chance::new(self.options.seed);
        let kinds = self.options.kinds();
        for number in 1..=self.options.faults {
            let fault = Fault::by(&mut chance, &kinds, self.options.longest);
            let name = format!("{number}: {}", self.name(&fault));
            let mut outcome = None;
            let well = report.check(&name, || {
                outcome = Some(self.one(&fault, &mut writers)?);
                anyhow::Ok(())
            });
            ensure!(well, "the cluster does not come back");
            let outcome = outcome.context("no outcome")?;
            print(&outcome);
            times.add(self.side, fault.kind, fault.role, &outcome);
            std::thread::sleep(PAUSE);
        }
        writers.stop(&self.cluster)?;
        self.check(report)
    }

    fn name(&self, fault: &Fault) -> String {
        let what = format!("{:?}, {:?} of the {:?}", self.side, fault.kind, fault.role);
        match fault.kind.lasts() {
            true => format!("{what} for {} s", fault.time.as_secs()),
            false => what,
        }
    }

    fn views(&self) -> Vec<View> {
        self.eyes.iter().map(Eye::view).collect()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.cluster.nodes.len()).collect()
    }

    /// One fault, from its begin until all nodes are OK again.
    fn one(&mut self, fault: &Fault, writers: &mut Writers) -> Result<Outcome> {
        // there may be another recovery after the one that made all OK
        self.until_whole(Instant::now())?;
        let views = self.views();
        let generation = check_together(&views, &self.all())?;
        let leader = views[0].leader().context("no leader")?;
        let victim = fault.victim(leader, self.cluster.nodes.len());
        let (at, begin) = (monotonic()?, Instant::now());
        let begun = fault.begin(&mut self.cluster, self.servers.as_mut(), victim)?;
        let (led, rest) = self.watch_rest(fault, victim, (leader, generation), begin);
        fault.end(&mut self.cluster, self.servers.as_mut(), victim, &begun)?;
        let end = Instant::now();
        if matches!(fault.kind, Kind::PowerOff | Kind::HalfOpen) {
            self.closed.push(self.eyes[victim].view());
            self.eyes[victim] = Eye::on(&self.cluster.nodes[victim])?;
            self.cluster.nodes[victim].start_ctdbd()?;
            writers.start_on(&self.cluster.nodes[victim])?;
        }
        if fault.kind == Kind::KillDaemon {
            self.cluster.nodes[victim].start_ctdbd()?;
        }
        let whole = self.until_whole(end);
        self.note(fault, victim, at)?;
        let all = whole?;
        self.check_settled()?;
        if fault.kind.is_elsewhere() {
            self.check_unchanged(leader, generation)?;
        }
        Ok(Outcome {
            leader: led,
            rest,
            all,
        })
    }

    /// etcd is whole, and has the members and the leader that the nodes have.
    fn check_settled(&self) -> Result<()> {
        let Some(servers) = &self.servers else {
            return Ok(());
        };
        within(SETTLED, || {
            servers.check_healthy()?;
            servers.check_members(&self.all())?;
            let (said, seen) = (servers.leading_node()?, self.views()[0].leader());
            ensure!(
                seen == Some(said),
                "etcd has the leader {said}, node 0 {seen:?}"
            );
            Ok(())
        })
    }

    /// The same node leads, and there was no recovery.
    fn check_unchanged(&self, leader: usize, generation: Generation) -> Result<()> {
        let views = self.views();
        let now = check_together(&views, &self.all())?;
        ensure!(views[0].leader() == Some(leader), "another node leads");
        ensure!(now == generation, "there was a recovery");
        Ok(())
    }

    /// Looks for as long as the fault lasts: when another node led, and when the others were at work without it.
    fn watch_rest(
        &self,
        fault: &Fault,
        victim: usize,
        (leader, generation): (usize, Generation),
        begin: Instant,
    ) -> (Option<Duration>, Option<Duration>) {
        let others: Vec<_> = self
            .all()
            .into_iter()
            .filter(|pnn| *pnn != victim)
            .collect();
        let (mut led, mut rest) = (None, None);
        let over = |rest: Option<Duration>| match fault.kind.lasts() {
            true => begin.elapsed() >= fault.time,
            false => !fault.kind.is_death() || rest.is_some() || begin.elapsed() >= REST,
        };
        while !over(rest) {
            let views = self.views();
            let now = others.iter().find_map(|pnn| views[*pnn].leader());
            if victim == leader && led.is_none() && now.is_some_and(|now| now != leader) {
                led = Some(begin.elapsed());
            }
            if rest.is_none() && check_together(&views, &others).is_ok_and(|now| now != generation)
            {
                rest = Some(begin.elapsed());
            }
            std::thread::sleep(LOOK);
        }
        (led, rest)
    }

    /// Waits until all nodes are OK; a daemon that has ended is started again, as init would.
    fn until_whole(&mut self, since: Instant) -> Result<Duration> {
        loop {
            let views = self.views();
            let whole = check_together(&views, &self.all());
            let Err(why) = whole.and_then(|_| check_led_since(&views, since)) else {
                return Ok(since.elapsed());
            };
            ensure!(since.elapsed() < self.options.bound(self.side), "{why:#}");
            for node in &self.cluster.nodes {
                if since.elapsed() > PAUSE && !is_running(node) {
                    self.revived += 1;
                    println!("# {:?}: ctdbd of node {} has ended", self.side, node.pnn);
                    // it may be refused while something of the last one still ends
                    let _ = node.start_daemon("/usr/sbin/ctdbd", &[]);
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whose volatile writes of that time may be lost: those of the node that the others went on without. If a
    /// network failed, or a leader that hung still had the cluster lock and went on alone for a moment, it may be
    /// those of the others: of two parts that went on a recovery takes the newest records of each. By etcd a leader
    /// that hung has nothing any more.
    fn note(&mut self, fault: &Fault, victim: usize, at: u64) -> Result<()> {
        let until = monotonic()?;
        let [begin, end] = [at, until].map(Duration::from_nanos);
        println!(
            "#   node {victim}, from {} to {}",
            seconds(begin),
            seconds(end)
        );
        let has_lock = self.options.manager == Manager::Native && fault.role == Role::Leader;
        let alone = fault.kind == Kind::HangDaemon && has_lock;
        let lost: Vec<_> = match alone || fault.kind.is_of_network() {
            true => self.all(),
            false if fault.kind.is_elsewhere() => Vec::new(),
            false => vec![victim],
        };
        self.journal.kills.extend(lost.into_iter().map(|node| Kill {
            node,
            at,
            until,
            power: matches!(fault.kind, Kind::PowerOff | Kind::HalfOpen),
        }));
        Ok(())
    }

    fn check(&mut self, report: &mut Report) -> Result<()> {
        for node in &self.cluster.nodes {
            self.journal.read(node)?;
        }
        let nodes = self.cluster.nodes.iter();
        let dumps = nodes.map(|node| writers::dump(node, "persistent"));
        self.journal.persistent = dumps.collect::<Result<_>>()?;
        self.journal.volatile = writers::dump(&self.cluster.nodes[0], "volatile")?;
        let (side, journal) = (self.side, &self.journal);
        println!("# {side:?}: {}", journal.summary());
        let mut views = self.views();
        views.append(&mut self.closed);
        println!("# {side:?}: {} daemons ended by themselves", self.revived);
        report.check(
            &format!("{side:?}: every acknowledged persistent write is there"),
            || journal.check_persistent(),
        );
        report.check(
            &format!("{side:?}: a survivor's volatile writes are there"),
            || journal.check_volatile(),
        );
        self.check_leaders(&views, report);
        if side == Side::Ours {
            let revived = self.revived;
            report.check("no daemon ended by itself", || {
                ensure!(revived == 0, "{revived} did");
                Ok(())
            });
        }
        Ok(())
    }

    /// By etcd there is one leader at any time; otherwise two may be heard for a moment, but not in turns.
    fn check_leaders(&self, views: &[View], report: &mut Report) {
        let side = self.side;
        report.check(&format!("{side:?}: no two led at the same time"), || {
            let disputes: usize = views.iter().map(|view| view.disputes).sum();
            ensure!(disputes == 0, "{disputes} times");
            match self.options.manager {
                Manager::Native => Ok(()),
                Manager::Etcd => check_one_leads(views),
            }
        });
        if let Some(servers) = &self.servers {
            report.check("whom a node heard leading was so by etcd", || {
                let history = servers.history()?;
                println!("# etcd: {} leaderships", history.len());
                let mut views = views.iter();
                views.try_for_each(|view| view.check_led_as(&history))
            });
        }
    }
}

fn print(outcome: &Outcome) {
    let shown = |time: Option<Duration>| time.map_or("-".to_owned(), seconds);
    println!(
        "#   leader {}, rest at work {}, all OK {} after its end",
        shown(outcome.leader),
        shown(outcome.rest),
        seconds(outcome.all)
    );
}

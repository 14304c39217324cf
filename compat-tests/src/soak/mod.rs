//! A soak: for an hour, or as long as wanted, a cluster of three nodes of ours works for clients of every kind while
//! something happens to one of its nodes every half a minute.
//!
//! The load: smbd on each node and public addresses, SMB clients at both kinds of addresses (`smb`), `smbtorture`
//! (`torture`), and `ctdb-load write` to databases of all three models on each node. What happens (`fault`) is by
//! chance, the same for the same seed. After each fault all nodes have to be OK within 40 seconds, in one generation and
//! under one leader. Now and then, and at the end, all rest: then what was acknowledged has to be there, and the
//! daemons have what they had at the first rest. One node in turn is spared what ends a process, for a third of the time,
//! so that there are processes that live long.

mod check;
mod fault;
mod memory;
mod shared;
mod smb;
mod summary;
mod torture;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wire::Generation;

use crate::cluster::{Cluster, Spec, check_serves};
use crate::deaths::series::journal::{Journal, Kill};
use crate::deaths::series::witness;
use crate::deaths::series::writers::Writers;
use crate::deaths::series::{is_running, monotonic};
use crate::faults::eye::{Eye, View, check_led_since, check_together};
use crate::host::address;
use crate::hostile::chance::Chance;
use crate::report::{Report, wait_for, within};
use crate::rolling::{check_hosted, give_addresses};
use fault::{Fault, Kind};
use memory::Memory;
use shared::Window;
use smb::{Clients, Done};
use summary::Times;
use torture::{Outcome, Torture};

/// Within this time of a fault's end all nodes are OK again: what `docs/operations.md` says of these tunables.
const BOUND: Duration = Duration::from_secs(40);
/// The longest that the others may need to go on without a node that an administrator took out.
const REST: Duration = Duration::from_secs(30);
/// The longest until smbd serves on all nodes and all public addresses are hosted, once all are OK.
const SERVES: Duration = Duration::from_secs(40);
/// A fault comes this long after the last one, and up to as long again, in seconds.
const BETWEEN: usize = 20;
/// And not sooner than this after all was well again.
const CALM: Duration = Duration::from_secs(3);
/// What a client may still feel of a fault once all is well, in nanoseconds.
const AFTER: u64 = 5_000_000_000;
/// How often it is looked whether things are well.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at the memory.
const SAMPLE: Duration = Duration::from_secs(20);
/// Between two lines.
const MINUTE: Duration = Duration::from_secs(60);
/// Between two rests, after the first.
const WORK: Duration = Duration::from_secs(600);
/// After which time a process has the memory that it needs, and how long one lives that is judged by it.
const SETTLE: Duration = Duration::from_secs(120);
const LIFE: Duration = Duration::from_secs(900);
/// Writes a second of `ctdb-load` on each node.
const LOADS: [(&str, &str); 3] = [
    ("volatile", "100"),
    ("persistent", "20"),
    ("replicated", "20"),
];

/// What is done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For how long.
    pub minutes: u32,
    /// What chance begins with.
    pub seed: u64,
}

impl Options {
    /// The cluster that is wanted.
    #[must_use]
    pub fn spec(spec: Spec) -> Spec {
        Spec {
            more_tunables: "RecoveryBanPeriod=5\n".to_owned(),
            ..spec
        }
    }

    fn time(self) -> Duration {
        MINUTE * self.minutes
    }

    /// The first rest is early: what it finds is the measure for the others.
    fn first_rest(self) -> Duration {
        (self.time() / 5).min(SETTLE)
    }
}

/// Runs the soak on a cluster that was just booted.
///
/// # Errors
/// It does not come up, or something was found that makes it senseless to go on.
pub fn run(cluster: &mut Cluster, options: Options, report: &mut Report) -> Result<()> {
    println!("# seed {}", options.seed);
    let mut addresses = Vec::new();
    let up = report.check("three nodes, smbd on each, public addresses", || {
        addresses = give_addresses(cluster)?;
        cluster.start_ctdbd()?;
        cluster.start_smbd()?;
        cluster.add_user()?;
        within(30, || check_hosted(&cluster.nodes[0], &addresses))
    });
    ensure!(up, "the cluster did not come up");
    let eyes = cluster.nodes.iter().map(Eye::on).collect::<Result<_>>()?;
    let time = options.time();
    let mut soak = Soak {
        cluster,
        options,
        addresses,
        chance: Chance::new(options.seed),
        eyes,
        begin: Instant::now(),
        kills: Vec::new(),
        faults: Vec::new(),
        times: Times::default(),
        memory: Memory::new(SETTLE.min(time / 6), LIFE.min(time / 4)),
        first: BTreeMap::new(),
        processes: None,
        revived: 0,
        done: Arc::default(),
        tortures: Arc::default(),
    };
    let ended = soak.run(report);
    soak.print();
    ended
}

/// A soak as it goes on.
struct Soak<'a> {
    cluster: &'a mut Cluster,
    options: Options,
    /// The public ones.
    addresses: Vec<IpAddr>,
    chance: Chance,
    eyes: Vec<Eye>,
    begin: Instant,
    /// Losses of nodes, for the journals.
    kills: Vec<Kill>,
    /// All faults, until nobody felt anything of them.
    faults: Vec<Window>,
    times: Times,
    memory: Memory,
    /// What a node's daemons had at the first rest of their life, by the node and ctdbd's process.
    first: BTreeMap<(usize, u32), witness::State>,
    /// All processes at the first rest, by name.
    processes: Option<BTreeMap<String, usize>>,
    /// Daemons that ended by themselves and were started again.
    revived: usize,
    done: Arc<Mutex<Done>>,
    tortures: Arc<Mutex<Vec<Outcome>>>,
}

/// The load while it works.
struct Load {
    writers: Writers,
    clients: Clients,
    torture: Option<Torture>,
}

impl Soak<'_> {
    fn run(&mut self, report: &mut Report) -> Result<()> {
        let mut rest = self.options.first_rest();
        loop {
            let rest_at = rest.min(self.options.time());
            let mut load = self.start_load()?;
            let worked = self.work(rest_at, &mut load, report);
            self.stop_load(load)?;
            worked?;
            self.rest(report)?;
            if self.begin.elapsed() >= self.options.time() {
                return Ok(());
            }
            rest = self.begin.elapsed() + WORK;
        }
    }

    fn start_load(&mut self) -> Result<Load> {
        let own = (0..self.cluster.nodes.len()).map(address);
        let servers: Vec<_> = own.chain(self.addresses.iter().copied()).collect();
        let first = summary::lock(&self.tortures, |tortures| tortures.len());
        Ok(Load {
            writers: Writers::start_with(self.cluster, &LOADS)?,
            torture: Torture::start(&servers, &self.cluster.host.dir, first, &self.tortures),
            clients: Clients::start(&servers, &mut self.chance, Arc::clone(&self.done)),
        })
    }

    fn stop_load(&self, load: Load) -> Result<()> {
        load.writers.stop(self.cluster)?;
        load.clients.stop()?;
        load.torture.map_or(Ok(()), Torture::stop)
    }

    /// Works until that time has passed since the begin.
    fn work(&mut self, until: Duration, load: &mut Load, report: &mut Report) -> Result<()> {
        let mut next_fault = self.begin.elapsed() + self.between();
        while self.begin.elapsed() < until {
            if self.begin.elapsed() >= next_fault && self.begin.elapsed() + CALM < until {
                next_fault = self.begin.elapsed() + self.between();
                self.one(load, report)?;
                next_fault = next_fault.max(self.begin.elapsed() + CALM);
            }
            self.look()?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn between(&mut self) -> Duration {
        Duration::from_secs((BETWEEN + self.chance.below(BETWEEN)) as u64)
    }

    /// Looks at the memory and prints a line, when it is time to.
    fn look(&mut self) -> Result<()> {
        let now = self.begin.elapsed();
        let Some(line) = self.times.look(now) else {
            return Ok(());
        };
        for node in &self.cluster.nodes {
            self.memory.look(node, now);
        }
        if line {
            self.print_minute(now)?;
        }
        Ok(())
    }

    fn views(&self) -> Vec<View> {
        self.eyes.iter().map(Eye::view).collect()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.cluster.nodes.len()).collect()
    }

    /// Which node no process dies on, at this time.
    fn spared(&self) -> usize {
        let nodes = self.cluster.nodes.len();
        let share = self.begin.elapsed().as_secs_f64() / self.options.time().as_secs_f64();
        let last = nodes - 1;
        // the last third may take longer than it should
        (0..last)
            .find(|third| share * (nodes as f64) < (third + 1) as f64)
            .unwrap_or(last)
    }

    /// One fault, from its begin until all is well again.
    fn one(&mut self, load: &mut Load, report: &mut Report) -> Result<()> {
        let fault = Fault::by(&mut self.chance);
        let from = monotonic()?;
        let mut took = None;
        let mut victim = None;
        let happened = (|| {
            self.until_whole(Instant::now())?;
            let leader = self.views()[0].leader().context("no leader")?;
            let node = fault.victim(leader, self.spared(), self.cluster.nodes.len());
            victim = Some(node);
            took = Some(self.happen(&fault, node, load)?);
            self.until_serving()
        })();
        let to = monotonic()? + AFTER;
        self.faults.push(Window { from, to });
        let name = format!("{:?} of node {victim:?}", fault.kind);
        if let Err(why) = happened {
            report.check(&format!("{name}, all OK again"), || Err(why));
            anyhow::bail!("the cluster does not come back");
        }
        if let (Some(took), Some(victim)) = (took, victim) {
            let well = monotonic()?.saturating_sub(from) / 1_000_000;
            println!(
                "# {:>5.0} s: {:?} of node {victim}: all OK in {:.2} s, all served in {:.2} s",
                self.begin.elapsed().as_secs_f64(),
                fault.kind,
                took.as_secs_f64(),
                Duration::from_millis(well).as_secs_f64()
            );
            self.times.add(fault.kind, took);
        }
        Ok(())
    }

    /// How long after the end of the fault all were OK.
    fn happen(&mut self, fault: &Fault, victim: usize, load: &mut Load) -> Result<Duration> {
        let generation = check_together(&self.views(), &self.all())?;
        let at = monotonic()?;
        fault.begin(self.cluster, victim)?;
        if fault.kind.lasts() {
            self.until_without(victim, generation)?;
            std::thread::sleep(fault.time);
        }
        let end = Instant::now();
        fault.end(self.cluster, victim)?;
        let node = &self.cluster.nodes[victim];
        if fault.kind == Kind::PowerOff {
            self.eyes[victim] = Eye::on(node)?;
            load.writers.start_on_with(node, &LOADS)?;
        }
        if matches!(fault.kind, Kind::PowerOff | Kind::KillDaemon) {
            // one that still ends has its addresses
            within(20, || node.check_none("ctdbd"))?;
            node.start_ctdbd()?;
        }
        let whole = self.until_whole(end);
        if fault.kind.is_loss() {
            self.kills.push(Kill {
                node: victim,
                at,
                until: monotonic()?,
                power: fault.kind == Kind::PowerOff,
            });
        }
        whole
    }

    /// Waits until the others go on without the node.
    fn until_without(&self, victim: usize, before: Generation) -> Result<()> {
        let mut others = self.all();
        others.retain(|pnn| *pnn != victim);
        wait_for(REST, || {
            let now = check_together(&self.views(), &others)?;
            ensure!(now != before, "no recovery yet");
            Ok(())
        })
        .context("the others, without it")
    }

    /// Waits until all nodes are OK; a daemon that has ended is started again, and counted.
    fn until_whole(&mut self, since: Instant) -> Result<Duration> {
        loop {
            let views = self.views();
            let whole = check_together(&views, &self.all()).and_then(|generation| {
                ensure!(generation != Generation::INVALID, "no generation");
                check_led_since(&views, since)
            });
            let Err(why) = whole else {
                return Ok(since.elapsed());
            };
            ensure!(since.elapsed() < BOUND, "{why:#}");
            for node in &self.cluster.nodes {
                if since.elapsed() > CALM && !is_running(node) {
                    self.revived += 1;
                    println!("# ctdbd of node {} has ended", node.pnn);
                    // it may be refused while something of the last one still ends
                    let _ = node.start_daemon("/usr/sbin/ctdbd", &[]);
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Starts smbd where it has ended, as init would, and waits until all nodes and public addresses serve.
    fn until_serving(&self) -> Result<()> {
        for node in &self.cluster.nodes {
            wait_for(SERVES, || {
                check_serves(node.pnn).inspect_err(|_| {
                    // one that still ends has its lock
                    let _ = node.start_smbd();
                })
            })?;
        }
        let asked = &self.cluster.nodes[0];
        wait_for(SERVES, || check_hosted(asked, &self.addresses))
    }

    /// All rest, and everything has to be there.
    fn rest(&mut self, report: &mut Report) -> Result<()> {
        let before = report.failed();
        report.check("at rest: all OK, and served", || {
            self.until_whole(Instant::now())?;
            self.until_serving()
        });
        self.check_data(report);
        self.check_smb(report);
        self.check_daemons(report);
        ensure!(
            report.failed() == before,
            "something is not as it should be"
        );
        Ok(())
    }

    /// The journals of a model as they are now, with the losses so far.
    fn journal(&self) -> Journal {
        let mut journal = Journal::default();
        journal.kills.clone_from(&self.kills);
        journal
    }
}

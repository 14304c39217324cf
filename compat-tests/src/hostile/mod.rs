//! What somebody who means harm can send, and what comes of it: to the daemons of a cluster of three nodes of ours that
//! work meanwhile.
//!
//! ```text
//!   node 0, 1, 2   ctdbd, and on each the load: volatile and persistent writes with a journal, messages that go
//!                  round
//!   node 3         no ctdbd: malformed packets from its address, first as a node that is down, then as a stopped member
//!   clients        malformed packets over the unix sockets of the leader and of a follower
//! ```
//!
//! Each class of malformed packets ([`Class`]) goes to the leader and to a follower at the same time, from clients and
//! from a node, and once more while recoveries go on. Then come packets that are well formed and make no sense
//! (`absurd`), and peers that ask and do not read. What has to come of a malformed packet is what docs/wire.md says: a
//! control is answered with an error, whatever is no packet ends its connection. The daemons must be the same at the
//! end, with not much more memory and log, and the load must not have noticed more than a pause.

mod absurd;
mod breaking;
pub(crate) mod chance;
mod deaf;
mod impostor;
mod load;
mod rogue;
mod sites;
mod specimen;
mod stream;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use wire::coding::Decode;
use wire::control::Opcode;
use wire::packet::{Body, Packet};
use wire::types::VnnMap;
use wire::{DbId, Generation, Pnn, Srvid};

use crate::cluster::{Cluster, check_ok};
use crate::deaths::series::{monotonic, witness};
use crate::node::Node;
use crate::report::{Report, wait_for, within};
pub use breaking::Class;
use breaking::{Breaker, Due};
use chance::Chance;
use impostor::{Member, within_network};
use load::Load;
use rogue::Rogue;
use watch::State;

/// The nodes with a ctdbd, the first ones; behind them is the attacker's.
const HONEST: usize = 3;
/// All nodes.
pub const NODES: usize = HONEST + 1;
/// A volatile database of the load.
const DATABASE: &str = "load_write_volatile.tdb";
/// No honest program waits longer for a write while packets are malformed, and while recoveries go on besides.
const PAUSE: Duration = Duration::from_secs(3);
const PAUSE_IN_RECOVERIES: Duration = Duration::from_secs(20);
/// Of what comes wrong so many are shown.
const SHOWN: usize = 5;

/// How much of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Packets of a class, from clients and as many from a node.
    pub packets: usize,
    /// What chance begins with.
    pub seed: u64,
    /// The classes.
    pub classes: Vec<Class>,
    /// Without what takes long.
    pub quick: bool,
}

/// Runs all of it on a cluster that was just booted.
///
/// # Errors
/// The cluster does not come up, or is lost.
pub fn run(cluster: &Cluster, options: &Options, report: &mut Report) -> Result<()> {
    ensure!(cluster.nodes.len() == NODES, "{HONEST} nodes and one");
    println!("# seed {}", options.seed);
    let scene = Scene::set(cluster, options)?;
    let witnesses = scene.witnesses()?;
    let load = Load::start(cluster, HONEST)?;
    std::thread::sleep(Duration::from_secs(2));
    let begin = monotonic()?;
    report.group("clients", |report| scene.by_clients(report));
    report.group("a node that is down", |report| scene.by_node_alone(report));
    report.group("a stopped node", |report| scene.by_member(report));
    report.check("the load did not stop", || check_pause(&load, begin, PAUSE));
    let begin = monotonic()?;
    report.group("in recoveries", |report| scene.in_recoveries(report));
    report.check("the load went on between recoveries", || {
        check_pause(&load, begin, PAUSE_IN_RECOVERIES)
    });
    report.group("absurd", |report| absurd::run(&scene, report));
    report.group("deaf", |report| deaf::run(&scene, report));
    for (node, (now, then)) in scene.states()?.iter().zip(&scene.start).enumerate() {
        println!("# node {node}, since the start: {}", now.since(then));
    }
    report.check("the cluster is well", || within(60, || scene.check_ok()));
    report.check("the load had no errors", || load.stop());
    report.check("all that was acknowledged is there", || {
        load::check_data(cluster, HONEST)
    });
    scene.check_witnesses(&witnesses, report);
    Ok(())
}

fn check_pause(load: &Load<'_>, since: u64, limit: Duration) -> Result<()> {
    let pause = load.longest_pause(since)?;
    let text = format!("{:.1} s without {}", pause.time.as_secs_f64(), pause.what);
    println!("# the longest pause: {text}");
    ensure!(pause.time <= limit, "{text}");
    Ok(())
}

/// The cluster under attack.
pub(crate) struct Scene<'a> {
    cluster: &'a Cluster,
    options: &'a Options,
    /// The leader and a follower.
    targets: [usize; 2],
    start: Vec<State>,
}

impl<'a> Scene<'a> {
    fn set(cluster: &'a Cluster, options: &'a Options) -> Result<Self> {
        let honest = &cluster.nodes[..HONEST];
        honest.iter().try_for_each(Node::start_ctdbd)?;
        let mut scene = Self {
            cluster,
            options,
            targets: [0, 1],
            start: Vec::new(),
        };
        within(60, || scene.check_ok())?;
        let leader = cluster.nodes[0].ctdb(&["leader"])?;
        let leader: usize = leader.trim().parse().with_context(|| leader.clone())?;
        scene.targets = [leader, (leader + 1) % HONEST];
        println!("# node {leader} leads");
        // what a daemon has once it has worked is no leak
        let load = Load::start(cluster, HONEST)?;
        std::thread::sleep(Duration::from_secs(2));
        load.stop()?;
        scene.start = scene.states()?;
        Ok(scene)
    }

    fn node(&self, pnn: usize) -> &Node {
        &self.cluster.nodes[pnn]
    }

    fn client(&self, of: usize) -> Rogue {
        Rogue::of(self.node(of))
    }

    fn honest(&self) -> &[Node] {
        &self.cluster.nodes[..HONEST]
    }

    fn attacker(&self) -> &Node {
        &self.cluster.nodes[HONEST]
    }

    fn states(&self) -> Result<Vec<State>> {
        self.honest().iter().map(State::of).collect()
    }

    fn check_ok(&self) -> Result<()> {
        self.honest()
            .iter()
            .try_for_each(|node| check_ok(node, HONEST))
    }

    fn witnesses(&self) -> Result<Vec<witness::State>> {
        self.honest().iter().map(witness::State::of).collect()
    }

    fn check_witnesses(&self, before: &[witness::State], report: &mut Report) {
        for (node, before) in self.honest().iter().zip(before) {
            let name = format!("node {} has what it had before", node.pnn);
            report.check(&name, || {
                wait_for(Duration::from_secs(20), || {
                    let now = witness::State::of(node)?;
                    now.without_workers()
                        .check_but_memory(&before.without_workers())
                })
            });
        }
    }

    /// Runs one attack, and looks at the daemons before and after.
    fn attack(&self, name: &str, report: &mut Report, run: impl FnOnce() -> Result<()>) {
        report.check(name, || {
            let before = self.states()?;
            let begin = Instant::now();
            let done = run();
            println!("# {name}: {:.1} s", begin.elapsed().as_secs_f64());
            let after = self.states().context("a daemon is gone")?;
            for (node, (now, then)) in after.iter().zip(&before).enumerate() {
                println!("# node {node}: {}", now.since(then));
            }
            done?;
            for (now, (then, start)) in after.iter().zip(before.iter().zip(&self.start)) {
                now.check(then)?;
                now.check_processes(start).context("since the start")?;
            }
            anyhow::Ok(())
        });
    }

    /// A maker of packets; each thread has its own.
    fn breaker(&self, number: usize) -> Breaker {
        let number = u64::try_from(number).unwrap_or(0);
        Breaker::new(
            specimen::all(database()),
            self.options.seed.wrapping_add(number << 32),
        )
    }

    /// Both targets at the same time.
    fn at_both<T: Send>(&self, attack: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
        let attack = &attack;
        std::thread::scope(|scope| {
            let threads = self.targets.map(|to| scope.spawn(move || attack(to)));
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<T>>| match thread.join() {
                Ok(done) => done,
                Err(_) => bail!("an attacker panicked"),
            };
            threads.into_iter().map(join).collect()
        })
    }

    fn by_clients(&self, report: &mut Report) -> Result<()> {
        for &class in &self.options.classes {
            self.attack(&format!("{class:?} from clients"), report, || {
                let packets = self.options.packets / 2;
                self.at_both(|to| self.one_client(class, to, packets))
                    .map(drop)
            });
        }
        self.attack("what only nodes may send", report, || {
            let rogue = self.client(self.targets[0]);
            let of_nodes = |it: &specimen::Specimen| {
                it.name.starts_with("Reply") || it.name == "ReqDmaster" || it.name == "ReqKeepalive"
            };
            let all = specimen::all(database());
            let packets: Vec<_> = all.into_iter().filter(of_nodes).collect();
            ensure!(packets.len() == 6, "{} operations", packets.len());
            packets.iter().try_for_each(|it| {
                stream::check_closed(rogue.connect()?, &it.bytes, false)
                    .with_context(|| it.name.clone())
            })
        });
        self.attack("controls that never were", report, || {
            let mut rogue = self.client(self.targets[0]);
            for opcode in [2, 12, 163, 9999, u32::MAX] {
                let address = rogue.address(Pnn::CURRENT);
                let control = address.control(opcode, Srvid(0), &[]);
                let status = rogue.ask(&control, address.reqid)?;
                ensure!(status.is_some_and(|status| status < 0), "{status:?}");
            }
            Ok(())
        });
        Ok(())
    }

    /// Malformed packets of a client to one daemon, some of them for another node.
    fn one_client(&self, class: Class, to: usize, packets: usize) -> Result<()> {
        let mut breaker = self.breaker(to);
        let mut chance = Chance::new(self.options.seed ^ to as u64);
        let mut rogue = self.client(to);
        let mut failures = Failures::default();
        for _ in 0..packets {
            let malformed = breaker.next(class, &[Due::Closed, Due::Refused, Due::Nothing]);
            let destination = match (chance.below(4), malformed.due) {
                (0, Due::Nothing) => Pnn::BROADCAST_ALL,
                (0, _) => Pnn(u32::try_from(chance.below(HONEST))?),
                _ => Pnn::CURRENT,
            };
            failures.note(&malformed.name, rogue.send(&malformed, destination))?;
        }
        failures.finish()
    }

    fn by_node_alone(&self, report: &mut Report) -> Result<()> {
        for &class in &self.options.classes {
            let breaker = self.breaker(10);
            if !breaker.clone().has(class, &[Due::Closed]) {
                continue;
            }
            let name = format!("{class:?} from a node that is down");
            self.attack(&name, report, || {
                let packets = self.options.packets / 2;
                self.at_both(|to| {
                    within_network(&self.attacker().network(), || {
                        alone(self.breaker(10 + to), class, to, packets)
                    })
                })
                .map(drop)
            });
        }
        self.attack("a packet of no multiple of 8", report, || {
            let to = self.targets[0];
            within_network(&self.attacker().network(), || {
                let header = [33u32, wire::packet::MAGIC, wire::packet::VERSION];
                let mut bytes = header.map(u32::to_ne_bytes).concat();
                bytes.resize(33, 0);
                stream::check_closed(impostor::connect(to)?, &bytes, false)
            })
        });
        // no node has the bridge's own address
        self.attack("strangers", report, || {
            for _ in 0..self.options.packets.min(1000) {
                let stranger = impostor::connect(self.targets[0])?;
                stream::check_closed(stranger, &[], false)?;
            }
            Ok(())
        });
        Ok(())
    }

    fn by_member(&self, report: &mut Report) -> Result<()> {
        let mut member = self.join()?;
        for &class in &self.options.classes {
            if self.breaker(20).has(class, &MEMBERS) {
                let name = format!("{class:?} from a stopped node");
                self.attack(&name, report, || {
                    self.member(&mut member, class, self.options.packets)
                });
            }
        }
        Ok(())
    }

    /// Malformed packets of the impostor, to both targets in turn.
    fn member(&self, member: &mut Member, class: Class, packets: usize) -> Result<()> {
        let mut breaker = self.breaker(20);
        let mut failures = Failures::default();
        for turn in 0..packets {
            let malformed = breaker.next(class, &MEMBERS);
            let link = member.link(self.targets[turn % 2])?;
            failures.note(&malformed.name, link.send(&malformed))?;
        }
        failures.finish()
    }

    /// The attacker's node becomes a member, as a stopped one.
    fn join(&self) -> Result<Member> {
        let generation = self.generation()?;
        let member = within_network(&self.attacker().network(), || {
            Member::join(HONEST, generation)
        })?;
        within(20, || {
            let status = self.node(self.targets[0]).ctdb(&["status"])?;
            let line = status.lines().find(|line| line.starts_with("pnn:3"));
            ensure!(
                line.is_some_and(|line| line.contains("STOPPED")),
                "{status}"
            );
            Ok(())
        })?;
        Ok(member)
    }

    fn generation(&self) -> Result<Generation> {
        let mut rogue = self.client(0);
        let address = rogue.address(Pnn::CURRENT);
        let control = address.control(Opcode::GetVnnMap.number(), Srvid(0), &[]);
        let stream = rogue.stream()?;
        std::io::Write::write_all(stream, &control)?;
        let bytes = stream::receive(stream)?.context("no vnnmap")?;
        match Packet::decode(&bytes)?.body {
            Body::ReplyControl(reply) => Ok(VnnMap::from_bytes(reply.data)?.generation),
            other => bail!("{other:?}"),
        }
    }

    /// The same once more, while one recovery follows the other.
    fn in_recoveries(&self, report: &mut Report) -> Result<()> {
        let packets = self.options.packets / 10;
        let over = AtomicBool::new(false);
        let mut member = self.join()?;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // that it is refused while another is going on is as good
                    let _ = self.node(self.targets[1]).ctdb(&["recover"]);
                    std::thread::sleep(Duration::from_secs(1));
                }
            });
            let quick = if self.options.quick { 2 } else { usize::MAX };
            for &class in self.options.classes.iter().rev().take(quick) {
                self.attack(&format!("{class:?} in recoveries"), report, || {
                    self.at_both(|to| self.one_client(class, to, packets / 2))?;
                    match self.breaker(20).has(class, &MEMBERS) {
                        true => self.member(&mut member, class, packets),
                        false => Ok(()),
                    }
                });
            }
            over.store(true, Ordering::Relaxed);
        });
        drop(member);
        report.check("afterwards all nodes are OK", || {
            within(60, || self.check_ok())
        });
        Ok(())
    }
}

/// What a member that wants to stay one can send.
const MEMBERS: [Due; 2] = [Due::Refused, Due::Nothing];

/// In the attacker's network: packets that end their connection.
fn alone(mut breaker: Breaker, class: Class, to: usize, packets: usize) -> Result<()> {
    let mut failures = Failures::default();
    for _ in 0..packets {
        let malformed = breaker.next(class, &[Due::Closed]);
        let sent = impostor::send_alone(HONEST, to, &malformed);
        failures.note(&malformed.name, sent)?;
    }
    failures.finish()
}

/// What came wrong.
#[derive(Debug, Default)]
struct Failures {
    packets: usize,
    texts: Vec<String>,
}

impl Failures {
    /// Too many end the attack.
    fn note(&mut self, name: &str, sent: Result<()>) -> Result<()> {
        self.packets += 1;
        if let Err(why) = sent {
            self.texts.push(format!("{name}: {why:#}"));
        }
        ensure!(self.texts.len() < SHOWN, "{}", self.text());
        Ok(())
    }

    fn text(&self) -> String {
        format!("of {} packets:\n{}", self.packets, self.texts.join("\n"))
    }

    fn finish(self) -> Result<()> {
        ensure!(self.texts.is_empty(), "{}", self.text());
        Ok(())
    }
}

/// All classes.
#[must_use]
pub fn classes() -> Vec<Class> {
    Class::value_variants().to_vec()
}

/// The database that specimens are about.
fn database() -> DbId {
    wire::db_id(DATABASE)
}

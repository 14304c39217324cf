//! `compat`: the tests against real peers, the benchmark, and the demonstration cluster. Needs root.
#![forbid(unsafe_code)]

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use compat_tests::bench::{run as bench, turn::Turn};
use compat_tests::cluster::{Cluster, Spec};
use compat_tests::deaths::{self, series};
use compat_tests::host::{self, Host};
use compat_tests::report::Report;
use compat_tests::sections::compare::{self, Which};
use compat_tests::sections::{self, Section};
use compat_tests::{coordinated, demo, faults, hostile, loopback, rolling, soak};
use nix::sys::signal::Signal;

/// Packets of a class in the quick form of `hostile`.
const QUICK: u32 = 300;

/// Tests against real peers: smbd, the C `ctdb` tool, C ctdbd as a neighbour.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Unmodified smbd on every node: what one node does binds the others.
    Accept {
        #[command(flatten)]
        nodes: Nodes,
        /// The sections to run, in this order; all by default.
        #[arg(long, value_delimiter = ',')]
        sections: Vec<Section>,
        /// smbd without clustering: the negative control, in which the section on locks fails.
        #[arg(long)]
        no_clustering: bool,
    },
    /// The `ctdb` tool's output on our cluster against that on a C cluster in the same state.
    Compare {
        #[command(flatten)]
        nodes: Nodes,
        /// What about.
        #[arg(long, value_enum, default_value_t = Which::Cluster)]
        walk: Which,
    },
    /// Our daemon and the C one in turn, with the same clients: a table of rates and costs.
    Bench(bench::Options),
    /// One turn of the benchmark, which starts it.
    #[command(hide = true)]
    BenchTurn(Turn),
    /// One side of `compare`: what a cluster answers, as JSON.
    #[command(hide = true)]
    Record {
        #[command(flatten)]
        nodes: Nodes,
        /// What about.
        #[arg(long, value_enum)]
        walk: Which,
    },
    /// What dies, hangs or runs out, and what becomes of it.
    Deaths {
        #[command(flatten)]
        nodes: Nodes,
        /// The groups to run, in this order; all by default.
        #[arg(long, value_delimiter = ',')]
        groups: Vec<deaths::Group>,
        /// Leave out what takes long to wait for.
        #[arg(long)]
        quick: bool,
    },
    /// Kills of ctdbd and of a node's process 1, under load.
    Kills {
        #[command(flatten)]
        nodes: Nodes,
        /// How many of each.
        #[arg(long, default_value_t = 2)]
        kills: usize,
        /// The machine's own ctdbd in turn with ours, which must not take longer to be back.
        #[arg(long)]
        against_c: bool,
        /// How many on one cluster, before it is the other one's turn.
        #[arg(long, default_value_t = 20)]
        block: usize,
    },
    /// Faults by chance, one after the other, under load.
    Faults {
        #[command(flatten)]
        nodes: Nodes,
        /// How many.
        #[arg(long, default_value_t = 200)]
        faults: usize,
        /// What chance begins with: the same faults again.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The longest that one lasts, in seconds.
        #[arg(long, default_value_t = 60)]
        longest: usize,
        /// The kinds; all by default, against C those that it knows too.
        #[arg(long, value_delimiter = ',')]
        kinds: Vec<faults::Kind>,
        /// Who says which nodes are members, and which leads; etcd's servers fail then too. Not against C.
        #[arg(long, value_enum, default_value_t = faults::Manager::Native)]
        manager: faults::Manager,
        /// The tunables as they are by default, instead of short times.
        #[arg(long)]
        default_tunables: bool,
        /// The same faults with the machine's own ctdbd, and the times beside ours.
        #[arg(long)]
        against_c: bool,
    },
    /// A cluster of C nodes under load, each replaced by ours and by C again.
    Rolling {
        #[command(flatten)]
        nodes: Nodes,
        /// Only the node that leads, and no public addresses.
        #[arg(long)]
        quick: bool,
    },
    /// A cluster at work for an hour, with smbd and every kind of client, while something happens every half a minute.
    Soak {
        #[command(flatten)]
        nodes: Nodes,
        /// For how long.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=300))]
        minutes: u32,
        /// What chance begins with: the same faults again.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Malformed packets and absurd ones, from clients and from a node, under load.
    Hostile {
        #[command(flatten)]
        nodes: Nodes,
        /// Malformed packets of each class from clients, and as many from a node.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
        packets: u32,
        /// The classes; all by default.
        #[arg(long, value_delimiter = ',')]
        classes: Vec<hostile::Class>,
        /// What chance begins with: the same packets again.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Few packets, within a minute.
        #[arg(long)]
        quick: bool,
    },
    /// Members and leader by etcd (Debian's etcd-server): what dies, is cut off or goes away.
    Etcd {
        #[command(flatten)]
        nodes: Nodes,
        /// Only the leader's death and the loss of etcd.
        #[arg(long)]
        quick: bool,
    },
    /// A part in those tests, played on a node.
    #[command(hide = true)]
    Actor {
        #[command(subcommand)]
        actor: deaths::actor::Actor,
    },
    /// Shows a cluster at work, and keeps it until Ctrl-C.
    Demo {
        #[command(flatten)]
        nodes: Nodes,
        /// End after the demonstration.
        #[arg(long)]
        once: bool,
    },
    /// The same without root: ctdbd alone, in its test mode, on loopback addresses.
    Loopback {
        /// The package root.
        #[arg(long)]
        root: PathBuf,
        /// End after the demonstration.
        #[arg(long)]
        once: bool,
    },
}

/// Which nodes there are, and what they run.
#[derive(Debug, Args)]
struct Nodes {
    /// The package root under test; without it, every node runs the machine's own ctdbd.
    #[arg(long)]
    root: Option<PathBuf>,
    /// Numbers of the nodes that run the machine's own ctdbd all the same.
    #[arg(long, value_delimiter = ',')]
    theirs: Vec<usize>,
    /// How many nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// A directory for the logs of a run that failed.
    #[arg(long)]
    logs: Option<PathBuf>,
    /// ctdbd's log level.
    #[arg(long, default_value = "NOTICE")]
    log_level: String,
}

impl Nodes {
    fn spec(&self) -> Result<Spec> {
        ensure!((1..=9).contains(&self.nodes), "1 to 9 nodes");
        let root = self
            .root
            .as_ref()
            .map(|root| root.canonicalize().context("--root"));
        let root = root.transpose()?;
        if let Some(root) = &root {
            ensure!(
                root.join("usr/sbin/ctdbd").is_file(),
                "no usr/sbin/ctdbd below {}",
                root.display()
            );
        }
        let of = |pnn| root.clone().filter(|_| !self.theirs.contains(&pnn));
        Ok(Spec {
            roots: (0..self.nodes).map(of).collect(),
            clustering: true,
            event_scripts: true,
            log_level: self.log_level.clone(),
            disk: None,
            manager: None,
            more_conf: String::new(),
            more_tunables: String::new(),
        })
    }

    /// What must stay visible in the namespaces.
    fn host(&self) -> Result<Host> {
        let seen = [
            self.root.clone(),
            self.logs.clone(),
            std::env::current_exe().ok(),
        ];
        let absolute = |path: PathBuf| std::path::absolute(path).ok();
        Host::prepare(
            &seen
                .into_iter()
                .flatten()
                .filter_map(absolute)
                .collect::<Vec<_>>(),
        )
    }

    fn keep_logs(&self, cluster: &Cluster, report: &Report) -> Result<()> {
        match &self.logs {
            Some(logs) if report.failed() > 0 => cluster.keep_logs(logs),
            _ => Ok(()),
        }
    }
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if let What::Loopback { root, once } = &cli.what {
        return loopback::run(root, 3, *once);
    }
    if let What::Bench(options) = &cli.what {
        return bench::run(options).map(exit_code);
    }
    if let What::Compare { nodes, walk } = &cli.what {
        return run_compare(nodes, *walk);
    }
    if let What::Actor { actor } = &cli.what {
        return actor.run().map(|()| ExitCode::SUCCESS);
    }
    if !host::is_inside() {
        if let What::BenchTurn(_) | What::Record { .. } = &cli.what {
            // the end of the benchmark is the end of its turn, that of the comparison of its sides
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).context("parent death signal")?;
        }
        return host::run_inside();
    }
    let held = match cli.what {
        What::Accept {
            nodes,
            sections,
            no_clustering,
        } => accept(&nodes, &sections, !no_clustering)?,
        What::Record { nodes, walk } => record(&nodes, walk).map(|()| true)?,
        What::Deaths {
            nodes,
            groups,
            quick,
        } => run_deaths(&nodes, &groups, quick)?,
        What::Kills {
            nodes,
            kills,
            against_c,
            block,
        } => run_kills(
            &nodes,
            &series::Options {
                kills,
                against_c,
                block,
            },
        )?,
        What::Faults {
            nodes,
            faults,
            seed,
            longest,
            kinds,
            manager,
            default_tunables,
            against_c,
        } => run_faults(
            &nodes,
            &faults::Options {
                faults,
                seed,
                longest,
                kinds,
                default_tunables,
                against_c,
                manager,
            },
        )?,
        What::Rolling { nodes, quick } => run_rolling(&nodes, quick)?,
        What::Soak {
            nodes,
            minutes,
            seed,
        } => run_soak(&nodes, soak::Options { minutes, seed })?,
        What::Hostile {
            nodes,
            packets,
            classes,
            seed,
            quick,
        } => {
            let packets = if quick { QUICK } else { packets };
            let options = hostile::Options {
                packets: usize::try_from(packets)?,
                seed,
                classes: match classes[..] {
                    [] => hostile::classes(),
                    _ => classes,
                },
                quick,
            };
            run_hostile(nodes, &options)?
        }
        What::Etcd { nodes, quick } => run_etcd(&nodes, quick)?,
        What::Demo { nodes, once } => {
            let cluster = Cluster::boot(nodes.host()?, &nodes.spec()?)?;
            let shown = demo::run(&cluster, once);
            if let (Err(_), Some(logs)) = (&shown, &nodes.logs) {
                cluster.keep_logs(logs)?;
            }
            shown?;
            true
        }
        What::BenchTurn(turn) => turn.run().map(|()| true)?,
        What::Compare { .. } | What::Bench(_) | What::Loopback { .. } | What::Actor { .. } => false,
    };
    Ok(exit_code(held))
}

fn exit_code(held: bool) -> ExitCode {
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn accept(nodes: &Nodes, sections: &[Section], clustering: bool) -> Result<bool> {
    let spec = Spec {
        clustering,
        ..nodes.spec()?
    };
    let mut report = Report::default();
    let mut cluster = Cluster::boot(nodes.host()?, &spec)?;
    for node in &cluster.nodes {
        println!(
            "# node {} runs {}",
            node.pnn,
            if node.is_ours() { "ours" } else { "theirs" }
        );
    }
    report.group("start", |report| sections::bring_up(&cluster, report));
    if report.failed() == 0 {
        let all = if sections.is_empty() {
            Section::value_variants()
        } else {
            sections
        };
        for section in all {
            let name = format!("{section:?}").to_lowercase();
            report.group(&name, |report| section.run(&mut cluster, report));
        }
    }
    nodes.keep_logs(&cluster, &report)?;
    Ok(report.finish())
}

fn run_deaths(nodes: &Nodes, groups: &[deaths::Group], quick: bool) -> Result<bool> {
    let spec = Spec {
        event_scripts: false,
        more_conf: deaths::CONF.to_owned(),
        more_tunables: deaths::TUNABLES.to_owned(),
        ..nodes.spec()?
    };
    let cluster = Cluster::boot(nodes.host()?, &spec)?;
    let mut report = Report::default();
    report.group("deaths", |report| {
        deaths::run(&cluster, groups, quick, report)
    });
    nodes.keep_logs(&cluster, &report)?;
    Ok(report.finish())
}

fn run_etcd(nodes: &Nodes, quick: bool) -> Result<bool> {
    ensure!(
        nodes.root.is_some() && nodes.theirs.is_empty(),
        "only for daemons of ours"
    );
    let host = nodes.host()?;
    let spec = Spec {
        event_scripts: false,
        manager: Some(coordinated::conf(&host)),
        ..nodes.spec()?
    };
    let mut cluster = Cluster::boot(host, &spec)?;
    let mut report = Report::default();
    report.group("etcd", |report| {
        coordinated::run(&mut cluster, quick, report)
    });
    nodes.keep_logs(&cluster, &report)?;
    Ok(report.finish())
}

fn run_hostile(mut nodes: Nodes, options: &hostile::Options) -> Result<bool> {
    ensure!(
        nodes.root.is_some() && nodes.theirs.is_empty(),
        "only for daemons of ours: the C daemon of 4.17.12 aborts on the first lying length"
    );
    nodes.nodes = hostile::NODES;
    let spec = Spec {
        event_scripts: false,
        ..nodes.spec()?
    };
    let cluster = Cluster::boot(nodes.host()?, &spec)?;
    let mut report = Report::default();
    report.group("hostile", |report| hostile::run(&cluster, options, report));
    nodes.keep_logs(&cluster, &report)?;
    Ok(report.finish())
}

fn run_faults(nodes: &Nodes, options: &faults::Options) -> Result<bool> {
    let spec = options.spec(nodes.spec()?)?;
    let mut report = Report::default();
    let done = nodes
        .host()
        .and_then(|host| faults::run(host, &spec, options, nodes.logs.as_deref(), &mut report));
    report.check("the faults run to their end", || done);
    Ok(report.finish())
}

fn run_rolling(nodes: &Nodes, quick: bool) -> Result<bool> {
    let spec = nodes.spec()?;
    let root = spec.roots.iter().flatten().next().cloned();
    let options = rolling::Options {
        root: root.context("--root: what C is to be replaced by")?,
        quick,
    };
    let spec = Spec {
        roots: vec![None; spec.roots.len()],
        event_scripts: !quick,
        ..spec
    };
    let mut cluster = Cluster::boot(nodes.host()?, &spec)?;
    let mut report = Report::default();
    report.group("rolling", |report| {
        rolling::run(&mut cluster, &options, report)
    });
    nodes.keep_logs(&cluster, &report)?;
    Ok(report.finish())
}

fn run_soak(nodes: &Nodes, options: soak::Options) -> Result<bool> {
    ensure!(
        nodes.root.is_some() && nodes.theirs.is_empty() && nodes.nodes == 3,
        "three nodes of ours"
    );
    let spec = soak::Options::spec(nodes.spec()?);
    let mut cluster = Cluster::boot(nodes.host()?, &spec)?;
    let mut report = Report::default();
    report.group("soak", |report| soak::run(&mut cluster, options, report));
    nodes.keep_logs(&cluster, &report)?;
    Ok(report.finish())
}

fn run_kills(nodes: &Nodes, options: &series::Options) -> Result<bool> {
    let spec = Spec {
        event_scripts: false,
        ..nodes.spec()?
    };
    let mut report = Report::default();
    let mut done = Ok(());
    report.group("kills", |report| {
        done = nodes
            .host()
            .and_then(|host| series::run(host, &spec, options, nodes.logs.as_ref(), report));
        Ok(())
    });
    report.check("the series runs to its end", || done);
    Ok(report.finish())
}

/// Takes the C cluster and the one under test on the same walk at the same time.
fn run_compare(nodes: &Nodes, walk: Which) -> Result<ExitCode> {
    let theirs = start_record(nodes, walk, "theirs")?;
    let ours = start_record(nodes, walk, "ours")?;
    let mut report = Report::default();
    let mut steps = |side: Child, what: &str| {
        let (steps, ended) = match recorded(side) {
            Ok((steps, ended)) => (steps, ended),
            Err(why) => (Vec::new(), Err(why)),
        };
        report.check(&format!("{what} goes through all states"), || ended);
        steps
    };
    let theirs = steps(theirs, "the C cluster");
    let ours = steps(ours, "the cluster under test");
    compare::compare(walk, &theirs, &ours, &mut report);
    Ok(exit_code(report.finish()))
}

/// Starts this program once more, for one of the sides.
fn start_record(nodes: &Nodes, walk: Which, side: &str) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("own path")?);
    let mut theirs: Vec<_> = nodes.theirs.iter().map(usize::to_string).collect();
    match walk {
        Which::Cluster => {
            command.args(["record", "--walk", "cluster"]);
            command.args(["--nodes", &nodes.nodes.to_string()]);
        }
        Which::Addresses => {
            command.args(["record", "--walk", "addresses", "--nodes", "2"]);
            theirs = vec!["0".to_owned()];
        }
        Which::Takeover => {
            command.args(["record", "--walk", "takeover", "--nodes", "2"]);
        }
    }
    command.args(["--log-level", &nodes.log_level]);
    if let (Some(root), "ours") = (&nodes.root, side) {
        command.arg("--root").arg(root);
        if !theirs.is_empty() {
            command.args(["--theirs", &theirs.join(",")]);
        }
    }
    if let Some(logs) = &nodes.logs {
        command.arg("--logs").arg(logs.join(side));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("record {side}"))
}

/// What a side answered, and how it ended.
fn recorded(mut side: Child) -> Result<(Vec<compare::Step>, Result<()>)> {
    let mut text = String::new();
    let mut out = side.stdout.take().context("no output")?;
    out.read_to_string(&mut text)?;
    let status = side.wait()?;
    let steps = serde_json::from_str(&text).context("what it printed")?;
    let ended = || {
        ensure!(status.success(), "{status}");
        Ok(())
    };
    Ok((steps, ended()))
}

/// One side: prints what it answers.
fn record(nodes: &Nodes, walk: Which) -> Result<()> {
    // the package's scripts are clients of their own, at times of their own
    let spec = Spec {
        event_scripts: false,
        ..nodes.spec()?
    };
    let cluster = Cluster::boot(nodes.host()?, &spec)?;
    let (steps, walked) = compare::record(&cluster, walk);
    if let Some(logs) = &nodes.logs {
        cluster.keep_logs(logs)?;
    }
    let steps = serde_json::to_string(&steps)?;
    if let Some(logs) = &nodes.logs {
        fs::write(logs.join("steps.json"), &steps)?;
    }
    print!("{steps}");
    walked
}

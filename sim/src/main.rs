//! `sim`: plays seeds or scripts, and says which rules they break.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use sim::{Mutation, Report, Script, Violation, play, shrink};

/// Plays simulated clusters: many seeds, one seed, or a script.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Cli {
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one.
    #[arg(long)]
    seed: Option<u64>,
    /// Play this file.
    #[arg(long)]
    script: Option<PathBuf>,
    /// With a bug planted.
    #[arg(long)]
    bug: Option<Mutation>,
    /// At the same time; by default as many as there are processors.
    #[arg(long)]
    jobs: Option<usize>,
    /// Say what happens.
    #[arg(long)]
    trace: bool,
    /// Leave scripts that break a rule as long as they are.
    #[arg(long)]
    whole: bool,
    /// Go on for this many broken seeds.
    #[arg(long, default_value_t = 3)]
    broken: usize,
}

/// Plays that a script may take to become shorter.
const SHRINK_BUDGET: usize = 600;

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if cli.trace {
        let level = tracing_subscriber::filter::LevelFilter::INFO;
        tracing_subscriber::fmt()
            .with_max_level(level)
            .without_time()
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .init();
    } else {
        // a panic is reported with its seed
        std::panic::set_hook(Box::new(|_| {}));
    }
    let well = match (&cli.script, cli.seed) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let script: Script = text.parse().map_err(|why: String| anyhow!(why))?;
            play_one(&cli, &script)
        }
        (None, Some(seed)) => play_one(&cli, &Script::of_seed(seed)),
        (None, None) => play_seeds(&cli),
    };
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn play_one(cli: &Cli, script: &Script) -> bool {
    let report = play(script, cli.bug, cli.trace);
    let Report {
        events,
        accesses,
        commits,
        recoveries,
        violation,
    } = report;
    println!(
        "{events} events, {accesses} accesses, {commits} commits, {recoveries} recoveries of a database"
    );
    match violation {
        Some(violation) => {
            show(cli, script, &violation);
            false
        }
        None => true,
    }
}

fn show(cli: &Cli, script: &Script, violation: &Violation) {
    println!("{}: {} ({})", violation.rule, violation.text, violation.at);
    let shorter = if cli.whole || cli.trace {
        script.clone()
    } else {
        shrink(script, cli.bug, violation.rule, SHRINK_BUDGET)
    };
    println!("{shorter}");
}

/// What all seeds came to.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    events: u64,
    accesses: u64,
    commits: u64,
    recoveries: u64,
    broken: Vec<(u64, Violation)>,
}

impl Sum {
    fn add(&mut self, seed: u64, report: Report) {
        self.seeds += 1;
        self.events += report.events;
        self.accesses += report.accesses;
        self.commits += report.commits;
        self.recoveries += report.recoveries;
        self.broken
            .extend(report.violation.map(|violation| (seed, violation)));
    }
}

fn play_seeds(cli: &Cli) -> bool {
    let jobs = cli
        .jobs
        .or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let next = AtomicU64::new(cli.from);
    let sum = Mutex::new(Sum::default());
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs.unwrap_or(1) {
            scope.spawn(|| work(cli, &next, &sum));
        }
    });
    let sum = sum
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s, {:.1} a second; {} events, {} accesses, {} commits, {} recoveries of a database",
        sum.seeds,
        sum.seeds as f64 / seconds,
        sum.events,
        sum.accesses,
        sum.commits,
        sum.recoveries
    );
    for (seed, violation) in &sum.broken {
        println!("seed {seed} breaks a rule");
        show(cli, &Script::of_seed(*seed), violation);
    }
    println!("# 1 tests, {} failed", usize::from(!sum.broken.is_empty()));
    sum.broken.is_empty()
}

fn work(cli: &Cli, next: &AtomicU64, sum: &Mutex<Sum>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= cli.from + cli.seeds {
            return;
        }
        let report = play(&Script::of_seed(seed), cli.bug, false);
        let mut sum = sum
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        sum.add(seed, report);
        if sum.broken.len() >= cli.broken {
            return;
        }
    }
}

//! Upstream's own test scripts against our programs.
//!
//! ```text
//!  --tests DIR, a ctdb folder of Samba      a tree, made for this run       each script in namespaces of its own
//!    tests/  config/  tools/  ---------->     the same, by links
//!    bin/    ------------------------->       bin/: ours on top      --->   run_tests.sh SUITE/SCRIPT
//!    (the machine's, where it has none)       ctdbd: C's on --theirs          | its last lines
//!                                                                             v
//!                                          results.tsv <---- compare ---- Outcome, seconds
//! ```
//!
//! Nothing of upstream's is kept here but the names of its scripts. Debian's source package of samba has them; the
//! clients that many of them run (`fetch_ring`, `transaction_loop`) are in `bin` of a ctdb that was built, or ours.

mod baseline;
mod glob;
mod namespaces;
mod outcome;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::step::{cargo, is_root, run as run_step, step, target_dir};
use crate::{package, setup};

use outcome::Outcome;

/// What is to be run, and how.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// A ctdb folder of Samba's sources: with tests, config and tools, and with bin where it was built.
    #[arg(long, value_name = "DIR")]
    tests: PathBuf,
    /// Which suites; may be repeated.
    #[arg(long = "suite", value_name = "SUITE", default_values = baseline::SUITES)]
    suites: Vec<String>,
    /// Only scripts of this name, where * is anything: `transaction.*`.
    #[arg(long, value_name = "GLOB", default_value = "*")]
    only: String,
    /// How many times each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs: usize,
    /// How many scripts at the same time; they wait most of theirs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// The nodes that run the ctdbd of that folder or, where there is none, the machine's.
    #[arg(long, value_name = "PNN", value_delimiter = ',')]
    theirs: Vec<u32>,
    /// Only nodes with this daemon may lead. A script that stops the only one of them fails.
    #[arg(long, value_enum)]
    leader: Option<tree::Whose>,
    /// Whose test clients (`fetch_ring`, `transaction_loop`); ours where that folder has none.
    #[arg(long, value_enum, default_value = "theirs")]
    clients: tree::Whose,
    /// Build our programs without optimization.
    #[arg(long)]
    debug: bool,
    /// Do not build: our programs are installed below this directory.
    #[arg(long, value_name = "DIR", conflicts_with = "debug")]
    root: Option<PathBuf>,
}

/// One script, once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Done {
    outcome: Outcome,
    seconds: u64,
}

/// What each script did in each run, by suite and script.
type Results = BTreeMap<(String, String), Vec<Done>>;

/// Builds, runs, prints; true if every script did at least as well as it is known to.
pub(crate) fn run(plan: &Plan) -> Result<bool> {
    let upstream = plan.tests.canonicalize().context("--tests")?;
    let scripts = tree::scripts(&upstream, &plan.suites, &plan.only)?;
    ensure!(!scripts.is_empty(), "no script is named {}", plan.only);
    if !setup::run(setup::Purpose::Run)? {
        return Ok(false);
    }
    if !is_root() {
        step("upstream's scripts need root here: namespaces, addresses");
        return Ok(false);
    }
    let dir = target_dir()?.join("upstream");
    let (ours, logs) = (plan.programs(&dir)?, dir.join("logs"));
    let tree = tree::Tree::make(&dir.join("tree"), &upstream, &ours, &plan.into())?;
    tree.add_clients(&clients()?, plan.clients == tree::Whose::Ours)?;
    let _ = fs::remove_dir_all(&logs);
    fs::create_dir_all(&logs)?;
    step(&format!(
        "{} scripts, {} times; logs in {}",
        scripts.len(),
        plan.runs,
        logs.display()
    ));
    let results = run_all(plan, &tree, &scripts, &logs)?;
    fs::write(dir.join("results.tsv"), baseline::table(&results))?;
    Ok(baseline::compare(&results))
}

impl Plan {
    /// The root of a package with our programs, which is made below `dir` if none is given.
    fn programs(&self, dir: &Path) -> Result<PathBuf> {
        if let Some(root) = &self.root {
            return root.canonicalize().context("--root");
        }
        let root = dir.join("package");
        package::install(&root, self.debug)?;
        Ok(root)
    }
}

/// Builds our test clients, which are one program.
fn clients() -> Result<PathBuf> {
    let target = target_dir()?;
    run_step(cargo("build --package compat-tests --bins --target-dir").arg(&target))?;
    Ok(target.join("debug/ctdb-suite-client"))
}

/// Each script in each run, as many at a time as wanted: whoever is free takes the next.
fn run_all(
    plan: &Plan,
    tree: &tree::Tree,
    scripts: &[(String, String)],
    logs: &Path,
) -> Result<Results> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Results::new());
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (run, script) = (number / scripts.len(), &scripts[number % scripts.len()]);
            if run >= plan.runs {
                return Ok(());
            }
            let (suite, name) = script;
            let log = logs.join(format!("{}-{name}-{run}.log", suite.replace('/', "-")));
            let done = namespaces::run(tree, &format!("{suite}/{name}"), number, &log)?;
            println!("{}", done.line(suite, name));
            let mut results = results.lock().unwrap_or_else(|broken| broken.into_inner());
            results.entry(script.clone()).or_default().push(done);
        }
    };
    thread::scope(|scope| -> Result<()> {
        let jobs: Vec<_> = (0..plan.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        jobs.into_iter()
            .try_for_each(|job| job.join().expect("a script's thread panicked"))
    })?;
    Ok(results
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner()))
}

impl Done {
    /// A line for people.
    fn line(&self, suite: &str, name: &str) -> String {
        let Self { outcome, seconds } = self;
        format!("{:>8} {seconds:4} s  {suite}/{name}", outcome.word())
    }
}

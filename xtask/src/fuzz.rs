//! The fuzz targets under libFuzzer, on stable Rust: the compiler's own pass counts what is covered.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::fuzz::{TARGETS, Target, corpus};
use anyhow::{Context, Result, bail, ensure};

use crate::step::{cargo, run as run_step, step, target_dir};

/// What `cargo-fuzz` asks of the compiler for coverage, without a sanitizer, which stable has not.
const FLAGS: [&str; 6] = [
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// With a target, the flags are not for build scripts and macros.
const PLATFORM: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-gnu"
} else {
    "x86_64-unknown-linux-gnu"
};
/// The longest input, in bytes.
const LONGEST: usize = 4096;
/// What a target may use, in MiB: a length that is believed shows here.
const MEMORY: usize = 512;
/// The most that is kept of a target's inputs, in bytes.
const KEPT: usize = 32 << 10;

/// What is to be done.
pub(crate) struct Plan {
    /// For how long in all; spread by the targets' weights.
    pub(crate) seconds: u64,
    /// Which; none means all.
    pub(crate) targets: Vec<String>,
    /// Keep the inputs that reach what no other does in the project.
    pub(crate) keep: bool,
}

impl Plan {
    /// All targets for a few seconds.
    pub(crate) fn short() -> Self {
        Self {
            seconds: 24,
            targets: Vec::new(),
            keep: false,
        }
    }
}

/// Runs the targets; true if nothing was found.
pub(crate) fn run(plan: &Plan) -> Result<bool> {
    let chosen = chosen(&plan.targets)?;
    let dir = target_dir()?.join("fuzz");
    let program = build(&dir)?;
    let weights: u64 = chosen.iter().map(|target| u64::from(target.weight)).sum();
    let mut well = true;
    for target in chosen {
        let seconds = (plan.seconds * u64::from(target.weight) / weights).max(1);
        let work = Work::new(&dir, &program, target)?;
        well &= work.fuzz(seconds)?;
        if plan.keep {
            work.keep()?;
        }
    }
    Ok(well)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Target>> {
    let find = |name: &String| {
        let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>();
        ::fuzz::target(name).with_context(|| format!("no target {name}; there are {:?}", known()))
    };
    match names {
        [] => Ok(TARGETS.iter().collect()),
        names => names.iter().map(find).collect(),
    }
}

/// Without `--locked`: the lock file there does not follow each change of our own crates.
fn build(dir: &Path) -> Result<PathBuf> {
    let mut command = cargo("build --release --manifest-path fuzz/libfuzzer/Cargo.toml");
    command
        .args(["--target", PLATFORM, "--target-dir"])
        .arg(dir);
    run_step(command.env("RUSTFLAGS", FLAGS.join(" ")))?;
    Ok(dir.join(PLATFORM).join("release/fuzz"))
}

/// A target and its folders.
struct Work<'a> {
    target: &'static Target,
    program: &'a Path,
    inputs: PathBuf,
    artifacts: PathBuf,
    log: PathBuf,
}

impl<'a> Work<'a> {
    /// The folders, with the seeds and what is kept in them.
    fn new(dir: &Path, program: &'a Path, target: &'static Target) -> Result<Self> {
        let work = Self {
            target,
            program,
            inputs: dir.join("inputs").join(target.name),
            artifacts: dir.join("artifacts").join(target.name),
            log: dir.join(format!("{}.log", target.name)),
        };
        fs::create_dir_all(&work.inputs)?;
        fs::create_dir_all(&work.artifacts)?;
        let kept = fs::read_to_string(work.kept()).unwrap_or_default();
        let Ok(kept) = corpus::parse(&kept) else {
            bail!("{} is damaged", work.kept().display());
        };
        for (number, input) in [corpus::seeds(target.name), kept]
            .concat()
            .iter()
            .enumerate()
        {
            fs::write(work.inputs.join(format!("kept-{number}")), input)?;
        }
        Ok(work)
    }

    /// Where the project keeps this target's inputs.
    fn kept(&self) -> PathBuf {
        Path::new("fuzz/corpus").join(format!("{}.hex", self.target.name))
    }

    fn command(&self) -> Result<Command> {
        let log = fs::File::create(&self.log)?;
        let mut command = Command::new(self.program);
        command
            .env("FUZZ_TARGET", self.target.name)
            .arg(format!("-artifact_prefix={}/", self.artifacts.display()))
            .arg(format!("-max_len={LONGEST}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .stdout(Stdio::null())
            .stderr(log);
        Ok(command)
    }

    /// True if it found nothing.
    fn fuzz(&self, seconds: u64) -> Result<bool> {
        let Target { name, about, .. } = self.target;
        step(&format!("fuzz: {name} ({about}), {seconds} s"));
        let mut command = self.command()?;
        command
            .args(["-timeout=10", "-print_final_stats=1"])
            .arg(format!("-max_total_time={seconds}"))
            .arg(&self.inputs);
        let status = command.status().context("the fuzzer")?;
        let log = fs::read(&self.log)?;
        let log = String::from_utf8_lossy(&log);
        let runs = log.lines().rev().find(|line| line.starts_with("Done "));
        let inputs = fs::read_dir(&self.inputs)?.count();
        println!("    {}, {inputs} inputs", runs.unwrap_or("ended early"));
        if !status.success() {
            println!(
                "    FOUND: see {} and {}",
                self.artifacts.display(),
                self.log.display()
            );
        }
        Ok(status.success())
    }

    /// Writes the inputs that are worth it into the project: the smallest that cover all.
    fn keep(&self) -> Result<()> {
        let merged = self.inputs.with_extension("merged");
        let _ = fs::remove_dir_all(&merged);
        fs::create_dir_all(&merged)?;
        let mut command = self.command()?;
        let status = command
            .arg("-merge=1")
            .args([&merged, &self.inputs])
            .status()?;
        ensure!(status.success(), "merging failed: {}", self.log.display());
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&merged)? {
            inputs.push(fs::read(entry?.path())?);
        }
        let seeds = corpus::seeds(self.target.name);
        inputs.retain(|input| !seeds.contains(input));
        inputs.sort_by_key(Vec::len);
        let mut size = 0;
        inputs.retain(|input| {
            size += input.len();
            size <= KEPT
        });
        println!("    {} are kept in {}", inputs.len(), self.kept().display());
        fs::write(self.kept(), corpus::print(inputs)).context("the corpus")
    }
}

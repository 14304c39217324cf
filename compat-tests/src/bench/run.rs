//! The whole run: rounds of turns, and what comes of them.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use super::compare::compare;
use super::machine::Machine;
use super::turn::{Files, Turn};
use super::{Outcome, Sample, Side, Workload, plot, table};

/// How a benchmark is to be made.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    files: Files,
    /// Numbers of nodes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3], value_parser = clap::value_parser!(usize))]
    nodes: Vec<usize>,
    /// How many rounds; in each, C, ours and C again have a turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each rate is measured, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// One round with small amounts: shows that everything runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Let the scheduler choose where processes run; otherwise each node has one processor.
    #[arg(long)]
    unpinned: bool,
    /// The workloads; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Workload>,
    /// A file for all values.
    #[arg(long)]
    json: Option<PathBuf>,
    /// A file for the plot of the ratios.
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// Runs it all and prints the table; true if nothing failed.
///
/// # Errors
/// Nothing can be started, or a file cannot be written.
pub fn run(options: &Options) -> Result<bool> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "namespaces and mounts need root"
    );
    ensure!(
        options.nodes.iter().all(|nodes| (1..=9).contains(nodes)),
        "1 to 9 nodes"
    );
    let options = options.resolved()?;
    let machine = Machine::look(&options.files.disk, options.files.against.as_deref())?;
    println!("# {machine}");
    if options.quick {
        println!("# quick: much smaller amounts than the rows say, so the figures mean nothing");
    }
    let mut samples = Vec::new();
    for turn in options.turns() {
        samples.extend(run_turn(&turn, &options.files.disk)?);
    }
    let rows = compare(&samples);
    print!("{}", table::text(&rows));
    if let Some(path) = &options.json {
        write(path, &json(&machine, &options, &samples)?)?;
    }
    if let Some(path) = &options.svg {
        write(path, &plot::svg(&rows, &machine.to_string()))?;
    }
    let failed = |sample: &&Sample| matches!(sample.outcome, Outcome::Failed(_));
    let failed = samples.iter().filter(failed).count();
    println!("# {} tests, {failed} failed", samples.len());
    Ok(failed == 0 && !samples.is_empty())
}

impl Options {
    /// With absolute paths that are there.
    fn resolved(&self) -> Result<Self> {
        let mut options = self.clone();
        let there = |path: &Path| {
            path.canonicalize()
                .with_context(|| path.display().to_string())
        };
        options.files.root = there(&self.files.root)?;
        options.files.disk = there(&self.files.disk)?;
        options.files.against = self.files.against.as_deref().map(there).transpose()?;
        options.files.upstream = self.files.upstream.as_deref().map(there).transpose()?;
        options.files.logs = self
            .files
            .logs
            .as_deref()
            .map(std::path::absolute)
            .transpose()?;
        ensure!(
            options.files.upstream.is_some() || !options.only.contains(&Workload::Upstream),
            "the workload upstream needs --upstream, a directory with upstream's transaction_loop"
        );
        let daemon = options.files.root.join("usr/sbin/ctdbd");
        ensure!(daemon.is_file(), "no {}", daemon.display());
        if self.quick {
            options.rounds = 1;
        }
        Ok(options)
    }

    /// All turns, in their order.
    fn turns(&self) -> Vec<Turn> {
        let chosen = |workload: &Workload| match workload {
            Workload::Upstream if self.files.upstream.is_none() => false,
            workload => self.only.is_empty() || self.only.contains(workload),
        };
        let chosen: Vec<_> = Workload::value_variants()
            .iter()
            .copied()
            .filter(chosen)
            .collect();
        let (counted, timed): (Vec<_>, Vec<_>) = chosen
            .into_iter()
            .partition(|workload| *workload == Workload::Instructions);
        let mut turns = Vec::new();
        for round in 0..self.rounds {
            for nodes in &self.nodes {
                turns.extend(
                    self.order(round)
                        .map(|side| self.turn(round, *nodes, side, &timed)),
                );
            }
        }
        // nothing moves these counts, so one round does; and a quick run has no time for them
        if !self.quick {
            turns.extend(self.order(0).map(|side| self.turn(0, 1, side, &counted)));
        }
        turns.retain(|turn| !turn.only.is_empty());
        turns
    }

    /// The sides in the order of a round: each comes first, second and last equally often.
    fn order(&self, round: usize) -> impl Iterator<Item = Side> {
        let mut sides = vec![Side::Ours];
        if self.files.against.is_some() {
            sides = vec![Side::Theirs, Side::Ours, Side::TheirsAgain];
        }
        let first = round % sides.len();
        sides.rotate_left(first);
        sides.into_iter()
    }

    fn turn(&self, round: usize, nodes: usize, side: Side, only: &[Workload]) -> Turn {
        Turn {
            side,
            nodes,
            round,
            files: self.files.clone(),
            seconds: self.seconds,
            quick: self.quick,
            unpinned: self.unpinned,
            only: only.to_vec(),
        }
    }
}

/// Runs a turn in a process of its own; rows that it does not get to have failed.
fn run_turn(turn: &Turn, disk: &Path) -> Result<Vec<Sample>> {
    let begin = Instant::now();
    let scratch = disk.join(format!("ctdb-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let (mut samples, status) = collect(&mut command(turn, &scratch)?)?;
    match fs::remove_dir_all(&scratch) {
        // somebody tidied up: that is no reason to lose what was measured
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for row in turn.rows() {
        if !samples.iter().any(|sample| sample.row == row) {
            samples.push(turn.sample(
                row,
                Outcome::Failed(format!("the turn ended before: {status}")),
            ));
        }
    }
    println!(
        "# round {}, {} nodes, {}: {:.0} s",
        turn.round + 1,
        turn.nodes,
        name(turn.side),
        begin.elapsed().as_secs_f64()
    );
    Ok(samples)
}

fn command(turn: &Turn, scratch: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench-turn", "--side", &name(turn.side)]);
    command.args([
        "--nodes",
        &turn.nodes.to_string(),
        "--round",
        &turn.round.to_string(),
    ]);
    command.args(["--seconds", &turn.seconds.to_string()]);
    command
        .arg("--root")
        .arg(&turn.files.root)
        .arg("--disk")
        .arg(scratch);
    if let Some(path) = &turn.files.against {
        command.arg("--against").arg(path);
    }
    if let Some(path) = &turn.files.upstream {
        command.arg("--upstream").arg(path);
    }
    if let Some(path) = &turn.files.logs {
        command.arg("--logs").arg(path);
    }
    if turn.quick {
        command.arg("--quick");
    }
    if turn.unpinned {
        command.arg("--unpinned");
    }
    let only: Vec<_> = turn.only.iter().map(|workload| name(*workload)).collect();
    command.args(["--only", &only.join(",")]);
    Ok(command)
}

/// The samples that a turn prints; its other lines are shown.
fn collect(command: &mut Command) -> Result<(Vec<Sample>, ExitStatus)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .context("a turn")?;
    let mut samples = Vec::new();
    for line in BufReader::new(child.stdout.take().context("its output")?).lines() {
        let line = line?;
        match serde_json::from_str::<Sample>(&line) {
            Ok(sample) => samples.push(sample),
            Err(_) => println!("{line}"),
        }
    }
    Ok((samples, child.wait()?))
}

/// As on the command line.
fn name(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

fn json(machine: &Machine, options: &Options, samples: &[Sample]) -> Result<String> {
    let value = serde_json::json!({
        "machine": machine,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "quick": options.quick,
        "unpinned": options.unpinned,
        "samples": samples,
    });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())?;
    println!("# {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(words: &str) -> Options {
        Line::parse_from(words.split(' ')).options
    }

    #[test]
    fn each_side_comes_first_in_turn() {
        let options = options("bench --root / --against /usr/sbin/ctdbd --nodes 3 --only attach");
        let sides: Vec<_> = options.turns().iter().map(|turn| turn.side).collect();
        assert_eq!(sides.len(), 15);
        assert_eq!(sides[..3], [Side::Theirs, Side::Ours, Side::TheirsAgain]);
        assert_eq!(sides[3..6], [Side::Ours, Side::TheirsAgain, Side::Theirs]);
        assert_eq!(sides[6..9], [Side::TheirsAgain, Side::Theirs, Side::Ours]);
    }

    #[test]
    fn instructions_are_counted_once_and_apart() {
        let turns = options("bench --root / --rounds 2 --nodes 1,3").turns();
        assert_eq!(turns.len(), 5);
        assert_eq!(turns[4].only, [Workload::Instructions]);
        assert!(
            turns[..4]
                .iter()
                .all(|turn| !turn.only.contains(&Workload::Instructions))
        );
    }

    #[test]
    fn a_turn_is_told_all_that_it_has_to_know() {
        #[derive(Parser)]
        struct TurnLine {
            #[command(flatten)]
            turn: Turn,
        }
        let turn = &options("bench --root /r --against /c --quick --only g-lock,attach").turns()[0];
        let command = command(turn, Path::new("/d")).unwrap();
        let back = TurnLine::parse_from(command.get_args()).turn;
        assert_eq!(
            (back.side, back.nodes, back.round, back.quick),
            (turn.side, turn.nodes, turn.round, turn.quick)
        );
        assert_eq!(
            (back.only, back.files.disk),
            (turn.only.clone(), PathBuf::from("/d"))
        );
    }
}

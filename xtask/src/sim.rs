//! The simulator: whole clusters in memory, in virtual time, with faults.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::step::{cargo, run as run_step, succeeds, target_dir};

/// Seeds of a run of the tests: a minute of one processor.
pub(crate) const SEEDS: u64 = 2_000;
/// Seeds of a long run.
pub(crate) const LONG: u64 = 50_000;

/// Plays seeds, or what the options say; true if no rule was broken.
pub(crate) fn run(seeds: u64, options: &[OsString]) -> Result<bool> {
    succeeds(command(seeds)?.args(options))
}

/// The simulator, built just now, with this many seeds.
pub(crate) fn command(seeds: u64) -> Result<Command> {
    let target = target_dir()?;
    run_step(cargo("build --package sim --bins --target-dir").arg(&target))?;
    let mut command = Command::new(target.join("debug/sim"));
    command.arg("--seeds").arg(seeds.to_string());
    Ok(command)
}

//! What is measured: `compat bench`, `compat kills` and `compat hostile` on programs that were just built, with optimization.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{cargo, is_root, run as run_step, step, target_dir};
use crate::{package, setup};

/// Builds, and runs that command of `compat` with these options; false if something that is needed is missing.
pub(crate) fn run(command: &str, options: &[OsString]) -> Result<bool> {
    if !setup::run(setup::Purpose::Measure)? {
        return Ok(false);
    }
    if !is_root() {
        step("measuring needs root: namespaces, mounts");
        return Ok(false);
    }
    let target = target_dir()?;
    let root = target.join("package");
    let build = "build --release --package compat-tests --bins --target-dir";
    run_step(cargo(build).arg(&target))?;
    package::install(&root, false)?;
    step("measuring");
    let mut compat = Command::new(target.join("release/compat"));
    compat.arg(command).arg("--root").arg(&root).args(options);
    // it takes our place, so that a signal to us reaches it
    Err(compat.exec()).context("compat")
}

//! The demonstration: `compat demo` on programs that were just built.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::step::{cargo, has_program, is_root, run as run_step, step, target_dir};
use crate::test::compat;
use crate::{package, setup};

/// Builds and shows; false if something that is needed is missing.
pub(crate) fn run(once: bool) -> Result<bool> {
    let complete = setup::run(setup::Purpose::Run)?;
    let with_samba = is_root();
    if with_samba && !complete {
        return Ok(false);
    }
    if !with_samba {
        step("not root: no namespaces and no smbd; three ctdbd on loopback addresses instead");
        if !has_program("ctdb") {
            println!("    the ctdb tool is missing, see above");
            return Ok(false);
        }
    }
    let target = target_dir()?;
    let root = target.join("package");
    run_step(cargo("build --package compat-tests --bins --target-dir").arg(&target))?;
    package::install(&root, false)?;
    let what = if with_samba { "demo" } else { "loopback" };
    step("starting the cluster");
    let mut command = compat(&target, &[what, "--root"]);
    command.arg(&root).args(once.then_some("--once"));
    // it takes our place, so that a signal to us reaches it
    Err(command.exec()).context("compat")
}

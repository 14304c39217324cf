//! Everything that has to pass before a change goes in.

use anyhow::Result;

use crate::step::{cargo, step, succeeds};
use crate::{fuzz, setup, test, tidy};

/// Runs all checks, also after one failed; true if all passed.
pub(crate) fn run() -> Result<bool> {
    setup::run(setup::Purpose::Run)?;
    let mut failed = Vec::new();
    let mut note = |name: &'static str, well: bool| {
        if !well {
            failed.push(name);
        }
    };
    note("fmt", succeeds(&mut cargo("fmt --all --check"))?);
    let clippy = "clippy --workspace --all-targets --locked -- -D warnings";
    note("clippy", succeeds(&mut cargo(clippy))?);
    let mut doc = cargo("doc --workspace --no-deps --locked");
    note("doc", succeeds(doc.env("RUSTDOCFLAGS", "-D warnings"))?);
    note("tidy", tidy::run()?);
    note("fuzz", fuzz::run(&fuzz::Plan::short())?);
    note("test", test::run(false)?);
    if failed.is_empty() {
        step("all checks passed");
    } else {
        step(&format!("failed: {}", failed.join(", ")));
    }
    Ok(failed.is_empty())
}

//! A client that asks and never reads.

use anyhow::{Result, ensure};

use super::actor::{Acting, Actor};
use super::scene::{Scene, ctdbd, resident};
use crate::report::{Report, within};

/// What it asks for, in MiB, and what the daemon may have of that at once.
const ASKED: u32 = 400;
const KEPT: u64 = 100;

pub(super) fn run(scene: &Scene<'_>, report: &mut Report) -> Result<()> {
    let node = scene.node(2);
    let daemon = ctdbd(node)?;
    let before = resident(node, daemon)?;
    let client = Acting::start(node, &Actor::Deaf { mebibytes: ASKED })?;
    report.check(
        "a client that never reads: the daemon's memory is bounded",
        || {
            std::thread::sleep(std::time::Duration::from_secs(2));
            let grown = resident(node, daemon)?.saturating_sub(before) / 1024;
            ensure!(grown < KEPT, "{grown} MiB");
            Ok(())
        },
    );
    report.check("others are served meanwhile", || scene.check_works("deaf"));
    client.end(node)?;
    report.check("once it is gone, its memory is given back", || {
        within(5, || {
            let grown = resident(node, daemon)?.saturating_sub(before) / 1024;
            ensure!(grown < 16, "{grown} MiB");
            Ok(())
        })
    });
    Ok(())
}

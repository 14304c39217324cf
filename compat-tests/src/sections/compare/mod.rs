//! The `ctdb` tool says the same of our cluster as of a C cluster in the same state.
//!
//! ```text
//! walk      the states that a cluster goes through, and what is asked in each: tables
//! addresses the same for nodes with public addresses
//!  └ ask    runs commands on a node: standard output, standard error, exit status
//! mask      what has to differ between two clusters, by name; statistics, for counters
//! compare   step by step, byte by byte
//! ```
//!
//! Both clusters take the same walk at the same time, each in namespaces of its own.

mod addresses;
mod ask;
mod databases;
mod mask;
mod statistics;
mod tables;
mod walk;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::report::Report;
pub use ask::Step;
pub use walk::record;

/// What a comparison is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// Three nodes, from the first start to the last shutdown.
    Cluster,
    /// Public addresses on a node whose neighbour is a C node, and leads.
    Addresses,
    /// The same where the neighbour is of the same kind.
    Takeover,
}

/// One assertion for each step.
pub fn compare(which: Which, theirs: &[Step], ours: &[Step], report: &mut Report) {
    report.check("as many steps on both", || {
        ensure!(
            theirs.len() == ours.len(),
            "{} and {}",
            theirs.len(),
            ours.len()
        );
        Ok(())
    });
    let mut used = Vec::new();
    for (theirs, ours) in theirs.iter().zip(ours) {
        let masked = [theirs, ours].map(|step| mask::masked(step, &mut used));
        report.check(&theirs.title(), || same(&masked[0], &masked[1]));
    }
    if which != Which::Cluster {
        return;
    }
    for (mask, used) in mask::MASKS.iter().zip(used) {
        let name = format!(
            "{}: {:?} ({})",
            mask.commands.join(", "),
            mask.behind,
            mask.why
        );
        report.check(&format!("has to be masked: {name}"), || {
            ensure!(used > 0, "it hides nothing");
            Ok(())
        });
    }
}

fn same(theirs: &Step, ours: &Step) -> Result<()> {
    ensure!(
        theirs == ours,
        "theirs:\n{}\nours:\n{}",
        shown(theirs),
        shown(ours)
    );
    Ok(())
}

fn shown(step: &Step) -> String {
    format!(
        "{}--- standard error:\n{}--- exit status {}",
        step.stdout, step.stderr, step.status
    )
}

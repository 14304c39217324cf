//! `ctdb-load`: work for one node's ctdbd, and how fast it was done. See [`compat_tests::load`].
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use compat_tests::load::{self, Options};
use tokio::task::LocalSet;

fn main() -> ExitCode {
    let options = Options::parse();
    match work(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ctdb-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(options: &Options) -> Result<()> {
    // one thread, as smbd has: what is measured is the daemon
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let summary = LocalSet::new().block_on(&runtime, load::run(options))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&summary)?)?;
    Ok(())
}

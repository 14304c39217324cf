//! The clients that upstream's test scripts run, by the names of links to this program. See [`compat_tests::suite_clients`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use compat_tests::suite_clients;
use tokio::task::LocalSet;

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(suite_clients::status(&error))
        }
    }
}

fn work() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let arguments = std::env::args().collect();
    LocalSet::new().block_on(&runtime, suite_clients::run(arguments))
}

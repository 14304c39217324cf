//! `ctdb-load`: work for one node's ctdbd, and how fast it was done. See [`compat_tests::load`].
#![forbid(unsafe_code)]

use anyhow::Result;
use clap::Parser;
use compat_tests::load::{self, Options};

fn main() -> Result<()> {
    let options = Options::parse();
    // one thread, as smbd has: what is measured is the daemon
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let summary = runtime.block_on(load::run(&options))?;
    println!("{}", serde_json::to_string(&summary)?);
    Ok(())
}

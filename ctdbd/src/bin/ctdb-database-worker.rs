//! `ctdb-database-worker`: a process of ctdbd's that waits for locks, commits and traverses in its stead.
//!
//! Started by ctdbd alone, with one end of a socket pair as standard input.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::{Context, bail};
use config::Paths;
use ctdbd::logging::{self, LogSettings};
use ctdbd::workers::serve::{Database, serve};

const USAGE: &str =
    "usage: ctdb-database-worker --name NAME --path FILE --flags 0xHEX --hash-size N";

const PROGRAM: &str = "ctdb-database-worker";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::complain(PROGRAM, &logging::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    // the lock we wait for must not be taken for a ctdbd that is no longer there
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let settings = LogSettings::default().or_handed_down(|name| std::env::var(name).ok());
    logging::init(settings, &Paths::from_process()?, PROGRAM)?;
    tdb::set_log(logging::of_tdb);
    let database = parse(std::env::args_os().skip(1))?;
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("standard input")?;
    serve(&database, UnixStream::from(socket)).with_context(|| database.name.clone())
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Database> {
    let (mut name, mut path, mut flags, mut hash_size) = (None, None, None, None);
    while let Some(option) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        let text = value.to_string_lossy();
        match option.to_str() {
            Some("--name") => name = Some(text.into_owned()),
            Some("--path") => path = Some(value.into()),
            Some("--flags") => {
                flags = Some(u32::from_str_radix(text.trim_start_matches("0x"), 16)?)
            }
            Some("--hash-size") => hash_size = Some(text.parse()?),
            _ => bail!(USAGE),
        }
    }
    Ok(Database {
        name: name.context(USAGE)?,
        path: path.context(USAGE)?,
        flags: flags.context(USAGE)?,
        hash_size: hash_size.context(USAGE)?,
    })
}

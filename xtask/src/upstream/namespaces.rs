//! One script in namespaces of its own: all clusters have the same loopback addresses, and none leaves a process behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio, id};
use std::time::Instant;

use anyhow::{Context, Result};

use super::Done;
use super::outcome::Outcome;
use super::tree::Tree;

/// How long a script may take, in seconds. C's slowest takes 107.
const LIMIT: u32 = 900;
/// And how much longer the wrapper that ends the namespaces waits.
const GRACE: u32 = 30;
/// Makes the namespace's loopback device usable, and becomes what runs the script.
const ENTER: &str = "ip link set lo up && exec \"$@\"";

/// Runs a script and says what came of it; `number` is nobody else's now, its output goes to `log`.
pub(super) fn run(tree: &Tree, script: &str, number: usize, log: &Path) -> Result<Done> {
    // short: the sockets lie below it, and a socket's path has 108 bytes
    let state = std::env::temp_dir().join(format!("ctdb.{}.{number}", id()));
    fs::create_dir_all(&state).with_context(|| state.display().to_string())?;
    let begin = Instant::now();
    let output = fs::File::create(log).with_context(|| log.display().to_string())?;
    command(tree, script, &state)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("timeout, unshare")?;
    let done = Done {
        outcome: Outcome::of_log(&fs::read(log)?),
        seconds: begin.elapsed().as_secs(),
    };
    if done.outcome != Outcome::Passed {
        keep(&state, &log.with_extension("state"));
    }
    let _ = fs::remove_dir_all(&state);
    Ok(done)
}

/// `timeout` in the foreground, so that Ctrl-C reaches it; `unshare` takes all that is in the namespaces along.
fn command(tree: &Tree, script: &str, state: &Path) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", &(LIMIT + GRACE).to_string()])
        .args(["unshare", "--net", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "sh", "-c", ENTER, "sh"])
        .arg("tests/run_tests.sh")
        .args(["-D", "-L", "-T", &LIMIT.to_string(), "-V"])
        .args([state, Path::new(script)])
        .current_dir(tree.path());
    // what names a cluster of this machine's
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"CTDB") {
            command.env_remove(name);
        }
    }
    command
}

/// Logs and databases of the nodes, for whoever looks for the reason.
fn keep(state: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([state, to]).status();
    if !copied.is_ok_and(|status| status.success()) {
        println!("    cannot keep {}", state.display());
    }
}

//! Steps: what is being done is printed before it is done.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Goes to the top of the project, wherever the command was typed.
pub(crate) fn enter_project() -> Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the top of the project")?;
    std::env::set_current_dir(top).with_context(|| top.display().to_string())
}

/// Prints what comes next.
pub(crate) fn step(what: &str) {
    println!("==> {what}");
}

/// The cargo that runs us, with words as arguments.
pub(crate) fn cargo(words: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words.split_whitespace());
    // ours, and not meant for what we start
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

/// Where cargo puts what it builds: this program is in its `debug` folder.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("own path")?;
    let dir = program
        .ancestors()
        .nth(2)
        .context("own path is too short")?;
    Ok(dir.to_owned())
}

/// Prints a command, runs it, and says whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    step(&text(command));
    let status = command.status().with_context(|| text(command))?;
    Ok(status.success())
}

/// Prints a command and runs it; it has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    ensure!(succeeds(command)?, "failed: {}", text(command));
    Ok(())
}

/// The standard output of a command that has to succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| text(command))?;
    let stderr = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "failed: {}\n{stderr}", text(command));
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A command as it would be typed.
pub(crate) fn text(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = [program].into_iter().chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    // without a dependency: /proc/self belongs to whom the process runs as
    std::fs::metadata("/proc/self")
        .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Whether a program is in the places where programs are.
pub(crate) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places
        .into_iter()
        .any(|dir: PathBuf| dir.join(name).exists())
}

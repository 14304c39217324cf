//! The machine on which a run was made, without names.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use super::statistics::Spread;
use crate::host;

/// What decides the figures, and is not the daemons.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processors that can be used.
    pub cores: usize,
    /// As the kernel names it.
    pub processor: String,
    /// In GiB.
    pub memory: u64,
    /// `Linux 6.1.0`
    pub kernel: String,
    /// The type of the file system of the persistent databases.
    pub file_system: String,
    /// The median of 100 times a page is appended to a file there and synced, in milliseconds.
    pub sync_ms: f64,
    /// What the C daemon's own tool says of its version.
    pub theirs: Option<String>,
}

impl Machine {
    /// Looks, and writes a file to `disk` for a moment.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn look(disk: &Path, theirs: Option<&Path>) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let uname = nix::sys::utsname::uname()?;
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: field(&read("/proc/cpuinfo"), "model name").to_owned(),
            memory: kilobytes(field(&read("/proc/meminfo"), "MemTotal")).div_ceil(1 << 20),
            kernel: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                version(&uname.release().to_string_lossy())
            ),
            file_system: file_system(disk).unwrap_or_default(),
            sync_ms: sync_ms(disk)?,
            theirs: theirs.map(|_| tool_version().unwrap_or_default()),
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} cores ({}), {} GiB, {}; persistent databases on {}, an appended page synced in {:.2} ms",
            self.cores, self.processor, self.memory, self.kernel, self.file_system, self.sync_ms
        )?;
        match &self.theirs {
            Some(version) => write!(f, "; C: ctdb {version}"),
            None => Ok(()),
        }
    }
}

/// `name : value`
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or_default().trim()
}

fn kilobytes(text: &str) -> u64 {
    text.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// The numbers alone: what a builder added may name the builder.
fn version(release: &str) -> &str {
    release
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()
        .unwrap_or_default()
}

fn file_system(dir: &Path) -> Option<String> {
    let mut df = Command::new("df");
    df.arg("--output=fstype").arg(dir).env("PATH", host::PATH);
    let text = String::from_utf8(df.output().ok()?.stdout).ok()?;
    text.lines().nth(1).map(|line| line.trim().to_owned())
}

fn sync_ms(dir: &Path) -> Result<f64> {
    let path = dir.join("sync-probe");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut times = Vec::new();
    for page in 0..100 {
        let begin = Instant::now();
        file.write_all_at(&[1; 4096], page * 4096)?;
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    fs::remove_file(&path)?;
    Ok(Spread::of(&times).map_or(0.0, |spread| spread.median))
}

fn tool_version() -> Option<String> {
    let done = Command::new("ctdb")
        .arg("version")
        .env("PATH", host::PATH)
        .output()
        .ok()?;
    let text = String::from_utf8(done.stdout).ok()?;
    Some(
        text.trim()
            .trim_start_matches("CTDB version:")
            .trim()
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_named_by_its_numbers() {
        assert_eq!(version("6.1.0-13-amd64"), "6.1.0");
        assert_eq!(version("6.18.44"), "6.18.44");
    }

    #[test]
    fn fields_are_found_by_their_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(field(text, "model name"), "Some CPU @ 2 GHz");
        assert_eq!(kilobytes("25165824 kB").div_ceil(1 << 20), 24);
    }
}

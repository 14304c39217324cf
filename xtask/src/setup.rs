//! Installs what is missing, by apt-get, and nothing else.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{self, has_program, is_root, step};

/// What it is installed for. Whoever runs the tests or the demo builds too, and whoever measures does both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Build,
    Run,
    Measure,
}

/// A Debian package and what we need it for.
struct Package {
    name: &'static str,
    purpose: Purpose,
    why: &'static str,
}

const fn build(name: &'static str, why: &'static str) -> Package {
    Package {
        name,
        purpose: Purpose::Build,
        why,
    }
}

const fn to_run(name: &'static str, why: &'static str) -> Package {
    Package {
        name,
        purpose: Purpose::Run,
        why,
    }
}

const fn to_measure(name: &'static str, why: &'static str) -> Package {
    Package {
        name,
        purpose: Purpose::Measure,
        why,
    }
}

const PACKAGES: [Package; 18] = [
    build("gcc", "links programs, compiles libtdb's log shim"),
    build("libc6-dev", "the C library's headers"),
    build("libtdb-dev", "libtdb, whose files smbd opens too"),
    build("libclang-dev", "bindgen reads libtdb's header with it"),
    build("pkgconf", "finds libtdb"),
    to_run(
        "ctdb",
        "the ctdb tool, the event scripts, and the C daemon to compare with",
    ),
    to_run("samba", "smbd and its tools"),
    to_run("samba-common-bin", "net, smbpasswd, dbwrap_tool"),
    to_run("smbclient", "a client that is not ours"),
    to_run(
        "tdb-tools",
        "looks into tdb files; the event script 00.ctdb needs it",
    ),
    to_run("iproute2", "networks of the nodes"),
    to_run(
        "ethtool",
        "the event script 10.interface asks it whether an interface has a link",
    ),
    to_run("procps", "pgrep"),
    to_run("util-linux", "unshare and nsenter"),
    to_run("mount", "file systems of the nodes"),
    to_run("g++", "libFuzzer, which comes as C++"),
    to_measure("strace", "counts system calls"),
    to_measure("valgrind", "counts instructions"),
];

/// Installs what is missing; false if that is not possible here, after saying what to do.
pub(crate) fn run(purpose: Purpose) -> Result<bool> {
    step("looking for the packages that are needed");
    let wanted = PACKAGES.iter().filter(|package| package.purpose <= purpose);
    if !has_program("dpkg-query") || !has_program("apt-get") {
        println!("This is no Debian; the equivalents of these packages are needed:");
        wanted.for_each(|package| println!("  {:18}{}", package.name, package.why));
        return Ok(false);
    }
    let missing: Vec<_> = wanted
        .filter(|package| !is_installed(package.name))
        .collect();
    if missing.is_empty() {
        println!("    nothing is missing");
        return Ok(true);
    }
    missing
        .iter()
        .for_each(|package| println!("    missing: {:18}{}", package.name, package.why));
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    if !is_root() {
        println!("Not root, so nothing was installed. Type either of");
        println!("  sudo {} setup", std::env::current_exe()?.display());
        println!(
            "  sudo apt-get install --no-install-recommends {}",
            names.join(" ")
        );
        println!("The second one starts the services of what it installs, as Debian does.");
        return Ok(false);
    }
    install(&names)?;
    Ok(true)
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .output();
    query.is_ok_and(|output| output.stdout == b"install ok installed")
}

fn install(names: &[&str]) -> Result<()> {
    let _guard = NoServices::begin()?;
    step::run(&mut apt_get(&["update"]))?;
    step::run(apt_get(&["install", "--no-install-recommends"]).args(names))
}

fn apt_get(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-y", "-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(words);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// While it lives, the installation of a package starts no service: what we want is programs.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        // if we are killed, the file outlives us; it takes itself away then
        let script = format!(
            "#!/bin/sh\n# Made by `cargo xtask setup` for as long as it runs: start no services.\n\
             kill -0 {} 2>/dev/null && exit 101\nrm -f \"$0\"\nexit 0\n",
            std::process::id()
        );
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY)?;
        file.write_all(script.as_bytes()).context(POLICY)?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            // an error leaves a file that takes itself away
            let _ = fs::remove_file(POLICY);
        }
    }
}

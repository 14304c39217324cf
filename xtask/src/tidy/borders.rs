//! Borders: who may be licensed how, depend on what, and do unsafe things.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Findings, Project, Text};
use crate::package::PROGRAMS;
use crate::step::{cargo, output};

/// Crates that other programs may stand on.
const LGPL: [&str; 6] = ["wire", "config", "tdb-sys", "tdb", "client", "libctdb-ffi"];
/// Crates without clock, files, sockets and chance.
const CORE: [&str; 5] = ["wire", "database", "cluster", "service", "failover"];
/// All that the core crates may depend on; hashbrown and equivalent come with indexmap, the last two
/// with tracing.
const CORE_DEPENDENCIES: [&str; 15] = [
    "wire",
    "database",
    "cluster",
    "failover",
    "bitflags",
    "indexmap",
    "hashbrown",
    "equivalent",
    "serde",
    "serde_core",
    "thiserror",
    "tracing",
    "tracing-core",
    "once_cell",
    "pin-project-lite",
];
/// Where the programs are that are installed.
const PROGRAM_FOLDERS: [&str; 3] = ["ctdbd/src/bin", "etcd/src/bin", "cli/src/bin"];
/// Crates that have `unsafe` blocks.
const UNSAFE: [&str; 4] = ["sys", "tdb-sys", "tdb", "libctdb-ffi"];

/// The folder of a member of the workspace, from the path of its Cargo.toml.
fn member(manifest: &Text) -> &str {
    manifest
        .path
        .parent()
        .and_then(Path::to_str)
        .unwrap_or_default()
}

pub(super) fn licences(project: &Project, findings: &mut Findings) -> Result<()> {
    for manifest in project.named("Cargo.toml") {
        let licence = if LGPL.contains(&member(manifest)) {
            "LGPL-3.0-or-later"
        } else {
            "GPL-3.0-or-later"
        };
        let wanted = format!("license = \"{licence}\"");
        if !manifest.content.lines().any(|line| line == wanted) {
            findings.add(&manifest.path, &format!("should say {wanted}"));
        }
        if project.get(format!("LICENSES/{licence}.txt")).is_none() {
            findings.add(
                &manifest.path,
                &format!("LICENSES has no text of {licence}"),
            );
        }
    }
    Ok(())
}

pub(super) fn clippy_files(project: &Project, findings: &mut Findings) -> Result<()> {
    let first = project.get("wire/clippy.toml").map(|file| &file.content);
    for name in core_crates(project) {
        let path = PathBuf::from(name).join("clippy.toml");
        match project.get(&path) {
            None => findings.add(&path, "is missing"),
            Some(file) if Some(&file.content) != first => {
                findings.add(&path, "differs from wire/clippy.toml");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn core_crates(project: &Project) -> impl Iterator<Item = &'static str> {
    CORE.into_iter()
        .filter(|name| project.get(format!("{name}/Cargo.toml")).is_some())
}

pub(super) fn dependencies(project: &Project, findings: &mut Findings) -> Result<()> {
    for name in core_crates(project) {
        let words =
            "tree --edges normal,no-proc-macro --prefix none --format {p} --locked --package";
        let tree = output(cargo(words).arg(name))?;
        for dependency in tree.lines().filter_map(|line| line.split(' ').next()) {
            if !CORE_DEPENDENCIES.contains(&dependency) && dependency != name {
                findings.add(Path::new(name), &format!("depends on {dependency}"));
            }
        }
    }
    Ok(())
}

/// Every program and library says that it forbids unsafe code.
pub(super) fn unsafe_code(project: &Project, findings: &mut Findings) -> Result<()> {
    for file in project.rust().filter(|file| is_crate_root(&file.path)) {
        let member = file.path.components().next().map(|first| first.as_os_str());
        let may = UNSAFE.iter().any(|name| member == Some(name.as_ref()));
        if !may && !file.content.contains("#![forbid(unsafe_code)]") {
            findings.add(&file.path, "does not forbid unsafe code");
        }
    }
    Ok(())
}

fn is_crate_root(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(Path::new(""));
    let is_main = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    is_main || folder.ends_with("src/bin")
}

/// What the packages ctdbd and cli build is what `install` installs.
pub(super) fn programs(project: &Project, findings: &mut Findings) -> Result<()> {
    let is_program = |file: &&Text| {
        let folder = file.path.parent();
        folder.is_some_and(|folder| {
            PROGRAM_FOLDERS
                .iter()
                .any(|known| folder == Path::new(known))
        })
    };
    let built: Vec<_> = project.rust().filter(is_program).collect();
    let name = |file: &Text| file.path.file_stem().map(ToOwned::to_owned);
    let installed = |file: &&&Text| {
        PROGRAMS
            .iter()
            .any(|(known, _)| name(file).is_some_and(|name| name == *known))
    };
    for file in built.iter().filter(|file| !installed(file)) {
        findings.add(&file.path, "is not installed (xtask/src/package.rs)");
    }
    let there = |program: &str| {
        built
            .iter()
            .any(|file| name(file).is_some_and(|name| name == program))
    };
    for (program, _) in PROGRAMS.iter().filter(|(program, _)| !there(program)) {
        findings.add(Path::new(program), "is to be installed but not there");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_crate_needs_the_lesser_licence() {
        let wire = Project::of("wire/Cargo.toml", "license = \"GPL-3.0-or-later\"\n");
        assert!(wire.findings(licences)[0].contains("LGPL"));
    }

    #[test]
    fn programs_forbid_unsafe_code_and_some_crates_need_not() {
        let count = |path| {
            Project::of(path, "fn main() {}")
                .findings(unsafe_code)
                .len()
        };
        assert_eq!(count("ctdbd/src/bin/ctdbd.rs"), 1);
        assert_eq!(count("wire/src/lib.rs"), 1);
        assert_eq!(count("wire/src/ids.rs"), 0);
        assert_eq!(count("sys/src/lib.rs"), 0);
    }
}

//! Lays out below a directory what a package would install.

mod sample;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::library;
use crate::step::{cargo, run, step, target_dir};

/// The programs of the packages `ctdbd`, `cli` and `etcd`, and where they go. The folder of the helpers is the one
/// that is compiled into Debian's ctdb too.
pub(crate) const PROGRAMS: [(&str, &str); 6] = [
    ("ctdbd", "usr/sbin"),
    ("ctdb-wire", "usr/bin"),
    ("ctdb-clusterd", "usr/libexec/ctdb"),
    ("ctdb-database-worker", "usr/libexec/ctdb"),
    ("ctdb-etcd", "usr/libexec/ctdb"),
    ("ctdb_mutex_fcntl_helper", "usr/libexec/ctdb"),
];
const DOCUMENTS: &str = "usr/share/doc/ctdb-remix";
const TEXTS: [&str; 9] = [
    "README.md",
    "CHANGELOG.md",
    "COMPAT.md",
    "ARCHITECTURE.md",
    "docs/cluster-manager.md",
    "docs/libctdb.md",
    "docs/operations.md",
    "docs/wire.md",
    "LICENSES",
];

/// Builds and installs below `root`.
pub(crate) fn install(root: &Path, debug: bool) -> Result<()> {
    let (profile, folder) = if debug {
        ("dev", "debug")
    } else {
        ("release", "release")
    };
    let target = target_dir()?;
    run(
        cargo("build --package ctdbd --package cli --package etcd --bins --profile")
            .arg(profile)
            .arg("--target-dir")
            .arg(&target),
    )?;
    step(&format!("installing below {}", root.display()));
    for (name, place) in PROGRAMS {
        let place = root.join(place);
        fs::create_dir_all(&place)?;
        put_program(&target.join(folder).join(name), &place.join(name))?;
    }
    library::install(root, (profile, folder), &target)?;
    let documents = root.join(DOCUMENTS);
    for text in TEXTS
        .map(Path::new)
        .into_iter()
        .filter(|text| text.exists())
    {
        put_text(text, &documents)?;
    }
    let examples = documents.join("examples");
    fs::create_dir_all(&examples)?;
    for entry in fs::read_dir("docs/examples")? {
        put_text(&entry?.path(), &examples)?;
    }
    fs::write(examples.join("ctdb.conf"), sample::ctdb_conf()).context("examples")?;
    fs::write(examples.join("nodes"), sample::NODES).context("examples")
}

/// By a new file: the old one may be running.
fn put_program(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to);
    fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    println!("    {}", to.display());
    Ok(())
}

fn put_text(from: &Path, documents: &Path) -> Result<()> {
    if from.is_dir() {
        for entry in fs::read_dir(from)? {
            put_text(
                &entry?.path(),
                &documents.join(from.file_name().unwrap_or_default()),
            )?;
        }
        return Ok(());
    }
    fs::create_dir_all(documents)?;
    let to = documents.join(from.file_name().unwrap_or_default());
    fs::copy(from, &to)
        .map(drop)
        .with_context(|| to.display().to_string())
}

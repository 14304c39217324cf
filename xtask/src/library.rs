//! libctdb as it is installed: made of cargo's static library, in which everything is global that Rust has.
//!
//! ```text
//!  cargo's libctdb.a --ld -r--> one object --objcopy--> only public names are global --+--> libctdb.a
//!                                                                                      +--> libctdb.so.0
//! ```
//!
//! A version script alone cannot do it: a linker that is to hide what a script does not name gives versions to all the
//! rest, and the old interface has none.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{cargo, output, run, step};

/// The shared object's name for programs that are linked with it.
const SONAME: &str = "libctdb.so.0";
/// And its own.
const FILE: &str = "libctdb.so.0.1.0";
/// What public names begin with.
const PUBLIC: &str = "ctdb*";
const CRATE: &str = "libctdb-ffi";

/// Builds the library with a profile of cargo's, and installs it, its headers, its pkg-config file and its
/// bindings for Python below `root`.
pub(crate) fn install(root: &Path, (profile, folder): (&str, &str), target: &Path) -> Result<()> {
    run(cargo("build --lib --package")
        .args([CRATE, "--profile", profile, "--target-dir"])
        .arg(target))?;
    let multiarch = multiarch()?;
    let place = root.join("usr/lib").join(&multiarch);
    fs::create_dir_all(&place)?;
    step(&format!("installing libctdb in {}", place.display()));
    let object = one_object(&target.join(folder), profile == "release")?;
    let archive = place.join("libctdb.a");
    remove(&archive)?;
    run(Command::new("ar").arg("rcs").arg(&archive).arg(&object))?;
    shared(&object, &place)?;
    fs::remove_file(&object)?;
    headers(root)?;
    bindings(root)?;
    pkg_config(&place.join("pkgconfig"), &multiarch)
}

/// The folder of Debian's libraries of this machine; just `lib` elsewhere.
fn multiarch() -> Result<String> {
    let words = output(Command::new("cc").arg("-print-multiarch"))?;
    Ok(words.trim().to_owned())
}

/// All of cargo's static library in one object whose names are local but for the public ones.
fn one_object(folder: &Path, release: bool) -> Result<PathBuf> {
    let object = folder.join("libctdb.o");
    run(Command::new("ld")
        .args(["-r", "--whole-archive"])
        .arg(folder.join("libctdb.a"))
        .arg("-o")
        .arg(&object))?;
    run(Command::new("objcopy")
        .args(["--wildcard", "--keep-global-symbol", PUBLIC])
        // Rust's own library carries bitcode, which tools of another LLVM stumble over
        .args([
            "--remove-section",
            ".llvmbc",
            "--remove-section",
            ".llvmcmd",
        ])
        // of all that cargo has put in, used or not
        .args(release.then_some("--strip-debug"))
        .arg(&object))?;
    Ok(object)
}

fn shared(object: &Path, place: &Path) -> Result<()> {
    let script = Path::new(CRATE).join("exports.map");
    let file = place.join(FILE);
    remove(&file)?;
    run(Command::new("cc")
        .args([
            "-shared",
            "-Wl,--gc-sections",
            "-Wl,-z,defs,-z,relro,-z,now",
        ])
        .arg(format!("-Wl,-soname,{SONAME}"))
        .arg(format!("-Wl,--version-script={}", script.display()))
        .arg(object)
        .arg("-ltdb")
        .arg("-o")
        .arg(&file))?;
    for (name, to) in [(SONAME, FILE), ("libctdb.so", SONAME)] {
        let link = place.join(name);
        remove(&link)?;
        symlink(to, &link).with_context(|| link.display().to_string())?;
    }
    Ok(())
}

/// A file that is in use is not written to: the new one takes its name.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

fn headers(root: &Path) -> Result<()> {
    let place = root.join("usr/include");
    fs::create_dir_all(&place)?;
    for entry in fs::read_dir("include")? {
        let entry = entry?;
        fs::copy(entry.path(), place.join(entry.file_name()))?;
    }
    Ok(())
}

/// For the system's Python, where Debian's packages put a module.
fn bindings(root: &Path) -> Result<()> {
    let place = root.join("usr/lib/python3/dist-packages");
    fs::create_dir_all(&place)?;
    println!("    {}", place.join("ctdb.py").display());
    fs::copy("bindings/python/ctdb.py", place.join("ctdb.py"))
        .map(drop)
        .context("ctdb.py")
}

fn pkg_config(place: &Path, multiarch: &str) -> Result<()> {
    fs::create_dir_all(place)?;
    let text = fs::read_to_string(Path::new(CRATE).join("ctdb.pc.in"))?
        .replace("@MULTIARCH@", multiarch)
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    fs::write(place.join("ctdb.pc"), text).context("ctdb.pc")
}

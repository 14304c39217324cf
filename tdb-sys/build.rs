//! Bindings of libtdb by bindgen, and the log shim by cc.

use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    for file in ["wrapper.h", "shim.c"] {
        println!("cargo::rerun-if-changed={file}");
    }
    // The first release with tdb_storev, tdb_traverse_chain and tdb_transaction_active.
    let library = pkg_config::Config::new()
        .atleast_version("1.3.17")
        .probe("tdb")?;

    cc::Build::new()
        .file("shim.c")
        .includes(&library.include_paths)
        .warnings(true)
        .compile("tdb_sys_shim");

    let include_args = library
        .include_paths
        .iter()
        .map(|path| format!("-I{}", path.display()));
    bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(include_args)
        .allowlist_function("tdb_.*")
        .allowlist_type("(tdb|TDB)_.*")
        .allowlist_var("(tdb|TDB)_.*")
        // Deprecated in favour of tdb_set_logging_function.
        .blocklist_function("tdb_logging_function")
        .prepend_enum_name(false)
        .generate_comments(false)
        .layout_tests(false)
        .generate()?
        .write_to_file(PathBuf::from(env::var("OUT_DIR")?).join("bindings.rs"))?;
    Ok(())
}

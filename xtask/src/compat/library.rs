//! The functions of libctdb, by the list of its symbols, and the programs among its tests that use each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::page::Page;

/// What the shared object exports.
const SYMBOLS: &str = "libctdb-ffi/tests/c/symbols.txt";
/// Where the programs are.
const PROGRAMS: &str = "libctdb-ffi/tests/c";
/// What the names of the interface that is ours alone begin with.
const WIDE: &str = "ctdbx_";

/// The programs that use each name.
type Users = BTreeMap<String, BTreeSet<String>>;

/// A table for each interface.
pub(super) fn tables(page: &mut Page) -> Result<()> {
    let users = users()?;
    let list = fs::read_to_string(SYMBOLS).context(SYMBOLS)?;
    let names = list.lines().filter(|line| !line.starts_with('#'));
    let symbols = names.map(|line| line.split('@').next().unwrap_or(line));
    let (wide, classic): (Vec<_>, Vec<_>) = symbols.partition(|name| name.starts_with(WIDE));
    let rows = |names: Vec<&str>| -> Vec<(String, Vec<String>)> {
        let users = |name: &str| users.get(name).into_iter().flatten().cloned().collect();
        let row = |name: &str| (name.to_owned(), users(name));
        names.into_iter().map(row).collect()
    };
    let about = "The 66 functions of CTDB 2.0 to 2.4, which upstream has given up since, and the level of the log.\n\
        Tests are programs in C, in `libctdb-ffi/tests/c`, with our daemon and Debian's.";
    page.symbols("libctdb: ctdb.h", about, &rows(classic), true);
    let about = "The interface that is ours alone; it is not counted as upstream's.";
    page.symbols("libctdb: ctdbx.h", about, &rows(wide), false);
    Ok(())
}

fn users() -> Result<Users> {
    let mut users = Users::new();
    for entry in fs::read_dir(PROGRAMS).context(PROGRAMS)? {
        let path = entry?.path();
        if is_program(&path) {
            let program = path.file_name().unwrap_or_default().to_string_lossy();
            let text = fs::read_to_string(&path)?;
            for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                let of = users.entry(word.to_owned()).or_default();
                of.insert(program.clone().into_owned());
            }
        }
    }
    Ok(users)
}

/// What runs and checks what it sees: not the lists of sizes and macros, and not what others include.
fn is_program(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    path.extension().is_some_and(|extension| extension == "c")
        && name != "layout.c"
        && name != "callbacks.c"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_a_function_is_found_by_its_whole_name() {
        crate::step::enter_project().unwrap();
        let users = users().unwrap();
        assert!(users["ctdb_getpnn"].contains("controls.c"));
        assert!(users["ctdbx_lock"].contains("wide_all.c"));
        assert!(!users["ctdbx_lock"].contains("layout.c"));
        assert!(!users.contains_key("ctdbx_loc"));
    }
}

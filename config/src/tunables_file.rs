//! `ctdb.tunables` and `tunables.d/*.tunables`: the tunables' values at start.
//!
//! Lines are `Name = number`; the case of a name does not matter. Wrong lines are complained
//! about and skipped, and ctdbd starts all the same with the others (4.17.12). The folder came
//! after 4.17; its files are read behind the main file, in the order of their names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wire::tunables::{Set, Tunables};

use crate::diagnostic::{Diagnostic, Kind};
use crate::ini::{self, Item};
use crate::number;
use crate::paths::Paths;

/// Something to log; the tunables are there nonetheless.
#[derive(Debug, thiserror::Error)]
pub enum TunablesError {
    /// A line that was skipped.
    #[error("{0}")]
    Line(Diagnostic),
    /// A file or folder that is there and cannot be read.
    #[error("Failed to open {}: {source}", path.display())]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The tunables of this node at start.
    pub tunables: Tunables,
    /// The files that were read, in this order.
    pub files: Vec<PathBuf>,
    /// Everything that is wrong with them.
    pub errors: Vec<TunablesError>,
}

/// Reads the file and those of the folder.
#[must_use]
pub fn load(paths: &Paths) -> Loaded {
    let mut loaded = Loaded::default();
    loaded.read(&paths.tunables_file());
    match files_in(&paths.tunables_dir()) {
        Ok(files) => files.iter().for_each(|file| loaded.read(file)),
        Err(error) => loaded.errors.push(error),
    }
    loaded
}

impl Loaded {
    /// Adds what `file` says; a file that is not there says nothing.
    fn read(&mut self, file: &Path) {
        match fs::read(file) {
            Ok(text) => {
                let complaints = apply(file, &text, &mut self.tunables).into_iter();
                self.errors.extend(complaints.map(TunablesError::Line));
                self.files.push(file.to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => self.errors.push(unreadable(file, source)),
        }
    }
}

/// Sets what `text`, the content of `file`, says. What stands behind a syntax error is not read.
pub fn apply(file: &Path, text: &[u8], tunables: &mut Tunables) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for line in ini::parse(text) {
        if let Err(kind) = apply_line(line.item, tunables) {
            let fatal = kind == Kind::TunableSyntax;
            diagnostics.push(Diagnostic::new(file, line.number, kind));
            if fatal {
                break;
            }
        }
    }
    diagnostics
}

fn apply_line(item: Item, tunables: &mut Tunables) -> Result<(), Kind> {
    let (name, value) = match item {
        Item::Section(name) => return Err(Kind::TunableSection(name)),
        Item::Bare(name) => return Err(Kind::TunableWithoutValue(name)),
        Item::Malformed => return Err(Kind::TunableSyntax),
        Item::Param { name, value } => (name, value),
    };
    if value.is_empty() {
        return Err(Kind::TunableWithoutValue(name));
    }
    let number = number::whole(&value).and_then(|number| u32::try_from(number).ok());
    let Some(number) = number else {
        return Err(Kind::TunableValue { name, value });
    };
    match tunables.set(&name, number) {
        Ok(Set::Done) => Ok(()),
        Ok(Set::Obsolete) => Err(Kind::ObsoleteTunable(name)),
        Err(_) => Err(Kind::UnknownTunable(name)),
    }
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, TunablesError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(folder, source)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| unreadable(folder, source))?;
        if entry.file_name().as_encoded_bytes().ends_with(b".tunables") {
            files.push(entry.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn unreadable(path: &Path, source: io::Error) -> TunablesError {
    let path = path.to_owned();
    TunablesError::Unreadable { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> (Tunables, Vec<String>) {
        let mut tunables = Tunables::default();
        let found = apply(Path::new("t"), text.as_bytes(), &mut tunables);
        (tunables, found.iter().map(Diagnostic::to_string).collect())
    }

    #[test]
    fn values_in_every_base_and_case() {
        let text = "# c\n enablebans=0xf\nRECOVERINTERVAL\t= 072 \n\nElectionTimeout  =  5";
        let (tunables, found) = complaints(text);
        assert_eq!(found, [""; 0]);
        assert_eq!(tunables.enable_bans, 15);
        assert_eq!(tunables.recover_interval, 58);
        assert_eq!(tunables.election_timeout, 5);
        assert_eq!(tunables.monitor_interval, 15);
    }

    #[test]
    fn wrong_lines_are_skipped_with_c_words() {
        let text = "EnableBans=\nEnableBans=value\nHello world!\nHelloWorld=123\n\
                    MaxRedirectCount =4\n[x]\nEnableBans=0xgg\nEnableBans=-1\n\
                    EnableBans=4294967296\nEnableBans=0\n=123\nRecoverInterval=9";
        let (tunables, found) = complaints(text);
        let without_hint = |line: &String| line.split(" (").next().map(str::to_owned);
        let found: Vec<_> = found.iter().filter_map(without_hint).collect();
        assert_eq!(
            found,
            [
                "t:1: Invalid line containing \"EnableBans\"",
                "t:2: Invalid value \"value\" for tunable \"EnableBans\"",
                "t:3: Invalid line containing \"Hello world!\"",
                "t:4: Unknown tunable \"HelloWorld\"",
                "t:5: Obsolete tunable \"MaxRedirectCount\"",
                "t:6: Invalid line for section [x] - sections not supported",
                "t:7: Invalid value \"0xgg\" for tunable \"EnableBans\"",
                "t:8: Invalid value \"-1\" for tunable \"EnableBans\"",
                "t:9: Invalid value \"4294967296\" for tunable \"EnableBans\"",
                "t:11: Syntax error",
            ]
        );
        assert_eq!(tunables.enable_bans, 0);
        assert_eq!(tunables.recover_interval, 1, "not read behind the error");
    }

    #[test]
    fn the_folder_comes_behind_the_file_in_order() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().as_os_str().to_owned();
        let paths = Paths::from_env(|name| match name {
            "CTDB_TEST_MODE" => Some("1".into()),
            "CTDB_BASE" => Some(root.clone()),
            _ => None,
        })
        .unwrap();
        let nothing = load(&paths);
        assert_eq!(nothing.tunables, Tunables::default());
        assert!(nothing.errors.is_empty() && nothing.files.is_empty());

        let write = |name: &str, text: &str| fs::write(base.path().join(name), text).unwrap();
        fs::create_dir(base.path().join("tunables.d")).unwrap();
        write("ctdb.tunables", "EnableBans=2\nMonitorInterval=3");
        write("tunables.d/20.tunables", "EnableBans=5");
        write("tunables.d/10.tunables", "EnableBans=4\nNoSuch=1");
        write("tunables.d/30.conf", "EnableBans=6");
        let Loaded {
            tunables,
            files,
            errors,
        } = load(&paths);
        let names = [
            "ctdb.tunables",
            "tunables.d/10.tunables",
            "tunables.d/20.tunables",
        ];
        assert_eq!(files, names.map(|name| base.path().join(name)));
        assert_eq!(tunables.enable_bans, 5);
        assert_eq!(tunables.monitor_interval, 3);
        assert_eq!(errors.len(), 1);
        let shown = errors[0].to_string();
        assert!(
            shown.ends_with("tunables.d/10.tunables:2: Unknown tunable \"NoSuch\""),
            "{shown}"
        );
    }
}

//! The `cluster lock` option: a file on the cluster file system, or a command that holds a lock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::paths::Paths;

/// How this cluster keeps two leaders apart.
///
/// Nodes compare the option's text byte for byte (GET_RECLOCK_FILE), so the text as written is
/// kept beside its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterLock {
    text: String,
    method: Method,
}

/// What a [`ClusterLock`] stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A file that the default helper, `ctdb_mutex_fcntl_helper`, locks.
    File(PathBuf),
    /// `!command arguments`: a program and its arguments, split at blanks without any quoting.
    Command(Vec<String>),
}

/// The option has a `!` and no command behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Mutex helper command is empty \"{0}\"")]
pub struct EmptyCommand(pub String);

impl ClusterLock {
    /// The option's value as written, for other nodes and for `ctdb getreclock`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// File or command.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Program and arguments of the process that takes and holds the lock. The helper itself is
    /// looked up in `paths`.
    #[must_use]
    pub fn argv(&self, paths: &Paths) -> Vec<OsString> {
        self.argv_with(|| paths.helper(crate::paths::MUTEX_HELPER))
    }

    fn argv_with(&self, helper: impl FnOnce() -> PathBuf) -> Vec<OsString> {
        match &self.method {
            Method::File(file) => vec![helper().into_os_string(), file.into()],
            Method::Command(words) => words.iter().map(OsString::from).collect(),
        }
    }

    /// The lock file, if the default helper is in use.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.method {
            Method::File(file) => Some(file),
            Method::Command(_) => None,
        }
    }
}

impl FromStr for ClusterLock {
    type Err = EmptyCommand;

    fn from_str(text: &str) -> Result<Self, EmptyCommand> {
        let method = match text.strip_prefix('!') {
            None => Method::File(PathBuf::from(text)),
            Some(command) => Method::Command(words(command)),
        };
        match &method {
            Method::Command(words) if words.is_empty() => Err(EmptyCommand(text.to_owned())),
            _ => Ok(Self {
                text: text.to_owned(),
                method,
            }),
        }
    }
}

/// Splits a command at blanks and tabs; C knows no quoting here either.
pub(crate) fn words(command: &str) -> Vec<String> {
    command
        .split([' ', '\t'])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_to_the_default_helper() {
        let lock: ClusterLock = "/clusterfs/.lock".parse().unwrap();
        let argv = lock.argv_with(|| "/helpers/ctdb_mutex_fcntl_helper".into());
        assert_eq!(
            argv,
            ["/helpers/ctdb_mutex_fcntl_helper", "/clusterfs/.lock"]
        );
        assert_eq!(lock.text(), "/clusterfs/.lock");
        assert_eq!(lock.file(), Some(Path::new("/clusterfs/.lock")));
    }

    #[test]
    fn an_exclamation_mark_begins_a_command() {
        let lock: ClusterLock = "!/bin/false CLUSTER  LOCK\tNOT".parse().unwrap();
        let argv = lock.argv_with(|| unreachable!("a command names its own program"));
        assert_eq!(argv, ["/bin/false", "CLUSTER", "LOCK", "NOT"]);
        assert_eq!(lock.text(), "!/bin/false CLUSTER  LOCK\tNOT");
        assert_eq!(lock.file(), None);
    }

    #[test]
    fn an_empty_command_is_refused() {
        assert!("! \t".parse::<ClusterLock>().is_err());
    }
}

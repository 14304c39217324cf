//! Folders that a daemon needs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// Why a folder is of no use. The text is for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// Nothing of that name.
    #[error("directory {} does not exist", .0.display())]
    Missing(PathBuf),
    /// Something else of that name.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Files cannot be made in it.
    #[error("directory {} is not writable: {source}", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// No permission, or a read-only file system.
        source: io::Error,
    },
}

/// Whether files can be made in a folder: one is made and removed, since access(2) always says
/// yes to root.
///
/// # Errors
/// The reason why not.
pub fn check_writable(path: &Path) -> Result<(), DirError> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DirError::Missing(path.to_owned()));
        }
        Ok(found) if !found.is_dir() => return Err(DirError::NotADirectory(path.to_owned())),
        _ => {}
    }
    let probe = path.join(format!(".write-test.{}", process::id()));
    let outcome = File::create(&probe).and_then(|_| fs::remove_file(&probe));
    outcome.map_err(|source| DirError::NotWritable {
        path: path.to_owned(),
        source,
    })
}

/// Whether less than a mebibyte is left for a file: the usual reason where a library says only that it failed.
#[must_use]
pub fn is_full(path: &Path) -> bool {
    nix::sys::statvfs::statvfs(path).is_ok_and(|state| {
        let left = state
            .blocks_available()
            .saturating_mul(state.fragment_size());
        left < 1 << 20
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_space_is_full() {
        assert!(is_full(Path::new("/proc")));
        assert!(!is_full(Path::new("/nonexistent")));
    }

    #[test]
    fn each_reason() {
        let dir = tempfile::tempdir().unwrap();
        check_writable(dir.path()).unwrap();
        let missing = check_writable(&dir.path().join("x"));
        assert!(matches!(missing, Err(DirError::Missing(_))));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let file = check_writable(&file);
        assert!(matches!(file, Err(DirError::NotADirectory(_))));
        let refused = check_writable(Path::new("/proc/self/fdinfo"));
        assert!(matches!(refused, Err(DirError::NotWritable { .. })));
    }
}

//! Pid files as Samba's `lib/util/pidfile.c` writes them: the pid in decimal and a line feed, under
//! a POSIX lock that the daemon keeps for its life.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use crate::fcntl_lock;

/// How often to try again when the owner goes away while we look.
const ATTEMPTS: usize = 10;

/// The pid file of the running daemon. Dropping it removes the file, except in a fork.
///
/// The lock is lost when *any* descriptor of the file is closed in this process, so nothing else
/// may open it here.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    pid: u32,
    _locked: File,
}

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Another daemon has it.
    #[error("PID file {} is locked by process {pid}", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Who holds the lock.
        pid: i32,
    },
    /// The system refuses.
    #[error("Failed to create PID file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl PidFile {
    /// Creates or takes over the file and writes this process's pid into it.
    ///
    /// # Errors
    /// [`PidFileError::Locked`] if another process holds it, else what the system says.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let io = |source| PidFileError::Io {
            path: path.to_owned(),
            source,
        };
        for _ in 0..ATTEMPTS {
            let mut file = open(path).map_err(io)?;
            if !fcntl_lock::try_lock_write(&file, 0, 0).map_err(io)? {
                match fcntl_lock::holder(&file, 0, 0).map_err(io)? {
                    Some(pid) => {
                        let path = path.to_owned();
                        return Err(PidFileError::Locked { path, pid });
                    }
                    None => continue,
                }
            }
            if !is_at(&file, path) {
                // its owner removed it between our opening and our locking
                continue;
            }
            let pid = process::id();
            write_pid(&mut file, pid).map_err(io)?;
            return Ok(Self {
                path: path.to_owned(),
                pid,
                _locked: file,
            });
        }
        Err(io(io::Error::other("its owner keeps changing")))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if process::id() == self.pid {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

fn write_pid(file: &mut File, pid: u32) -> io::Result<()> {
    let text = format!("{pid}\n");
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fcntl_lock::tests::hold_elsewhere;

    #[test]
    fn written_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctdbd.pid");
        fs::write(&path, "12345678901234567890\n").unwrap();
        let file = PidFile::create(&path).unwrap();
        let expected = format!("{}\n", process::id());
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_daemon_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctdbd.pid");
        fs::write(&path, "").unwrap();
        let mut holder = hold_elsewhere(&path);
        let error = PidFile::create(&path).unwrap_err();
        assert!(holder.wait().unwrap().success());
        match error {
            PidFileError::Locked { pid, .. } => assert_eq!(pid, holder.id().cast_signed()),
            other => panic!("{other}"),
        }
        assert!(PidFile::create(&path).is_ok());
        assert!(PidFile::create(&dir.path().join("no/such.pid")).is_err());
    }
}

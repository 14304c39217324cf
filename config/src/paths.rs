//! Where everything is: folders, socket, pid file, helper programs, and test mode.
//!
//! Outside test mode the environment decides nothing but `CTDB_BASE` (nodes file and event
//! scripts, as in 4.17): a socket path taken from the environment was upstream's bug 15921.
//! With `CTDB_TEST_MODE` set all folders lie below `CTDB_BASE`, and every program can be replaced.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::nodes::NodesSource;

/// The program that locks a cluster lock file.
pub const MUTEX_HELPER: &str = "ctdb_mutex_fcntl_helper";

/// Compiled-in folders; those of Debian's package.
const ETCDIR: &str = "/etc/ctdb";
const RUNDIR: &str = "/run/ctdb";
const VARDIR: &str = "/var/lib/ctdb";
const DATADIR: &str = "/usr/share/ctdb";
const HELPERDIR: &str = "/usr/libexec/ctdb";

/// Programs that 4.17 can be told to replace, and the variables that do it. Honoured in test mode.
const HELPER_VARIABLES: [(&str, &str); 8] = [
    (MUTEX_HELPER, "CTDB_CLUSTER_MUTEX_HELPER"),
    ("ctdb_lock_helper", "CTDB_LOCK_HELPER"),
    ("ctdb_recovery_helper", "CTDB_RECOVERY_HELPER"),
    ("ctdb_takeover_helper", "CTDB_TAKEOVER_HELPER"),
    ("ctdb-eventd", "CTDB_EVENTD"),
    ("ctdb-event", "CTDB_EVENT_HELPER"),
    ("ctdb_natgw", "CTDB_NATGW_HELPER"),
    ("ctdb_lvs", "CTDB_LVS_HELPER"),
];

/// The folders of one node, and what hangs off them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    etcdir: PathBuf,
    rundir: PathBuf,
    vardir: PathBuf,
    datadir: PathBuf,
    base: PathBuf,
    test_mode: bool,
    socket: Option<PathBuf>,
    program: Option<PathBuf>,
    helpers: BTreeMap<&'static str, PathBuf>,
    helper_dir: Option<PathBuf>,
}

/// The environment makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathsError {
    /// Test mode without a place for it.
    #[error("Broken CTDB setup, CTDB_BASE not set in test mode")]
    NoBase,
}

impl Paths {
    /// The paths for this process: its environment and its own program file.
    ///
    /// # Errors
    /// [`PathsError::NoBase`].
    pub fn from_process() -> Result<Self, PathsError> {
        let mut paths = Self::from_env(|name| env::var_os(name))?;
        paths.program = env::current_exe().ok();
        Ok(paths)
    }

    /// The paths for an environment. Set but empty counts as set, as in C.
    ///
    /// # Errors
    /// [`PathsError::NoBase`].
    pub fn from_env(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, PathsError> {
        let base = get("CTDB_BASE").map(PathBuf::from);
        if get("CTDB_TEST_MODE").is_none() {
            return Ok(Self::installed(base));
        }
        let base = base.ok_or(PathsError::NoBase)?;
        let variable = |(helper, name)| Some((helper, PathBuf::from(get(name)?)));
        Ok(Self {
            etcdir: base.clone(),
            rundir: base.join("run"),
            vardir: base.join("var"),
            datadir: base.join("share"),
            base,
            test_mode: true,
            socket: get("CTDB_SOCKET").map(PathBuf::from),
            program: None,
            helpers: HELPER_VARIABLES.into_iter().filter_map(variable).collect(),
            helper_dir: get("CTDB_TEST_HELPER_BINDIR").map(PathBuf::from),
        })
    }

    fn installed(base: Option<PathBuf>) -> Self {
        Self {
            etcdir: ETCDIR.into(),
            rundir: RUNDIR.into(),
            vardir: VARDIR.into(),
            datadir: DATADIR.into(),
            base: base.unwrap_or_else(|| ETCDIR.into()),
            test_mode: false,
            socket: None,
            program: None,
            helpers: BTreeMap::new(),
            helper_dir: None,
        }
    }

    /// Says which file the running program is, for [`Paths::helper`].
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Whether `CTDB_TEST_MODE` is set.
    #[must_use]
    pub fn test_mode(&self) -> bool {
        self.test_mode
    }

    /// Folder of ctdb.conf and the debug scripts.
    #[must_use]
    pub fn etcdir(&self) -> &Path {
        &self.etcdir
    }

    /// Folder of sockets and pid files.
    #[must_use]
    pub fn rundir(&self) -> &Path {
        &self.rundir
    }

    /// Folder above the database folders and the scripts' state.
    #[must_use]
    pub fn vardir(&self) -> &Path {
        &self.vardir
    }

    /// Folder of the packaged event scripts.
    #[must_use]
    pub fn datadir(&self) -> &Path {
        &self.datadir
    }

    /// `CTDB_BASE`, which scripts get handed down; [`Paths::etcdir`] unless it is set.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// ctdb.conf.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.etcdir.join("ctdb.conf")
    }

    /// The nodes file, unless ctdb.conf names another source.
    #[must_use]
    pub fn nodes(&self) -> NodesSource {
        NodesSource::File(self.base.join("nodes"))
    }

    /// The file of tunables.
    #[must_use]
    pub fn tunables_file(&self) -> PathBuf {
        self.etcdir.join("ctdb.tunables")
    }

    /// The folder of further files of tunables; 4.17 does not have it.
    #[must_use]
    pub fn tunables_dir(&self) -> PathBuf {
        self.etcdir.join("tunables.d")
    }

    /// The file of public addresses.
    #[must_use]
    pub fn public_addresses(&self) -> PathBuf {
        self.base.join("public_addresses")
    }

    /// The folder of enabled event scripts.
    #[must_use]
    pub fn event_scripts(&self) -> PathBuf {
        self.base.join("events").join("legacy")
    }

    /// The script that is told of state changes.
    #[must_use]
    pub fn notification_script(&self) -> PathBuf {
        self.base.join("notify.sh")
    }

    /// ctdbd's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let default = || self.daemon_socket("ctdbd");
        self.socket.clone().unwrap_or_else(default)
    }

    /// Another daemon's socket, such as that of "eventd".
    #[must_use]
    pub fn daemon_socket(&self, daemon: &str) -> PathBuf {
        self.rundir.join(format!("{daemon}.socket"))
    }

    /// A daemon's pid file, such as that of "ctdbd".
    #[must_use]
    pub fn pid_file(&self, daemon: &str) -> PathBuf {
        self.rundir.join(format!("{daemon}.pid"))
    }

    /// The host name for the log: in test mode the last part of `CTDB_BASE`, so that several
    /// nodes of one machine can be told apart.
    #[must_use]
    pub fn log_hostname(&self) -> Option<&OsStr> {
        self.test_mode.then(|| self.base.file_name()).flatten()
    }

    /// The program file of a helper: what a variable says in test mode; else beside the running
    /// program, or in `libexec/ctdb` of the same installation; else where the package puts it.
    /// Whether it is there is seen when it is run.
    #[must_use]
    pub fn helper(&self, name: &str) -> PathBuf {
        if let Some(path) = self.helpers.get(name) {
            return path.clone();
        }
        let near = self.program.iter().flat_map(|program| near(program));
        self.helper_dir
            .iter()
            .cloned()
            .chain(near)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .unwrap_or_else(|| Path::new(HELPERDIR).join(name))
    }
}

/// Folders where a program looks for its relatives.
fn near(program: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = program.parent();
    let above = folder.and_then(Path::parent);
    // cargo puts test programs into "deps" below the other programs
    let tests = above.filter(|_| folder.is_some_and(|folder| folder.ends_with("deps")));
    [
        folder.map(Path::to_owned),
        above.map(|prefix| prefix.join("libexec/ctdb")),
        tests.map(Path::to_owned),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn paths(variables: &[(&str, &str)]) -> Result<Paths, PathsError> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name);
        Paths::from_env(|name| find(name).map(|(_, value)| value.into()))
    }

    #[test]
    fn installed_paths_ignore_the_environment() {
        let paths = paths(&[
            ("CTDB_SOCKET", "/evil/socket"),
            ("CTDB_LOCK_HELPER", "/evil/helper"),
            ("CTDB_TEST_HELPER_BINDIR", "/evil"),
            ("CTDB_BASE", "/srv/ctdb"),
        ])
        .unwrap();
        assert!(!paths.test_mode());
        assert_eq!(paths.socket(), Path::new("/run/ctdb/ctdbd.socket"));
        assert_eq!(paths.pid_file("ctdbd"), Path::new("/run/ctdb/ctdbd.pid"));
        assert_eq!(paths.config_file(), Path::new("/etc/ctdb/ctdb.conf"));
        assert_eq!(
            paths.helper("ctdb_lock_helper"),
            Path::new("/usr/libexec/ctdb/ctdb_lock_helper")
        );
        assert_eq!(paths.event_scripts(), Path::new("/srv/ctdb/events/legacy"));
        assert_eq!(paths.log_hostname(), None);
    }

    #[test]
    fn test_mode_lies_below_its_base() {
        assert_eq!(paths(&[("CTDB_TEST_MODE", "")]), Err(PathsError::NoBase));
        let base = [("CTDB_TEST_MODE", "yes"), ("CTDB_BASE", "/t/node.1")];
        let plain = paths(&base).unwrap();
        assert_eq!(plain.etcdir(), Path::new("/t/node.1"));
        assert_eq!(plain.rundir(), Path::new("/t/node.1/run"));
        assert_eq!(plain.vardir(), Path::new("/t/node.1/var"));
        assert_eq!(plain.datadir(), Path::new("/t/node.1/share"));
        assert_eq!(plain.socket(), Path::new("/t/node.1/run/ctdbd.socket"));
        assert_eq!(
            plain.daemon_socket("eventd"),
            Path::new("/t/node.1/run/eventd.socket")
        );
        assert_eq!(plain.log_hostname(), Some(OsStr::new("node.1")));

        let mut variables = base.to_vec();
        variables.push(("CTDB_SOCKET", "/t/s"));
        variables.push(("CTDB_LOCK_HELPER", "/t/lock"));
        let told = paths(&variables).unwrap();
        assert_eq!(told.socket(), Path::new("/t/s"));
        assert_eq!(told.helper("ctdb_lock_helper"), Path::new("/t/lock"));
    }

    #[test]
    fn helpers_are_found_near_the_program() {
        let root = tempfile::tempdir().unwrap();
        let libexec = root.path().join("libexec/ctdb");
        fs::create_dir_all(&libexec).unwrap();
        fs::write(libexec.join("ctdb_lock_helper"), "").unwrap();
        let from = |program: &str| {
            let paths = paths(&[]).unwrap().with_program(root.path().join(program));
            paths.helper("ctdb_lock_helper")
        };
        assert_eq!(from("sbin/ctdbd"), libexec.join("ctdb_lock_helper"));
        assert_eq!(
            from("libexec/ctdb/ctdb-clusterd"),
            libexec.join("ctdb_lock_helper")
        );
        fs::create_dir_all(root.path().join("debug/deps")).unwrap();
        fs::write(root.path().join("debug/ctdb_lock_helper"), "").unwrap();
        let built = root.path().join("debug/ctdb_lock_helper");
        assert_eq!(from("debug/ctdbd"), built);
        assert_eq!(from("debug/deps/test-1234"), built);
        assert_eq!(
            from("a/b/ctdbd"),
            Path::new("/usr/libexec/ctdb/ctdb_lock_helper")
        );
    }
}

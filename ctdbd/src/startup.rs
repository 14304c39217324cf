//! From the command line to a running daemon, in the order that matters: complain while somebody listens, fork before
//! any thread exists, own the pid file and the sockets before a database is touched.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use cluster::membership;
use config::{Config, Etcd, Location, LogLevel, Manager, NodeEntry, Paths, tunables_file};
use failover::Failover;
use service::Milestone;
use sys::daemonize::{Detach, daemonize};
use sys::pidfile::PidFile;
use sys::syslog::{Method, Syslog};
use tracing::{error, info, warn};
use wire::Pnn;
use wire::event::{Event, Outcome};
use wire::tunables::Tunables;

use crate::arguments::Options;
use crate::daemon::{Daemon, Output, Settings};
use crate::events;
use crate::logging::{self, LogHandle, LogSettings};
use crate::shell::addresses::{self, ThisMachine};
use crate::shell::{self, Parts, node_entries};
use crate::tdb_store::{self, TdbStore};

/// The release that keepalives claim: nodes of different releases do not work together.
const RELEASE: u32 = 4 << 16 | 17;
/// The port of the service "ctdb", where /etc/services does not have it.
const PORT: u16 = 4379;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 100;

/// Exit status where the client socket cannot be bound (`ctdb_daemon.c`, 4.17.12).
const NO_SOCKET: u8 = 10;
/// Exit status where the pid file cannot be had (the same).
const NO_PID_FILE: u8 = 11;

/// A failure with an exit status of its own.
#[derive(Debug, thiserror::Error)]
#[error("{}", logging::describe(error))]
struct Failed {
    status: u8,
    error: anyhow::Error,
}

impl Failed {
    fn new(status: u8, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        Self { status, error }
    }
}

/// The exit status that says why the daemon did not start, or did not go on: 1 if nothing else is said.
#[must_use]
pub fn exit_status(error: &anyhow::Error) -> u8 {
    error
        .downcast_ref::<Failed>()
        .map_or(1, |failed| failed.status)
}

/// Everything that was read before the fork.
struct Setup {
    options: Options,
    paths: Paths,
    config: Config,
    nodes_source: config::NodesSource,
    nodes: Vec<NodeEntry>,
    tunables: Tunables,
    log: LogHandle,
}

/// Runs the daemon; gives the exit status.
///
/// # Errors
/// Whatever keeps it from starting. It has been logged as far as there is a log.
pub fn run(options: Options) -> anyhow::Result<i32> {
    let setup = read_configuration(options)?;
    setup.check_directories()?;
    setup.detach()?;
    sys::signals::ignore_for_daemon()?;
    // C says so at every level
    error!(
        "Starting CTDBD (Version {}) as PID: {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    let pid_file = PidFile::create(&setup.paths.pid_file("ctdbd"));
    let _pid_file = pid_file.map_err(|error| Failed::new(NO_PID_FILE, error))?;
    let pid_path = setup.paths.pid_file("ctdbd");
    info!("Created PID file {}", pid_path.display());
    let socket = bind_clients(&setup.paths.socket());
    let socket = socket.map_err(|error| Failed::new(NO_SOCKET, error))?;
    let port = sys::machine::service_port("ctdb", "tcp").unwrap_or(PORT);
    let (me, listener) = bind_nodes(&setup, port)?;
    setup.log.set_node(me);
    info!("PNN is {me}");
    if setup.is_realtime() {
        sys::realtime::set().context("cannot set real-time scheduling")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code =
        tokio::task::LocalSet::new().block_on(&runtime, setup.serve(me, socket, listener, port))?;
    warn!("Shutdown sequence complete, exiting.");
    info!("CTDB daemon shutting down");
    Ok(code)
}

fn open_log(config: &Config, options: Options, paths: &Paths) -> anyhow::Result<LogHandle> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings =
        LogSettings::new(&config.logging, options.log_format, variable).context(logging::FORMAT)?;
    if settings.location != Location::Syslog && !paths.test_mode() {
        // whoever looks into the system's log finds ours; where there is none, this helps nobody
        let note = format!("CTDB logging to location {}", settings.location);
        let _ = Syslog::connect(Method::Blocking, "ctdbd")
            .and_then(|mut syslog| syslog.log(LogLevel::NOTICE.syslog_priority(), &note));
    }
    Ok(logging::init(settings, paths, "ctdbd")?)
}

fn read_configuration(options: Options) -> anyhow::Result<Setup> {
    let paths = Paths::from_process()?;
    let (mut config, warnings) = Config::load(&paths.config_file())?;
    if options.interactive {
        config.logging.location = Location::Stderr;
    }
    let log = open_log(&config, options, &paths)?;
    info!("CTDB starting on node");
    for warning in warnings {
        warn!("{warning}");
    }
    tdb::set_log(logging::of_tdb);
    if config.cluster.lock().is_none() && config.cluster.manager == Manager::Native {
        warn!("Cluster lock not set");
    }
    let loaded = tunables_file::load(&paths);
    for file in &loaded.files {
        info!("Loading tunables from {}", file.display());
    }
    for complaint in &loaded.errors {
        error!("{complaint}");
    }
    let nodes_source = config
        .cluster
        .nodes_list
        .clone()
        .unwrap_or_else(|| paths.nodes());
    let nodes = nodes_source.load()?;
    if nodes.iter().all(|node| node.deleted) {
        bail!("No nodes available to attempt bind to - is the nodes file empty?");
    }
    Ok(Setup {
        options,
        paths,
        config,
        nodes_source,
        nodes,
        tunables: loaded.tunables,
        log,
    })
}

impl Setup {
    fn is_realtime(&self) -> bool {
        self.config.legacy.realtime_scheduling && !self.paths.test_mode()
    }

    fn check_directories(&self) -> anyhow::Result<()> {
        for (kind, directory) in self.config.database.directories() {
            sys::dir::check_writable(directory)
                .with_context(|| format!("{kind} database directory"))?;
        }
        Ok(sys::dir::check_writable(self.paths.rundir())?)
    }

    fn detach(&self) -> io::Result<()> {
        match (self.options.interactive, self.paths.test_mode()) {
            (true, _) => Ok(()),
            (false, true) => daemonize(Detach::ForkOnly),
            (false, false) => daemonize(Detach::Session),
        }
    }

    fn open_store(&self, me: Pnn) -> anyhow::Result<TdbStore> {
        TdbStore::new(tdb_store::Settings {
            pnn: me,
            volatile_dir: self.config.database.volatile_dir.clone(),
            persistent_dir: self.config.database.persistent_dir.clone(),
            state_dir: self.config.database.state_dir.clone(),
            hash_size: self.tunables.database_hash_size,
            max_dead: self.tunables.database_max_dead,
            mutexes: self.config.database.tdb_mutexes,
        })
    }

    async fn serve(
        self,
        me: Pnn,
        socket: UnixListener,
        listener: TcpListener,
        port: u16,
    ) -> anyhow::Result<i32> {
        let log = &self.log;
        log.collect_children(self.config.legacy.script_log_level)?;
        // the event "init" looks at the databases before anybody opens them
        let event_daemon = self.begin_events().await?;
        let store = self.open_store(me)?;
        let (start, monotonic_clock) = (Instant::now(), sys::machine::monotonic_clock());
        let etcd = self.etcd()?;
        let nodes = node_entries(&self.nodes, port);
        let mut outputs = Vec::new();
        let settings =
            self.daemon_settings(me, nodes.clone(), event_daemon.is_some(), monotonic_clock)?;
        let mut daemon = Daemon::new(settings, Box::new(store), &mut outputs);
        attach_persistent(
            &mut daemon,
            me,
            &self.config.database.persistent_dir,
            &mut outputs,
        )?;
        if let Err(error) = sys::memory::lock_all() {
            warn!(%error, "cannot lock the memory");
        }
        let realtime = self.is_realtime();
        shell::run(Parts {
            daemon,
            outputs,
            me,
            start,
            socket,
            listener,
            nodes,
            nodes_source: self.nodes_source,
            realtime,
            failover_disabled: self.config.failover.disabled,
            etcd,
            cluster: self.config.cluster,
            event_daemon,
            paths: self.paths,
            port,
            tunables: self.tunables,
            lock_debug_script: self.config.database.lock_debug_script.clone(),
            log: self.log,
        })
        .await
    }

    /// What the cluster manager has to know of etcd, if it is to ask it.
    fn etcd(&self) -> anyhow::Result<Option<(Etcd, u64)>> {
        let cluster = &self.config.cluster;
        if cluster.manager != Manager::Etcd {
            return Ok(None);
        }
        info!("Members and leader by {}", cluster.etcd.setting());
        let incarnation = sys::random_u64().context("no random numbers")?;
        Ok(Some((cluster.etcd.clone(), incarnation)))
    }

    /// Starts the event daemon, if there is one, and runs the event `init`.
    async fn begin_events(&self) -> anyhow::Result<Option<(events::Program, events::Eventd)>> {
        let program = events::Program::find(&self.paths, self.options.interactive, &self.log);
        let Some(program) = program else {
            return Ok(None);
        };
        let started = program.start().await;
        let mut eventd = started.context("Failed to start event daemon")?;
        info!("Set runstate to INIT (1)");
        match eventd.run(Event::Init, self.tunables.script_timeout).await {
            Outcome::Passed => {}
            outcome => bail!("Failed to run init event (status {})", outcome.status()),
        }
        let script = self.paths.notification_script();
        events::notify(script, Milestone::Init, &self.log);
        Ok(Some((program, eventd)))
    }

    fn daemon_settings(
        &self,
        me: Pnn,
        nodes: Vec<membership::NodeEntry>,
        event_daemon: bool,
        monotonic_clock: Duration,
    ) -> anyhow::Result<Settings> {
        let cluster = &self.config.cluster;
        let fence = (cluster.manager == Manager::Etcd).then(|| membership::FenceSettings {
            setting: cluster.etcd.setting(),
            monotonic_clock,
        });
        let lock = cluster.lock().map(|lock| lock.text().to_owned());
        let coordinator = fence.as_ref().map(|fence| fence.setting.clone());
        let micros = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        let wall_clock_at_zero = u64::try_from(micros).unwrap_or(u64::MAX);
        Ok(Settings {
            membership: membership::Settings {
                me,
                nodes,
                cluster_lock: coordinator.or(lock),
                fence,
                leader_capability: self.config.cluster.leader_capability,
                lmaster_capability: self.config.legacy.lmaster_capability,
                version: claimed_release(),
                start_as_disabled: self.config.legacy.start_as_disabled,
                start_as_stopped: self.config.legacy.start_as_stopped,
                wall_clock_at_zero,
                tunables: self.tunables.clone(),
            },
            failover: self
                .public_addresses(me, event_daemon)
                .context("Unable to setup public IP addresses")?,
            system: Box::new(ThisMachine),
            event_daemon,
            log_level: self.log.get().0,
            pid: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
            wall_clock_at_zero,
        })
    }

    /// Addresses are put on interfaces by event scripts: without an event daemon they would only be believed to be there.
    fn public_addresses(&self, me: Pnn, event_daemon: bool) -> anyhow::Result<Failover> {
        let settings = failover::Settings {
            me,
            addresses: addresses::load(&self.paths)?,
            disabled: self.config.failover.disabled,
            real: !self.paths.test_mode(),
            tunables: self.tunables.clone(),
        };
        let (any, disabled) = (!settings.addresses.is_empty(), settings.disabled);
        let failover = Failover::new(settings, &ThisMachine)?;
        let file = self.paths.public_addresses();
        if any && !event_daemon && !disabled {
            let file = file.display();
            bail!("{file} has public addresses, and there is no event daemon to move them");
        }
        if any {
            info!("Loaded public addresses from {}", file.display());
        }
        Ok(failover)
    }
}

/// 4.17, unless a test says otherwise.
fn claimed_release() -> u32 {
    let asked = std::env::var("CTDB_TEST_SAMBA_VERSION").ok();
    asked
        .and_then(|text| text.parse().ok())
        .filter(|release| *release > 0)
        .unwrap_or(RELEASE)
}

/// The socket that clients connect to; a file that an earlier daemon left is removed. The pid file says that there is no
/// other daemon.
fn bind_clients(path: &Path) -> anyhow::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", path.display()));
        }
        _ => {}
    }
    let what = || format!("Unable to bind on ctdb socket '{}'", path.display());
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    let address = socket2::SockAddr::unix(path).with_context(what)?;
    socket.bind(&address).with_context(what)?;
    // whoever connects may read and write every database
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).with_context(what)?;
    socket.listen(BACKLOG).with_context(what)?;
    socket.set_nonblocking(true)?;
    info!("Listening to ctdb socket {}", path.display());
    Ok(UnixListener::from(std::os::fd::OwnedFd::from(socket)))
}

/// The socket that nodes connect to: on the configured address, else on the first of the nodes file that this machine
/// has. It tells which node this is.
fn bind_nodes(setup: &Setup, port: u16) -> anyhow::Result<(Pnn, TcpListener)> {
    let own = setup.config.cluster.node_address;
    let candidates = setup.nodes.iter().filter(|node| !node.deleted);
    let mut tried = Vec::new();
    for node in candidates.filter(|node| own.is_none_or(|own| own == node.address)) {
        match listen(node.address, port) {
            Ok(listener) => return Ok((node.pnn, listener)),
            Err(error) => tried.push(format!("{}: {error}", node.address)),
        }
    }
    match own {
        Some(own) if tried.is_empty() => bail!("node address {own} is not in the nodes file"),
        _ => bail!(
            "Unable to bind to any of the node addresses - giving up ({})",
            tried.join(", ")
        ),
    }
}

fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Attaches every persistent database of this node that is on disk.
fn attach_persistent(
    daemon: &mut Daemon,
    me: Pnn,
    directory: &Path,
    out: &mut Vec<Output>,
) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read {}", directory.display());
    for entry in std::fs::read_dir(directory).with_context(unreadable)? {
        let file = entry?.file_name();
        let Some(name) = file.to_str().and_then(|file| database_name(file, me)) else {
            continue;
        };
        daemon.attach_at_start(name, out).map_err(|why| {
            anyhow::anyhow!("Failed to attach to persistent database '{name}': {why}")
        })?;
    }
    Ok(())
}

/// The database that a file is this node's copy of: `NAME.tdb.PNN`.
fn database_name(file: &str, me: Pnn) -> Option<&str> {
    let (name, number) = file.rsplit_once('.')?;
    let ours = name.ends_with(".tdb")
        && name.len() > 4
        && number.bytes().all(|byte| byte.is_ascii_digit());
    (ours && number.parse() == Ok(me.0)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_nodes_copies_are_attached() {
        assert_eq!(database_name("secrets.tdb.0", Pnn(0)), Some("secrets.tdb"));
        assert_eq!(database_name("secrets.tdb.1", Pnn(0)), None);
        assert_eq!(
            database_name("secrets.tdb.0.corrupted.20260101000000.0Z", Pnn(0)),
            None
        );
        assert_eq!(database_name("secrets.tdb.+0", Pnn(0)), None);
        assert_eq!(database_name(".tdb.0", Pnn(0)), None);
        assert_eq!(database_name("lost+found", Pnn(0)), None);
    }
}

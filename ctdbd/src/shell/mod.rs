//! The shell around the daemon: sockets, clock, worker processes. One thread; no task holds the shell over an `await`.
//!
//! ```text
//!   clients.rs    the unix socket, a task for each client ──┐
//!   transport/    TCP to and from each node, a task each ───┤ Input     ┌────────┐ Output
//!   workers/      lock, commit and traverse processes ──────┼─────────▶ │ Daemon │ ───────▶ carried out at once:
//!   manager.rs    ctdb-clusterd, started again if it ends ──┤           └────────┘          queues, flushed after
//!   crate::events ctdb-eventd, started again if it ends ────┤
//!   timers, signals, cluster-lock checks (this file) ───────┘                               each turn (link.rs)
//! ```

pub(crate) mod addresses;
mod busy_poll;
pub(crate) mod clients;
pub(crate) mod frames;
pub(crate) mod link;
mod manager;
mod nodes_file;
mod orphans;
pub(crate) mod rarely;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster::membership::{LockOutcome, NodeEntry, OwnToken};
use config::conf::Cluster;
use config::{ClusterLock, Etcd, LogLevel, NodesSource, Paths};
use database::io::{Job as EngineJob, WorkEvent, WorkId};
use nix::sys::stat::SFlag;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::{error, info, warn};
use wire::tunables::Tunables;
use wire::types::SockAddr;
use wire::{ClientId, Pnn, Time};

use crate::alarm::Alarm;
use crate::clusterd;
use crate::daemon::{Daemon, Input, Output};
use crate::events::{self, Keeper};
use crate::lock_helper::{LockHelper, Outcome};
use crate::logging::LogHandle;
use crate::transport::Transport;
use crate::workers::{DatabaseFile, Event, Job, JobId, Limits, Pool, Program};
use busy_poll::BusyPoll;
use frames::Frames;
use link::Link;
use manager::Manager;
use nodes_file::Reading;

/// A cluster-lock check that takes longer than this counts as contended (`ctdb_recover.c`, 4.17.12).
const LOCK_CHECK: Duration = Duration::from_secs(5);

/// What the shell is made of, ready to run.
pub struct Parts {
    /// The daemon.
    pub daemon: Daemon,
    /// What it wanted done while it was made.
    pub outputs: Vec<Output>,
    /// This node.
    pub me: Pnn,
    /// The moment that the daemon calls zero.
    pub start: Instant,
    /// The bound and listening client socket.
    pub socket: std::os::unix::net::UnixListener,
    /// The bound and listening node socket.
    pub listener: std::net::TcpListener,
    /// The nodes file's content.
    pub nodes: Vec<NodeEntry>,
    /// Where the nodes file is.
    pub nodes_source: NodesSource,
    /// What ctdb.conf says about the cluster.
    pub cluster: Cluster,
    /// The daemon has real-time priority.
    pub realtime: bool,
    /// `failover: disabled` of ctdb.conf.
    pub failover_disabled: bool,
    /// The options of `manager = etcd`, and which life of the daemon it is: random.
    pub etcd: Option<(Etcd, u64)>,
    /// Folders and helper programs.
    pub paths: Paths,
    /// The port of the nodes.
    pub port: u16,
    /// The tunables at the start.
    pub tunables: Tunables,
    /// Shown a lock that is long in coming (`lock debug script`).
    pub lock_debug_script: Option<PathBuf>,
    /// The event daemon, if there is one, with the event `init` behind it.
    pub event_daemon: Option<(events::Program, events::Eventd)>,
    /// The log.
    pub log: LogHandle,
}

/// The running daemon.
pub(crate) struct Shell {
    daemon: Daemon,
    start: Instant,
    clients: BTreeMap<ClientId, Link>,
    last_client: u32,
    pub(crate) transport: Transport,
    /// Who was sent something in this turn.
    unflushed: Vec<Target>,
    /// What came of carrying outputs out; the daemon hears of it when all of them are.
    later: VecDeque<Input>,
    pool: Pool,
    manager: Manager,
    pub(crate) events: Keeper,
    nodes_source: NodesSource,
    reading: Reading,
    cluster_lock: Option<ClusterLock>,
    paths: Paths,
    tunables: Box<Tunables>,
    log: LogHandle,
    /// The daemon's next deadline may have come nearer.
    deadline_moved: Rc<Notify>,
    armed: Option<Time>,
    exit: Rc<Notify>,
    exit_code: Option<i32>,
    busy_poll: BusyPoll,
    this: std::rc::Weak<RefCell<Shell>>,
}

/// Where packets go.
#[derive(Debug, Clone, Copy)]
enum Target {
    Client(ClientId),
    Node(Pnn),
}

/// A handle that every task has.
pub(crate) type Handle = Rc<RefCell<Shell>>;

/// Runs the daemon until it is told to end; gives the exit status.
///
/// # Errors
/// If a socket or a signal handler cannot be set up.
pub async fn run(parts: Parts) -> anyhow::Result<i32> {
    let (events_in, events) = unbounded_channel();
    let worker = Program {
        path: parts.paths.helper("ctdb-database-worker"),
        log: Some(parts.log.clone()),
    };
    let mut pool = Pool::new(
        worker,
        events_in,
        Limits {
            locks_per_db: parts.tunables.lock_processes_per_db,
            ..Limits::default()
        },
    );
    pool.set_debug_script(parts.lock_debug_script);
    let socket = tokio::net::UnixListener::from_std(parts.socket)?;
    let listener = tokio::net::TcpListener::from_std(parts.listener)?;
    let own = listener.local_addr()?.ip();
    let clusterd = parts.paths.helper("ctdb-clusterd");
    let args = clusterd::Args {
        pnn: parts.me,
        socket: Some(parts.paths.socket()),
        cluster_lock: parts.cluster.lock().cloned(),
        leader_timeout: parts.cluster.leader_timeout,
        leader_capability: parts.cluster.leader_capability,
        failover_disabled: parts.failover_disabled,
        etcd: parts.etcd,
    };
    let test_mode = parts.paths.test_mode();
    let handle = Rc::new_cyclic(|this| {
        RefCell::new(Shell {
            daemon: parts.daemon,
            start: parts.start,
            clients: BTreeMap::new(),
            last_client: 0,
            transport: Transport::new(parts.me, own, parts.port),
            unflushed: Vec::new(),
            later: VecDeque::new(),
            pool,
            manager: Manager::new(clusterd, args, parts.log.clone()),
            events: Keeper::default(),
            nodes_source: parts.nodes_source,
            reading: Reading::default(),
            cluster_lock: parts.cluster.lock().cloned(),
            paths: parts.paths,
            tunables: Box::new(parts.tunables),
            log: parts.log,
            deadline_moved: Rc::new(Notify::new()),
            armed: None,
            exit: Rc::new(Notify::new()),
            exit_code: None,
            busy_poll: BusyPoll::new(parts.cluster.busy_poll, parts.realtime),
            this: this.clone(),
        })
    });
    handle.borrow_mut().carry_out(parts.outputs);
    if let Some((program, eventd)) = parts.event_daemon {
        Keeper::start(&handle, program, eventd);
    }
    tokio::task::spawn_local(clients::accept(handle.clone(), socket));
    tokio::task::spawn_local(crate::transport::accept(handle.clone(), listener));
    handle.borrow_mut().connect_nodes(&parts.nodes);
    if handle.borrow().busy_poll.is_on() {
        tokio::task::spawn_local(busy_poll::run(handle.clone()));
    }
    orphans::start();
    if test_mode {
        tokio::task::spawn_local(end_with_test(handle.clone()));
    }
    // a task of its own: what runs the tasks polls the future that it waits for after each of them
    let code = tokio::task::spawn_local(main_loop(handle.clone(), events)).await?;
    manager::leave(&handle).await;
    code
}

async fn main_loop(
    handle: Handle,
    mut events: UnboundedReceiver<(JobId, Event)>,
) -> anyhow::Result<i32> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let alarm = Alarm::new()?;
    let (moved, exit) = {
        let shell = handle.borrow();
        (shell.deadline_moved.clone(), shell.exit.clone())
    };
    loop {
        if let Some(code) = handle.borrow().exit_code {
            return Ok(code);
        }
        let deadline = handle.borrow_mut().arm();
        tokio::select! {
            () = exit.notified() => {}
            () = moved.notified() => {}
            () = alarm.wait(deadline) => handle.borrow_mut().input(Input::Timer),
            Some((job, event)) = events.recv() => handle.borrow_mut().worker_event(job, event),
            _ = terminate.recv() => handle.borrow_mut().end(0, "asked to shut down"),
            _ = interrupt.recv() => handle.borrow_mut().end(0, "asked to shut down"),
            _ = hangup.recv() => handle.borrow().reopen_logs(),
        }
    }
}

/// In test mode the daemon ends when a test that holds its standard input does.
async fn end_with_test(handle: Handle) {
    crate::stdin::ended(&[SFlag::S_IFIFO]).await;
    let code = nix::errno::Errno::EPIPE as i32;
    handle.borrow_mut().end(code, "stdin closed, exiting");
}

impl Shell {
    /// Where a new connection's packets are cut out, as QueueBufferSize is now.
    pub(crate) fn new_frames(&self) -> Frames {
        Frames::new(self.tunables.queue_buffer_size as usize)
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// When the daemon wants to be called.
    fn arm(&mut self) -> Option<Instant> {
        self.armed = self.daemon.poll_timeout();
        self.armed.map(|at| self.start + Duration::from_nanos(at.0))
    }

    /// Gives the daemon an input, carries out what it says and sends what is to be sent.
    pub(crate) fn input(&mut self, input: Input) {
        self.input_unflushed(input);
        self.flush();
    }

    /// The same without sending: for several inputs in one turn. [`Shell::flush`] must follow.
    pub(crate) fn input_unflushed(&mut self, input: Input) {
        if self.busy_poll.is_on() && matches!(input, Input::NodePacket { .. }) {
            self.busy_poll.heard(Instant::now());
        }
        let mut next = Some(input);
        while let Some(input) = next {
            let mut out = Vec::new();
            self.daemon.handle(self.now(), input, &mut out);
            self.carry_out(out);
            next = self.later.pop_front();
        }
        let next = self.daemon.poll_timeout();
        if next.is_some_and(|next| self.armed.is_none_or(|armed| next < armed)) {
            self.deadline_moved.notify_one();
        }
    }

    /// Writes out every queue that has something.
    pub(crate) fn flush(&mut self) {
        let targets = std::mem::take(&mut self.unflushed);
        if self.busy_poll.is_on() && !targets.is_empty() {
            let to_nodes_alone = !targets.iter().any(|to| matches!(to, Target::Client(_)));
            self.busy_poll.sent(Instant::now(), to_nodes_alone);
        }
        for target in targets {
            let link = match target {
                Target::Client(client) => self.clients.get_mut(&client),
                Target::Node(node) => self.transport.link(node),
            };
            if let Some(link) = link {
                link.flush();
            }
        }
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::ToClient { client, packet } => self.queue_for_client(client, packet),
                Output::ToNode { node, packet } => {
                    if self.transport.send(node, packet) {
                        self.unflushed.push(Target::Node(node));
                    }
                }
                Output::CloseClient { client, reason } => self.close_client(client, &reason),
                Output::DropNode(node) => self.drop_node(node),
                Output::Nodes(nodes) => self.connect_nodes(&nodes),
                Output::Work { work, db, job } => self.pool.start(JobId(work.0), db, job_of(job)),
                Output::Order { work, order } => self.pool.order(JobId(work.0), order),
                Output::Release(work) => self.pool.release(JobId(work.0)),
                Output::Credit(work) => self.pool.credit(JobId(work.0)),
                Output::FileOpened { db, name, opened } => self.pool.open(DatabaseFile {
                    db,
                    name,
                    path: PathBuf::from(opened.path),
                    flags: opened.open_flags,
                    hash_size: opened.hash_size,
                }),
                Output::FileClosed(db) => self.pool.close(db),
                Output::Tunables(tunables) => {
                    self.pool.set_lock_limit(tunables.lock_processes_per_db);
                    self.tunables = tunables;
                }
                Output::CheckClusterLock(token) => self.check_cluster_lock(token),
                Output::ReadNodes(what_for) => self.read_nodes(what_for),
                Output::ReadAddresses => {
                    let read = addresses::load(&self.paths).map_err(|why| why.to_string());
                    self.later.push_back(Input::AddressesRead(read));
                }
                Output::Arp { address, interface } => addresses::announce(address, &interface),
                Output::Tickle(connections) => {
                    tokio::task::spawn_local(addresses::tickle(connections));
                }
                Output::LogLevel(level) => self.log.set(LogLevel(level)),
                Output::StartManager => self.start_manager(),
                Output::RestartManager { reason } => self.manager.restart(&reason),
                Output::StopManager { reason } => {
                    warn!(reason, "Shutdown sequence commencing.");
                    self.manager.stop();
                }
                Output::AskEventd { reqid, request } => self.events.ask(reqid, request),
                Output::RestartEventd { reason } => self.events.restart(&reason),
                Output::Milestone(milestone) => {
                    events::notify(self.paths.notification_script(), milestone, &self.log);
                }
                Output::Shutdown { exit_code, reason } => self.shut_down(exit_code, &reason),
            }
        }
    }

    /// The daemon has no more use for the connections with a node.
    fn drop_node(&mut self, node: Pnn) {
        if self.transport.restart(node) {
            self.later.push_back(Input::NodeDisconnected(node));
        }
    }

    fn worker_event(&mut self, job: JobId, event: Event) {
        let event = match event {
            Event::Locked => WorkEvent::Locked,
            Event::Failed { reason } | Event::Lost { reason } => WorkEvent::Failed(reason),
            Event::Committed { status, reason } => WorkEvent::Committed(status, reason),
            Event::Records(records) => WorkEvent::Records(records),
            Event::Traversed { count } => WorkEvent::Traversed(count),
            Event::Pulled(records) => WorkEvent::Pulled(records),
            Event::Ordered(done) => WorkEvent::Ordered(done),
            Event::Repacked { free, repacked } => WorkEvent::Repacked { free, repacked },
        };
        self.input(Input::Work {
            work: WorkId(job.0),
            event,
        });
    }

    /// Tries the cluster lock in a helper process, beside everything else.
    fn check_cluster_lock(&mut self, token: OwnToken) {
        let Some(handle) = self.this.upgrade() else {
            return;
        };
        let (lock, paths) = (self.cluster_lock.clone(), self.paths.clone());
        let errors = self.log.child_output();
        tokio::task::spawn_local(async move {
            let start = Instant::now();
            let outcome = match lock {
                Some(lock) => try_lock(&lock, &paths, errors).await,
                None => LockOutcome::Failed("there is no cluster lock".into()),
            };
            let latency = start.elapsed().as_secs_f64();
            handle.borrow_mut().input(Input::LockChecked {
                token,
                outcome,
                latency,
            });
        });
    }

    fn connect_nodes(&mut self, nodes: &[NodeEntry]) {
        if let Some(handle) = self.this.upgrade() {
            self.transport.set_nodes(&handle, nodes);
        }
    }

    /// SIGHUP: the log files were moved away.
    fn reopen_logs(&self) {
        match self.log.reopen() {
            Ok(()) => info!("Reopened logs"),
            Err(error) => error!(%error, "the log is written to the old file"),
        }
        self.manager.hang_up();
        self.events.hang_up();
    }

    fn start_manager(&mut self) {
        if let Some(handle) = self.this.upgrade() {
            let task = manager::start(handle);
            self.manager.keep(task);
        }
    }

    /// The daemon is to end, in order.
    fn end(&mut self, exit_code: i32, reason: &str) {
        let reason = reason.to_owned();
        self.input(Input::ShutdownAsked { exit_code, reason });
    }

    fn shut_down(&mut self, exit_code: i32, reason: &str) {
        if self.exit_code.is_none() {
            warn!(reason, "the daemon ends");
            self.manager.stop();
            self.exit_code = Some(exit_code);
            self.exit.notify_one();
        }
    }
}

async fn try_lock(lock: &ClusterLock, paths: &Paths, errors: Stdio) -> LockOutcome {
    let mut helper = match LockHelper::start(lock, paths, errors) {
        Ok(helper) => helper,
        Err(why) => return LockOutcome::Failed(why.to_string()),
    };
    let outcome = match helper.outcome_within(LOCK_CHECK).await {
        Outcome::Taken => LockOutcome::Taken,
        Outcome::Contended => LockOutcome::Contended,
        Outcome::TimedOut => LockOutcome::TimedOut,
        Outcome::Failed(why) => LockOutcome::Failed(why),
    };
    // a helper that hangs is left to itself: its end releases the lock
    let _ = tokio::time::timeout(Duration::from_secs(1), helper.release()).await;
    outcome
}

fn job_of(job: EngineJob) -> Job {
    match job {
        EngineJob::LockRecord(key) => Job::LockRecord { key },
        EngineJob::LockAll => Job::LockAll,
        EngineJob::Commit { records, kind } => Job::Commit { records, kind },
        EngineJob::Traverse {
            only_dmaster,
            with_empty,
        } => Job::Traverse {
            only_dmaster,
            with_empty,
        },
        EngineJob::Repack { limit } => Job::Repack { limit },
    }
}

/// The nodes file as the daemon knows it: with the port of the nodes in each address.
pub(crate) fn node_entries(nodes: &[config::NodeEntry], port: u16) -> Vec<NodeEntry> {
    let entry = |node: &config::NodeEntry| NodeEntry {
        pnn: node.pnn,
        addr: SockAddr::from(std::net::SocketAddr::new(node.address, port)),
        deleted: node.deleted,
    };
    nodes.iter().map(entry).collect()
}

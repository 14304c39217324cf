//! The pool: the handle that ctdbd holds, and the task that keeps the processes.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use database::frozen::Order;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};
use wire::DbId;

use super::dispatch::{Action, Dispatch, WorkerId};
use super::patience::Patience;
use super::process::{Process, Report};
use super::protocol::Request;
use super::{DatabaseFile, Event, Job, JobId, Limits, Program};

/// A worker that has had nothing to do for one to two of these ends.
const REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum Command {
    Open(DatabaseFile),
    Close(DbId),
    Start(JobId, DbId, Job),
    Order(JobId, Order),
    Release(JobId),
    Credit(JobId),
    LockLimit(u32),
    DebugScript(Option<PathBuf>),
}

/// The worker processes of all databases. No call waits; all take effect in the order they were made. Dropping the pool
/// kills its processes.
#[derive(Debug)]
pub struct Pool {
    commands: UnboundedSender<Command>,
}

impl Pool {
    /// A pool without processes; `program` is `ctdb-database-worker`, `events` gets what becomes of the jobs.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(program: Program, events: UnboundedSender<(JobId, Event)>, limits: Limits) -> Self {
        let (commands, todo) = unbounded_channel();
        let (reports, reported) = unbounded_channel();
        let dispatch = Dispatch::new(limits);
        let actor = Actor {
            program,
            events,
            reports,
            dispatch,
            processes: BTreeMap::new(),
            patience: Patience::default(),
            debug_script: None,
        };
        tokio::spawn(actor.run(todo, reported));
        Self { commands }
    }

    /// Makes a database known; processes are started when there is something to do.
    pub fn open(&mut self, file: DatabaseFile) {
        self.tell(Command::Open(file));
    }

    /// Forgets a database: jobs that wait fail, jobs under way are lost, its processes are killed.
    pub fn close(&mut self, db: DbId) {
        self.tell(Command::Close(db));
    }

    /// Begins a job, or queues it behind those that have the slots.
    ///
    /// # Panics
    /// The pool's task panics if `job` names a job that is not over yet.
    pub fn start(&mut self, job: JobId, db: DbId, what: Job) {
        self.tell(Command::Start(job, db, what));
    }

    /// Has the worker that holds a whole database for us do something with it, after what it was ordered before.
    pub fn order(&mut self, job: JobId, order: Order) {
        self.tell(Command::Order(job, order));
    }

    /// Lets go of a lock, or gives a job up. A commit that has begun may have been carried out. A wait for a chain goes on
    /// for nobody (and for the next who wants that key) until the chain is locked, then it is unlocked at once.
    pub fn release(&mut self, job: JobId) {
        self.tell(Command::Release(job));
    }

    /// Allows a traverse one more batch; call it for each [`Event::Records`] that has been dealt with.
    pub fn credit(&mut self, job: JobId) {
        self.tell(Command::Credit(job));
    }

    /// Changes `LockProcessesPerDB`; locks that are there stay.
    pub fn set_lock_limit(&mut self, locks_per_db: u32) {
        self.tell(Command::LockLimit(locks_per_db));
    }

    /// Sets the script that is run when a lock is not to be had for long (`lock debug script`): with the pid of the waiting
    /// worker, RECORD or DB, the file, and MUTEX or FCNTL.
    pub fn set_debug_script(&mut self, script: Option<PathBuf>) {
        self.tell(Command::DebugScript(script));
    }

    fn tell(&self, command: Command) {
        if self.commands.send(command).is_err() {
            tracing::error!("the worker pool is gone");
        }
    }
}

struct Actor {
    program: Program,
    events: UnboundedSender<(JobId, Event)>,
    reports: UnboundedSender<Report>,
    dispatch: Dispatch,
    processes: BTreeMap<WorkerId, Process>,
    patience: Patience,
    debug_script: Option<PathBuf>,
}

impl Actor {
    async fn run(
        mut self,
        mut todo: UnboundedReceiver<Command>,
        mut reported: UnboundedReceiver<Report>,
    ) {
        let mut look = None;
        loop {
            let overdue = self.patience.next();
            // no worker idle, no timer: an idle daemon is not woken for it
            look = look.or_else(|| self.dispatch.has_idle().then(|| Instant::now() + REST));
            tokio::select! {
                command = todo.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(report) = reported.recv() => self.hear(report),
                () = until(overdue), if overdue.is_some() => self.complain(),
                () = until(look), if look.is_some() => {
                    look = None;
                    self.dispatch.retire();
                }
            }
            self.act();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(file) => self.dispatch.open(file),
            Command::Close(db) => self.dispatch.close(db),
            Command::Start(job, db, what) => self.dispatch.start(job, db, what),
            Command::Order(job, order) => self.dispatch.order(job, order),
            Command::Release(job) => self.dispatch.release(job),
            Command::Credit(job) => self.dispatch.credit(job),
            Command::LockLimit(limit) => self.dispatch.set_lock_limit(limit),
            Command::DebugScript(script) => self.debug_script = script,
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Reply(id, reply) => {
                self.patience.end(id);
                self.dispatch.on_reply(id, reply);
            }
            Report::Gone(id, reason) => {
                self.patience.end(id);
                self.processes.remove(&id);
                self.dispatch.on_gone(id, &reason);
            }
        }
    }

    fn act(&mut self) {
        let mut actions = VecDeque::from(self.dispatch.take_actions());
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Spawn(id, file) => self.spawn(id, &file),
                Action::Send(id, request) => self.send(id, request),
                Action::Kill(id) => drop(self.processes.remove(&id)),
                Action::Emit(job, event) => self.emit(job, event),
            }
            actions.extend(self.dispatch.take_actions());
        }
    }

    fn spawn(&mut self, id: WorkerId, file: &DatabaseFile) {
        match Process::spawn(&self.program, file, id, self.reports.clone()) {
            Ok(process) => drop(self.processes.insert(id, process)),
            Err(error) => {
                let program = self.program.path.display();
                let reason = format!("cannot start {program} for {}: {error}", file.name);
                tracing::error!(db = %file.db, "{reason}");
                self.dispatch.on_unborn(id, &reason);
            }
        }
    }

    fn send(&mut self, id: WorkerId, request: Request) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        if let Request::Start(job) = &request {
            let now = Instant::now();
            self.patience.begin(id, &process.file, job, now);
        }
        process.send(request);
    }

    fn emit(&self, job: JobId, event: Event) {
        if let Event::Committed {
            status: 1..,
            reason,
        } = &event
        {
            tracing::error!(job = job.0, reason, "commit refused");
        }
        // nobody listens any more while the daemon ends
        let _ = self.events.send((job, event));
    }

    fn complain(&mut self) {
        for complaint in self.patience.complaints(Instant::now()) {
            let Some(process) = self.processes.get(&complaint.worker) else {
                continue;
            };
            if !self.dispatch.is_wanted(complaint.worker) {
                continue;
            }
            tracing::warn!(pid = process.pid, "{}", complaint.text);
            if let Some(script) = &self.debug_script {
                complaint.debug(script, process.pid, self.program.log.as_ref());
            }
        }
    }
}

async fn until(time: Option<Instant>) {
    if let Some(time) = time {
        sleep_until(time).await;
    }
}

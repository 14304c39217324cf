//! Who runs what: the jobs, their queues and the worker processes, as a machine without processes.
//!
//! The states of one worker:
//!
//! ```text
//!            a job              Locked
//!   Idle ───────────▶ Working ──────────▶ Holding
//!    ▲                 │ │ │                 │ release
//!    │ Failed,         │ │ │ release of      ▼
//!    │ Committed,      │ │ │ a chain      Unlocking ──Unlocked──▶ Idle
//!    │ Traversed       │ │ ▼                 ▲
//!    └─────────────────┘ │ Abandoned ──Locked┘
//!                        │ release of anything else
//!                        ▼
//!   any ──killed──▶ Ending ──its end──▶ (gone)
//! ```
//!
//! Who is Idle from one [`Dispatch::retire`] to the next is killed: a load leaves no processes behind.
//!
//! A chain that nobody waits for any more is let go of once it is locked, and the waiter is not killed: a later job for
//! the same key takes its place in the queue over, and a stopped client cannot make us kill and start processes all day
//! (upstream's bug 12469 came from killing). A whole-database waiter is killed, because it already blocks others.

use std::collections::BTreeMap;

use database::frozen::Order;
use wire::DbId;

use super::lane::{Class, Lane};
use super::protocol::{Reply, Request};
use super::{DatabaseFile, Event, Job, JobId, Limits};

/// Names a worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerId(pub(super) u64);

/// What the actor is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a process; [`Dispatch::on_unborn`] if that fails.
    Spawn(WorkerId, DatabaseFile),
    /// Send it a frame.
    Send(WorkerId, Request),
    /// Kill it; [`Dispatch::on_gone`] follows.
    Kill(WorkerId),
    /// Tell the pool's owner.
    Emit(JobId, Event),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Idle,
    Working(JobId, Class),
    Holding(JobId, Class),
    /// Waits for a chain that nobody wants.
    Abandoned,
    /// `slot`: of which lane it still takes a slot.
    Unlocking {
        slot: Option<Class>,
    },
    Ending {
        slot: Option<Class>,
    },
}

#[derive(Debug)]
struct Worker {
    db: DbId,
    doing: Doing,
    /// The key whose chain it was last sent to.
    key: Vec<u8>,
    /// It was idle at the last look of [`Dispatch::retire`], and has been since.
    rested: bool,
}

impl Worker {
    /// The lane in which it takes a slot.
    fn slot(&self) -> Option<Class> {
        match self.doing {
            Doing::Working(_, class) | Doing::Holding(_, class) => Some(class),
            Doing::Unlocking { slot } | Doing::Ending { slot } => slot,
            Doing::Idle | Doing::Abandoned => None,
        }
    }
}

#[derive(Debug)]
struct Database {
    file: DatabaseFile,
    lanes: BTreeMap<Class, Lane>,
    /// Longest idle first.
    idle: Vec<WorkerId>,
}

/// Where a job is.
#[derive(Debug, Clone, Copy)]
enum Place {
    Queue(DbId, Class),
    Worker(WorkerId),
}

/// The machine.
#[derive(Debug)]
pub(super) struct Dispatch {
    limits: Limits,
    databases: BTreeMap<DbId, Database>,
    jobs: BTreeMap<JobId, Place>,
    workers: BTreeMap<WorkerId, Worker>,
    next_worker: u64,
    actions: Vec<Action>,
}

impl Dispatch {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            databases: BTreeMap::new(),
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_worker: 0,
            actions: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// A database was attached; for one that is known already nothing changes.
    pub(super) fn open(&mut self, file: DatabaseFile) {
        self.databases.entry(file.db).or_insert_with(|| {
            let lanes = [Class::Record, Class::Whole, Class::Commit, Class::Walk];
            let lanes = lanes.map(|class| (class, Lane::default())).into();
            Database {
                file,
                lanes,
                idle: Vec::new(),
            }
        });
    }

    /// A database is being detached: its jobs end, its workers are killed.
    pub(super) fn close(&mut self, db: DbId) {
        let Some(mut database) = self.databases.remove(&db) else {
            return;
        };
        for job in database.lanes.values_mut().flat_map(Lane::drain) {
            self.jobs.remove(&job);
            self.actions.push(Action::Emit(
                job,
                Event::Failed {
                    reason: "database closed".into(),
                },
            ));
        }
        let ids: Vec<_> = self.workers_of(db).map(|(id, _)| id).collect();
        for id in ids {
            self.end_job(
                id,
                Event::Lost {
                    reason: "database closed".into(),
                },
            );
            self.kill(id, None);
        }
    }

    /// The tunable changed.
    pub(super) fn set_lock_limit(&mut self, locks_per_db: u32) {
        self.limits.locks_per_db = locks_per_db;
        let all: Vec<_> = self.databases.keys().copied().collect();
        all.into_iter().for_each(|db| self.pump(db));
    }

    /// A new job.
    pub(super) fn start(&mut self, id: JobId, db: DbId, job: Job) {
        let class = Class::of(&job);
        let Some(database) = self.databases.get_mut(&db) else {
            let reason = format!("database {db} is not open");
            return self
                .actions
                .push(Action::Emit(id, Event::Failed { reason }));
        };
        assert!(!self.jobs.contains_key(&id), "{id:?} is used twice");
        self.jobs.insert(id, Place::Queue(db, class));
        database.lanes.entry(class).or_default().push(id, job);
        self.pump(db);
    }

    /// A job is no longer wanted: unlock, forget or kill.
    pub(super) fn release(&mut self, id: JobId) {
        match self.jobs.remove(&id) {
            None => {}
            Some(Place::Queue(db, class)) => {
                if let Some(database) = self.databases.get_mut(&db) {
                    database.lanes.entry(class).or_default().forget(id);
                }
            }
            Some(Place::Worker(worker)) => self.release_worker(worker),
        }
    }

    /// The holder of a whole database is to do something with it. One that is no more has been reported.
    pub(super) fn order(&mut self, id: JobId, order: Order) {
        if let Some(Place::Worker(worker)) = self.jobs.get(&id) {
            self.actions
                .push(Action::Send(*worker, Request::Order(order)));
        }
    }

    /// One more batch of records may come.
    pub(super) fn credit(&mut self, id: JobId) {
        if let Some(Place::Worker(worker)) = self.jobs.get(&id) {
            self.actions.push(Action::Send(*worker, Request::Credit));
        }
    }

    /// Whether there are workers for [`Dispatch::retire`] to look at.
    pub(super) fn has_idle(&self) -> bool {
        self.databases
            .values()
            .any(|database| !database.idle.is_empty())
    }

    /// Ends the workers that have had nothing to do since the last call.
    pub(super) fn retire(&mut self) {
        let idle = self
            .databases
            .values()
            .flat_map(|database| database.idle.iter().copied());
        for id in idle.collect::<Vec<_>>() {
            match self.workers.get_mut(&id) {
                Some(worker) if !worker.rested => worker.rested = true,
                _ => self.kill(id, None),
            }
        }
    }

    /// Whether somebody waits for the worker.
    pub(super) fn is_wanted(&self, id: WorkerId) -> bool {
        let doing = self.workers.get(&id).map(|worker| worker.doing);
        matches!(doing, Some(Doing::Working(..)))
    }

    /// A worker said something.
    pub(super) fn on_reply(&mut self, id: WorkerId, reply: Reply) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        match (worker.doing, reply) {
            (Doing::Ending { .. }, _) => {}
            (_, Reply::Unusable { reason }) => self.discard(id, Event::Failed { reason }),
            (Doing::Working(job, class @ (Class::Record | Class::Whole)), Reply::Locked) => {
                worker.doing = Doing::Holding(job, class);
                self.actions.push(Action::Emit(job, Event::Locked));
            }
            (Doing::Holding(job, Class::Whole), Reply::Pulled(records)) => {
                self.actions.push(Action::Emit(job, Event::Pulled(records)));
            }
            (Doing::Holding(job, Class::Whole), Reply::Ordered(done)) => {
                self.actions.push(Action::Emit(job, Event::Ordered(done)));
            }
            // released before it was through with its orders
            (Doing::Unlocking { .. }, Reply::Pulled(_) | Reply::Ordered(_)) => {}
            (Doing::Abandoned, Reply::Locked) => self.unlock(id, None),
            (Doing::Unlocking { slot }, Reply::Unlocked) => self.rest(id, slot),
            (Doing::Abandoned, Reply::Failed { .. }) => self.rest(id, None),
            (Doing::Working(job, Class::Walk), Reply::Records(records)) => {
                self.actions
                    .push(Action::Emit(job, Event::Records(records)));
            }
            (Doing::Working(_, class), reply) => match last_event(class, reply) {
                Some(event) => {
                    self.end_job(id, event);
                    self.rest(id, Some(class));
                }
                None => self.misbehaved(id),
            },
            _ => self.misbehaved(id),
        }
    }

    /// A worker ended; it has been waited for.
    pub(super) fn on_gone(&mut self, id: WorkerId, reason: &str) {
        self.remove(
            id,
            Event::Lost {
                reason: reason.to_owned(),
            },
        );
    }

    /// A worker could not be started.
    pub(super) fn on_unborn(&mut self, id: WorkerId, reason: &str) {
        self.remove(
            id,
            Event::Failed {
                reason: reason.to_owned(),
            },
        );
    }

    fn remove(&mut self, id: WorkerId, event: Event) {
        self.end_job(id, event);
        let Some(worker) = self.workers.remove(&id) else {
            return;
        };
        self.forget_idle(worker.db, id);
        self.give_back(worker.db, worker.slot());
    }

    /// Tells the owner of the worker's job, if it has one, that it is over.
    fn end_job(&mut self, id: WorkerId, event: Event) {
        let doing = self.workers.get(&id).map(|worker| worker.doing);
        if let Some(Doing::Working(job, _) | Doing::Holding(job, _)) = doing
            && self.jobs.remove(&job).is_some()
        {
            self.actions.push(Action::Emit(job, event));
        }
    }

    fn release_worker(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        match worker.doing {
            Doing::Holding(_, class) => self.unlock(id, Some(class)),
            Doing::Working(_, Class::Record) => {
                worker.doing = Doing::Abandoned;
                let db = worker.db;
                self.limit_abandoned(db);
                self.give_back(db, Some(Class::Record));
            }
            Doing::Working(_, class) => self.kill(id, Some(class)),
            _ => unreachable!("a worker without a job has none to release"),
        }
    }

    /// Kills the one that has waited longest for nobody, if there are too many.
    fn limit_abandoned(&mut self, db: DbId) {
        let abandoned = self
            .workers_of(db)
            .filter(|(_, w)| w.doing == Doing::Abandoned);
        let ids: Vec<_> = abandoned.map(|(id, _)| id).collect();
        if ids.len() > self.limits.abandoned_per_db {
            self.kill(ids[0], None);
        }
    }

    fn unlock(&mut self, id: WorkerId, slot: Option<Class>) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.doing = Doing::Unlocking { slot };
            self.actions.push(Action::Send(id, Request::Unlock));
        }
    }

    fn kill(&mut self, id: WorkerId, slot: Option<Class>) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.doing = Doing::Ending { slot };
            let db = worker.db;
            self.forget_idle(db, id);
            self.actions.push(Action::Kill(id));
        }
    }

    /// A worker that breaks the rules of the frames is of no more use.
    fn misbehaved(&mut self, id: WorkerId) {
        let reason = "unexpected reply of a worker".into();
        self.discard(id, Event::Lost { reason });
    }

    /// Kills a worker; its job ends with the event.
    fn discard(&mut self, id: WorkerId, event: Event) {
        let slot = self.workers.get(&id).and_then(Worker::slot);
        self.end_job(id, event);
        self.kill(id, slot);
    }

    /// The worker has nothing to do: keep it, unless there are enough.
    fn rest(&mut self, id: WorkerId, slot: Option<Class>) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.doing = Doing::Idle;
        worker.key.clear();
        let db = worker.db;
        if let Some(database) = self.databases.get_mut(&db) {
            database.idle.push(id);
        }
        self.give_back(db, slot);
        self.trim_idle(db);
    }

    fn trim_idle(&mut self, db: DbId) {
        let idle = |database: &Database| database.idle.len();
        if self.databases.get(&db).map_or(0, idle) > self.limits.idle_per_db {
            self.kill(self.databases[&db].idle[0], None);
        }
        if self.databases.values().map(idle).sum::<usize>() > self.limits.idle_in_all
            && let Some(most) = self
                .databases
                .values()
                .max_by_key(|database| idle(database))
        {
            self.kill(most.idle[0], None);
        }
    }

    fn forget_idle(&mut self, db: DbId, id: WorkerId) {
        if let Some(database) = self.databases.get_mut(&db) {
            database.idle.retain(|idle| *idle != id);
        }
    }

    fn give_back(&mut self, db: DbId, slot: Option<Class>) {
        if let (Some(class), Some(database)) = (slot, self.databases.get_mut(&db)) {
            database.lanes.entry(class).or_default().done();
        }
        self.pump(db);
    }

    /// Starts whatever there is a slot for.
    fn pump(&mut self, db: DbId) {
        while let Some(database) = self.databases.get_mut(&db) {
            let limits = &self.limits;
            let next =
                |(class, lane): (&Class, &mut Lane)| Some((*class, lane.next(*class, limits)?));
            let Some((class, (id, job))) = database.lanes.iter_mut().find_map(next) else {
                return;
            };
            self.assign(db, class, id, job);
        }
    }

    fn assign(&mut self, db: DbId, class: Class, id: JobId, job: Job) {
        let adopted = self.abandoned_waiter(db, &job);
        let worker = adopted.or_else(|| self.databases.get_mut(&db)?.idle.pop());
        let worker = worker.unwrap_or_else(|| self.spawn(db));
        self.jobs.insert(id, Place::Worker(worker));
        let entry = self.workers.get_mut(&worker).expect("just chosen or made");
        entry.doing = Doing::Working(id, class);
        entry.rested = false;
        if adopted.is_none() {
            if let Job::LockRecord { key } = &job {
                entry.key.clone_from(key);
            }
            self.actions.push(Action::Send(worker, Request::Start(job)));
        }
    }

    /// A worker that waits for the same chain already, for nobody.
    fn abandoned_waiter(&self, db: DbId, job: &Job) -> Option<WorkerId> {
        let Job::LockRecord { key } = job else {
            return None;
        };
        let waits = |worker: &Worker| worker.doing == Doing::Abandoned && worker.key == *key;
        self.workers_of(db)
            .find(|(_, worker)| waits(worker))
            .map(|(id, _)| id)
    }

    fn spawn(&mut self, db: DbId) -> WorkerId {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.workers.insert(
            id,
            Worker {
                db,
                doing: Doing::Idle,
                key: Vec::new(),
                rested: false,
            },
        );
        self.actions
            .push(Action::Spawn(id, self.databases[&db].file.clone()));
        id
    }

    fn workers_of(&self, db: DbId) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers
            .iter()
            .filter(move |(_, worker)| worker.db == db)
            .map(|(id, w)| (*id, w))
    }
}

/// The event that ends a job of this class, if the reply is one that may.
fn last_event(class: Class, reply: Reply) -> Option<Event> {
    match (class, reply) {
        (_, Reply::Failed { reason }) => Some(Event::Failed { reason }),
        (Class::Commit, Reply::Committed { status, reason }) => {
            Some(Event::Committed { status, reason })
        }
        (Class::Commit, Reply::Repacked { free, repacked }) => {
            Some(Event::Repacked { free, repacked })
        }
        (Class::Walk, Reply::Traversed { count }) => Some(Event::Traversed { count }),
        _ => None,
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;

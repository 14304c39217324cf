//! Worker processes: they wait for locks, commit, and read whole databases, each in its own time.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use ctdbd::daemon::Input;
use ctdbd::workers::{Filter, plan};
use database::frozen::{Clerk, Order};
use database::io::{Job, WorkEvent, WorkId};
use database::store::Stored;
use wire::DbId;
use wire::coding::{Decode, Encode};
use wire::types::{DbFlags, RecBuffer, RecordHeader};

use super::{Event, World};
use crate::disk::{Extent, Held, Owner, Records, chain};
use crate::mutation::Mutation;

/// A job that a worker has.
#[derive(Debug)]
pub(crate) struct Running {
    db: DbId,
    job: Job,
    stage: Stage,
    /// What it has still to do with the database that it holds.
    orders: VecDeque<Order>,
    clerk: Clerk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On its way to the worker.
    Sent,
    /// For its lock.
    Waits,
    /// Has what it needs.
    Works,
    /// Holds a lock for the daemon.
    Holds,
}

impl World {
    pub(super) fn start_job(&mut self, n: usize, work: WorkId, db: DbId, job: Job) {
        let stage = Stage::Sent;
        let running = Running {
            db,
            job,
            stage,
            orders: VecDeque::new(),
            clerk: Clerk::default(),
        };
        self.nodes[n].jobs.insert(work, running);
        self.job_goes_on(n, work, 40, 400);
    }

    /// The holder of a database is to do something with it.
    pub(super) fn order(&mut self, n: usize, work: WorkId, order: Order) {
        let node = &mut self.nodes[n];
        let Some(running) = node.jobs.get_mut(&work) else {
            return;
        };
        if let (Order::Commit, Some(daemon)) = (&order, &node.daemon) {
            let generation = daemon.membership().vnn_map().generation;
            node.accepted.insert(running.db, generation);
        }
        running.orders.push_back(order);
        if running.orders.len() == 1 {
            self.job_goes_on(n, work, 30, 3_000);
        }
    }

    /// Carries out the next order. What it did is looked at together with what the daemon makes of its answer.
    fn carry_out_order(&mut self, n: usize, life: u64, work: WorkId) {
        let node = &mut self.nodes[n];
        let Some(running) = node.jobs.get_mut(&work) else {
            return;
        };
        let Some(order) = running.orders.pop_front() else {
            return;
        };
        let more = !running.orders.is_empty();
        let (disk, db) = (node.disk.clone(), running.db);
        let mut events = Vec::new();
        running
            .clerk
            .carry_out(&mut Held { disk, db }, order, &mut |event| {
                events.push(event);
                ControlFlow::Continue(())
            });
        if more {
            self.job_goes_on(n, work, 30, 3_000);
        }
        for event in events {
            self.input(n, life, Input::Work { work, event });
        }
    }

    /// Libtdb rolls back what a worker leaves behind.
    fn roll_back(&mut self, n: usize, running: &mut Running) {
        let (disk, db) = (self.nodes[n].disk.clone(), running.db);
        if let Err(why) = running.clerk.release(&mut Held { disk, db }) {
            self.broken("rollback", why);
        }
    }

    fn job_goes_on(&mut self, n: usize, work: WorkId, from: u64, to: u64) {
        let delay = self.rng.micros(from, to);
        let life = self.nodes[n].life;
        self.after(delay, Event::Job(n, life, work));
    }

    pub(super) fn job(&mut self, n: usize, life: u64, work: WorkId) {
        if self.nodes[n].life != life {
            return;
        }
        let Some(running) = self.nodes[n].jobs.get(&work) else {
            return;
        };
        match (&running.job, running.stage) {
            (Job::LockRecord(key), Stage::Sent) => {
                let extent = Extent::Chain(chain(key));
                self.wait_for_lock(n, work, extent);
            }
            (Job::LockAll, Stage::Sent) if self.mutation == Some(Mutation::EagerFreeze) => {
                let db = running.db;
                if let Some(file) = self.nodes[n].disk.borrow_mut().files.get_mut(&db) {
                    file.locks.force(Owner::Worker(work));
                }
                self.worker_has_lock(n, work);
            }
            (Job::LockAll | Job::Commit { .. }, Stage::Sent) => {
                self.wait_for_lock(n, work, Extent::All);
            }
            (Job::LockAll, Stage::Holds) => self.carry_out_order(n, life, work),
            (Job::Commit { .. }, Stage::Works) => self.apply(n, work),
            (Job::Traverse { .. }, _) => self.walk(n, work),
            (Job::Repack { .. }, _) => {
                let event = WorkEvent::Repacked {
                    free: 0,
                    repacked: false,
                };
                self.job_over(n, work, event);
            }
            _ => {}
        }
    }

    fn wait_for_lock(&mut self, n: usize, work: WorkId, extent: Extent) {
        let Some(running) = self.nodes[n].jobs.get_mut(&work) else {
            return;
        };
        running.stage = Stage::Waits;
        let db = running.db;
        let granted = match self.nodes[n].disk.borrow_mut().files.get_mut(&db) {
            Some(file) => file.locks.request(Owner::Worker(work), extent),
            None => false,
        };
        if granted {
            self.worker_has_lock(n, work);
        }
    }

    /// Whoever waited for these locks has them.
    pub(super) fn granted(&mut self, n: usize, db: DbId, owners: Vec<Owner>) {
        for owner in owners {
            match owner {
                Owner::Worker(work) => self.worker_has_lock(n, work),
                Owner::Client(client) => self.client_has_lock(n, client, db),
            }
        }
    }

    fn worker_has_lock(&mut self, n: usize, work: WorkId) {
        let Some(running) = self.nodes[n].jobs.get_mut(&work) else {
            return;
        };
        if let Job::Commit { .. } = running.job {
            running.stage = Stage::Works;
            return self.job_goes_on(n, work, 300, 3_000);
        }
        running.stage = Stage::Holds;
        let event = WorkEvent::Locked;
        self.input_later(n, Duration::from_micros(30), Input::Work { work, event });
    }

    pub(super) fn unlock(&mut self, n: usize, db: DbId, owner: Owner) {
        let granted = match self.nodes[n].disk.borrow_mut().files.get_mut(&db) {
            Some(file) => file.locks.release(owner),
            None => Vec::new(),
        };
        self.granted(n, db, granted);
    }

    pub(super) fn release_job(&mut self, n: usize, work: WorkId) {
        let forgotten = self.mutation == Some(Mutation::NoRelease)
            && matches!(
                &self.nodes[n].jobs.get(&work),
                Some(Running {
                    job: Job::LockRecord(_),
                    ..
                })
            )
            && self.rng.chance(10);
        if forgotten {
            return;
        }
        if let Some(mut running) = self.nodes[n].jobs.remove(&work) {
            self.roll_back(n, &mut running);
            self.unlock(n, running.db, Owner::Worker(work));
        }
    }

    fn job_over(&mut self, n: usize, work: WorkId, event: WorkEvent) {
        if let Some(mut running) = self.nodes[n].jobs.remove(&work) {
            self.roll_back(n, &mut running);
            self.unlock(n, running.db, Owner::Worker(work));
        }
        self.input_later(n, Duration::from_micros(30), Input::Work { work, event });
    }

    /// A commit, in one moment; it is on the disk when the worker says so.
    fn apply(&mut self, n: usize, work: WorkId) {
        let Some(Running {
            db,
            job: Job::Commit { records, kind },
            ..
        }) = self.nodes[n].jobs.get(&work)
        else {
            return;
        };
        let (db, kind) = (*db, *kind);
        let Ok(buffer) = RecBuffer::from_bytes(records) else {
            return self.broken("commit", "a commit that cannot be read".into());
        };
        let lies = self.mutation == Some(Mutation::LyingCommit) && n == self.nodes.len() - 1;
        if lies {
            let event = WorkEvent::Committed(-1, "planted".into());
            return self.job_over(n, work, event);
        }
        let planned = match self.nodes[n].disk.borrow().files.get(&db) {
            Some(file) => planned(&file.records, &buffer, kind),
            None => Err("the file is gone".into()),
        };
        let event = match planned {
            Ok(writes) => {
                self.note_apply(n, db, &writes);
                let sync = self.mutation != Some(Mutation::NoSync);
                self.nodes[n].disk.borrow_mut().applied(db, writes, sync);
                WorkEvent::Committed(0, String::new())
            }
            Err(why) => WorkEvent::Committed(-1, why),
        };
        self.job_over(n, work, event);
    }

    fn walk(&mut self, n: usize, work: WorkId) {
        let Some(Running {
            db,
            job:
                Job::Traverse {
                    only_dmaster,
                    with_empty,
                },
            ..
        }) = self.nodes[n].jobs.get(&work)
        else {
            return;
        };
        let everything = self.mutation == Some(Mutation::EveryCopy);
        let filter = Filter {
            only_dmaster: only_dmaster.filter(|_| !everything),
            with_empty: *with_empty,
        };
        let raw = |stored: &Stored| [stored.header.to_bytes(), stored.data.clone()].concat();
        let found: Vec<(Vec<u8>, Vec<u8>)> = match self.nodes[n].disk.borrow().files.get(db) {
            Some(file) => {
                let all = file
                    .records
                    .iter()
                    .map(|(key, stored)| (key.clone(), raw(stored)));
                all.filter(|(_, raw)| filter.wants(raw)).collect()
            }
            None => Vec::new(),
        };
        let count = found.len() as u64;
        if count > 0 {
            let event = WorkEvent::Records(found);
            self.input_later(n, Duration::from_micros(30), Input::Work { work, event });
        }
        self.job_over(n, work, WorkEvent::Traversed(count));
    }

    /// All workers of a node die.
    pub(super) fn kill_workers(&mut self, n: usize) {
        self.nodes[n].restless_until = self.now + Duration::from_secs(3);
        let works: Vec<WorkId> = self.nodes[n].jobs.keys().copied().collect();
        for work in works {
            self.job_over(n, work, WorkEvent::Failed("killed".into()));
        }
    }
}

fn planned(
    records: &Records,
    buffer: &RecBuffer,
    kind: DbFlags,
) -> Result<Vec<(Vec<u8>, Stored)>, String> {
    let fetch = |key: &[u8]| {
        let stored = records.get(key);
        Ok(stored.map(|stored| [stored.header.to_bytes(), stored.data.clone()].concat()))
    };
    let plan = plan(buffer, kind, fetch).map_err(|why| why.to_string())?;
    plan.into_iter()
        .map(|(key, raw)| {
            let (header, data) = RecordHeader::split(raw).map_err(|why| why.to_string())?;
            let data = data.to_vec();
            Ok((key.to_vec(), Stored { header, data }))
        })
        .collect()
}

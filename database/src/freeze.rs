//! Freezing a database: nobody else reads or writes it until it is thawed, so that a recovery finds and leaves it whole.
//!
//! ```text
//!            DB_FREEZE                 apply done                  worker: locked
//!  Thawed ───────────────▶ Draining ───────────────▶ Locking ───────────────────────▶ Frozen
//!    ▲   (no apply runs: straight to Locking)           │ failed                         │
//!    └──────────────────────────────────────────────────┴──── DB_THAW, worker died ──────┘
//! ```
//!
//! A commit that is being applied when the freeze comes is waited for, one that only queues is refused: after the
//! recovery it would change one copy alone. The lock on every chain is held by a worker process; this process goes on
//! under its protection ([`crate::store::Store::mark_all`]).

use core::time::Duration;

use tracing::{error, info, warn};
use wire::{DbId, Generation, Pnn, Time};

use crate::engine::{Ctx, Engine, Purpose};
use crate::io::{Job, Output, Token, WorkEvent, WorkId};
use crate::statistics::{lock_answered, lock_began, lock_ended};
use crate::timers::Deadline;

/// How long after a freeze has failed or was lost the next try comes.
const FREEZE_AGAIN: Duration = Duration::from_secs(1);

/// How far the freeze of a database is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// In use.
    #[default]
    Thawed,
    /// An apply has to end first.
    Draining(Vec<Waiter>),
    /// A worker waits for the locks, since then.
    Locking(WorkId, Time, Vec<Waiter>),
    /// Still, with the transaction of a recovery if one has begun.
    Frozen(WorkId, Option<Transaction>),
}

/// The recovery's transaction on a frozen database, named by the recovery's generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) id: Generation,
    /// The leader that had the file emptied: what it had is gone, until the transaction ends.
    pub(crate) wiped_by: Option<Pnn>,
}

impl Transaction {
    pub(crate) const fn new(id: Generation) -> Self {
        Self { id, wiped_by: None }
    }
}

/// Who is told when the database is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A DB_FREEZE.
    Control(Token),
    /// The freeze of all databases.
    All,
}

impl Freeze {
    /// Nobody may touch a record.
    pub(crate) fn is_frozen(&self) -> bool {
        matches!(self, Self::Frozen(..))
    }

    /// Being frozen, or frozen.
    pub(crate) fn has_begun(&self) -> bool {
        *self != Self::Thawed
    }

    /// A read of the whole is possible: in use, or frozen with the recovery's transaction
    /// (`ctdb_db_allow_access`, 4.17.12).
    pub(crate) fn allows_access(&self) -> bool {
        matches!(self, Self::Thawed | Self::Frozen(_, Some(_)))
    }
}

impl Engine {
    /// DB_FREEZE: answered once the database is frozen.
    pub(crate) fn freeze_control(&mut self, ctx: &mut Ctx<'_>, token: Token, id: DbId) {
        match self.databases.get(&id) {
            None => ctx.refuse(token, -1, "unknown database"),
            Some(db) if db.freeze.is_frozen() => ctx.reply(token, 0, Vec::new()),
            Some(_) => self.freeze(ctx, id, Some(Waiter::Control(token))),
        }
    }

    /// Starts freezing, or joins those who wait for it.
    pub(crate) fn freeze(&mut self, ctx: &mut Ctx<'_>, id: DbId, waiter: Option<Waiter>) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        match &mut db.freeze {
            Freeze::Draining(waiters) | Freeze::Locking(_, _, waiters) => waiters.extend(waiter),
            Freeze::Frozen(..) => {}
            Freeze::Thawed => {
                info!(db = %db.name, "Freeze db");
                db.freeze = Freeze::Draining(waiter.into_iter().collect());
                self.end_run(ctx, id, false);
                self.refuse_queued_applies(ctx, id);
                self.lock_if_drained(ctx, id);
            }
        }
    }

    /// Has a worker lock the whole database once no apply runs any more.
    pub(crate) fn lock_if_drained(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        if !db.applying.is_empty() {
            return;
        }
        let Freeze::Draining(waiters) = &mut db.freeze else {
            return;
        };
        let waiters = core::mem::take(waiters);
        let work = self.new_work(Purpose::Freeze(id));
        lock_began(&mut self.statistics.locks);
        if let Some(db) = self.databases.get_mut(&id) {
            lock_began(&mut db.statistics.locks);
            db.freeze = Freeze::Locking(work, ctx.now, waiters);
        }
        ctx.emit(Output::Work {
            work,
            db: id,
            job: Job::LockAll,
        });
    }

    /// What the worker that freezes a database tells.
    pub(crate) fn freeze_event(
        &mut self,
        ctx: &mut Ctx<'_>,
        work: WorkId,
        id: DbId,
        event: WorkEvent,
    ) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        if matches!(db.freeze, Freeze::Frozen(holder, _) if holder == work) {
            match event {
                WorkEvent::Pulled(records) => return self.pulled(ctx, id, records),
                WorkEvent::Ordered(done) => return self.ordered(ctx, id, done),
                _ => {}
            }
        }
        match (core::mem::take(&mut db.freeze), event) {
            (Freeze::Locking(locking, since, waiters), WorkEvent::Locked) if locking == work => {
                db.freeze = Freeze::Frozen(work, None);
                let waited = ctx.now.since(since).as_secs_f64();
                lock_answered(&mut db.statistics.locks, waited, true);
                lock_answered(&mut self.statistics.locks, waited, true);
                ctx.note_latency("lock_db", &db.name, waited);
                self.tell_waiters(ctx, &waiters, true);
            }
            (Freeze::Locking(locking, _, waiters), event) if locking == work => {
                error!(db = %db.name, ?event, "Failed to get db lock");
                self.work.remove(&work);
                for locks in [&mut db.statistics.locks, &mut self.statistics.locks] {
                    lock_answered(locks, 0.0, false);
                    lock_ended(locks);
                }
                self.tell_waiters(ctx, &waiters, false);
                self.set_freeze_again(ctx, id);
            }
            (Freeze::Frozen(holder, transaction), event) if holder == work => {
                // what was written meanwhile was written without protection
                warn!(db = %db.name, ?event, "the freeze was lost; the database is thawed");
                db.freeze = Freeze::Frozen(holder, transaction);
                self.thaw(ctx, id);
                ctx.recovery_needed("a freeze was lost");
                self.set_freeze_again(ctx, id);
            }
            (other, _) => db.freeze = other,
        }
    }

    fn set_freeze_again(&mut self, ctx: &Ctx<'_>, id: DbId) {
        self.timers
            .set(ctx.now + FREEZE_AGAIN, Deadline::FreezeAgain(id));
    }

    /// Some time after a freeze failed or was lost. Until a recovery comes nobody else sees to it that the database is
    /// frozen, and to a stopped or banned node none comes.
    pub(crate) fn freeze_again(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        if ctx.view.in_recovery {
            self.freeze(ctx, id, None);
        }
    }

    fn tell_waiters(&mut self, ctx: &mut Ctx<'_>, waiters: &[Waiter], frozen: bool) {
        for waiter in waiters {
            match waiter {
                Waiter::Control(token) if frozen => ctx.reply(*token, 0, Vec::new()),
                Waiter::Control(token) => {
                    ctx.refuse(*token, -1, "the database could not be locked")
                }
                Waiter::All => self.one_of_all_frozen(ctx, frozen),
            }
        }
    }

    /// DB_THAW.
    pub(crate) fn thaw_control(&mut self, ctx: &mut Ctx<'_>, token: Token, id: DbId) {
        if !self.databases.contains_key(&id) {
            return ctx.refuse(token, -1, "unknown database");
        }
        if !ctx.view.is_active(ctx.me) {
            // a leader that has not heard of it yet: on an inactive node everything stays frozen
            return ctx.refuse(token, -1, "the node is inactive");
        }
        self.thaw(ctx, id);
        self.resend_calls(ctx, id);
        ctx.reply(token, 0, Vec::new());
    }

    /// Gives the database back to its users; an unfinished recovery transaction is given up.
    pub(crate) fn thaw(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        self.end_push(ctx, id);
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let (work, waiters) = match core::mem::take(&mut db.freeze) {
            Freeze::Thawed => return,
            Freeze::Draining(waiters) => (None, waiters),
            Freeze::Locking(work, _, waiters) => (Some(work), waiters),
            // the worker gives up a transaction that is open
            Freeze::Frozen(work, _) => (Some(work), Vec::new()),
        };
        info!(db = %db.name, generation = %db.generation, "Thaw db");
        self.ready.extend(db.frozen_queue.drain(..));
        if let Some(work) = work {
            self.work.remove(&work);
            lock_ended(&mut db.statistics.locks);
            lock_ended(&mut self.statistics.locks);
            ctx.emit(Output::Release(work));
        }
        self.tell_waiters(ctx, &waiters, false);
        self.refuse_orders(ctx, id);
    }
}

//! Transactions of persistent and replicated databases: on every node, or on none.
//!
//! A client holds the database's g_lock, collects its changes and gives them to its daemon (TRANS3_COMMIT). The daemon
//! has every active node apply them (UPDATE_RECORD), in a worker process, as one local transaction.
//!
//! ```text
//!                 ┌─────────── all nodes: 0 ───────────▶ answered 0
//!  TRANS3_COMMIT ─┤
//!                 └─ a node failed, or time-out ─▶ recovery ─▶ RecoveryEnded ─▶ answered 2: "unknown"
//! ```
//!
//! The contract that smbd relies on: 0 only after *all* active nodes confirmed; anything else only after a recovery,
//! because smbd then compares sequence numbers to find out what became of its transaction.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use tracing::{error, info, warn};
use wire::coding::Encode;
use wire::control::Request;
use wire::types::RecBuffer;
use wire::{ClientId, DbId, Generation, Pnn, Time};

use crate::database::Database;
use crate::engine::{Asked, Ctx, Engine, Purpose};
use crate::io::{Job, Output, OwnToken, Token, WorkEvent, WorkId};
use crate::timers::{Deadline, TimerId};

/// Status of a commit whose outcome is not known; sent after a recovery (`ctdb_persistent.c`, 4.17.12).
const ENDED_BY_RECOVERY: i32 = 2;
/// Commits of nodes that may queue for a database's worker: a node has one at a time, so this is for those that misbehave.
const MOST_APPLIES: usize = 1000;
/// Together, in bytes.
const MOST_BYTES: usize = 1 << 30;

/// A transaction that a local client is committing.
#[derive(Debug)]
pub(crate) struct Commit {
    token: Token,
    client: ClientId,
    /// In which it began: a recovery that it waits for has another.
    generation: Generation,
    /// Nodes whose confirmation is missing.
    waiting: BTreeSet<Pnn>,
    /// Some node failed: only a recovery can end this.
    failed: bool,
    timer: TimerId,
}

/// An UPDATE_RECORD that a worker applies.
#[derive(Debug)]
pub(crate) struct Applying {
    token: Token,
    since: Time,
    /// It is with the worker; the others queue.
    records: Option<Vec<u8>>,
}

impl Engine {
    /// TRANS3_COMMIT from a local client.
    pub(crate) fn trans3_commit(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        client: Option<ClientId>,
        records: &RecBuffer,
    ) {
        if let Err(why) = self.may_commit(ctx, client, records.db) {
            info!(why, "TRANS3_COMMIT refused");
            return ctx.refuse(token, -1, &why);
        }
        let nodes = ctx.view.committing();
        let (Some(client), false) = (client, nodes.is_empty()) else {
            return ctx.refuse(token, -1, "no node is there to commit to");
        };
        let timeout = Duration::from_secs(u64::from(ctx.tunables.control_timeout));
        for node in &nodes {
            let own = OwnToken(self.next_id());
            self.own_controls
                .insert(own, Asked::Commit(records.db, token));
            ctx.emit(Output::Control {
                token: Some(own),
                destination: *node,
                client,
                request: Request::UpdateRecord(records.clone()),
                timeout,
            });
        }
        let deadline = Deadline::Commit(records.db, token);
        let timer = self.timers.set(ctx.now + timeout, deadline);
        if let Some(db) = self.databases.get_mut(&records.db) {
            db.commit = Some(Commit {
                token,
                client,
                generation: ctx.view.vnn_map.generation,
                waiting: nodes.into_iter().collect(),
                failed: false,
                timer,
            });
        }
    }

    fn may_commit(&self, ctx: &Ctx<'_>, client: Option<ClientId>, id: DbId) -> Result<(), String> {
        if ctx.view.in_recovery {
            return Err("recovery is active".into());
        }
        let client = client.ok_or("only a local client can commit")?;
        if self
            .databases
            .values()
            .filter_map(|db| db.commit.as_ref())
            .any(|commit| commit.client == client)
        {
            return Err("the client has a commit in progress".into());
        }
        let db = self
            .databases
            .get(&id)
            .ok_or_else(|| format!("unknown database {id}"))?;
        if db.is_volatile() {
            return Err(format!(
                "{} is a volatile database, which has no transactions",
                db.name
            ));
        }
        if db.commit.is_some() {
            return Err(format!("a commit of {} is in progress", db.name));
        }
        Ok(())
    }

    /// A node answered an UPDATE_RECORD. A late answer to an earlier commit says nothing about the one that runs.
    pub(crate) fn commit_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: DbId,
        token: Token,
        from: Pnn,
        status: i32,
    ) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let Some(commit) = db.commit.as_mut().filter(|commit| commit.token == token) else {
            return;
        };
        if ctx.view.in_recovery {
            return; // the recovery decides
        }
        if status != 0 {
            error!(db = %db.name, %from, status, "a node could not apply a commit");
            commit.failed = true;
            ctx.recovery_needed(format!(
                "node {from} could not apply a commit of {}",
                db.name
            ));
            return;
        }
        commit.waiting.remove(&from);
        if commit.waiting.is_empty() && !commit.failed {
            self.timers.cancel(commit.timer);
            db.commit = None;
            ctx.reply(token, 0, Vec::new());
        }
    }

    /// Not every node answered in time: what they hold is unknown until a recovery made them equal.
    pub(crate) fn commit_timed_out(&mut self, ctx: &mut Ctx<'_>, id: DbId, token: Token) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let Some(commit) = db.commit.as_mut().filter(|commit| commit.token == token) else {
            return;
        };
        commit.failed = true;
        if !ctx.view.in_recovery {
            warn!(db = %db.name, missing = ?commit.waiting, "a commit timed out");
            ctx.recovery_needed(format!("a commit of {} timed out", db.name));
        }
    }

    /// A recovery is over: whatever commits it interrupted are on all nodes now, or on none. One that began behind its
    /// NORMAL, and before its END_RECOVERY, goes on: C ends that too, with nodes that have not even got it.
    pub(crate) fn finish_commits(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.view.in_recovery {
            return;
        }
        let generation = ctx.view.vnn_map.generation;
        for db in self.databases.values_mut() {
            let interrupted = |commit: &mut Commit| commit.generation != generation;
            if let Some(commit) = db.commit.take_if(interrupted) {
                self.timers.cancel(commit.timer);
                ctx.refuse(
                    commit.token,
                    ENDED_BY_RECOVERY,
                    "trans3 commit ended by recovery",
                );
            }
        }
    }

    /// The client of a commit is gone, and nobody would hear of its outcome.
    pub(crate) fn drop_commit_of(&mut self, ctx: &mut Ctx<'_>, client: ClientId) {
        for db in self.databases.values_mut() {
            if let Some(commit) = db.commit.take_if(|commit| commit.client == client) {
                self.timers.cancel(commit.timer);
                error!(db = %db.name, "client exit while transaction commit active. Forcing recovery.");
                ctx.recovery_needed("a client died while it committed");
            }
        }
    }

    /// UPDATE_RECORD: apply a commit (or end a delegation) on this node.
    pub(crate) fn update_record(&mut self, ctx: &mut Ctx<'_>, token: Token, records: &RecBuffer) {
        if let Some(why) = ctx.store.unhealthy_reason(records.db) {
            return ctx.refuse(token, -1, &format!("the database is unhealthy: {why}"));
        }
        let refusal = match self.databases.get(&records.db) {
            None => Some("unknown database"),
            Some(db) if db.freeze.has_begun() => Some("the database is being frozen"),
            // where a recovery has done with the database, the other nodes may be in use again before this one
            Some(db) if ctx.view.in_recovery && !is_recovered(ctx, db) => {
                Some("recovery is active")
            }
            Some(db) if is_full(&db.applying, records) => Some("too many commits wait"),
            Some(_) => None,
        };
        if let Some(why) = refusal {
            return ctx.refuse(token, -1, why);
        }
        if self.is_taken_back(token, records) {
            return;
        }
        self.statistics.childwrite_calls += 1;
        self.statistics.pending_childwrite_calls += 1;
        let work = self.new_work(Purpose::Apply(records.db));
        let bytes = records.to_bytes();
        if let Some(db) = self.databases.get_mut(&records.db) {
            db.applying.insert(
                work,
                Applying {
                    token,
                    since: ctx.now,
                    records: Some(bytes),
                },
            );
        }
        self.apply_next(ctx, records.db);
    }

    /// Gives the oldest waiting apply to the worker, if it has none: so a freeze knows what still runs.
    fn apply_next(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let kind = db.flags;
        let Some((work, first)) = db
            .applying
            .first_key_value()
            .map(|(work, _)| *work)
            .zip(db.applying.values_mut().next())
        else {
            return;
        };
        if let Some(records) = first.records.take() {
            ctx.emit(Output::Work {
                work,
                db: id,
                job: Job::Commit { records, kind },
            });
        }
    }

    /// The worker applied the records, or could not.
    pub(crate) fn applied(&mut self, ctx: &mut Ctx<'_>, work: WorkId, id: DbId, event: WorkEvent) {
        self.work.remove(&work);
        let Some(applying) = self
            .databases
            .get_mut(&id)
            .and_then(|db| db.applying.remove(&work))
        else {
            return;
        };
        self.statistics.pending_childwrite_calls =
            self.statistics.pending_childwrite_calls.saturating_sub(1);
        let seconds = ctx.now.since(applying.since).as_secs_f64();
        self.statistics.childwrite_latency.update(seconds);
        ctx.note_latency("persistent", &self.databases[&id].name, seconds);
        match event {
            WorkEvent::Committed(0, _) => ctx.reply(applying.token, 0, Vec::new()),
            WorkEvent::Committed(status, why) => ctx.refuse(applying.token, status, &why),
            event => {
                error!(db = %id, ?event, "a commit worker failed");
                ctx.refuse(applying.token, 1, "the commit worker failed");
            }
        }
        self.apply_next(ctx, id);
        self.lock_if_drained(ctx, id);
    }

    /// A database is being detached: nothing more is applied to it.
    pub(crate) fn refuse_applies(
        &mut self,
        ctx: &mut Ctx<'_>,
        applying: BTreeMap<WorkId, Applying>,
    ) {
        for (work, apply) in applying {
            self.work.remove(&work);
            self.statistics.pending_childwrite_calls =
                self.statistics.pending_childwrite_calls.saturating_sub(1);
            ctx.refuse(apply.token, -1, "the database is detached");
        }
    }

    /// A freeze begins: what the worker has not got yet is refused.
    pub(crate) fn refuse_queued_applies(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let queued: Vec<WorkId> = db
            .applying
            .iter()
            .filter(|(_, apply)| apply.records.is_some())
            .map(|(work, _)| *work)
            .collect();
        for work in queued {
            if let Some(apply) = db.applying.remove(&work) {
                self.work.remove(&work);
                self.statistics.pending_childwrite_calls =
                    self.statistics.pending_childwrite_calls.saturating_sub(1);
                ctx.refuse(apply.token, -1, "the database is being frozen");
            }
        }
    }
}

/// Whether these records are too much for the queue. A commit alone is as large as its sender likes.
fn is_full(applying: &BTreeMap<WorkId, Applying>, records: &RecBuffer) -> bool {
    let queued = applying.values().filter_map(|apply| apply.records.as_ref());
    let bytes: usize = queued.map(Vec::len).sum();
    applying.len() >= MOST_APPLIES || (bytes > 0 && bytes + records.size() > MOST_BYTES)
}

/// The database has the content that all nodes of the present generation have.
fn is_recovered(ctx: &Ctx<'_>, db: &Database) -> bool {
    ctx.view.is_active(ctx.me) && db.generation == ctx.view.vnn_map.generation
}

//! Vacuuming: records that lost their value are removed from every node.
//!
//! A client that empties a record tells its daemon (SCHEDULE_FOR_DELETION); the daemon schedules some by itself. Every
//! VacuumInterval, and when DB_VACUUM asks for it, a run goes over what has gathered since the last:
//!
//! ```text
//!   Waiting ──▶ Reading ──────────────▶ Fetching ──────────────▶ Deleting ──▶ Waiting
//!               a full run: a worker    records that VACUUM_     scheduled records, a slice at a time;
//!               looks for empty records FETCH named come here    nodes answer between two slices
//! ```
//!
//! Each scheduled record is looked at under its chain lock, and only if that is free:
//!
//! ```text
//!   this node is dmaster, not lmaster ── VACUUM_FETCH ──▶ the lmaster takes the record over, in its next run
//!   this node is dmaster and lmaster  ── TRY_DELETE_RECORDS ──▶ every other node removes its copy, then this one
//!   anything else (it has a value again, it moved on, it is locked)    ── forgotten
//! ```
//!
//! The location master's copy goes last: as long as any copy is left, it knows where the record is. What a run forgets is
//! found again by a full run, each VacuumFastPathCount-th. A freeze ends a run. Of a file that deletions have left with
//! RepackLimit free pieces or more a worker gathers the free space.

mod answers;

use answers::Trying;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tracing::{debug, warn};
use wire::coding::{Decode, Encode};
use wire::control::Request;
use wire::types::{DbVacuum, RecBuffer, RecordFlags, RecordHeader};
use wire::{ClientId, DbId, Pnn, ReqId, Time};

use crate::engine::{Asked, Ctx, Engine, Purpose};
use crate::io::{Job, Output, OwnToken, Token, WorkEvent, WorkId};
use crate::store::{Lock, StoreError, Stored};
use crate::timers::{Deadline, TimerId};

/// Records looked at, deleted or fetched in one slice: a millisecond or two.
const SLICE: usize = 250;
/// Others are served for so long between two slices.
const BREATH: Duration = Duration::from_millis(1);
/// A run that is due while another goes on waits so long (`ctdb_vacuum_event`, 4.17.12).
const STAGGER: Duration = Duration::from_millis(500);

/// What is to be vacuumed in one database, and the run that does it.
#[derive(Debug, Default)]
pub(crate) struct Vacuum {
    /// Records that the next run looks at.
    scheduled: BTreeSet<Vec<u8>>,
    /// Records whose location master this node is, and that the next run takes over.
    to_fetch: BTreeSet<Vec<u8>>,
    /// Since when the next run is waited for.
    armed: Option<(Time, TimerId)>,
    /// Runs since the last full one.
    fast_runs: u32,
    run: Option<Run>,
    /// TRY_DELETE_RECORDS of others, in order.
    trying: VecDeque<Trying>,
    /// A worker looks at the file, and perhaps repacks it.
    repacking: bool,
}

/// One run.
#[derive(Debug)]
struct Run {
    started: Time,
    /// VacuumMaxRunTime.
    limit: TimerId,
    full: bool,
    /// The DB_VACUUM that wants to know of its end.
    asked_by: Option<Token>,
    /// Records still to be looked at.
    queue: BTreeSet<Vec<u8>>,
    to_fetch: BTreeSet<Vec<u8>>,
    /// It removed records of the local copy: there are more holes in the file now.
    deleted: bool,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// A worker reads the local copy.
    Reading(WorkId),
    /// These records are on their way here.
    Fetching(BTreeSet<Vec<u8>>),
    /// A slice is with other nodes.
    Deleting {
        waiting: BTreeSet<OwnToken>,
        /// Those that no node kept so far.
        records: BTreeMap<Vec<u8>, RecordHeader>,
    },
    /// Others are served before the next slice.
    Pausing(TimerId),
}

impl Vacuum {
    pub(crate) fn schedule(&mut self, key: &[u8]) {
        self.scheduled.insert(key.to_vec());
    }

    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.scheduled.remove(key);
    }

    /// The database is empty.
    pub(crate) fn clear(&mut self) {
        self.scheduled.clear();
        self.to_fetch.clear();
    }
}

/// What is to be done about a scheduled record.
enum Verdict {
    Forget,
    Delete(RecordHeader),
    MoveTo(Pnn),
}

impl Engine {
    /// Waits for the next run of every database that does not yet.
    pub(crate) fn arm_vacuums(&mut self, ctx: &Ctx<'_>) {
        let ids: Vec<DbId> = self.databases.keys().copied().collect();
        for id in ids {
            self.arm_vacuum(ctx, id);
        }
    }

    pub(crate) fn arm_vacuum(&mut self, ctx: &Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        if db.is_volatile() && db.vacuum.armed.is_none() && ctx.tunables.vacuum_interval > 0 {
            let at = ctx.now + interval(ctx);
            db.vacuum.armed = Some((ctx.now, self.timers.set(at, Deadline::Vacuum(id))));
        }
    }

    /// The time that was waited for has come.
    pub(crate) fn vacuum_due(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let Some((since, _)) = db.vacuum.armed.take() else {
            return;
        };
        // the interval may have grown meanwhile
        let again = match since + interval(ctx) {
            due if due > ctx.now => Some(due),
            _ if db.vacuum.run.is_some() => Some(ctx.now + STAGGER),
            _ => None,
        };
        if let Some(at) = again {
            db.vacuum.armed = Some((since, self.timers.set(at, Deadline::Vacuum(id))));
            return;
        }
        let every = ctx.tunables.vacuum_fast_path_count;
        let full = every > 0 && db.vacuum.fast_runs >= every;
        if ctx.view.in_recovery || db.freeze.has_begun() {
            return self.arm_vacuum(ctx, id);
        }
        self.start_run(ctx, id, full, None);
    }

    /// DB_VACUUM: a run at once; answered at its end.
    pub(crate) fn vacuum_now(&mut self, ctx: &mut Ctx<'_>, token: Token, request: &DbVacuum) {
        let refusal = match self.databases.get(&request.db) {
            None => Some("unknown database"),
            Some(db) if !db.is_volatile() => Some("only volatile databases are vacuumed"),
            Some(db) if ctx.view.in_recovery || db.freeze.has_begun() => {
                Some("the database is frozen, or a recovery is active")
            }
            Some(db) if db.vacuum.run.is_some() => Some("Vacuuming collision"),
            Some(_) => None,
        };
        match refusal {
            Some(why) => {
                warn!(db = %request.db, why, "not vacuuming");
                ctx.refuse(token, -1, why);
            }
            None => self.start_run(ctx, request.db, request.full_vacuum_run, Some(token)),
        }
    }

    fn start_run(&mut self, ctx: &mut Ctx<'_>, id: DbId, full: bool, asked_by: Option<Token>) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let limit = Duration::from_secs(u64::from(ctx.tunables.vacuum_max_run_time));
        db.vacuum.run = Some(Run {
            limit: self
                .timers
                .set(ctx.now + limit, Deadline::VacuumTooLong(id)),
            started: ctx.now,
            full,
            asked_by,
            queue: core::mem::take(&mut db.vacuum.scheduled),
            to_fetch: core::mem::take(&mut db.vacuum.to_fetch),
            deleted: false,
            step: Step::Fetching(BTreeSet::new()),
        });
        if full {
            self.read_all(ctx, id);
        } else {
            self.fetch_named(ctx, id);
        }
    }

    fn run_of(&mut self, id: DbId) -> Option<&mut Run> {
        self.databases.get_mut(&id)?.vacuum.run.as_mut()
    }

    fn read_all(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let work = self.new_work(Purpose::Vacuum(id));
        if let Some(run) = self.run_of(id) {
            run.step = Step::Reading(work);
        }
        let job = Job::Traverse {
            only_dmaster: Some(ctx.me),
            with_empty: true,
        };
        ctx.emit(Output::Work { work, db: id, job });
    }

    /// The worker that reads the local copy tells something.
    pub(crate) fn vacuum_read(
        &mut self,
        ctx: &mut Ctx<'_>,
        work: WorkId,
        id: DbId,
        event: WorkEvent,
    ) {
        let Some(run) = self.run_of(id) else {
            return;
        };
        match event {
            WorkEvent::Records(records) => {
                let empty = records
                    .into_iter()
                    .filter(|(_, data)| data.len() == RecordHeader::MIN_SIZE);
                run.queue.extend(empty.map(|(key, _)| key));
                ctx.emit(Output::Credit(work));
            }
            event => {
                if !matches!(event, WorkEvent::Traversed(_)) {
                    warn!(db = %id, ?event, "Traverse error in vacuuming");
                }
                self.work.remove(&work);
                self.fetch_named(ctx, id);
            }
        }
    }

    fn fetch_named(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(run) = self.run_of(id) else {
            return;
        };
        if run.to_fetch.is_empty() {
            return self.next_slice(ctx, id);
        }
        let mut keys = take_slice(&mut run.to_fetch);
        keys.retain(|key| is_elsewhere(ctx, id, key));
        run.step = Step::Fetching(keys.clone());
        for key in &keys {
            self.fetch_for_vacuum(ctx, id, key);
        }
        if keys.is_empty() {
            self.pause(ctx, id, BREATH);
        }
    }

    /// Others are served before the run goes on.
    fn pause(&mut self, ctx: &Ctx<'_>, id: DbId, time: Duration) {
        let next = self.timers.set(ctx.now + time, Deadline::VacuumGoesOn(id));
        if let Some(run) = self.run_of(id) {
            run.step = Step::Pausing(next);
        }
    }

    /// A record that VACUUM_FETCH named is here now, or cannot be had. It was scheduled when it was stored.
    pub(crate) fn fetched_for_vacuum(&mut self, ctx: &mut Ctx<'_>, id: DbId, key: &[u8]) {
        if let Some(Run {
            step: Step::Fetching(keys),
            ..
        }) = self.run_of(id)
            && keys.remove(key)
            && keys.is_empty()
        {
            // not at once: the chain of this record is locked
            self.pause(ctx, id, Duration::ZERO);
        }
    }

    /// The pause between two slices is over.
    pub(crate) fn vacuum_goes_on(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let run = self.run_of(id);
        if run.is_some_and(|run| matches!(run.step, Step::Pausing(_))) {
            self.fetch_named(ctx, id);
        }
    }

    fn next_slice(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let current = self.databases.get(&id).map(|db| db.is_of(&ctx.view));
        if current == Some(false) {
            // a recovery has begun: who is location master is about to change
            return self.end_run(ctx, id, false);
        }
        let Some(run) = self.run_of(id) else {
            return;
        };
        let mut records = BTreeMap::new();
        let mut moves: BTreeMap<Pnn, RecBuffer> = BTreeMap::new();
        for _ in 0..SLICE {
            let Some(key) = run.queue.pop_first() else {
                break;
            };
            match judge(ctx, id, &key).unwrap_or(Verdict::Forget) {
                Verdict::Forget => {}
                Verdict::Delete(header) => {
                    records.insert(key, header);
                }
                Verdict::MoveTo(lmaster) => moves
                    .entry(lmaster)
                    .or_insert_with(|| RecBuffer::new(id))
                    .push(ReqId(ctx.me.0), None, &key, &[]),
            }
        }
        debug!(db = %id, delete = records.len(), lmasters = moves.len(), "vacuuming");
        let waiting = self.ask_nodes(ctx, id, moves, &records);
        if let Some(run) = self.run_of(id) {
            run.step = Step::Deleting { waiting, records };
        }
        self.end_slice_if_answered(ctx, id);
    }

    fn ask_nodes(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: DbId,
        moves: BTreeMap<Pnn, RecBuffer>,
        records: &BTreeMap<Vec<u8>, RecordHeader>,
    ) -> BTreeSet<OwnToken> {
        let mut waiting = BTreeSet::new();
        for (lmaster, records) in moves {
            let request = Request::VacuumFetch(records);
            waiting.insert(self.ask(ctx, Asked::VacuumFetch(id), lmaster, request));
        }
        if records.is_empty() {
            return waiting;
        }
        let mut buffer = RecBuffer::new(id);
        for (key, header) in records {
            buffer.push(ReqId(id.0), None, key, &header.to_bytes());
        }
        let mut others = ctx.view.holders();
        others.remove(&ctx.me);
        for node in others {
            let request = Request::TryDeleteRecords(buffer.clone());
            waiting.insert(self.ask(ctx, Asked::TryDelete(id), node, request));
        }
        waiting
    }

    fn ask(&mut self, ctx: &mut Ctx<'_>, what: Asked, node: Pnn, request: Request) -> OwnToken {
        let token = OwnToken(self.next_id());
        self.own_controls.insert(token, what);
        ctx.emit(Output::Control {
            token: Some(token),
            destination: node,
            client: ClientId(0),
            request,
            timeout: Duration::from_secs(u64::from(ctx.tunables.control_timeout)),
        });
        token
    }

    /// A node answered VACUUM_FETCH, or TRY_DELETE_RECORDS with those that it `kept`.
    pub(crate) fn vacuum_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        asked: Asked,
        token: OwnToken,
        status: i32,
        kept: &[u8],
    ) {
        let (Asked::TryDelete(id) | Asked::VacuumFetch(id)) = asked else {
            return;
        };
        let Some(Step::Deleting { waiting, records }) = self.run_of(id).map(|run| &mut run.step)
        else {
            return;
        };
        if !waiting.remove(&token) {
            return;
        }
        if asked == Asked::TryDelete(id) {
            match RecBuffer::from_bytes(kept) {
                Ok(kept) if status == 0 => {
                    for record in kept.records().flatten() {
                        records.remove(record.key);
                    }
                }
                // nothing is known about that node's copies
                _ => records.clear(),
            }
        }
        self.end_slice_if_answered(ctx, id);
    }

    fn end_slice_if_answered(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(run) = self.run_of(id) else {
            return;
        };
        let Step::Deleting { waiting, records } = &mut run.step else {
            return;
        };
        if !waiting.is_empty() {
            return;
        }
        let done = run.queue.is_empty();
        run.deleted |= !records.is_empty();
        for (key, header) in core::mem::take(records) {
            if let Err(why) = delete_own(ctx, id, &key, &header) {
                warn!(db = %id, %why, "a vacuumed record could not be deleted");
            }
        }
        if done {
            return self.end_run(ctx, id, true);
        }
        self.pause(ctx, id, BREATH);
    }

    /// VacuumMaxRunTime has passed.
    pub(crate) fn vacuum_took_too_long(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        warn!(db = %id, "Vacuuming timed out");
        self.end_run(ctx, id, false);
    }

    /// Ends a run, complete or not; what it had still to look at is left to a full one.
    pub(crate) fn end_run(&mut self, ctx: &mut Ctx<'_>, id: DbId, complete: bool) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let Some(run) = db.vacuum.run.take() else {
            return;
        };
        let time = ctx.now.since(run.started).as_secs_f64();
        db.statistics.vacuum_latency.update(time);
        debug!(db = %db.name, time, complete, full = run.full, "Vacuuming");
        ctx.note_latency("vacuum", &db.name, time);
        if complete {
            // a full run counts as the first of the next ones (`ctdb_vacuum_event`, 4.17.12)
            db.vacuum.fast_runs = if run.full { 1 } else { db.vacuum.fast_runs + 1 };
        }
        self.timers.cancel(run.limit);
        match run.step {
            Step::Pausing(pause) => self.timers.cancel(pause),
            Step::Reading(work) => {
                self.work.remove(&work);
                ctx.emit(Output::Release(work));
            }
            Step::Fetching(_) | Step::Deleting { .. } => {}
        }
        match run.asked_by {
            Some(token) if complete => ctx.reply(token, 0, Vec::new()),
            Some(token) => ctx.refuse(token, -1, "the vacuuming was interrupted"),
            None => {}
        }
        if complete && (run.full || run.deleted) {
            self.repack_if_ragged(ctx, id);
        }
        self.arm_vacuum(ctx, id);
    }

    /// Has a worker look at the file. C does so after every run; where nothing was removed there is nothing new to see.
    fn repack_if_ragged(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let limit = ctx.tunables.repack_limit;
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        if limit == 0 || db.vacuum.repacking || db.freeze.has_begun() {
            return;
        }
        db.vacuum.repacking = true;
        let work = self.new_work(Purpose::Repack(id));
        let job = Job::Repack { limit };
        ctx.emit(Output::Work { work, db: id, job });
    }

    /// The worker has looked at the file.
    pub(crate) fn repacked(&mut self, work: WorkId, id: DbId, event: &WorkEvent) {
        self.work.remove(&work);
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        db.vacuum.repacking = false;
        match event {
            WorkEvent::Repacked { free, repacked } => {
                debug!(db = %db.name, free, repacked, "Repacking");
            }
            event => warn!(db = %db.name, ?event, "Failed to repack"),
        }
    }

    /// The database is being detached.
    pub(crate) fn stop_vacuuming(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        self.stop_trying(ctx, id);
        self.end_run(ctx, id, false);
        let armed = self.databases.get_mut(&id).map(|db| db.vacuum.armed.take());
        if let Some(Some((_, timer))) = armed {
            self.timers.cancel(timer);
        }
    }
}

fn interval(ctx: &Ctx<'_>) -> Duration {
    Duration::from_secs(u64::from(ctx.tunables.vacuum_interval))
}

/// The first of the keys, as many as make a slice.
fn take_slice(keys: &mut BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let rest = keys.iter().nth(SLICE).cloned();
    let rest = rest.map_or_else(BTreeSet::new, |first| keys.split_off(&first));
    core::mem::replace(keys, rest)
}

/// Whether a record is to be fetched: another node is its data master. One that is locked is left alone.
fn is_elsewhere(ctx: &mut Ctx<'_>, id: DbId, key: &[u8]) -> bool {
    let Ok(Lock::Held) = ctx.store.try_lock(id, key) else {
        return false;
    };
    let stored = ctx.store.fetch(id, key);
    ctx.store.unlock(id, key);
    matches!(stored, Ok(Some(stored)) if stored.header.dmaster != ctx.me)
}

/// Looks at a scheduled record under its lock.
fn judge(ctx: &mut Ctx<'_>, id: DbId, key: &[u8]) -> Result<Verdict, StoreError> {
    if ctx.store.try_lock(id, key)? == Lock::Busy {
        return Ok(Verdict::Forget);
    }
    let stored = ctx.store.fetch(id, key);
    ctx.store.unlock(id, key);
    let Some(stored) = stored? else {
        return Ok(Verdict::Forget);
    };
    let header = stored.header;
    if !stored.data.is_empty()
        || header.dmaster != ctx.me
        || header.flags.intersects(RecordFlags::RO_FLAGS)
    {
        return Ok(Verdict::Forget);
    }
    let lmaster = ctx.view.lmaster(ctx.me, key);
    Ok(if lmaster == ctx.me {
        Verdict::Delete(header)
    } else {
        Verdict::MoveTo(lmaster)
    })
}

/// Deletes the last copy, unless it changed since the others were asked.
fn delete_own(
    ctx: &mut Ctx<'_>,
    id: DbId,
    key: &[u8],
    header: &RecordHeader,
) -> Result<(), StoreError> {
    if ctx.store.try_lock(id, key)? == Lock::Busy {
        return Ok(());
    }
    let unchanged = |stored: &Stored| {
        stored.data.is_empty()
            && stored.header.rsn == header.rsn
            && stored.header.dmaster == ctx.me
            && !stored.header.flags.intersects(RecordFlags::RO_FLAGS)
    };
    let result = match ctx.store.fetch(id, key) {
        Ok(Some(stored)) if unchanged(&stored) => ctx.store.delete(id, key),
        Ok(_) => Ok(()),
        Err(why) => Err(why),
    };
    ctx.store.unlock(id, key);
    result
}

//! Vacuuming: records that lost their value are removed from every node.
//!
//! A client that empties a record tells its daemon (SCHEDULE_FOR_DELETION); the daemon schedules some by itself. Once in
//! VacuumInterval the scheduled records are looked at, each under its chain lock and only if that is free:
//!
//! ```text
//!   this node is dmaster, not lmaster ── VACUUM_FETCH ──▶ the lmaster takes the record over
//!   this node is dmaster and lmaster  ── TRY_DELETE_RECORDS ──▶ every other node removes its copy, then this one
//!   anything else (it has a value again, it moved on)    ── forgotten
//! ```
//!
//! The location master's copy goes last: as long as any copy is left, it knows where the record is.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use tracing::debug;
use wire::coding::{Decode, Encode};
use wire::control::Request;
use wire::types::{RecBuffer, RecordFlags, RecordHeader};
use wire::{ClientId, DbId, Pnn, ReqId};

use crate::engine::{Asked, Ctx, Engine};
use crate::io::{Output, OwnToken, Token};
use crate::store::{Lock, StoreError, Stored};
use crate::timers::Deadline;

/// Records looked at in one turn: the daemon serves others in between.
const BATCH: usize = 1000;
/// The pause between turns while there is more than one turn can do.
const BETWEEN_BATCHES: Duration = Duration::from_millis(200);

/// What is to be vacuumed in one database.
#[derive(Debug, Default)]
pub(crate) struct Vacuum {
    scheduled: BTreeMap<Vec<u8>, RecordHeader>,
    timer_set: bool,
    /// The last turn left records behind that it did not get to.
    behind: bool,
    round: Option<Round>,
}

/// Records that the other nodes are asked to delete.
#[derive(Debug)]
struct Round {
    waiting: BTreeSet<OwnToken>,
    /// Those that no node kept so far.
    records: BTreeMap<Vec<u8>, RecordHeader>,
}

impl Vacuum {
    pub(crate) fn schedule(&mut self, key: &[u8], header: RecordHeader) {
        self.scheduled.insert(key.to_vec(), header);
    }

    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.scheduled.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.scheduled.clear();
        self.round = None;
    }
}

/// What is to be done about a scheduled record.
enum Verdict {
    Forget,
    Later,
    Delete(RecordHeader),
    MoveTo(Pnn, RecordHeader),
}

impl Engine {
    /// SCHEDULE_FOR_DELETION.
    pub(crate) fn schedule_for_deletion(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        id: DbId,
        header: RecordHeader,
        key: &[u8],
    ) {
        let Some(db) = self.databases.get_mut(&id) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        if !db.is_volatile() {
            return ctx.refuse(token, -1, "only records of volatile databases are vacuumed");
        }
        db.vacuum.schedule(key, header);
        ctx.reply(token, 0, Vec::new());
    }

    /// Sets the timer of every database that has something to vacuum.
    pub(crate) fn arm_vacuums(&mut self, ctx: &Ctx<'_>) {
        if ctx.tunables.vacuum_interval == 0 {
            return;
        }
        let interval = Duration::from_secs(u64::from(ctx.tunables.vacuum_interval));
        for (id, db) in &mut self.databases {
            if !db.vacuum.timer_set && !db.vacuum.scheduled.is_empty() {
                db.vacuum.timer_set = true;
                let interval = match db.vacuum.behind {
                    true => BETWEEN_BATCHES,
                    false => interval,
                };
                self.timers.set(ctx.now + interval, Deadline::Vacuum(*id));
            }
        }
    }

    /// The interval has passed: one turn.
    pub(crate) fn vacuum(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        db.vacuum.timer_set = false;
        db.vacuum.behind &= db.vacuum.round.is_some();
        if ctx.view.in_recovery || db.freeze.has_begun() || db.vacuum.round.is_some() {
            return;
        }
        let batch: Vec<Vec<u8>> = db.vacuum.scheduled.keys().take(BATCH).cloned().collect();
        db.vacuum.behind = db.vacuum.scheduled.len() > batch.len();
        let mut delete = BTreeMap::new();
        let mut moves: BTreeMap<Pnn, RecBuffer> = BTreeMap::new();
        for key in batch {
            let verdict = judge(ctx, id, &key).unwrap_or(Verdict::Later);
            if !matches!(verdict, Verdict::Later) {
                db.vacuum.scheduled.remove(&key);
            }
            match verdict {
                Verdict::Forget | Verdict::Later => {}
                Verdict::Delete(header) => {
                    delete.insert(key, header);
                }
                Verdict::MoveTo(lmaster, header) => {
                    moves
                        .entry(lmaster)
                        .or_insert_with(|| RecBuffer::new(id))
                        .push(ReqId(0), None, &key, &header.to_bytes());
                }
            }
        }
        debug!(db = %db.name, delete = delete.len(), lmasters = moves.len(), "vacuuming");
        for (lmaster, records) in moves {
            self.ask(ctx, None, lmaster, Request::VacuumFetch(records));
        }
        self.start_round(ctx, id, delete);
    }

    fn ask(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Option<OwnToken>,
        destination: Pnn,
        request: Request,
    ) {
        let timeout = Duration::from_secs(u64::from(ctx.tunables.control_timeout));
        ctx.emit(Output::Control {
            token,
            destination,
            client: ClientId(0),
            request,
            timeout,
        });
    }

    fn start_round(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: DbId,
        records: BTreeMap<Vec<u8>, RecordHeader>,
    ) {
        if records.is_empty() {
            return;
        }
        let mut buffer = RecBuffer::new(id);
        for (key, header) in &records {
            buffer.push(ReqId(0), None, key, &header.to_bytes());
        }
        let others: Vec<Pnn> = ctx.view.active().filter(|node| *node != ctx.me).collect();
        let mut waiting = BTreeSet::new();
        for node in others {
            let token = OwnToken(self.next_id());
            self.own_controls.insert(token, Asked::TryDelete(id));
            waiting.insert(token);
            self.ask(
                ctx,
                Some(token),
                node,
                Request::TryDeleteRecords(buffer.clone()),
            );
        }
        if let Some(db) = self.databases.get_mut(&id) {
            db.vacuum.round = Some(Round { waiting, records });
        }
        self.end_round_if_answered(ctx, id);
    }

    /// A node answered TRY_DELETE_RECORDS, with those that it kept.
    pub(crate) fn try_delete_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: DbId,
        token: OwnToken,
        status: i32,
        kept: &[u8],
    ) {
        let Some(round) = self
            .databases
            .get_mut(&id)
            .and_then(|db| db.vacuum.round.as_mut())
        else {
            return;
        };
        if !round.waiting.remove(&token) {
            return;
        }
        let kept = (status == 0)
            .then(|| RecBuffer::from_bytes(kept).ok())
            .flatten();
        match kept {
            Some(kept) => {
                for record in kept.records().flatten() {
                    round.records.remove(record.key);
                }
            }
            // nothing is known about that node's copies
            None => round.records.clear(),
        }
        self.end_round_if_answered(ctx, id);
    }

    fn end_round_if_answered(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let Some(round) = db.vacuum.round.take_if(|round| round.waiting.is_empty()) else {
            return;
        };
        for (key, header) in round.records {
            let unchanged = |stored: &Stored| {
                stored.header.rsn == header.rsn && stored.header.dmaster == ctx.me
            };
            let Ok(Lock::Held) = ctx.store.try_lock(id, &key) else {
                continue;
            };
            if let Ok(Some(stored)) = ctx.store.fetch(id, &key)
                && stored.data.is_empty()
                && unchanged(&stored)
            {
                let _ = ctx.store.delete(id, &key);
            }
            ctx.store.unlock(id, &key);
        }
    }

    /// TRY_DELETE_RECORDS: removes the copies that nobody needs; answers with those that it kept.
    pub(crate) fn try_delete_records(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        records: &RecBuffer,
    ) {
        let Some(db) = self.databases.get(&records.db) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        let frozen = db.freeze.has_begun();
        let mut kept = RecBuffer::new(records.db);
        for record in records.records() {
            let Ok(record) = record else {
                return ctx.refuse(token, -1, "malformed records");
            };
            let Ok((header, _)) = RecordHeader::split(record.data) else {
                return ctx.refuse(token, -1, "a record without a header");
            };
            if frozen || !matches!(try_delete(ctx, records.db, record.key, &header), Ok(true)) {
                kept.push(record.reqid, None, record.key, record.data);
            }
        }
        ctx.reply(token, 0, kept.to_bytes());
    }

    /// VACUUM_FETCH: this node, as location master, takes the records over.
    pub(crate) fn vacuum_fetch(&mut self, ctx: &mut Ctx<'_>, token: Token, records: &RecBuffer) {
        if !self.databases.contains_key(&records.db) {
            return ctx.refuse(token, -1, "unknown database");
        }
        for record in records.records().flatten() {
            self.fetch_for_vacuum(ctx, records.db, record.key);
        }
        ctx.reply(token, 0, Vec::new());
    }
}

/// Looks at a scheduled record under its lock.
fn judge(ctx: &mut Ctx<'_>, id: DbId, key: &[u8]) -> Result<Verdict, StoreError> {
    if ctx.store.try_lock(id, key)? == Lock::Busy {
        return Ok(Verdict::Later);
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
        Verdict::MoveTo(lmaster, header)
    })
}

/// Deletes a copy that is neither newer than `theirs` nor a master's (`delete_tdb_record`, 4.17.12). True: it is gone.
fn try_delete(
    ctx: &mut Ctx<'_>,
    id: DbId,
    key: &[u8],
    theirs: &RecordHeader,
) -> Result<bool, StoreError> {
    if ctx.view.lmaster(ctx.me, key) == ctx.me || ctx.store.try_lock(id, key)? == Lock::Busy {
        return Ok(false);
    }
    let result = delete_if_old(ctx, id, key, theirs);
    ctx.store.unlock(id, key);
    result
}

fn delete_if_old(
    ctx: &mut Ctx<'_>,
    id: DbId,
    key: &[u8],
    theirs: &RecordHeader,
) -> Result<bool, StoreError> {
    let Some(ours) = ctx.store.fetch(id, key)?.map(|stored| stored.header) else {
        return Ok(true);
    };
    let lent = (ours.flags | theirs.flags).intersects(RecordFlags::RO_FLAGS);
    if ours.rsn > theirs.rsn || ours.dmaster == ctx.me || lent {
        return Ok(false);
    }
    ctx.store.delete(id, key)?;
    Ok(true)
}

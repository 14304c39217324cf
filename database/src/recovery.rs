//! The database's side of a recovery: what a leader commands between DB_FREEZE and DB_THAW.
//!
//! ```text
//!   leader                                        this node, database frozen
//!     │ DB_TRANSACTION_START (generation)             begin
//!     │ DB_PULL ────────────────────────────────────▶ every record, as messages to the leader's SRVID
//!     │ WIPE_DATABASE                                 empty
//!     │ DB_PUSH_START, messages, DB_PUSH_CONFIRM ───▶ the merged records; their count is compared
//!     │ DB_TRANSACTION_COMMIT                         commit; the database has the new generation
//! ```
//!
//! A node that leaves the cluster freezes everything by itself (FREEZE) and marks its volatile records as invalid, so
//! that nobody pulls what it changed while it was alone.

use std::ops::ControlFlow;

use tracing::{error, info, warn};
use wire::coding::Encode;
use wire::tunables::Tunables;
use wire::types::{PullDbExt, RecBuffer, RecBufferRef, RecordFlags, TransDb};
use wire::{DbId, Generation, Pnn, ReqId, Srvid};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::freeze::{Freeze, Transaction, Waiter};
use crate::io::{Output, Token};
use crate::record;

/// Records of a leader that are coming in.
#[derive(Debug)]
pub(crate) struct Push {
    srvid: Srvid,
    records: u32,
    failed: bool,
}

/// A FREEZE of all databases that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct FreezeAll {
    waiting: usize,
    failed: bool,
    tokens: Vec<Token>,
}

/// Why a command of a recovery was refused.
type Refusal = String;

impl Engine {
    /// Runs one command on a frozen database and answers with what it gives.
    pub(crate) fn on_frozen(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        id: DbId,
        command: impl FnOnce(&mut Ctx<'_>, &mut Database) -> Result<Vec<u8>, Refusal>,
    ) {
        let result = match self.databases.get_mut(&id) {
            None => Err("unknown database".to_owned()),
            Some(db) if !db.freeze.is_frozen() => Err(format!("{} is not frozen", db.name)),
            Some(db) => command(ctx, db).map_err(|why| format!("{}: {why}", db.name)),
        };
        match result {
            Ok(data) => ctx.reply(token, 0, data),
            Err(why) => {
                error!(why, "a recovery's command was refused");
                ctx.refuse(token, -1, &why);
            }
        }
    }

    /// DB_TRANSACTION_START.
    pub(crate) fn transaction_start(&mut self, ctx: &mut Ctx<'_>, token: Token, trans: &TransDb) {
        let tid = trans.transaction;
        // of a recovery that failed, or whose leader died
        self.end_push(ctx, trans.db);
        self.on_frozen(ctx, token, trans.db, |ctx, db| {
            let Freeze::Frozen(work, transaction) = db.freeze else {
                return Err("not frozen".into());
            };
            if transaction.is_some() {
                ctx.store.cancel(db.id).map_err(|why| why.to_string())?;
            }
            ctx.store.begin(db.id).map_err(|why| why.to_string())?;
            db.freeze = Freeze::Frozen(work, Some(Transaction(tid)));
            Ok(Vec::new())
        });
    }

    /// DB_TRANSACTION_CANCEL.
    pub(crate) fn transaction_cancel(&mut self, ctx: &mut Ctx<'_>, token: Token, id: DbId) {
        self.end_push(ctx, id);
        self.on_frozen(ctx, token, id, |ctx, db| {
            if let Freeze::Frozen(work, Some(_)) = db.freeze {
                db.freeze = Freeze::Frozen(work, None);
                ctx.store.cancel(db.id).map_err(|why| why.to_string())?;
            }
            Ok(Vec::new())
        });
    }

    /// DB_TRANSACTION_COMMIT: the database has the recovery's content and generation.
    pub(crate) fn transaction_commit(&mut self, ctx: &mut Ctx<'_>, token: Token, trans: &TransDb) {
        let tid = trans.transaction;
        self.on_frozen(ctx, token, trans.db, |ctx, db| {
            if !ctx.view.is_active(ctx.me) {
                return Err("the node is inactive".into());
            }
            let generation = ctx.view.vnn_map.generation;
            if tid != generation {
                // another leader has begun a recovery since
                return Err(format!(
                    "the recovery of {generation} is running, not {tid}"
                ));
            }
            let work = running(db, tid)?;
            // a commit that fails ends the transaction too
            db.freeze = Freeze::Frozen(work, None);
            ctx.store.commit(db.id).map_err(|why| why.to_string())?;
            db.generation = tid;
            db.invalid_records = false;
            if db.is_persistent() && ctx.store.unhealthy_reason(db.id).is_some() {
                ctx.store
                    .set_unhealthy(db.id, None)
                    .map_err(|why| why.to_string())?;
            }
            Ok(Vec::new())
        });
    }

    /// WIPE_DATABASE.
    pub(crate) fn wipe(&mut self, ctx: &mut Ctx<'_>, token: Token, trans: &TransDb) {
        let tid = trans.transaction;
        self.on_frozen(ctx, token, trans.db, |ctx, db| {
            running(db, tid)?;
            ctx.store.wipe(db.id).map_err(|why| why.to_string())?;
            db.vacuum.clear();
            Ok(Vec::new())
        });
    }

    /// DB_PULL: every record goes to the caller, in messages of limited size, and then their count.
    pub(crate) fn pull(&mut self, ctx: &mut Ctx<'_>, token: Token, source: Pnn, pull: &PullDbExt) {
        let srvid = pull.srvid;
        self.on_frozen(ctx, token, pull.db, |ctx, db| {
            if db.push.is_some() {
                return Err("a push is under way".into());
            }
            if db.invalid_records {
                return Ok(0u32.to_bytes());
            }
            ctx.store.mark_all(db.id).map_err(|why| why.to_string())?;
            let sent = send_all(ctx, db, source, srvid);
            ctx.store.unmark_all(db.id);
            sent.map(|count| count.to_bytes())
        });
    }

    /// DB_PUSH_START: records come as messages from now on.
    pub(crate) fn push_start(&mut self, ctx: &mut Ctx<'_>, token: Token, pull: &PullDbExt) {
        self.end_push(ctx, pull.db);
        let srvid = pull.srvid;
        self.on_frozen(ctx, token, pull.db, |ctx, db| {
            ctx.store.mark_all(db.id).map_err(|why| why.to_string())?;
            db.push = Some(Push {
                srvid,
                records: 0,
                failed: false,
            });
            ctx.emit(Output::Listen(srvid));
            Ok(Vec::new())
        });
    }

    /// A message with records.
    pub(crate) fn push_records(&mut self, ctx: &mut Ctx<'_>, srvid: Srvid, data: &[u8]) {
        let db = self
            .databases
            .values_mut()
            .find(|db| db.push.as_ref().is_some_and(|push| push.srvid == srvid));
        let Some(db) = db else { return };
        let stored = RecBufferRef::from_bytes(data)
            .map_err(|why| why.to_string())
            .and_then(|buffer| store_pushed(ctx, db, &buffer));
        let name = &db.name;
        let Some(push) = &mut db.push else { return };
        match stored {
            Ok(count) => push.records = push.records.saturating_add(count),
            Err(why) => {
                error!(db = %name, why, "a pushed record could not be stored");
                push.failed = true;
            }
        }
    }

    /// DB_PUSH_CONFIRM: how many came.
    pub(crate) fn push_confirm(&mut self, ctx: &mut Ctx<'_>, token: Token, id: DbId) {
        let mut waiting = Vec::new();
        self.on_frozen(ctx, token, id, |ctx, db| {
            let push = db.push.take().ok_or("DB push not started")?;
            ctx.store.unmark_all(db.id);
            ctx.emit(Output::Unlisten(push.srvid));
            if push.failed {
                return Err("some records could not be stored".into());
            }
            waiting = db.delegations.clear();
            Ok(push.records.to_bytes())
        });
        self.ready.extend(waiting);
    }

    /// A push that was not confirmed is over.
    pub(crate) fn end_push(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        if let Some(push) = self.databases.get_mut(&id).and_then(|db| db.push.take()) {
            ctx.store.unmark_all(id);
            ctx.emit(Output::Unlisten(push.srvid));
        }
    }

    /// This node is no longer part of the cluster: it answers no other node's calls.
    pub(crate) fn become_inactive(&mut self) {
        for db in self.databases.values_mut() {
            db.generation = Generation::INVALID;
        }
    }

    /// FREEZE: all databases, because the node is inactive. Its volatile records count for nothing from now on.
    pub(crate) fn freeze_all(&mut self, ctx: &mut Ctx<'_>, token: Option<Token>) {
        for db in self.databases.values_mut().filter(|db| db.is_volatile()) {
            db.invalid_records = true;
        }
        let todo: Vec<DbId> = self
            .databases
            .iter()
            .filter(|(_, db)| !db.freeze.is_frozen())
            .map(|(id, _)| *id)
            .collect();
        let all = self.freeze_all.get_or_insert_default();
        all.tokens.extend(token);
        all.waiting += todo.len();
        info!(databases = todo.len(), "Freeze all");
        for id in todo {
            self.freeze(ctx, id, Some(Waiter::All));
        }
        self.all_frozen_if_so(ctx);
    }

    /// One database of a FREEZE is frozen, or could not be.
    pub(crate) fn one_of_all_frozen(&mut self, ctx: &mut Ctx<'_>, frozen: bool) {
        let Some(all) = &mut self.freeze_all else {
            return;
        };
        all.waiting = all.waiting.saturating_sub(1);
        all.failed |= !frozen;
        self.all_frozen_if_so(ctx);
    }

    fn all_frozen_if_so(&mut self, ctx: &mut Ctx<'_>) {
        let Some(all) = self.freeze_all.take_if(|all| all.waiting == 0) else {
            return;
        };
        for token in all.tokens {
            if all.failed {
                ctx.refuse(token, -1, "not every database could be frozen");
            } else {
                ctx.reply(token, 0, Vec::new());
            }
        }
    }

    /// Whether every database is frozen (the `frozen` of `ctdb statistics`).
    #[must_use]
    pub fn all_frozen(&self) -> bool {
        self.databases.values().all(|db| db.freeze.is_frozen())
    }

    /// Whether some database is not of this generation: recovery mode must not become normal then.
    #[must_use]
    pub fn generations_differ(&self, generation: Generation) -> bool {
        let odd = self
            .databases
            .values()
            .find(|db| db.generation != generation);
        if let Some(db) = odd {
            error!(db = %db.name, generation = %db.generation, "Inconsistent DB generation");
        }
        odd.is_some()
    }

    /// Recovery mode is normal again.
    pub(crate) fn recovery_mode_normal(&mut self, ctx: &mut Ctx<'_>) {
        let frozen: Vec<DbId> = self
            .databases
            .iter()
            .filter(|(_, db)| db.freeze.has_begun())
            .map(|(id, _)| *id)
            .collect();
        for id in frozen {
            warn!(db = %id, "thawed by the end of the recovery");
            self.thaw(ctx, id);
            self.resend_calls(ctx, id);
        }
        self.retry_attaches(ctx);
    }
}

/// The freeze's worker, if the transaction of this recovery is running.
fn running(db: &Database, tid: Generation) -> Result<crate::io::WorkId, Refusal> {
    match db.freeze {
        Freeze::Frozen(work, Some(Transaction(running))) if running == tid => Ok(work),
        Freeze::Frozen(_, Some(Transaction(running))) => {
            Err(format!("transaction {running} is running, not {tid}"))
        }
        _ => Err("transaction not started".into()),
    }
}

/// What a database has in it, for the warnings about large ones. C 4.17 has the tunables and ctdb-tunables(7) describes
/// the warnings, but the code that gave them went with the serial recovery of 4.3; the words are those.
#[derive(Debug, Default)]
struct Sizes {
    records: u64,
    bytes: u64,
}

impl Sizes {
    fn add(&mut self, ctx: (&Tunables, &str), key: &[u8], value: &[u8]) {
        let (tunables, name) = ctx;
        let size = (key.len() + value.len()) as u64;
        self.records += 1;
        self.bytes = self.bytes.saturating_add(size);
        if exceeds(size, tunables.db_record_size_warn) {
            warn!("Data record in {name} is big. Record size is {size} bytes");
        }
    }

    fn warn(&self, tunables: &Tunables, name: &str) {
        let Self { records, bytes } = self;
        if exceeds(*records, tunables.db_record_count_warn) {
            warn!("Database {name} is big. Contains {records} records");
        }
        if exceeds(*bytes, tunables.db_size_warn) {
            warn!("Database {name} is big. Contains {bytes} bytes");
        }
    }
}

/// 0 means no limit.
fn exceeds(value: u64, limit: u32) -> bool {
    limit > 0 && value > u64::from(limit)
}

/// Sends every record to `srvid` of `to`; gives their number.
fn send_all(ctx: &mut Ctx<'_>, db: &Database, to: Pnn, srvid: Srvid) -> Result<u32, Refusal> {
    let limit = ctx.tunables.rec_buffer_size_limit as usize;
    let mut buffer = RecBuffer::new(db.id);
    let mut count = 0u32;
    let mut sizes = Sizes::default();
    let tunables = &*ctx.tunables;
    let out = &mut *ctx.out;
    let mut flush = |buffer: &mut RecBuffer| {
        let full = core::mem::replace(buffer, RecBuffer::new(db.id));
        count = count.saturating_add(full.count);
        out.push(Output::Message {
            destination: to,
            srvid,
            data: full.to_bytes(),
        });
    };
    ctx.store
        .traverse(db.id, &mut |key, value| {
            sizes.add((tunables, &db.name), key, value);
            buffer.push(ReqId(0), None, key, value);
            if buffer.buf.len() >= limit {
                flush(&mut buffer);
            }
            ControlFlow::Continue(())
        })
        .map_err(|why| why.to_string())?;
    if buffer.count > 0 {
        flush(&mut buffer);
    }
    sizes.warn(tunables, &db.name);
    Ok(count)
}

/// Stores the records of one message; a recovery ends every read-only delegation.
fn store_pushed(
    ctx: &mut Ctx<'_>,
    db: &mut Database,
    buffer: &RecBufferRef<'_>,
) -> Result<u32, Refusal> {
    for item in buffer.records_with_header() {
        let item = item.map_err(|why| why.to_string())?;
        let mut header = item.header.ok_or("a record without a header")?;
        header.flags.remove(RecordFlags::RO_FLAGS);
        record::write(ctx, db, item.key, &mut header, item.data).map_err(|why| why.to_string())?;
    }
    Ok(buffer.count)
}

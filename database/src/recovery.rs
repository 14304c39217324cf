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
//! The worker that holds the frozen database does all that with it ([`crate::frozen`]); here is who may command what,
//! and who is answered.
//!
//! A node that leaves the cluster freezes everything by itself (FREEZE) and marks its volatile records as invalid, so
//! that nobody pulls what it changed while it was alone.

use tracing::{error, info, warn};
use wire::coding::Encode;
use wire::types::{PullDbExt, RecBuffer, RecBufferRef, RecordFlags, TransDb};
use wire::{DbId, Generation, Pnn, ReqId, Srvid};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::freeze::{Freeze, Transaction, Waiter};
use crate::frozen::{Order, Pull};
use crate::io::{Output, Token, WorkId};
use crate::record;

/// Records of a leader that are coming in.
#[derive(Debug)]
pub(crate) struct Push {
    leader: Pnn,
    srvid: Srvid,
    records: u32,
    /// Why some could not be taken.
    failed: Option<String>,
}

/// An order that the worker has not carried out yet, and who waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ordered {
    Begin(Token, Generation),
    Cancel(Token),
    Pull {
        token: Token,
        to: Pnn,
        srvid: Srvid,
    },
    Wipe(Token),
    /// So many records were pushed.
    Confirm(Token, u32),
    Commit(Token, Generation),
}

impl Ordered {
    const fn token(self) -> Token {
        match self {
            Self::Begin(token, _)
            | Self::Cancel(token)
            | Self::Pull { token, .. }
            | Self::Wipe(token)
            | Self::Confirm(token, _)
            | Self::Commit(token, _) => token,
        }
    }
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
    /// Has the worker that holds a frozen database do something, or answers why not.
    fn order(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        id: DbId,
        prepare: impl FnOnce(&mut Ctx<'_>, &mut Database) -> Result<(Order, Ordered), Refusal>,
    ) {
        let result = match self.databases.get_mut(&id) {
            None => Err("unknown database".to_owned()),
            Some(db) => match db.freeze {
                Freeze::Frozen(work, _) => {
                    prepare(ctx, db).map(|ordered| send_order(ctx, db, work, ordered))
                }
                _ => Err("not frozen".to_owned()),
            }
            .map_err(|why| format!("{}: {why}", db.name)),
        };
        if let Err(why) = result {
            refuse(ctx, token, &why);
        }
    }

    /// DB_TRANSACTION_START.
    pub(crate) fn transaction_start(&mut self, ctx: &mut Ctx<'_>, token: Token, trans: &TransDb) {
        // of a recovery that failed, or whose leader died
        self.end_push(ctx, trans.db);
        self.order(ctx, token, trans.db, |_, db| {
            // at once: what another leader still orders is not meant for this one's transaction
            set_transaction(db, Some(Transaction::new(trans.transaction)));
            Ok((Order::Begin, Ordered::Begin(token, trans.transaction)))
        });
    }

    /// DB_TRANSACTION_CANCEL.
    pub(crate) fn transaction_cancel(&mut self, ctx: &mut Ctx<'_>, token: Token, id: DbId) {
        self.end_push(ctx, id);
        self.order(ctx, token, id, |_, db| {
            set_transaction(db, None);
            Ok((Order::Cancel, Ordered::Cancel(token)))
        });
    }

    /// DB_TRANSACTION_COMMIT: the database has the recovery's content and generation.
    pub(crate) fn transaction_commit(&mut self, ctx: &mut Ctx<'_>, token: Token, trans: &TransDb) {
        let tid = trans.transaction;
        self.order(ctx, token, trans.db, |ctx, db| {
            may_commit(ctx, tid)?;
            running(db, tid)?;
            // a commit that fails ends the transaction too
            set_transaction(db, None);
            Ok((Order::Commit, Ordered::Commit(token, tid)))
        });
    }

    /// WIPE_DATABASE.
    pub(crate) fn wipe(&mut self, ctx: &mut Ctx<'_>, token: Token, source: Pnn, trans: &TransDb) {
        self.order(ctx, token, trans.db, |_, db| {
            running(db, trans.transaction)?;
            let id = trans.transaction;
            let wiped_by = Some(source);
            set_transaction(db, Some(Transaction { id, wiped_by }));
            Ok((Order::Wipe, Ordered::Wipe(token)))
        });
    }

    /// DB_PULL: every record goes to the caller, in messages of limited size, and then their count.
    pub(crate) fn pull(&mut self, ctx: &mut Ctx<'_>, token: Token, source: Pnn, pull: &PullDbExt) {
        let (id, srvid) = (pull.db, pull.srvid);
        let db = self.databases.get(&id);
        if db.is_some_and(|db| db.invalid_records && db.freeze.is_frozen() && db.push.is_none()) {
            return ctx.reply(token, 0, 0u32.to_bytes());
        }
        self.order(ctx, token, id, |ctx, db| {
            if db.push.is_some() {
                return Err("a push is under way".into());
            }
            if wiped_by(db).is_some() {
                // of another leader: what it has brought so far is not what this node had
                return Err("another recovery has wiped it".into());
            }
            let pull = Pull {
                db: id,
                name: db.name.clone(),
                buffer_limit: ctx.tunables.rec_buffer_size_limit,
                count_warn: ctx.tunables.db_record_count_warn,
                record_size_warn: ctx.tunables.db_record_size_warn,
                size_warn: ctx.tunables.db_size_warn,
            };
            let ordered = Ordered::Pull {
                token,
                to: source,
                srvid,
            };
            Ok((Order::Pull(pull), ordered))
        });
    }

    /// DB_PUSH_START: records come as messages from now on. It names no transaction: so records of a leader whose
    /// transaction another's has replaced must not get into that one.
    pub(crate) fn push_start(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        source: Pnn,
        pull: &PullDbExt,
    ) {
        let Some(db) = self.databases.get_mut(&pull.db) else {
            return refuse(ctx, token, "unknown database");
        };
        match wiped_by(db) {
            None => refuse(ctx, token, &format!("{}: has not been wiped", db.name)),
            Some(leader) if leader != source => {
                let why = format!("{}: it was node {} that wiped it", db.name, leader.0);
                refuse(ctx, token, &why);
            }
            Some(leader) => {
                self.end_push(ctx, pull.db);
                self.begin_push(ctx, leader, pull);
                ctx.reply(token, 0, Vec::new());
            }
        }
    }

    fn begin_push(&mut self, ctx: &mut Ctx<'_>, leader: Pnn, pull: &PullDbExt) {
        let Some(db) = self.databases.get_mut(&pull.db) else {
            return;
        };
        db.push = Some(Push {
            leader,
            srvid: pull.srvid,
            records: 0,
            failed: None,
        });
        ctx.emit(Output::Listen(pull.srvid));
    }

    /// A message with records: they go on to the worker.
    pub(crate) fn push_records(&mut self, ctx: &mut Ctx<'_>, srvid: Srvid, data: &[u8]) {
        let db = self
            .databases
            .values_mut()
            .find(|db| db.push.as_ref().is_some_and(|push| push.srvid == srvid));
        let Some(db) = db else { return };
        let Freeze::Frozen(work, _) = db.freeze else {
            return;
        };
        let records = RecBufferRef::from_bytes(data)
            .map_err(|why| why.to_string())
            .and_then(|buffer| to_be_stored(ctx, db, &buffer));
        let Some(push) = &mut db.push else { return };
        match records {
            Ok(records) => {
                push.records = push.records.saturating_add(records.count);
                let order = Order::Push(records.to_bytes());
                ctx.emit(Output::Order { work, order });
            }
            Err(why) => push.failed = Some(why),
        }
    }

    /// DB_PUSH_CONFIRM: how many came.
    pub(crate) fn push_confirm(&mut self, ctx: &mut Ctx<'_>, token: Token, source: Pnn, id: DbId) {
        self.order(ctx, token, id, |ctx, db| {
            let push = db.push.take_if(|push| push.leader == source);
            let push = push.ok_or("DB push not started")?;
            ctx.emit(Output::Unlisten(push.srvid));
            if let Some(why) = push.failed {
                return Err(format!("some records could not be stored: {why}"));
            }
            let records = push.records;
            Ok((Order::Confirm, Ordered::Confirm(token, records)))
        });
    }

    /// A push that was not confirmed is over.
    pub(crate) fn end_push(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        if let Some(push) = self.databases.get_mut(&id).and_then(|db| db.push.take()) {
            ctx.emit(Output::Unlisten(push.srvid));
        }
    }

    /// Records that the worker was ordered to show: they go to whoever pulls.
    pub(crate) fn pulled(&mut self, ctx: &mut Ctx<'_>, id: DbId, data: Vec<u8>) {
        let ordered = self.databases.get(&id).and_then(|db| db.orders.front());
        if let Some(&Ordered::Pull { to, srvid, .. }) = ordered {
            ctx.emit(Output::Message {
                destination: to,
                srvid,
                data,
            });
        }
    }

    /// The worker has carried out the oldest of its orders.
    pub(crate) fn ordered(&mut self, ctx: &mut Ctx<'_>, id: DbId, done: Result<u32, String>) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let Some(ordered) = db.orders.pop_front() else {
            return;
        };
        let token = ordered.token();
        let mut waiting = Vec::new();
        let answer = match (ordered, done) {
            (Ordered::Begin(_, tid), Err(why)) => {
                if running(db, tid).is_ok() {
                    set_transaction(db, None);
                }
                Err(why)
            }
            (_, Err(why)) => Err(why),
            (Ordered::Begin(..) | Ordered::Cancel(_), Ok(_)) => Ok(Vec::new()),
            (Ordered::Pull { .. }, Ok(count)) => Ok(count.to_bytes()),
            (Ordered::Wipe(_), Ok(_)) => {
                db.vacuum.clear();
                Ok(Vec::new())
            }
            (Ordered::Confirm(_, records), Ok(_)) => {
                waiting = db.delegations.clear();
                Ok(records.to_bytes())
            }
            (Ordered::Commit(_, tid), Ok(_)) => committed(ctx, db, tid).map(|()| Vec::new()),
        };
        match answer {
            Ok(data) => ctx.reply(token, 0, data),
            Err(why) => refuse(ctx, token, &format!("{}: {why}", db.name)),
        }
        self.ready.extend(waiting);
    }

    /// The freeze has ended before the worker has carried out its orders.
    pub(crate) fn refuse_orders(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let orders = self.databases.get_mut(&id).map(|db| db.orders.split_off(0));
        for ordered in orders.into_iter().flatten() {
            refuse(ctx, ordered.token(), "the freeze has ended");
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

fn refuse(ctx: &mut Ctx<'_>, token: Token, why: &str) {
    error!(why, "a recovery's command was refused");
    ctx.refuse(token, -1, why);
}

fn send_order(ctx: &mut Ctx<'_>, db: &mut Database, work: WorkId, what: (Order, Ordered)) {
    let (order, ordered) = what;
    db.orders.push_back(ordered);
    ctx.emit(Output::Order { work, order });
}

/// Whether the transaction of this recovery is running.
fn running(db: &Database, tid: Generation) -> Result<(), Refusal> {
    match db.freeze {
        Freeze::Frozen(_, Some(Transaction { id, .. })) if id == tid => Ok(()),
        Freeze::Frozen(_, Some(Transaction { id, .. })) => {
            Err(format!("transaction {id} is running, not {tid}"))
        }
        _ => Err("transaction not started".into()),
    }
}

/// The leader that has emptied the database in the transaction that is running.
const fn wiped_by(db: &Database) -> Option<Pnn> {
    match db.freeze {
        Freeze::Frozen(_, Some(Transaction { wiped_by, .. })) => wiped_by,
        _ => None,
    }
}

fn set_transaction(db: &mut Database, transaction: Option<Transaction>) {
    if let Freeze::Frozen(_, running) = &mut db.freeze {
        *running = transaction;
    }
}

/// Whether what this recovery made may count here.
fn may_commit(ctx: &Ctx<'_>, tid: Generation) -> Result<(), Refusal> {
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
    Ok(())
}

/// The content is in the file. A node that has become inactive meanwhile has nothing that counts; where another recovery
/// has begun, this one came before it.
fn committed(ctx: &mut Ctx<'_>, db: &mut Database, tid: Generation) -> Result<(), Refusal> {
    if !ctx.view.is_active(ctx.me) {
        return Err("the node is inactive".into());
    }
    db.generation = tid;
    db.invalid_records = false;
    if db.is_persistent() && ctx.store.unhealthy_reason(db.id).is_some() {
        ctx.store
            .set_unhealthy(db.id, None)
            .map_err(|why| why.to_string())?;
    }
    Ok(())
}

/// The records of one message as they are to be stored here; a recovery ends every read-only delegation.
fn to_be_stored(
    ctx: &Ctx<'_>,
    db: &mut Database,
    buffer: &RecBufferRef<'_>,
) -> Result<RecBuffer, Refusal> {
    let mut records = RecBuffer::with_room(db.id, buffer.size());
    for item in buffer.records_with_header() {
        let item = item.map_err(|why| why.to_string())?;
        let mut header = item.header.ok_or("a record without a header")?;
        header.flags.remove(RecordFlags::RO_FLAGS);
        let kept = record::settle(ctx, db, item.key, &mut header, item.data);
        let (header, data) = if kept {
            (Some(header), item.data)
        } else {
            (None, &[][..])
        };
        records.push(ReqId(0), header, item.key, data);
    }
    Ok(records)
}

//! Which controls are the database's, and where each is answered.

use core::time::Duration;

use wire::coding::Encode;
use wire::control::Request;
use wire::types::{
    DbFlags, SEQNUM_KEY, TraverseAll, TraverseAllExt, TraverseStart, TraverseStartExt,
};
use wire::{DbId, Time};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::io::{ControlRequest, Token};
use crate::store::Lock;
use crate::timers::Deadline;

impl Engine {
    /// Whether this control is one for the database.
    #[must_use]
    pub fn answers(request: &Request) -> bool {
        use Request as R;
        matches!(
            request,
            R::GetDbPath(_)
                | R::GetDbMap
                | R::DbAttach(_)
                | R::DbAttachPersistent(_)
                | R::DbAttachReplicated(_)
                | R::TraverseStart(_)
                | R::TraverseStartExt(_)
                | R::TraverseAll(_)
                | R::TraverseAllExt(_)
                | R::TraverseData(_)
                | R::TraverseKill(_)
                | R::GetDbName(_)
                | R::EnableSeqnum(_)
                | R::UpdateSeqnum(_)
                | R::Freeze
                | R::UpdateRecord(_)
                | R::WipeDatabase(_)
                | R::TryDeleteRecords(_)
                | R::Trans3Commit(_)
                | R::GetDbSeqnum(_)
                | R::DbSetHealthy(_)
                | R::DbGetHealth(_)
                | R::ScheduleForDeletion(_)
                | R::GetDbStatistics(_)
                | R::DbDetach(_)
                | R::DbFreeze(_)
                | R::DbThaw(_)
                | R::DbTransactionStart(_)
                | R::DbTransactionCommit(_)
                | R::DbTransactionCancel(_)
                | R::DbPull(_)
                | R::DbPushStart(_)
                | R::DbPushConfirm(_)
                | R::DbOpenFlags(_)
                | R::VacuumFetch(_)
                | R::DbVacuum(_)
                | R::SetDbReadonly(_)
                | R::SetDbSticky(_)
                | R::PushRecord(_)
        )
    }

    /// Answers a control, now or later.
    pub(crate) fn control(&mut self, ctx: &mut Ctx<'_>, control: ControlRequest) {
        use Request as R;
        let ControlRequest {
            token,
            source,
            client,
            ..
        } = control;
        match &control.request {
            R::DbAttach(name) => self.attach_control(ctx, &control, name, DbFlags::empty()),
            R::DbAttachPersistent(name) => {
                self.attach_control(ctx, &control, name, DbFlags::PERSISTENT)
            }
            R::DbAttachReplicated(name) => {
                self.attach_control(ctx, &control, name, DbFlags::REPLICATED)
            }
            R::DbDetach(db) => self.detach_control(ctx, &control, *db),
            R::TraverseStart(start) => self.traverse_start(ctx, token, client, with_values(start)),
            R::TraverseStartExt(start) => self.traverse_start(ctx, token, client, start.clone()),
            R::TraverseAll(all) => self.traverse_all(ctx, token, all_with_values(all)),
            R::TraverseAllExt(all) => self.traverse_all(ctx, token, all.clone()),
            R::TraverseData(record) => self.traverse_data(ctx, token, source, record),
            R::TraverseKill(which) => self.traverse_kill(ctx, token, which),
            R::EnableSeqnum(db) => self.enable_seqnum(ctx, token, *db),
            R::UpdateSeqnum(db) => self.update_seqnum(ctx, token, source, *db),
            R::Freeze => self.freeze_all(ctx, Some(token)),
            R::Trans3Commit(records) => self.trans3_commit(ctx, token, client, records),
            R::UpdateRecord(records) => self.update_record(ctx, token, records),
            R::TryDeleteRecords(records) => self.try_delete_records(ctx, token, records),
            R::VacuumFetch(records) => self.vacuum_fetch(ctx, token, records),
            R::DbVacuum(request) => self.vacuum_now(ctx, token, request),
            R::ScheduleForDeletion(data) => {
                self.schedule_for_deletion(ctx, token, data.db, &data.key)
            }
            R::SetDbReadonly(db) => self.set_property(ctx, token, *db, DbFlags::READONLY),
            R::SetDbSticky(db) => self.set_property(ctx, token, *db, DbFlags::STICKY),
            R::PushRecord(record) => self.push_record(ctx, token, record),
            _ => self.recovery_or_query(ctx, &control),
        }
    }

    fn recovery_or_query(&mut self, ctx: &mut Ctx<'_>, control: &ControlRequest) {
        use Request as R;
        let token = control.token;
        match &control.request {
            R::DbFreeze(db) => self.freeze_control(ctx, token, *db),
            R::DbThaw(db) => self.thaw_control(ctx, token, *db),
            R::DbTransactionStart(trans) => self.transaction_start(ctx, token, trans),
            R::DbTransactionCommit(trans) => self.transaction_commit(ctx, token, trans),
            R::DbTransactionCancel(db) => self.transaction_cancel(ctx, token, *db),
            R::WipeDatabase(trans) => self.wipe(ctx, token, control.source, trans),
            R::DbPull(pull) => self.pull(ctx, token, control.source, pull),
            R::DbPushStart(pull) => self.push_start(ctx, token, control.source, pull),
            R::DbPushConfirm(db) => self.push_confirm(ctx, token, control.source, *db),
            R::GetDbMap => ctx.reply(token, 0, self.db_map().to_bytes()),
            R::GetDbPath(db) => self.query(ctx, token, *db, |_, db| Ok(db.opened.path.to_bytes())),
            R::GetDbName(db) => self.query(ctx, token, *db, |_, db| Ok(db.name.to_bytes())),
            R::DbOpenFlags(db) => {
                self.query(ctx, token, *db, |_, db| Ok(db.opened.open_flags.to_bytes()))
            }
            R::GetDbStatistics(db) => self.query(ctx, token, *db, |_, db| {
                Ok(db.statistics_reply().to_bytes())
            }),
            R::GetDbSeqnum(request) => self.get_db_seqnum(ctx, token, request.db),
            R::DbGetHealth(db) => {
                self.query(ctx, token, *db, |ctx, db| {
                    Ok(ctx.store.unhealthy_reason(db.id).to_bytes())
                });
            }
            R::DbSetHealthy(db) => self.query(ctx, token, *db, |ctx, db| {
                ctx.store
                    .set_unhealthy(db.id, None)
                    .map_err(|why| why.to_string())?;
                Ok(Vec::new())
            }),
            _ => ctx.refuse(token, -1, "not a control of the database"),
        }
    }

    /// Answers from one database.
    fn query(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        id: DbId,
        answer: impl FnOnce(&mut Ctx<'_>, &mut Database) -> Result<Vec<u8>, String>,
    ) {
        match self.databases.get_mut(&id).map(|db| answer(ctx, db)) {
            Some(Ok(data)) => ctx.reply(token, 0, data),
            Some(Err(why)) => ctx.refuse(token, -1, &why),
            // C answers so too, and the tools print their own text
            None => ctx.reply(token, -1, Vec::new()),
        }
    }
}

/// TRAVERSE_START asks for records that have a value.
fn with_values(start: &TraverseStart) -> TraverseStartExt {
    let TraverseStart { db, reqid, srvid } = *start;
    TraverseStartExt {
        db,
        reqid,
        srvid,
        with_empty_records: false,
    }
}

/// So does TRAVERSE_ALL.
fn all_with_values(all: &TraverseAll) -> TraverseAllExt {
    let TraverseAll {
        db,
        reqid,
        pnn,
        client_reqid,
        srvid,
    } = *all;
    TraverseAllExt {
        db,
        reqid,
        pnn,
        client_reqid,
        srvid,
        with_empty_records: false,
    }
}

/// GET_DB_SEQNUM waits no longer for whoever holds the lock.
const SEQNUM_WAIT: Duration = Duration::from_secs(10);
/// And looks so often.
const SEQNUM_AGAIN: Duration = Duration::from_millis(5);

impl Engine {
    fn get_db_seqnum(&mut self, ctx: &mut Ctx<'_>, token: Token, id: DbId) {
        self.look_at_seqnum(ctx, token, id, ctx.now + SEQNUM_WAIT);
    }

    /// The number that each transaction of a persistent or replicated database raises. While a commit is being applied
    /// it is not to be had; the daemon does not stand still for that.
    pub(crate) fn look_at_seqnum(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        id: DbId,
        until: Time,
    ) {
        let Some(db) = self.databases.get(&id) else {
            return ctx.reply(token, -1, Vec::new());
        };
        if !db.freeze.allows_access() {
            return ctx.refuse(token, -1, &format!("{} is frozen", db.name));
        }
        if db.freeze.is_frozen() && db.orders.is_empty() {
            return seqnum_of_frozen(ctx, token, id);
        }
        match ctx.store.try_lock(id, SEQNUM_KEY) {
            Ok(Lock::Held) => {
                answer_seqnum(ctx, token, id);
                ctx.store.unlock(id, SEQNUM_KEY);
            }
            Ok(Lock::Busy) if ctx.now < until => {
                let again = Deadline::LookAtSeqnum(id, token, until);
                self.timers.set(ctx.now + SEQNUM_AGAIN, again);
            }
            Ok(Lock::Busy) => ctx.refuse(token, -1, "the sequence number is locked"),
            Err(why) => ctx.refuse(token, -1, &why.to_string()),
        }
    }
}

/// The worker that holds the database has nothing to do: what it has not committed is not seen.
fn seqnum_of_frozen(ctx: &mut Ctx<'_>, token: Token, id: DbId) {
    match ctx.store.mark_all(id) {
        Ok(()) => {
            answer_seqnum(ctx, token, id);
            ctx.store.unmark_all(id);
        }
        Err(why) => ctx.refuse(token, -1, &why.to_string()),
    }
}

fn answer_seqnum(ctx: &mut Ctx<'_>, token: Token, id: DbId) {
    match ctx.store.fetch(id, SEQNUM_KEY) {
        Ok(stored) => {
            let value = stored.and_then(|stored| <[u8; 8]>::try_from(stored.data.as_slice()).ok());
            let number = value.map_or(0, u64::from_ne_bytes);
            ctx.reply(token, 0, number.to_bytes());
        }
        Err(why) => ctx.refuse(token, -1, &why.to_string()),
    }
}

//! What this node does for the vacuuming of others: it deletes its copies, and takes records over.

use std::collections::VecDeque;

use wire::coding::Encode;
use wire::types::{RecBuffer, Record, RecordFlags, RecordHeader};
use wire::{DbId, ReqId};

use super::{BREATH, SLICE};

use crate::engine::{Ctx, Engine};
use crate::io::Token;
use crate::store::{Lock, StoreError};
use crate::timers::Deadline;

/// A TRY_DELETE_RECORDS that goes on.
#[derive(Debug)]
pub(super) struct Trying {
    token: Token,
    /// Request id, key, header and data of those to be looked at.
    left: VecDeque<(ReqId, Vec<u8>, RecordHeader, Vec<u8>)>,
    kept: RecBuffer,
}

impl Engine {
    /// SCHEDULE_FOR_DELETION: a client emptied a record.
    pub(crate) fn schedule_for_deletion(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        id: DbId,
        key: &[u8],
    ) {
        let Some(db) = self.databases.get_mut(&id) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        if !db.is_volatile() {
            return ctx.refuse(token, -1, "only records of volatile databases are vacuumed");
        }
        db.vacuum.schedule(key);
        ctx.reply(token, 0, Vec::new());
    }

    /// TRY_DELETE_RECORDS: removes the copies that nobody needs; answers with those that it kept. C sends all records of
    /// a run at once, so they are removed in slices.
    pub(crate) fn try_delete_records(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        records: &RecBuffer,
    ) {
        let Some(db) = self.databases.get_mut(&records.db) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        let split = |record: Record<'_>| {
            let (header, _) = RecordHeader::split(record.data).ok()?;
            Some((
                record.reqid,
                record.key.to_vec(),
                header,
                record.data.to_vec(),
            ))
        };
        let mut left = VecDeque::new();
        for record in records.records() {
            let Ok(record) = record else {
                return ctx.refuse(token, -1, "malformed records");
            };
            let Some(record) = split(record) else {
                return ctx.refuse(token, -1, "a record without a header");
            };
            left.push_back(record);
        }
        db.vacuum.trying.push_back(Trying {
            token,
            left,
            kept: RecBuffer::new(records.db),
        });
        if db.vacuum.trying.len() == 1 {
            self.try_delete_some(ctx, records.db);
        }
    }

    /// The next slice of the oldest TRY_DELETE_RECORDS.
    pub(crate) fn try_delete_some(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        let frozen = db.freeze.has_begun();
        let Some(trying) = db.vacuum.trying.front_mut() else {
            return;
        };
        for _ in 0..SLICE {
            let Some((reqid, key, header, data)) = trying.left.pop_front() else {
                break;
            };
            if frozen || !matches!(try_delete(ctx, id, &key, &header), Ok(true)) {
                trying.kept.push(reqid, None, &key, &data);
            }
        }
        if trying.left.is_empty() {
            ctx.reply(trying.token, 0, trying.kept.to_bytes());
            db.vacuum.trying.pop_front();
        }
        if !db.vacuum.trying.is_empty() {
            let next = Deadline::TryDelete(id);
            self.timers.set(ctx.now + BREATH, next);
        }
    }

    /// The database is being detached: whoever waits is told so.
    pub(super) fn stop_trying(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let trying = self
            .databases
            .get_mut(&id)
            .map(|db| db.vacuum.trying.split_off(0));
        for trying in trying.into_iter().flatten() {
            ctx.refuse(trying.token, -1, "unknown database");
        }
    }

    /// VACUUM_FETCH: this node, as location master, takes the records over in its next run.
    pub(crate) fn vacuum_fetch(&mut self, ctx: &mut Ctx<'_>, token: Token, records: &RecBuffer) {
        let Some(db) = self.databases.get_mut(&records.db) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        for record in records.records() {
            let Ok(record) = record else {
                return ctx.refuse(token, -1, "malformed records");
            };
            db.vacuum.to_fetch.insert(record.key.to_vec());
        }
        ctx.reply(token, 0, Vec::new());
    }
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

//! What this node does for the vacuuming of others: it deletes its copies, and takes records over.

use wire::DbId;
use wire::coding::Encode;
use wire::types::{RecBuffer, RecordFlags, RecordHeader};

use crate::engine::{Ctx, Engine};
use crate::io::Token;
use crate::store::{Lock, StoreError};

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

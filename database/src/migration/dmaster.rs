//! The hand-over of a record: REQ_DMASTER at the location master, REPLY_DMASTER at the new data master.

use tracing::{error, warn};
use wire::packet::{Body, CallFlags, Header, ReplyDmaster, ReqDmaster};
use wire::types::{RecordFlags, RecordHeader};
use wire::{DbId, Pnn, ReqId};

use super::client_call::counts_as_write;
use super::packet;
use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::io::Output;
use crate::record;
use crate::store::StoreError;

/// The location master notes the new data master and sends the record there.
pub(super) fn hand_over(
    ctx: &mut Ctx<'_>,
    db: &mut Database,
    key: &[u8],
    mut header: RecordHeader,
    data: &[u8],
    to: Pnn,
    reqid: ReqId,
) -> Result<(), StoreError> {
    header.dmaster = to;
    record::write(ctx, db, key, &mut header, data)?;
    let reply = ReplyDmaster {
        db: db.id,
        rsn: header.rsn,
        key,
        data,
        record_flags: Some(header.flags),
    };
    let sent = packet(ctx.me, to, reqid, db.generation, Body::ReplyDmaster(reply));
    ctx.emit(Output::ToNode(to, sent));
    Ok(())
}

impl Engine {
    /// The data master gives a record up to `request.dmaster`; this node is the record's location master.
    pub(super) fn request_dmaster(
        &mut self,
        ctx: &mut Ctx<'_>,
        header: &Header,
        request: &ReqDmaster<'_>,
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&request.db) else {
            return Ok(());
        };
        if ctx.view.lmaster(ctx.me, request.key) != ctx.me {
            ctx.recovery_needed(format!(
                "dmaster request to a node that is not lmaster, db={}",
                db.name
            ));
            return Ok(());
        }
        let old = record::fetch(ctx, db, request.key)?.header;
        if old.dmaster != header.source && (old.rsn != 0 || old.dmaster != ctx.me) {
            error!(db = %db.name, source = %header.source, dmaster = %old.dmaster, rsn = old.rsn,
                "dmaster request from a node that is not data master. Force a recovery.");
            ctx.recovery_needed("dmaster request from a node that is not data master");
            return Ok(());
        }
        if old.rsn > request.rsn {
            warn!(db = %db.name, old = old.rsn, new = request.rsn, "dmaster request with older RSN");
        }
        let flags = request.record_flags.unwrap_or_default();
        let record = RecordHeader {
            rsn: request.rsn,
            dmaster: request.dmaster,
            flags,
            ..RecordHeader::default()
        };
        if request.dmaster == ctx.me {
            return self.become_dmaster(
                ctx,
                header.reqid,
                request.db,
                request.key,
                record,
                request.data,
            );
        }
        hand_over(
            ctx,
            db,
            request.key,
            record,
            request.data,
            request.dmaster,
            header.reqid,
        )
    }

    /// The record that this node asked for has come.
    pub(super) fn reply_dmaster(
        &mut self,
        ctx: &mut Ctx<'_>,
        header: &Header,
        reply: &ReplyDmaster<'_>,
    ) -> Result<(), StoreError> {
        let flags = reply.record_flags.unwrap_or_default();
        let record = RecordHeader {
            rsn: reply.rsn,
            dmaster: ctx.me,
            flags,
            ..RecordHeader::default()
        };
        self.become_dmaster(ctx, header.reqid, reply.db, reply.key, record, reply.data)
    }

    /// Stores the record as its data master, whoever asked for it, and answers the call that did.
    fn become_dmaster(
        &mut self,
        ctx: &mut Ctx<'_>,
        reqid: ReqId,
        id: DbId,
        key: &[u8],
        mut header: RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&id) else {
            return Ok(());
        };
        let asked = self
            .calls
            .get(&reqid)
            .filter(|call| call.db == id && call.key == key);
        header.dmaster = ctx.me;
        let for_vacuuming =
            asked.is_some_and(|call| call.flags.contains(CallFlags::VACUUM_MIGRATION));
        if for_vacuuming {
            header.flags |= RecordFlags::VACUUM_MIGRATED;
        } else if asked.is_some() && counts_as_write(ctx.me, db, &header) {
            // the answer below, in the same write
            header.rsn = header.rsn.saturating_add(1);
        }
        record::write(ctx, db, key, &mut header, data)?;
        db.pin_down(ctx, &mut self.timers, key);
        if asked.is_some() {
            db.count_migration(ctx, &mut self.timers, key);
            if !for_vacuuming {
                db.settle_in(ctx, key);
            }
        }
        self.complete_locally(ctx, reqid, (id, key), &header, data);
        Ok(())
    }
}

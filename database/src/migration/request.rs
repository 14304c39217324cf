//! REQ_CALL from a node: this node is asked for a record, as its location master or as its data master.

use tracing::{debug, warn};
use wire::packet::{Body, Header, Packet, ReqCall, function};
use wire::types::RecordFlags;

use super::client_call::counts_as_write;
use super::{Parked, packet};
use crate::engine::{Ctx, Engine};
use crate::io::Output;
use crate::readonly::is_lent;
use crate::record;
use crate::statistics::count_hops;
use crate::store::StoreError;

impl Engine {
    /// Answers, redirects or gives the record up; with the chain lock held.
    pub(super) fn request_call(
        &mut self,
        ctx: &mut Ctx<'_>,
        header: &Header,
        call: &ReqCall<'_>,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&call.db) else {
            return Ok(());
        };
        let again = || Parked::Node(bytes.to_vec());
        // our own clients may use what is pinned down here
        if header.source != ctx.me && db.sticky.waits(call.key, again) {
            return Ok(());
        }
        let mut stored = record::fetch(ctx, db, call.key)?;
        if db.delegations.waits(call.key, again) {
            return Ok(());
        }
        if stored.header.dmaster != ctx.me {
            redirect(ctx, call, stored.header.dmaster, bytes);
            return Ok(());
        }
        let reads_only = db.reads_only(call) && call.callid == function::FETCH_WITH_HEADER;
        if reads_only && header.source != ctx.me {
            return self.lend(ctx, header, call, stored);
        }
        if !reads_only && is_lent(&stored.header) {
            return self.start_revoke(ctx, call.db, call.key, stored, again());
        }
        count_hops(&mut self.statistics, &mut db.statistics, call.hopcount);
        db.make_sticky(ctx, &mut self.timers, call.key, call.hopcount);
        let from_another = header.source != ctx.me;
        if from_another && db.resides(ctx, &mut self.timers, call.key, again) {
            return Ok(());
        }
        if header.source == ctx.me {
            let record = (call.db, call.key);
            if counts_as_write(ctx.me, db, &stored.header) {
                record::write(ctx, db, call.key, &mut stored.header, &stored.data)?;
            }
            self.complete_locally(ctx, header.reqid, record, &stored.header, &stored.data);
            return Ok(());
        }
        if !ctx.view.can_hold(header.source) {
            // the record would be lost on its way; a recovery is near, after which the call is asked again
            warn!(db = %db.name, source = %header.source, "a call of a node that is not there is dropped");
            return Ok(());
        }
        if db.commit.is_some() {
            // a record of a database under transaction stays; the caller asks again after its time-out
            debug!(db = %db.name, "migration refused while a transaction is active");
            return Ok(());
        }
        let mut record = stored.header;
        if !stored.data.is_empty() {
            record.flags |= RecordFlags::MIGRATED_WITH_DATA;
        }
        self.give_up(ctx, header, call, record, &stored.data)
    }
}

/// Sends the call on: the location master knows the data master, everybody knows the location master.
fn redirect(ctx: &mut Ctx<'_>, call: &ReqCall<'_>, dmaster: wire::Pnn, bytes: &[u8]) {
    let lmaster = ctx.view.lmaster(ctx.me, call.key);
    let to = if lmaster == ctx.me { dmaster } else { lmaster };
    let Ok(mut redirected) = Packet::decode(bytes) else {
        return;
    };
    redirected.header.destination = to;
    let hopcount = call.hopcount.saturating_add(1);
    redirected.body = Body::ReqCall(ReqCall { hopcount, ..*call });
    if hopcount % 100 > 95 {
        warn!(hopcount, db = %call.db, %to, "High hopcount");
    }
    ctx.emit(Output::ToNode(to, redirected.to_bytes()));
}

impl Engine {
    /// This node stops being data master of a record: by way of the location master the caller becomes it.
    fn give_up(
        &mut self,
        ctx: &mut Ctx<'_>,
        header: &Header,
        call: &ReqCall<'_>,
        mut record: wire::types::RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&call.db) else {
            return Ok(());
        };
        let lmaster = ctx.view.lmaster(ctx.me, call.key);
        if lmaster == ctx.me {
            return super::dmaster::hand_over(
                ctx,
                db,
                call.key,
                record,
                data,
                header.source,
                header.reqid,
            );
        }
        let request = wire::packet::ReqDmaster {
            db: call.db,
            rsn: record.rsn,
            dmaster: header.source,
            key: call.key,
            data,
            record_flags: Some(record.flags),
        };
        let sent = packet(
            ctx.me,
            lmaster,
            header.reqid,
            db.generation,
            Body::ReqDmaster(request),
        );
        record.dmaster = header.source;
        record::write(ctx, db, call.key, &mut record, data)?;
        ctx.emit(Output::ToNode(lmaster, sent));
        Ok(())
    }
}

//! Sequence numbers that tell clients on every node that a database changed (ENABLE_SEQNUM).
//!
//! libtdb counts local changes in the file. Once in SeqnumInterval the count is compared, and if it moved, the other
//! active nodes count one change too (UPDATE_SEQNUM).

use core::time::Duration;

use wire::control::Request;
use wire::{ClientId, DbId, Pnn};

use crate::engine::{Ctx, Engine};
use crate::io::{Output, Token};
use crate::timers::Deadline;

/// The count that was last seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seqnum(u32);

impl Engine {
    /// ENABLE_SEQNUM.
    pub(crate) fn enable_seqnum(&mut self, ctx: &mut Ctx<'_>, token: Token, id: DbId) {
        let Some(db) = self.databases.get_mut(&id) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        ctx.store.enable_seqnum(id);
        let first = db.seqnum.replace(Seqnum(ctx.store.seqnum(id))).is_none();
        if first {
            self.timers
                .set(ctx.now + interval(ctx), Deadline::Seqnum(id));
        }
        ctx.reply(token, 0, Vec::new());
    }

    /// UPDATE_SEQNUM: another node's copy changed.
    pub(crate) fn update_seqnum(&mut self, ctx: &mut Ctx<'_>, token: Token, source: Pnn, id: DbId) {
        if source == ctx.me {
            return ctx.reply(token, 0, Vec::new());
        }
        let Some(db) = self.databases.get_mut(&id) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        ctx.store.bump_seqnum(id);
        if let Some(seqnum) = &mut db.seqnum {
            *seqnum = Seqnum(ctx.store.seqnum(id));
        }
        ctx.reply(token, 0, Vec::new());
    }

    /// The interval has passed.
    pub(crate) fn spread_seqnum(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let Some(Seqnum(last)) = self.databases.get(&id).and_then(|db| db.seqnum) else {
            return;
        };
        let now = ctx.store.seqnum(id);
        if now != last {
            ctx.emit(Output::Control {
                token: None,
                destination: Pnn::BROADCAST_ACTIVE,
                client: ClientId(0),
                request: Request::UpdateSeqnum(id),
                timeout: Duration::ZERO,
            });
        }
        if let Some(db) = self.databases.get_mut(&id) {
            db.seqnum = Some(Seqnum(now));
        }
        self.timers
            .set(ctx.now + interval(ctx), Deadline::Seqnum(id));
    }
}

fn interval(ctx: &Ctx<'_>) -> Duration {
    Duration::from_millis(u64::from(ctx.tunables.seqnum_interval.max(1)))
}

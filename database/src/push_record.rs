//! PUSH_RECORD: a client that wrote a record of a volatile database has every active node keep a copy of it.
//!
//! 4.17 does not know it; smbd of master sends it, with the record's chain locked, for records that are to survive their
//! node. It goes to all active nodes and is not answered. The data master has written already; elsewhere the copy is
//! stored as a recovery would leave it: of another data master, with a lower sequence number than that one's.
//!
//! Three things differ from master. A copy that comes late, behind the hand-over of the record to this node, is not
//! stored: it would undo what was written since. Only volatile databases take it, as the others change by transactions
//! alone. And the file is not synced: whoever opens a volatile file first after a loss of power clears it.

use tracing::debug;
use wire::types::{PushRecord, RecordFlags};

use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::io::Token;
use crate::migration::Parked;
use crate::record;
use crate::store::StoreError;

/// A pushed record that waits for its chain lock.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) token: Token,
    pub(crate) record: PushRecord,
}

impl Engine {
    /// PUSH_RECORD, from a client here or elsewhere.
    pub(crate) fn push_record(&mut self, ctx: &mut Ctx<'_>, token: Token, record: &PushRecord) {
        if is_nothing_new(ctx, record) {
            return ctx.reply(token, 0, Vec::new());
        }
        match self.databases.get(&record.db).map(Database::is_volatile) {
            None => ctx.refuse(token, -1, "unknown database"),
            Some(false) => ctx.refuse(token, -1, "only records of volatile databases are pushed"),
            Some(true) => {
                let record = record.clone();
                self.ready
                    .push_back(Parked::Pushed(Pushed { token, record }));
            }
        }
    }

    /// Keeps the copy; with the chain lock held.
    pub(crate) fn keep_pushed(
        &mut self,
        ctx: &mut Ctx<'_>,
        pushed: &Pushed,
    ) -> Result<(), StoreError> {
        let Pushed { token, record } = pushed;
        let Some(db) = self.databases.get_mut(&record.db) else {
            return Ok(());
        };
        let here = ctx.store.fetch(record.db, &record.key)?;
        let overtaken = here.is_some_and(|here| {
            here.header.dmaster == ctx.me || here.header.rsn > record.header.rsn
        });
        // a recovery may have come while it waited
        if overtaken || is_nothing_new(ctx, record) {
            debug!(db = %db.name, "Ignoring outdated push-record");
        } else {
            let mut header = record.header;
            header.flags |= RecordFlags::MIGRATED_WITH_DATA;
            record::write(ctx, db, &record.key, &mut header, &record.value)?;
        }
        ctx.reply(*token, 0, Vec::new());
        Ok(())
    }
}

/// It is of another generation, or this node's client wrote it.
fn is_nothing_new(ctx: &Ctx<'_>, record: &PushRecord) -> bool {
    record.generation != ctx.view.vnn_map.generation || record.header.dmaster == ctx.me
}

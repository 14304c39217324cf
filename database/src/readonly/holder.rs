//! The side of a node that has a copy: it keeps what it is lent, and gives it back.

use tracing::error;
use wire::ReqId;
use wire::packet::function;
use wire::types::{RecBuffer, RecordFlags, RecordHeader};

use super::{Step, Task};
use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::io::Token;
use crate::migration::Parked;
use crate::record;
use crate::store::StoreError;

/// The header of a copy that came with the answer to a call, if the answer is one.
pub(crate) fn lent_copy(callid: u32, data: &[u8]) -> Option<(RecordHeader, &[u8])> {
    if callid != function::FETCH_WITH_HEADER {
        return None;
    }
    let (header, value) = RecordHeader::split(data).ok()?;
    let lent = header.flags.contains(RecordFlags::RO_HAVE_READONLY);
    lent.then_some((header, value))
}

impl Engine {
    /// Keeps a copy that was lent to this node, unless what is here is newer; with the chain lock held.
    pub(crate) fn keep_copy(
        &mut self,
        ctx: &mut Ctx<'_>,
        reqid: ReqId,
        answer: &[u8],
    ) -> Result<(), StoreError> {
        let Some(call) = self.calls.get(&reqid) else {
            return Ok(());
        };
        let (Some((mut header, data)), Some(db)) = (
            lent_copy(call.callid, answer),
            self.databases.get_mut(&call.db),
        ) else {
            return Ok(());
        };
        let old = record::fetch(ctx, db, &call.key)?.header;
        if header.rsn > old.rsn {
            record::write(ctx, db, &call.key, &mut header, data)?;
        }
        Ok(())
    }

    /// UPDATE_RECORD of one record of a volatile database: its data master takes a copy back. It has its turn behind
    /// the packets for the same record, so that it does not overtake the copy itself. True: it is one.
    pub(crate) fn is_taken_back(&mut self, token: Token, records: &RecBuffer) -> bool {
        let volatile = self
            .databases
            .get(&records.db)
            .is_some_and(Database::is_volatile);
        let mut iter = records.records();
        let (Some(Ok(record)), None) = (iter.next(), iter.next()) else {
            return false;
        };
        let Ok((header, data)) = RecordHeader::split(record.data) else {
            return false;
        };
        if volatile {
            let step = Step::GiveBack {
                token,
                header,
                data: data.to_vec(),
            };
            self.ready.push_back(Parked::Task(Task {
                db: records.db,
                key: record.key.to_vec(),
                step,
            }));
        }
        volatile
    }

    pub(super) fn give_back(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        task: &Task,
        mut header: RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&task.db) else {
            return Ok(());
        };
        if let Some(old) = ctx.store.fetch(task.db, &task.key)? {
            // it may come late, after a recovery; and again, after another holder failed
            let rsn = old.header.rsn;
            let newer = rsn > header.rsn || (rsn == header.rsn && old.data != data);
            // a client may write its own node's record so, but nobody takes it back from the data master
            let ours = old.header.dmaster == ctx.me && header.dmaster != ctx.me;
            if newer || ours {
                error!(db = %db.name, ours = rsn, theirs = header.rsn, "a copy that is to be given back is newer");
                ctx.refuse(token, -1, "the record here is newer");
                return Ok(());
            }
            record::write(ctx, db, &task.key, &mut header, data)?;
        }
        ctx.reply(token, 0, Vec::new());
        Ok(())
    }
}

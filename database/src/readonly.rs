//! Read-only delegations: copies of a record lent to other nodes, whose clients read them without asking.
//!
//! In a database with this property (SET_DB_READONLY) the data master answers a call that only wants to read
//! (WANT_READONLY) with a copy and stays data master. It remembers who has one, and takes all of them back before
//! anybody may write.
//!
//! ```text
//!                 a reader: rsn + 3                  a writer
//!   not lent ───────────────────────▶ lent ───────────────────────▶ revoking
//!      ▲                              │  ▲                          │    │
//!      │                              └──┘ further readers          │    │ UPDATE_RECORD (rsn - 1) to each holder
//!      │                                 ▲                          │    │
//!      │                                 └──── a node failed ───────┘    │
//!      └───────────────── every holder has confirmed: rsn + 2 ───────────┘
//! ```
//!
//! | copy | sequence number | flags |
//! |---|---|---|
//! | the data master's | R | HAVE_DELEGATIONS, while they are taken back REVOKING_READONLY too |
//! | lent | R - 2 | HAVE_READONLY |
//! | taken back | R - 1 | none |
//!
//! A copy that arrives late is thereby never stored over a revoked one. All calls for a record wait while it is taken
//! back. Then writers go on at once and readers after [`GRACE`], or they would borrow it again before the writer got it;
//! after a failure everybody waits that long and the next call tries again, until a recovery makes the copies equal and
//! ends all delegations (`ctdb_call.c`, `ctdb_recover.c`, 4.17.12).
//!
//! `holder.rs` is the side of a node that has a copy. Who holds what is known here alone and is lost with the process, as upstream's tracking file is.

mod holder;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tracing::{debug, warn};
use wire::coding::Encode;
use wire::control::Request;
use wire::packet::{Body, CallFlags, Header, Packet, ReplyCall, ReqCall};
use wire::types::{DbFlags, RECORD_HEADER_SIZE, RecBuffer, RecordFlags, RecordHeader};
use wire::{ClientId, DbId, Pnn, ReqId, Time};

pub(crate) use holder::lent_copy;

use crate::database::Database;
use crate::engine::{Asked, Ctx, Engine};
use crate::io::{Output, OwnToken, Token};
use crate::migration::{Parked, packet};
use crate::record;
use crate::store::{StoreError, Stored};
use crate::timers::Deadline;

/// Readers wait so long after copies were taken back (`revokechild_destructor`, 4.17.12).
const GRACE: Duration = Duration::from_secs(1);

/// How many sequence numbers the first delegation of a record takes: the lent, the revoked and the master's own.
const FIRST_LENT: u64 = 3;

/// What the data master knows of the copies that it lent, and of those that it takes back.
#[derive(Debug, Default)]
pub(crate) struct Delegations {
    holders: BTreeMap<Vec<u8>, BTreeSet<Pnn>>,
    revokes: BTreeMap<Vec<u8>, Revoke>,
    /// The record that each question to a holder is about.
    asked: BTreeMap<OwnToken, Vec<u8>>,
    /// Calls that go on at a time of their own, the earliest first.
    delayed: VecDeque<(Time, Parked)>,
}

/// A record whose copies are being taken back.
#[derive(Debug, Default)]
struct Revoke {
    /// Holders that have not answered.
    unanswered: usize,
    failed: bool,
    /// Calls for the record.
    waiting: Vec<Parked>,
}

/// Something to be done with a record under its chain lock that no packet asks for.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) db: DbId,
    pub(crate) key: Vec<u8>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Every holder has answered.
    EndRevoke,
    /// The data master takes a copy back (UPDATE_RECORD).
    GiveBack {
        token: Token,
        header: RecordHeader,
        data: Vec<u8>,
    },
}

impl Task {
    /// The control that is answered when this is done.
    pub(crate) fn token(&self) -> Option<Token> {
        match self.step {
            Step::EndRevoke => None,
            Step::GiveBack { token, .. } => Some(token),
        }
    }
}

impl Delegations {
    /// A client is gone: its calls no longer wait for copies to come back.
    pub(crate) fn forget(&mut self, client: ClientId) {
        for revoke in self.revokes.values_mut() {
            revoke.waiting.retain(|parked| !parked.is_of(client));
        }
        self.delayed.retain(|(_, parked)| !parked.is_of(client));
    }

    /// Has the call wait if the record is being taken back. True: it waits.
    pub(crate) fn waits(&mut self, key: &[u8], call: impl FnOnce() -> Parked) -> bool {
        let revoke = self.revokes.get_mut(key);
        revoke.map(|revoke| revoke.waiting.push(call())).is_some()
    }

    /// A recovery ends all delegations. Gives the calls that waited.
    pub(crate) fn clear(&mut self) -> Vec<Parked> {
        self.holders.clear();
        self.asked.clear();
        let revokes = core::mem::take(&mut self.revokes);
        revokes
            .into_values()
            .flat_map(|revoke| revoke.waiting)
            .collect()
    }

    /// Everything that waits, as the database is being detached.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Parked> + '_ {
        let waiting = self.clear();
        let delayed = self.delayed.drain(..).map(|(_, call)| call);
        waiting.into_iter().chain(delayed)
    }

    /// Notes that a holder answered. Gives the key if it was the last one.
    fn answered(&mut self, token: OwnToken, status: i32) -> Option<Vec<u8>> {
        let key = self.asked.remove(&token)?;
        let revoke = self.revokes.get_mut(&key)?;
        revoke.failed |= status != 0;
        revoke.unanswered = revoke.unanswered.saturating_sub(1);
        (revoke.unanswered == 0).then_some(key)
    }

    /// The revoke of this key, if every holder has answered.
    fn take_answered(&mut self, key: &[u8]) -> Option<Revoke> {
        if self.revokes.get(key)?.unanswered > 0 {
            return None;
        }
        self.revokes.remove(key)
    }

    fn due(&mut self, now: Time) -> Vec<Parked> {
        let count = self.delayed.partition_point(|(at, _)| *at <= now);
        self.delayed.drain(..count).map(|(_, call)| call).collect()
    }
}

impl Database {
    /// Whether this call is satisfied by a copy: the caller only reads, and this node may lend.
    pub(crate) fn reads_only(&self, call: &ReqCall<'_>) -> bool {
        self.flags.contains(DbFlags::READONLY) && call.flags.contains(CallFlags::WANT_READONLY)
    }
}

/// Whether copies have to be taken back before the record may be written.
pub(crate) fn is_lent(header: &RecordHeader) -> bool {
    header
        .flags
        .intersects(RecordFlags::RO_HAVE_DELEGATIONS | RecordFlags::RO_HAVE_READONLY)
}

/// What the client of a FETCH gets of an answer that begins with the record's header.
pub(crate) fn without_header(data: &[u8]) -> &[u8] {
    data.get(RECORD_HEADER_SIZE..).unwrap_or_default()
}

impl Engine {
    /// Lends a copy to the node that asks; with the chain lock held, as data master.
    pub(crate) fn lend(
        &mut self,
        ctx: &mut Ctx<'_>,
        asking: &Header,
        call: &ReqCall<'_>,
        stored: Stored,
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&call.db) else {
            return Ok(());
        };
        let Stored { mut header, data } = stored;
        // of an earlier life of this daemon, whose copies a recovery has taken back
        header
            .flags
            .remove(RecordFlags::RO_REVOKING_READONLY | RecordFlags::RO_REVOKE_COMPLETE);
        if !header.flags.contains(RecordFlags::RO_HAVE_DELEGATIONS) {
            header.rsn = header.rsn.saturating_add(FIRST_LENT);
            header.flags |= RecordFlags::RO_HAVE_DELEGATIONS;
            record::write(ctx, db, call.key, &mut header, &data)?;
        }
        db.delegations
            .holders
            .entry(call.key.to_vec())
            .or_default()
            .insert(asking.source);
        header.rsn = header.rsn.saturating_sub(2);
        header.flags.remove(RecordFlags::RO_HAVE_DELEGATIONS);
        header.flags |= RecordFlags::RO_HAVE_READONLY;
        let copy = [header.to_bytes(), data].concat();
        let body = Body::ReplyCall(ReplyCall {
            status: 0,
            data: &copy,
        });
        let reply = packet(ctx.me, asking.source, asking.reqid, db.generation, body);
        ctx.emit(Output::ToNode(asking.source, reply));
        db.statistics.ro_delegations += 1;
        self.statistics.total_ro_delegations += 1;
        Ok(())
    }

    /// Takes all copies back for the sake of `writer`, which waits; with the chain lock held, as data master.
    pub(crate) fn start_revoke(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: DbId,
        key: &[u8],
        stored: Stored,
        writer: Parked,
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&id) else {
            return Ok(());
        };
        let Stored { mut header, data } = stored;
        header.flags |= RecordFlags::RO_REVOKING_READONLY;
        record::write(ctx, db, key, &mut header, &data)?;
        let holders: Vec<Pnn> = db
            .delegations
            .holders
            .get(key)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let revoke = Revoke {
            unanswered: holders.len(),
            failed: false,
            waiting: vec![writer],
        };
        db.delegations.revokes.insert(key.to_vec(), revoke);
        debug!(db = %db.name, holders = holders.len(), "copies are taken back");
        if holders.is_empty() {
            self.ready.push_back(end_of(id, key));
        }
        let plain = taken_back(id, key, header, &data);
        for holder in holders {
            self.ask_back(ctx, id, key, holder, plain.clone());
        }
        Ok(())
    }

    fn ask_back(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: DbId,
        key: &[u8],
        holder: Pnn,
        record: RecBuffer,
    ) {
        let token = OwnToken(self.next_id());
        self.own_controls.insert(token, Asked::GiveBack(id));
        if let Some(db) = self.databases.get_mut(&id) {
            db.delegations.asked.insert(token, key.to_vec());
        }
        ctx.emit(Output::Control {
            token: Some(token),
            destination: holder,
            client: ClientId(0),
            request: Request::UpdateRecord(record),
            timeout: Duration::from_secs(u64::from(ctx.tunables.control_timeout)),
        });
    }

    /// A holder gave its copy back, or failed to.
    pub(crate) fn gave_back(&mut self, id: DbId, token: OwnToken, from: Pnn, status: i32) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        if status != 0 {
            warn!(db = %db.name, %from, status, "a copy could not be taken back");
        }
        if let Some(key) = db.delegations.answered(token, status) {
            self.ready.push_back(end_of(id, &key));
        }
    }

    /// A task's turn has come: the chain lock is held.
    pub(crate) fn task(&mut self, ctx: &mut Ctx<'_>, task: &Task) -> Result<(), StoreError> {
        match &task.step {
            Step::EndRevoke => self.end_revoke(ctx, task.db, &task.key),
            Step::GiveBack {
                token,
                header,
                data,
            } => self.give_back(ctx, *token, task, *header, data),
        }
    }

    fn end_revoke(&mut self, ctx: &mut Ctx<'_>, id: DbId, key: &[u8]) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&id) else {
            return Ok(());
        };
        let Some(revoke) = db.delegations.take_answered(key) else {
            return Ok(()); // a recovery was faster
        };
        let settled = self.settle(ctx, id, key, !revoke.failed);
        let done = !revoke.failed && settled.is_ok();
        let (now, later): (Vec<_>, Vec<_>) = revoke
            .waiting
            .into_iter()
            .partition(|call| done && !wants_to_read(call));
        self.ready.extend(now);
        self.delay(ctx.now + GRACE, id, later);
        settled
    }

    /// Notes in the record that the copies are back, or that they are not.
    fn settle(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: DbId,
        key: &[u8],
        all_back: bool,
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&id) else {
            return Ok(());
        };
        if let Some(Stored { mut header, data }) = ctx.store.fetch(id, key)? {
            header.flags.remove(RecordFlags::RO_REVOKING_READONLY);
            if all_back && is_lent(&header) {
                db.delegations.holders.remove(key);
                header.flags.remove(RecordFlags::RO_FLAGS);
                // there were copies: without a value the record is not simply dropped when it is vacuumed, or one that
                // was given back would stay, newer than what is written under the key later
                header.flags |= RecordFlags::MIGRATED_WITH_DATA;
                header.rsn = header.rsn.saturating_add(1); // and one by the store
                db.statistics.ro_revokes += 1;
                self.statistics.total_ro_revokes += 1;
            }
            record::write(ctx, db, key, &mut header, &data)?;
        }
        Ok(())
    }

    fn delay(&mut self, until: Time, id: DbId, calls: Vec<Parked>) {
        let Some(db) = self.databases.get_mut(&id).filter(|_| !calls.is_empty()) else {
            return;
        };
        db.delegations
            .delayed
            .extend(calls.into_iter().map(|call| (until, call)));
        self.timers.set(until, Deadline::Delayed(id));
    }

    /// Calls that were held up after copies were taken back go on.
    pub(crate) fn delay_is_over(&mut self, ctx: &Ctx<'_>, id: DbId) {
        if let Some(db) = self.databases.get_mut(&id) {
            self.ready.extend(db.delegations.due(ctx.now));
        }
    }
}

fn end_of(db: DbId, key: &[u8]) -> Parked {
    Parked::Task(Task {
        db,
        key: key.to_vec(),
        step: Step::EndRevoke,
    })
}

/// The record as the holders are to have it.
fn taken_back(id: DbId, key: &[u8], mut header: RecordHeader, data: &[u8]) -> RecBuffer {
    header.flags.remove(RecordFlags::RO_FLAGS);
    header.flags |= RecordFlags::MIGRATED_WITH_DATA;
    header.rsn = header.rsn.saturating_sub(1);
    let mut buffer = RecBuffer::new(id);
    buffer.push(ReqId(0), Some(header), key, data);
    buffer
}

fn wants_to_read(call: &Parked) -> bool {
    let (Parked::Client(_, bytes) | Parked::Node(bytes)) = call else {
        return false;
    };
    let body = Packet::decode(bytes).map(|packet| packet.body);
    matches!(body, Ok(Body::ReqCall(call)) if call.flags.contains(CallFlags::WANT_READONLY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"k";

    fn asked(tokens: &[u64]) -> Delegations {
        let mut delegations = Delegations::default();
        let revoke = Revoke {
            unanswered: tokens.len(),
            ..Revoke::default()
        };
        delegations.revokes.insert(KEY.to_vec(), revoke);
        let keys = tokens.iter().map(|token| (OwnToken(*token), KEY.to_vec()));
        delegations.asked.extend(keys);
        delegations
    }

    #[test]
    fn a_revoke_ends_with_the_last_answer_and_one_failure_fails_it() {
        let mut delegations = asked(&[1, 2]);
        assert_eq!(delegations.answered(OwnToken(1), -1), None);
        assert_eq!(delegations.answered(OwnToken(1), 0), None, "twice");
        assert!(delegations.take_answered(KEY).is_none());
        assert_eq!(delegations.answered(OwnToken(2), 0).as_deref(), Some(KEY));
        assert!(
            delegations
                .take_answered(KEY)
                .is_some_and(|revoke| revoke.failed)
        );
        assert!(!delegations.waits(KEY, || unreachable!()));
    }

    #[test]
    fn a_recovery_gives_the_waiting_calls_back_and_late_answers_count_for_nothing() {
        let mut delegations = asked(&[1]);
        assert!(delegations.waits(KEY, || Parked::Node(vec![1])));
        assert_eq!(delegations.clear().len(), 1);
        assert_eq!(delegations.answered(OwnToken(1), 0), None);
    }

    #[test]
    fn delayed_calls_go_on_when_their_time_has_come() {
        let mut delegations = Delegations::default();
        let calls = [1, 1, 2].map(|at| (Time(at), Parked::Node(Vec::new())));
        delegations.delayed.extend(calls);
        assert_eq!(delegations.due(Time(0)).len(), 0);
        assert_eq!(delegations.due(Time(1)).len(), 2);
        assert_eq!(delegations.due(Time(5)).len(), 1);
    }

    #[test]
    fn a_copy_taken_back_is_newer_than_the_lent_and_older_than_the_masters() {
        let mut master = RecordHeader {
            rsn: 10,
            ..RecordHeader::default()
        };
        master.flags = RecordFlags::RO_HAVE_DELEGATIONS | RecordFlags::RO_REVOKING_READONLY;
        let buffer = taken_back(DbId(1), KEY, master, b"v");
        let record = buffer.records().next().and_then(Result::ok);
        let (header, value) = RecordHeader::split(record.unwrap().data).unwrap();
        assert_eq!((header.rsn, value), (9, b"v".as_slice()));
        assert_eq!(header.flags, RecordFlags::MIGRATED_WITH_DATA);
    }
}

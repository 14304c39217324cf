//! Calls of local clients: answered from the local copy, or sent to the node that has the record.

use core::time::Duration;
use std::collections::VecDeque;

use tracing::{debug, info};
use wire::coding::Encode;
use wire::packet::{Body, CallFlags, Header, ReplyCall, ReplyError, ReqCall, function};
use wire::types::{RecordFlags, RecordHeader};
use wire::{ClientId, DbId, Pnn, ReqId, Time};

use super::{Parked, packet};
use crate::database::Database;
use crate::engine::{Ctx, Engine};
use crate::io::Output;
use crate::readonly::{is_lent, without_header};
use crate::record;
use crate::store::StoreError;
use crate::timers::{Deadline, TimerId};

/// A fetch that is on its way holds up others for the same key no longer than this (`setup_deferred_fetch_locks`).
const FETCH_WAIT: Duration = Duration::from_secs(30);

/// A fetch that is on its way, and the local calls for the same key that wait for its outcome.
#[derive(Debug)]
pub(crate) struct Fetching {
    pub(super) queue: VecDeque<Parked>,
    pub(super) timer: TimerId,
}

impl Fetching {
    /// How many calls wait for the outcome.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// Who waits for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A local client, which knows its call by this request id.
    Client(ClientId, ReqId),
    /// Nobody: the record is wanted here in order to be vacuumed.
    Vacuum,
}

/// A call that another node has to answer.
#[derive(Debug)]
pub(crate) struct PendingCall {
    caller: Caller,
    pub(crate) db: DbId,
    pub(crate) key: Vec<u8>,
    pub(crate) flags: CallFlags,
    pub(crate) callid: u32,
    calldata: Vec<u8>,
    started: Time,
    /// The client did not ask for the header that the answer begins with.
    strip_header: bool,
    /// Other calls for the key wait for this one.
    leads: bool,
}

impl PendingCall {
    pub(super) fn caller(&self) -> Caller {
        self.caller
    }
}

/// What a call function answers: status and data (`ctdb_call_local`, 4.17.12).
fn call_local(callid: u32, header: &RecordHeader, data: &[u8]) -> (i32, Vec<u8>) {
    match callid {
        function::NULL => (0, Vec::new()),
        function::FETCH => (0, data.to_vec()),
        function::FETCH_WITH_HEADER => {
            let mut reply = header.to_bytes();
            reply.extend_from_slice(data);
            (0, reply)
        }
        _ => (-1, Vec::new()),
    }
}

/// An answer from the data master's copy counts in its sequence number as if it had been written: C writes it again
/// (`ctdb_call_local`, 4.17.12).
pub(super) fn counts_as_write(me: Pnn, db: &Database, header: &RecordHeader) -> bool {
    db.is_volatile() && header.dmaster == me && !header.flags.intersects(RecordFlags::RO_FLAGS)
}

impl Engine {
    /// A client's packet enters.
    pub(crate) fn client_packet(&mut self, _ctx: &mut Ctx<'_>, client: ClientId, packet: Vec<u8>) {
        self.statistics.total_calls += 1;
        self.ready.push_back(Parked::Client(client, packet));
    }

    /// A client's call, with the chain lock of its key held.
    pub(super) fn client_call(
        &mut self,
        ctx: &mut Ctx<'_>,
        client: ClientId,
        header: &Header,
        call: &ReqCall<'_>,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Some(db) = self.databases.get_mut(&call.db) else {
            return Ok(());
        };
        let mut stored = record::fetch(ctx, db, call.key)?;
        if ctx.tunables.fetch_collapse == 1
            && let Some(fetching) = db.fetching.get_mut(call.key)
        {
            fetching
                .queue
                .push_back(Parked::Client(client, bytes.to_vec()));
            return Ok(());
        }
        let again = || Parked::Client(client, bytes.to_vec());
        if db.delegations.waits(call.key, again) {
            return Ok(());
        }
        let reads_only = db.reads_only(call);
        let here = stored.header.dmaster == ctx.me;
        if here && !reads_only && is_lent(&stored.header) {
            return self.start_revoke(ctx, call.db, call.key, stored, again());
        }
        let mut pending = PendingCall {
            caller: Caller::Client(client, header.reqid),
            db: call.db,
            key: call.key.to_vec(),
            flags: call.flags,
            callid: call.callid,
            calldata: call.calldata.to_vec(),
            started: ctx.now,
            strip_header: false,
            leads: ctx.tunables.fetch_collapse == 1,
        };
        if reads_only {
            // so that the header of the copy comes with it
            pending.strip_header = call.callid == function::FETCH;
            pending.callid = function::FETCH_WITH_HEADER;
        } else {
            // where nothing is lent every read is a migration
            pending.flags.remove(CallFlags::WANT_READONLY);
        }
        if here || (reads_only && stored.header.flags.contains(RecordFlags::RO_HAVE_READONLY)) {
            let (status, data) = call_local(pending.callid, &stored.header, &stored.data);
            if counts_as_write(ctx.me, db, &stored.header) {
                record::write(ctx, db, call.key, &mut stored.header, &stored.data)?;
            }
            self.complete(ctx, &pending, status, &data);
            return Ok(());
        }
        if pending.leads {
            let deadline = Deadline::Fetch(call.db, pending.key.clone());
            let fetching = Fetching {
                queue: VecDeque::new(),
                timer: self.timers.set(ctx.now + FETCH_WAIT, deadline),
            };
            db.fetching.insert(pending.key.clone(), fetching);
        }
        self.statistics.pending_calls += 1;
        self.send_call(ctx, stored.header.dmaster, pending);
        Ok(())
    }

    /// Asks for a record because its copies are to be removed.
    pub(crate) fn fetch_for_vacuum(&mut self, ctx: &mut Ctx<'_>, db: DbId, key: &[u8]) {
        let pending = PendingCall {
            caller: Caller::Vacuum,
            db,
            key: key.to_vec(),
            flags: CallFlags::IMMEDIATE_MIGRATION | CallFlags::VACUUM_MIGRATION,
            callid: function::NULL,
            calldata: Vec::new(),
            started: ctx.now,
            strip_header: false,
            leads: false,
        };
        self.statistics.pending_calls += 1;
        self.send_call(ctx, ctx.me, pending);
    }

    fn send_call(&mut self, ctx: &mut Ctx<'_>, to: Pnn, pending: PendingCall) {
        let Some(db) = self.databases.get(&pending.db) else {
            return;
        };
        let generation = db.generation;
        let reqid = self.next_reqid();
        let body = Body::ReqCall(ReqCall {
            flags: pending.flags,
            db: pending.db,
            callid: pending.callid,
            hopcount: 0,
            key: &pending.key,
            calldata: &pending.calldata,
        });
        ctx.emit(Output::ToNode(
            to,
            packet(ctx.me, to, reqid, generation, body),
        ));
        self.calls.insert(reqid, pending);
    }

    /// The record has come: answer the call that asked for it from the copy here. A call for another record is none.
    pub(super) fn complete_locally(
        &mut self,
        ctx: &mut Ctx<'_>,
        reqid: ReqId,
        (id, key): (DbId, &[u8]),
        header: &RecordHeader,
        data: &[u8],
    ) {
        let asked = |call: &&PendingCall| call.db == id && call.key == key;
        if self.calls.get(&reqid).filter(asked).is_none() {
            info!(%reqid, db = %id, "a record for a call that is no longer there");
            return;
        }
        let Some(pending) = self.take_call(reqid) else {
            return;
        };
        let (status, reply) = call_local(pending.callid, header, data);
        self.complete(ctx, &pending, status, &reply);
    }

    /// Hands the answer to the client, and lets the calls go on that waited behind this one.
    pub(super) fn complete(
        &mut self,
        ctx: &mut Ctx<'_>,
        pending: &PendingCall,
        status: i32,
        data: &[u8],
    ) {
        let data = if pending.strip_header {
            without_header(data)
        } else {
            data
        };
        match pending.caller {
            Caller::Client(client, reqid) => reply_to_client(ctx, client, reqid, status, data),
            Caller::Vacuum => self.fetched_for_vacuum(ctx, pending.db, &pending.key),
        }
        let seconds = ctx.now.since(pending.started).as_secs_f64();
        self.statistics.call_latency.update(seconds);
        // a lookup less for each call
        if ctx.tunables.log_latency_ms > 0
            && let Some(db) = self.databases.get(&pending.db)
        {
            ctx.note_latency("call_from_client", &db.name, seconds);
        }
    }

    /// The call that this request id names, no longer pending.
    pub(super) fn take_call(&mut self, reqid: ReqId) -> Option<PendingCall> {
        let pending = self.calls.remove(&reqid)?;
        self.statistics.pending_calls = self.statistics.pending_calls.saturating_sub(1);
        if pending.leads {
            self.release_fetch(pending.db, &pending.key);
        }
        Some(pending)
    }

    /// Lets the calls go on that waited for the fetch of a key.
    pub(crate) fn release_fetch(&mut self, id: DbId, key: &[u8]) {
        if let Some(fetching) = self
            .databases
            .get_mut(&id)
            .and_then(|db| db.fetching.remove(key))
        {
            self.timers.cancel(fetching.timer);
            self.ready.extend(fetching.queue);
        }
    }

    /// A client is gone: its calls are forgotten, whatever they wait for. A record that still comes is kept all the same.
    pub(crate) fn drop_calls_of(&mut self, ctx: &mut Ctx<'_>, client: ClientId) {
        self.forget_parked(ctx, client);
        let gone: Vec<ReqId> = self
            .calls
            .iter()
            .filter(|(_, call)| matches!(call.caller, Caller::Client(id, _) if id == client))
            .map(|(id, _)| *id)
            .collect();
        for reqid in gone {
            self.take_call(reqid);
        }
    }

    /// A database is being detached: nobody will answer its calls.
    pub(crate) fn refuse_calls_of_database(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let gone: Vec<ReqId> = self
            .calls
            .iter()
            .filter(|(_, call)| call.db == id)
            .map(|(reqid, _)| *reqid)
            .collect();
        for reqid in gone {
            if let Some(pending) = self.take_call(reqid)
                && let Caller::Client(client, reqid) = pending.caller
            {
                refuse_client(ctx, client, reqid, "the database is detached");
            }
        }
    }

    /// After a recovery every unanswered call is asked again, under a new request id, so that a late answer to the old
    /// one is recognised.
    pub(crate) fn resend_calls(&mut self, ctx: &mut Ctx<'_>, id: DbId) {
        let again: Vec<ReqId> = self
            .calls
            .iter()
            .filter(|(_, call)| call.db == id)
            .map(|(id, _)| *id)
            .collect();
        debug!(db = %id, count = again.len(), "calls are sent again");
        for old in again {
            if let Some(pending) = self.calls.remove(&old) {
                // to ourselves first: the recovery may have brought the record here
                self.send_call(ctx, ctx.me, pending);
            }
        }
    }
}

/// Tells a client that its call cannot be answered; it would wait for ever.
pub(super) fn refuse_client(ctx: &mut Ctx<'_>, client: ClientId, reqid: ReqId, why: &str) {
    let text = format!("{why}\0");
    let body = Body::ReplyError(ReplyError {
        status: -1,
        message: text.as_bytes(),
    });
    let reply = packet(ctx.me, ctx.me, reqid, ctx.view.vnn_map.generation, body);
    ctx.emit(Output::ToClient(client, reply));
}

fn reply_to_client(ctx: &mut Ctx<'_>, client: ClientId, reqid: ReqId, status: i32, data: &[u8]) {
    let body = Body::ReplyCall(ReplyCall { status, data });
    let reply = packet(ctx.me, ctx.me, reqid, ctx.view.vnn_map.generation, body);
    ctx.emit(Output::ToClient(client, reply));
}

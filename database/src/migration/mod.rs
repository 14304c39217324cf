//! Record migration: where a record lives, and how it moves.
//!
//! A volatile record has one *data master* (dmaster): the node whose clients may write it. Its *location master*
//! (lmaster, from the hash of the key) always knows who that is. A client that needs a record sends a call to its own
//! daemon; unless this node is data master already, it travels:
//!
//! ```text
//!   client ──REQ_CALL──▶ its node ──REQ_CALL──▶ lmaster ──REQ_CALL──▶ dmaster
//!                           ▲                      ▲                     │ gives the record up
//!                           │                      └─────REQ_DMASTER─────┘
//!                           └──REPLY_DMASTER── lmaster notes the new dmaster
//! ```
//!
//! Every step reads and writes the local copy under the chain lock of the key. If somebody else holds that, the packet
//! waits for a worker process to get it, and every later packet for the key queues behind: the order stays.
//!
//! | file | |
//! |---|---|
//! | `client_call.rs` | calls of local clients, their answers, their repetition after a recovery |
//! | `request.rs` | REQ_CALL from a node: redirect it or give the record up |
//! | `dmaster.rs` | REQ_DMASTER at the location master, REPLY_DMASTER at the new data master |
//! | `reply.rs` | REPLY_CALL and REPLY_ERROR |

mod client_call;
mod dmaster;
mod reply;
mod request;

use core::time::Duration;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use tracing::{debug, error, warn};
use wire::packet::{Body, Header, Operation, Packet, ReplyError};
use wire::types::LockStatistics;
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Time};

pub(crate) use client_call::{Fetching, PendingCall};

use crate::database::Database;
use crate::engine::{Ctx, Engine, Purpose};
use crate::io::{Job, Output, Token, WorkEvent, WorkId};
use crate::push_record::Pushed;
use crate::readonly::{Task, lent_copy};
use crate::statistics::{lock_answered, lock_began, lock_ended};
use crate::store::{Lock, StoreError};
use crate::timers::Deadline;

/// A packet that is being looked at, or waits to be.
#[derive(Debug)]
pub(crate) enum Parked {
    /// From a local client.
    Client(ClientId, Vec<u8>),
    /// From a node, ours included.
    Node(Vec<u8>),
    /// No packet: a step of taking copies back.
    Task(Task),
    /// A PUSH_RECORD.
    Pushed(Pushed),
}

impl Parked {
    pub(crate) fn is_of(&self, client: ClientId) -> bool {
        matches!(self, Self::Client(id, _) if *id == client)
    }

    /// The control that is answered when this is done.
    fn token(&self) -> Option<Token> {
        match self {
            Self::Client(..) | Self::Node(_) => None,
            Self::Task(task) => task.token(),
            Self::Pushed(pushed) => Some(pushed.token),
        }
    }
}

/// How long after a worker has failed to wait for a chain another is asked to.
const LOCK_AGAIN: Duration = Duration::from_secs(1);

/// Packets that wait for one chain lock.
#[derive(Debug)]
pub(crate) struct LockWait {
    /// The job that waits for the lock; none between a failed one and the next.
    work: Option<WorkId>,
    since: Time,
    queue: VecDeque<Parked>,
}

/// The record that a packet is about. A REPLY_CALL and a REPLY_ERROR name none: they are about a call of ours.
fn record_of<'a>(body: &Body<'a>) -> Option<(DbId, &'a [u8])> {
    match body {
        Body::ReqCall(call) => Some((call.db, call.key)),
        Body::ReqDmaster(request) => Some((request.db, request.key)),
        Body::ReplyDmaster(reply) => Some((reply.db, reply.key)),
        _ => None,
    }
}

/// A packet from this node, of the database's generation.
pub(crate) fn packet(
    me: Pnn,
    to: Pnn,
    reqid: ReqId,
    generation: Generation,
    body: Body<'_>,
) -> Vec<u8> {
    let header = Header {
        generation,
        operation: body.operation(),
        destination: to,
        source: me,
        reqid,
    };
    Packet { header, body }.to_bytes()
}

impl Engine {
    /// Looks at a packet: takes the chain lock of its record, or has it wait for that.
    pub(crate) fn process(&mut self, ctx: &mut Ctx<'_>, parked: Parked) {
        let Some((id, key)) = self.subject(ctx, &parked) else {
            return;
        };
        let Some(db) = self.databases.get_mut(&id) else {
            let token = parked.token();
            return token
                .into_iter()
                .for_each(|token| ctx.refuse(token, -1, "unknown database"));
        };
        if db.freeze.is_frozen() || !db.is_of(&ctx.view) {
            db.frozen_queue.push(parked);
            return;
        }
        if let Some(wait) = db.lock_waits.get_mut(&*key) {
            wait.queue.push_back(parked);
            return;
        }
        match ctx.store.try_lock(id, &key) {
            Ok(Lock::Held) => {
                self.with_lock(ctx, &parked);
                ctx.store.unlock(id, &key);
            }
            Ok(Lock::Busy) => {
                let key = key.into_owned();
                self.wait_for_lock(ctx, id, key, parked);
            }
            Err(why) => failed(ctx, &parked, &why),
        }
    }

    /// The record that has to be locked, in a database that is attached; `None` when there is nothing more to do.
    fn subject<'p>(
        &mut self,
        ctx: &mut Ctx<'_>,
        parked: &'p Parked,
    ) -> Option<(DbId, Cow<'p, [u8]>)> {
        let bytes = match parked {
            Parked::Client(_, bytes) | Parked::Node(bytes) => bytes,
            Parked::Task(task) => return Some((task.db, Cow::Borrowed(&task.key))),
            Parked::Pushed(Pushed { record, .. }) => {
                return Some((record.db, Cow::Borrowed(&record.key)));
            }
        };
        let packet = match Packet::decode(bytes) {
            Ok(packet) => packet,
            Err(why) => {
                malformed(ctx, parked, &why.to_string());
                return None;
            }
        };
        if matches!(parked, Parked::Node(_)) && !self.acceptable(ctx, &packet.header) {
            return None;
        }
        let Some((id, key)) = record_of(&packet.body) else {
            let lent = self.record_lent_by(&packet);
            if lent.is_none() {
                self.answered(ctx, &packet);
            }
            return lent.map(|(id, key)| (id, Cow::Owned(key)));
        };
        if !self.databases.contains_key(&id) {
            unknown_database(ctx, parked, &packet.header, &packet.body, id);
            return None;
        }
        Some((id, Cow::Borrowed(key)))
    }

    /// The record of which this answer brings a copy to keep.
    fn record_lent_by(&self, answer: &Packet<'_>) -> Option<(DbId, Vec<u8>)> {
        let Body::ReplyCall(reply) = &answer.body else {
            return None;
        };
        let call = self.calls.get(&answer.header.reqid)?;
        lent_copy(call.callid, reply.data)?;
        Some((call.db, call.key.clone()))
    }

    /// Between nodes a call counts only within one generation, and not at all on a banned node.
    fn acceptable(&self, ctx: &Ctx<'_>, header: &Header) -> bool {
        let ours = ctx.view.vnn_map.generation;
        if header.operation == Operation::ReplyError {
            return true;
        }
        let banned = ctx
            .view
            .flags(self.me)
            .contains(wire::types::NodeFlags::BANNED);
        if banned || header.generation != ours {
            debug!(source = %header.source, generation = %header.generation, %ours, "packet of another generation dropped");
            return false;
        }
        true
    }

    /// The chain lock is held, by us or on our behalf.
    fn with_lock(&mut self, ctx: &mut Ctx<'_>, parked: &Parked) {
        let done = match parked {
            Parked::Task(task) => self.task(ctx, task),
            Parked::Pushed(pushed) => self.keep_pushed(ctx, pushed),
            Parked::Client(client, bytes) => self.packet_with_lock(ctx, Some(*client), bytes),
            Parked::Node(bytes) => self.packet_with_lock(ctx, None, bytes),
        };
        if let Err(why) = done {
            failed(ctx, parked, &why);
        }
    }

    fn packet_with_lock(
        &mut self,
        ctx: &mut Ctx<'_>,
        client: Option<ClientId>,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Ok(packet) = Packet::decode(bytes) else {
            return Ok(());
        };
        let header = packet.header;
        match (client, &packet.body) {
            (Some(client), Body::ReqCall(call)) => {
                self.client_call(ctx, client, &header, call, bytes)
            }
            (None, Body::ReqCall(call)) => self.request_call(ctx, &header, call, bytes),
            (_, Body::ReqDmaster(request)) => self.request_dmaster(ctx, &header, request),
            (_, Body::ReplyDmaster(reply)) => self.reply_dmaster(ctx, &header, reply),
            (_, Body::ReplyCall(reply)) => {
                self.keep_copy(ctx, header.reqid, reply.data)?;
                self.answered(ctx, &packet);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn wait_for_lock(&mut self, ctx: &mut Ctx<'_>, id: DbId, key: Vec<u8>, first: Parked) {
        let work = self.new_work(Purpose::Record(id, key.clone()));
        lock_began(&mut self.statistics.locks);
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        lock_began(&mut db.statistics.locks);
        let wait = LockWait {
            work: Some(work),
            since: ctx.now,
            queue: VecDeque::from([first]),
        };
        db.lock_waits.insert(key.clone(), wait);
        ctx.emit(Output::Work {
            work,
            db: id,
            job: Job::LockRecord(key),
        });
    }

    /// The worker got the chain lock, or could not.
    pub(crate) fn record_lock_event(
        &mut self,
        ctx: &mut Ctx<'_>,
        work: WorkId,
        id: DbId,
        key: &[u8],
        event: &WorkEvent,
    ) {
        self.work.remove(&work);
        let Some(db) = self.databases.get_mut(&id) else {
            return ctx.emit(Output::Release(work));
        };
        let Some(mut wait) = db.lock_waits.remove(key) else {
            return ctx.emit(Output::Release(work));
        };
        let granted = matches!(event, WorkEvent::Locked);
        let waited = ctx.now.since(wait.since).as_secs_f64();
        for locks in [&mut db.statistics.locks, &mut self.statistics.locks] {
            lock_answered(locks, waited, granted);
            // what is done under the lock is done at once, below
            lock_ended(locks);
        }
        ctx.note_latency("lock_record", &db.name, waited);
        if !granted {
            warn!(db = %db.name, ?event, "a lock helper failed; another will try");
            wait.work = None;
            db.lock_waits.insert(key.to_vec(), wait);
            let again = Deadline::LockAgain(id, key.to_vec());
            self.timers.set(ctx.now + LOCK_AGAIN, again);
            return;
        }
        if !db.is_of(&ctx.view) {
            db.frozen_queue.extend(wait.queue);
            return ctx.emit(Output::Release(work));
        }
        ctx.store.mark(id, key);
        for parked in wait.queue {
            if self.still_counts(ctx, &parked) {
                self.with_lock(ctx, &parked);
            }
        }
        ctx.store.unmark(id, key);
        ctx.emit(Output::Release(work));
    }

    /// A recovery may have come between a node's packet and its lock.
    fn still_counts(&self, ctx: &Ctx<'_>, parked: &Parked) -> bool {
        match parked {
            Parked::Node(bytes) => {
                Packet::decode(bytes).is_ok_and(|packet| self.acceptable(ctx, &packet.header))
            }
            Parked::Client(..) | Parked::Task(_) | Parked::Pushed(_) => true,
        }
    }

    /// Some time after a lock helper failed: from the start, for the lock may be free by now.
    pub(crate) fn lock_again(&mut self, id: DbId, key: &[u8]) {
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        if db
            .lock_waits
            .get(key)
            .is_some_and(|wait| wait.work.is_none())
            && let Some(wait) = db.lock_waits.remove(key)
        {
            self.ready.extend(wait.queue);
        }
    }

    /// A client is gone: nothing is done for it any more, and no lock waited for.
    fn forget_parked(&mut self, ctx: &mut Ctx<'_>, client: ClientId) {
        for db in self.databases.values_mut() {
            db.frozen_queue.retain(|parked| !parked.is_of(client));
            db.delegations.forget(client);
            for fetching in db.fetching.values_mut() {
                fetching.queue.retain(|parked| !parked.is_of(client));
            }
            db.lock_waits.retain(|_, wait| {
                wait.queue.retain(|parked| !parked.is_of(client));
                if wait.queue.is_empty() {
                    give_up_wait(ctx, &mut self.work, &mut self.statistics.locks, wait);
                    lock_ended(&mut db.statistics.locks);
                }
                !wait.queue.is_empty()
            });
        }
    }

    /// A database is being detached: whatever waits in it is looked at once more, and finds that it is gone.
    pub(crate) fn give_back_parked(&mut self, ctx: &mut Ctx<'_>, db: &mut Database) {
        self.ready.extend(db.frozen_queue.drain(..));
        self.ready.extend(db.delegations.drain());
        for wait in core::mem::take(&mut db.lock_waits).into_values() {
            give_up_wait(ctx, &mut self.work, &mut self.statistics.locks, &wait);
            self.ready.extend(wait.queue);
        }
        for fetching in core::mem::take(&mut db.fetching).into_values() {
            self.timers.cancel(fetching.timer);
            self.ready.extend(fetching.queue);
        }
    }
}

/// Nobody waits for the lock any more.
fn give_up_wait(
    ctx: &mut Ctx<'_>,
    work: &mut BTreeMap<WorkId, Purpose>,
    locks: &mut LockStatistics,
    wait: &LockWait,
) {
    if let Some(job) = wait.work {
        work.remove(&job);
        lock_ended(locks);
        ctx.emit(Output::Release(job));
    }
}

/// A record could not be read or written: whoever asked is told, and the copy can no longer be trusted to be in step with
/// the others.
fn failed(ctx: &mut Ctx<'_>, parked: &Parked, why: &StoreError) {
    error!(%why, "a record could not be locked, read or written");
    ctx.recovery_needed(format!("local copy failed: {why}"));
    if let Some(token) = parked.token() {
        ctx.refuse(token, -1, &why.to_string());
    }
    if let Parked::Client(client, bytes) = parked
        && let Ok(packet) = Packet::decode(bytes)
    {
        client_call::refuse_client(ctx, *client, packet.header.reqid, &why.to_string());
    }
}

fn malformed(ctx: &mut Ctx<'_>, parked: &Parked, why: &str) {
    match parked {
        Parked::Client(client, _) => ctx.emit(Output::DropClient(*client, why.to_owned())),
        _ => error!(why, "malformed packet from a node dropped"),
    }
}

/// Nobody waits in vain: a client gets an error for a database that is not attached, as a node does.
fn unknown_database(
    ctx: &mut Ctx<'_>,
    parked: &Parked,
    header: &Header,
    body: &Body<'_>,
    id: DbId,
) {
    let text = format!("Unknown database in request. db_id==0x{:08x}", id.0);
    error!(source = %header.source, db = %id, "unknown database in request");
    let asker = match (parked, body) {
        (Parked::Client(client, _), _) => {
            return client_call::refuse_client(ctx, *client, header.reqid, &text);
        }
        (_, Body::ReqCall(_)) => header.source,
        // the call is one of the node that was to have the record
        (_, Body::ReqDmaster(request)) => request.dmaster,
        _ => return,
    };
    let text = format!("{text}\0");
    let body = Body::ReplyError(ReplyError {
        status: -1,
        message: text.as_bytes(),
    });
    let generation = ctx.view.vnn_map.generation;
    let reply = packet(ctx.me, asker, header.reqid, generation, body);
    ctx.emit(Output::ToNode(asker, reply));
}

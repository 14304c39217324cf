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

use std::borrow::Cow;
use std::collections::VecDeque;

use tracing::{debug, error, info};
use wire::packet::{Body, Header, Operation, Packet};
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Time};

pub(crate) use client_call::PendingCall;

use crate::engine::{Ctx, Engine, Purpose};
use crate::io::{Job, Output, WorkEvent, WorkId};
use crate::readonly::{Task, lent_copy};
use crate::statistics::{lock_wait_began, lock_wait_ended};
use crate::store::{Lock, StoreError};

/// A packet that is being looked at, or waits to be.
#[derive(Debug)]
pub(crate) enum Parked {
    /// From a local client.
    Client(ClientId, Vec<u8>),
    /// From a node, ours included.
    Node(Vec<u8>),
    /// No packet: a step of taking copies back.
    Task(Task),
}

/// Packets that wait for one chain lock.
#[derive(Debug)]
pub(crate) struct LockWait {
    work: WorkId,
    since: Time,
    /// Packets of nodes are dropped if a recovery gave the database a new generation meanwhile.
    generation: Generation,
    queue: VecDeque<Parked>,
}

impl LockWait {
    /// The job that waits for the lock.
    pub(crate) fn work(&self) -> WorkId {
        self.work
    }
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
    let mut bytes = Vec::new();
    Packet { header, body }.encode(&mut bytes);
    bytes
}

impl Engine {
    /// Looks at a packet: takes the chain lock of its record, or has it wait for that.
    pub(crate) fn process(&mut self, ctx: &mut Ctx<'_>, parked: Parked) {
        let Some((id, key)) = self.subject(ctx, &parked) else {
            return;
        };
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        if db.freeze.is_frozen() {
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
            Err(why) => error!(db = %db.name, %why, "cannot lock a record"),
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
            unknown_database(ctx, parked, &packet.header, id);
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
            Parked::Client(client, bytes) => self.packet_with_lock(ctx, Some(*client), bytes),
            Parked::Node(bytes) => self.packet_with_lock(ctx, None, bytes),
        };
        if let Err(why) = done {
            // the copy can no longer be trusted to be in step with the others
            error!(%why, "a record could not be read or written");
            ctx.recovery_needed(format!("local copy failed: {why}"));
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
        lock_wait_began(&mut self.statistics.locks);
        let Some(db) = self.databases.get_mut(&id) else {
            return;
        };
        lock_wait_began(&mut db.statistics.locks);
        let wait = LockWait {
            work,
            since: ctx.now,
            generation: db.generation,
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
        let Some(wait) = db.lock_waits.remove(key) else {
            return ctx.emit(Output::Release(work));
        };
        let granted = matches!(event, WorkEvent::Locked);
        let waited = ctx.now.since(wait.since).as_secs_f64();
        lock_wait_ended(&mut db.statistics.locks, waited, granted);
        lock_wait_ended(&mut self.statistics.locks, waited, granted);
        if !granted {
            // try again from the start: the lock may be free by now
            info!(db = %db.name, ?event, "a lock helper failed; trying again");
            self.ready.extend(wait.queue);
            return;
        }
        let generation = db.generation;
        ctx.store.mark(id, key);
        for parked in wait.queue {
            if !matches!(parked, Parked::Node(..)) || generation == wait.generation {
                self.with_lock(ctx, &parked);
            }
        }
        ctx.store.unmark(id, key);
        ctx.emit(Output::Release(work));
    }
}

fn malformed(ctx: &mut Ctx<'_>, parked: &Parked, why: &str) {
    match parked {
        Parked::Client(client, _) => ctx.emit(Output::DropClient(*client, why.to_owned())),
        _ => error!(why, "malformed packet from a node dropped"),
    }
}

/// Nobody waits in vain: a client gets an error for a database that is not attached, as a node does.
fn unknown_database(ctx: &mut Ctx<'_>, parked: &Parked, header: &Header, id: DbId) {
    let text = format!("Unknown database in request. db_id==0x{:08x}\0", id.0);
    error!(source = %header.source, db = %id, "unknown database in request");
    let body = Body::ReplyError(wire::packet::ReplyError {
        status: -1,
        message: text.as_bytes(),
    });
    match parked {
        Parked::Client(client, _) => {
            let reply = packet(
                ctx.me,
                ctx.me,
                header.reqid,
                ctx.view.vnn_map.generation,
                body,
            );
            ctx.emit(Output::ToClient(*client, reply));
        }
        Parked::Node(_) if header.operation == Operation::ReplyDmaster => {}
        _ => {
            let reply = packet(
                ctx.me,
                header.source,
                header.reqid,
                ctx.view.vnn_map.generation,
                body,
            );
            ctx.emit(Output::ToNode(header.source, reply));
        }
    }
}

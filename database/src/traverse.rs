//! Traverse: every record of a database in the cluster, for one client.
//!
//! ```text
//!   client ── TRAVERSE_START ──▶ its node ── TRAVERSE_ALL ──▶ every node with records (one, if not volatile)
//!   client ◀── messages ──────── its node ◀─ TRAVERSE_DATA ── a worker there reads the local copy
//!              an empty record ends it, once every node has sent its own empty record
//! ```
//!
//! Of a volatile database each node sends the records whose data master it is, so that each comes once. A node of the
//! vnnmap is asked even if it seems to be stopped: that may be old news (C leaves it out then, and what it has).

use core::time::Duration;
use std::collections::BTreeSet;

use tracing::{debug, info, warn};
use wire::coding::Encode;
use wire::control::Request;
use wire::types::{OwnedRecord, TraverseAll, TraverseAllExt, TraverseStart, TraverseStartExt};
use wire::{ClientId, DbId, Pnn, ReqId, Srvid};

use crate::engine::{Ctx, Engine, Purpose};
use crate::io::{Job, Output, Token, WorkEvent, WorkId};
use crate::timers::{Deadline, TimerId};

/// Traverses of a client that may go on at the same time, and parts of others' that this node may have to serve.
const MOST_OWN: usize = 1000;
/// Of all nodes together.
const MOST_SERVED: usize = 10_000;

/// A traverse that a local client asked for.
#[derive(Debug)]
pub(crate) struct Traverse {
    client: ClientId,
    start: TraverseStartExt,
    /// Nodes that have not sent everything yet.
    waiting: BTreeSet<Pnn>,
    records: u64,
    timer: TimerId,
}

/// This node's part of a traverse.
#[derive(Debug)]
pub(crate) struct Serving {
    request: TraverseAllExt,
}

impl Engine {
    /// TRAVERSE_START and TRAVERSE_START_EXT, from a local client.
    pub(crate) fn traverse_start(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        client: Option<ClientId>,
        start: TraverseStartExt,
    ) {
        let Some(client) = client else {
            return ctx.refuse(token, -1, "only a local client can traverse");
        };
        let Some(db) = self.databases.get(&start.db) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        if let Some(why) = unreadable(ctx, start.db) {
            return ctx.refuse(token, -1, &why);
        }
        let own = |traverse: &&Traverse| traverse.client == client;
        if self.traverses.values().filter(own).count() >= MOST_OWN {
            return ctx.refuse(token, -1, "too many traverses at the same time");
        }
        let nodes = if db.is_volatile() {
            ctx.view.holding().collect()
        } else {
            vec![one_copy(ctx)]
        };
        let reqid = self.next_reqid();
        info!(db = %start.db, id = %reqid, "Starting traverse");
        ctx.reply(token, 0, Vec::new());
        for node in &nodes {
            let request = all_request(ctx.me, reqid, &start);
            ctx.emit(Output::Control {
                token: None,
                destination: *node,
                client: ClientId(0),
                request,
                timeout: Duration::ZERO,
            });
        }
        let timeout = Duration::from_secs(u64::from(ctx.tunables.traverse_timeout));
        let deadline = Deadline::Traverse(reqid);
        let timer = self.timers.set(ctx.now + timeout, deadline);
        let waiting = nodes.into_iter().collect();
        self.traverses.insert(
            reqid,
            Traverse {
                client,
                start,
                waiting,
                records: 0,
                timer,
            },
        );
    }

    /// TRAVERSE_ALL and TRAVERSE_ALL_EXT: send the records of the local copy.
    pub(crate) fn traverse_all(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        request: TraverseAllExt,
    ) {
        let Some(db) = self.databases.get(&request.db) else {
            return ctx.refuse(token, -1, "unknown database");
        };
        if let Some(why) = unreadable(ctx, request.db) {
            return ctx.refuse(token, -1, &why);
        }
        if self.serving.len() >= MOST_SERVED {
            return ctx.refuse(token, -1, "too many traverses at the same time");
        }
        let job = Job::Traverse {
            only_dmaster: db.is_volatile().then_some(ctx.me),
            with_empty: request.with_empty_records,
        };
        let id = request.db;
        let work = self.new_work(Purpose::Traverse(id));
        self.serving.insert(work, Serving { request });
        ctx.emit(Output::Work { work, db: id, job });
        ctx.reply(token, 0, Vec::new());
    }

    /// The worker that reads the local copy tells something.
    pub(crate) fn serve_traverse(&mut self, ctx: &mut Ctx<'_>, work: WorkId, event: WorkEvent) {
        let Some(serving) = self.serving.get(&work) else {
            return;
        };
        let (to, reqid) = (serving.request.pnn, serving.request.reqid);
        match event {
            WorkEvent::Records(records) => {
                for (key, data) in records {
                    send_data(ctx, to, OwnedRecord { reqid, key, data });
                }
                ctx.emit(Output::Credit(work));
            }
            WorkEvent::Traversed(count) => {
                debug!(db = %serving.request.db, count, "Local traverse end");
                self.stop_serving(work);
                send_data(
                    ctx,
                    to,
                    OwnedRecord {
                        reqid,
                        ..OwnedRecord::default()
                    },
                );
            }
            event => {
                warn!(db = %serving.request.db, ?event, "Local traverse failed");
                self.stop_serving(work);
                send_data(
                    ctx,
                    to,
                    OwnedRecord {
                        reqid,
                        ..OwnedRecord::default()
                    },
                );
            }
        }
    }

    fn stop_serving(&mut self, work: WorkId) {
        self.serving.remove(&work);
        self.work.remove(&work);
    }

    /// TRAVERSE_DATA: a record, or the end of one node's records.
    pub(crate) fn traverse_data(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: Token,
        source: Pnn,
        record: &OwnedRecord,
    ) {
        let Some(traverse) = self.traverses.get_mut(&record.reqid) else {
            return ctx.refuse(token, -1, "no such traverse");
        };
        if !traverse.waiting.contains(&source) {
            return ctx.refuse(
                token,
                -1,
                "this node was not asked, or has said that it was all",
            );
        }
        if record.key.is_empty() && record.data.is_empty() {
            traverse.waiting.remove(&source);
            self.end_if_complete(ctx, record.reqid);
        } else {
            traverse.records += 1;
            let shown = OwnedRecord {
                reqid: traverse.start.reqid,
                ..record.clone()
            };
            deliver(ctx, traverse.start.srvid, &shown);
        }
        ctx.reply(token, 0, Vec::new());
    }

    fn end_if_complete(&mut self, ctx: &mut Ctx<'_>, reqid: ReqId) {
        if self
            .traverses
            .get(&reqid)
            .is_none_or(|traverse| !traverse.waiting.is_empty())
        {
            return;
        }
        if let Some(traverse) = self.traverses.remove(&reqid) {
            self.timers.cancel(traverse.timer);
            info!(db = %traverse.start.db, id = %reqid, records = traverse.records, "Ending traverse");
            let end = OwnedRecord {
                reqid: traverse.start.reqid,
                ..OwnedRecord::default()
            };
            deliver(ctx, traverse.start.srvid, &end);
        }
    }

    /// A node that is gone sends nothing more.
    pub(crate) fn traverse_nodes_changed(&mut self, ctx: &mut Ctx<'_>) {
        let view = &ctx.view;
        for traverse in self.traverses.values_mut() {
            traverse.waiting.retain(|node| view.can_hold(*node));
        }
        let ids: Vec<ReqId> = self.traverses.keys().copied().collect();
        for id in ids {
            self.end_if_complete(ctx, id);
        }
    }

    /// The traverse took too long: its client gets what there is, the nodes are told to stop.
    pub(crate) fn traverse_timed_out(&mut self, ctx: &mut Ctx<'_>, reqid: ReqId) {
        let Some(traverse) = self.traverses.get_mut(&reqid) else {
            return;
        };
        warn!(db = %traverse.start.db, missing = ?traverse.waiting, "Traverse all timeout");
        self.statistics.timeouts_traverse += 1;
        kill(ctx, &traverse.start);
        traverse.waiting.clear();
        self.end_if_complete(ctx, reqid);
    }

    /// TRAVERSE_KILL: the client that wanted the records is gone.
    pub(crate) fn traverse_kill(&mut self, ctx: &mut Ctx<'_>, token: Token, which: &TraverseStart) {
        let same = |serving: &Serving| {
            let request = &serving.request;
            (request.db, request.client_reqid, request.srvid)
                == (which.db, which.reqid, which.srvid)
        };
        if let Some(work) = self
            .serving
            .iter()
            .find(|(_, serving)| same(serving))
            .map(|(work, _)| *work)
        {
            self.stop_serving(work);
            ctx.emit(Output::Release(work));
        }
        ctx.reply(token, 0, Vec::new());
    }

    /// A client is gone, with its traverses.
    pub(crate) fn drop_traverses_of(&mut self, ctx: &mut Ctx<'_>, client: ClientId) {
        self.traverses.retain(|_, traverse| {
            if traverse.client != client {
                return true;
            }
            info!(db = %traverse.start.db, "Traverse cancelled by client disconnect");
            self.timers.cancel(traverse.timer);
            kill(ctx, &traverse.start);
            false
        });
    }
}

/// Why a traverse of this database is refused.
fn unreadable(ctx: &mut Ctx<'_>, id: DbId) -> Option<String> {
    if ctx.tunables.allow_unhealthy_db_read != 0 {
        return None;
    }
    ctx.store
        .unhealthy_reason(id)
        .map(|why| format!("the database is unhealthy: {why}"))
}

/// All copies of a persistent or replicated database are equal: ours if we are part of the cluster.
fn one_copy(ctx: &Ctx<'_>) -> Pnn {
    let map = &ctx.view.vnn_map.map;
    if map.contains(&ctx.me) {
        ctx.me
    } else {
        map.first().copied().unwrap_or(ctx.me)
    }
}

/// 4.17 sends the longer form only where it is needed; so do we.
fn all_request(me: Pnn, reqid: ReqId, start: &TraverseStartExt) -> Request {
    let (db, client_reqid, srvid) = (start.db, start.reqid, start.srvid);
    if start.with_empty_records {
        let with_empty_records = true;
        Request::TraverseAllExt(TraverseAllExt {
            db,
            reqid,
            pnn: me,
            client_reqid,
            srvid,
            with_empty_records,
        })
    } else {
        Request::TraverseAll(TraverseAll {
            db,
            reqid,
            pnn: me,
            client_reqid,
            srvid,
        })
    }
}

fn kill(ctx: &mut Ctx<'_>, start: &TraverseStartExt) {
    let request = Request::TraverseKill(TraverseStart {
        db: start.db,
        reqid: start.reqid,
        srvid: start.srvid,
    });
    let destination = Pnn::BROADCAST_CONNECTED;
    ctx.emit(Output::Control {
        token: None,
        destination,
        client: ClientId(0),
        request,
        timeout: Duration::ZERO,
    });
}

fn send_data(ctx: &mut Ctx<'_>, to: Pnn, record: OwnedRecord) {
    let request = Request::TraverseData(record);
    ctx.emit(Output::Control {
        token: None,
        destination: to,
        client: ClientId(0),
        request,
        timeout: Duration::ZERO,
    });
}

fn deliver(ctx: &mut Ctx<'_>, srvid: Srvid, record: &OwnedRecord) {
    ctx.emit(Output::Message {
        destination: ctx.me,
        srvid,
        data: record.to_bytes(),
    });
}

//! The engine: the state of every attached database, and where each input goes.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tracing::warn;
use wire::tunables::Tunables;
use wire::types::{DbSize, DbSizes, Statistics};
use wire::{ClientId, DbId, Pnn, ReqId, Time};

use crate::ClusterView;
use crate::attach::Deferred;
use crate::database::{Database, DatabaseState};
use crate::io::{Input, Output, OwnToken, Token, WorkEvent, WorkId};
use crate::migration::{Parked, PendingCall};
use crate::recovery::FreezeAll;
use crate::store::Store;
use crate::timers::{Deadline, Timers};
use crate::traverse::Traverse;

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node.
    pub me: Pnn,
    /// The tunables at the start.
    pub tunables: Tunables,
}

/// What a step may look at and act through: the time, the cluster, the local files, the outputs.
pub(crate) struct Ctx<'a> {
    pub(crate) now: Time,
    pub(crate) me: Pnn,
    pub(crate) view: Rc<ClusterView>,
    pub(crate) tunables: Rc<Tunables>,
    pub(crate) store: &'a mut dyn Store,
    pub(crate) out: &'a mut Vec<Output>,
}

impl Ctx<'_> {
    pub(crate) fn emit(&mut self, output: Output) {
        self.out.push(output);
    }

    pub(crate) fn reply(&mut self, token: Token, status: i32, data: Vec<u8>) {
        self.emit(Output::Reply {
            token,
            status,
            data,
            error: None,
        });
    }

    pub(crate) fn refuse(&mut self, token: Token, status: i32, why: &str) {
        self.emit(Output::Reply {
            token,
            status,
            data: Vec::new(),
            error: Some(why.to_owned()),
        });
    }

    /// Says so if an operation took longer than LogLatencyMs.
    pub(crate) fn note_latency(&self, operation: &str, db: &str, seconds: f64) {
        let limit = self.tunables.log_latency_ms;
        if limit > 0 && seconds * 1000.0 > f64::from(limit) {
            warn!("High latency {seconds:.6}s for operation {operation} on database {db}");
        }
    }

    pub(crate) fn recovery_needed(&mut self, why: impl Into<String>) {
        self.emit(Output::RecoveryNeeded(why.into()));
    }
}

/// What a running job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The chain of this key, for the packets in the database's `lock_waits`.
    Record(DbId, Vec<u8>),
    /// The freeze of this database.
    Freeze(DbId),
    /// An UPDATE_RECORD of this database.
    Apply(DbId),
    /// Our part of a traverse.
    Traverse(DbId),
    /// The vacuuming of the whole of this database.
    Vacuum(DbId),
    /// The repacking of this database's file.
    Repack(DbId),
}

/// What this node asked another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To apply the commit that this token asked for.
    Commit(DbId, Token),
    /// To remove vacuumed records.
    TryDelete(DbId),
    /// To take over records that are to be vacuumed.
    VacuumFetch(DbId),
    /// To give a read-only copy back.
    GiveBack(DbId),
}

/// The clustered database of this node. See the crate's documentation for the parts.
#[derive(Debug)]
pub struct Engine {
    pub(crate) me: Pnn,
    view: Rc<ClusterView>,
    tunables: Rc<Tunables>,
    pub(crate) databases: BTreeMap<DbId, Database>,
    /// Local clients' calls that another node has to answer, by the request id that we gave them.
    pub(crate) calls: BTreeMap<ReqId, PendingCall>,
    /// Packets to be looked at (again) before this step ends: never by recursion.
    pub(crate) ready: VecDeque<Parked>,
    pub(crate) work: BTreeMap<WorkId, Purpose>,
    pub(crate) traverses: BTreeMap<ReqId, Traverse>,
    pub(crate) serving: BTreeMap<WorkId, crate::traverse::Serving>,
    pub(crate) own_controls: BTreeMap<OwnToken, Asked>,
    pub(crate) deferred_attaches: Vec<Deferred>,
    pub(crate) freeze_all: Option<FreezeAll>,
    pub(crate) timers: Timers,
    pub(crate) statistics: Statistics,
    last_id: u64,
}

impl Engine {
    /// An engine without databases, in a cluster that it knows nothing of yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            me: settings.me,
            view: Rc::new(ClusterView::default()),
            tunables: Rc::new(settings.tunables),
            databases: BTreeMap::new(),
            calls: BTreeMap::new(),
            ready: VecDeque::new(),
            work: BTreeMap::new(),
            traverses: BTreeMap::new(),
            serving: BTreeMap::new(),
            own_controls: BTreeMap::new(),
            deferred_attaches: Vec::new(),
            freeze_all: None,
            timers: Timers::default(),
            statistics: Statistics::default(),
            last_id: 0,
        }
    }

    /// Takes one input and says what is to be done about it, in order.
    pub fn handle(
        &mut self,
        now: Time,
        input: Input,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        self.take_news(&input);
        let mut ctx = self.context(now, store, out);
        self.dispatch(&mut ctx, input);
        while let Some(parked) = self.ready.pop_front() {
            self.process(&mut ctx, parked);
        }
    }

    pub(crate) fn context<'a>(
        &self,
        now: Time,
        store: &'a mut dyn Store,
        out: &'a mut Vec<Output>,
    ) -> Ctx<'a> {
        Ctx {
            now,
            me: self.me,
            view: Rc::clone(&self.view),
            tunables: Rc::clone(&self.tunables),
            store,
            out,
        }
    }

    fn take_news(&mut self, input: &Input) {
        match input {
            Input::Cluster(view) => self.view = Rc::new(view.clone()),
            Input::Tunables(tunables) => self.tunables = Rc::new((**tunables).clone()),
            _ => {}
        }
    }

    fn dispatch(&mut self, ctx: &mut Ctx<'_>, input: Input) {
        match input {
            Input::ClientCall { client, packet } => self.client_packet(ctx, client, packet),
            Input::Packet(packet) => self.ready.push_back(Parked::Node(packet)),
            Input::Control(control) => self.control(ctx, control),
            Input::ControlReply {
                token,
                from,
                status,
                data,
            } => self.control_answered(ctx, token, from, status, &data),
            Input::ClientGone(client) => self.client_gone(ctx, client),
            Input::Pushed { srvid, data } => self.push_records(ctx, srvid, &data),
            Input::Work { work, event } => self.work_event(ctx, work, event),
            Input::Cluster(_) => {
                self.traverse_nodes_changed(ctx);
                self.retry_attaches(ctx);
            }
            Input::Tunables(tunables) => {
                ctx.store.tunables_changed(&tunables);
                self.arm_vacuums(ctx);
            }
            Input::RecoveryEnded => self.finish_commits(ctx),
            Input::BecameInactive => self.become_inactive(),
            Input::RecoveryModeNormal => self.recovery_mode_normal(ctx),
            Input::Timer => {}
        }
        while let Some(due) = self.timers.pop_due(ctx.now) {
            self.deadline(ctx, due);
        }
    }

    fn deadline(&mut self, ctx: &mut Ctx<'_>, due: Deadline) {
        match due {
            Deadline::Attach(token) => self.attach_waited_too_long(ctx, token),
            Deadline::Commit(db, token) => self.commit_timed_out(ctx, db, token),
            Deadline::Fetch(db, key) => self.release_fetch(db, &key),
            Deadline::LookAtSeqnum(db, token, until) => self.look_at_seqnum(ctx, token, db, until),
            Deadline::LockAgain(db, key) => self.lock_again(db, &key),
            Deadline::FreezeAgain(db) => self.freeze_again(ctx, db),
            Deadline::Traverse(id) => self.traverse_timed_out(ctx, id),
            Deadline::Seqnum(db) => self.spread_seqnum(ctx, db),
            Deadline::Vacuum(db) => self.vacuum_due(ctx, db),
            Deadline::TryDelete(db) => self.try_delete_some(ctx, db),
            Deadline::VacuumGoesOn(db) => self.vacuum_goes_on(ctx, db),
            Deadline::VacuumTooLong(db) => self.vacuum_took_too_long(ctx, db),
            Deadline::Delayed(db) => self.delay_is_over(ctx, db),
            Deadline::Residence(db) => self.residence_over(ctx, db),
            Deadline::Sticky(db, key) => self.unstick(ctx, db, &key),
            Deadline::Migrations(db) => self.expire_migrations(ctx, db),
        }
    }

    fn control_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        token: OwnToken,
        from: Pnn,
        status: i32,
        data: &[u8],
    ) {
        match self.own_controls.remove(&token) {
            Some(Asked::Commit(db, commit)) => self.commit_answered(ctx, db, commit, from, status),
            Some(asked @ (Asked::TryDelete(_) | Asked::VacuumFetch(_))) => {
                self.vacuum_answered(ctx, asked, token, status, data);
            }
            Some(Asked::GiveBack(db)) => self.gave_back(db, token, from, status),
            None => {}
        }
    }

    fn work_event(&mut self, ctx: &mut Ctx<'_>, work: WorkId, event: WorkEvent) {
        let Some(purpose) = self.work.get(&work).cloned() else {
            return;
        };
        match purpose {
            Purpose::Record(db, key) => self.record_lock_event(ctx, work, db, &key, &event),
            Purpose::Freeze(db) => self.freeze_event(ctx, work, db, event),
            Purpose::Apply(db) => self.applied(ctx, work, db, event),
            Purpose::Traverse(_) => self.serve_traverse(ctx, work, event),
            Purpose::Vacuum(db) => self.vacuum_read(ctx, work, db, event),
            Purpose::Repack(db) => self.repacked(work, db, &event),
        }
    }

    fn client_gone(&mut self, ctx: &mut Ctx<'_>, client: ClientId) {
        self.drop_calls_of(ctx, client);
        self.drop_attaches_of(client);
        self.drop_commit_of(ctx, client);
        self.drop_traverses_of(ctx, client);
    }

    /// When [`Input::Timer`] is due, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.first()
    }

    /// What the database part counted since this was last asked, and what is pending (the daemon fills in the other
    /// counters).
    pub fn take_statistics(&mut self) -> Statistics {
        let counted = self.statistics;
        self.statistics = Statistics::default();
        self.statistics.pending_calls = counted.pending_calls;
        self.statistics.pending_childwrite_calls = counted.pending_childwrite_calls;
        self.statistics.locks.num_current = counted.locks.num_current;
        self.statistics.locks.num_pending = counted.locks.num_pending;
        counted
    }

    /// How a database is; none if it is not attached.
    #[must_use]
    pub fn database_state(&self, id: DbId) -> Option<DatabaseState> {
        self.databases.get(&id).map(Database::state)
    }

    /// All attached databases.
    #[must_use]
    pub fn database_ids(&self) -> Vec<DbId> {
        self.databases.keys().copied().collect()
    }

    /// How large they are.
    #[must_use]
    pub fn database_sizes(&self, store: &dyn Store) -> DbSizes {
        let kib = |db| u32::try_from(store.size(db) / 1024).unwrap_or(u32::MAX);
        let sizes = self.databases.keys().map(|&db| DbSize { db, kib: kib(db) });
        DbSizes {
            dbs: sizes.collect(),
        }
    }

    /// How many databases are attached.
    #[must_use]
    pub fn database_count(&self) -> usize {
        self.databases.len()
    }

    /// Sets the counters of each database to zero.
    pub fn reset_database_statistics(&mut self) {
        for db in self.databases.values_mut() {
            db.statistics = wire::types::DbStatistics::default();
        }
    }

    /// A number that was not given out before.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A request id that no call that still waits has.
    pub(crate) fn next_reqid(&mut self) -> ReqId {
        loop {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "request ids have 32 bits; they wrap round"
            )]
            let id = ReqId(self.next_id() as u32);
            if id.0 != 0 && !self.calls.contains_key(&id) && !self.traverses.contains_key(&id) {
                return id;
            }
        }
    }

    /// Notes what a job is for and names it.
    pub(crate) fn new_work(&mut self, purpose: Purpose) -> WorkId {
        let work = WorkId(self.next_id());
        self.work.insert(work, purpose);
        work
    }
}

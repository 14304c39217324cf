//! Clients, which behave as smbd does: they write records in the files themselves, under the chain lock, where their node
//! is data master, and else have the record brought here; and they commit with the lock record of the database held.
//!
//! ```text
//!   Idle ─ op ─▶ Lock ─▶ (own data master?) ─▶ Hold ─▶ write, unlock ─▶ Idle
//!                 ▲           │ no
//!                 └── Call ◀──┘ REQ_CALL, answered once the record is here
//!
//!   commit:  lock record (taken as above; Check asks whether its owner lives) ─▶ Read ─▶ Commit ─▶ lock record given back
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use ctdbd::daemon::Input;
use database::store::Stored;
use wire::control::Request;
use wire::packet::{Body, CallFlags, ControlFlags, Header, Packet, ReqCall, ReqControl, function};
use wire::types::SEQNUM_KEY;
use wire::types::{KeyData, PidSrvid, RecBuffer, RecordFlags, RecordHeader, TraverseStart};
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Srvid};

use super::daemons::SOCKET;
use super::{Event, World, say};
use crate::disk::{Extent, Owner, chain};
use crate::script::{What, Who};

/// Names a commit: each try of a client has another.
pub(crate) type CommitId = u32;

/// The record that lists the commits that a database has had.
pub(crate) const LOG_KEY: &[u8] = b"log";
/// What else each commit writes.
const DATA_KEYS: [&[u8]; 2] = [b"one", b"two"];
/// The databases.
const VOLATILE: &str = "locking.tdb";
const LOCKS: &str = "g_lock.tdb";
const PERSISTENT: &str = "registry.tdb";
const REPLICATED: &str = "shared.tdb";
/// A client that got nowhere tries again after this.
const AGAIN: Duration = Duration::from_millis(150);
/// A lock record that somebody holds is asked for so often. A recovery may bring one back whose owner has given it up.
const PATIENCE: u32 = 8;

/// The database of this kind: `None` volatile, 0 persistent, 1 replicated.
pub(crate) fn database(kind: Option<u32>) -> DbId {
    wire::db_id(match kind {
        None => VOLATILE,
        Some(0) => PERSISTENT,
        Some(_) => REPLICATED,
    })
}

/// A client's process.
#[derive(Debug)]
pub(crate) struct Client {
    place: usize,
    /// Of the daemon that it is connected to.
    pub(super) life: u64,
    pub(super) stopped: bool,
    /// What came while it was stopped.
    inbox: VecDeque<Event>,
    todo: VecDeque<What>,
    stage: Stage,
    last_reqid: u32,
    /// Counts what it set out to do: a late timer is for nothing.
    tick: u64,
}

/// Where a client is.
#[derive(Debug, Clone)]
enum Stage {
    /// Sets itself up; the number of the next question.
    SetUp(usize),
    Idle,
    /// Waits for a chain lock.
    Lock(Access),
    /// Waits for the record to come.
    Call(Access),
    /// Holds the lock.
    Hold(Access, Stored),
    /// Asks whether the owner of a lock record lives.
    Check(Access, [u32; 3]),
    /// Waits a while.
    Pause(Access),
    /// Waits for a lock in order to read the database that it is to change.
    Read(Transaction),
    /// Waits for the answer to a commit.
    Commit(Transaction),
    /// Waits a while before it looks what became of its commit.
    Unknown(Transaction),
    /// Reads the whole database.
    Traverse,
}

/// A record that is wanted.
#[derive(Debug, Clone)]
struct Access {
    db: DbId,
    key: Vec<u8>,
    goal: Goal,
    tries: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Goal {
    Add,
    Hold(u32),
    Read,
    Peek,
    Delete,
    /// The lock record of a commit.
    Take(Transaction),
    Drop,
}

/// A change of a persistent or replicated database.
#[derive(Debug, Clone, PartialEq)]
struct Transaction {
    kind: u32,
    id: CommitId,
    /// The sequence number that was there before.
    seqnum: u64,
    tries: u32,
    /// A dead owner of the lock record.
    dead: Option<[u32; 3]>,
}

/// Questions that a client asks at its start.
fn set_up(number: usize, srvid: Srvid, readonly: bool, sticky: bool) -> Option<Request> {
    let db = database(None);
    let all = [
        Some(Request::RegisterSrvid(srvid)),
        Some(Request::DbAttach(LOCKS.into())),
        Some(Request::DbAttach(VOLATILE.into())),
        Some(Request::DbAttachPersistent(PERSISTENT.into())),
        Some(Request::DbAttachReplicated(REPLICATED.into())),
        readonly.then_some(Request::SetDbReadonly(db)),
        sticky.then_some(Request::SetDbSticky(db)),
    ];
    all.into_iter().flatten().nth(number)
}

fn pid_of(n: usize, client: ClientId) -> i32 {
    (1_000 * (n as i32 + 1)) + client.0 as i32
}

fn srvid_of(n: usize, client: ClientId) -> Srvid {
    Srvid(0xAE00_0000_0000_0000 | (n as u64) << 32 | u64::from(client.0))
}

impl World {
    /// A client starts in a place of its node and connects.
    pub(super) fn spawn(&mut self, n: usize, place: usize, life: u64) {
        let node = &mut self.nodes[n];
        if node.life != life || node.daemon.is_none() || node.places[place].is_some() {
            return;
        }
        node.last_client += 1;
        let client = ClientId(node.last_client);
        node.places[place] = Some(client);
        let new = Client {
            place,
            life,
            stopped: false,
            inbox: VecDeque::new(),
            todo: VecDeque::new(),
            stage: Stage::SetUp(0),
            last_reqid: 0,
            tick: 0,
        };
        node.clients.insert(client, new);
        let pid = pid_of(n, client);
        self.input_now(n, Input::ClientConnected { client, pid });
        self.set_up_client(n, client, 0);
    }

    fn set_up_client(&mut self, n: usize, client: ClientId, number: usize) {
        let srvid = srvid_of(n, client);
        match set_up(number, srvid, self.script.readonly, self.script.sticky) {
            Some(request) => {
                self.ask(n, client, Pnn::CURRENT, &request, Stage::SetUp(number));
            }
            None => self.idle(n, client),
        }
    }

    /// What the script has for a client.
    pub(super) fn client_op(&mut self, who: Who, what: What) {
        let (n, place) = (who.0 as usize, who.1 as usize);
        let Some(client) = self.nodes[n].places[place] else {
            return;
        };
        let Some(it) = self.nodes[n].clients.get_mut(&client) else {
            return;
        };
        it.todo.push_back(what);
        if matches!(it.stage, Stage::Idle) && !it.stopped {
            self.idle(n, client);
        }
    }

    /// Whether every client of a node has done all that it was to do.
    pub(super) fn clients_are_idle(&self, n: usize) -> Result<(), String> {
        for (id, client) in &self.nodes[n].clients {
            if !matches!(client.stage, Stage::Idle) || !client.todo.is_empty() {
                return Err(format!("client {id} of node {n}: {:?}", client.stage));
            }
        }
        Ok(())
    }

    fn stage(&mut self, n: usize, client: ClientId, stage: Stage) {
        if let Some(it) = self.nodes[n].clients.get_mut(&client) {
            it.stage = stage;
            it.tick += 1;
        }
    }

    fn wait(&mut self, n: usize, client: ClientId, delay: Duration, stage: Stage) {
        self.stage(n, client, stage);
        if let Some(it) = self.nodes[n].clients.get(&client) {
            let tick = it.tick;
            self.after(delay, Event::Client(n, client, tick));
        }
    }

    /// Nothing to do: the next thing.
    fn idle(&mut self, n: usize, client: ClientId) {
        self.stage(n, client, Stage::Idle);
        let Some(it) = self.nodes[n].clients.get_mut(&client) else {
            return;
        };
        let Some(what) = it.todo.pop_front() else {
            return;
        };
        let volatile = |key: u32, goal| Access {
            db: database(None),
            key: format!("key{key}").into_bytes(),
            goal,
            tries: 0,
        };
        match what {
            What::Add(_, key) => self.lock(n, client, volatile(key, Goal::Add)),
            What::Hold(_, key, ms) => self.lock(n, client, volatile(key, Goal::Hold(ms))),
            What::Read(_, key) => self.lock(n, client, volatile(key, Goal::Read)),
            What::Peek(_, key) => self.lock(n, client, volatile(key, Goal::Peek)),
            What::Delete(_, key) => self.lock(n, client, volatile(key, Goal::Delete)),
            What::Commit(_, kind) => self.take_lock_record(n, client, kind),
            What::Traverse(_) => {
                let start = TraverseStart {
                    db: database(None),
                    reqid: ReqId(client.0),
                    srvid: srvid_of(n, client),
                };
                self.note_traverse(n, client);
                let request = Request::TraverseStart(start);
                self.ask(n, client, Pnn::CURRENT, &request, Stage::Traverse);
            }
            _ => {}
        }
    }

    fn lock(&mut self, n: usize, client: ClientId, access: Access) {
        let db = access.db;
        let extent = Extent::Chain(chain(&access.key));
        self.stage(n, client, Stage::Lock(access));
        self.request_lock(n, client, db, extent);
    }

    fn request_lock(&mut self, n: usize, client: ClientId, db: DbId, extent: Extent) {
        let granted = match self.nodes[n].disk.borrow_mut().files.get_mut(&db) {
            Some(file) => file.locks.request(Owner::Client(client), extent),
            None => false,
        };
        if granted {
            self.client_has_lock(n, client, db);
        }
    }

    /// A lock that a client waited for is there.
    pub(super) fn client_has_lock(&mut self, n: usize, client: ClientId, db: DbId) {
        let Some(it) = self.nodes[n].clients.get_mut(&client) else {
            return;
        };
        if it.stopped {
            // it has the lock, and does nothing with it
            let tick = it.tick;
            it.inbox.push_back(Event::Client(n, client, tick));
            return;
        }
        match it.stage.clone() {
            Stage::Lock(access) => self.locked(n, client, access),
            Stage::Read(transaction) => self.read_database(n, client, transaction),
            _ => self.unlock(n, db, Owner::Client(client)),
        }
    }

    fn stored(&self, n: usize, db: DbId, key: &[u8]) -> Option<Stored> {
        let disk = self.nodes[n].disk.borrow();
        disk.files.get(&db)?.records.get(key).cloned()
    }

    /// The lock is held: is the record here?
    fn locked(&mut self, n: usize, client: ClientId, access: Access) {
        let stored = self.stored(n, access.db, &access.key);
        let usable = stored.filter(|stored| is_usable(n, &access.goal, stored));
        let Some(stored) = usable else {
            self.unlock(n, access.db, Owner::Client(client));
            return self.call(n, client, access);
        };
        self.observe(n, access.db, &access.key, &stored);
        match access.goal {
            Goal::Hold(ms) => {
                let delay = Duration::from_millis(u64::from(ms));
                self.wait(n, client, delay, Stage::Hold(access, stored));
            }
            _ => self.use_record(n, client, access, &stored),
        }
    }

    /// Reads or writes, and unlocks.
    fn use_record(&mut self, n: usize, client: ClientId, access: Access, stored: &Stored) {
        let Access { db, key, goal, .. } = &access;
        match goal {
            Goal::Read | Goal::Peek => {}
            Goal::Add | Goal::Hold(_) => self.write(n, *db, key, stored, Some(&[])),
            Goal::Delete | Goal::Drop => {
                self.write(n, *db, key, stored, None);
                let deleted = KeyData {
                    db: *db,
                    header: stored.header,
                    key: key.clone(),
                };
                self.tell(n, client, &Request::ScheduleForDeletion(deleted));
            }
            Goal::Take(transaction) => {
                let transaction = transaction.clone();
                return self.take(n, client, access, stored, transaction);
            }
        }
        self.unlock(n, access.db, Owner::Client(client));
        self.idle(n, client);
    }

    /// Has the record brought here.
    fn call(&mut self, n: usize, client: ClientId, access: Access) {
        let peeks = access.goal == Goal::Peek;
        let (flags, callid) = if peeks {
            (CallFlags::WANT_READONLY, function::FETCH_WITH_HEADER)
        } else {
            (CallFlags::IMMEDIATE_MIGRATION, function::NULL)
        };
        let key = access.key.clone();
        let call = ReqCall {
            flags,
            db: access.db,
            callid,
            hopcount: 0,
            key: &key,
            calldata: &[],
        };
        let reqid = self.next_reqid(n, client);
        self.stage(n, client, Stage::Call(access));
        self.send_packet(n, client, Pnn::CURRENT, reqid, Body::ReqCall(call));
    }

    fn take_lock_record(&mut self, n: usize, client: ClientId, kind: u32) {
        let transaction = Transaction {
            kind,
            id: self.oracle.new_commit(),
            seqnum: 0,
            tries: 0,
            dead: None,
        };
        let access = lock_record(kind, Goal::Take(transaction));
        self.lock(n, client, access);
    }

    /// The lock record of a commit is here: free, ours, of somebody dead, or of somebody else.
    fn take(
        &mut self,
        n: usize,
        client: ClientId,
        mut access: Access,
        stored: &Stored,
        mut transaction: Transaction,
    ) {
        let me = [n as u32, client.0, pid_of(n, client).cast_unsigned()];
        let owner = owner_of(&stored.data);
        let db = access.db;
        if owner.is_none_or(|owner| owner == me || transaction.dead == Some(owner)) {
            let owner: Vec<u8> = me.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.write(n, db, &access.key, stored, Some(&owner));
            self.unlock(n, db, Owner::Client(client));
            return self.begin_reading(n, client, transaction);
        }
        self.unlock(n, db, Owner::Client(client));
        access.tries += 1;
        if access.tries > PATIENCE {
            return self.idle(n, client);
        }
        transaction.dead = None;
        access.goal = Goal::Take(transaction);
        if let Some(owner) = owner {
            let of = (owner[0] as usize, ClientId(owner[1]));
            let question = Request::CheckPidSrvid(PidSrvid {
                pid: pid_of(of.0, of.1),
                srvid: srvid_of(of.0, of.1),
            });
            let stage = Stage::Check(access, owner);
            self.ask(n, client, Pnn(owner[0]), &question, stage);
        }
    }

    fn begin_reading(&mut self, n: usize, client: ClientId, transaction: Transaction) {
        let db = database(Some(transaction.kind));
        self.stage(n, client, Stage::Read(transaction));
        self.request_lock(n, client, db, Extent::Chain(chain(LOG_KEY)));
    }

    /// The database can be read: what is committed follows from it.
    fn read_database(&mut self, n: usize, client: ClientId, mut transaction: Transaction) {
        let db = database(Some(transaction.kind));
        let seqnum = self.number(n, db);
        if transaction.tries > 0 && seqnum != transaction.seqnum {
            // an answer was missing, and the recovery has kept our commit, or brought another
            self.unlock(n, db, Owner::Client(client));
            return self.give_lock_record_back(n, client, transaction.kind);
        }
        transaction.seqnum = seqnum;
        transaction.tries += 1;
        let mut log = self.stored(n, db, LOG_KEY).map_or(Vec::new(), |s| s.data);
        log.extend(transaction.id.to_le_bytes());
        let id = transaction.id.to_le_bytes();
        let number = (seqnum + 1).to_le_bytes();
        let mut buffer = RecBuffer::new(db);
        let mut writes = vec![(LOG_KEY, log.as_slice()), (SEQNUM_KEY, number.as_slice())];
        writes.extend(DATA_KEYS.map(|key| (key, id.as_slice())));
        for (key, data) in writes {
            let old = self
                .stored(n, db, key)
                .map_or(0, |stored| stored.header.rsn);
            let header = RecordHeader {
                rsn: old + 1,
                dmaster: Pnn(n as u32),
                ..RecordHeader::default()
            };
            buffer.push(ReqId(0), Some(header), key, data);
        }
        self.unlock(n, db, Owner::Client(client));
        self.note_commit(db, transaction.id, &log);
        let stage = Stage::Commit(transaction);
        self.ask(
            n,
            client,
            Pnn::CURRENT,
            &Request::Trans3Commit(buffer),
            stage,
        );
    }

    fn number(&self, n: usize, db: DbId) -> u64 {
        let stored = self.stored(n, db, SEQNUM_KEY);
        let bytes = stored.and_then(|stored| stored.data.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    }

    fn give_lock_record_back(&mut self, n: usize, client: ClientId, kind: u32) {
        self.lock(n, client, lock_record(kind, Goal::Drop));
    }

    /// The commit that a client waits for, if the answer is to that question.
    pub(crate) fn commit_answered(
        &self,
        n: usize,
        client: ClientId,
        reqid: ReqId,
    ) -> Option<(DbId, CommitId)> {
        let it = self.nodes[n].clients.get(&client)?;
        match &it.stage {
            Stage::Commit(transaction) if it.last_reqid == reqid.0 => {
                Some((database(Some(transaction.kind)), transaction.id))
            }
            _ => None,
        }
    }

    fn next_reqid(&mut self, n: usize, client: ClientId) -> ReqId {
        let it = self.nodes[n].clients.get_mut(&client);
        ReqId(it.map_or(0, |it| {
            it.last_reqid += 1;
            it.last_reqid
        }))
    }

    /// Asks something; the client waits in this stage.
    fn ask(&mut self, n: usize, client: ClientId, to: Pnn, request: &Request, stage: Stage) {
        let reqid = self.next_reqid(n, client);
        self.stage(n, client, stage);
        self.control(n, client, to, reqid, request);
    }

    /// Tells its daemon something.
    fn tell(&mut self, n: usize, client: ClientId, request: &Request) {
        self.control(n, client, Pnn::CURRENT, ReqId(0), request);
    }

    fn control(&mut self, n: usize, client: ClientId, to: Pnn, reqid: ReqId, request: &Request) {
        let mut data = Vec::new();
        request.encode(&mut data);
        let flags = if reqid == ReqId(0) {
            ControlFlags::NOREPLY
        } else {
            ControlFlags::empty()
        };
        let control = ReqControl {
            opcode: request.opcode().number(),
            srvid: request.srvid(),
            client: ClientId(0),
            flags,
            data: &data,
        };
        self.send_packet(n, client, to, reqid, Body::ReqControl(control));
    }

    fn send_packet(&mut self, n: usize, client: ClientId, to: Pnn, reqid: ReqId, body: Body<'_>) {
        let it = self.nodes[n].clients.get(&client);
        if it.is_none_or(|it| it.life != self.nodes[n].life) {
            return;
        }
        let header = Header {
            generation: Generation(0),
            operation: body.operation(),
            destination: to,
            source: Pnn(n as u32),
            reqid,
        };
        let mut packet = Vec::new();
        Packet { header, body }.encode_unpadded(&mut packet);
        self.hand_in(n, client, packet);
    }

    /// Its daemon sent something.
    pub(super) fn client_packet(&mut self, n: usize, client: ClientId, packet: Vec<u8>) {
        let manager = self.nodes[n].manager.as_ref();
        if manager.is_some_and(|manager| manager.client == client) {
            return self.manager_packet(n, &packet);
        }
        let Some(it) = self.nodes[n].clients.get_mut(&client) else {
            return;
        };
        if it.stopped {
            it.inbox.push_back(Event::ToClient(n, client, packet));
            return;
        }
        let Ok(packet) = Packet::decode(&packet) else {
            return self.broken("packet", "a client cannot read what it got".into());
        };
        let is_answer = packet.header.reqid.0 == it.last_reqid;
        let stage = it.stage.clone();
        match packet.body {
            Body::ReplyControl(reply) if is_answer => {
                self.control_answered(n, client, stage, reply.status);
            }
            Body::ReplyCall(_) | Body::ReplyError(_) if is_answer => {
                if let Stage::Call(access) = stage {
                    // the record is here, or was: from the start
                    self.lock(n, client, access);
                }
            }
            Body::ReqMessage(message) => {
                // the last record of a traverse is an empty one, 16 bytes
                let walks =
                    matches!(stage, Stage::Traverse) && message.srvid == srvid_of(n, client);
                let ends = message.data.len() <= 16 + 24;
                if walks {
                    self.note_traversed(n, client, message.data, ends);
                }
                if walks && ends {
                    self.idle(n, client);
                }
            }
            _ => {}
        }
    }

    fn control_answered(&mut self, n: usize, client: ClientId, stage: Stage, status: i32) {
        match stage {
            Stage::SetUp(number) if status < 0 => {
                // the node is not in use; its clients come back to it
                self.wait(n, client, 4 * AGAIN, Stage::SetUp(number));
            }
            Stage::SetUp(number) => self.set_up_client(n, client, number + 1),
            Stage::Check(mut access, owner) => {
                if let Goal::Take(transaction) = &mut access.goal {
                    transaction.dead = (status != 0).then_some(owner);
                }
                if status == 0 {
                    self.wait(n, client, AGAIN, Stage::Pause(access));
                } else {
                    self.lock(n, client, access);
                }
            }
            Stage::Commit(transaction) => self.committed(n, client, transaction, status),
            Stage::Traverse if status != 0 => self.idle(n, client),
            _ => {}
        }
    }

    fn committed(&mut self, n: usize, client: ClientId, transaction: Transaction, status: i32) {
        say!(self, "commit {} of node {n}: {status}", transaction.id);
        if status == 0 || transaction.tries > 5 {
            return self.give_lock_record_back(n, client, transaction.kind);
        }
        // smbd looks what became of it, and tries again if nothing did
        self.wait(n, client, AGAIN, Stage::Unknown(transaction));
    }

    /// Something that a client waited for by the clock.
    pub(super) fn client_goes_on(&mut self, n: usize, client: ClientId, tick: u64) {
        let Some(it) = self.nodes[n].clients.get_mut(&client) else {
            return;
        };
        if it.tick != tick {
            return;
        }
        if it.stopped {
            it.inbox.push_back(Event::Client(n, client, tick));
            return;
        }
        match it.stage.clone() {
            Stage::SetUp(number) => self.set_up_client(n, client, number),
            Stage::Pause(access) => self.lock(n, client, access),
            Stage::Hold(access, stored) => {
                let now = self.stored(n, access.db, &access.key);
                if now.as_ref() != Some(&stored) {
                    let text = format!("node {n}: a locked record changed: {stored:?}, {now:?}");
                    self.broken("lock", text);
                }
                self.use_record(n, client, access, &stored);
            }
            Stage::Lock(access) => self.locked(n, client, access),
            Stage::Read(transaction) => self.read_database(n, client, transaction),
            Stage::Unknown(transaction) => self.begin_reading(n, client, transaction),
            _ => {}
        }
    }

    /// A client dies.
    pub(super) fn end_client(&mut self, n: usize, client: ClientId) {
        say!(self, "client {client} of node {n} ends");
        let of_this_life = self.nodes[n].clients.get(&client);
        let known = of_this_life.is_some_and(|it| it.life == self.nodes[n].life);
        let place = self.forget_client(n, client);
        if known {
            self.tell_gone(n, client);
        }
        self.refill(n, place);
    }

    /// Its daemon closes its connection.
    pub(super) fn close_client(&mut self, n: usize, client: ClientId) {
        let manager = self.nodes[n].manager.as_ref();
        if manager.is_some_and(|manager| manager.client == client) {
            return self.kill_manager(n);
        }
        let place = self.forget_client(n, client);
        self.refill(n, place);
    }

    /// Another one takes its place.
    fn refill(&mut self, n: usize, place: Option<usize>) {
        if let Some(place) = place {
            let life = self.nodes[n].life;
            let delay = self.rng.micros(1_000, 300_000);
            self.after(delay, Event::Spawn(n, place, life));
        }
    }

    /// A client's process is no more: its locks are free.
    pub(super) fn forget_client(&mut self, n: usize, client: ClientId) -> Option<usize> {
        let gone = self.nodes[n].clients.remove(&client)?;
        if self.nodes[n].places[gone.place] == Some(client) {
            self.nodes[n].places[gone.place] = None;
        }
        let dbs: Vec<DbId> = self.nodes[n].disk.borrow().files.keys().copied().collect();
        for db in dbs {
            self.unlock(n, db, Owner::Client(client));
        }
        Some(gone.place)
    }

    pub(super) fn stop_client(&mut self, n: usize, client: ClientId, ms: u32) {
        if let Some(it) = self.nodes[n].clients.get_mut(&client) {
            say!(
                self,
                "client {client} of node {n} is stopped: {:?}",
                it.stage
            );
            let it = self.nodes[n].clients.get_mut(&client);
            if let Some(it) = it {
                it.stopped = true;
            }
            let delay = Duration::from_millis(u64::from(ms));
            self.after(delay, Event::Wake(n, client));
        }
    }

    pub(super) fn wake(&mut self, n: usize, client: ClientId) {
        let Some(it) = self.nodes[n].clients.get_mut(&client) else {
            return;
        };
        it.stopped = false;
        if it.life != self.nodes[n].life {
            // its socket is closed: smbd ends
            self.forget_client(n, client);
            return;
        }
        let it = self.nodes[n].clients.get_mut(&client);
        let inbox = it
            .map(|it| std::mem::take(&mut it.inbox))
            .unwrap_or_default();
        for event in inbox {
            self.after(SOCKET, event);
        }
        let idle = self.nodes[n].clients.get(&client);
        if idle.is_some_and(|it| matches!(it.stage, Stage::Idle)) {
            self.idle(n, client);
        }
    }

    /// The client in a place.
    pub(super) fn client_in(&self, who: Who) -> Option<ClientId> {
        self.nodes[who.0 as usize].places[who.1 as usize]
    }
}

fn lock_record(kind: u32, goal: Goal) -> Access {
    Access {
        db: wire::db_id(LOCKS),
        key: format!("lock{kind}").into_bytes(),
        goal,
        tries: 0,
    }
}

/// Node, client and process in a lock record.
fn owner_of(data: &[u8]) -> Option<[u32; 3]> {
    let words = data.get(8..20)?;
    let word = |at: usize| words[at..at + 4].try_into().map(u32::from_le_bytes);
    Some([word(0).ok()?, word(4).ok()?, word(8).ok()?])
}

/// The rule of smbd's `fetch_locked`: this node is data master, and nobody has a copy to read; for reading a copy is
/// enough.
fn is_usable(n: usize, goal: &Goal, stored: &Stored) -> bool {
    let flags = stored.header.flags;
    let lent = RecordFlags::RO_HAVE_DELEGATIONS | RecordFlags::RO_HAVE_READONLY;
    let back = RecordFlags::RO_REVOKING_READONLY | RecordFlags::RO_REVOKE_COMPLETE;
    let mine = stored.header.dmaster == Pnn(n as u32);
    if *goal == Goal::Peek {
        let copy = flags.contains(RecordFlags::RO_HAVE_READONLY);
        return (mine || copy) && !flags.intersects(back);
    }
    mine && !flags.intersects(lent | back)
}

//! Daemons without sockets: their outputs become each other's inputs, in order, under a clock that the test moves.

mod store;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use cluster::membership::{self, LockOutcome, NodeEntry};
use ctdbd::daemon::{Daemon, Input, Output, Settings};
use database::frozen::{Clerk, Order};
use database::io::{Job, WorkEvent, WorkId};
use database::store::{Store, Stored};
use failover::{Failover, System};
use wire::coding::Encode;
use wire::control::{Control, Request};
use wire::packet::{
    Body, CallFlags, ControlFlags, Header, Operation, Packet, ReplyControl, ReqCall, ReqControl,
    ReqMessage,
};
use wire::tunables::Tunables;
use wire::types::{RecordFlags, RecordHeader, RecoveryMode, Tunable, VnnMap};
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Srvid, Time};

use store::{Held, MapStore, Records};

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    Call {
        reqid: u32,
        status: i32,
        data: Vec<u8>,
    },
    Control {
        reqid: u32,
        status: i32,
        data: Vec<u8>,
        error: String,
    },
    Message {
        srvid: Srvid,
        data: Vec<u8>,
    },
    Other(Operation),
}

/// A cluster of daemons.
pub(crate) struct Cluster {
    pub(crate) now: Time,
    daemons: Vec<Daemon>,
    stores: Vec<MapStore>,
    inputs: VecDeque<(usize, Input)>,
    pub(crate) got: BTreeMap<(usize, ClientId), Vec<Got>>,
    pub(crate) closed: Vec<(usize, ClientId, String)>,
    last_reqid: u32,
    /// Commits that a worker was given; answered with success unless the test takes them.
    pub(crate) hold_commits: bool,
    pub(crate) commits: Vec<(usize, WorkId)>,
    /// Traverses that a worker was given; it reads the whole database at once unless the test takes them.
    pub(crate) hold_traverses: bool,
    pub(crate) traverses: Vec<(usize, WorkId)>,
    /// Jobs that were given up or let go of, and by which node.
    pub(crate) released: Vec<(usize, WorkId)>,
    /// Jobs that workers were given, and by which node.
    pub(crate) jobs: Vec<(usize, Job)>,
    /// Packets to this node stay on the way.
    pub(crate) hold_packets_to: Option<usize>,
    held: Vec<(usize, Input)>,
    /// Databases that workers hold.
    frozen: BTreeMap<(usize, WorkId), (DbId, Clerk)>,
}

/// The client that every node has.
pub(crate) const CLIENT: ClientId = ClientId(7);

impl Cluster {
    /// Nodes that are connected with each other, each with one client, and one recovery done.
    pub(crate) fn new(count: u32) -> Self {
        Self::with_addresses(count, &[])
    }

    /// The same with public addresses that every node can have.
    pub(crate) fn with_addresses(count: u32, addresses: &[IpAddr]) -> Self {
        let nodes: Vec<NodeEntry> = (0..count)
            .map(|n| NodeEntry {
                pnn: Pnn(n),
                addr: std::net::SocketAddr::from(([127, 0, 0, 1 + n as u8], 4379)).into(),
                deleted: false,
            })
            .collect();
        let mut out = Vec::new();
        let stores: Vec<MapStore> = (0..count).map(|_| MapStore::default()).collect();
        let make = |n| {
            Daemon::new(
                settings(Pnn(n), nodes.clone(), addresses),
                Box::new(stores[n as usize].clone()),
                &mut out,
            )
        };
        let daemons = (0..count).map(make).collect();
        let mut cluster = Self {
            now: Time(1),
            daemons,
            stores,
            inputs: VecDeque::new(),
            got: BTreeMap::new(),
            closed: Vec::new(),
            last_reqid: 0,
            hold_commits: false,
            commits: Vec::new(),
            hold_traverses: false,
            traverses: Vec::new(),
            released: Vec::new(),
            jobs: Vec::new(),
            hold_packets_to: None,
            held: Vec::new(),
            frozen: BTreeMap::new(),
        };
        for node in 0..count as usize {
            for other in (0..count).filter(|other| *other != node as u32) {
                cluster
                    .inputs
                    .push_back((node, Input::NodeConnected(Pnn(other))));
            }
            cluster.connect(node, CLIENT, 1000 + node as i32);
        }
        cluster.run();
        cluster.recover(Generation(42));
        cluster
    }

    pub(crate) fn connect(&mut self, node: usize, client: ClientId, pid: i32) {
        self.input(node, Input::ClientConnected { client, pid });
    }

    pub(crate) fn input(&mut self, node: usize, input: Input) {
        self.inputs.push_back((node, input));
        self.run();
    }

    /// Carries everything out until all is quiet.
    pub(crate) fn run(&mut self) {
        loop {
            while let Some((node, input)) = self.inputs.pop_front() {
                let mut out = Vec::new();
                self.daemons[node].handle(self.now, input, &mut out);
                for output in out {
                    self.carry_out(node, output);
                }
            }
            // what is to go on at once, but not in the same step
            let now = self.now;
            let is_due = |daemon: &Daemon| daemon.poll_timeout().is_some_and(|time| time <= now);
            let due = (0..self.daemons.len()).filter(|node| is_due(&self.daemons[*node]));
            self.inputs.extend(due.map(|node| (node, Input::Timer)));
            if self.inputs.is_empty() {
                return;
            }
        }
    }

    /// Moves the clock; timers that pass go off.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.daemons.iter().filter_map(Daemon::poll_timeout).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next.max(self.now),
                None => break,
            }
            for node in 0..self.daemons.len() {
                self.inputs.push_back((node, Input::Timer));
            }
            self.run();
            self.now += Duration::from_nanos(1);
        }
        self.now = end;
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::ToClient { client, packet } => self.client_got(node, client, &packet),
            Output::ToNode { node: to, packet } => {
                let from = Pnn(node as u32);
                let to = to.0 as usize;
                let queued = (to, Input::NodePacket { from, packet });
                if self.hold_packets_to == Some(to) {
                    self.held.push(queued);
                } else {
                    self.inputs.push_back(queued);
                }
            }
            Output::CloseClient { client, reason } => {
                self.closed.push((node, client, reason));
                self.inputs.push_back((node, Input::ClientGone(client)));
            }
            Output::Work { work, db, job } => self.work(node, work, db, job),
            Output::Order { work, order } => self.order(node, work, order),
            Output::Release(work) => self.release(node, work),
            Output::CheckClusterLock(token) => {
                let outcome = LockOutcome::Contended;
                self.inputs.push_back((
                    node,
                    Input::LockChecked {
                        token,
                        outcome,
                        latency: 0.1,
                    },
                ));
            }
            _ => {}
        }
    }

    /// The packets that were held up arrive.
    pub(crate) fn release_packets(&mut self) {
        self.hold_packets_to = None;
        self.inputs.extend(self.held.drain(..));
        self.run();
    }

    /// How many packets are held up.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Sets a tunable of a node, as `ctdb setvar` does.
    pub(crate) fn set(&mut self, node: usize, name: &str, value: u32) {
        let name = name.to_owned();
        let request = Request::SetTunable(Tunable { value, name });
        assert_eq!(self.ask(node, Pnn::CURRENT, &request).0, 0);
    }

    /// The sequence number of a node's files.
    pub(crate) fn seqnum(&self, node: usize) -> &Cell<u32> {
        &self.stores[node].seqnum
    }

    /// From now on a node's files are not to be trusted.
    pub(crate) fn damage(&mut self, node: usize) {
        self.stores[node].unhealthy.replace(Some("damaged".into()));
    }

    /// A node's own copy of a record, as a client there finds it in the file.
    pub(crate) fn copy(&mut self, node: usize, db: DbId, key: &[u8]) -> Option<Stored> {
        self.stores[node].fetch(db, key).expect("attached")
    }

    /// A client writes a record in the file: it may, on the data master, while there are no delegations.
    pub(crate) fn write(&mut self, node: usize, db: DbId, key: &[u8], value: &[u8]) {
        let stored = self.copy(node, db, key).expect("migrated here");
        assert_eq!(stored.header.dmaster, Pnn(node as u32));
        assert!(!stored.header.flags.intersects(RecordFlags::RO_FLAGS));
        self.stores[node]
            .store(db, key, &stored.header, value)
            .expect("attached");
    }

    /// Puts a copy of a record into a node's file.
    pub(crate) fn put(&mut self, node: usize, db: DbId, key: &[u8], header: RecordHeader) {
        let stored = self.stores[node].store(db, key, &header, b"");
        stored.expect("attached");
    }

    fn work(&mut self, node: usize, work: WorkId, db: DbId, job: Job) {
        self.jobs.push((node, job.clone()));
        let event = match job {
            Job::LockRecord(_) => WorkEvent::Locked,
            Job::LockAll => {
                self.frozen.insert((node, work), (db, Clerk::default()));
                WorkEvent::Locked
            }
            Job::Commit { .. } if self.hold_commits => return self.commits.push((node, work)),
            Job::Commit { .. } => WorkEvent::Committed(0, String::new()),
            Job::Traverse { .. } if self.hold_traverses => {
                return self.traverses.push((node, work));
            }
            Job::Traverse {
                only_dmaster,
                with_empty,
            } => {
                let records = self.records(node, db, only_dmaster, with_empty);
                let count = records.len() as u64;
                let event = WorkEvent::Records(records);
                self.inputs.push_back((node, Input::Work { work, event }));
                WorkEvent::Traversed(count)
            }
            Job::Repack { .. } => WorkEvent::Repacked {
                free: 0,
                repacked: false,
            },
        };
        self.inputs.push_back((node, Input::Work { work, event }));
    }

    fn release(&mut self, node: usize, work: WorkId) {
        if let Some((db, mut clerk)) = self.frozen.remove(&(node, work)) {
            let store = &mut self.stores[node];
            let rolled_back = clerk.release(&mut Held { store, db });
            rolled_back.expect("a transaction that was begun");
        }
        self.released.push((node, work));
    }

    /// The worker that holds a database carries out an order at once.
    fn order(&mut self, node: usize, work: WorkId, order: Order) {
        let held = self.frozen.get_mut(&(node, work));
        let (db, clerk) = held.expect("a worker that holds a database");
        let mut file = Held {
            store: &mut self.stores[node],
            db: *db,
        };
        clerk.carry_out(&mut file, order, &mut |event| {
            self.inputs.push_back((node, Input::Work { work, event }));
            ControlFlow::Continue(())
        });
    }

    /// What a worker reads that traverses a node's file.
    fn records(
        &self,
        node: usize,
        db: DbId,
        only_dmaster: Option<Pnn>,
        with_empty: bool,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let wanted = |stored: &Stored| {
            only_dmaster.is_none_or(|pnn| stored.header.dmaster == pnn)
                && (with_empty || !stored.data.is_empty())
        };
        let raw = |stored: &Stored| [stored.header.to_bytes(), stored.data.clone()].concat();
        let list = |records: &mut Records| {
            let kept = records.iter().filter(|(_, stored)| wanted(stored));
            kept.map(|(key, stored)| (key.clone(), raw(stored)))
                .collect()
        };
        self.stores[node].with(db, list).expect("attached")
    }

    fn client_got(&mut self, node: usize, client: ClientId, packet: &[u8]) {
        let packet = Packet::decode(packet).expect("the daemon sends good packets");
        let reqid = packet.header.reqid.0;
        let got = match packet.body {
            Body::ReplyCall(reply) => Got::Call {
                reqid,
                status: reply.status,
                data: reply.data.to_vec(),
            },
            Body::ReplyControl(ReplyControl {
                status,
                data,
                error,
            }) => {
                let error = String::from_utf8_lossy(error).into_owned();
                Got::Control {
                    reqid,
                    status,
                    data: data.to_vec(),
                    error,
                }
            }
            Body::ReqMessage(ReqMessage { srvid, data }) => Got::Message {
                srvid,
                data: data.to_vec(),
            },
            _ => Got::Other(packet.header.operation),
        };
        self.got.entry((node, client)).or_default().push(got);
    }

    /// What a node's client got since the last look.
    pub(crate) fn take(&mut self, node: usize) -> Vec<Got> {
        self.got.remove(&(node, CLIENT)).unwrap_or_default()
    }

    pub(crate) fn send(&mut self, node: usize, destination: Pnn, body: Body<'_>) -> u32 {
        self.last_reqid += 1;
        let reqid = ReqId(self.last_reqid);
        let header = Header {
            generation: Generation(0),
            operation: body.operation(),
            destination,
            source: Pnn(0),
            reqid,
        };
        let mut packet = Vec::new();
        Packet { header, body }.encode_unpadded(&mut packet);
        self.input(
            node,
            Input::ClientPacket {
                client: CLIENT,
                packet,
            },
        );
        reqid.0
    }

    /// Sends a control from a node's client; the reply stays in `got` unless it is there at once.
    pub(crate) fn send_control(
        &mut self,
        node: usize,
        to: Pnn,
        request: &Request,
        flags: ControlFlags,
    ) -> u32 {
        let mut data = Vec::new();
        request.encode(&mut data);
        let opcode = request.opcode().number();
        let control = ReqControl {
            opcode,
            srvid: request.srvid(),
            client: ClientId(0),
            flags,
            data: &data,
        };
        self.send(node, to, Body::ReqControl(control))
    }

    /// Asks, and gives status and data of the answer.
    pub(crate) fn ask(&mut self, node: usize, to: Pnn, request: &Request) -> (i32, Vec<u8>) {
        let asked = self.send_control(node, to, request, ControlFlags::empty());
        let got = self.got.entry((node, CLIENT)).or_default();
        let position = got
            .iter()
            .position(|got| matches!(got, Got::Control { reqid, .. } if *reqid == asked));
        let Some(position) = position else {
            panic!("no answer to {request:?}: {got:?}")
        };
        match got.remove(position) {
            Got::Control { status, data, .. } => (status, data),
            _ => unreachable!(),
        }
    }

    /// Asks for something that has a type.
    pub(crate) fn get<C: Control>(&mut self, node: usize, to: Pnn, request: &Request) -> C::Reply {
        let (status, data) = self.ask(node, to, request);
        assert!(status >= 0, "{}: status {status}", C::NAME);
        C::decode_reply(&data).expect("a good reply")
    }

    /// A client wants a record.
    pub(crate) fn call(&mut self, node: usize, db: DbId, callid: u32, key: &[u8]) -> u32 {
        self.call_for(node, db, callid, key, CallFlags::IMMEDIATE_MIGRATION)
    }

    /// A client wants a record, in a way of its own.
    pub(crate) fn call_for(
        &mut self,
        node: usize,
        db: DbId,
        callid: u32,
        key: &[u8],
        flags: CallFlags,
    ) -> u32 {
        self.send(
            node,
            Pnn::CURRENT,
            Body::ReqCall(ReqCall {
                flags,
                db,
                callid,
                hopcount: 0,
                key,
                calldata: &[],
            }),
        )
    }

    /// What a leader does, by the client of node 0, with every database.
    pub(crate) fn recover(&mut self, generation: Generation) {
        let all: Vec<Pnn> = (0..self.daemons.len() as u32).map(Pnn).collect();
        let map = VnnMap {
            generation,
            map: all.clone(),
        };
        let dbs = self
            .get::<wire::control::GetDbMap>(0, Pnn(0), &Request::GetDbMap)
            .dbs;
        let mut steps = vec![
            Request::SetRecmode(RecoveryMode::Active),
            Request::StartRecovery,
            Request::SetVnnMap(map),
        ];
        for db in dbs.iter().map(|db| db.db) {
            let trans = wire::types::TransDb {
                db,
                transaction: generation,
            };
            steps.push(Request::DbFreeze(db));
            steps.push(Request::DbTransactionStart(trans.clone()));
            steps.push(Request::DbTransactionCommit(trans));
            steps.push(Request::DbThaw(db));
        }
        steps.extend([
            Request::SetRecmode(RecoveryMode::Normal),
            Request::EndRecovery,
        ]);
        for step in steps {
            for node in &all {
                let (status, _) = self.ask(0, *node, &step);
                assert_eq!(status, 0, "{step:?} on node {node}");
            }
        }
    }

    /// Attaches a database from a node's client.
    pub(crate) fn attach(&mut self, node: usize, request: &Request) -> DbId {
        self.get::<wire::control::DbAttach>(node, Pnn::CURRENT, request)
    }
}

fn settings(me: Pnn, nodes: Vec<NodeEntry>, addresses: &[IpAddr]) -> Settings {
    Settings {
        membership: membership::Settings {
            me,
            nodes,
            cluster_lock: Some("/lock".into()),
            fence: None,
            leader_capability: true,
            lmaster_capability: true,
            version: 0x0004_0011,
            start_as_disabled: false,
            start_as_stopped: false,
            wall_clock_at_zero: 0,
            tunables: Tunables::default(),
        },
        failover: Failover::new(failover_settings(me, addresses), &OneInterface)
            .expect("no address is wrong"),
        system: Box::new(OneInterface),
        event_daemon: false,
        log_level: 3,
        pid: 4711,
        wall_clock_at_zero: 0,
    }
}

fn failover_settings(me: Pnn, addresses: &[IpAddr]) -> failover::Settings {
    let configured = |&address: &IpAddr| failover::Configured {
        address,
        mask: 24,
        interfaces: vec!["eth0".to_owned()],
    };
    failover::Settings {
        me,
        addresses: addresses.iter().map(configured).collect(),
        disabled: false,
        // as in test mode: the scripts are believed
        real: false,
        tunables: Tunables::default(),
    }
}

/// A machine with an interface that nothing is on.
struct OneInterface;

impl System for OneInterface {
    fn has_address(&self, _: IpAddr) -> bool {
        false
    }
    fn has_interface(&self, name: &str) -> bool {
        name == "eth0"
    }
}

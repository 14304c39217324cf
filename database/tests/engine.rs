//! The engine by itself, over a store in memory: what happens when locks, freezes and nodes fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use database::io::{ControlRequest, Input, Job, Output, OwnToken, Token, WorkEvent, WorkId};
use database::store::{Lock, Opened, Store, StoreError, Stored};
use database::{ClusterView, Engine, Settings, Time};
use wire::control::Request;
use wire::packet::{Body, CallFlags, ControlFlags, Header, Operation, Packet, ReqCall, function};
use wire::tunables::Tunables;
use wire::types::{
    DbFlags, NodeFlags, OwnedRecord, PullDbExt, RecBuffer, RecordHeader, TransDb, TraverseStart,
    VnnMap,
};
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Srvid};

const ME: Pnn = Pnn(0);
const OTHER: Pnn = Pnn(1);
const CLIENT: ClientId = ClientId(7);

/// One database in memory, some chains of which others hold.
#[derive(Default)]
struct MapStore {
    records: BTreeMap<Vec<u8>, Stored>,
    held_elsewhere: BTreeSet<Vec<u8>>,
    broken: bool,
}

impl Store for MapStore {
    fn open(&mut self, _: DbId, name: &str, _: DbFlags) -> Result<Opened, StoreError> {
        let path = name.to_owned();
        Ok(Opened {
            path,
            open_flags: 0,
            hash_size: 1,
        })
    }
    fn close(&mut self, _: DbId) {}
    fn size(&self, _: DbId) -> u64 {
        self.records.len() as u64 * 1024
    }
    fn try_lock(&mut self, _: DbId, key: &[u8]) -> Result<Lock, StoreError> {
        if self.broken {
            return Err(StoreError::Failed("input/output error".into()));
        }
        Ok(match self.held_elsewhere.contains(key) {
            true => Lock::Busy,
            false => Lock::Held,
        })
    }
    fn unlock(&mut self, _: DbId, _: &[u8]) {}
    fn mark(&mut self, _: DbId, _: &[u8]) {}
    fn unmark(&mut self, _: DbId, _: &[u8]) {}
    fn fetch(&mut self, _: DbId, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        Ok(self.records.get(key).cloned())
    }
    fn store(
        &mut self,
        _: DbId,
        key: &[u8],
        header: &RecordHeader,
        data: &[u8],
    ) -> Result<(), StoreError> {
        let (header, data) = (*header, data.to_vec());
        self.records.insert(key.to_vec(), Stored { header, data });
        Ok(())
    }
    fn delete(&mut self, _: DbId, key: &[u8]) -> Result<(), StoreError> {
        self.records.remove(key);
        Ok(())
    }
    fn mark_all(&mut self, _: DbId) -> Result<(), StoreError> {
        Ok(())
    }
    fn unmark_all(&mut self, _: DbId) {}
    fn enable_seqnum(&mut self, _: DbId) {}
    fn seqnum(&mut self, _: DbId) -> u32 {
        0
    }
    fn bump_seqnum(&mut self, _: DbId) {}
    fn unhealthy_reason(&mut self, _: DbId) -> Option<String> {
        None
    }
    fn set_unhealthy(&mut self, _: DbId, _: Option<&str>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One node, whose worker processes and neighbours are the test.
struct Node {
    now: Time,
    engine: Engine,
    store: MapStore,
    view: ClusterView,
    tokens: u64,
}

impl Node {
    /// A node of a cluster of two, after a recovery.
    fn new() -> Self {
        let tunables = Tunables {
            vacuum_interval: 0,
            ..Tunables::default()
        };
        let view = ClusterView {
            vnn_map: VnnMap {
                generation: Generation(42),
                map: vec![ME, OTHER],
            },
            in_recovery: false,
            started: true,
            nodes: vec![(ME, NodeFlags::empty()), (OTHER, NodeFlags::empty())],
        };
        let mut node = Self {
            now: Time(1),
            engine: Engine::new(Settings { me: ME, tunables }),
            store: MapStore::default(),
            view,
            tokens: 0,
        };
        node.renew_view();
        node
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.engine
            .handle(self.now, input, &mut self.store, &mut out);
        out
    }

    fn renew_view(&mut self) -> Vec<Output> {
        self.input(Input::Cluster(self.view.clone()))
    }

    fn wait(&mut self, time: Duration) -> Vec<Output> {
        self.now += time;
        self.input(Input::Timer)
    }

    fn control(&mut self, client: Option<ClientId>, request: Request) -> (Token, Vec<Output>) {
        self.tokens += 1;
        let token = Token(self.tokens);
        let control = ControlRequest {
            token,
            source: ME,
            client,
            flags: ControlFlags::empty(),
            request,
        };
        (token, self.input(Input::Control(control)))
    }

    fn attach(&mut self, request: Request) -> DbId {
        let (_, out) = self.control(None, request);
        assert_eq!(status(&out), Some(0), "{out:?}");
        self.databases()[0]
    }

    fn databases(&mut self) -> Vec<DbId> {
        let (_, out) = self.control(None, Request::GetDbMap);
        let [Output::Reply { data, .. }] = out.as_slice() else {
            panic!("{out:?}")
        };
        let map =
            <wire::types::DbMap as wire::coding::Decode>::from_bytes(data).expect("good bytes");
        map.dbs.into_iter().map(|db| db.db).collect()
    }

    fn call(&mut self, db: DbId, key: &[u8], reqid: u32) -> Vec<Output> {
        let packet = call(db, key, ReqId(reqid), Generation(0), ME);
        self.input(Input::ClientCall {
            client: CLIENT,
            packet,
        })
    }

    fn work(&mut self, work: WorkId, event: WorkEvent) -> Vec<Output> {
        self.input(Input::Work { work, event })
    }

    /// This node leaves the cluster, as STOP_NODE makes it.
    fn stop(&mut self) -> Vec<Output> {
        self.view.in_recovery = true;
        self.view.vnn_map.generation = Generation::INVALID;
        self.view.nodes[0].1 = NodeFlags::STOPPED;
        self.renew_view();
        self.input(Input::BecameInactive);
        self.control(None, Request::Freeze).1
    }
}

fn call(db: DbId, key: &[u8], reqid: ReqId, generation: Generation, source: Pnn) -> Vec<u8> {
    let body = Body::ReqCall(ReqCall {
        flags: CallFlags::IMMEDIATE_MIGRATION,
        db,
        callid: function::NULL,
        hopcount: 0,
        key,
        calldata: &[],
    });
    let header = Header {
        generation,
        operation: body.operation(),
        destination: ME,
        source,
        reqid,
    };
    Packet { header, body }.to_bytes()
}

fn status(out: &[Output]) -> Option<i32> {
    out.iter().find_map(|output| match output {
        Output::Reply { status, .. } => Some(*status),
        _ => None,
    })
}

/// The job that was given out, if one was.
fn job(out: &[Output]) -> Option<(WorkId, &Job)> {
    out.iter().find_map(|output| match output {
        Output::Work { work, job, .. } => Some((*work, job)),
        _ => None,
    })
}

/// The holder of a database that was ordered to do something, if one was.
fn ordered(out: &[Output]) -> Option<WorkId> {
    out.iter().find_map(|output| match output {
        Output::Order { work, .. } => Some(*work),
        _ => None,
    })
}

/// What clients and nodes were sent.
fn operations(out: &[Output]) -> Vec<Operation> {
    let packet = |output: &Output| match output {
        Output::ToClient(_, packet) | Output::ToNode(_, packet) => {
            Some(Packet::decode(packet).expect("good bytes").header.operation)
        }
        _ => None,
    };
    out.iter().filter_map(packet).collect()
}

fn volatile() -> Request {
    Request::DbAttach("locking.tdb".into())
}

fn persistent() -> Request {
    Request::DbAttachPersistent("registry.tdb".into())
}

/// A key whose location master is this node.
fn own_key() -> Vec<u8> {
    (0u8..)
        .map(|n| vec![n])
        .find(|key| wire::key_hash(key).is_multiple_of(2))
        .expect("good bytes")
}

/// A key whose location master is the other node.
fn other_key() -> Vec<u8> {
    (0u8..)
        .map(|n| vec![n])
        .find(|key| wire::key_hash(key) % 2 == 1)
        .expect("good bytes")
}

fn asked(out: &[Output]) -> BTreeMap<Pnn, OwnToken> {
    let control = |output: &Output| match output {
        Output::Control {
            token: Some(token),
            destination,
            ..
        } => Some((*destination, *token)),
        _ => None,
    };
    out.iter().filter_map(control).collect()
}

fn answered(token: OwnToken, from: Pnn, status: i32) -> Input {
    Input::ControlReply {
        token,
        from,
        status,
        data: Vec::new(),
    }
}

#[test]
fn a_late_answer_to_an_earlier_commit_does_not_count() {
    let mut node = Node::new();
    let db = node.attach(persistent());
    let commit = |node: &mut Node, client| {
        let request = Request::Trans3Commit(RecBuffer::new(db));
        node.control(Some(ClientId(client)), request)
    };
    let (_, out) = commit(&mut node, 1);
    let first = asked(&out);
    // its client dies, a recovery comes, another client commits
    node.input(Input::ClientGone(ClientId(1)));
    let (_, out) = commit(&mut node, 2);
    let second = asked(&out);
    assert_eq!(second.len(), 2, "{out:?}");
    node.input(answered(second[&ME], ME, 0));
    let out = node.input(answered(first[&OTHER], OTHER, 0));
    assert_eq!(status(&out), None, "the other node has not applied it");
    let out = node.input(answered(second[&OTHER], OTHER, 0));
    assert_eq!(status(&out), Some(0));
}

#[test]
fn a_recovery_ends_the_commits_that_it_interrupted_and_no_others() {
    let mut node = Node::new();
    let db = node.attach(persistent());
    let request = Request::Trans3Commit(RecBuffer::new(db));
    let (_, out) = node.control(Some(CLIENT), request);
    // the recovery that was ending when it began
    assert_eq!(status(&node.input(Input::RecoveryEnded)), None, "{out:?}");
    node.view.vnn_map.generation.0 += 1;
    node.renew_view();
    assert_eq!(status(&node.input(Input::RecoveryEnded)), Some(2));
}

#[test]
fn a_commit_that_no_node_would_hold_is_refused() {
    let mut node = Node::new();
    let db = node.attach(persistent());
    node.view.vnn_map.map = vec![];
    node.renew_view();
    let request = Request::Trans3Commit(RecBuffer::new(db));
    let (_, out) = node.control(Some(CLIENT), request);
    assert_eq!(status(&out), Some(-1));
}

#[test]
fn a_commit_is_for_every_node_of_the_map_whatever_this_one_believes() {
    let mut node = Node::new();
    let db = node.attach(persistent());
    for flags in [NodeFlags::DISCONNECTED, NodeFlags::STOPPED] {
        node.view.nodes[1].1 = flags;
        node.renew_view();
        let request = Request::Trans3Commit(RecBuffer::new(db));
        let (_, out) = node.control(Some(CLIENT), request);
        let asked = asked(&out);
        assert!(asked.contains_key(&OTHER), "{flags:?}: {out:?}");
        let out = node.input(answered(asked[&OTHER], OTHER, -1));
        assert!(
            matches!(out.as_slice(), [Output::RecoveryNeeded(_)]),
            "{out:?}"
        );
        node.view.vnn_map.generation.0 += 1;
        node.renew_view();
        node.input(Input::RecoveryEnded);
    }
}

#[test]
fn a_call_waits_between_a_new_map_and_the_recovery_of_its_database() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let key = own_key();
    node.view.in_recovery = true;
    node.view.vnn_map.generation = Generation(43);
    node.renew_view();
    assert_eq!(node.call(db, &key, 5), []);
    assert!(node.store.records.is_empty(), "it is not made anew");
    recover(&mut node, db, Generation(43));
    assert!(
        node.store.records.contains_key(&key),
        "answered at the thaw"
    );
}

#[test]
fn a_leader_that_another_has_followed_commits_nothing() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    node.view.in_recovery = true;
    node.view.vnn_map.generation = Generation(43);
    node.renew_view();
    let (_, out) = node.control(None, Request::DbFreeze(db));
    let (work, _) = job(&out).expect("the freeze");
    node.work(work, WorkEvent::Locked);
    let trans = TransDb {
        db,
        transaction: Generation(43),
    };
    node.control(None, Request::DbTransactionStart(trans.clone()));
    node.view.vnn_map.generation = Generation(44);
    node.renew_view();
    let (_, out) = node.control(None, Request::DbTransactionCommit(trans));
    assert_eq!(status(&out), Some(-1));
}

#[test]
fn a_lock_helper_that_fails_is_not_asked_again_at_once() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let key = own_key();
    node.store.held_elsewhere.insert(key.clone());
    let out = node.call(db, &key, 5);
    let (work, _) = job(&out).expect("a worker waits for the chain");
    let out = node.work(work, WorkEvent::Failed("no processes left".into()));
    assert_eq!(out, [], "neither a worker nor an answer");
    let out = node.wait(Duration::from_secs(1));
    let (again, _) = job(&out).expect("another worker");
    assert_ne!(again, work);
    let out = node.work(again, WorkEvent::Locked);
    assert_eq!(operations(&out), [Operation::ReplyCall]);
    assert!(out.contains(&Output::Release(again)));
}

#[test]
fn a_chain_is_waited_for_over_a_recovery_and_the_newer_packets_count() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let key = own_key();
    node.store.held_elsewhere.insert(key.clone());
    let from_other = |reqid, generation| {
        Input::Packet(call(db, &key, ReqId(reqid), Generation(generation), OTHER))
    };
    let out = node.input(from_other(1, 42));
    let (work, _) = job(&out).unwrap();
    recover(&mut node, db, Generation(43));
    node.input(from_other(2, 43));
    let out = node.work(work, WorkEvent::Locked);
    let reqids: Vec<u32> = out
        .iter()
        .filter_map(|output| match output {
            Output::ToNode(OTHER, packet) => Some(Packet::decode(packet).unwrap().header.reqid.0),
            _ => None,
        })
        .collect();
    assert_eq!(reqids, [2], "{out:?}");
}

/// What a leader commands, for one database.
fn recover(node: &mut Node, db: DbId, generation: Generation) {
    node.view.in_recovery = true;
    node.view.vnn_map.generation = generation;
    node.renew_view();
    let (_, out) = node.control(None, Request::DbFreeze(db));
    if let Some((work, Job::LockAll)) = job(&out) {
        node.work(work, WorkEvent::Locked);
    }
    let trans = TransDb {
        db,
        transaction: generation,
    };
    for request in [
        Request::DbTransactionStart(trans.clone()),
        Request::DbTransactionCommit(trans),
        Request::DbThaw(db),
    ] {
        let (_, mut out) = node.control(None, request.clone());
        if let Some(work) = ordered(&out) {
            out = node.work(work, WorkEvent::Ordered(Ok(0)));
        }
        assert_eq!(status(&out), Some(0), "{request:?}");
    }
    node.view.in_recovery = false;
    node.renew_view();
    node.input(Input::RecoveryModeNormal);
}

#[test]
fn what_a_client_left_waiting_goes_with_it() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let key = own_key();
    node.store.held_elsewhere.insert(key.clone());
    let out = node.call(db, &key, 5);
    let (work, _) = job(&out).unwrap();
    let out = node.input(Input::ClientGone(CLIENT));
    assert!(out.contains(&Output::Release(work)), "{out:?}");
    assert_eq!(node.engine.take_statistics().locks.num_current, 0);
}

#[test]
fn a_client_is_told_when_its_record_cannot_be_locked() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    node.store.broken = true;
    let out = node.call(db, b"k", 5);
    assert_eq!(operations(&out), [Operation::ReplyError]);
    let wanted = |output: &Output| matches!(output, Output::RecoveryNeeded(_));
    assert!(out.iter().any(wanted));
}

#[test]
fn an_inactive_node_stays_frozen() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let out = node.stop();
    let (work, _) = job(&out).unwrap();
    node.work(work, WorkEvent::Locked);
    assert!(node.engine.all_frozen());
    let (_, out) = node.control(None, Request::DbThaw(db));
    assert_eq!(status(&out), Some(-1), "of a leader that is behind");
    assert!(node.engine.all_frozen());

    // the process that held it still dies
    node.work(work, WorkEvent::Failed("killed".into()));
    assert!(!node.engine.all_frozen());
    let out = node.wait(Duration::from_secs(1));
    let (again, _) = job(&out).expect("it is frozen again");
    node.work(again, WorkEvent::Locked);
    assert!(node.engine.all_frozen());

    // what was written meanwhile is pulled by nobody
    node.store.records.insert(
        b"k".to_vec(),
        Stored {
            header: RecordHeader::default(),
            data: b"alone".to_vec(),
        },
    );
    node.view.nodes[0].1 = NodeFlags::empty();
    node.renew_view();
    let pull = PullDbExt {
        db,
        lmaster: 0,
        srvid: Srvid(9),
    };
    let (_, out) = node.control(None, Request::DbPull(pull));
    assert_eq!(out.len(), 1, "{out:?}");
    recover(&mut node, db, Generation(43));
    assert!(!node.engine.all_frozen());
}

#[test]
fn a_freeze_counts_as_a_lock_that_is_held_until_the_thaw() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let (_, out) = node.control(None, Request::DbFreeze(db));
    let (work, _) = job(&out).unwrap();
    node.work(work, WorkEvent::Locked);
    let locks = node.engine.take_statistics().locks;
    assert_eq!(
        (locks.num_calls, locks.num_current, locks.num_failed),
        (1, 1, 0)
    );
    assert_eq!(locks.latency.num, 1);
    node.control(None, Request::DbThaw(db));
    let locks = node.engine.take_statistics().locks;
    assert_eq!((locks.num_calls, locks.num_current), (0, 0));
}

#[test]
fn a_database_that_comes_to_an_inactive_node_is_frozen() {
    let mut node = Node::new();
    node.stop();
    let (_, out) = node.control(None, volatile());
    let (work, what) = job(&out).expect("it is frozen");
    assert_eq!(*what, Job::LockAll);
    node.work(work, WorkEvent::Locked);
    assert!(node.engine.all_frozen(), "or a ban would never end");
}

#[test]
fn detaching_leaves_nobody_waiting() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let (near, far) = (own_key(), other_key());
    node.store.held_elsewhere.insert(near.clone());
    node.call(db, &near, 1); // waits for the chain
    node.call(db, &far, 2); // is on its way
    node.call(db, &far, 3); // waits for that
    let tunables = Tunables {
        allow_client_db_attach: 0,
        ..Tunables::default()
    };
    node.input(Input::Tunables(Box::new(tunables)));
    let (_, out) = node.control(None, Request::DbDetach(db));
    assert_eq!(operations(&out), [Operation::ReplyError; 3], "{out:?}");
}

#[test]
fn an_attach_that_came_too_early_is_answered_when_the_node_has_started() {
    let mut node = Node::new();
    node.view.started = false;
    node.renew_view();
    let (_, out) = node.control(Some(CLIENT), volatile());
    assert_eq!(status(&out), None);
    node.input(Input::RecoveryModeNormal);
    node.view.started = true;
    let out = node.renew_view();
    assert_eq!(status(&out), Some(0), "{out:?}");
}

#[test]
fn nothing_is_left_in_the_clock_of_calls_and_commits_that_ended() {
    let mut node = Node::new();
    let (db, kept) = (node.attach(volatile()), node.attach(persistent()));
    for turn in 0..10 {
        let out = node.call(db, &other_key(), turn);
        assert_eq!(operations(&out), [Operation::ReqCall]);
        assert!(node.engine.poll_timeout().is_some());
        node.input(Input::ClientGone(CLIENT));
        let request = Request::Trans3Commit(RecBuffer::new(kept));
        let (_, out) = node.control(Some(CLIENT), request);
        for (from, token) in asked(&out) {
            node.input(answered(token, from, 0));
        }
    }
    assert_eq!(node.engine.poll_timeout(), None);
}

#[test]
fn a_record_is_not_given_to_a_node_that_is_not_there() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let key = own_key();
    let stranger = call(db, &key, ReqId(1), Generation(42), Pnn(99));
    assert_eq!(operations(&node.input(Input::Packet(stranger))), []);
    let out = node.call(db, &key, 5);
    assert_eq!(operations(&out), [Operation::ReplyCall]);
}

#[test]
fn a_sequence_number_that_is_being_written_is_waited_for() {
    let mut node = Node::new();
    let db = node.attach(persistent());
    let key = wire::types::SEQNUM_KEY.to_vec();
    node.store.held_elsewhere.insert(key.clone());
    let ask = Request::GetDbSeqnum(wire::types::DbSeqnum { db });
    let (_, out) = node.control(None, ask.clone());
    assert_eq!(status(&out), None);
    node.store.held_elsewhere.clear();
    assert_eq!(status(&node.wait(Duration::from_millis(5))), Some(0));

    node.store.held_elsewhere.insert(key);
    let (_, out) = node.control(None, ask);
    assert_eq!(status(&out), None);
    assert_eq!(status(&node.wait(Duration::from_secs(11))), Some(-1));
}

#[test]
fn commits_of_a_node_do_not_queue_without_end() {
    let mut node = Node::new();
    let db = node.attach(persistent());
    recover(&mut node, db, Generation(42));
    let mut records = RecBuffer::new(db);
    records.push(ReqId(0), Some(RecordHeader::default()), b"key", b"value");
    let update = Request::UpdateRecord(records);
    for _ in 0..1000 {
        let (_, out) = node.control(None, update.clone());
        assert_eq!(status(&out), None, "waits");
    }
    let (_, out) = node.control(None, update);
    assert_eq!(status(&out), Some(-1));
}

/// The traverses that this node asks others for, by their number.
fn traverses(out: &[Output]) -> Vec<ReqId> {
    let asked = |output: &Output| match output {
        Output::Control {
            destination: OTHER,
            request: Request::TraverseAll(all),
            ..
        } => Some(all.reqid),
        _ => None,
    };
    out.iter().filter_map(asked).collect()
}

fn traverse(db: DbId) -> Request {
    Request::TraverseStart(TraverseStart {
        db,
        reqid: ReqId(5),
        srvid: Srvid(7),
    })
}

#[test]
fn only_who_was_asked_takes_part_in_a_traverse() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    let (_, out) = node.control(Some(CLIENT), traverse(db));
    let [reqid] = traverses(&out)[..] else {
        panic!("{out:?}")
    };
    let mut data_of = |source, key: &[u8]| {
        let record = OwnedRecord {
            reqid,
            key: key.to_vec(),
            data: key.to_vec(),
        };
        let control = ControlRequest {
            token: Token(99),
            source,
            client: None,
            flags: ControlFlags::empty(),
            request: Request::TraverseData(record),
        };
        status(&node.input(Input::Control(control)))
    };
    assert_eq!(data_of(Pnn(9), b"key"), Some(-1));
    assert_eq!(data_of(OTHER, b"key"), Some(0));
    assert_eq!(data_of(OTHER, b""), Some(0), "its end");
    assert_eq!(data_of(OTHER, b"key"), Some(-1));
    assert_eq!(data_of(ME, b""), Some(0));
    assert_eq!(data_of(ME, b""), Some(-1), "all have ended");
}

#[test]
fn a_client_cannot_traverse_without_end() {
    let mut node = Node::new();
    let db = node.attach(volatile());
    for _ in 0..1000 {
        let (_, out) = node.control(Some(CLIENT), traverse(db));
        assert_eq!(status(&out), Some(0));
    }
    let (_, out) = node.control(Some(CLIENT), traverse(db));
    assert_eq!(status(&out), Some(-1));
    let (_, out) = node.control(Some(ClientId(77)), traverse(db));
    assert_eq!(status(&out), Some(0), "another one can");
    node.input(Input::ClientGone(CLIENT));
    let (_, out) = node.control(Some(CLIENT), traverse(db));
    assert_eq!(status(&out), Some(0));
}

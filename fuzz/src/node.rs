//! What is behind the sockets: packets of clients and of another node reach the database, the node's side of the
//! cluster and its public addresses, with databases in memory.
//!
//! A packet whose source is [`Pnn::UNKNOWN`] is a client's, all others are the other node's, of the present generation. A
//! tunnel's packet lets its tunnel's number of milliseconds pass. Of what the node does no part may panic, no control is
//! answered twice, whatever it sends can be read, and it comes to rest.

#[path = "../../ctdbd/tests/rig/store.rs"]
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use cluster::membership::{self, LockOutcome, Membership, NodeEntry, Notification};
use database::frozen::{Clerk, Order};
use database::io as engine;
use database::io::WorkId;
use database::{ClusterView, Engine};
use failover::{Configured, Failover, Outcome, System};
use store::{Held, MapStore};
use wire::control::Request;
use wire::packet::{Body, ControlFlags, Packet, frame_length};
use wire::tunables::Tunables;
use wire::types::{BanState, RecoveryMode, RunState, SockAddr, VnnMap};
use wire::{ClientId, DbId, Generation, Pnn, Srvid, Time};

const ME: Pnn = Pnn(0);
const OTHER: Pnn = Pnn(1);
const CLIENT: ClientId = ClientId(7);
const GENERATION: Generation = Generation(42);
/// Where a packet's header has the generation.
const GENERATION_AT: usize = 12;
/// So many steps after one packet, and the node does not come to rest.
const STEPS: u32 = 100_000;
/// The longest packet, as in a stream.
const LONGEST: usize = 1 << 16;

/// A stream of packets, and then a long silence.
pub(crate) fn node(mut bytes: &[u8]) {
    let mut node = Node::started();
    while let Ok(Some(length)) = frame_length(bytes) {
        let Some((frame, rest)) = bytes.split_at_checked(length.min(LONGEST)) else {
            break;
        };
        node.takes(frame.to_vec());
        bytes = rest;
    }
    node.waits(Duration::from_secs(200));
}

/// Who gets the answer to a control of this node's.
enum Asker {
    Engine(engine::OwnToken),
    Membership(membership::OwnToken),
    Nobody,
}

/// One node of two.
struct Node {
    now: Time,
    engine: Engine,
    membership: Membership,
    failover: Failover,
    store: MapStore,
    /// Controls that have no answer yet.
    asked: BTreeMap<u64, Asker>,
    last_token: u64,
    todo: VecDeque<engine::Input>,
    /// Databases that workers hold.
    frozen: BTreeMap<WorkId, (DbId, Clerk)>,
}

impl Node {
    /// Running, with the databases of the samples, and behind a recovery of the other node.
    fn started() -> Self {
        let settings = settings();
        let tunables = settings.tunables.clone();
        let mut out = membership::Outputs::new();
        let membership = Membership::new(settings, Time::ZERO, &mut out);
        let mut node = Self {
            now: Time(1),
            engine: Engine::new(database::Settings { me: ME, tunables }),
            membership,
            failover: failover(),
            store: MapStore::default(),
            asked: BTreeMap::new(),
            last_token: 0,
            todo: VecDeque::new(),
            frozen: BTreeMap::new(),
        };
        node.follows(&mut out);
        node.tell(membership::Input::Connected(OTHER));
        let map = VnnMap {
            generation: GENERATION,
            map: vec![ME, OTHER],
        };
        for step in [
            Request::SetRecmode(RecoveryMode::Active),
            Request::StartRecovery,
            Request::SetVnnMap(map),
            Request::SetRecmode(RecoveryMode::Normal),
            Request::EndRecovery,
            Request::DbAttach("locking.tdb".into()),
            Request::DbAttach("g_lock.tdb".into()),
            Request::DbAttach("brlock.tdb".into()),
            Request::DbAttachPersistent("registry.tdb".into()),
            Request::DbAttachReplicated("ctdb.tdb".into()),
        ] {
            node.asks(OTHER, None, step, Asker::Nobody);
            node.settle();
        }
        node
    }

    /// A packet of a client or of the other node.
    fn takes(&mut self, mut frame: Vec<u8>) {
        frame[GENERATION_AT..][..4].copy_from_slice(&GENERATION.0.to_ne_bytes());
        let Ok(packet) = Packet::decode(&frame) else {
            return;
        };
        let local = packet.header.source == Pnn::UNKNOWN;
        let reqid = packet.header.reqid.0.into();
        let client = local.then_some(CLIENT);
        match packet.body {
            Body::ReqCall(_) if local => self.todo.push_back(engine::Input::ClientCall {
                client: CLIENT,
                packet: frame,
            }),
            Body::ReqControl(it) => {
                if let Ok(request) = Request::decode(it.opcode, it.srvid, it.data) {
                    let source = if local { ME } else { OTHER };
                    self.asks(source, client, request, Asker::Nobody);
                }
            }
            Body::ReplyControl(it) => self.hears(reqid, it.status, it.data),
            Body::ReqMessage(it) => self.pushes(it.srvid, it.data),
            Body::ReqKeepalive(it) => self.tell(membership::Input::Keepalive {
                from: OTHER,
                version: Some(it.version),
                uptime: Some(it.uptime),
            }),
            Body::ReqTunnel(it) => {
                let time = it.tunnel.0 % 100_000;
                self.waits(Duration::from_millis(time));
            }
            _ => self.todo.push_back(engine::Input::Packet(frame)),
        }
        self.settle();
    }

    fn pushes(&mut self, srvid: Srvid, data: &[u8]) {
        let data = data.to_vec();
        self.todo.push_back(engine::Input::Pushed { srvid, data });
    }

    /// The other node answers a control, or says that it does.
    fn hears(&mut self, number: u64, status: i32, data: &[u8]) {
        let data = data.to_vec();
        self.todo.push_back(engine::Input::ControlReply {
            token: engine::OwnToken(number),
            from: OTHER,
            status,
            data: data.clone(),
        });
        let token = membership::OwnToken(number);
        self.tell(membership::Input::ControlReply {
            token,
            status,
            data,
        });
    }

    /// A control for whichever part answers it.
    fn asks(&mut self, source: Pnn, client: Option<ClientId>, request: Request, asker: Asker) {
        self.last_token += 1;
        let number = self.last_token;
        if Membership::answers(&request) {
            self.asked.insert(number, asker);
            let differ = self.engine.generations_differ(GENERATION);
            self.tell(membership::Input::DatabaseGenerationsDiffer(differ));
            self.tell(membership::Input::Control {
                token: membership::Token(number),
                source,
                request,
            });
        } else if Engine::answers(&request) {
            self.asked.insert(number, asker);
            let control = engine::ControlRequest {
                token: engine::Token(number),
                source,
                client,
                flags: ControlFlags::empty(),
                request,
            };
            self.todo.push_back(engine::Input::Control(control));
        } else if Failover::answers(&request) {
            self.asked.insert(number, asker);
            let control = failover::ControlRequest {
                token: failover::Token(number),
                source,
                client,
                flags: ControlFlags::empty(),
                request,
            };
            self.moves(failover::Input::Control(control));
        }
    }

    fn answers(&mut self, number: u64, status: i32, data: Vec<u8>) {
        match self.asked.remove(&number).expect("one answer each") {
            Asker::Engine(token) => self.todo.push_back(engine::Input::ControlReply {
                token,
                from: ME,
                status,
                data,
            }),
            Asker::Membership(token) => self.tell(membership::Input::ControlReply {
                token,
                status,
                data,
            }),
            Asker::Nobody => {}
        }
    }

    /// Works until there is nothing left to do.
    fn settle(&mut self) {
        for step in 0.. {
            assert!(step < STEPS, "it does not come to rest");
            let Some(input) = self.todo.pop_front() else {
                return;
            };
            let mut out = Vec::new();
            self.engine
                .handle(self.now, input, &mut self.store, &mut out);
            for output in out {
                self.does(output);
            }
        }
    }

    fn does(&mut self, output: engine::Output) {
        use engine::Output as E;
        match output {
            E::ToNode(ME, packet) => self.todo.push_back(engine::Input::Packet(packet)),
            E::ToNode(_, packet) | E::ToClient(_, packet) => {
                Packet::decode(&packet).expect("a good packet");
            }
            E::Reply {
                token,
                status,
                data,
                ..
            } => self.answers(token.0, status, data),
            E::Control {
                token,
                destination,
                request,
                ..
            } if destination == ME || destination.is_broadcast() => {
                let asker = token.map_or(Asker::Nobody, Asker::Engine);
                self.asks(ME, None, request, asker);
            }
            E::Work { work, db, job } => {
                if job == engine::Job::LockAll {
                    self.frozen.insert(work, (db, Clerk::default()));
                }
                let event = done(&job);
                self.todo.push_back(engine::Input::Work { work, event });
            }
            E::Order { work, order } => self.carries_out(work, order),
            E::Release(work) => {
                if let Some((db, mut clerk)) = self.frozen.remove(&work) {
                    let store = &mut self.store;
                    let rolled_back = clerk.release(&mut Held { store, db });
                    rolled_back.expect("a transaction that was begun");
                }
            }
            E::RecoveryNeeded(reason) => self.tell(membership::Input::RecoveryNeeded { reason }),
            _ => {}
        }
    }

    /// The worker that holds a database does what it is ordered.
    fn carries_out(&mut self, work: WorkId, order: Order) {
        let Some((db, clerk)) = self.frozen.get_mut(&work) else {
            return;
        };
        let (store, db, todo) = (&mut self.store, *db, &mut self.todo);
        clerk.carry_out(&mut Held { store, db }, order, &mut |event| {
            todo.push_back(engine::Input::Work { work, event });
            ControlFlow::Continue(())
        });
    }

    /// Something for the node's side of the cluster, and what it does about it.
    fn tell(&mut self, input: membership::Input) {
        let mut out = membership::Outputs::new();
        self.membership.handle(self.now, input, &mut out);
        self.follows(&mut out);
    }

    fn follows(&mut self, out: &mut membership::Outputs) {
        use membership::Output as M;
        for output in out.drain().collect::<Vec<_>>() {
            match output {
                M::Reply {
                    token,
                    status,
                    data,
                    ..
                } => self.answers(token.0, status, data),
                M::Control {
                    token,
                    destination,
                    request,
                } if destination == ME || destination.is_broadcast() => {
                    let asker = token.map_or(Asker::Nobody, Asker::Membership);
                    self.asks(ME, None, request, asker);
                }
                // the other node has no cluster lock either
                M::Control {
                    token: Some(token),
                    request: Request::GetReclockFile,
                    ..
                } => self.tell(membership::Input::ControlReply {
                    token,
                    status: 0,
                    data: Vec::new(),
                }),
                M::CheckClusterLock(token) => self.tell(membership::Input::LockChecked {
                    token,
                    outcome: LockOutcome::Contended,
                    latency: 0.1,
                }),
                M::RunEvent { token, .. } => self.tell(membership::Input::EventDone {
                    token,
                    outcome: wire::event::Outcome::Passed,
                }),
                M::Notify(notification) => self.notes(&notification),
                _ => {}
            }
        }
    }

    /// Something for the public addresses, and what follows.
    fn moves(&mut self, input: failover::Input) {
        use failover::Output as F;
        let mut out = Vec::new();
        self.failover.handle(self.now, input, &Here, &mut out);
        for output in out {
            match output {
                F::Reply {
                    token,
                    status,
                    data,
                    ..
                } => self.answers(token.0, status, data),
                F::RunEvent { id, .. } => self.moves(failover::Input::EventDone {
                    id,
                    outcome: Outcome::Passed,
                }),
                F::Control {
                    destination,
                    request,
                } if destination == ME || destination.is_broadcast() => {
                    self.asks(ME, None, request, Asker::Nobody);
                }
                F::ReadAddresses => self.moves(failover::Input::AddressesRead(Ok(addresses()))),
                F::BanSelf => {
                    let ban = BanState { pnn: ME, time: 10 };
                    self.asks(ME, None, Request::SetBanState(ban), Asker::Nobody);
                }
                _ => {}
            }
        }
    }

    fn notes(&mut self, notification: &Notification) {
        let run_state = self.membership.run_state();
        let nodes = self.membership.node_map().nodes;
        let view = ClusterView {
            vnn_map: self.membership.vnn_map().clone(),
            in_recovery: self.membership.in_recovery(),
            started: matches!(run_state, RunState::Startup | RunState::Running),
            nodes: nodes.iter().map(|node| (node.pnn, node.flags)).collect(),
        };
        self.moves(failover::Input::View(failover::View {
            run_state,
            flags: self.membership.own_flags(),
            in_recovery: view.in_recovery,
        }));
        self.todo.push_back(engine::Input::Cluster(view));
        let input = match notification {
            Notification::RunState(RunState::Startup) => {
                return self.tell(membership::Input::StartedUp);
            }
            Notification::RecoveryMode(false) => engine::Input::RecoveryModeNormal,
            Notification::BecameInactive => {
                self.moves(failover::Input::BecameInactive);
                engine::Input::BecameInactive
            }
            Notification::RecoveryEnded => engine::Input::RecoveryEnded,
            _ => return,
        };
        self.todo.push_back(input);
    }

    /// Time passes, with all that it brings.
    fn waits(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        for _ in 0..1000 {
            let parts = [
                self.engine.poll_timeout(),
                self.membership.poll_timeout(),
                self.failover.poll_timeout(),
            ];
            let next = parts.into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = next.max(self.now);
            self.todo.push_back(engine::Input::Timer);
            self.tell(membership::Input::Timer);
            self.moves(failover::Input::Timer);
            self.settle();
            self.now += Duration::from_nanos(1);
        }
        self.now = end.max(self.now);
    }
}

/// A machine with one interface, which has every address.
struct Here;

impl System for Here {
    fn has_address(&self, _: IpAddr) -> bool {
        true
    }
    fn has_interface(&self, name: &str) -> bool {
        name == "eth0"
    }
}

fn addresses() -> Vec<Configured> {
    let address = |last| Configured {
        address: IpAddr::from([10, 0, 0, last]),
        mask: 24,
        interfaces: vec!["eth0".to_owned()],
    };
    vec![address(1), address(2)]
}

fn failover() -> Failover {
    let settings = failover::Settings {
        me: ME,
        addresses: addresses(),
        disabled: false,
        real: true,
        tunables: Tunables::default(),
    };
    Failover::new(settings, &Here).expect("good addresses")
}

/// Every job is done at once.
fn done(job: &engine::Job) -> engine::WorkEvent {
    use engine::{Job, WorkEvent};
    match job {
        Job::LockRecord(_) | Job::LockAll => WorkEvent::Locked,
        Job::Commit { .. } => WorkEvent::Committed(0, String::new()),
        Job::Traverse { .. } => WorkEvent::Traversed(0),
        Job::Repack { .. } => WorkEvent::Repacked {
            free: 0,
            repacked: false,
        },
    }
}

fn settings() -> membership::Settings {
    let node = |pnn: Pnn| NodeEntry {
        pnn,
        addr: SockAddr::from(std::net::SocketAddr::from((
            [127, 0, 0, 1 + pnn.0 as u8],
            4379,
        ))),
        deleted: false,
    };
    membership::Settings {
        me: ME,
        nodes: vec![node(ME), node(OTHER)],
        cluster_lock: None,
        fence: None,
        leader_capability: true,
        lmaster_capability: true,
        version: 0x0004_0011,
        start_as_disabled: false,
        start_as_stopped: false,
        wall_clock_at_zero: 0,
        tunables: Tunables::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_in_use() {
        let node = Node::started();
        assert!(!node.membership.in_recovery());
        assert_eq!(node.membership.run_state(), RunState::Running);
        assert_eq!(node.engine.database_count(), 5);
        assert!(node.asked.is_empty());
    }
}

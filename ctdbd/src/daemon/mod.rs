//! The daemon as one machine: what comes from clients, nodes and workers goes in, what is to be done comes out.
//!
//! No socket, no clock and no process is here; [`crate::shell`] has them. The daemon joins the parts and is the only one
//! that knows all of them:
//!
//! ```text
//!   client packets ─┐                        ┌─ REQ_CALL … REPLY_ERROR ─▶ database::Engine ──┐
//!   node packets ───┼─▶ Daemon ──────────────┼─ REQ_CONTROL ─▶ the part that answers it      ├─▶ outputs
//!   worker events ──┘   (mod.rs)             ├─ REPLY_CONTROL ─▶ whoever asked (asking.rs)   │
//!                                            ├─ REQ_MESSAGE ─▶ registered SRVIDs (router.rs) │
//!                                            ├─ REQ_TUNNEL ─▶ registered tunnels (router.rs) │
//!                                            ├─ addresses ─▶ failover::Failover ─────────────┤
//!                                            ├─ keepalives ─▶ cluster::membership            │
//!   event daemon ───┘                        └─ its answers ─▶ service::Service (events.rs) ─┘
//! ```
//!
//! Whatever a part wants to tell this node itself goes through one queue (`Local`), and so keeps its order with
//! everything else. Messages alone do not wait in it: see `router.rs`.

mod addresses;
mod asking;
mod clients;
mod controls;
mod events;
mod io;
mod local_controls;
mod parts;
mod router;
mod statistics;
mod strangers;

use std::collections::{BTreeMap, VecDeque};

use cluster::fence;
use cluster::membership::{self, Membership};
use database::store::Store;
use database::{DatabaseState, Engine};
use failover::Failover;
use service::{EventId, Service};
use tracing::{error, info, warn};
use wire::packet::{Body, Header, Packet};
use wire::tunables::Tunables;
use wire::types::Statistics;
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Time};

pub use io::{Input, Output, ReadFor};

use asking::{Asker, Asking};
use clients::Clients;
use events::WhoseEvent;
use router::Router;
use statistics::History;

/// What the daemon is told once, at its start.
pub struct Settings {
    /// This node's side of the cluster manager.
    pub membership: membership::Settings,
    /// The public addresses that this node can host.
    pub failover: Failover,
    /// The interfaces of this machine.
    pub system: Box<dyn failover::System>,
    /// Whether there is an event daemon; without one every event passes.
    pub event_daemon: bool,
    /// The log level at the start, as GET_DEBUG tells it.
    pub log_level: i32,
    /// This process, as GET_PID tells it.
    pub pid: i32,
    /// The wall clock at [`Time::ZERO`], in microseconds since 1970.
    pub wall_clock_at_zero: u64,
}

/// Something that this node sends to itself.
#[derive(Debug)]
enum Local {
    /// A packet between nodes, whole.
    Packet(Vec<u8>),
    /// A control that is answered here.
    Control(controls::Question),
    /// The answer to a control of the database.
    ToEngine(database::io::Input),
    /// An input of the cluster manager's node side.
    ToMembership(membership::Input),
    /// An input of the public addresses.
    ToFailover(failover::Input),
}

/// A node of the cluster: everything of ctdbd but the sockets and processes.
pub struct Daemon {
    me: Pnn,
    pid: i32,
    log_level: i32,
    wall_clock_at_zero: u64,
    now: Time,
    generation: Generation,
    tunables: Tunables,
    clients: Clients,
    router: Router,
    asking: Asking,
    engine: Engine,
    membership: Membership,
    failover: Failover,
    system: Box<dyn failover::System>,
    service: Service,
    store: Box<dyn Store>,
    statistics: Statistics,
    history: History,
    /// Controls that a part has been asked, by the token that it answers to.
    questions: BTreeMap<u64, Asker>,
    last_token: u64,
    /// Events that have not ended.
    events: BTreeMap<EventId, WhoseEvent>,
    last_event: u64,
    /// What the service manager last heard of the node.
    told_service: service::View,
    /// Whether all databases were frozen when the membership last heard of it.
    all_frozen: bool,
    local: VecDeque<Local>,
    /// What the membership asked the shell; kept here so that its outputs can be handled in order.
    member_out: membership::Outputs,
}

impl Daemon {
    /// A daemon without clients, that has heard of no other node.
    pub fn new(settings: Settings, store: Box<dyn Store>, out: &mut Vec<Output>) -> Self {
        let me = settings.membership.me;
        let tunables = settings.membership.tunables.clone();
        let mut member_out = membership::Outputs::new();
        let membership = Membership::new(settings.membership, Time::ZERO, &mut member_out);
        let engine = Engine::new(database::Settings {
            me,
            tunables: tunables.clone(),
        });
        let service = Service::new(service::Settings {
            present: settings.event_daemon,
            limits: service::Limits::from(&tunables),
        });
        let mut daemon = Self {
            me,
            pid: settings.pid,
            log_level: settings.log_level,
            wall_clock_at_zero: settings.wall_clock_at_zero,
            now: Time::ZERO,
            generation: Generation::INVALID,
            tunables,
            clients: Clients::default(),
            router: Router::default(),
            asking: Asking::new((settings.wall_clock_at_zero >> 10) as u32),
            engine,
            membership,
            failover: settings.failover,
            system: settings.system,
            service,
            store,
            statistics: Statistics::default(),
            history: History::default(),
            questions: BTreeMap::new(),
            last_token: 0,
            events: BTreeMap::new(),
            last_event: 0,
            told_service: service::View::default(),
            all_frozen: true,
            local: VecDeque::new(),
            member_out,
        };
        daemon.begin_statistics();
        daemon.tell_database_of_cluster(out);
        daemon.tell_failover_of_node(out);
        daemon.settle(out);
        daemon
    }

    /// Opens a persistent database that was found on disk, and freezes it: a node starts frozen.
    ///
    /// # Errors
    /// If the file cannot be used, with a text that names it.
    pub fn attach_at_start(&mut self, name: &str, out: &mut Vec<Output>) -> Result<(), String> {
        let mut engine_out = Vec::new();
        let id = self
            .engine
            .attach_at_start(name, &mut *self.store, &mut engine_out)?;
        self.carry_out_engine(engine_out, out);
        let freeze = wire::control::Request::DbFreeze(id);
        self.local
            .push_back(Local::Control(controls::Question::of_our_own(
                self.me, freeze,
            )));
        self.settle(out);
        Ok(())
    }

    /// Takes one input; what is to be done about it, in order, is appended to `out`.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Output>) {
        self.now = now;
        if self.membership.is_fence_due(now) {
            self.tell_membership(membership::Input::Timer, out);
        }
        match input {
            Input::ClientConnected { client, pid } => self.clients.add(client, pid),
            Input::ClientPacket { client, packet } => self.client_packet(client, packet, out),
            Input::ClientGone(client) => self.client_gone(client, out),
            Input::NodePacket { from, packet } => self.node_packet(from, packet, out),
            Input::NodeConnected(node) => {
                self.tell_membership(membership::Input::Connected(node), out)
            }
            Input::NodeDisconnected(node) => {
                self.fail_questions_to(node, out);
                self.tell_membership(membership::Input::Disconnected(node), out);
            }
            Input::Work { work, event } => {
                self.tell_engine(database::io::Input::Work { work, event }, out)
            }
            Input::LockChecked {
                token,
                outcome,
                latency,
            } => {
                self.tell_membership(
                    membership::Input::LockChecked {
                        token,
                        outcome,
                        latency,
                    },
                    out,
                );
            }
            Input::NodesRead { what_for, nodes } => self.nodes_read(what_for, nodes, out),
            Input::AddressesRead(read) => {
                self.tell_failover(failover::Input::AddressesRead(read), out);
            }
            Input::Eventd(news) => self.tell_service(service::Input::Eventd(news), out),
            Input::ShutdownAsked { exit_code, reason } => {
                let input = membership::Input::ShutdownAsked { exit_code, reason };
                self.tell_membership(input, out);
            }
            Input::Timer => self.timers(out),
        }
        self.settle(out);
    }

    /// Works through what this node told itself, until it is quiet.
    fn settle(&mut self, out: &mut Vec<Output>) {
        loop {
            self.drain_membership(out);
            while let Some(local) = self.local.pop_front() {
                match local {
                    Local::Packet(packet) => {
                        self.tell_engine(database::io::Input::Packet(packet), out)
                    }
                    Local::Control(question) => self.question(question, out),
                    Local::ToEngine(input) => self.tell_engine(input, out),
                    Local::ToMembership(input) => self.tell_membership(input, out),
                    Local::ToFailover(input) => self.tell_failover(input, out),
                }
                self.drain_membership(out);
            }
            self.tell_if_all_frozen(out);
            self.tell_service_of_node(out);
            if self.local.is_empty() {
                return;
            }
        }
    }

    /// When [`Input::Timer`] is due, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let parts = [
            self.engine.poll_timeout(),
            self.membership.poll_timeout(),
            self.failover.poll_timeout(),
            self.service.poll_timeout(),
            self.asking.first_deadline(),
            self.history.due(&self.tunables),
        ];
        parts.into_iter().flatten().min()
    }

    /// This node's side of the cluster, to be looked at.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// How a database is; none if it is not attached.
    #[must_use]
    pub fn database(&self, db: DbId) -> Option<DatabaseState> {
        self.engine.database_state(db)
    }

    fn timers(&mut self, out: &mut Vec<Output>) {
        if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
            self.tell_engine(database::io::Input::Timer, out);
        }
        if self
            .membership
            .poll_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.tell_membership(membership::Input::Timer, out);
        }
        if self
            .failover
            .poll_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.tell_failover(failover::Input::Timer, out);
        }
        if self.service.poll_timeout().is_some_and(|at| at <= self.now) {
            self.tell_service(service::Input::Timer, out);
        }
        self.fail_late_questions(out);
        self.keep_history();
    }

    /// A packet from a local client.
    fn client_packet(&mut self, client: ClientId, bytes: Vec<u8>, out: &mut Vec<Output>) {
        self.statistics.client_packets_recv += 1;
        let packet = match Packet::decode(&bytes) {
            Ok(packet) => packet,
            Err(why) => {
                return out.push(Output::CloseClient {
                    client,
                    reason: why.to_string(),
                });
            }
        };
        let Header {
            destination, reqid, ..
        } = packet.header;
        let to = if destination == Pnn::CURRENT {
            self.me
        } else {
            destination
        };
        match packet.body {
            Body::ReqCall(_) => {
                self.statistics.client_req_call += 1;
                if !self.clients.calls(client, bytes.len()) {
                    let reason = "too many calls that wait for their answers".to_owned();
                    return out.push(Output::CloseClient { client, reason });
                }
                self.tell_engine(
                    database::io::Input::ClientCall {
                        client,
                        packet: bytes,
                    },
                    out,
                );
            }
            Body::ReqMessage(message) => {
                self.statistics.client_req_message += 1;
                if message.srvid == fence::STANDING && to == self.me {
                    let standing = membership::Input::Standing(message.data.to_vec());
                    return self.tell_membership(standing, out);
                }
                self.send_message(to, message.srvid, message.data, out);
            }
            Body::ReqControl(control) => {
                self.statistics.client_req_control += 1;
                self.client_control(client, to, reqid, &control, out);
            }
            Body::ReqTunnel(tunnel) => {
                self.statistics.client_req_tunnel += 1;
                self.send_tunnel(to, reqid, &tunnel, out);
            }
            _ => {
                let reason = format!(
                    "{:?} is no packet for a client to send",
                    packet.header.operation
                );
                out.push(Output::CloseClient { client, reason });
            }
        }
    }

    /// A packet from another node.
    fn node_packet(&mut self, from: Pnn, bytes: Vec<u8>, out: &mut Vec<Output>) {
        self.membership.heard(from);
        self.statistics.node_packets_recv += 1;
        let packet = match Packet::decode(&bytes) {
            Ok(packet) => packet,
            Err(why) => {
                error!(%from, %why, "malformed packet from a node; its connection is closed");
                return out.push(Output::DropNode(from));
            }
        };
        // a call that the location master redirected still names the node that first sent it
        let redirected = matches!(packet.body, Body::ReqCall(_));
        if packet.header.source != from && !redirected {
            warn!(%from, source = %packet.header.source, "packet in the name of another node dropped");
            return;
        }
        self.count_node_packet(&packet.body);
        let reqid = packet.header.reqid;
        if self.is_about_fence(from, reqid, &packet.body, out) {
            return;
        }
        match packet.body {
            Body::ReqMessage(message) => self.deliver(from, message.srvid, message.data, out),
            Body::ReqControl(control) => self.node_control(from, &packet.header, &control, out),
            Body::ReplyControl(reply) => self.answered(from, reqid, &reply, out),
            Body::ReqTunnel(tunnel) => self.deliver_tunnel(&packet.header, &tunnel, out),
            Body::ReqKeepalive(keepalive) => {
                let (version, uptime) = (Some(keepalive.version), Some(keepalive.uptime));
                let known = bytes.len() > wire::packet::HEADER_SIZE;
                let (version, uptime) = if known {
                    (version, uptime)
                } else {
                    (None, None)
                };
                self.tell_membership(
                    membership::Input::Keepalive {
                        from,
                        version,
                        uptime,
                    },
                    out,
                );
            }
            _ => self.tell_engine(database::io::Input::Packet(bytes), out),
        }
    }

    /// A client's connection has ended; everything that it left ends with it.
    fn client_gone(&mut self, client: ClientId, out: &mut Vec<Output>) {
        let Some(gone) = self.clients.remove(client) else {
            return;
        };
        self.router.forget(client);
        self.asking.forget(client);
        self.questions.retain(|_, asker| !asker.is_client(client));
        self.tell_engine(database::io::Input::ClientGone(client), out);
        self.tell_failover(failover::Input::ClientGone(client), out);
        for (srvid, data) in gone.notify {
            info!(%srvid, "Sending client notify message");
            self.send_message(Pnn::BROADCAST_CONNECTED, srvid, &data, out);
        }
    }

    /// The header of a packet from this node.
    fn header(&self, to: Pnn, reqid: ReqId, body: &Body<'_>) -> Header {
        let operation = body.operation();
        Header {
            generation: self.generation,
            operation,
            destination: to,
            source: self.me,
            reqid,
        }
    }

    fn send_client(
        &mut self,
        client: ClientId,
        reqid: ReqId,
        body: Body<'_>,
        out: &mut Vec<Output>,
    ) {
        self.send_client_from(self.me, client, reqid, body, out);
    }

    fn send_client_from(
        &mut self,
        source: Pnn,
        client: ClientId,
        reqid: ReqId,
        body: Body<'_>,
        out: &mut Vec<Output>,
    ) {
        self.statistics.client_packets_sent += 1;
        let header = Header {
            source,
            ..self.header(self.me, reqid, &body)
        };
        out.push(Output::ToClient {
            client,
            packet: Packet { header, body }.to_bytes(),
        });
    }

    fn send_node(&mut self, node: Pnn, reqid: ReqId, body: Body<'_>, out: &mut Vec<Output>) {
        self.statistics.node_packets_sent += 1;
        let header = self.header(node, reqid, &body);
        out.push(Output::ToNode {
            node,
            packet: Packet { header, body }.to_bytes(),
        });
    }

    /// The nodes that a destination stands for, this node included where it belongs.
    fn nodes_of(&self, destination: Pnn) -> Vec<Pnn> {
        self.membership.fan_out(destination)
    }
}

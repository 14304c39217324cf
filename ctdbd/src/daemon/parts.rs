//! The daemon's parts: giving them inputs, and carrying out what they want done.

use core::time::Duration;

use cluster::membership::{self, NodeEntry, Notification};
use database::ClusterView;
use database::io as engine;
use tracing::error;
use wire::coding::Encode;
use wire::message::Message;
use wire::packet::{Body, ReqKeepalive};
use wire::types::{NodeAndFlags, NodeFlags, NodeMap, RecoveryMode, RunState};
use wire::{ClientId, Pnn, ReqId};

use super::asking::Asker;
use super::events::WhoseEvent;
use super::io::{Output, ReadFor};
use super::{Daemon, Local};

impl Daemon {
    /// Gives the database an input and carries out what it says.
    pub(super) fn tell_engine(&mut self, input: engine::Input, out: &mut Vec<Output>) {
        let mut engine_out = Vec::new();
        self.engine
            .handle(self.now, input, &mut *self.store, &mut engine_out);
        self.carry_out_engine(engine_out, out);
    }

    pub(super) fn carry_out_engine(
        &mut self,
        engine_out: Vec<engine::Output>,
        out: &mut Vec<Output>,
    ) {
        use engine::Output as E;
        for output in engine_out {
            match output {
                E::ToNode(node, packet) if node == self.me => {
                    self.local.push_back(Local::Packet(packet))
                }
                E::ToNode(node, packet) => {
                    self.statistics.node_packets_sent += 1;
                    out.push(Output::ToNode { node, packet });
                }
                E::ToClient(client, packet) => {
                    self.statistics.client_packets_sent += 1;
                    self.clients.answered(client);
                    out.push(Output::ToClient { client, packet });
                }
                E::Reply {
                    token,
                    status,
                    data,
                    error,
                } => {
                    self.part_answered(token.0, status, &data, error.as_deref().unwrap_or(""), out);
                }
                E::Control {
                    token,
                    destination,
                    client,
                    request,
                    timeout,
                } => {
                    let asker = token.map_or(Asker::Nobody, Asker::Engine);
                    self.ask(asker, destination, client, request, timeout, out);
                }
                E::Message {
                    destination,
                    srvid,
                    data,
                } => self.send_message(destination, srvid, &data, out),
                E::Work { work, db, job } => out.push(Output::Work { work, db, job }),
                E::Order { work, order } => out.push(Output::Order { work, order }),
                E::Release(work) => out.push(Output::Release(work)),
                E::Credit(work) => out.push(Output::Credit(work)),
                E::Listen(srvid) => self.router.database_listens(srvid, true),
                E::Unlisten(srvid) => self.router.database_listens(srvid, false),
                E::Attached { db, name, opened } => {
                    out.push(Output::FileOpened { db, name, opened })
                }
                E::Detached(db) => out.push(Output::FileClosed(db)),
                E::RecoveryNeeded(reason) => {
                    self.local
                        .push_back(Local::ToMembership(membership::Input::RecoveryNeeded {
                            reason,
                        }));
                }
                E::DropClient(client, reason) => out.push(Output::CloseClient { client, reason }),
            }
        }
    }

    /// Gives the node's side of the cluster manager an input; its outputs are carried out by [`Self::drain_membership`].
    pub(super) fn tell_membership(&mut self, input: membership::Input, out: &mut Vec<Output>) {
        let set_recmode = matches!(
            &input,
            membership::Input::Control {
                request: wire::control::Request::SetRecmode(RecoveryMode::Normal),
                ..
            }
        );
        if set_recmode {
            let generation = self.membership.vnn_map().generation;
            let differ = membership::Input::DatabaseGenerationsDiffer(
                self.engine.generations_differ(generation),
            );
            self.membership
                .handle(self.now, differ, &mut self.member_out);
        }
        self.membership
            .handle(self.now, input, &mut self.member_out);
        self.drain_membership(out);
    }

    pub(super) fn drain_membership(&mut self, out: &mut Vec<Output>) {
        let outputs: Vec<membership::Output> = self.member_out.drain().collect();
        for output in outputs {
            self.carry_out_membership(output, out);
        }
    }

    fn carry_out_membership(&mut self, output: membership::Output, out: &mut Vec<Output>) {
        use membership::Output as M;
        match output {
            M::Reply {
                token,
                status,
                data,
                error,
            } => {
                self.part_answered(token.0, status, &data, error.as_deref().unwrap_or(""), out);
            }
            M::Keepalive {
                to,
                version,
                uptime,
            } => {
                self.statistics.keepalive_packets_sent += 1;
                self.send_node(
                    to,
                    ReqId(0),
                    Body::ReqKeepalive(ReqKeepalive { version, uptime }),
                    out,
                );
            }
            M::Dead(node) => {
                self.fail_questions_to(node, out);
                out.push(Output::DropNode(node));
            }
            M::Control {
                token,
                destination,
                request,
            } => {
                let asker = token.map_or(Asker::Nobody, Asker::Membership);
                let timeout = Duration::from_secs(u64::from(self.tunables.control_timeout));
                self.ask(asker, destination, ClientId(0), request, timeout, out);
            }
            M::Message {
                destination,
                srvid,
                data,
            } => self.send_message(destination, srvid, &data, out),
            M::RecoveryWanted => {
                let sizes = self.engine.database_sizes(&*self.store);
                let message = Message::RecoveryWanted(sizes);
                let (to, data) = (Pnn::BROADCAST_CONNECTED, message.to_bytes());
                self.send_message(to, message.srvid(), &data, out);
            }
            M::CheckClusterLock(token) => out.push(Output::CheckClusterLock(token)),
            M::ReadNodesFile => out.push(Output::ReadNodes(ReadFor::Membership)),
            M::Nodes(nodes) => {
                self.tell_database_of_cluster(out);
                out.push(Output::Nodes(nodes));
            }
            M::Notify(notification) => self.notify(notification, out),
            M::RunEvent { token, event } => {
                self.run_event(WhoseEvent::Membership(token), event, String::new(), out);
            }
            M::StartManager => out.push(Output::StartManager),
            M::RestartManager { reason } => out.push(Output::RestartManager { reason }),
            M::StopManager { reason } => out.push(Output::StopManager { reason }),
            M::Shutdown { exit_code, reason } => out.push(Output::Shutdown { exit_code, reason }),
        }
    }

    /// The cluster manager's node side tells the other parts something.
    fn notify(&mut self, notification: Notification, out: &mut Vec<Output>) {
        self.tell_failover_of_node(out);
        match notification {
            Notification::VnnMap(map) => {
                self.generation = map.generation;
                self.tell_database_of_cluster(out);
            }
            Notification::NodeFlags(_) | Notification::RunState(_) => {
                self.tell_database_of_cluster(out);
            }
            Notification::RecoveryMode(active) => {
                self.tell_database_of_cluster(out);
                if !active {
                    self.tell_engine(engine::Input::RecoveryModeNormal, out);
                }
            }
            Notification::BecameInactive => {
                self.tell_engine(engine::Input::BecameInactive, out);
                self.tell_failover(failover::Input::BecameInactive, out);
                let freeze =
                    super::controls::Question::of_our_own(self.me, wire::control::Request::Freeze);
                self.local.push_back(Local::Control(freeze));
            }
            Notification::FencedOff => {
                self.tell_failover(failover::Input::BecameInactive, out);
                // one by one: FREEZE would mark the records as invalid
                for db in self.engine.database_ids() {
                    let freeze = wire::control::Request::DbFreeze(db);
                    let freeze = super::controls::Question::of_our_own(self.me, freeze);
                    self.local.push_back(Local::Control(freeze));
                }
            }
            Notification::RecoveryStarted => {}
            Notification::RecoveryEnded => {
                self.tell_engine(engine::Input::RecoveryEnded, out);
            }
        }
    }

    /// Gives the database a fresh copy of what it needs to know of the cluster.
    pub(super) fn tell_database_of_cluster(&mut self, out: &mut Vec<Output>) {
        let view = ClusterView {
            vnn_map: self.membership.vnn_map().clone(),
            in_recovery: self.membership.in_recovery(),
            started: matches!(
                self.membership.run_state(),
                RunState::Startup | RunState::Running
            ),
            nodes: self
                .membership
                .node_map()
                .nodes
                .iter()
                .map(|node| (node.pnn, node.flags))
                .collect(),
        };
        self.tell_engine(engine::Input::Cluster(view), out);
    }

    /// A ban does not end before everything is frozen.
    pub(super) fn tell_if_all_frozen(&mut self, out: &mut Vec<Output>) {
        let frozen = self.engine.all_frozen();
        if frozen != self.all_frozen {
            self.all_frozen = frozen;
            self.tell_membership(membership::Input::AllFrozen(frozen), out);
        }
    }

    /// The nodes file was read, or could not be.
    pub(super) fn nodes_read(
        &mut self,
        what_for: ReadFor,
        nodes: Option<Vec<NodeEntry>>,
        out: &mut Vec<Output>,
    ) {
        match (what_for, nodes) {
            (ReadFor::Membership, nodes) => {
                self.tell_membership(membership::Input::Nodes(nodes), out)
            }
            (ReadFor::Question(token), Some(nodes)) => {
                let data = node_map(&nodes).to_bytes();
                self.part_answered(token, 0, &data, "", out);
            }
            (ReadFor::Question(token), None) => {
                error!("Failed to read nodes file");
                self.part_answered(token, -1, &[], "the nodes file could not be read", out);
            }
        }
    }
}

/// The nodes file as GET_NODES_FILE shows it: the only flag is whether a line is commented out.
fn node_map(nodes: &[NodeEntry]) -> NodeMap {
    let entry = |node: &NodeEntry| NodeAndFlags {
        pnn: node.pnn,
        flags: if node.deleted {
            NodeFlags::DELETED
        } else {
            NodeFlags::empty()
        },
        addr: node.addr,
    };
    NodeMap {
        nodes: nodes.iter().map(entry).collect(),
    }
}

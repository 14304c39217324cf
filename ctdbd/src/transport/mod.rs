//! Connections between nodes: TCP, two for each pair of nodes, each used in one direction.
//!
//! A node connects to every other one, from its own node address, and sends on that connection only; what the other side
//! connects it only reads. A node counts as connected when both are up.
//!
//! ```text
//!          outgoing: connecting ──▶ up ──▶ (any end) ──▶ both dropped, connecting again after a second
//!          incoming: none ──▶ up (address checked, one at a time) ──▶ (any end) ──▶ the same
//! ```

mod incoming;
mod outgoing;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use cluster::membership::NodeEntry;
use tokio::task::{AbortHandle, JoinHandle};
use wire::Pnn;

use crate::daemon::Input;
use crate::shell::Handle;
use crate::shell::link::Link;

pub(crate) use incoming::accept;

/// Packets that may wait for a node; it is dead long before.
const QUEUE_LIMIT: usize = 1_000_000;

/// One other node.
#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    outgoing: Option<Link>,
    incoming: Option<AbortHandle>,
    /// The task that connects, and connects again.
    connector: AbortHandle,
    /// Told to drop what there is and start anew.
    restart: std::rc::Rc<tokio::sync::Notify>,
    connected: bool,
}

/// The connections with all other nodes.
#[derive(Debug)]
pub(crate) struct Transport {
    me: Pnn,
    own: IpAddr,
    port: u16,
    peers: BTreeMap<Pnn, Peer>,
}

impl Transport {
    pub(crate) fn new(me: Pnn, own: IpAddr, port: u16) -> Self {
        Self {
            me,
            own,
            port,
            peers: BTreeMap::new(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Connects with these nodes, and no longer with others.
    pub(crate) fn set_nodes(&mut self, handle: &Handle, nodes: &[NodeEntry]) {
        let wanted: BTreeMap<Pnn, SocketAddr> = nodes
            .iter()
            .filter(|node| !node.deleted && node.pnn != self.me)
            .filter_map(|node| Some((node.pnn, node.addr.socket_addr()?)))
            .collect();
        self.peers.retain(|pnn, peer| {
            let stays = wanted.get(pnn) == Some(&peer.address);
            if !stays {
                peer.end();
            }
            stays
        });
        for (pnn, address) in wanted {
            let own = self.own;
            self.peers.entry(pnn).or_insert_with(|| {
                let restart = std::rc::Rc::new(tokio::sync::Notify::new());
                let task =
                    outgoing::keep_connected(handle.clone(), pnn, own, address, restart.clone());
                let connector: JoinHandle<()> = tokio::task::spawn_local(task);
                let connector = connector.abort_handle();
                Peer {
                    address,
                    outgoing: None,
                    incoming: None,
                    connector,
                    restart,
                    connected: false,
                }
            });
        }
    }

    /// Queues a packet; it is dropped if there is no connection, as the network would. True: see [`Link::push`].
    pub(crate) fn send(&mut self, node: Pnn, packet: Vec<u8>) -> bool {
        let Some(link) = self.link(node) else {
            return false;
        };
        let first = link.push(packet);
        if link.waiting() > QUEUE_LIMIT {
            link.broken = true;
            link.wake.notify_one();
        }
        first
    }

    /// The connection with a node that can be written to.
    pub(crate) fn link(&mut self, node: Pnn) -> Option<&mut Link> {
        self.peers.get_mut(&node)?.outgoing.as_mut()
    }

    /// Drops both connections with a node and connects anew. True: they were both up.
    pub(crate) fn restart(&mut self, node: Pnn) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else {
            return false;
        };
        let was_connected = peer.connected;
        peer.drop_connections();
        peer.restart.notify_one();
        was_connected
    }

    fn peer_at(&self, address: IpAddr) -> Option<Pnn> {
        self.peers
            .iter()
            .find(|(_, peer)| peer.address.ip() == address)
            .map(|(pnn, _)| *pnn)
    }
}

impl Peer {
    fn drop_connections(&mut self) {
        self.outgoing = None;
        if let Some(incoming) = self.incoming.take() {
            incoming.abort();
        }
        self.connected = false;
    }

    fn end(&mut self) {
        self.drop_connections();
        self.connector.abort();
    }
}

/// A connection came up: with both, the node is connected.
fn came_up(handle: &Handle, node: Pnn) {
    let mut shell = handle.borrow_mut();
    let Some(peer) = shell.transport.peers.get_mut(&node) else {
        return;
    };
    if peer.outgoing.is_some() && peer.incoming.is_some() && !peer.connected {
        peer.connected = true;
        shell.input(Input::NodeConnected(node));
    }
}

/// A connection ended: the other one is of no use any more.
fn went_down(handle: &Handle, node: Pnn) {
    let mut shell = handle.borrow_mut();
    if shell.transport.restart(node) {
        shell.input(Input::NodeDisconnected(node));
    }
}

//! Connections between nodes: TCP, two for each pair of nodes, each used in one direction.
//!
//! A node connects to every other one, from its own node address, and sends on that connection only; what the other side
//! connects it only reads. A node counts as connected when both are up.
//!
//! ```text
//!          outgoing: connecting ──▶ up ──▶ (any end) ──▶ both dropped, connecting again, at once if it lasted for a second,
//!                                                              or as soon as another connection comes up
//!          incoming: none ──▶ up (address checked, one at a time) ──▶ (any end) ──▶ the same
//! ```

mod incoming;
mod outgoing;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use cluster::membership::NodeEntry;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tracing::error;
use wire::Pnn;
use wire::control::Opcode;
use wire::packet::{Body, Packet};

use crate::daemon::Input;
use crate::shell::Handle;
use crate::shell::link::{CONGESTED, Link};

pub(crate) use incoming::accept;

/// Packets that may wait for a node; it is dead long before.
const QUEUE_LIMIT: usize = 1_000_000;
/// Bytes that may wait for a node: the databases that it pulls in a recovery, or traverses.
const BULK_LIMIT: usize = 4 << 30;
/// Bytes of all else that may come to wait behind [`CONGESTED`] others: a node that asks and does not read has had them.
const REST_LIMIT: usize = 64 << 20;

/// One other node.
#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    outgoing: Option<Link>,
    incoming: Option<AbortHandle>,
    /// The task that connects, and connects again.
    connector: AbortHandle,
    /// Told to drop what there is and start anew.
    restart: Rc<Notify>,
    /// Told that the node may be there, so that it is tried at once.
    sign: Rc<Notify>,
    /// Tells that `outgoing` is up.
    can_answer: Rc<Notify>,
    connected: bool,
    behind: Behind,
}

/// Bytes queued since the connection became congested that are not records of a whole database.
#[derive(Debug, Default)]
struct Behind(usize);

impl Behind {
    /// One packet more, behind so many bytes; whether it is too much.
    fn push(&mut self, waiting: usize, packet: &[u8]) -> bool {
        if waiting <= CONGESTED {
            self.0 = 0;
        } else if !is_bulk(packet) {
            self.0 += packet.len();
        }
        self.0 > REST_LIMIT
    }
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
                let (restart, sign) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
                let task = outgoing::keep_connected(
                    handle.clone(),
                    pnn,
                    own,
                    address,
                    restart.clone(),
                    sign.clone(),
                );
                let connector: JoinHandle<()> = tokio::task::spawn_local(task);
                let connector = connector.abort_handle();
                Peer {
                    address,
                    outgoing: None,
                    incoming: None,
                    connector,
                    restart,
                    sign,
                    can_answer: Rc::default(),
                    connected: false,
                    behind: Behind::default(),
                }
            });
        }
    }

    /// Queues a packet; it is dropped if the node is not connected, as the network would: what it hears first shall be what is
    /// said to a node that has come. True: see [`Link::push`].
    pub(crate) fn send(&mut self, node: Pnn, packet: Vec<u8>) -> bool {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.connected) else {
            return false;
        };
        let Some(link) = peer.outgoing.as_mut() else {
            return false;
        };
        let too_much = peer.behind.push(link.bytes(), &packet);
        let first = link.push(packet);
        let too_many = link.waiting() > QUEUE_LIMIT || link.bytes() > BULK_LIMIT;
        if (too_many || too_much) && !link.broken {
            error!(%node, bytes = link.bytes(), packets = link.waiting(), "a node does not read, its connection is made anew");
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

/// Whether this is part of a database that the node has asked for, with which a daemon cannot be made to wait.
fn is_bulk(packet: &[u8]) -> bool {
    match Packet::decode(packet).map(|packet| packet.body) {
        Ok(Body::ReqMessage(message)) => message.srvid.is_recovery(),
        Ok(Body::ReqControl(control)) => control.opcode == Opcode::TraverseData.number(),
        _ => false,
    }
}

/// A connection came up: with both, the node is connected. It is a sign that the way back is there, and perhaps the network
/// to all that were lost with it.
fn came_up(handle: &Handle, node: Pnn) {
    let mut shell = handle.borrow_mut();
    for peer in shell.transport.peers.values() {
        if peer.outgoing.is_none() {
            peer.sign.notify_one();
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use wire::packet::{Header, ReqMessage};
    use wire::{Generation, ReqId, Srvid};

    fn message(srvid: Srvid) -> Vec<u8> {
        let body = Body::ReqMessage(ReqMessage {
            srvid,
            data: &[0; 1 << 20],
        });
        let header = Header {
            generation: Generation::INVALID,
            operation: body.operation(),
            destination: Pnn(0),
            source: Pnn(0),
            reqid: ReqId(0),
        };
        Packet { header, body }.to_bytes()
    }

    #[test]
    fn a_node_that_does_not_read_gets_no_more_than_so_much() {
        let packet = message(Srvid(7));
        let mut behind = Behind::default();
        let mut pushes = |waiting| (0..100).filter(|_| behind.push(waiting, &packet)).count();
        assert_eq!(pushes(CONGESTED), 0, "it takes them well enough");
        assert_eq!(pushes(CONGESTED + 1), 100 - (REST_LIMIT >> 20) + 1);
        assert_eq!(pushes(0), 0, "it has read again");
    }

    #[test]
    fn a_database_that_is_pulled_has_to_be_kept() {
        let records = message(Srvid(Srvid::RECOVERY.0 | 7));
        let mut behind = Behind::default();
        assert!((0..100).all(|_| !behind.push(BULK_LIMIT, &records)));
    }

    #[tokio::test]
    async fn nothing_is_said_to_a_node_that_is_not_connected_both_ways() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let peer = Peer {
            address,
            outgoing: Some(Link::new(crate::shell::link::Stream::Tcp(stream))),
            incoming: None,
            connector: tokio::spawn(async {}).abort_handle(),
            restart: Rc::default(),
            sign: Rc::default(),
            can_answer: Rc::default(),
            connected: false,
            behind: Behind::default(),
        };
        let mut transport = Transport::new(Pnn(0), address.ip(), address.port());
        transport.peers.insert(Pnn(1), peer);
        for (connected, waiting) in [(false, 0), (true, 1)] {
            transport.peers.get_mut(&Pnn(1)).unwrap().connected = connected;
            transport.send(Pnn(1), message(Srvid(7)));
            assert_eq!(transport.link(Pnn(1)).unwrap().waiting(), waiting);
        }
    }
}

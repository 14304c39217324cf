//! The list of the nodes: who there is, how they are, and how to reach many of them.

use wire::types::{NodeAndFlags, NodeFlags, NodeMap, SockAddr};
use wire::{Generation, Pnn};

use super::NodeEntry;
use super::peer::Peer;

/// A line of the nodes file and what is known of the node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) pnn: Pnn,
    pub(super) addr: SockAddr,
    pub(super) flags: NodeFlags,
    pub(super) peer: Peer,
    /// The generation in which its connection was lost.
    pub(super) lost_in: Option<Generation>,
}

impl Node {
    /// A node that was just read from the nodes file: nothing good is known of it
    /// (`ctdb_server.c`, 4.17.12).
    fn new(entry: &NodeEntry) -> Self {
        let state = if entry.deleted {
            NodeFlags::DELETED
        } else {
            NodeFlags::UNHEALTHY
        };
        Self {
            pnn: entry.pnn,
            addr: entry.addr,
            flags: state | NodeFlags::DISCONNECTED,
            peer: Peer::new(),
            lost_in: None,
        }
    }

    fn is(&self, flags: NodeFlags) -> bool {
        self.flags.intersects(flags)
    }
}

/// All nodes, this one included, in the order of the nodes file.
#[derive(Debug)]
pub(super) struct Nodes {
    me: Pnn,
    list: Vec<Node>,
}

impl Nodes {
    pub(super) fn new(me: Pnn, entries: &[NodeEntry]) -> Self {
        let mut nodes = Self {
            me,
            list: entries.iter().map(Node::new).collect(),
        };
        if let Some(own) = nodes.get_mut(me) {
            own.flags -= NodeFlags::DISCONNECTED;
        }
        nodes
    }

    pub(super) fn get(&self, pnn: Pnn) -> Option<&Node> {
        self.list.iter().find(|node| node.pnn == pnn)
    }

    pub(super) fn get_mut(&mut self, pnn: Pnn) -> Option<&mut Node> {
        self.list.iter_mut().find(|node| node.pnn == pnn)
    }

    /// The node, if it is another one and not deleted.
    pub(super) fn peer_mut(&mut self, pnn: Pnn) -> Option<&mut Node> {
        let me = self.me;
        self.get_mut(pnn)
            .filter(|node| node.pnn != me && !node.is(NodeFlags::DELETED))
    }

    /// The other nodes that are not deleted.
    pub(super) fn peers_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        let me = self.me;
        self.list
            .iter_mut()
            .filter(move |node| node.pnn != me && !node.is(NodeFlags::DELETED))
    }

    /// A node's flags; those of an unknown node say that it cannot be reached.
    pub(super) fn flags(&self, pnn: Pnn) -> NodeFlags {
        self.get(pnn)
            .map_or(NodeFlags::DISCONNECTED, |node| node.flags)
    }

    pub(super) fn map(&self) -> NodeMap {
        let line = |node: &Node| NodeAndFlags {
            pnn: node.pnn,
            flags: node.flags,
            addr: node.addr,
        };
        NodeMap {
            nodes: self.list.iter().map(line).collect(),
        }
    }

    /// The nodes that are not deleted.
    pub(super) fn present(&self) -> Vec<Pnn> {
        self.without(NodeFlags::DELETED)
    }

    /// The nodes behind a destination: broadcasts include this node (`ctdb_server.c`, 4.17.12).
    pub(super) fn fan_out(&self, destination: Pnn) -> Vec<Pnn> {
        match destination {
            Pnn::CURRENT => vec![self.me],
            Pnn::BROADCAST_ALL => self.present(),
            Pnn::BROADCAST_ACTIVE => self.without(NodeFlags::INACTIVE),
            Pnn::BROADCAST_CONNECTED => self.without(NodeFlags::DELETED | NodeFlags::DISCONNECTED),
            pnn => self.get(pnn).map(|node| node.pnn).into_iter().collect(),
        }
    }

    fn without(&self, flags: NodeFlags) -> Vec<Pnn> {
        self.list
            .iter()
            .filter(|node| !node.is(flags))
            .map(|node| node.pnn)
            .collect()
    }

    /// Takes over the nodes file, read again. Nodes with the same number and address stay as they
    /// are; false, and nothing changes, if this node is not in it any more.
    pub(super) fn reload(&mut self, entries: &[NodeEntry]) -> bool {
        let own_addr = self.get(self.me).map(|node| node.addr);
        let is_own = |entry: &NodeEntry| entry.pnn == self.me && Some(entry.addr) == own_addr;
        if !entries.iter().any(|entry| is_own(entry) && !entry.deleted) {
            return false;
        }
        let mut old = core::mem::take(&mut self.list);
        let mut kept = |entry: &NodeEntry| {
            let same = |node: &Node| {
                node.pnn == entry.pnn
                    && node.addr == entry.addr
                    && node.is(NodeFlags::DELETED) == entry.deleted
            };
            old.iter()
                .position(same)
                .map(|place| old.swap_remove(place))
        };
        self.list = entries
            .iter()
            .map(|e| kept(e).unwrap_or_else(|| Node::new(e)))
            .collect();
        true
    }
}

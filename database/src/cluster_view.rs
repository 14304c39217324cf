//! What the database knows of the cluster: a copy, renewed by notifications of the cluster manager's node side.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wire::types::{NodeFlags, VnnMap};
use wire::{Generation, Pnn};

/// The cluster as of the last [`crate::io::Input::Cluster`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Generation, and which node is location master of which hash.
    pub vnn_map: VnnMap,
    /// Recovery mode is ACTIVE: no commits, no attaches by clients.
    pub in_recovery: bool,
    /// The node has come so far that clients may attach (runstate STARTUP or later).
    pub started: bool,
    /// Flags of every node of the nodes file, in order of pnn.
    pub nodes: Vec<(Pnn, NodeFlags)>,
}

impl Default for ClusterView {
    fn default() -> Self {
        Self {
            vnn_map: VnnMap {
                generation: Generation::INVALID,
                map: Vec::new(),
            },
            in_recovery: true,
            started: false,
            nodes: Vec::new(),
        }
    }
}

impl ClusterView {
    /// The location master of a key: it always knows where the record is. Without a map every node is its own.
    pub(crate) fn lmaster(&self, me: Pnn, key: &[u8]) -> Pnn {
        let map = &self.vnn_map.map;
        if map.is_empty() {
            return me;
        }
        map[wire::key_hash(key) as usize % map.len()]
    }

    /// Flags of one node; a node that is not in the nodes file counts as deleted.
    pub(crate) fn flags(&self, node: Pnn) -> NodeFlags {
        self.nodes
            .iter()
            .find(|(pnn, _)| *pnn == node)
            .map_or(NodeFlags::DELETED, |(_, flags)| *flags)
    }

    /// Whether the node takes part: connected, not stopped, banned or deleted.
    pub(crate) fn is_active(&self, node: Pnn) -> bool {
        !self.flags(node).intersects(NodeFlags::INACTIVE)
    }

    /// Whether a record can move to the node: it takes part, or it did in the last recovery and is connected. One that was
    /// stopped and goes on is in the new map before the news of its flags is everywhere, and asks only once.
    pub(crate) fn can_hold(&self, node: Pnn) -> bool {
        let gone = NodeFlags::DISCONNECTED | NodeFlags::DELETED;
        let is_member = self.vnn_map.map.contains(&node) && !self.flags(node).intersects(gone);
        is_member || self.is_active(node)
    }

    /// Every node that takes part.
    pub(crate) fn active(&self) -> impl Iterator<Item = Pnn> + '_ {
        self.nodes
            .iter()
            .filter(|(_, flags)| !flags.intersects(NodeFlags::INACTIVE))
            .map(|(pnn, _)| *pnn)
    }

    /// Every node that may be data master of a record.
    pub(crate) fn holding(&self) -> impl Iterator<Item = Pnn> + '_ {
        let nodes = self.nodes.iter().map(|(pnn, _)| *pnn);
        nodes.filter(|pnn| self.can_hold(*pnn))
    }

    /// Every node that may have a copy of a record: those that take part, and those that the last recovery gave one, for a
    /// node that only seems to be gone brings its copies along when it is back.
    pub(crate) fn holders(&self) -> BTreeSet<Pnn> {
        self.vnn_map
            .map
            .iter()
            .copied()
            .chain(self.active())
            .collect()
    }

    /// Nodes that must hold every commit: all that the last recovery has made equal, whatever this node believes of them
    /// by now. One that seems disconnected or stopped may be so only for this node, or no longer; then no recovery would
    /// bring it the commit. One that really is fails the commit, and a recovery is near anyway.
    pub(crate) fn committing(&self) -> Vec<Pnn> {
        self.vnn_map.map.clone()
    }
}

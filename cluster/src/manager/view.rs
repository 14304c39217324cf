//! What this node knows of the cluster: its own daemon's node map, tunables and capabilities.

use core::time::Duration;

use wire::Pnn;
use wire::tunables::Tunables;
use wire::types::{Capabilities, NodeAndFlags, NodeFlags, NodeMap};

/// The daemon's answers of the last round.
#[derive(Debug)]
pub(super) struct View {
    pub(super) pnn: Pnn,
    pub(super) tunables: Tunables,
    pub(super) nodemap: NodeMap,
    /// Whether this node has the leader role (`leader capability`, `ctdb setleaderrole`).
    pub(super) may_lead: bool,
    /// Whether this node is a member; without a coordinator it is.
    pub(super) is_member: bool,
}

impl View {
    pub(super) fn new(pnn: Pnn, may_lead: bool) -> Self {
        let nodemap = NodeMap { nodes: Vec::new() };
        Self {
            pnn,
            tunables: Tunables::default(),
            nodemap,
            may_lead,
            is_member: true,
        }
    }

    /// The flags of a node; none if the node map does not have it.
    pub(super) fn flags(&self, pnn: Pnn) -> Option<NodeFlags> {
        self.nodemap
            .nodes
            .iter()
            .find(|node| node.pnn == pnn)
            .map(|node| node.flags)
    }

    /// Whether this node is banned, stopped or deleted. Before the first node map it is not.
    pub(super) fn is_inactive(&self) -> bool {
        self.flags(self.pnn)
            .is_some_and(|flags| flags.intersects(NodeFlags::INACTIVE))
    }

    /// Whether this node may lead now.
    pub(super) fn can_lead(&self) -> bool {
        self.may_lead && self.is_member && !self.is_inactive()
    }

    /// All nodes that this one has a connection to, itself included.
    pub(super) fn connected(&self) -> Vec<Pnn> {
        self.without(NodeFlags::DISCONNECTED)
    }

    /// All nodes that take part.
    pub(super) fn active(&self) -> Vec<Pnn> {
        self.without(NodeFlags::INACTIVE)
    }

    fn without(&self, flags: NodeFlags) -> Vec<Pnn> {
        let fits = |node: &&NodeAndFlags| !node.flags.intersects(flags);
        self.nodemap
            .nodes
            .iter()
            .filter(fits)
            .map(|node| node.pnn)
            .collect()
    }

    pub(super) fn takes_capabilities(&mut self, capabilities: Capabilities) {
        self.may_lead = capabilities.contains(Capabilities::RECMASTER);
    }

    /// How long a control may take.
    pub(super) fn control_timeout(&self) -> Duration {
        seconds(self.tunables.recover_timeout)
    }
}

/// A tunable in seconds as a duration.
pub(super) fn seconds(tunable: u32) -> Duration {
    Duration::from_secs(tunable.into())
}

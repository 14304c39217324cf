//! Is the cluster consistent? What the leader's round makes of the nodes' answers.
//!
//! The order of the checks is that of `ctdb_recoverd.c`, 4.17.12; the first trouble decides.

use std::collections::BTreeMap;

use wire::Pnn;
use wire::types::{Capabilities, NodeFlagChange, NodeFlags, NodeMap, RecoveryMode, VnnMap};

/// The status of GET_RECMODE when all is well.
pub(super) const RECOVERY_NORMAL: i32 = RecoveryMode::Normal as i32;

/// The answers of a round.
#[derive(Debug)]
pub(super) struct Findings {
    /// The leader.
    pub(super) leader: Pnn,
    /// Our own node map.
    pub(super) nodemap: NodeMap,
    /// The node maps of the other connected nodes.
    pub(super) nodemaps: BTreeMap<Pnn, NodeMap>,
    /// Of all connected nodes.
    pub(super) capabilities: BTreeMap<Pnn, Capabilities>,
    /// Of all active nodes.
    pub(super) recmodes: BTreeMap<Pnn, i32>,
    /// Of all active nodes.
    pub(super) vnnmaps: BTreeMap<Pnn, VnnMap>,
}

/// A reason to recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The node behind it, if it is one's fault.
    pub(super) culprit: Option<Pnn>,
    /// For the log.
    pub(super) reason: String,
}

fn trouble(culprit: Pnn, reason: String) -> Result<(), Trouble> {
    Err(Trouble {
        culprit: Some(culprit),
        reason,
    })
}

impl Findings {
    pub(super) const fn new(leader: Pnn, nodemap: NodeMap) -> Self {
        Self {
            leader,
            nodemap,
            nodemaps: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            recmodes: BTreeMap::new(),
            vnnmaps: BTreeMap::new(),
        }
    }

    /// Takes over what each connected node says of itself, and lists the flags that some node has
    /// wrong: these are to be pushed to all.
    pub(super) fn correct_flags(&mut self) -> Vec<NodeFlagChange> {
        let mut changes = Vec::new();
        for node in &mut self.nodemap.nodes {
            if node.flags.intersects(NodeFlags::DISCONNECTED) {
                continue;
            }
            let of = |map: &NodeMap| flags_in(map, node.pnn);
            let own = self
                .nodemaps
                .get(&node.pnn)
                .and_then(of)
                .unwrap_or(node.flags);
            let differs = |map: &NodeMap| of(map).is_some_and(|flags| flags != own);
            if own != node.flags || self.nodemaps.values().any(differs) {
                node.flags = own;
                changes.push(NodeFlagChange {
                    pnn: node.pnn,
                    new_flags: own,
                    old_flags: own,
                });
            }
        }
        changes
    }

    /// All active nodes are in normal recovery mode.
    pub(super) fn check_recovery_mode(&self) -> Result<(), Trouble> {
        match self
            .recmodes
            .iter()
            .find(|(_, mode)| **mode != RECOVERY_NORMAL)
        {
            Some((pnn, _)) => {
                let reason = format!("Node:{pnn} was in recovery mode. Start recovery process");
                Err(Trouble {
                    culprit: None,
                    reason,
                })
            }
            None => Ok(()),
        }
    }

    /// All nodes see the same nodes and the same vnnmap, made of the active lmasters.
    pub(super) fn check_maps(&self) -> Result<(), Trouble> {
        self.check_nodemaps()?;
        self.check_lmasters()?;
        self.check_vnnmaps()
    }

    fn active(&self) -> impl Iterator<Item = Pnn> {
        let nodes = self.nodemap.nodes.iter();
        nodes
            .filter(|node| !node.flags.is_inactive())
            .map(|node| node.pnn)
    }

    fn active_others(&self) -> impl Iterator<Item = Pnn> {
        self.active().filter(|&pnn| pnn != self.leader)
    }

    fn check_nodemaps(&self) -> Result<(), Trouble> {
        let ours = &self.nodemap.nodes;
        for pnn in self.active_others() {
            let Some(NodeMap { nodes: theirs }) = self.nodemaps.get(&pnn) else {
                continue;
            };
            if theirs.len() != ours.len() {
                let (n, m) = (theirs.len(), ours.len());
                let reason = format!(
                    "Remote node:{pnn} has different node count. {n} vs {m} of the local node"
                );
                return trouble(pnn, reason);
            }
            if theirs
                .iter()
                .zip(ours)
                .any(|(their, our)| their.pnn != our.pnn)
            {
                return trouble(pnn, format!("Remote node:{pnn} has different nodemap pnn"));
            }
        }
        Ok(())
    }

    fn check_lmasters(&self) -> Result<(), Trouble> {
        let Some(ours) = self.vnnmaps.get(&self.leader) else {
            return Ok(());
        };
        let is_lmaster = |pnn: &Pnn| {
            self.capabilities
                .get(pnn)
                .is_some_and(|c| c.contains(Capabilities::LMASTER))
        };
        let lmasters: Vec<Pnn> = self.active().filter(is_lmaster).collect();
        // Without any lmaster the leader serves alone: see the recovery's vnnmap.
        if ours.map.len() != lmasters.len().max(1) {
            let (n, m) = (ours.map.len(), lmasters.len());
            let reason = format!(
                "The vnnmap count is different from the number of active lmaster nodes: {n} vs {m}"
            );
            return trouble(self.leader, reason);
        }
        match lmasters
            .iter()
            .find(|pnn| **pnn != self.leader && !ours.map.contains(pnn))
        {
            Some(&pnn) => trouble(
                pnn,
                format!("Active LMASTER node {pnn} is not in the vnnmap"),
            ),
            None => Ok(()),
        }
    }

    fn check_vnnmaps(&self) -> Result<(), Trouble> {
        let Some(ours) = self.vnnmaps.get(&self.leader) else {
            return Ok(());
        };
        for pnn in self.active_others() {
            let Some(theirs) = self.vnnmaps.get(&pnn) else {
                continue;
            };
            let (n, m) = (theirs.generation, ours.generation);
            if n != m {
                let reason = format!(
                    "Remote node {pnn} has different generation of vnnmap. {n} vs {m} (ours)"
                );
                return trouble(pnn, reason);
            }
            let (n, m) = (theirs.map.len(), ours.map.len());
            if n != m {
                let reason =
                    format!("Remote node {pnn} has different size of vnnmap. {n} vs {m} (ours)");
                return trouble(pnn, reason);
            }
            if theirs.map != ours.map {
                return trouble(pnn, format!("Remote node {pnn} has different vnnmap."));
            }
        }
        Ok(())
    }
}

fn flags_in(map: &NodeMap, pnn: Pnn) -> Option<NodeFlags> {
    map.nodes
        .iter()
        .find(|node| node.pnn == pnn)
        .map(|node| node.flags)
}

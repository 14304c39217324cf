//! The connections with the other nodes: who is there, who is lost, who is too new.

use wire::types::NodeFlags;
use wire::{Generation, Pnn};

use super::{Membership, Output, Outputs, keepalive, peer};
use crate::Time;

impl Membership {
    pub(super) fn on_interval(&mut self, now: Time, out: &mut Outputs) {
        let keepalive::Identity { version, uptime } = self.identity(now);
        let limit = self.tunables.keepalive_limit;
        let mut lost = Vec::new();
        for node in self.nodes.peers_mut() {
            match node.peer.interval(limit) {
                peer::Effect::Keepalive => {
                    out.push(Output::Keepalive {
                        to: node.pnn,
                        version,
                        uptime,
                    });
                }
                peer::Effect::Lost => lost.push(node.pnn),
                peer::Effect::Keep | peer::Effect::Joined => {}
            }
        }
        self.greet_strangers(out);
        for pnn in lost {
            tracing::warn!("dead count reached for node {}", pnn.0);
            self.lose(pnn, out);
            self.forget_hello(pnn);
        }
    }

    pub(super) fn on_peer(
        &mut self,
        pnn: Pnn,
        event: fn(&mut peer::Peer) -> peer::Effect,
        out: &mut Outputs,
    ) {
        let Some(node) = self.nodes.peer_mut(pnn) else {
            return;
        };
        let flags = node.flags;
        match event(&mut node.peer) {
            // UNHEALTHY stays until the node's leader, or the node itself, says otherwise.
            peer::Effect::Joined => {
                tracing::info!(pnn = pnn.0, "connected");
                self.set_flags(pnn, flags - NodeFlags::DISCONNECTED, out);
                self.recover_what_was_lost(pnn, out);
            }
            peer::Effect::Lost => self.lose(pnn, out),
            peer::Effect::Keep | peer::Effect::Keepalive => {}
        }
    }

    /// A connection that broke and came back within one generation may have lost packets. If a record was being handed
    /// over in one of them, nobody is its data master any more, and only a recovery finds that out. (C notices only if the
    /// leader happens to look in between.) A node that the leader was connected with before this one was, and made a part
    /// of the generation, is no better: what was meant for it was dropped, and nobody asks again.
    fn recover_what_was_lost(&mut self, pnn: Pnn, out: &mut Outputs) {
        let generation = self.vnn_map.generation;
        let lost_in = self
            .nodes
            .peer_mut(pnn)
            .and_then(|node| node.lost_in.take());
        let unheard = self.is_active(pnn) && self.vnn_map.map.contains(&pnn);
        let lost = lost_in == Some(generation) || unheard;
        if lost && generation != Generation::INVALID {
            let reason = format!("packets to and from node {} may be lost", pnn.0);
            self.recover_again(reason, out);
        }
    }

    fn lose(&mut self, pnn: Pnn, out: &mut Outputs) {
        tracing::warn!(pnn = pnn.0, "node is dead");
        let generation = self.vnn_map.generation;
        let flags = self.nodes.flags(pnn);
        if let Some(node) = self.nodes.peer_mut(pnn)
            && !flags.is_inactive()
        {
            // of a stopped or banned node no record was on its way: it may come and go as it likes
            node.lost_in = Some(generation);
        }
        self.set_flags(
            pnn,
            flags | NodeFlags::DISCONNECTED | NodeFlags::UNHEALTHY,
            out,
        );
        out.push(Output::Dead(pnn));
    }

    pub(super) fn on_keepalive(
        &mut self,
        now: Time,
        from: Pnn,
        version: Option<u32>,
        uptime: Option<u32>,
        out: &mut Outputs,
    ) {
        if self.tunables.allow_mixed_versions == 1 {
            return;
        }
        if let Some(reason) = keepalive::verdict(self.identity(now), from, version, uptime) {
            tracing::error!("{reason}");
            let text = "CTDB Cluster with mixed versions, cannot continue";
            self.shut_down(0, format!("{reason}: {text}"), out);
        }
    }

    /// Uptime is the difference of full seconds of the wall clock, as upstream.
    fn identity(&self, now: Time) -> keepalive::Identity {
        let seconds = |time| self.wall_clock(time) / 1_000_000;
        let uptime = u32::try_from(seconds(now) - seconds(self.started)).unwrap_or(u32::MAX);
        keepalive::Identity {
            version: self.version,
            uptime,
        }
    }
}

//! Packets between nodes, and connections that come and go.

use std::time::Duration;

use ctdbd::daemon::Input;
use wire::Pnn;
use wire::packet::{Body, Packet};

use super::{Event, World, say};
use crate::mutation::Mutation;
use crate::net::{End, HandOver, Item, Load};

/// Between two tries to connect.
const RETRY: Duration = Duration::from_secs(1);

impl World {
    fn delay(&mut self, from: usize, to: usize) -> Duration {
        let slow = Duration::from_millis(self.net.link(from, to).slow);
        let far = if self.rng.chance(2) { 20_000 } else { 300 };
        slow + self.rng.micros(30, far)
    }

    /// A daemon sends a packet; without a connection it is lost.
    pub(super) fn send(&mut self, from: usize, to: usize, mut packet: Vec<u8>) {
        if self.net.end(from, to) == End::Down {
            return;
        }
        let handed = self.handed_over(from, &packet);
        if handed.is_some() {
            match self.mutation {
                Some(Mutation::LostRecord) if self.rng.chance(2) => return,
                Some(Mutation::Echo) if self.rng.chance(5) => {
                    self.put(from, to, Load::Packet(packet.clone(), handed.clone()));
                }
                _ => {}
            }
        }
        if let Some(lie) = self.lie(from, to, &packet) {
            packet = lie;
        }
        self.put(from, to, Load::Packet(packet, handed));
    }

    /// The planted bug [`Mutation::LyingCommit`]: the last node refuses a commit and says the contrary.
    fn lie(&self, from: usize, to: usize, packet: &[u8]) -> Option<Vec<u8>> {
        let last = self.nodes.len() - 1;
        if self.mutation != Some(Mutation::LyingCommit) || from != last || to == last {
            return None;
        }
        let mut decoded = Packet::decode(packet).ok()?;
        let Body::ReplyControl(reply) = &mut decoded.body else {
            return None;
        };
        if !reply.error.starts_with(b"planted") {
            return None;
        }
        reply.status = 0;
        reply.error = b"";
        Some(decoded.to_bytes())
    }

    fn put(&mut self, from: usize, to: usize, what: Load) {
        let delay = self.delay(from, to);
        let epoch = self.net.epoch(from, to);
        let last = self.net.link(from, to).queue.back().map(|item| item.at);
        let at = (self.now + delay).max(last.unwrap_or_default());
        self.net.put(from, to, Item { at, epoch, what });
        self.plan_delivery(from, to);
    }

    fn plan_delivery(&mut self, from: usize, to: usize) {
        let link = self.net.link(from, to);
        if link.planned || link.cut {
            return;
        }
        if let Some(item) = link.queue.front() {
            let at = item.at;
            link.planned = true;
            self.at(at, Event::Deliver(from, to));
        }
    }

    pub(super) fn deliver(&mut self, from: usize, to: usize) {
        let link = self.net.link(from, to);
        link.planned = false;
        let due = link.queue.front().is_some_and(|item| item.at <= self.now);
        if !link.cut && due {
            let item = self.net.take(from, to);
            if let Some(item) = item.filter(|item| item.epoch == self.net.epoch(from, to)) {
                self.arrived(from, to, item.what);
            }
        }
        self.plan_delivery(from, to);
    }

    fn arrived(&mut self, from: usize, to: usize, what: Load) {
        if self.net.end(to, from) == End::Down || self.nodes[to].daemon.is_none() {
            return;
        }
        match what {
            Load::End => self.lost_connection(to, from),
            Load::Packet(mut packet, handed) => {
                if let Some(handed) = handed {
                    self.note_arrival(to, &handed);
                }
                if self.mutation == Some(Mutation::AnyGeneration) {
                    packet = self.modern(to, packet);
                }
                let from = Pnn(from as u32);
                self.input_now(to, Input::NodePacket { from, packet });
            }
        }
    }

    /// The packet as if it were of the receiver's generation.
    fn modern(&self, to: usize, packet: Vec<u8>) -> Vec<u8> {
        let Some(daemon) = &self.nodes[to].daemon else {
            return packet;
        };
        let generation = daemon.membership().vnn_map().generation;
        match Packet::decode(&packet) {
            Ok(mut decoded) if !matches!(decoded.body, Body::ReqKeepalive(_)) => {
                decoded.header.generation = generation;
                decoded.to_bytes()
            }
            _ => packet,
        }
    }

    /// One side hears that the connections have broken.
    fn lost_connection(&mut self, node: usize, peer: usize) {
        let was = self.net.end(node, peer);
        if was == End::Down {
            return;
        }
        self.drop_connections(node, peer);
        if was == End::Up {
            self.input_now(node, Input::NodeDisconnected(Pnn(peer as u32)));
        }
    }

    /// One side closes; the other hears of it behind what is on its way. True: the side was connected.
    pub(super) fn drop_connections(&mut self, node: usize, peer: usize) -> bool {
        let was = self.net.end(node, peer);
        say!(
            self,
            "node {node} drops its connections with {peer} ({was:?})"
        );
        if was == End::Down {
            return false;
        }
        self.net.lose(peer, node);
        self.net.set_end(node, peer, End::Down);
        self.put(node, peer, Load::End);
        was == End::Up
    }

    /// A daemon has ended. Without its machine nobody hears of it, until the machine is back.
    pub(super) fn close_connections(&mut self, node: usize, power: bool) {
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            self.net.lose(peer, node);
            if power {
                self.net.lose(node, peer);
            }
            if self.net.end(node, peer) != End::Down {
                self.net.set_end(node, peer, End::Down);
                if !power {
                    self.put(node, peer, Load::End);
                }
            }
        }
    }

    /// The connections of two nodes break; what is on its way is lost.
    pub(super) fn reset(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.net.lose(from, to);
            if self.net.end(to, from) != End::Down {
                self.put(from, to, Load::End);
            }
        }
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.net.link(from, to).cut = true;
    }

    pub(super) fn heal(&mut self) {
        for from in 0..self.nodes.len() {
            for to in (0..self.nodes.len()).filter(|to| *to != from) {
                self.net.link(from, to).cut = false;
                self.plan_delivery(from, to);
            }
        }
    }

    /// Once a second: two nodes that are there and not connected find each other.
    pub(super) fn try_to_connect(&mut self, a: usize, b: usize) {
        let jitter = self.rng.micros(0, 50_000);
        self.after(RETRY + jitter, Event::Connect(a, b));
        let there = |node: usize| {
            let node = &self.nodes[node];
            node.daemon.is_some() && node.hung_until <= self.now
        };
        if !there(a) || !there(b) || self.net.is_cut(a, b) {
            return;
        }
        match (self.net.end(a, b), self.net.end(b, a)) {
            (End::Down, End::Down) => self.connect(a, b),
            // the other side's packets find nobody
            (End::Down, _) if self.net.link(a, b).queue.is_empty() => self.put(a, b, Load::End),
            (_, End::Down) if self.net.link(b, a).queue.is_empty() => self.put(b, a, Load::End),
            _ => {}
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        let epoch = self.net.connect(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            let delay = self.rng.micros(100, 3_000);
            self.after(delay, Event::Connected(node, peer, epoch));
        }
    }

    pub(super) fn connected(&mut self, node: usize, peer: usize, epoch: u64) {
        let current = self.net.epoch(node, peer) == epoch;
        if current && self.net.end(node, peer) == End::Pending && self.nodes[node].daemon.is_some()
        {
            say!(self, "node {node} is connected with {peer}");
            self.net.set_end(node, peer, End::Up);
            self.input_now(node, Input::NodeConnected(Pnn(peer as u32)));
        }
    }

    /// The record that a packet hands over, and its version in the sender's copy.
    fn handed_over(&self, from: usize, packet: &[u8]) -> Option<HandOver> {
        let packet = Packet::decode(packet).ok()?;
        let (db, key) = match packet.body {
            Body::ReqDmaster(request) => (request.db, request.key),
            Body::ReplyDmaster(reply) => (reply.db, reply.key),
            _ => return None,
        };
        let disk = self.nodes[from].disk.borrow();
        let version = disk
            .files
            .get(&db)?
            .tags
            .get(key)
            .copied()
            .unwrap_or_default();
        Some(HandOver {
            db,
            key: key.to_vec(),
            generation: packet.header.generation,
            version,
        })
    }
}

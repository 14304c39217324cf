//! The network between the nodes: for each pair two connections, one for each direction, which come and go together.
//!
//! Nothing is reordered within a connection. What is cut waits, as TCP does; what is on its way when a connection breaks
//! is lost.

use std::collections::{BTreeMap, VecDeque};

use wire::Time;
use wire::{DbId, Generation};

/// A record that a packet hands over: which, in which generation, and which version it is.
#[derive(Debug, Clone)]
pub(crate) struct HandOver {
    pub(crate) db: DbId,
    pub(crate) key: Vec<u8>,
    pub(crate) generation: Generation,
    pub(crate) version: u64,
}

/// What is on its way.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) at: Time,
    pub(crate) epoch: u64,
    pub(crate) what: Load,
}

/// A packet, or the end of the connection.
#[derive(Debug)]
pub(crate) enum Load {
    Packet(Vec<u8>, Option<HandOver>),
    End,
}

/// How one side sees the connections with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Down,
    /// Packets pass, but this side does not know it yet.
    Pending,
    Up,
}

/// From one node to another.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) queue: VecDeque<Item>,
    pub(crate) cut: bool,
    pub(crate) slow: u64,
    /// How the receiving side sees it.
    pub(crate) end: End,
    /// A delivery is planned.
    pub(crate) planned: bool,
}

/// All links.
#[derive(Debug)]
pub(crate) struct Net {
    nodes: usize,
    links: Vec<Link>,
    /// The present connection of each pair.
    epochs: BTreeMap<(usize, usize), u64>,
    last_epoch: u64,
    /// Records that are being handed over.
    pub(crate) handed: BTreeMap<(DbId, Vec<u8>), Vec<Generation>>,
}

impl Net {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            nodes,
            links: (0..nodes * nodes).map(|_| Link::default()).collect(),
            epochs: BTreeMap::new(),
            last_epoch: 0,
            handed: BTreeMap::new(),
        }
    }

    pub(crate) fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.nodes + to]
    }

    /// How `node` sees its connections with `peer`.
    pub(crate) fn end(&self, node: usize, peer: usize) -> End {
        self.links[peer * self.nodes + node].end
    }

    pub(crate) fn set_end(&mut self, node: usize, peer: usize, end: End) {
        self.link(peer, node).end = end;
    }

    pub(crate) fn epoch(&self, a: usize, b: usize) -> u64 {
        let pair = (a.min(b), a.max(b));
        self.epochs.get(&pair).copied().unwrap_or_default()
    }

    pub(crate) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.links[a * self.nodes + b].cut || self.links[b * self.nodes + a].cut
    }

    pub(crate) fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.links.iter_mut()
    }

    /// A new connection of a pair, which neither side knows of yet.
    pub(crate) fn connect(&mut self, a: usize, b: usize) -> u64 {
        self.last_epoch += 1;
        self.epochs.insert((a.min(b), a.max(b)), self.last_epoch);
        for (from, to) in [(a, b), (b, a)] {
            self.lose(from, to);
            self.link(from, to).end = End::Pending;
        }
        self.last_epoch
    }

    /// All that is on its way is lost.
    pub(crate) fn lose(&mut self, from: usize, to: usize) {
        let lost = std::mem::take(&mut self.link(from, to).queue);
        lost.into_iter().for_each(|item| self.off_the_net(&item));
    }

    pub(crate) fn put(&mut self, from: usize, to: usize, item: Item) {
        if let Load::Packet(_, Some(handed)) = &item.what {
            let record = (handed.db, handed.key.clone());
            self.handed
                .entry(record)
                .or_default()
                .push(handed.generation);
        }
        self.link(from, to).queue.push_back(item);
    }

    pub(crate) fn take(&mut self, from: usize, to: usize) -> Option<Item> {
        let item = self.link(from, to).queue.pop_front()?;
        self.off_the_net(&item);
        Some(item)
    }

    fn off_the_net(&mut self, item: &Item) {
        let Load::Packet(_, Some(handed)) = &item.what else {
            return;
        };
        let record = (handed.db, handed.key.clone());
        if let Some(generations) = self.handed.get_mut(&record) {
            if let Some(at) = generations.iter().position(|g| *g == handed.generation) {
                generations.swap_remove(at);
            }
            if generations.is_empty() {
                self.handed.remove(&record);
            }
        }
    }
}

//! Which node shall have which public address: the calculation at the heart of a take-over run.
//!
//! ```text
//!   known, available ─▶ merge ─▶ take away what a node cannot have ─▶ give out the rest ─▶ balance
//!                                                                      (one of three algorithms)
//! ```
//!
//! A node *knows* the addresses of its file; *available* are those that it could host now. Only what a
//! node says of itself counts: it has an address if it says so itself.
//!
//! The three algorithms give what C's give, to the last address (`ipalloc.c`, 4.17.12): a C node that
//! becomes leader must not move addresses about. The cases in `c_4_17_12.txt` are from C.

mod deterministic;
mod lcp2;
mod nondeterministic;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tracing::{debug, warn};
use wire::Pnn;
use wire::types::PublicIp;

/// The tunable IPAllocAlgorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// 0: each address has its node by its place in the list.
    Deterministic,
    /// 1: the node with the fewest addresses gets the next.
    Nondeterministic,
    /// 2: addresses of one network are spread.
    #[default]
    Lcp2,
}

impl Algorithm {
    /// By the tunable's value; anything else is LCP2, as in C.
    #[must_use]
    pub const fn of_tunable(value: u32) -> Self {
        match value {
            0 => Self::Deterministic,
            1 => Self::Nondeterministic,
            _ => Self::Lcp2,
        }
    }
}

/// How addresses are given out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// In which way.
    pub algorithm: Algorithm,
    /// NoIPTakeover: no address gets another node.
    pub no_takeover: bool,
    /// NoIPFailback: an address that has a node keeps it.
    pub no_failback: bool,
    /// Nodes that are to get addresses although they have some (REBALANCE_NODE).
    pub rebalance: BTreeSet<Pnn>,
    /// How many nodes there are, those that are not connected included.
    pub nodes: u32,
}

/// The addresses of each node, as it lists them itself.
pub type Lists = BTreeMap<Pnn, Vec<PublicIp>>;

/// An address and the node that shall have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The address.
    pub ip: IpAddr,
    /// The node; none if no node can have it.
    pub node: Option<Pnn>,
    /// The nodes that know the address.
    pub known_on: BTreeSet<Pnn>,
    available_on: BTreeSet<Pnn>,
}

/// Whether there is anything to do: some node has an address, or could have one.
#[must_use]
pub fn can_host(known: &Lists, available: &Lists) -> bool {
    let hosted = known
        .iter()
        .any(|(node, ips)| ips.iter().any(|ip| ip.pnn == *node));
    let any = known.values().any(|ips| !ips.is_empty());
    hosted || (any && available.values().any(|ips| !ips.is_empty()))
}

/// Places all addresses; the greatest comes first.
#[must_use]
pub fn allocate(rules: &Rules, known: &Lists, available: &Lists) -> Vec<Placement> {
    let mut allocation = Allocation {
        rules,
        places: merge(known, available),
    };
    match rules.algorithm {
        Algorithm::Deterministic => deterministic::allocate(&mut allocation),
        Algorithm::Nondeterministic => nondeterministic::allocate(&mut allocation),
        Algorithm::Lcp2 => lcp2::allocate(&mut allocation),
    }
    for place in allocation
        .places
        .iter()
        .filter(|place| place.node.is_none())
    {
        warn!("Failed to find node to cover ip {}", place.ip);
    }
    allocation.places
}

/// One list of what all nodes know.
fn merge(known: &Lists, available: &Lists) -> Vec<Placement> {
    let mut merged: BTreeMap<u128, Placement> = BTreeMap::new();
    for (list, is_available) in [(known, false), (available, true)] {
        for (&node, listed) in list {
            for (public, ip) in listed
                .iter()
                .filter_map(|public| Some((public, public.addr.canonical().ip()?)))
            {
                let place = merged.entry(key(ip)).or_insert_with(|| Placement::new(ip));
                place.known_on.insert(node);
                if is_available {
                    place.available_on.insert(node);
                } else if public.pnn == node {
                    place.node = Some(node);
                }
            }
        }
    }
    merged.into_values().rev().collect()
}

/// An address as a number of 128 bits; those of IPv4 are the smallest.
fn key(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

impl Placement {
    const fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            node: None,
            known_on: BTreeSet::new(),
            available_on: BTreeSet::new(),
        }
    }
}

/// The addresses while they are given out.
struct Allocation<'a> {
    rules: &'a Rules,
    places: Vec<Placement>,
}

impl Allocation<'_> {
    fn nodes(&self) -> impl Iterator<Item = Pnn> + use<> {
        (0..self.rules.nodes).map(Pnn)
    }

    /// Whether an address can be given to a node.
    fn can_take(&self, node: Pnn, place: &Placement) -> bool {
        !self.rules.no_takeover && place.available_on.contains(&node)
    }

    /// The nodes that an address can be given to.
    fn takers(&self, index: usize) -> impl Iterator<Item = Pnn> {
        let place = &self.places[index];
        self.nodes().filter(|&node| self.can_take(node, place))
    }

    /// How many addresses a node has.
    fn count(&self, node: Pnn) -> usize {
        let here = |place: &&Placement| place.node == Some(node);
        self.places.iter().filter(here).count()
    }

    /// Takes from nodes what they cannot have.
    fn unassign_unsuitable(&mut self) {
        for place in &mut self.places {
            if let Some(node) = place.node.filter(|node| !place.available_on.contains(node)) {
                debug!("Unassign IP: {} from {node}", place.ip);
                place.node = None;
            }
        }
    }

    /// Gives an address to the node with the fewest; of equals to the first.
    fn give_to_poorest(&mut self, index: usize) {
        let poorest = self.takers(index).min_by_key(|&node| self.count(node));
        if poorest.is_some() {
            self.places[index].node = poorest;
        }
    }

    /// Gives each address that has no node to the poorest.
    fn give_out_simply(&mut self) {
        for index in 0..self.places.len() {
            if self.places[index].node.is_none() {
                self.give_to_poorest(index);
            }
        }
    }
}

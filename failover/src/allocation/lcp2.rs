//! LCP2: addresses that have much in common, those of one network, are spread over the nodes.
//!
//! Two addresses on one node cost the square of the length of their longest common prefix; a node's imbalance
//! is the sum of what its pairs cost. Addresses are given out one by one, each time the address and node that
//! cost the least. Then, as long as it makes things better, the node with the greatest imbalance gives an
//! address away, but only to nodes that had none before: whoever is in use is not bothered for a small gain.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{error, info};
use wire::Pnn;

use super::{Allocation, Placement, key};

/// The cost of each node.
type Imbalances = BTreeMap<Pnn, u64>;

pub(super) fn allocate(allocation: &mut Allocation<'_>) {
    allocation.unassign_unsuitable();
    let mut imbalances: Imbalances = allocation
        .nodes()
        .map(|node| (node, imbalance(&allocation.places, node)))
        .collect();
    let candidates = candidates(allocation);
    while give_out_one(allocation, &mut imbalances) {}
    if !allocation.rules.no_failback && !candidates.is_empty() {
        while balance_once(allocation, &mut imbalances, &candidates) {}
    }
}

/// What two addresses cost on one node. As in C, each of the four words of 32 bits counts for itself, so
/// addresses of IPv6 that differ early may still have something in common.
fn cost(one: &Placement, other: &Placement) -> u64 {
    let different = key(one.ip) ^ key(other.ip);
    let words = [96, 64, 32, 0].map(|shift| (different >> shift) as u32);
    let common: u64 = words
        .iter()
        .map(|word| u64::from(word.leading_zeros()))
        .sum();
    common * common
}

/// What an address costs on a node.
fn cost_on(places: &[Placement], index: usize, node: Pnn) -> u64 {
    let others = places.iter().enumerate();
    others
        .filter(|(other, place)| *other != index && place.node == Some(node))
        .map(|(_, place)| cost(&places[index], place))
        .sum()
}

/// What the addresses of a node cost together.
fn imbalance(places: &[Placement], node: Pnn) -> u64 {
    let here: Vec<_> = places
        .iter()
        .filter(|place| place.node == Some(node))
        .collect();
    let pairs = here.iter().enumerate();
    pairs
        .flat_map(|(at, one)| here[at + 1..].iter().map(move |other| cost(one, other)))
        .sum()
}

/// The nodes that addresses are moved to: those that have none, as they have just become healthy, and those
/// that were asked for.
fn candidates(allocation: &Allocation<'_>) -> BTreeSet<Pnn> {
    let used: BTreeSet<Pnn> = allocation
        .places
        .iter()
        .filter_map(|place| place.node)
        .collect();
    let mut candidates: BTreeSet<Pnn> = allocation
        .nodes()
        .filter(|node| !used.contains(node))
        .collect();
    for &node in &allocation.rules.rebalance {
        if node.0 < allocation.rules.nodes {
            info!("Forcing rebalancing of IPs to node {node}");
            candidates.insert(node);
        } else {
            error!("unknown node {node}");
        }
    }
    candidates
}

/// Gives one address to the node where it costs the least; of equals the first of both.
fn give_out_one(allocation: &mut Allocation<'_>, imbalances: &mut Imbalances) -> bool {
    let places = &allocation.places;
    let free = (0..places.len()).filter(|&index| places[index].node.is_none());
    let choices = free.flat_map(|index| {
        let takers = allocation.takers(index);
        takers.map(move |node| (cost_on(places, index, node), index, node))
    });
    let Some((cost, index, node)) = choices.min_by_key(|(cost, ..)| *cost) else {
        return false;
    };
    allocation.places[index].node = Some(node);
    *imbalances.entry(node).or_default() += cost;
    true
}

/// Moves one address off a node that has a great imbalance.
fn balance_once(
    allocation: &mut Allocation<'_>,
    imbalances: &mut Imbalances,
    candidates: &BTreeSet<Pnn>,
) -> bool {
    let mut sources: Vec<_> = imbalances
        .iter()
        .map(|(&node, &cost)| (node, cost))
        .collect();
    sources.sort_by_key(|&(_, cost)| core::cmp::Reverse(cost));
    let sources = sources.into_iter().take_while(|&(_, cost)| cost > 0);
    let mut moves =
        sources.filter_map(|(node, _)| best_move(allocation, imbalances, candidates, node));
    let Some(best) = moves.next() else {
        return false;
    };
    imbalances.insert(best.from, best.source);
    imbalances.insert(best.to, best.target);
    allocation.places[best.index].node = Some(best.to);
    true
}

/// A move, and the imbalances of its two ends after it.
struct Move {
    index: usize,
    from: Pnn,
    to: Pnn,
    source: u64,
    target: u64,
}

/// The move off a node that leaves the least imbalance on both ends; of equals the first. It has to cost less
/// there than here, and must not make the other node worse than this one was.
fn best_move(
    allocation: &Allocation<'_>,
    imbalances: &Imbalances,
    candidates: &BTreeSet<Pnn>,
    from: Pnn,
) -> Option<Move> {
    let places = &allocation.places;
    let before = imbalances.get(&from).copied().unwrap_or_default();
    let here = (0..places.len()).filter(|&index| places[index].node == Some(from));
    let moves = here.flat_map(|index| {
        let saved = cost_on(places, index, from);
        let targets = allocation
            .takers(index)
            .filter(|node| candidates.contains(node));
        targets.filter_map(move |to| {
            let added = cost_on(places, index, to);
            let target = imbalances.get(&to).copied().unwrap_or_default() + added;
            let source = before.saturating_sub(saved);
            (target < before && added < saved).then_some(Move {
                index,
                from,
                to,
                source,
                target,
            })
        })
    });
    moves.min_by_key(|one| one.source + one.target)
}

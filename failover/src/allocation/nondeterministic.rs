//! Addresses stay where they are. One without a node goes to the node with the fewest, and then those with
//! many give to those with few, until the difference is 1 at most.

use super::Allocation;

/// Balancing gives up after so many moves more than there are addresses.
const MORE_MOVES: usize = 5;

pub(super) fn allocate(allocation: &mut Allocation<'_>) {
    allocation.unassign_unsuitable();
    allocation.give_out_simply();
    if !allocation.rules.no_failback {
        balance(allocation);
    }
}

fn balance(allocation: &mut Allocation<'_>) {
    let limit = allocation.places.len() + MORE_MOVES;
    for _ in 0..limit {
        let Some(index) = unbalanced(allocation) else {
            return;
        };
        allocation.give_to_poorest(index);
    }
}

/// An address to move: the first of the richest node, of the nodes that some address can be on, if there is
/// one that has at least two fewer.
fn unbalanced(allocation: &Allocation<'_>) -> Option<usize> {
    let placed =
        (0..allocation.places.len()).filter(|&index| allocation.places[index].node.is_some());
    placed.into_iter().find_map(|index| {
        let counts: Vec<_> = allocation
            .takers(index)
            .map(|node| (node, allocation.count(node)))
            .collect();
        let fewest = counts.iter().map(|(_, count)| *count).min()?;
        let most = counts.iter().map(|(_, count)| *count).max()?;
        let richest = counts.iter().find(|(_, count)| *count == most)?.0;
        let first = |place: &super::Placement| place.node == Some(richest);
        (most > fewest + 1)
            .then(|| allocation.places.iter().position(first))
            .flatten()
    })
}

//! Each address has its own node, by its place in the list; another one gets it only if that node cannot
//! have it. What happened before does not matter.

use tracing::{info, warn};
use wire::Pnn;

use super::Allocation;

pub(super) fn allocate(allocation: &mut Allocation<'_>) {
    info!("Deterministic IPs enabled. Resetting all ip allocations");
    let nodes = allocation.rules.nodes.max(1);
    for (number, place) in (0..).zip(&mut allocation.places) {
        let number: u32 = number;
        place.node = Some(Pnn(number % nodes));
    }
    if allocation.rules.no_failback {
        warn!("WARNING: 'NoIPFailback' set but ignored - incompatible with 'Deterministic IPs");
    }
    allocation.unassign_unsuitable();
    allocation.give_out_simply();
}

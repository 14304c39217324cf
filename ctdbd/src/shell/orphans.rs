//! The daemon as PID 1 of a container: processes that lost their parents become its children, and somebody has to wait
//! for them when they end.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::warn;

/// Own children are waited for within moments of their end; one that is still a zombie after this long is not ours.
const ROUND: Duration = Duration::from_secs(5);

/// Starts looking, if this process is PID 1.
pub(super) fn start() {
    if sys::process::is_init() {
        tokio::task::spawn_local(reap());
    }
}

async fn reap() {
    let mut seen = BTreeSet::new();
    loop {
        tokio::time::sleep(ROUND).await;
        let now = std::cell::RefCell::new(BTreeSet::new());
        let is_ours = |pid| {
            now.borrow_mut().insert(pid);
            !seen.contains(&pid)
        };
        if let Err(error) = sys::process::reap_orphans(is_ours) {
            warn!(%error, "cannot look for orphans");
        }
        seen = now.into_inner();
    }
}

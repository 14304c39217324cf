//! Keepalives: when to send them, and what to make of those that come.
//!
//! A keepalive carries the release and the uptime of its sender. Of two nodes with different
//! releases the younger one ends itself; AllowMixedVersions=1 turns that off
//! (`ctdb_keepalive.c`, 4.17.12).

use core::time::Duration;

use wire::Pnn;
use wire::tunables::Tunables;

use crate::Time;

/// What this node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Major and minor release, 16 bits each.
    pub(super) version: u32,
    /// Seconds since the start.
    pub(super) uptime: u32,
}

/// The reason for which this node cannot live beside the sender, if there is one. The texts are
/// 4.17.12's.
pub(super) fn verdict(
    ours: Identity,
    from: Pnn,
    version: Option<u32>,
    uptime: Option<u32>,
) -> Option<String> {
    let (Some(version), Some(uptime)) = (version, uptime) else {
        return Some(format!("Keepalive version missing from node {}", from.0));
    };
    let senior = uptime > ours.uptime || (uptime == ours.uptime && version > ours.version);
    (version != ours.version && senior).then(|| {
        format!(
            "Keepalive version mismatch 0x{:08x} != 0x{version:08x} from node {}",
            ours.version, from.0
        )
    })
}

/// KeepaliveInterval; 0 would be without a pause.
pub(super) fn interval(tunables: &Tunables) -> Duration {
    Duration::from_secs(u64::from(tunables.keepalive_interval.max(1)))
}

/// Watches the manager, which sends RECD_PING again and again.
///
/// Without one for RecdPingTimeout a ping counts as missed; one more than RecdPingFailCount of
/// them, and the manager is started anew (`ctdb_recover.c`, 4.17.12).
#[derive(Debug, Default)]
pub(super) struct ManagerWatch {
    due: Option<Time>,
    missed: u32,
}

impl ManagerWatch {
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// A ping came, or the manager was started. A time-out of 0 ends the watch.
    pub(super) fn pinged(&mut self, now: Time, tunables: &Tunables) {
        self.missed = 0;
        self.arm(now, tunables);
    }

    /// The time has come; true: start the manager anew.
    pub(super) fn missed(&mut self, now: Time, tunables: &Tunables) -> bool {
        let last = self.missed >= tunables.recd_ping_failcount;
        self.missed = if last { 0 } else { self.missed + 1 };
        self.arm(now, tunables);
        last
    }

    fn arm(&mut self, now: Time, tunables: &Tunables) {
        let timeout = u64::from(tunables.recd_ping_timeout);
        self.due = (timeout != 0).then(|| now + Duration::from_secs(timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Identity = Identity {
        version: 0x0004_0011,
        uptime: 10,
    };

    fn of(version: u32, uptime: u32) -> Option<String> {
        verdict(OURS, Pnn(2), Some(version), Some(uptime))
    }

    #[test]
    fn the_younger_of_two_releases_ends() {
        assert_eq!(of(0x0004_0011, 99), None);
        assert_eq!(of(0x0004_0019, 9), None);
        assert_eq!(of(0x0004_0010, 10), None);
        let text = "Keepalive version mismatch 0x00040011 != 0x00040019 from node 2";
        assert_eq!(of(0x0004_0019, 10).as_deref(), Some(text));
        assert!(of(0x0004_0010, 11).is_some());
    }

    #[test]
    fn a_keepalive_without_release_is_fatal() {
        let text = verdict(OURS, Pnn(1), None, None);
        assert_eq!(
            text.as_deref(),
            Some("Keepalive version missing from node 1")
        );
    }
}

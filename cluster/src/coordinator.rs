//! The border between a cluster manager and a coordinator: a store outside of the cluster that knows who is a member and
//! who leads, such as etcd.
//!
//! ```text
//!   ctdb-clusterd                        coordinator's program (ctdb-etcd)          the store
//!   +------------------+  Action: JSON, a line each   +-------------------+        +---------+
//!   | manager::Manager | ---------------------------> |                   | <----> |  etcd   |
//!   |                  | <--------------------------- |                   |        | members |
//!   +------------------+  Notification: the same      +-------------------+        +---------+
//! ```
//!
//! The program has two keys in the store for this node, both under one lease: that it is a member, and, if it leads, that
//! it does. The *revision* at which such a key was made orders everything: of two memberships, or leaderships, the one with
//! the higher revision is the later one, and ends the other. The lease ends by itself when it is not renewed, and with it
//! both keys.
//!
//! The native manager needs none of this. docs/cluster-manager.md says how to attach another store.

use serde::{Deserialize, Serialize};
use wire::Pnn;

/// What the manager wants of the coordinator. The answers may come in any order, and none at all if the store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Become a member. A lease of the same incarnation that is still alive is taken over with its keys; one of another
    /// incarnation is ended first. Answered by [`Notification::Joined`], then by one [`Notification::Member`] or
    /// [`Notification::Leader`] for each that there is, and by news of them from then on.
    Join {
        /// For the answer.
        number: u64,
        /// This node.
        pnn: Pnn,
        /// Which life of this node's daemon it is: random.
        incarnation: u64,
        /// How long the lease lives without being renewed.
        seconds: u32,
    },
    /// Renew the lease. Answered by [`Notification::Renewed`] if the member key is still there afterwards.
    Renew {
        /// For the answer.
        number: u64,
    },
    /// Make this node the leader, if there is none. Answered by [`Notification::Leader`] or [`Notification::Contended`].
    Campaign,
    /// This node does not lead, or no longer wants to.
    Resign,
    /// End the membership at once: the daemon is gone.
    Leave,
}

/// What the coordinator tells the manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification {
    /// The program has (again) been started, and knows nothing. Only the shell says this.
    Started,
    /// The node is a member.
    Joined {
        /// Of the [`Action::Join`].
        number: u64,
        /// When its member key was made.
        revision: u64,
        /// How long the lease lives, from when it was asked for.
        seconds: u32,
    },
    /// The lease lives on, from when it was asked for.
    Renewed {
        /// Of the [`Action::Renew`].
        number: u64,
    },
    /// The lease, or the member key, is not there any more.
    Expired,
    /// A node, perhaps this one, has been a member since this revision.
    Member {
        /// Which.
        pnn: Pnn,
        /// When its member key was made.
        revision: u64,
    },
    /// A node is no member any more.
    MemberGone {
        /// Which.
        pnn: Pnn,
        /// When that was: later keys are of a new membership.
        revision: u64,
    },
    /// A node, perhaps this one, leads.
    Leader {
        /// Which.
        pnn: Pnn,
        /// When its leader key was made.
        revision: u64,
    },
    /// Nobody leads.
    LeaderGone,
    /// Another node leads, or the campaign failed.
    Contended,
    /// Something did not work; for the log.
    Failed {
        /// What, and why.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let join = Action::Join {
            number: 1,
            pnn: Pnn(2),
            incarnation: 3,
            seconds: 10,
        };
        let text = r#"{"join":{"number":1,"pnn":2,"incarnation":3,"seconds":10}}"#;
        assert_eq!(serde_json::to_string(&join).unwrap(), text);
        assert_eq!(
            serde_json::to_string(&Action::Resign).unwrap(),
            r#""resign""#
        );
        let gone: Notification =
            serde_json::from_str(r#"{"member_gone":{"pnn":1,"revision":7}}"#).unwrap();
        assert_eq!(
            gone,
            Notification::MemberGone {
                pnn: Pnn(1),
                revision: 7
            }
        );
    }
}

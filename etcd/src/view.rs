//! What the keys say: who is a member, who leads. Snapshots and news of changes come by different ways; what is older than
//! what is known says nothing.

use std::collections::BTreeMap;

use cluster::coordinator::Notification;
use wire::Pnn;

use crate::api::Keys;
use crate::json::{Change, KeyValue};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Member(Pnn),
    Leader,
}

/// The cluster as etcd has it.
#[derive(Debug)]
pub struct View {
    prefix: String,
    /// Everything up to this revision is known.
    revision: u64,
    members: BTreeMap<Pnn, u64>,
    leader: Option<(Pnn, u64)>,
}

impl View {
    /// Nothing is known.
    #[must_use]
    pub const fn new(prefix: String) -> Self {
        Self {
            prefix,
            revision: 0,
            members: BTreeMap::new(),
            leader: None,
        }
    }

    /// Up to where everything is known.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Since when that node has been a member.
    #[must_use]
    pub fn member(&self, pnn: Pnn) -> Option<u64> {
        self.members.get(&pnn).copied()
    }

    /// All keys, as they are at once. On the first time it is also said if there is no leader.
    pub fn on_keys(&mut self, keys: &Keys) -> Vec<Notification> {
        let revision = keys.header.revision.revision();
        let first = self.revision == 0;
        if revision < self.revision {
            return Vec::new();
        }
        self.revision = revision;
        let mut members = BTreeMap::new();
        let mut leader = None;
        for kv in &keys.kvs {
            match self.role(kv) {
                Some(Role::Member(pnn)) => {
                    members.insert(pnn, kv.create_revision.revision());
                }
                Some(Role::Leader) => leader = leader_of(kv),
                None => {}
            }
        }
        let mut news = Vec::new();
        for pnn in self.members.keys().filter(|pnn| !members.contains_key(pnn)) {
            let pnn = *pnn;
            news.push(Notification::MemberGone { pnn, revision });
        }
        for (&pnn, &since) in &members {
            if self.members.get(&pnn) != Some(&since) {
                let revision = since;
                news.push(Notification::Member { pnn, revision });
            }
        }
        if leader != self.leader || (first && leader.is_none()) {
            news.push(leadership(leader));
        }
        (self.members, self.leader) = (members, leader);
        news
    }

    /// One change.
    pub fn on_change(&mut self, change: &Change) -> Option<Notification> {
        let revision = change.kv.mod_revision.revision();
        if revision <= self.revision {
            return None;
        }
        match (self.role(&change.kv)?, change.kind == "DELETE") {
            (Role::Member(pnn), true) => {
                self.members.remove(&pnn)?;
                Some(Notification::MemberGone { pnn, revision })
            }
            (Role::Member(pnn), false) => {
                let revision = change.kv.create_revision.revision();
                let known = self.members.insert(pnn, revision);
                (known != Some(revision)).then_some(Notification::Member { pnn, revision })
            }
            (Role::Leader, gone) => {
                let leader = leader_of(&change.kv).filter(|_| !gone);
                let known = std::mem::replace(&mut self.leader, leader);
                (known != leader).then(|| leadership(leader))
            }
        }
    }

    /// All changes of one revision have been told.
    pub fn advance(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    fn role(&self, kv: &KeyValue) -> Option<Role> {
        let name = kv.key.0.strip_prefix(&self.prefix)?;
        if name == "leader" {
            return Some(Role::Leader);
        }
        let pnn = name.strip_prefix("members/")?.parse().ok()?;
        Some(Role::Member(Pnn(pnn)))
    }
}

fn leader_of(kv: &KeyValue) -> Option<(Pnn, u64)> {
    let pnn = kv.value.0.parse().ok()?;
    Some((Pnn(pnn), kv.create_revision.revision()))
}

fn leadership(leader: Option<(Pnn, u64)>) -> Notification {
    match leader {
        Some((pnn, revision)) => Notification::Leader { pnn, revision },
        None => Notification::LeaderGone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Head, Int};

    fn kv(key: &str, value: &str, created: i64, changed: i64) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: value.into(),
            create_revision: Int(created),
            mod_revision: Int(changed),
            lease: Int(1),
        }
    }

    fn change(kind: &str, kv: KeyValue) -> Change {
        let kind = kind.to_owned();
        Change { kind, kv }
    }

    fn keys(revision: i64, kvs: Vec<KeyValue>) -> Keys {
        let header = Head {
            revision: Int(revision),
        };
        Keys { header, kvs }
    }

    fn member(pnn: u32, revision: u64) -> Notification {
        let pnn = Pnn(pnn);
        Notification::Member { pnn, revision }
    }

    fn gone(pnn: u32, revision: u64) -> Notification {
        let pnn = Pnn(pnn);
        Notification::MemberGone { pnn, revision }
    }

    #[test]
    fn snapshots_are_compared() {
        let mut view = View::new("/c/".into());
        let two = vec![kv("/c/members/0", "a", 3, 3), kv("/c/members/1", "b", 4, 4)];
        let news = view.on_keys(&keys(5, two));
        assert_eq!(news, [member(0, 3), member(1, 4), Notification::LeaderGone]);
        let old = view.on_keys(&keys(4, Vec::new()));
        assert_eq!(old, [], "an answer that was overtaken");
        let next = vec![
            kv("/c/members/0", "a", 8, 8),
            kv("/c/leader", "0", 9, 9),
            kv("/c/leader/x", "0", 9, 9),
            kv("/c/members/x", "0", 9, 9),
        ];
        let news = view.on_keys(&keys(9, next));
        let leader = Notification::Leader {
            pnn: Pnn(0),
            revision: 9,
        };
        assert_eq!(news, [gone(1, 9), member(0, 8), leader]);
    }

    #[test]
    fn changes_follow_a_snapshot() {
        let mut view = View::new("/c/".into());
        view.on_keys(&keys(5, vec![kv("/c/leader", "2", 5, 5)]));
        let old = change("", kv("/c/members/1", "b", 4, 4));
        assert_eq!(view.on_change(&old), None);
        let new = change("", kv("/c/members/1", "b", 6, 6));
        assert_eq!(view.on_change(&new), Some(member(1, 6)));
        let end = change("DELETE", kv("/c/leader", "", 0, 7));
        assert_eq!(view.on_change(&end), Some(Notification::LeaderGone));
        let end = change("DELETE", kv("/c/members/1", "", 0, 7));
        assert_eq!(
            view.on_change(&end),
            Some(gone(1, 7)),
            "of the same revision"
        );
        view.advance(7);
        assert_eq!(view.on_change(&end), None);
        assert_eq!(view.revision(), 7);
    }
}

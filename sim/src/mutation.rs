//! Bugs that are planted on purpose: the simulator has to find each of them.
//!
//! Nothing of them is in the crates under test. They change what passes the borders of these: what is stored, what a
//! worker says, what a packet carries, which event is told.

use std::fmt;
use std::str::FromStr;

use database::store::Stored;
use wire::Pnn;

/// One bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Who gives a record up goes on as its data master.
    KeepMaster,
    /// A record's sequence number stays when it gets another data master.
    NoBump,
    /// A daemon that starts again believes the volatile records of its last life.
    KeepVolatile,
    /// The content that a recovery replaces is not removed before.
    NoWipe,
    /// A recovery takes the oldest copy.
    OldestWins,
    /// A node says that it has applied a commit, and has not.
    LyingCommit,
    /// A commit is confirmed before it is synced.
    NoSync,
    /// A freeze does not wait for clients that hold locks.
    EagerFreeze,
    /// Packets of an earlier generation count.
    AnyGeneration,
    /// The database is not told that a client is gone.
    Undead,
    /// A worker is not told to unlock a record.
    NoRelease,
    /// A leader does not hear that the cluster lock is lost.
    DeafLeader,
    /// The packet that brings a record comes twice.
    Echo,
    /// The packet that brings a record is lost, and the connection lives.
    LostRecord,
    /// A traverse shows every copy, not only the data master's.
    EveryCopy,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::KeepMaster,
        Self::NoBump,
        Self::KeepVolatile,
        Self::NoWipe,
        Self::OldestWins,
        Self::LyingCommit,
        Self::NoSync,
        Self::EagerFreeze,
        Self::AnyGeneration,
        Self::Undead,
        Self::NoRelease,
        Self::DeafLeader,
        Self::Echo,
        Self::LostRecord,
        Self::EveryCopy,
    ];

    /// What node `me` stores in a volatile database in place of what there is.
    pub(crate) fn on_store(self, me: u32, old: Option<&Stored>, new: &mut Stored) {
        let me = Pnn(me);
        let was_master = old.is_some_and(|old| old.header.dmaster == me);
        match self {
            Self::KeepMaster if was_master => new.header.dmaster = me,
            Self::NoBump if !was_master && new.header.dmaster == me => {
                new.header.rsn = new.header.rsn.saturating_sub(2);
            }
            _ => {}
        }
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|m| m.to_string() == name);
        found.ok_or_else(|| format!("{name} is no planted bug"))
    }
}

//! What is measured: a row of the table each.

use serde::{Deserialize, Serialize};

use super::statistics::Better;

/// A row of the table. Its name in JSON is the variant's, with dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "Row::about says what each is")]
pub enum Row {
    MessageRing,
    TunnelRing,
    FetchRing,
    ContendedFetch,
    ContendedFetchShare,
    ContendedMany,
    ContendedManyShare,
    GLock,
    PersistentOne,
    PersistentAll,
    PersistentShare,
    ReplicatedOne,
    ReplicatedAll,
    ReplicatedShare,
    UpstreamPersistentOne,
    UpstreamPersistentAll,
    UpstreamPersistentShare,
    UpstreamReplicatedOne,
    UpstreamReplicatedAll,
    UpstreamReplicatedShare,
    Recovery10k,
    Recovery100k,
    Traverse100k,
    StallVacuumOther,
    StallVacuumSame,
    StallRecoveryOther,
    Attach,
    PacketCalls,
    BurstCalls,
    PacketInstructions,
    PacketCpu,
    IdleCpu,
    Resident,
    Proportional,
    ResidentClients,
}

/// What a row measures.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// For the table and the plot.
    pub title: &'static str,
    /// Of the value.
    pub unit: &'static str,
    /// Which direction is better.
    pub better: Better,
}

impl Row {
    /// What the row measures.
    #[must_use]
    pub fn about(self) -> About {
        use Better::{Higher, Lower};
        let (title, unit, better) = match self {
            Self::MessageRing => ("message ring", "messages/s", Higher),
            Self::TunnelRing => ("tunnel ring", "messages/s", Higher),
            Self::FetchRing => ("fetch ring", "hops/s", Higher),
            Self::ContendedFetch => ("contended fetch of one record", "writes/s", Higher),
            Self::ContendedFetchShare => ("  smallest share of a node", "of fair", Higher),
            Self::ContendedMany => ("contended fetch, 8 clients a node", "writes/s", Higher),
            Self::ContendedManyShare => ("  share of the slowest client", "of fair", Higher),
            Self::GLock => ("g_lock, a client on each node", "locks/s", Higher),
            Self::PersistentOne => ("persistent transactions, one writer", "commits/s", Higher),
            Self::UpstreamPersistentOne => (
                "persistent, upstream's client, one writer",
                "commits/s",
                Higher,
            ),
            Self::UpstreamReplicatedOne => (
                "replicated, upstream's client, one writer",
                "commits/s",
                Higher,
            ),
            Self::PersistentAll
            | Self::ReplicatedAll
            | Self::UpstreamPersistentAll
            | Self::UpstreamReplicatedAll => ("  a writer on each node", "commits/s", Higher),
            Self::PersistentShare
            | Self::ReplicatedShare
            | Self::UpstreamPersistentShare
            | Self::UpstreamReplicatedShare => ("  smallest share of a writer", "of fair", Higher),
            Self::ReplicatedOne => ("replicated transactions, one writer", "commits/s", Higher),
            Self::Recovery10k => ("recovery with 10,000 records", "s", Lower),
            Self::Recovery100k => ("recovery with 100,000 records", "s", Lower),
            Self::Traverse100k => ("traverse of 100,000 records", "s", Lower),
            Self::StallVacuumOther => (
                "longest wait while 100,000 records are vacuumed",
                "ms",
                Lower,
            ),
            Self::StallVacuumSame => ("  of a client of the same database", "ms", Lower),
            Self::StallRecoveryOther => (
                "longest wait while 100,000 records are recovered",
                "ms",
                Lower,
            ),
            Self::Attach => ("attach of new databases", "databases/s", Higher),
            Self::PacketCalls => ("system calls for a round trip", "calls", Lower),
            Self::BurstCalls => ("  of 64 at once", "calls", Lower),
            Self::PacketInstructions => ("instructions for a round trip", "instructions", Lower),
            Self::PacketCpu => ("CPU time for a round trip", "us", Lower),
            Self::IdleCpu => ("CPU time when idle", "ms/s", Lower),
            Self::Resident => ("resident memory of ctdbd", "MiB", Lower),
            Self::ResidentClients => ("  with 1,000 clients", "MiB", Lower),
            Self::Proportional => ("memory of all its processes (PSS)", "MiB", Lower),
        };
        About {
            title,
            unit,
            better,
        }
    }

    /// The title alone does not say what these belong to.
    #[must_use]
    pub fn full_title(self) -> String {
        let of = match self {
            Self::ContendedFetchShare => "contended fetch",
            Self::ContendedManyShare => "contended fetch, 8 clients a node",
            Self::BurstCalls => "system calls for a round trip",
            Self::ResidentClients => "resident memory of ctdbd",
            Self::StallVacuumSame => "longest wait while 100,000 records are vacuumed",
            Self::PersistentAll | Self::PersistentShare => "persistent transactions",
            Self::ReplicatedAll | Self::ReplicatedShare => "replicated transactions",
            Self::UpstreamPersistentAll | Self::UpstreamPersistentShare => {
                "persistent transactions, upstream's client"
            }
            Self::UpstreamReplicatedAll | Self::UpstreamReplicatedShare => {
                "replicated transactions, upstream's client"
            }
            _ => return self.about().title.to_owned(),
        };
        format!("{of}, {}", self.about().title.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_are_words_with_dashes() {
        let name = |row: Row| serde_json::to_string(&row).unwrap();
        assert_eq!(name(Row::MessageRing), "\"message-ring\"");
        assert_eq!(name(Row::Recovery100k), "\"recovery100k\"");
    }

    #[test]
    fn an_indented_title_gets_what_it_belongs_to() {
        assert_eq!(
            Row::ReplicatedShare.full_title(),
            "replicated transactions, smallest share of a writer"
        );
        assert_eq!(Row::Attach.full_title(), "attach of new databases");
    }
}

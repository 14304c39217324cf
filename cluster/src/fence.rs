//! What keeps a node out whose lease with the coordinator has ended, as messages: the manager tells its own daemon where the
//! node stands ([`Standing`]), and the daemons tell each other when a connection comes up and whenever it changes
//! ([`Hello`]).
//!
//! Numbers are 64 bits, little endian. A daemon without a coordinator knows neither message, and drops both.

use wire::{Pnn, Srvid};

/// Where [`Standing`] goes: to the own daemon, which lets no other node say it.
pub const STANDING: Srvid = Srvid(0xF0E7_CD00_0000_0001);
/// Where [`Hello`] goes: to another node's daemon.
pub const HELLO: Srvid = Srvid(0xF0E7_CD00_0000_0002);

/// Longest name of a setting that is believed, in bytes.
const LONGEST: usize = 1024;

/// Where this node stands with the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Until when the membership is safe, in nanoseconds of CLOCK_MONOTONIC; 0: it is not a member.
    pub until: u64,
    /// Since which revision it has been a member.
    pub revision: u64,
    /// Since which revision it leads; 0: it does not.
    pub term: u64,
    /// The latest leadership that is known, of any node; 0: none is.
    pub latest_term: u64,
    /// The least revision that counts of a node: its membership now, or the end of its last one.
    pub floors: Vec<(Pnn, u64)>,
}

impl Standing {
    /// As a message's data.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = [self.until, self.revision, self.term, self.latest_term];
        let floors = self
            .floors
            .iter()
            .flat_map(|(pnn, floor)| [u64::from(pnn.0), *floor]);
        head.into_iter()
            .chain(floors)
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    /// From a message's data; none if it is none.
    #[must_use]
    pub fn from_bytes(data: &[u8]) -> Option<Self> {
        let numbers = numbers(data)?;
        let (&[until, revision, term, latest_term], floors) = numbers.split_first_chunk()?;
        if !floors.len().is_multiple_of(2) {
            return None;
        }
        let floor = |pair: &[u64]| Some((Pnn(u32::try_from(pair[0]).ok()?), pair[1]));
        Some(Self {
            until,
            revision,
            term,
            latest_term,
            floors: floors.chunks_exact(2).map(floor).collect::<Option<_>>()?,
        })
    }
}

/// How a node introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Since which revision it has been a member; 0: it is none.
    pub revision: u64,
    /// Since which revision it leads; 0: it does not.
    pub term: u64,
    /// The coordinator and its cluster there; all nodes must have the same.
    pub setting: String,
}

impl Hello {
    /// As a message's data.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [self.revision.to_le_bytes(), self.term.to_le_bytes()].concat();
        bytes.extend_from_slice(self.setting.as_bytes());
        bytes
    }

    /// From a message's data; none if it is none.
    #[must_use]
    pub fn from_bytes(data: &[u8]) -> Option<Self> {
        let (head, setting) = data.split_at_checked(16)?;
        let setting = core::str::from_utf8(setting).ok()?;
        if setting.len() > LONGEST {
            return None;
        }
        let numbers = numbers(head)?;
        Some(Self {
            revision: numbers[0],
            term: numbers[1],
            setting: setting.to_owned(),
        })
    }
}

fn numbers(data: &[u8]) -> Option<Vec<u64>> {
    let (numbers, rest) = data.as_chunks::<8>();
    rest.is_empty().then(|| {
        numbers
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let standing = Standing {
            until: 1,
            revision: 2,
            term: 3,
            latest_term: 4,
            floors: vec![(Pnn(0), 5), (Pnn(7), 6)],
        };
        assert_eq!(Standing::from_bytes(&standing.to_bytes()), Some(standing));
        let hello = Hello {
            revision: 9,
            term: 0,
            setting: "etcd ctdb".into(),
        };
        assert_eq!(Hello::from_bytes(&hello.to_bytes()), Some(hello));
    }

    #[test]
    fn nonsense_is_nothing() {
        for length in [0, 8, 31, 33, 40, 47] {
            assert_eq!(Standing::from_bytes(&vec![0xFF; length]), None, "{length}");
        }
        assert_eq!(Hello::from_bytes(&[0; 15]), None);
        assert_eq!(Hello::from_bytes(&[0xFF; 17]), None);
        assert_eq!(Hello::from_bytes(&vec![b'x'; 16 + LONGEST + 1]), None);
        let pnn = [[0; 8]; 4]
            .concat()
            .into_iter()
            .chain([0xFF; 16])
            .collect::<Vec<u8>>();
        assert_eq!(Standing::from_bytes(&pnn), None);
    }
}

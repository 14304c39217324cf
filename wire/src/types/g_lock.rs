//! Global locks: who holds one, as upstream's client library keeps it in `g_lock.tdb` (ctdb/client
//! and protocol_types.c, 4.17.12). smbd keeps its own in another format, in a database of the same
//! name but under other keys.
//!
//! ```text
//! value:  entries, 32 bytes each     (less than that behind the last one counts for nothing)
//! entry:  mode u32, 4 bytes of padding, server
//! server: pid u64, task u32, vnn u32, unique u64
//! ```

use serde::{Deserialize, Serialize};

use crate::Pnn;
use crate::coding::{Decode, DecodeError, Encode, Reader, wire_enum, wire_struct};

wire_enum! {
    /// How a lock is held.
    pub enum GLockMode: "a lock mode (0 read, 1 write)" {
        /// With other readers.
        Read = 0,
        /// Alone.
        Write = 1,
    }
}

wire_struct! {
    /// Who holds a lock: equal only if all four are.
    pub struct ServerId {
        /// Process, as its node numbers it.
        pub pid: u64,
        /// Its own business; upstream's transactions have the database's number here.
        pub task: u32,
        /// Node.
        pub vnn: Pnn,
        /// Makes it different from others of the process. Upstream's clients: the task in the upper
        /// half, the process in the lower.
        pub unique: u64,
    }

    /// One holder.
    pub struct GLockEntry {
        /// How it holds the lock.
        pub mode: GLockMode => pad 4,
        /// Who it is.
        pub server: ServerId,
    }
}

/// The size of an entry, in bytes.
const ENTRY: usize = 32;

impl GLockEntry {
    /// Whether the two cannot hold the lock at the same time.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        [self, other]
            .iter()
            .any(|entry| entry.mode == GLockMode::Write)
    }
}

/// All holders of a lock.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GLockList {
    /// In the order in which they are stored.
    pub holders: Vec<GLockEntry>,
}

impl Encode for GLockList {
    fn encode(&self, out: &mut Vec<u8>) {
        self.holders.iter().for_each(|entry| entry.encode(out));
    }
}

impl Decode for GLockList {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let entries = r.at("GLockList", "holders").rest().chunks_exact(ENTRY);
        let holders = entries
            .map(GLockEntry::from_bytes)
            .collect::<Result<_, _>>()?;
        Ok(Self { holders })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: GLockMode, pid: u64) -> GLockEntry {
        let server = ServerId {
            pid,
            task: 7,
            vnn: Pnn(1),
            unique: 9,
        };
        GLockEntry { mode, server }
    }

    #[test]
    fn lists_come_back_and_a_rest_is_ignored() {
        let holders = vec![entry(GLockMode::Read, 1), entry(GLockMode::Read, 2)];
        let list = GLockList { holders };
        let mut bytes = list.to_bytes();
        assert_eq!(bytes.len(), 2 * ENTRY);
        bytes.extend_from_slice(b"rest");
        assert_eq!(GLockList::from_bytes(&bytes), Ok(list));
        assert_eq!(GLockList::from_bytes(b""), Ok(GLockList::default()));
        bytes[0] = 2;
        assert!(GLockList::from_bytes(&bytes).is_err());
    }

    #[test]
    fn only_readers_go_together() {
        let (read, write) = (entry(GLockMode::Read, 1), entry(GLockMode::Write, 2));
        assert!(!read.conflicts_with(&read));
        assert!(read.conflicts_with(&write) && write.conflicts_with(&read));
        assert!(write.conflicts_with(&write));
    }
}

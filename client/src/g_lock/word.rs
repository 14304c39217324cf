//! What clients of ours say to each other about locks, and where they are reached.
//!
//! ```text
//! unique id of a holder:  sequence u32, 0xC7 u8, number u24     (upper bits first)
//! its address:            0xBE u8, number u24, pid u32
//! ```
//!
//! The number is that of the client's subscription. C's clients have the process number in the lower
//! half of the unique id, whose upper byte is 0 then: process numbers end at 2^22.

use wire::coding::{Decode, DecodeError, Encode, Reader};
use wire::types::{GLockEntry, ServerId};
use wire::{Pnn, Srvid};

const MARK: u64 = 0xC7;
const NUMBER: u64 = 0x00FF_FFFF;

/// Whether it is a holder that understands words.
pub(super) fn is_ours(server: &ServerId) -> bool {
    server.unique >> 24 & 0xFF == MARK
}

/// Where one of ours is reached.
pub(super) fn address(server: &ServerId) -> Srvid {
    let pid = server.pid & u64::from(u32::MAX);
    Srvid(Srvid::CLIENT_RANGE.0 | (server.unique & NUMBER) << 32 | pid)
}

/// A holder that is reached at this address (of [`crate::private_srvid`]).
pub(super) fn server((address, vnn): (Srvid, Pnn), sequence: u32, task: u32) -> ServerId {
    ServerId {
        pid: address.0 & u64::from(u32::MAX),
        task,
        vnn,
        unique: u64::from(sequence) << 32 | MARK << 24 | (address.0 >> 32 & NUMBER),
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// The waiter wants to be next.
    Want {
        holder: ServerId,
        waiter: GLockEntry,
        name: Box<[u8]>,
    },
    /// The record says that `to` holds the lock, for so many turns without a pause. Those behind wait
    /// for it.
    Granted {
        to: ServerId,
        turns: u32,
        behind: Vec<GLockEntry>,
        name: Box<[u8]>,
    },
    /// `gone` does not hold the lock, and never will again.
    Look { to: ServerId, gone: ServerId },
}

impl Encode for Word {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Want {
                holder,
                waiter,
                name,
            } => {
                1u32.encode(out);
                holder.encode(out);
                waiter.encode(out);
                out.extend_from_slice(name);
            }
            Self::Granted {
                to,
                turns,
                behind,
                name,
            } => {
                2u32.encode(out);
                to.encode(out);
                turns.encode(out);
                behind.encode(out);
                out.extend_from_slice(name);
            }
            Self::Look { to, gone } => {
                3u32.encode(out);
                to.encode(out);
                gone.encode(out);
            }
        }
    }
}

impl Decode for Word {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.at("Word", "kind").u32()? {
            1 => Ok(Self::Want {
                holder: r.get()?,
                waiter: r.get()?,
                name: r.rest().into(),
            }),
            2 => Ok(Self::Granted {
                to: r.get()?,
                turns: r.get()?,
                behind: r.get()?,
                name: r.rest().into(),
            }),
            3 => Ok(Self::Look {
                to: r.get()?,
                gone: r.get()?,
            }),
            other => Err(r.invalid("a word about locks (1-3)", other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::types::GLockMode;

    use super::*;

    #[test]
    fn a_holder_is_reached_where_it_listens() {
        let srvid = crate::private_srvid();
        let mine = server((srvid, Pnn(2)), 5, 7);
        assert!(is_ours(&mine));
        assert_eq!(address(&mine), srvid);
        assert_eq!((mine.pid, mine.task), (std::process::id().into(), 7));
        let theirs = ServerId {
            pid: 0x3F_FFFF,
            unique: 0xC7C7_C7C7_003F_FFFF,
            ..mine.clone()
        };
        assert!(!is_ours(&theirs));
        assert_ne!(server((srvid, Pnn(2)), 6, 7), mine);
    }

    #[test]
    fn words_come_back_and_cut_ones_are_refused() {
        let to = server((crate::private_srvid(), Pnn(0)), 1, 2);
        let waiter = GLockEntry {
            mode: GLockMode::Write,
            server: to.clone(),
        };
        let name: Box<[u8]> = b"name\0"[..].into();
        let words = [
            Word::Want {
                holder: to.clone(),
                waiter: waiter.clone(),
                name: name.clone(),
            },
            Word::Granted {
                to: to.clone(),
                turns: 3,
                behind: vec![waiter.clone(), waiter],
                name,
            },
            Word::Look {
                gone: to.clone(),
                to,
            },
        ];
        for word in words {
            let bytes = word.to_bytes();
            assert_eq!(Word::from_bytes(&bytes), Ok(word));
            assert!(Word::from_bytes(&bytes[..27]).is_err());
        }
    }
}

//! Controls: what clients ask of daemons, and daemons of each other.
//!
//! The [table](TABLE) has every number that any version up to 4.25pre knew. Of it come [`Opcode`],
//! [`Request`] (to decode whatever arrives) and one marker type a control, for which [`Control`]
//! names the types of request and reply (to send, and to read the answer).
//!
//! Some controls answer in the reply's `status` alone; the table says what it means then. Elsewhere
//! 0 is success and anything below is a failure.

mod macros;
mod table;

pub use table::*;

use crate::coding::{Decode, DecodeError, Encode, Reader};

/// One control, known when the program is built.
pub trait Control {
    /// Its number.
    const OPCODE: u32;
    /// Upstream's name, without CTDB_CONTROL_.
    const NAME: &'static str;
    /// What is sent. An argument in the packet's `srvid` is not part of it.
    type Request: Encode + Decode;
    /// What comes back if the status is not negative.
    type Reply: Encode + Decode;

    /// Reads a reply's data. Bytes behind it are ignored: a later version may say more.
    ///
    /// # Errors
    /// If the data is not such a reply.
    fn decode_reply(data: &[u8]) -> Result<Self::Reply, DecodeError> {
        Self::Reply::decode(&mut Reader::new(data))
    }
}

/// Whether a control is still answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Yes.
    Live,
    /// No: the answer is status -1 and a line in the log.
    Retired {
        /// The control to use instead, for the log line.
        instead: Option<&'static str>,
    },
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlInfo {
    /// Its number.
    pub opcode: u32,
    /// Upstream's name, without CTDB_CONTROL_.
    pub name: &'static str,
    /// The name of its [`Request`] variant and marker type.
    pub rust_name: &'static str,
    /// The Rust type of the request's data.
    pub request: &'static str,
    /// The Rust type of the reply's data.
    pub reply: &'static str,
    /// What a status of 0 or more means, if it is the answer.
    pub status: Option<&'static str>,
    /// What the packet's `srvid` is, if it is an argument.
    pub srvid: Option<&'static str>,
    /// Whether it is still answered.
    pub life: Life,
}

/// Upstream's name of a control, without CTDB_CONTROL_.
pub fn opcode_name(opcode: u32) -> Option<&'static str> {
    Opcode::from_u32(opcode).map(Opcode::name)
}

impl Opcode {
    /// The control's number.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The control's line of the table.
    pub fn info(self) -> &'static ControlInfo {
        let line = TABLE.binary_search_by_key(&self.number(), |info| info.opcode);
        &TABLE[line.expect("the table is sorted and has every opcode")]
    }

    /// Upstream's name, without CTDB_CONTROL_.
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

impl std::fmt::Display for Opcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What C's daemon writes to its log for a retired control (ctdb_control.c, 4.17.12).
pub fn retired_text(opcode: Opcode) -> Option<String> {
    let info = opcode.info();
    match info.life {
        Life::Live => None,
        Life::Retired { instead: None } => {
            Some(format!("Control {} is not implemented any more", info.name))
        }
        Life::Retired {
            instead: Some(other),
        } => Some(format!(
            "Control {} is not implemented any more, use {other} instead",
            info.name
        )),
    }
}

/// Puts the lines of both lists in order, when the program is built.
const fn sorted<const N: usize>(mut lines: [ControlInfo; N]) -> [ControlInfo; N] {
    let mut i = 1;
    while i < N {
        let mut j = i;
        while j > 0 && lines[j - 1].opcode > lines[j].opcode {
            (lines[j - 1], lines[j]) = (lines[j], lines[j - 1]);
            j -= 1;
        }
        i += 1;
    }
    lines
}

/// Reads data that must be a whole `T`.
fn whole<T: Decode>(data: &[u8]) -> Result<T, DecodeError> {
    T::from_bytes(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DbId, Srvid};

    #[test]
    fn the_table_is_sorted_and_whole() {
        assert!(TABLE.is_sorted_by(|a, b| a.opcode < b.opcode));
        let never = [2, 12, 28, 38, 39, 40, 41, 68, 73, 92, 93, 94, 95, 106];
        for opcode in 0..=162 {
            assert_eq!(
                opcode_name(opcode).is_none(),
                never.contains(&opcode),
                "{opcode}"
            );
        }
        assert_eq!(opcode_name(163), None);
    }

    #[test]
    fn requests_are_read_by_number() {
        let data = DbId(7).to_bytes();
        let request = Request::decode(GetDbName::OPCODE, Srvid(0), &data);
        assert_eq!(request, Ok(Request::GetDbName(DbId(7))));
        assert!(Request::decode(GetDbName::OPCODE, Srvid(0), &data[1..]).is_err());
        let registered = Request::decode(RegisterSrvid::OPCODE, Srvid::LEADER, &[]);
        assert_eq!(registered, Ok(Request::RegisterSrvid(Srvid::LEADER)));
        assert_eq!(registered.map(|request| request.srvid()), Ok(Srvid::LEADER));
    }

    #[test]
    fn unknown_and_retired_numbers_are_told_apart() {
        assert_eq!(
            Request::decode(2, Srvid(0), &[]),
            Err(DecodeError::UnknownOpcode(2))
        );
        let thaw = Request::decode(34, Srvid(0), b"any");
        assert_eq!(thaw, Ok(Request::Retired(Opcode::Thaw)));
        let text = retired_text(Opcode::Trans2Commit).unwrap();
        assert_eq!(
            text,
            "Control TRANS2_COMMIT is not implemented any more, use TRANS3_COMMIT instead"
        );
    }
}

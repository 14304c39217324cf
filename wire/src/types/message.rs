//! Payloads of messages, and small requests of clients.

use serde::{Deserialize, Serialize};

use crate::coding::{Decode, DecodeError, Encode, Reader, put_counted_text, wire_struct};
use crate::layout::layout;
use crate::types::{NodeFlags, TimeVal};
use crate::{Pnn, Srvid};

wire_struct! {
    /// A node's case in an election: 32 bytes.
    pub struct ElectionMessage {
        /// How many nodes it is connected to.
        pub num_connected: u32 => pad 4,
        /// Since when it has been running.
        pub priority_time: TimeVal,
        /// Who it is.
        pub pnn: Pnn,
        /// Its flags.
        pub node_flags: NodeFlags,
    }

    /// A request whose answer goes to a message address: 16 bytes.
    pub struct SrvidMessage {
        /// The asking node.
        pub pnn: Pnn => pad 4,
        /// Where there; 0 wants no answer.
        pub srvid: Srvid,
    }

    /// DISABLE_TAKEOVER_RUNS, DISABLE_RECOVERIES: 24 bytes.
    pub struct DisableMessage {
        /// The asking node.
        pub pnn: Pnn => pad 4,
        /// Where the answer goes; 0 wants none.
        pub srvid: Srvid,
        /// For how many seconds; 0 enables again.
        pub timeout: u32 => pad 4,
    }

    /// REGISTER_NOTIFY: what to send to all nodes when this client is gone.
    pub struct NotifyData {
        /// To whom.
        pub srvid: Srvid,
        /// What.
        pub data: Vec<u8>,
    }

    /// CHECK_PID_SRVID: 12 bytes, not the 16 of the C structure.
    pub struct PidSrvid {
        /// The process.
        pub pid: i32,
        /// The address it should have registered.
        pub srvid: Srvid,
    }

    /// ECHO_DATA.
    pub struct EchoData {
        /// Meant as milliseconds until the answer; 4.17 and master answer at once.
        pub timeout: u32,
        /// What to answer.
        pub buf: Vec<u8>,
    }
}

/// SET_TUNABLE: value, length, name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunable {
    /// Its new value.
    pub value: u32,
    /// Which one.
    pub name: String,
}

/// CHECK_SRVIDS: addresses, up to the end of the data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SrvidList(pub Vec<Srvid>);

/// CHECK_SRVIDS: for each address a bit, the first of a byte is its lowest; set if somebody on the node has registered it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SrvidBits(pub Vec<u8>);

impl FromIterator<bool> for SrvidBits {
    fn from_iter<I: IntoIterator<Item = bool>>(registered: I) -> Self {
        let mut bytes = Vec::new();
        for (at, registered) in registered.into_iter().enumerate() {
            if at % 8 == 0 {
                bytes.push(0);
            }
            bytes[at / 8] |= u8::from(registered) << (at % 8);
        }
        Self(bytes)
    }
}

layout! {
    SrvidList "CHECK_SRVIDS." {
        srvids: bytes, "Addresses of 8 bytes, up to the end of the data.";
    }
    SrvidBits "CHECK_SRVIDS, which C answers up to 4.7." {
        bits: bytes, "A bit for each address, the first of a byte is its lowest: set if somebody on the node has registered it.";
    }
    Tunable "SET_TUNABLE." {
        value: u32, "Its new value.";
        length: u32, "Of the name, its NUL counted.";
        name: bytes, "Which one, and a NUL.";
    }
}

impl Encode for Tunable {
    fn encode(&self, out: &mut Vec<u8>) {
        self.value.encode(out);
        put_counted_text(out, &self.name);
    }
}

impl Decode for Tunable {
    const MIN_SIZE: usize = 8;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            value: r.at("Tunable", "value").get()?,
            name: r.at("Tunable", "name").counted_text()?,
        })
    }
}

impl Encode for SrvidList {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|srvid| srvid.encode(out));
    }
}

impl Decode for SrvidList {
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut srvids = Vec::new();
        while r.remaining() > 0 {
            srvids.push(r.at("SrvidList", "srvids").get()?);
        }
        Ok(Self(srvids))
    }
}

impl Encode for SrvidBits {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for SrvidBits {
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.rest().to_vec()))
    }
}

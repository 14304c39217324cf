//! The payloads of messages to well-known addresses.
//!
//! What stands behind a [`Srvid`] in a message is fixed by the address alone (protocol_message.c,
//! 4.17.12). Anything else, and all of Samba's own messages, is [`Message::Other`].
//!
//! A request with an address for its answer ([`SrvidMessage`], [`DisableMessage`]) is answered by a
//! message to that address, with the answering node's pnn or a negative error as an `i32`; a memory
//! dump with its text. The address is the asker's own, so such an answer is a [`Message::Other`].

use serde::{Deserialize, Serialize};

use crate::coding::{Decode, DecodeError, Encode};
use crate::types::{
    DbSizes, DisableMessage, ElectionMessage, Ignored, NodeFlagChange, PublicIp, RecBuffer,
    SrvidMessage,
};
use crate::{DbId, Pnn, Srvid};

/// A well-known address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageInfo {
    /// The address.
    pub srvid: Srvid,
    /// Upstream's name, without CTDB_SRVID_; or ours, where the address is.
    pub name: &'static str,
    /// The Rust type of the payload.
    pub payload: &'static str,
    /// What such a message says.
    pub about: &'static str,
}

macro_rules! messages {
    ($( $(#[$($meta:tt)*])* $name:ident($ty:ty) = $srvid:ident; )*) => {
        /// A message by what it says.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum Message {
            $( $(#[$($meta)*])* $name($ty), )*
            /// Records of a database in a recovery, to an address that the recovery chose.
            Recovery(Srvid, RecBuffer),
            /// Anything else.
            Other(Srvid, Vec<u8>),
        }

        /// The well-known addresses whose messages have a form of their own.
        pub static TABLE: &[MessageInfo] = &[$( MessageInfo {
            srvid: Srvid::$srvid,
            name: stringify!($srvid),
            payload: stringify!($ty),
            about: concat!($( crate::coding::doc_text!($($meta)*) ),*),
        } ),*];

        impl Message {
            /// Reads a message to `srvid`.
            ///
            /// # Errors
            /// If the address is a well-known one and the data is not what belongs there.
            pub fn decode(srvid: Srvid, data: &[u8]) -> Result<Self, DecodeError> {
                Ok(match srvid {
                    $( Srvid::$srvid => Self::$name(<$ty>::from_bytes(data)?), )*
                    _ if srvid.is_recovery() => Self::Recovery(srvid, RecBuffer::from_bytes(data)?),
                    _ => Self::Other(srvid, data.to_vec()),
                })
            }

            /// Where it goes.
            pub fn srvid(&self) -> Srvid {
                match self {
                    $( Self::$name(_) => Srvid::$srvid, )*
                    Self::Recovery(srvid, _) | Self::Other(srvid, _) => *srvid,
                }
            }

            /// Appends its payload.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$name(payload) => payload.encode(out), )*
                    Self::Recovery(_, records) => records.encode(out),
                    Self::Other(_, data) => out.extend_from_slice(data),
                }
            }
        }
    };
}

messages! {
    /// A node made a takeover run fail: the leader counts it against the node.
    Banning(Pnn) = BANNING;
    /// A node stands for leader.
    Election(ElectionMessage) = ELECTION;
    /// Who is leader.
    Leader(Pnn) = LEADER;
    /// A recovery is over.
    Reconfigure(Ignored) = RECONFIGURE;
    /// An address was released.
    ReleaseIp(String) = RELEASE_IP;
    /// An address was taken over.
    TakeIp(String) = TAKE_IP;
    /// The `ipreallocated` event ended (after 4.17).
    IpReallocated(Ignored) = IPREALLOCATED;
    /// The `startipreallocate` event ended (after 4.17).
    StartIpreallocate(Ignored) = START_IPREALLOCATE;
    /// Obsolete: flags of a node.
    SetNodeFlags(NodeFlagChange) = SET_NODE_FLAGS;
    /// Obsolete: where an address is now.
    RecdUpdateIp(PublicIp) = RECD_UPDATE_IP;
    /// Obsolete: records to migrate here; now the control of this name.
    VacuumFetch(RecBuffer) = VACUUM_FETCH;
    /// Obsolete: a database to forget; now the control DB_DETACH.
    DetachDatabase(DbId) = DETACH_DATABASE;
    /// Memory usage wanted; the answer is its text.
    MemDump(SrvidMessage) = MEM_DUMP;
    /// Obsolete: logs wanted.
    GetLog(Ignored) = GETLOG;
    /// Obsolete: logs to be cleared.
    ClearLog(Ignored) = CLEARLOG;
    /// Flags of a node for all others.
    PushNodeFlags(NodeFlagChange) = PUSH_NODE_FLAGS;
    /// The nodes file changed.
    ReloadNodes(Ignored) = RELOAD_NODES;
    /// A takeover run wanted; the answer is an `i32`.
    TakeoverRun(SrvidMessage) = TAKEOVER_RUN;
    /// Addresses for a node wanted.
    RebalanceNode(Pnn) = REBALANCE_NODE;
    /// No takeover runs for a while; the answer is an `i32`.
    DisableTakeoverRuns(DisableMessage) = DISABLE_TAKEOVER_RUNS;
    /// No recoveries for a while; the answer is an `i32`.
    DisableRecoveries(DisableMessage) = DISABLE_RECOVERIES;
    /// No check of addresses for so many seconds.
    DisableIpCheck(u32) = DISABLE_IP_CHECK;
    /// Of this implementation alone: a recovery is wanted, and how large the sender's databases are.
    RecoveryWanted(DbSizes) = RECOVERY_WANTED;
}

impl Srvid {
    /// Whether it is one of the addresses at which a recovery takes records.
    pub fn is_recovery(self) -> bool {
        self.0 & 0xFFFF_0000_0000_0000 == Self::RECOVERY.0
    }
}

impl Message {
    /// Its payload alone.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_what_it_is() {
        let leader = Message::Leader(Pnn(2));
        assert_eq!(
            Message::decode(leader.srvid(), &leader.to_bytes()),
            Ok(leader)
        );
        let other = Message::Other(Srvid(4711), b"samba's".to_vec());
        assert_eq!(Message::decode(other.srvid(), &other.to_bytes()), Ok(other));
        assert!(Message::decode(Srvid::LEADER, b"no").is_err());
    }
}

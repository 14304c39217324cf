//! The numbers that name things, each a type of its own.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::coding::{Decode, DecodeError, Encode, Reader};

macro_rules! ids {
    ($( $(#[$meta:meta])* $name:ident($int:ty) $format:literal )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl From<$int> for $name {
            fn from(number: $int) -> Self {
                Self(number)
            }
        }

        impl Encode for $name {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }

        impl Decode for $name {
            const MIN_SIZE: usize = size_of::<$int>();
            #[inline]
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.get().map(Self)
            }
        }
    )*};
}

ids! {
    /// A node's number: its line in the nodes file, counted from 0. Some values mean many nodes.
    Pnn(u32) "{}"
    /// A database's number, the hash of its name (see [`crate::db_id`]).
    DbId(u32) "0x{:08x}"
    /// Matches a reply with its request; each sender chooses its own.
    ReqId(u32) "{}"
    /// The number of a cluster configuration; each recovery makes a new one.
    Generation(u32) "{}"
    /// The address of a message on a node: a process, or a well-known service.
    Srvid(u64) "0x{:016x}"
    /// The address of a tunnel on a node.
    TunnelId(u64) "0x{:016x}"
    /// A client as its own daemon numbers it; 0 is the daemon itself.
    ClientId(u32) "{}"
}

impl Pnn {
    /// From a client: the node of the daemon it is connected to.
    pub const CURRENT: Self = Self(0xF000_0001);
    /// All nodes, connected or not.
    pub const BROADCAST_ALL: Self = Self(0xF000_0002);
    /// All active nodes: connected, and neither stopped, banned nor deleted.
    pub const BROADCAST_ACTIVE: Self = Self(0xF000_0003);
    /// All connected nodes.
    pub const BROADCAST_CONNECTED: Self = Self(0xF000_0004);
    /// A list of connected nodes; only inside a client library, never sent.
    pub const MULTICAST: Self = Self(0xF000_0005);
    /// No node, or not known which.
    pub const UNKNOWN: Self = Self(0xFFFF_FFFF);

    /// Whether this stands for several nodes.
    pub fn is_broadcast(self) -> bool {
        (Self::BROADCAST_ALL..=Self::MULTICAST).contains(&self)
    }
}

impl Generation {
    /// Before the first recovery, and while one is running.
    pub const INVALID: Self = Self(1);
}

impl TunnelId {
    /// Upstream's test programs use tunnels from here up.
    pub const TEST: Self = Self(0xFFFF_FFFF_0000_0000);
}

impl Srvid {
    /// Catches every message of a node.
    pub const ALL: Self = Self(u64::MAX);
    /// Prefix of the addresses to which records go in a recovery (DB_PULL, DB_PUSH_START).
    pub const RECOVERY: Self = Self(0xF001_0000_0000_0000);
    /// Banning credits for a node.
    pub const BANNING: Self = Self(0xF002_0000_0000_0000);
    /// Of this implementation alone: the sender's recovery mode has become ACTIVE, so the leader looks at once. The data
    /// says how large its databases are ([`DbSizes`](crate::types::DbSizes)). Upstream's daemons have nobody who listens,
    /// and drop it.
    pub const RECOVERY_WANTED: Self = Self(0xF0DB_0000_0000_0000);
    /// Election data.
    pub const ELECTION: Self = Self(0xF100_0000_0000_0000);
    /// The leader says that it is there.
    pub const LEADER: Self = Self(0xF101_0000_0000_0000);
    /// To clients: the cluster was reconfigured.
    pub const RECONFIGURE: Self = Self(0xF200_0000_0000_0000);
    /// To clients: an address was released.
    pub const RELEASE_IP: Self = Self(0xF300_0000_0000_0000);
    /// To clients: an address was taken over.
    pub const TAKE_IP: Self = Self(0xF301_0000_0000_0000);
    /// To clients: the `ipreallocated` event ended (after 4.17).
    pub const IPREALLOCATED: Self = Self(0xF302_0000_0000_0000);
    /// To clients: the `startipreallocate` event ended (after 4.17).
    pub const START_IPREALLOCATE: Self = Self(0xF303_0000_0000_0000);
    /// Obsolete: node flags for the recovery daemon.
    pub const SET_NODE_FLAGS: Self = Self(0xF400_0000_0000_0000);
    /// The recovery daemon updates its public address assignment.
    pub const RECD_UPDATE_IP: Self = Self(0xF500_0000_0000_0000);
    /// The recovery daemon migrates records.
    pub const VACUUM_FETCH: Self = Self(0xF700_0000_0000_0000);
    /// The recovery daemon forgets a database.
    pub const DETACH_DATABASE: Self = Self(0xF701_0000_0000_0000);
    /// The recovery daemon writes its memory usage to the log.
    pub const MEM_DUMP: Self = Self(0xF800_0000_0000_0000);
    /// Retired: send logs.
    pub const GETLOG: Self = Self(0xF801_0000_0000_0000);
    /// Retired: clear logs.
    pub const CLEARLOG: Self = Self(0xF802_0000_0000_0000);
    /// The recovery daemon pushes node flags to the other nodes.
    pub const PUSH_NODE_FLAGS: Self = Self(0xF900_0000_0000_0000);
    /// The recovery daemon reads the nodes file again.
    pub const RELOAD_NODES: Self = Self(0xFA00_0000_0000_0000);
    /// The leader makes a takeover run.
    pub const TAKEOVER_RUN: Self = Self(0xFB00_0000_0000_0000);
    /// The leader moves addresses to a node.
    pub const REBALANCE_NODE: Self = Self(0xFB01_0000_0000_0000);
    /// The leader makes no takeover run for a while.
    pub const DISABLE_TAKEOVER_RUNS: Self = Self(0xFB03_0000_0000_0000);
    /// The leader makes no recovery for a while.
    pub const DISABLE_RECOVERIES: Self = Self(0xFB04_0000_0000_0000);
    /// The recovery daemon does not check public addresses for a while.
    pub const DISABLE_IP_CHECK: Self = Self(0xFC00_0000_0000_0000);
    /// Samba's notify daemon.
    pub const SAMBA_NOTIFY: Self = Self(0xFE00_0000_0000_0000);

    /// The bits that tell the ranges apart.
    pub const RANGE_MASK: u64 = 0xFF00_0000_0000_0000;
    /// Range of process ids.
    pub const PID_RANGE: Self = Self(0);
    /// Range of Samba.
    pub const SAMBA_RANGE: Self = Self(0xFE00_0000_0000_0000);
    /// Range of NFS servers.
    pub const NFSD_RANGE: Self = Self(0xEE00_0000_0000_0000);
    /// Range of iSCSI servers.
    pub const ISCSID_RANGE: Self = Self(0xDE00_0000_0000_0000);
    /// Range of the `ctdb` tool.
    pub const TOOL_RANGE: Self = Self(0xCE00_0000_0000_0000);
    /// Range of CTDB's client code.
    pub const CLIENT_RANGE: Self = Self(0xBE00_0000_0000_0000);
    /// Range of test programs.
    pub const TEST_RANGE: Self = Self(0xAE00_0000_0000_0000);
    /// Range of the daemon itself (after 4.17).
    pub const SERVER_RANGE: Self = Self(0x9E00_0000_0000_0000);

    /// Whether the address lies in `range` (its top 8 bits).
    pub fn is_in(self, range: Self) -> bool {
        self.0 & Self::RANGE_MASK == range.0 & Self::RANGE_MASK
    }
}

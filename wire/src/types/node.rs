//! Nodes and the state of the cluster.

use crate::coding::{wire_enum, wire_flags, wire_struct};
use crate::types::SockAddr;
use crate::{Generation, Pnn};

wire_flags! {
    /// What is wrong with a node.
    pub struct NodeFlags: u32 {
        /// There is no connection to it.
        const DISCONNECTED = 0x1;
        /// Its services are not well.
        const UNHEALTHY = 0x2;
        /// The administrator disabled it.
        const PERMANENTLY_DISABLED = 0x4;
        /// It was banned.
        const BANNED = 0x8;
        /// It is commented out of the nodes file.
        const DELETED = 0x10;
        /// The administrator stopped it.
        const STOPPED = 0x20;
        /// It hosts no public addresses.
        const DISABLED = 0x6;
        /// It takes no part in databases.
        const INACTIVE = 0x39;
    }

    /// What a node can do.
    pub struct Capabilities: u32 {
        /// Be leader.
        const RECMASTER = 0x1;
        /// Be lmaster.
        const LMASTER = 0x2;
        /// Obsolete.
        const LVS = 0x4;
        /// Obsolete.
        const NATGW = 0x8;
        /// Recover databases one by one, in parallel (DB_FREEZE, ...).
        const PARALLEL_RECOVERY = 0x0001_0000;
        /// Send and take a database in many messages (DB_PULL, DB_PUSH_START).
        const FRAGMENTED_CONTROLS = 0x0002_0000;
        /// What a daemon of 4.17 has by itself.
        const FEATURES = 0x0003_0000;
        /// A node with default configuration.
        const DEFAULT = 0x0003_0003;
    }
}

impl NodeFlags {
    /// Whether the node takes no part in databases.
    pub fn is_inactive(self) -> bool {
        self.intersects(Self::INACTIVE)
    }
}

wire_enum! {
    /// Whether databases can be used.
    pub enum RecoveryMode: "0 (normal) or 1 (active)" {
        /// They can.
        Normal = 0,
        /// A recovery is needed or running.
        Active = 1,
    }

    /// How far the daemon has come.
    pub enum RunState: "a run state (0-6)" {
        /// Not known.
        Unknown = 0,
        /// The `init` event runs.
        Init = 1,
        /// The `setup` event runs.
        Setup = 2,
        /// Waiting for the first recovery.
        FirstRecovery = 3,
        /// The `startup` event runs.
        Startup = 4,
        /// All is up.
        Running = 5,
        /// On the way down.
        Shutdown = 6,
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "UNKNOWN",
            Self::Init => "INIT",
            Self::Setup => "SETUP",
            Self::FirstRecovery => "FIRST_RECOVERY",
            Self::Startup => "STARTUP",
            Self::Running => "RUNNING",
            Self::Shutdown => "SHUTDOWN",
        })
    }
}

wire_struct! {
    /// A node as GET_NODEMAP lists it: 36 bytes.
    pub struct NodeAndFlags {
        /// Its number.
        pub pnn: Pnn,
        /// Its state.
        pub flags: NodeFlags,
        /// Its private address.
        pub addr: SockAddr,
    }

    /// GET_NODEMAP, GET_NODES_FILE: a count and the nodes.
    pub struct NodeMap {
        /// In the order of the nodes file.
        pub nodes: Vec<NodeAndFlags>,
    }

    /// GETVNNMAP, SETVNNMAP: generation, size and the nodes that are lmasters.
    pub struct VnnMap {
        /// The cluster's generation.
        pub generation: Generation,
        /// Key hash modulo size to lmaster.
        pub map: Vec<Pnn>,
    }

    /// MODIFY_FLAGS, PUSH_NODE_FLAGS: new flags in front of old ones.
    pub struct NodeFlagChange {
        /// Which node.
        pub pnn: Pnn,
        /// Its flags from now on.
        pub new_flags: NodeFlags,
        /// Its flags until now.
        pub old_flags: NodeFlags,
    }

    /// SET_BAN_STATE, GET_BAN_STATE.
    pub struct BanState {
        /// Which node.
        pub pnn: Pnn,
        /// For how many seconds; 0 ends the ban.
        pub time: u32,
    }
}

impl VnnMap {
    /// The lmaster of a record's key; none while the map is empty.
    pub fn lmaster(&self, key: &[u8]) -> Option<Pnn> {
        let slot = (crate::key_hash(key) as usize).checked_rem(self.map.len())?;
        self.map.get(slot).copied()
    }
}

impl NodeMap {
    /// The node with this number.
    pub fn get(&self, pnn: Pnn) -> Option<&NodeAndFlags> {
        self.nodes.iter().find(|node| node.pnn == pnn)
    }
}

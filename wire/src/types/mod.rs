//! What travels inside controls and messages.

mod address;
mod database;
mod g_lock;
mod ip;
mod message;
mod node;
mod record;
mod statistics;
mod time;

pub use address::SockAddr;
pub use database::{
    DbFlags, DbIdFlags, DbMap, DbSeqnum, DbSize, DbSizes, DbVacuum, KeyData, LMASTER_ANY, PullDb,
    PullDbExt, PushRecord, TransDb, TraverseAll, TraverseAllExt, TraverseStart, TraverseStartExt,
};
pub use g_lock::{GLockEntry, GLockList, GLockMode, ServerId};
pub use ip::{
    AddrInfo, Connection, ConnectionList, Iface, IfaceList, IfaceName, PublicIp, PublicIpInfo,
    PublicIpList, TickleList,
};
pub use message::{
    DisableMessage, EchoData, ElectionMessage, NotifyData, PidSrvid, SrvidBits, SrvidList,
    SrvidMessage, Tunable,
};
pub use node::{
    BanState, Capabilities, NodeAndFlags, NodeFlagChange, NodeFlags, NodeMap, RecoveryMode,
    RunState, VnnMap,
};
pub use record::{
    OwnedRecord, RECORD_HEADER_SIZE, RecBuffer, RecBufferRef, Record, RecordFlags, RecordHeader,
    Records, SEQNUM_KEY,
};
pub use statistics::{
    BUCKETS, DbStatistics, HOT_KEYS, HotKey, LatencyCounter, LockStatistics, ReclockStatistics,
    Statistics, StatisticsList, hop_bucket, lock_bucket,
};
pub use time::{TimeVal, Uptime};

use crate::coding::{Decode, DecodeError, Encode, Reader};

/// Data that nobody looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Ignored(pub Vec<u8>);

impl Encode for Ignored {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Ignored {
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.rest().to_vec()))
    }
}

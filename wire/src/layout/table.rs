//! All layouts, in the order in which a reader wants them.

use super::{Described, Layout, Numbered, Numbers};
use crate::backup::{BackupBuffer, BackupHeader};
use crate::event::{
    Command, EventHeader, EventStatus, RunFlags, RunRequest, ScriptAction, ScriptRequest,
    ScriptStatus, StatusRequest,
};
use crate::packet::{
    CallFlags, ControlFlags, Header, Operation, ReplyCall, ReplyControl, ReplyDmaster, ReplyError,
    ReqCall, ReqControl, ReqDmaster, ReqKeepalive, ReqMessage, ReqTunnel, TunnelFlags,
};
use crate::tunables::{TunableName, TunableNames, Tunables};
use crate::types::*;

macro_rules! layouts {
    ($( $group:literal: $($ty:ty),+; )*) => {
        &[$( ($group, &[$( <$ty as Described>::LAYOUT ),+]) ),*]
    };
}

/// The structures, in groups.
pub static TYPES: &[(&str, &[Layout])] = layouts! {
    "Packets": Header, ReqCall<'_>, ReplyCall<'_>, ReqDmaster<'_>, ReplyDmaster<'_>, ReplyError<'_>,
        ReqMessage<'_>, ReqControl<'_>, ReplyControl<'_>, ReqKeepalive, ReqTunnel<'_>;
    "Records": RecordHeader, OwnedRecord, RecBuffer, KeyData, PushRecord;
    "Global locks": GLockEntry, ServerId;
    "Databases": DbIdFlags, DbMap, DbSize, DbSizes, DbSeqnum, DbVacuum, PullDbExt, TransDb, TraverseStart,
        TraverseStartExt, TraverseAll, TraverseAllExt;
    "Nodes": NodeAndFlags, NodeMap, VnnMap, NodeFlagChange, BanState, Uptime, TimeVal;
    "Addresses": SockAddr, PublicIp, PublicIpList, PublicIpInfo, Iface, IfaceList, AddrInfo,
        Connection, ConnectionList, TickleList;
    "Messages and clients": ElectionMessage, SrvidMessage, DisableMessage, NotifyData, PidSrvid,
        SrvidList, SrvidBits, EchoData;
    "Tunables": Tunable, TunableName, TunableNames, Tunables;
    "Statistics": Statistics, StatisticsList, LatencyCounter, LockStatistics, ReclockStatistics,
        DbStatistics, HotKey;
    "The event daemon": EventHeader, RunRequest, StatusRequest, ScriptRequest, EventStatus,
        ScriptStatus;
    "Backup files": BackupHeader, BackupBuffer;
};

macro_rules! numbers {
    ($($ty:ty),+ $(,)?) => { &[$( <$ty as Numbered>::NUMBERS ),+] };
}

/// The numbers whose values have names.
pub static NUMBERS: &[Numbers] = numbers![
    Operation,
    CallFlags,
    ControlFlags,
    TunnelFlags,
    RecordFlags,
    DbFlags,
    NodeFlags,
    Capabilities,
    RecoveryMode,
    RunState,
    GLockMode,
    Command,
    ScriptAction,
    RunFlags,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::Decode;

    #[test]
    fn layouts_have_the_sizes_of_their_types() {
        macro_rules! check {
            ($($ty:ty)*) => {$(
                let layout = <$ty as Described>::LAYOUT;
                assert_eq!(layout.size(), <$ty>::MIN_SIZE, stringify!($ty));
                assert_eq!(layout.is_fixed(), <$ty>::FIXED, stringify!($ty));
            )*};
        }
        check! {
            SockAddr OwnedRecord RecBuffer AddrInfo Tunable StatisticsList DbStatistics
            Tunables RecordHeader Statistics BackupHeader EventHeader
        }
        assert_eq!(Header::LAYOUT.size(), crate::packet::HEADER_SIZE);
    }

    #[test]
    fn offsets_end_where_lengths_differ() {
        let offsets: Vec<_> = ReqCall::LAYOUT.offsets().map(|(at, _)| at).collect();
        assert_eq!(offsets[..7], [0, 4, 8, 12, 16, 20, 24].map(Some));
        assert_eq!(offsets[7], None);
    }

    /// Every type of a control or a message can be looked up.
    #[test]
    fn every_payload_is_described() {
        let known = |name: &str| {
            let name = name.trim_start_matches("types::");
            let simple = [
                "",
                "i32",
                "u32",
                "u64",
                "f64",
                "String",
                "Option<String>",
                "Ignored",
                "DbId",
                "Pnn",
                "Srvid",
            ];
            simple.contains(&name)
                || TYPES
                    .iter()
                    .flat_map(|(_, types)| *types)
                    .any(|layout| layout.name == name)
                || NUMBERS.iter().any(|numbers| numbers.name == name)
        };
        for info in crate::control::TABLE {
            assert!(known(info.request), "{}: {}", info.name, info.request);
            assert!(known(info.reply), "{}: {}", info.name, info.reply);
        }
        for info in crate::message::TABLE {
            assert!(known(info.payload), "{}: {}", info.name, info.payload);
        }
    }
}

//! The table of controls: numbers and names from protocol.h, types from ctdb_control.c and
//! protocol_control.c, both 4.17.12; 159 to 162 from 4.25pre. 130 is that of 4.7 and before.
//!
//! A line is `number Name "UPSTREAM" (request) [srvid] -> (reply) status "meaning";`, the last
//! four only where there is such a thing. Numbers in neither list were removed before 4.17, or
//! never given out.

use super::macros::{bind, controls, or_unit, text};
use super::{Control, ControlInfo, Life, sorted, whole};
use crate::coding::{DecodeError, Encode};
use crate::tunables::{TunableName, TunableNames, Tunables};
use crate::types::{
    self, AddrInfo, BanState, Capabilities, Connection, DbMap, DbSeqnum, DbStatistics, Iface,
    IfaceList, Ignored, KeyData, NodeFlagChange, NodeMap, NotifyData, OwnedRecord, PidSrvid,
    PublicIp, PublicIpInfo, PublicIpList, PullDbExt, RecBuffer, RecoveryMode, RunState, SockAddr,
    SrvidBits, SrvidList, StatisticsList, TickleList, TransDb, Tunable, VnnMap,
};
use crate::{DbId, Srvid, TunnelId};

controls! {
    live {
        0 ProcessExists "PROCESS_EXISTS" (i32) status "0 if the process exists";
        1 Statistics "STATISTICS" -> (types::Statistics);
        3 Ping "PING" status "number of clients";
        4 GetDbPath "GETDBPATH" (DbId) -> (String);
        5 GetVnnMap "GETVNNMAP" -> (VnnMap);
        6 SetVnnMap "SETVNNMAP" (VnnMap);
        7 GetDebug "GET_DEBUG" -> (i32);
        8 SetDebug "SET_DEBUG" (i32);
        9 GetDbMap "GET_DBMAP" -> (DbMap);
        15 GetRecmode "GET_RECMODE" status "recovery mode";
        16 SetRecmode "SET_RECMODE" (RecoveryMode);
        17 StatisticsReset "STATISTICS_RESET";
        18 DbAttach "DB_ATTACH" (String) -> (DbId);
        20 TraverseStart "TRAVERSE_START" (types::TraverseStart);
        21 TraverseAll "TRAVERSE_ALL" (types::TraverseAll);
        22 TraverseData "TRAVERSE_DATA" (OwnedRecord);
        23 RegisterSrvid "REGISTER_SRVID" [Srvid];
        24 DeregisterSrvid "DEREGISTER_SRVID" [Srvid];
        25 GetDbName "GET_DBNAME" (DbId) -> (String);
        26 EnableSeqnum "ENABLE_SEQNUM" (DbId);
        27 UpdateSeqnum "UPDATE_SEQNUM" (DbId);
        29 DumpMemory "DUMP_MEMORY" -> (String);
        30 GetPid "GET_PID" status "process id of the daemon";
        33 Freeze "FREEZE";
        35 GetPnn "GET_PNN" status "number of the node";
        36 Shutdown "SHUTDOWN";
        44 TcpClient "TCP_CLIENT" (Connection);
        45 TcpAdd "TCP_ADD" (Connection);
        46 TcpRemove "TCP_REMOVE" (Connection);
        47 Startup "STARTUP";
        48 SetTunable "SET_TUNABLE" (Tunable) status "0, or 1 if it is obsolete";
        49 GetTunable "GET_TUNABLE" (TunableName) -> (u32);
        50 ListTunables "LIST_TUNABLES" -> (TunableNames);
        52 ModifyFlags "MODIFY_FLAGS" (NodeFlagChange);
        53 GetAllTunables "GET_ALL_TUNABLES" -> (Tunables);
        55 GetTcpTickleList "GET_TCP_TICKLE_LIST" (SockAddr) -> (TickleList);
        56 SetTcpTickleList "SET_TCP_TICKLE_LIST" (TickleList);
        61 DbAttachPersistent "DB_ATTACH_PERSISTENT" (String) -> (DbId);
        63 UpdateRecord "UPDATE_RECORD" (RecBuffer);
        64 SendGratuitousArp "SEND_GRATUITOUS_ARP" (AddrInfo);
        67 WipeDatabase "WIPE_DATABASE" (TransDb);
        69 Uptime "UPTIME" -> (types::Uptime);
        70 StartRecovery "START_RECOVERY";
        71 EndRecovery "END_RECOVERY";
        72 ReloadNodesFile "RELOAD_NODES_FILE";
        74 TryDeleteRecords "TRY_DELETE_RECORDS" (RecBuffer) -> (RecBuffer);
        77 AddPublicIp "ADD_PUBLIC_IP" (AddrInfo);
        78 DelPublicIp "DEL_PUBLIC_IP" (AddrInfo);
        80 GetCapabilities "GET_CAPABILITIES" -> (Capabilities);
        81 StartPersistentUpdate "START_PERSISTENT_UPDATE" (Ignored);
        82 CancelPersistentUpdate "CANCEL_PERSISTENT_UPDATE" (Ignored);
        87 RecdPing "RECD_PING";
        88 ReleaseIp "RELEASE_IP" (PublicIp);
        89 TakeoverIp "TAKEOVER_IP" (PublicIp);
        90 GetPublicIps "GET_PUBLIC_IPS" -> (PublicIpList);
        91 GetNodemap "GET_NODEMAP" -> (NodeMap);
        97 TraverseKill "TRAVERSE_KILL" (types::TraverseStart);
        98 RecdReclockLatency "RECD_RECLOCK_LATENCY" (f64);
        99 GetReclockFile "GET_RECLOCK_FILE" -> (Option<String>);
        101 StopNode "STOP_NODE";
        102 ContinueNode "CONTINUE_NODE";
        104 SetLmasterRole "SET_LMASTERROLE" (u32);
        105 SetRecmasterRole "SET_RECMASTERROLE" (u32);
        109 SetBanState "SET_BAN_STATE" (BanState);
        110 GetBanState "GET_BAN_STATE" -> (BanState);
        114 RegisterNotify "REGISTER_NOTIFY" (NotifyData);
        115 DeregisterNotify "DEREGISTER_NOTIFY" (Srvid);
        119 Trans3Commit "TRANS3_COMMIT" (RecBuffer) status "0 if committed on all active nodes";
        120 GetDbSeqnum "GET_DB_SEQNUM" (DbSeqnum) -> (u64);
        121 DbSetHealthy "DB_SET_HEALTHY" (DbId);
        122 DbGetHealth "DB_GET_HEALTH" (DbId) -> (Option<String>);
        123 GetPublicIpInfo "GET_PUBLIC_IP_INFO" (SockAddr) -> (PublicIpInfo);
        124 GetIfaces "GET_IFACES" -> (IfaceList);
        125 SetIfaceLinkState "SET_IFACE_LINK_STATE" (Iface);
        126 TcpAddDelayedUpdate "TCP_ADD_DELAYED_UPDATE" (Connection);
        127 GetStatHistory "GET_STAT_HISTORY" -> (StatisticsList);
        128 ScheduleForDeletion "SCHEDULE_FOR_DELETION" (KeyData);
        129 SetDbReadonly "SET_DB_READONLY" (DbId);
        130 CheckSrvids "CHECK_SRVIDS" (SrvidList) -> (SrvidBits);
        131 TraverseStartExt "TRAVERSE_START_EXT" (types::TraverseStartExt);
        132 GetDbStatistics "GET_DB_STATISTICS" (DbId) -> (DbStatistics);
        133 SetDbSticky "SET_DB_STICKY" (DbId);
        134 ReloadPublicIps "RELOAD_PUBLIC_IPS";
        135 TraverseAllExt "TRAVERSE_ALL_EXT" (types::TraverseAllExt);
        137 Ipreallocated "IPREALLOCATED";
        138 GetRunstate "GET_RUNSTATE" -> (RunState);
        139 DbDetach "DB_DETACH" (DbId);
        140 GetNodesFile "GET_NODES_FILE" -> (NodeMap);
        141 DbFreeze "DB_FREEZE" (DbId);
        142 DbThaw "DB_THAW" (DbId);
        143 DbTransactionStart "DB_TRANSACTION_START" (TransDb);
        144 DbTransactionCommit "DB_TRANSACTION_COMMIT" (TransDb);
        145 DbTransactionCancel "DB_TRANSACTION_CANCEL" (DbId);
        146 DbPull "DB_PULL" (PullDbExt) -> (u32);
        147 DbPushStart "DB_PUSH_START" (PullDbExt);
        148 DbPushConfirm "DB_PUSH_CONFIRM" (DbId) -> (u32);
        149 DbOpenFlags "DB_OPEN_FLAGS" (DbId) -> (i32);
        150 DbAttachReplicated "DB_ATTACH_REPLICATED" (String) -> (DbId);
        151 CheckPidSrvid "CHECK_PID_SRVID" (PidSrvid) status "0 if a client with this pid has registered the srvid";
        152 TunnelRegister "TUNNEL_REGISTER" [TunnelId];
        153 TunnelDeregister "TUNNEL_DEREGISTER" [TunnelId];
        154 VacuumFetch "VACUUM_FETCH" (RecBuffer);
        155 DbVacuum "DB_VACUUM" (types::DbVacuum);
        156 EchoData "ECHO_DATA" (types::EchoData) -> (types::EchoData);
        157 DisableNode "DISABLE_NODE";
        158 EnableNode "ENABLE_NODE";
        159 TcpClientDisconnected "TCP_CLIENT_DISCONNECTED" (Connection);
        160 TcpClientPassed "TCP_CLIENT_PASSED" (Connection);
        161 StartIpreallocate "START_IPREALLOCATE";
        162 PushRecord "PUSH_RECORD" (types::PushRecord);
    }
    retired {
        10 GetNodemapV4 "GET_NODEMAPv4" use "GET_NODEMAP";
        11 SetDmaster "SET_DMASTER";
        13 PullDb "PULL_DB";
        14 PushDb "PUSH_DB";
        19 SetCall "SET_CALL";
        31 GetRecmaster "GET_RECMASTER";
        32 SetRecmaster "SET_RECMASTER";
        34 Thaw "THAW";
        37 GetMonmode "GET_MONMODE";
        42 TakeoverIpV4 "TAKEOVER_IPv4" use "TAKEOVER_IP";
        43 ReleaseIpV4 "RELEASE_IPv4" use "RELEASE_IP";
        51 GetPublicIpsV4 "GET_PUBLIC_IPSv4" use "GET_PUBLIC_IPS";
        54 KillTcp "KILL_TCP";
        57 RegisterServerId "REGISTER_SERVER_ID";
        58 UnregisterServerId "UNREGISTER_SERVER_ID";
        59 CheckServerId "CHECK_SERVER_ID";
        60 GetServerIdList "GET_SERVER_ID_LIST";
        62 PersistentStore "PERSISTENT_STORE";
        65 TransactionStart "TRANSACTION_START";
        66 TransactionCommit "TRANSACTION_COMMIT";
        75 EnableMonitor "ENABLE_MONITOR";
        76 DisableMonitor "DISABLE_MONITOR";
        79 RunEventscripts "RUN_EVENTSCRIPTS";
        83 Trans2Commit "TRANS2_COMMIT" use "TRANS3_COMMIT";
        84 Trans2Finished "TRANS2_FINISHED";
        85 Trans2Error "TRANS2_ERROR";
        86 Trans2CommitRetry "TRANS2_COMMIT_RETRY" use "TRANS3_COMMIT";
        96 GetEventScriptStatus "GET_EVENT_SCRIPT_STATUS";
        100 SetReclockFile "SET_RECLOCK_FILE";
        103 SetNatgwState "SET_NATGWSTATE";
        107 EnableScript "ENABLE_SCRIPT";
        108 DisableScript "DISABLE_SCRIPT";
        111 SetDbPriority "SET_DB_PRIORITY";
        112 GetDbPriority "GET_DB_PRIORITY";
        113 TransactionCancel "TRANSACTION_CANCEL";
        116 Trans2Active "TRANS2_ACTIVE";
        117 GetLog "GET_LOG";
        118 ClearLog "CLEAR_LOG";
        136 ReceiveRecords "RECEIVE_RECORDS";
    }
}

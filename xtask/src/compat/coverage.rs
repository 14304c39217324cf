//! What is known of each thing that upstream has: whether our daemon has it, and what tests it.
//!
//! A line of the code's tables that is not here counts as not there. Names of tests are those of
//! packages (`wire`), of sections of the runs with a real Samba (`accept: locks`), and of the
//! comparison with the C daemon (`compare`) and other commands of `compat` (`etcd`, `hostile`).

/// What is known of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// It is there, and tested by this.
    Tested(&'static str),
    /// It is there; nothing tests it, for this reason.
    There(&'static str),
    /// It is not there, for this reason.
    NotYet(&'static str),
    /// Upstream itself has given it up.
    Retired,
    /// The same, but ours has it: tested by this.
    Kept(&'static str),
}

use Coverage::{Kept, NotYet, Retired, Tested, There};

/// A thing by its name.
pub(super) type Line = (&'static str, Coverage);

const ADDRESSES: &str = "comes with the rest of IP failover";

/// Controls that the daemon answers, by upstream's names.
pub(super) const CONTROLS: &[Line] = &[
    ("PROCESS_EXISTS", Tested("compare")),
    ("STATISTICS", Tested("ctdbd, compare")),
    ("PING", Tested("cluster, ctdbd, compare")),
    ("GETDBPATH", Tested("accept, compare")),
    ("GETVNNMAP", Tested("cluster, accept, compare")),
    ("SETVNNMAP", Tested("cluster, ctdbd, accept, hostile")),
    ("GET_DEBUG", Tested("ctdbd, compare")),
    ("SET_DEBUG", Tested("compare")),
    ("GET_DBMAP", Tested("cluster, ctdbd, accept, compare")),
    ("GET_RECMODE", Tested("cluster, ctdbd, accept, compare")),
    ("SET_RECMODE", Tested("cluster, ctdbd, accept, compare")),
    ("STATISTICS_RESET", Tested("ctdbd, compare")),
    ("DB_ATTACH", Tested("cluster, ctdbd, accept, compare")),
    ("TRAVERSE_START", Tested("ctdbd, accept, compare")),
    ("TRAVERSE_ALL", Tested("accept, compare")),
    (
        "TRAVERSE_DATA",
        Tested("database, accept, compare, hostile"),
    ),
    ("REGISTER_SRVID", Tested("cluster, ctdbd, accept, compare")),
    ("DEREGISTER_SRVID", Tested("cluster")),
    ("GET_DBNAME", Tested("cluster, ctdbd, accept, compare")),
    ("ENABLE_SEQNUM", Tested("accept")),
    ("UPDATE_SEQNUM", Tested("ctdbd")),
    ("DUMP_MEMORY", Tested("ctdbd, compare")),
    ("GET_PID", Tested("compare")),
    ("FREEZE", Tested("cluster, accept")),
    ("GET_PNN", Tested("accept, compare")),
    ("SHUTDOWN", Tested("cluster, compare")),
    ("TCP_CLIENT", Tested("failover, accept")),
    ("TCP_ADD", Tested("failover")),
    ("TCP_REMOVE", Tested("failover, compare")),
    ("STARTUP", Tested("cluster, failover, accept")),
    ("SET_TUNABLE", Tested("ctdbd, compare")),
    ("GET_TUNABLE", Tested("compare")),
    ("LIST_TUNABLES", Tested("compare")),
    ("MODIFY_FLAGS", Tested("cluster")),
    ("GET_ALL_TUNABLES", Tested("cluster, ctdbd")),
    ("GET_TCP_TICKLE_LIST", Tested("failover, compare")),
    ("SET_TCP_TICKLE_LIST", Tested("failover")),
    (
        "DB_ATTACH_PERSISTENT",
        Tested("cluster, ctdbd, accept, compare"),
    ),
    ("UPDATE_RECORD", Tested("accept")),
    ("SEND_GRATUITOUS_ARP", Tested("failover, sys, compare")),
    ("WIPE_DATABASE", Tested("cluster, ctdbd, compare")),
    ("UPTIME", Tested("cluster, compare")),
    ("START_RECOVERY", Tested("cluster, ctdbd, deaths: events")),
    ("END_RECOVERY", Tested("cluster, ctdbd, deaths: events")),
    ("RELOAD_NODES_FILE", Tested("cluster, compare")),
    ("TRY_DELETE_RECORDS", Tested("ctdbd")),
    ("ADD_PUBLIC_IP", Tested("failover, compare")),
    ("DEL_PUBLIC_IP", Tested("failover, compare")),
    ("GET_CAPABILITIES", Tested("cluster, accept, compare")),
    ("START_PERSISTENT_UPDATE", Tested("ctdbd")),
    ("CANCEL_PERSISTENT_UPDATE", Tested("ctdbd")),
    ("RECD_PING", Tested("cluster")),
    ("RELEASE_IP", Tested("cluster, failover, compare")),
    ("TAKEOVER_IP", Tested("cluster, failover, compare")),
    ("GET_PUBLIC_IPS", Tested("failover, compare")),
    ("GET_NODEMAP", Tested("cluster, ctdbd, accept, compare")),
    ("TRAVERSE_KILL", Tested("ctdbd")),
    ("RECD_RECLOCK_LATENCY", Tested("cluster")),
    ("GET_RECLOCK_FILE", Tested("cluster, accept, compare")),
    ("STOP_NODE", Tested("cluster, ctdbd, compare")),
    ("CONTINUE_NODE", Tested("cluster, ctdbd, compare")),
    ("SET_LMASTERROLE", Tested("cluster, compare")),
    ("SET_RECMASTERROLE", Tested("cluster, compare")),
    ("SET_BAN_STATE", Tested("cluster, compare")),
    ("GET_BAN_STATE", Tested("cluster")),
    ("REGISTER_NOTIFY", Tested("ctdbd, hostile")),
    ("DEREGISTER_NOTIFY", Tested("ctdbd")),
    ("TRANS3_COMMIT", Tested("ctdbd, accept, compare")),
    ("GET_DB_SEQNUM", Tested("cluster, accept, compare")),
    ("DB_SET_HEALTHY", Tested("compare")),
    ("DB_GET_HEALTH", Tested("compare")),
    ("GET_PUBLIC_IP_INFO", Tested("failover, compare")),
    ("GET_IFACES", Tested("failover, compare")),
    ("SET_IFACE_LINK_STATE", Tested("failover, compare")),
    ("TCP_ADD_DELAYED_UPDATE", Tested("failover, compare")),
    ("GET_STAT_HISTORY", Tested("ctdbd, compare")),
    ("SCHEDULE_FOR_DELETION", Tested("accept")),
    (
        "CHECK_SRVIDS",
        Kept("ctdbd, libctdb; upstream retired it in 4.8"),
    ),
    ("TRAVERSE_START_EXT", Tested("ctdbd")),
    ("GET_DB_STATISTICS", Tested("ctdbd, compare")),
    ("SET_DB_READONLY", Tested("ctdbd, accept, compare")),
    ("SET_DB_STICKY", Tested("ctdbd, compare")),
    ("RELOAD_PUBLIC_IPS", Tested("failover, compare")),
    ("TRAVERSE_ALL_EXT", Tested("ctdbd")),
    ("IPREALLOCATED", Tested("cluster, deaths: events")),
    ("GET_RUNSTATE", Tested("cluster, accept, compare")),
    ("DB_DETACH", Tested("database, compare")),
    ("GET_NODES_FILE", Tested("compare, hostile")),
    ("DB_FREEZE", Tested("cluster, ctdbd, accept")),
    ("DB_THAW", Tested("cluster, ctdbd, accept")),
    ("DB_TRANSACTION_START", Tested("cluster, ctdbd, accept")),
    ("DB_TRANSACTION_COMMIT", Tested("cluster, ctdbd, accept")),
    ("DB_TRANSACTION_CANCEL", Tested("ctdbd")),
    ("DB_PULL", Tested("cluster, ctdbd, accept")),
    ("DB_PUSH_START", Tested("cluster, ctdbd, accept")),
    ("DB_PUSH_CONFIRM", Tested("cluster, ctdbd, accept")),
    ("DB_OPEN_FLAGS", Tested("accept, compare")),
    ("DB_ATTACH_REPLICATED", Tested("cluster, accept, compare")),
    ("CHECK_PID_SRVID", Tested("accept, compare")),
    ("TUNNEL_REGISTER", Tested("client, hostile")),
    ("TUNNEL_DEREGISTER", Tested("client")),
    ("VACUUM_FETCH", Tested("ctdbd")),
    ("DB_VACUUM", Tested("ctdbd")),
    ("ECHO_DATA", Tested("ctdbd")),
    ("DISABLE_NODE", Tested("cluster, compare")),
    ("ENABLE_NODE", Tested("cluster, compare")),
    ("TCP_CLIENT_DISCONNECTED", Tested("failover")),
    ("TCP_CLIENT_PASSED", Tested("failover")),
    ("START_IPREALLOCATE", Tested("cluster")),
    ("PUSH_RECORD", Tested("ctdbd")),
];

/// Operations of packets.
pub(super) const PACKETS: &[Line] = &[
    ("REQ_CALL", Tested("wire, database, accept")),
    ("REPLY_CALL", Tested("wire, database, accept")),
    (
        "REQ_DMASTER",
        Tested("wire, database, accept: a C node among ours"),
    ),
    (
        "REPLY_DMASTER",
        Tested("wire, database, accept: a C node among ours"),
    ),
    ("REPLY_ERROR", Tested("wire, database")),
    ("REQ_MESSAGE", Tested("wire, ctdbd, accept")),
    ("REQ_CONTROL", Tested("wire, ctdbd, accept")),
    ("REPLY_CONTROL", Tested("wire, ctdbd, accept")),
    (
        "REQ_KEEPALIVE",
        Tested("wire, cluster, accept: a C node among ours"),
    ),
    ("REQ_TUNNEL", Tested("wire, ctdbd")),
];

/// Well-known addresses of messages.
pub(super) const SRVIDS: &[Line] = &[
    ("RECOVERY", Tested("ctdbd, accept")),
    ("BANNING", Tested("cluster")),
    ("ELECTION", Tested("cluster, accept")),
    ("LEADER", Tested("cluster, accept")),
    ("RECONFIGURE", Tested("cluster")),
    ("RELEASE_IP", Tested("failover")),
    ("TAKE_IP", Tested("failover")),
    ("IPREALLOCATED", Tested("cluster")),
    ("START_IPREALLOCATE", Tested("cluster")),
    ("SET_NODE_FLAGS", Retired),
    ("RECD_UPDATE_IP", Retired),
    ("VACUUM_FETCH", Retired),
    ("DETACH_DATABASE", Retired),
    ("MEM_DUMP", Tested("compare")),
    ("GETLOG", Retired),
    ("CLEARLOG", Retired),
    ("PUSH_NODE_FLAGS", Tested("cluster")),
    ("RELOAD_NODES", Tested("compare")),
    ("TAKEOVER_RUN", Tested("compare: answered by the leader")),
    ("REBALANCE_NODE", Tested("cluster, failover")),
    ("DISABLE_TAKEOVER_RUNS", Tested("cluster")),
    ("DISABLE_RECOVERIES", Tested("compare")),
    ("DISABLE_IP_CHECK", There("only older tools send it")),
    ("RECOVERY_WANTED", Tested("cluster, ctdbd")),
    ("SAMBA_NOTIFY", Tested("accept: change notify; smbd's own")),
];

/// Commands of the C tool of 4.17.
pub(super) const COMMANDS: &[Line] = &[
    ("version", Tested("compare")),
    ("status", Tested("compare")),
    ("uptime", Tested("compare")),
    ("ping", Tested("compare")),
    ("runstate", Tested("compare")),
    ("getvar, setvar, listvars", Tested("compare")),
    ("statistics, statisticsreset", Tested("compare")),
    ("stats", Tested("compare")),
    ("ip, ipinfo", Tested("compare")),
    ("ifaces, setifacelink", Tested("compare")),
    ("process-exists", Tested("compare")),
    ("getdbmap, getdbstatus", Tested("compare")),
    ("catdb, cattdb", Tested("compare")),
    ("getcapabilities", Tested("compare")),
    ("pnn", Tested("compare")),
    ("lvs, natgw", There("programs of their own")),
    ("getdebug, setdebug", Tested("compare")),
    ("attach, detach", Tested("compare")),
    ("dumpmemory, rddumpmemory", Tested("compare: the form")),
    ("getpid", Tested("compare")),
    ("disable, enable", Tested("compare")),
    ("stop, continue", Tested("compare, accept")),
    ("ban, unban", Tested("compare")),
    ("shutdown", Tested("compare, accept")),
    ("recover", Tested("compare")),
    ("sync, ipreallocate", Tested("compare")),
    ("gratarp, tickle", Tested("compare, sys")),
    ("gettickles, addtickle, deltickle", Tested("compare")),
    ("listnodes", Tested("compare")),
    ("reloadnodes", Tested("compare")),
    ("addip, delip", Tested("compare")),
    ("moveip, reloadips", Tested("compare")),
    ("backupdb, restoredb, dumpdbbackup", Tested("compare")),
    ("wipedb", Tested("compare")),
    ("leader", Tested("compare")),
    (
        "event",
        Tested("deaths: events; the C tool asks the C event daemon"),
    ),
    ("scriptstatus", Tested("deaths: events")),
    ("getreclock", Tested("compare")),
    ("setlmasterrole, setleaderrole", Tested("compare")),
    ("setdbreadonly, setdbsticky", Tested("compare")),
    ("pfetch, pstore, pdelete, ptrans", Tested("compare")),
    ("tfetch, tstore", Tested("compare")),
    ("readkey, writekey, deletekey", Tested("compare")),
    ("checktcpport", There("asks no daemon")),
    ("getdbseqnum", Tested("compare")),
    ("nodestatus", Tested("compare")),
    ("dbstatistics", Tested("compare")),
];

/// Options, as `section: name`. What each does stands in the table of `config`.
pub(super) const OPTIONS: &[Line] = &[
    ("logging: location", Tested("config, ctdbd, accept")),
    ("logging: log level", Tested("config, ctdbd, accept")),
    ("cluster: transport", Tested("config, ctdbd")),
    ("cluster: node address", Tested("config, ctdbd")),
    ("cluster: cluster lock", Tested("config, ctdbd, accept")),
    ("cluster: recovery lock", Tested("config, ctdbd")),
    ("cluster: nodes list", Tested("config, ctdbd")),
    ("cluster: leader timeout", Tested("config, ctdbd, accept")),
    ("cluster: leader capability", Tested("cluster, ctdbd")),
    ("cluster: busy poll", Tested("config, ctdbd")),
    ("cluster: manager", Tested("config, cluster, etcd")),
    ("cluster: etcd endpoints", Tested("config, etcd")),
    ("cluster: etcd prefix", Tested("config")),
    ("cluster: etcd lease", Tested("config, etcd")),
    ("cluster: etcd ca file", Tested("config, etcd")),
    ("cluster: etcd certificate file", Tested("config, etcd")),
    ("cluster: etcd key file", Tested("config, etcd")),
    (
        "database: volatile database directory",
        Tested("config, ctdbd"),
    ),
    (
        "database: persistent database directory",
        Tested("config, ctdbd"),
    ),
    (
        "database: state database directory",
        Tested("config, ctdbd"),
    ),
    ("database: lock debug script", Tested("config, ctdbd")),
    ("database: tdb mutexes", Tested("ctdbd")),
    ("event: debug script", Tested("deaths: events")),
    ("failover: disabled", Tested("failover, compare")),
    ("failover: shutdown extra timeout", NotYet(ADDRESSES)),
    ("failover: shutdown failover timeout", NotYet(ADDRESSES)),
    ("legacy: realtime scheduling", Tested("ctdbd")),
    ("legacy: lmaster capability", Tested("cluster, ctdbd")),
    ("legacy: start as stopped", Tested("cluster, ctdbd")),
    ("legacy: start as disabled", Tested("cluster, ctdbd")),
    ("legacy: script log level", Tested("ctdbd")),
];

/// A tunable, what it does, and what is known of it.
pub(super) type TunableLine = (&'static str, &'static str, Coverage);

/// Tunables that upstream has not retired.
pub(super) const TUNABLES: &[TunableLine] = &[
    (
        "SeqnumInterval",
        "milliseconds until other nodes hear that a database with a sequence number was written",
        Tested("ctdbd"),
    ),
    (
        "ControlTimeout",
        "seconds until a control to another node has failed",
        Tested("ctdbd"),
    ),
    (
        "TraverseTimeout",
        "seconds until a traverse ends without the nodes that are silent",
        Tested("ctdbd"),
    ),
    (
        "KeepaliveInterval",
        "seconds between two keepalives",
        Tested("cluster, accept"),
    ),
    (
        "KeepaliveLimit",
        "so many intervals without a word, and a node is dead",
        Tested("cluster, accept"),
    ),
    (
        "RecoverTimeout",
        "seconds that a control of a recovery may take",
        Tested("cluster"),
    ),
    (
        "RecoverInterval",
        "seconds between two looks of the cluster manager",
        Tested("cluster"),
    ),
    (
        "ElectionTimeout",
        "seconds that an election waits for votes",
        Tested("cluster, accept"),
    ),
    (
        "TakeoverTimeout",
        "seconds that a takeover run waits for a node",
        Tested("cluster, accept"),
    ),
    (
        "MonitorInterval",
        "seconds between two events monitor",
        Tested("service"),
    ),
    (
        "TickleUpdateInterval",
        "seconds between two messages about client connections",
        Tested("failover"),
    ),
    (
        "EventScriptTimeout",
        "seconds that an event may take",
        Tested("service, deaths: events"),
    ),
    (
        "MonitorTimeoutCount",
        "so many hung events monitor, and the node is unhealthy",
        Tested("service, deaths: events"),
    ),
    (
        "RecoveryGracePeriod",
        "seconds until the leader forgets that a node made a recovery fail",
        Tested("cluster"),
    ),
    (
        "RecoveryBanPeriod",
        "seconds that a ban lasts",
        Tested("cluster"),
    ),
    (
        "DatabaseHashSize",
        "hash chains of a database that is attached from then on",
        Tested("ctdbd"),
    ),
    (
        "DatabaseMaxDead",
        "dead records that libtdb leaves in a chain, likewise",
        Tested("ctdbd"),
    ),
    (
        "RerecoveryTimeout",
        "seconds between two recoveries",
        Tested("cluster, accept, compare"),
    ),
    (
        "EnableBans",
        "0: this node is banned by nobody, and bans nobody for a database",
        Tested("cluster"),
    ),
    (
        "NoIPFailback",
        "addresses stay where they are",
        Tested("failover, cluster"),
    ),
    (
        "VerboseMemoryNames",
        "`ctdb dumpmemory` has a line for each client (C: for each packet that waits)",
        Tested("ctdbd"),
    ),
    (
        "RecdPingTimeout",
        "seconds until a ping of the cluster manager counts as missed",
        Tested("cluster"),
    ),
    (
        "RecdFailCount",
        "more than so many missed pings, and it is started again",
        Tested("cluster"),
    ),
    (
        "LogLatencyMs",
        "a call, lock, commit or vacuuming run that takes longer is logged",
        Tested("ctdbd"),
    ),
    (
        "RecLockLatencyMs",
        "a try of the cluster lock that takes longer is logged",
        Tested("ctdbd"),
    ),
    (
        "RecoveryDropAllIPs",
        "seconds in recovery until a node gives up its addresses",
        Tested("failover"),
    ),
    (
        "VacuumInterval",
        "seconds between two vacuuming runs",
        Tested("ctdbd"),
    ),
    (
        "VacuumMaxRunTime",
        "seconds that a run may take",
        Tested("ctdbd"),
    ),
    (
        "RepackLimit",
        "so many free pieces in a file that was vacuumed, and it is written anew",
        Tested("ctdbd"),
    ),
    (
        "VacuumFastPathCount",
        "so many runs over scheduled records between two over all records",
        Tested("ctdbd"),
    ),
    (
        "MaxQueueDropMsg",
        "a client for which more messages wait is cut off",
        Tested("ctdbd"),
    ),
    (
        "AllowUnhealthyDBRead",
        "1: a damaged database can be traversed",
        Tested("ctdbd"),
    ),
    (
        "StatHistoryInterval",
        "seconds between two entries of `ctdb stats`",
        Tested("ctdbd, compare"),
    ),
    (
        "DeferredAttachTO",
        "seconds that a client's attach waits for the end of a recovery",
        Tested("ctdbd"),
    ),
    (
        "AllowClientDBAttach",
        "0: clients attach no databases; other than 1: they may detach",
        Tested("database, ctdbd, compare"),
    ),
    (
        "FetchCollapse",
        "1: several clients that want a record ask another node once",
        Tested("ctdbd"),
    ),
    (
        "HopcountMakeSticky",
        "so many hops, and a record of a sticky database becomes sticky",
        Tested("ctdbd"),
    ),
    ("StickyDuration", "seconds that it is", Tested("ctdbd")),
    (
        "StickyPindown",
        "milliseconds that it stays on a node",
        Tested("ctdbd"),
    ),
    (
        "NoIPTakeover",
        "addresses of lost nodes are not taken over",
        Tested("failover, cluster"),
    ),
    (
        "DBRecordCountWarn",
        "a recovery warns of a database with more records (C has lost the warning)",
        Tested("ctdbd"),
    ),
    (
        "DBRecordSizeWarn",
        "a recovery warns of a larger record (likewise)",
        Tested("ctdbd"),
    ),
    (
        "DBSizeWarn",
        "a recovery warns of a larger database (likewise)",
        Tested("ctdbd"),
    ),
    (
        "PullDBPreallocation",
        "none: a buffer is as large as its records",
        NotYet("nothing reads it in C 4.17 either"),
    ),
    (
        "LockProcessesPerDB",
        "so many processes wait for locks of a database at a time",
        Tested("ctdbd"),
    ),
    (
        "RecBufferSizeLimit",
        "bytes of records in a message of a recovery",
        Tested("cluster, ctdbd"),
    ),
    (
        "QueueBufferSize",
        "bytes that are read at once from a connection made from then on; at least 8192, at most 16 MiB",
        Tested("ctdbd"),
    ),
    (
        "IPAllocAlgorithm",
        "how addresses are spread over the nodes",
        Tested("failover, cluster"),
    ),
    (
        "AllowMixedVersions",
        "1: nodes of another release are no reason to end",
        Tested("cluster"),
    ),
];

/// Files that administrators and other programs know.
pub(super) const FILES: &[Line] = &[
    ("/etc/ctdb/ctdb.conf", Tested("config, ctdbd, accept")),
    ("/etc/ctdb/nodes", Tested("config, accept")),
    (
        "/etc/ctdb/ctdb.tunables, tunables.d",
        Tested("config, ctdbd, accept"),
    ),
    ("/etc/ctdb/public_addresses", Tested("config, compare")),
    (
        "/etc/ctdb/script.options",
        There("the scripts read it themselves"),
    ),
    ("/etc/ctdb/events", Tested("accept, deaths: events")),
    ("/etc/ctdb/notify.sh", Tested("deaths: events")),
    ("/run/ctdb/ctdbd.socket", Tested("accept")),
    ("/run/ctdb/ctdbd.pid", Tested("accept")),
    (
        "/var/lib/ctdb/volatile, persistent, state",
        Tested("accept"),
    ),
];

/// Programs of upstream's package.
pub(super) const PROGRAMS: &[Line] = &[
    ("ctdbd", Tested("accept")),
    ("ctdb_mutex_fcntl_helper", Tested("ctdbd, accept")),
    ("ctdb_recovery_helper", There("part of ctdb-clusterd")),
    ("ctdb_lock_helper", There("part of ctdb-database-worker")),
    ("ctdb-eventd, ctdb-event", NotYet("C's are used")),
    ("ctdb_takeover_helper", There("in ctdb-clusterd")),
    ("ctdb_killtcp", NotYet(ADDRESSES)),
    ("ctdb", NotYet("the C tool is used")),
];

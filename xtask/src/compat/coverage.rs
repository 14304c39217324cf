//! What is known of each thing that upstream has: whether our daemon has it, and what tests it.
//!
//! A line of the code's tables that is not here counts as not there. Names of tests are those of
//! packages (`wire`), of sections of the runs with a real Samba (`accept: locks`), and of the
//! comparison with the C daemon (`compare`).

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
}

use Coverage::{NotYet, Retired, Tested, There};

/// A thing by its name.
pub(super) type Line = (&'static str, Coverage);

const ADDRESSES: &str = "comes with public addresses";
const EVENTS: &str = "comes with event scripts";

/// Controls that the daemon answers, by upstream's names.
pub(super) const CONTROLS: &[Line] = &[];

/// Operations of packets.
pub(super) const PACKETS: &[Line] = &[
    ("REQ_CALL", NotYet("")),
    ("REPLY_CALL", NotYet("")),
    ("REQ_DMASTER", NotYet("")),
    ("REPLY_DMASTER", NotYet("")),
    ("REPLY_ERROR", NotYet("")),
    ("REQ_MESSAGE", NotYet("")),
    ("REQ_CONTROL", NotYet("")),
    ("REPLY_CONTROL", NotYet("")),
    ("REQ_KEEPALIVE", NotYet("")),
    ("REQ_TUNNEL", NotYet("")),
];

/// Well-known addresses of messages.
pub(super) const SRVIDS: &[Line] = &[
    ("RECOVERY", NotYet("")),
    ("BANNING", Retired),
    ("ELECTION", NotYet("")),
    ("LEADER", NotYet("")),
    ("RECONFIGURE", NotYet("")),
    ("RELEASE_IP", NotYet(ADDRESSES)),
    ("TAKE_IP", NotYet(ADDRESSES)),
    ("IPREALLOCATED", NotYet(ADDRESSES)),
    ("START_IPREALLOCATE", NotYet(ADDRESSES)),
    ("SET_NODE_FLAGS", NotYet("")),
    ("RECD_UPDATE_IP", NotYet(ADDRESSES)),
    ("VACUUM_FETCH", NotYet("")),
    ("DETACH_DATABASE", NotYet("")),
    ("MEM_DUMP", NotYet("")),
    ("GETLOG", Retired),
    ("CLEARLOG", Retired),
    ("PUSH_NODE_FLAGS", NotYet("")),
    ("RELOAD_NODES", NotYet("")),
    ("TAKEOVER_RUN", NotYet("")),
    ("REBALANCE_NODE", NotYet(ADDRESSES)),
    ("DISABLE_TAKEOVER_RUNS", NotYet("")),
    ("DISABLE_RECOVERIES", NotYet("")),
    ("DISABLE_IP_CHECK", NotYet(ADDRESSES)),
    ("SAMBA_NOTIFY", NotYet("")),
];

/// Commands of the C tool of 4.17.
pub(super) const COMMANDS: &[Line] = &[
    ("version", There("asks no daemon")),
    ("status", NotYet("")),
    ("uptime", NotYet("")),
    ("ping", NotYet("")),
    ("runstate", NotYet("")),
    ("getvar, setvar, listvars", NotYet("")),
    ("statistics, statisticsreset", NotYet("")),
    ("stats", NotYet("")),
    ("ip, ipinfo", NotYet(ADDRESSES)),
    ("ifaces, setifacelink", NotYet(ADDRESSES)),
    ("process-exists", NotYet("")),
    ("getdbmap, getdbstatus", NotYet("")),
    ("catdb, cattdb", NotYet("")),
    ("getcapabilities", NotYet("")),
    ("pnn", NotYet("")),
    ("lvs, natgw", NotYet(ADDRESSES)),
    ("getdebug, setdebug", NotYet("")),
    ("attach, detach", NotYet("")),
    ("dumpmemory, rddumpmemory", NotYet("")),
    ("getpid", NotYet("")),
    ("disable, enable", NotYet("")),
    ("stop, continue", NotYet("")),
    ("ban, unban", NotYet("")),
    ("shutdown", NotYet("")),
    ("recover", NotYet("")),
    ("sync, ipreallocate", NotYet(ADDRESSES)),
    ("gratarp, tickle", NotYet(ADDRESSES)),
    ("gettickles, addtickle, deltickle", NotYet(ADDRESSES)),
    ("listnodes", NotYet("")),
    ("reloadnodes", NotYet("")),
    ("moveip, addip, delip, reloadips", NotYet(ADDRESSES)),
    ("backupdb, restoredb, dumpdbbackup", NotYet("")),
    ("wipedb", NotYet("")),
    ("leader", NotYet("")),
    ("event", NotYet(EVENTS)),
    ("scriptstatus", NotYet(EVENTS)),
    ("getreclock", NotYet("")),
    ("setlmasterrole, setleaderrole", NotYet("")),
    ("setdbreadonly, setdbsticky", NotYet("")),
    ("pfetch, pstore, pdelete, ptrans", NotYet("")),
    ("tfetch, tstore", There("reads and writes the file itself")),
    ("readkey, writekey, deletekey", NotYet("")),
    ("checktcpport", There("asks no daemon")),
    ("getdbseqnum", NotYet("")),
    ("nodestatus", NotYet("")),
    ("dbstatistics", NotYet("")),
];

/// Options that have effect, as `section: name`.
pub(super) const OPTIONS: &[Line] = &[];

/// Tunables that have effect.
pub(super) const TUNABLES: &[Line] = &[];

/// Files that administrators and other programs know.
pub(super) const FILES: &[Line] = &[
    ("/etc/ctdb/ctdb.conf", Tested("config, accept")),
    ("/etc/ctdb/nodes", Tested("config, accept")),
    (
        "/etc/ctdb/ctdb.tunables, tunables.d",
        Tested("config, accept"),
    ),
    ("/etc/ctdb/public_addresses", NotYet(ADDRESSES)),
    ("/etc/ctdb/script.options", NotYet(EVENTS)),
    ("/etc/ctdb/events", NotYet(EVENTS)),
    ("/run/ctdb/ctdbd.socket", NotYet("")),
    ("/run/ctdb/ctdbd.pid", NotYet("")),
    ("/var/lib/ctdb/volatile, persistent, state", NotYet("")),
];

/// Programs of upstream's package.
pub(super) const PROGRAMS: &[Line] = &[
    ("ctdbd", NotYet("")),
    ("ctdb_mutex_fcntl_helper", Tested("ctdbd, accept")),
    ("ctdb_recovery_helper", There("part of ctdb-clusterd")),
    ("ctdb_lock_helper", There("part of ctdb-database-worker")),
    ("ctdb-eventd, ctdb-event", NotYet(EVENTS)),
    ("ctdb_takeover_helper", NotYet(ADDRESSES)),
    ("ctdb_killtcp", NotYet(ADDRESSES)),
    ("ctdb", NotYet("the C tool is used")),
];

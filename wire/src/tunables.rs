//! The tunables: numbers of a node that can be changed while it runs.
//!
//! Order, names, defaults and which are obsolete come from common/tunable.c, the place on the wire
//! from protocol.h (both 4.17.12). The two orders differ in a few places, so each line has its place.

use serde::{Deserialize, Serialize};

use crate::coding::{Decode, DecodeError, Encode, Reader, put_counted_text};
use crate::layout::layout;

/// What is known about one tunable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunableInfo {
    /// The name people use.
    pub name: &'static str,
    /// Its place in GET_ALL_TUNABLES, counted from 0.
    pub place: usize,
    /// The value after start.
    pub default: u32,
    /// Whether it has no effect any more; such ones are not listed and setting them warns.
    pub obsolete: bool,
}

/// What setting a tunable did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// The value is in force.
    Done,
    /// The value is kept but has no effect; SET_TUNABLE answers 1.
    Obsolete,
}

/// There is no tunable of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown tunable \"{0}\"")]
pub struct UnknownTunable(pub String);

macro_rules! tunables {
    (@obsolete) => { false };
    (@obsolete obsolete) => { true };
    ($( $place:literal $field:ident $name:literal = $default:literal $($obsolete:ident)? ;)*) => {
        /// All tunables in upstream's listing order.
        pub const TABLE: &[TunableInfo] = &[$(
            TunableInfo {
                name: $name,
                place: $place,
                default: $default,
                obsolete: tunables!(@obsolete $($obsolete)?),
            },
        )*];

        /// The values of all tunables.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the fields are upstream's, described in ctdb-tunables(7)")]
        pub struct Tunables { $( pub $field: u32, )* }

        impl Default for Tunables {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl Tunables {
            fn values(&self) -> [u32; TABLE.len()] {
                let mut values = [0; TABLE.len()];
                $( values[$place] = self.$field; )*
                values
            }

            fn slots(&mut self) -> [&mut u32; TABLE.len()] {
                [$( &mut self.$field, )*]
            }
        }

        /// GET_ALL_TUNABLES: the values in wire order, 248 bytes in 4.17.
        impl Decode for Tunables {
            const MIN_SIZE: usize = 4 * TABLE.len();
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let values: [u32; TABLE.len()] = r.at("Tunables", "values").get()?;
                Ok(Self { $( $field: values[$place], )* })
            }
        }
    };
}

tunables! {
    0 max_redirect_count "MaxRedirectCount" = 3 obsolete;
    1 seqnum_interval "SeqnumInterval" = 1000;
    2 control_timeout "ControlTimeout" = 60;
    3 traverse_timeout "TraverseTimeout" = 20;
    4 keepalive_interval "KeepaliveInterval" = 5;
    5 keepalive_limit "KeepaliveLimit" = 5;
    6 recover_timeout "RecoverTimeout" = 30;
    7 recover_interval "RecoverInterval" = 1;
    8 election_timeout "ElectionTimeout" = 3;
    9 takeover_timeout "TakeoverTimeout" = 9;
    10 monitor_interval "MonitorInterval" = 15;
    11 tickle_update_interval "TickleUpdateInterval" = 20;
    12 script_timeout "EventScriptTimeout" = 30;
    13 monitor_timeout_count "MonitorTimeoutCount" = 20;
    14 script_unhealthy_on_timeout "EventScriptUnhealthyOnTimeout" = 0 obsolete;
    15 recovery_grace_period "RecoveryGracePeriod" = 120;
    16 recovery_ban_period "RecoveryBanPeriod" = 300;
    17 database_hash_size "DatabaseHashSize" = 100_001;
    18 database_max_dead "DatabaseMaxDead" = 5;
    19 rerecovery_timeout "RerecoveryTimeout" = 10;
    20 enable_bans "EnableBans" = 1;
    21 deterministic_public_ips "DeterministicIPs" = 0 obsolete;
    41 lcp2_public_ip_assignment "LCP2PublicIPs" = 1 obsolete;
    22 reclock_ping_period "ReclockPingPeriod" = 60 obsolete;
    23 no_ip_failback "NoIPFailback" = 0;
    24 disable_ip_failover "DisableIPFailover" = 0 obsolete;
    25 verbose_memory_names "VerboseMemoryNames" = 0;
    26 recd_ping_timeout "RecdPingTimeout" = 60;
    27 recd_ping_failcount "RecdFailCount" = 10;
    28 log_latency_ms "LogLatencyMs" = 0;
    29 reclock_latency_ms "RecLockLatencyMs" = 1000;
    30 recovery_drop_all_ips "RecoveryDropAllIPs" = 120;
    31 verify_recovery_lock "VerifyRecoveryLock" = 1 obsolete;
    32 vacuum_interval "VacuumInterval" = 10;
    33 vacuum_max_run_time "VacuumMaxRunTime" = 120;
    34 repack_limit "RepackLimit" = 10_000;
    35 vacuum_limit "VacuumLimit" = 5_000 obsolete;
    40 vacuum_fast_path_count "VacuumFastPathCount" = 60;
    36 max_queue_depth_drop_msg "MaxQueueDropMsg" = 1_000_000;
    37 allow_unhealthy_db_read "AllowUnhealthyDBRead" = 0;
    38 stat_history_interval "StatHistoryInterval" = 1;
    39 deferred_attach_timeout "DeferredAttachTO" = 120;
    42 allow_client_db_attach "AllowClientDBAttach" = 1;
    43 recover_pdb_by_seqnum "RecoverPDBBySeqNum" = 1 obsolete;
    44 deferred_rebalance_on_node_add "DeferredRebalanceOnNodeAdd" = 300 obsolete;
    45 fetch_collapse "FetchCollapse" = 1;
    46 hopcount_make_sticky "HopcountMakeSticky" = 50;
    47 sticky_duration "StickyDuration" = 600;
    48 sticky_pindown "StickyPindown" = 200;
    49 no_ip_takeover "NoIPTakeover" = 0;
    50 db_record_count_warn "DBRecordCountWarn" = 100_000;
    51 db_record_size_warn "DBRecordSizeWarn" = 10_000_000;
    52 db_size_warn "DBSizeWarn" = 100_000_000;
    53 pulldb_preallocation_size "PullDBPreallocation" = 10_485_760;
    54 no_ip_host_on_all_disabled "NoIPHostOnAllDisabled" = 1 obsolete;
    55 samba3_hack "Samba3AvoidDeadlocks" = 0 obsolete;
    56 mutex_enabled "TDBMutexEnabled" = 1 obsolete;
    57 lock_processes_per_db "LockProcessesPerDB" = 200;
    58 rec_buffer_size_limit "RecBufferSizeLimit" = 1_000_000;
    59 queue_buffer_size "QueueBufferSize" = 1024;
    60 ip_alloc_algorithm "IPAllocAlgorithm" = 2;
    61 allow_mixed_versions "AllowMixedVersions" = 0;
}

impl Tunables {
    /// The value of a tunable; the case of the name does not matter.
    pub fn get(&self, name: &str) -> Option<u32> {
        position(name).map(|position| self.values()[TABLE[position].place])
    }

    /// Sets a tunable; the case of the name does not matter.
    ///
    /// # Errors
    /// [`UnknownTunable`]
    pub fn set(&mut self, name: &str, value: u32) -> Result<Set, UnknownTunable> {
        let position = position(name).ok_or_else(|| UnknownTunable(name.to_owned()))?;
        *self.slots()[position] = value;
        Ok(if TABLE[position].obsolete {
            Set::Obsolete
        } else {
            Set::Done
        })
    }

    /// The names of those that are not obsolete, in listing order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().filter(|t| !t.obsolete).map(|t| t.name)
    }
}

fn position(name: &str) -> Option<usize> {
    TABLE.iter().position(|t| t.name.eq_ignore_ascii_case(name))
}

impl Encode for Tunables {
    fn encode(&self, out: &mut Vec<u8>) {
        self.values().encode(out);
    }
}

layout! {
    Tunables "GET_ALL_TUNABLES: the values in the order of the table of tunables, 248 bytes in 4.17." {
        values: [u32; 62], "By the tunable's place.";
    }
    TunableName "GET_TUNABLE." {
        length: u32, "Of the name, its NUL counted.";
        name: bytes, "Which one, and a NUL.";
    }
    TunableNames "LIST_TUNABLES." {
        length: u32, "Of the text, its NUL counted.";
        names: bytes, "The names with ':' between, and a NUL. C's daemon puts a ':' in front, too; its library does not.";
    }
}

/// GET_TUNABLE: length, name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TunableName(pub String);

impl Encode for TunableName {
    fn encode(&self, out: &mut Vec<u8>) {
        put_counted_text(out, &self.0);
    }
}

impl Decode for TunableName {
    const MIN_SIZE: usize = 4;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.at("TunableName", "name").counted_text().map(Self)
    }
}

/// LIST_TUNABLES: names joined by ':'. C's daemon puts one in front, too; its library does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunableNames(pub Vec<String>);

impl TunableNames {
    /// The names of those that are not obsolete.
    pub fn all() -> Self {
        Self(Tunables::names().map(str::to_owned).collect())
    }
}

impl Encode for TunableNames {
    fn encode(&self, out: &mut Vec<u8>) {
        let text: String = self.0.iter().flat_map(|name| [":", name]).collect();
        put_counted_text(out, &text);
    }
}

impl Decode for TunableNames {
    const MIN_SIZE: usize = 5;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let text = r.at("TunableNames", "names").counted_text()?;
        let names = text.split(':').filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_a_permutation() {
        let mut counted = Tunables::default();
        for (value, slot) in (0..).zip(counted.slots()) {
            *slot = value;
        }
        let mut values = counted.values();
        values.sort_unstable();
        assert!(values.iter().copied().eq(0..TABLE.len() as u32));
        assert_eq!(Tunables::default().to_bytes().len(), 248);
    }

    #[test]
    fn names_ignore_case_and_obsolete_ones_say_so() {
        let mut tunables = Tunables::default();
        assert_eq!(tunables.set("monitorinterval", 7), Ok(Set::Done));
        assert_eq!(tunables.get("MonitorInterval"), Some(7));
        assert_eq!(tunables.monitor_interval, 7);
        assert_eq!(tunables.set("VacuumLimit", 1), Ok(Set::Obsolete));
        assert!(tunables.set("NoSuch", 1).is_err());
        assert!(!Tunables::names().any(|name| name == "VacuumLimit"));
    }

    #[test]
    fn values_come_back() {
        let tunables = Tunables {
            vacuum_fast_path_count: 4711,
            ..Tunables::default()
        };
        assert_eq!(Tunables::from_bytes(&tunables.to_bytes()), Ok(tunables));
    }
}

//! What is done, and on what.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use super::fault::Kind;
use crate::cluster::Spec;
use crate::etcd;
use crate::side::Side;

/// All nodes' databases, of a test.
const DISK: &str = "150M";
/// What the tunables are by default, where a cluster of tests has others.
const DEFAULTS: &str = "MonitorInterval=15\nKeepaliveInterval=5\nKeepaliveLimit=5\n\
                        RerecoveryTimeout=10\nElectionTimeout=3\nTakeoverTimeout=9\n";
/// Short times.
const FAST: &str = "RecoveryBanPeriod=5\n";
/// Seconds of a lease: the default, and the shortest. It is over before KeepaliveInterval × KeepaliveLimit is.
const LEASES: [u64; 2] = [10, 5];

/// Who says which nodes are members, and which leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Manager {
    /// They themselves, with a cluster lock.
    Native,
    /// Three servers of etcd (Debian's etcd-server, etcd-client).
    Etcd,
}

/// What is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many faults.
    pub faults: usize,
    /// What chance begins with.
    pub seed: u64,
    /// The longest time of one, in seconds.
    pub longest: usize,
    /// All of them if there are none.
    pub kinds: Vec<Kind>,
    /// The tunables as they are by default.
    pub default_tunables: bool,
    /// With the C daemon too.
    pub against_c: bool,
    /// Of our cluster.
    pub manager: Manager,
}

impl Options {
    /// The cluster that is wanted.
    ///
    /// # Errors
    /// The options do not go together, or not with these nodes.
    pub fn spec(&self, spec: Spec) -> Result<Spec> {
        ensure!(spec.roots.len() >= 3, "at least three nodes");
        ensure!(
            self.manager == Manager::Etcd || !self.kinds.contains(&Kind::KillEtcd),
            "kill-etcd: only with --manager etcd"
        );
        ensure!(
            self.manager == Manager::Native
                || !self.against_c && spec.roots.iter().all(Option::is_some),
            "--manager etcd: only for daemons of ours, the C daemon cannot do it"
        );
        let (tunables, conf) = match self.default_tunables {
            true => (DEFAULTS, "[cluster]\n\tleader timeout = 5\n"),
            false => (FAST, ""),
        };
        let [default, shortest] = LEASES;
        let lease = match self.default_tunables {
            true => default,
            false => shortest,
        };
        Ok(Spec {
            event_scripts: false,
            disk: Some(DISK.to_owned()),
            manager: (self.manager == Manager::Etcd).then(|| etcd::conf(lease, None)),
            more_tunables: tunables.to_owned(),
            more_conf: conf.to_owned(),
            ..spec
        })
    }

    /// Within this time of a fault's end all nodes are OK again.
    ///
    /// A node that comes back is seen within seconds, takes part in the next recovery, and may have been banned meanwhile.
    /// C's daemon looks each half a minute whether its cluster manager lives (`ctdb_recoverd.c`, 4.17.12).
    pub(super) fn bound(&self, side: Side) -> Duration {
        let bound = Duration::from_secs(if self.default_tunables { 360 } else { 40 });
        match side {
            Side::Ours => bound,
            Side::Theirs => bound + Duration::from_secs(30),
        }
    }

    /// Those that are asked for, or else all that these clusters know.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        if !self.kinds.is_empty() {
            return self.kinds.clone();
        }
        let all = Kind::value_variants().iter().copied();
        all.filter(|kind| self.knows(*kind)).collect()
    }

    fn knows(&self, kind: Kind) -> bool {
        match kind {
            Kind::KillEtcd => self.manager == Manager::Etcd,
            // C has no such workers; what it makes of a full disk is not stated
            Kind::HangWorkers | Kind::DiskFull => !self.against_c,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(manager: Manager, against_c: bool, kinds: &[Kind]) -> Options {
        Options {
            faults: 1,
            seed: 1,
            longest: 1,
            kinds: kinds.to_vec(),
            default_tunables: false,
            against_c,
            manager,
        }
    }

    fn spec(roots: Vec<Option<std::path::PathBuf>>) -> Spec {
        Spec {
            roots,
            clustering: true,
            event_scripts: true,
            log_level: "NOTICE".to_owned(),
            disk: None,
            manager: None,
            more_conf: String::new(),
            more_tunables: String::new(),
        }
    }

    #[test]
    fn etcd_dies_only_where_it_counts() {
        let has = |options: Options| options.kinds().contains(&Kind::KillEtcd);
        assert!(has(options(Manager::Etcd, false, &[])));
        assert!(!has(options(Manager::Native, false, &[])));
        let ours = || spec(vec![Some("/package".into()); 3]);
        let asked = options(Manager::Native, false, &[Kind::KillEtcd]);
        asked.spec(ours()).unwrap_err();
        let right = options(Manager::Etcd, false, &[Kind::KillEtcd]).spec(ours());
        assert!(right.unwrap().manager.unwrap().contains("etcd lease = 5\n"));
    }

    #[test]
    fn etcd_is_nothing_for_the_c_daemon() {
        let ours = vec![Some("/package".into()); 3];
        let against = options(Manager::Etcd, true, &[]);
        against.spec(spec(ours.clone())).unwrap_err();
        let mut mixed = ours;
        mixed[1] = None;
        let one_of_c = options(Manager::Etcd, false, &[]);
        one_of_c.spec(spec(mixed)).unwrap_err();
    }

    #[test]
    fn the_c_daemon_is_given_what_it_knows() {
        let kinds = options(Manager::Native, true, &[]).kinds();
        assert_eq!(kinds.last(), Some(&Kind::Slow));
    }
}

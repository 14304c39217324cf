//! The records that come in: asked for with DB_PULL, carried by messages, counted by the answer.

use std::collections::BTreeMap;

use tracing::{error, info};
use wire::control::Request;
use wire::packet::ControlFlags;
use wire::types::{LMASTER_ANY, PullDbExt, RecBufferRef};
use wire::{DbId, Pnn, Srvid};

use super::database::Setup;
use super::merge::Merge;
use crate::manager::gather::Gather;
use crate::manager::io::Output;
use crate::manager::ports::Io;

/// One node's records.
#[derive(Debug)]
struct Pull {
    node: Pnn,
    received: u32,
}

/// The pulls of one database, each to a message address of its own.
#[derive(Debug)]
pub(super) struct Pulls {
    db: DbId,
    pulls: BTreeMap<Srvid, Pull>,
    merge: Merge,
}

impl Pulls {
    /// Asks the `sources` for all their records.
    pub(super) fn begin(
        io: &mut Io<'_>,
        setup: &Setup,
        merge: Merge,
        db: DbId,
        sources: &[Pnn],
    ) -> (Self, Gather) {
        let (mut pulls, mut gather) = (BTreeMap::new(), Gather::default());
        for &node in sources {
            let srvid = io.fresh_srvid();
            io.push(Output::RegisterSrvid(srvid));
            pulls.insert(srvid, Pull { node, received: 0 });
            let request = Request::DbPull(PullDbExt {
                db,
                lmaster: LMASTER_ANY,
                srvid,
            });
            gather.add(io, node, request, ControlFlags::empty(), setup.timeout);
        }
        (Self { db, pulls, merge }, gather)
    }

    /// Takes records, if they were sent to one of the addresses. What is not counted here makes
    /// the counts differ in the end, and that fails the pull.
    pub(super) fn handle_records(&mut self, srvid: Srvid, data: &[u8]) {
        let Some(pull) = self.pulls.get_mut(&srvid) else {
            return;
        };
        let records = match RecBufferRef::from_bytes(data) {
            Ok(records) if records.db == self.db => records,
            Ok(records) => {
                error!(
                    "Invalid dbid:{} for DB_PULL messages for {}",
                    records.db, self.db
                );
                return;
            }
            Err(err) => {
                error!(%err, "Invalid data received for DB_PULL messages");
                return;
            }
        };
        match self.merge.add(pull.node, &records) {
            Ok(()) => pull.received = pull.received.saturating_add(records.count),
            Err(err) => error!(%err, "Failed to add records for {}", self.db),
        }
    }

    /// Compares what the nodes sent with what came; the error is a node whose records are not
    /// complete.
    pub(super) fn check(&self, name: &str, sent: &BTreeMap<Pnn, u32>) -> Result<(), Pnn> {
        for &Pull { node, received } in self.pulls.values() {
            let sent = sent.get(&node).copied().unwrap_or_default();
            if sent != received {
                error!("mismatch ({sent} != {received}) in DB_PULL records for db {name}");
                return Err(node);
            }
            info!("Pulled {received} records for db {name} from node {node}");
        }
        Ok(())
    }

    /// Gives the addresses up, and the merged records out.
    pub(super) fn end(self, io: &mut Io<'_>) -> Merge {
        for srvid in self.pulls.into_keys() {
            io.push(Output::DeregisterSrvid(srvid));
        }
        self.merge
    }
}

//! The records that go out: opened with DB_PUSH_START, carried by messages, confirmed by count.
//!
//! C's daemon drops no message, but nothing holds messages back either. So after some of them
//! each node is pinged: since nothing overtakes on a connection, its answer says that it has them.

use core::iter::Peekable;
use std::collections::BTreeMap;

use tracing::{debug, error, info};
use wire::{Pnn, Srvid};

use super::merge::{Buffers, Merge};
use crate::manager::io::Output;
use crate::manager::ports::Io;

/// How many messages each node is sent before it must show that it has them.
const WINDOW: usize = 8;

/// The push of one database to all participants, at one message address.
#[derive(Debug)]
pub(super) struct Push {
    to: Srvid,
    buffers: Peekable<Buffers>,
    sent: u32,
}

impl Push {
    pub(super) fn new(io: &mut Io<'_>, merge: Merge, buffer_limit: usize) -> Self {
        let buffers = merge.into_buffers(buffer_limit).peekable();
        Self {
            to: io.fresh_srvid(),
            buffers,
            sent: 0,
        }
    }

    pub(super) const fn srvid(&self) -> Srvid {
        self.to
    }

    /// Sends as much as may be under way.
    pub(super) fn send_window(&mut self, io: &mut Io<'_>, nodes: &[Pnn]) {
        for (count, data) in self.buffers.by_ref().take(WINDOW) {
            debug!("Pushing buffer with {count} records");
            self.sent = self.sent.saturating_add(count);
            io.push(Output::MessageEach {
                destinations: nodes.to_vec(),
                srvid: self.to,
                data,
            });
        }
    }

    pub(super) fn has_more(&mut self) -> bool {
        self.buffers.peek().is_some()
    }

    /// Compares what the nodes have with what was sent; the error is one that misses some.
    pub(super) fn check(&self, name: &str, received: &BTreeMap<Pnn, u32>) -> Result<(), Pnn> {
        let sent = self.sent;
        if let Some((&node, count)) = received.iter().find(|(_, count)| **count != sent) {
            error!("Node {node} received {count} of {sent} records for {name}");
            return Err(node);
        }
        info!("Pushed {sent} records for db {name}");
        Ok(())
    }
}

//! Seeing all records of a database, wherever in the cluster they are.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use wire::control::TraverseStartExt;
use wire::types::{self, Record, RecordHeader};
use wire::{DbId, Pnn, ReqId, Srvid};

use crate::connection::Client;
use crate::error::Result;
use crate::message::Subscription;

/// An address for this process's private use: the daemon delivers a message to every client that has
/// registered its address, so it must not be anybody else's. Upstream's clients use the same range
/// and their process number alone (`ctdb_db_traverse_send`, 4.17.12), which is number 0 here.
#[must_use]
pub fn private_srvid() -> Srvid {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = u64::from(NEXT.fetch_add(1, Ordering::Relaxed) & 0x00FF_FFFF);
    Srvid(Srvid::CLIENT_RANGE.0 | number << 32 | u64::from(std::process::id()))
}

/// A record as a traverse shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraversedRecord {
    /// The header of the copy that was sent: its data master's, or any node's if all nodes have it.
    pub header: RecordHeader,
    /// The key.
    pub key: Bytes,
    /// The value, never empty: deleted records are left out.
    pub value: Bytes,
}

/// A traverse under way. When it is dropped, the daemon goes on to the end, unheard: TRAVERSE_KILL is
/// for daemons, only the end of the connection would stop it.
#[derive(Debug)]
pub struct Traverse {
    records: Subscription,
    ended: bool,
}

impl Client {
    /// Asks this node for all records of the cluster's database. They come as fast as the daemon
    /// sends them, in no order: take them at once, or [`Limits::subscription`] is met.
    /// `timeout` is for the start.
    ///
    /// # Errors
    /// Those of [`Client::control`].
    ///
    /// [`Limits::subscription`]: crate::Limits::subscription
    pub async fn traverse(&self, db: DbId, timeout: Duration) -> Result<Traverse> {
        let srvid = private_srvid();
        let records = self.register(srvid).await?;
        let request = types::TraverseStartExt {
            db,
            // the address is this traverse's alone
            reqid: ReqId(0),
            srvid,
            with_empty_records: false,
        };
        self.control::<TraverseStartExt>(Pnn::CURRENT, &request, timeout)
            .await?;
        Ok(Traverse {
            records,
            ended: false,
        })
    }
}

impl Traverse {
    /// The next record; none after the last one.
    ///
    /// # Errors
    /// [`Error::Overrun`](crate::Error::Overrun), [`Error::Disconnected`](crate::Error::Disconnected),
    /// [`Error::Protocol`](crate::Error::Protocol).
    pub async fn next(&mut self) -> Result<Option<TraversedRecord>> {
        while !self.ended {
            let message = self.records.recv().await?.data;
            let record = Record::from_bytes(&message)?;
            if record.key.is_empty() && record.data.is_empty() {
                self.ended = true;
                break;
            }
            let (header, value) = RecordHeader::split(record.data)?;
            if !value.is_empty() {
                return Ok(Some(TraversedRecord {
                    header,
                    key: message.slice_ref(record.key),
                    value: message.slice_ref(value),
                }));
            }
        }
        Ok(None)
    }
}

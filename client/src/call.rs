//! Calls on records. The one in use moves a record to this node, so that the caller, who has the tdb
//! file open, can lock it there.

use std::time::Duration;

use bytes::Bytes;
use wire::packet::{Body, CallFlags, ReqCall, function};
use wire::{DbId, Pnn};

use crate::connection::{Client, Reply};
use crate::error::{Error, Result};

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAnswer {
    /// 0 is success.
    pub status: i32,
    /// The function's result.
    pub data: Bytes,
}

impl Client {
    /// Calls a function of the database on one record.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: also if the database is frozen for so long, or not attached, since the
    /// daemon does not answer then. [`Error::Disconnected`], and those of sending.
    pub async fn call(
        &self,
        (db, key): (DbId, &[u8]),
        (callid, calldata): (u32, &[u8]),
        flags: CallFlags,
        timeout: Duration,
    ) -> Result<CallAnswer> {
        const NAME: &str = "REQ_CALL";
        let body = Body::ReqCall(ReqCall {
            flags,
            db,
            callid,
            hopcount: 0,
            key,
            calldata,
        });
        match self
            .request(NAME, Pnn::CURRENT, body)?
            .reply(timeout)
            .await?
        {
            Reply::Call { status, data } => Ok(CallAnswer { status, data }),
            Reply::Error { status, message }
            | Reply::Control {
                status,
                error: message,
                ..
            } => {
                let message = String::from_utf8_lossy(&message).into_owned();
                Err(Error::Refused {
                    name: NAME,
                    destination: Pnn::CURRENT,
                    status,
                    message,
                })
            }
            Reply::Tunnel { .. } => Err(Error::Disconnected),
        }
    }

    /// Makes this node the record's data master. It may have moved on when this returns: look again
    /// under the chain lock, and repeat.
    ///
    /// # Errors
    /// Those of [`Client::call`], and [`Error::Refused`] if the call failed.
    pub async fn migrate(&self, db: DbId, key: &[u8], timeout: Duration) -> Result<()> {
        self.move_here((db, key), CallFlags::IMMEDIATE_MIGRATION, timeout)
            .await
    }

    /// A call that does nothing but bring the record, or a copy, here.
    pub(crate) async fn move_here(
        &self,
        record: (DbId, &[u8]),
        flags: CallFlags,
        timeout: Duration,
    ) -> Result<()> {
        let answer = self
            .call(record, (function::NULL, &[]), flags, timeout)
            .await?;
        match answer.status {
            0 => Ok(()),
            status => Err(Error::Refused {
                name: "REQ_CALL",
                destination: Pnn::CURRENT,
                status,
                message: String::from_utf8_lossy(&answer.data).into_owned(),
            }),
        }
    }

    /// The record's data as its data master has it; none if the record is empty or absent.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn fetch(&self, db: DbId, key: &[u8], timeout: Duration) -> Result<Bytes> {
        let answer = self
            .call(
                (db, key),
                (function::FETCH, &[]),
                CallFlags::empty(),
                timeout,
            )
            .await?;
        Ok(answer.data)
    }
}

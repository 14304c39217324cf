//! Calls on a record and their answers.

use crate::DbId;
use crate::coding::{DecodeError, Encode, Reader, put_length, wire_flags};
use crate::layout::layout;

/// The functions a call can name (`callid`).
pub mod function {
    /// Does nothing: smbd sends it to have the record migrated.
    pub const NULL: u32 = 0xFF00_0001;
    /// Answers with the record's data.
    pub const FETCH: u32 = 0xFF00_0002;
    /// Answers with the record's header and data.
    pub const FETCH_WITH_HEADER: u32 = 0xFF00_0003;
}

wire_flags! {
    /// How a call wants its record.
    pub struct CallFlags: u32 {
        /// Migrate the record at once, not only after some calls.
        const IMMEDIATE_MIGRATION = 0x1;
        /// The vacuuming of the lmaster wants it.
        const VACUUM_MIGRATION = 0x2;
        /// A read-only delegation is enough.
        const WANT_READONLY = 0x4;
    }
}

/// CTDB_REQ_CALL: flags, db, callid, hopcount, keylen, calldatalen, key, calldata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReqCall<'a> {
    /// How.
    pub flags: CallFlags,
    /// In which database.
    pub db: DbId,
    /// Which function (see [`function`]).
    pub callid: u32,
    /// How many nodes have passed it on.
    pub hopcount: u32,
    /// On which record.
    pub key: &'a [u8],
    /// The function's argument.
    pub calldata: &'a [u8],
}

layout! {
    ReqCall<'_> "CTDB_REQ_CALL: a client or a node wants a record." {
        flags: CallFlags, "How.";
        db: DbId, "In which database.";
        callid: u32, "Which function: 0xFF000001 only migrates, 0xFF000002 answers with the value, 0xFF000003 with header and value.";
        hopcount: u32, "How many nodes have passed it on.";
        keylen: u32, "";
        calldatalen: u32, "";
        key: bytes, "On which record.";
        calldata: bytes, "The function's argument.";
    }
    ReplyCall<'_> "CTDB_REPLY_CALL: what a call returned." {
        status: i32, "The function's result; 0 is success.";
        datalen: u32, "";
        data: bytes, "What it returned.";
    }
    ReplyError<'_> "CTDB_REPLY_ERROR: a call that failed." {
        status: i32, "What went wrong, as a number.";
        msglen: u32, "";
        message: bytes, "The same as text, not terminated.";
    }
}

impl<'a> ReqCall<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const NAME: &str = "ReqCall";
        let flags = r.at(NAME, "flags").get()?;
        let db = r.at(NAME, "db").get()?;
        let callid = r.at(NAME, "callid").get()?;
        let hopcount = r.at(NAME, "hopcount").get()?;
        let keylen = r.at(NAME, "keylen").u32()?;
        let datalen = r.at(NAME, "calldatalen").u32()?;
        let key = r.at(NAME, "key").take(keylen as usize)?;
        let calldata = r.at(NAME, "calldata").take(datalen as usize)?;
        Ok(Self {
            flags,
            db,
            callid,
            hopcount,
            key,
            calldata,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.flags.encode(out);
        self.db.encode(out);
        self.callid.encode(out);
        self.hopcount.encode(out);
        put_length(out, self.key.len());
        put_length(out, self.calldata.len());
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.calldata);
    }
}

/// CTDB_REPLY_CALL: status, datalen, data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyCall<'a> {
    /// The function's result; 0 is success.
    pub status: i32,
    /// What it returned.
    pub data: &'a [u8],
}

impl<'a> ReplyCall<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let status = r.at("ReplyCall", "status").get()?;
        let data = r.at("ReplyCall", "data").counted()?;
        Ok(Self { status, data })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.status.encode(out);
        put_length(out, self.data.len());
        out.extend_from_slice(self.data);
    }
}

/// CTDB_REPLY_ERROR: status, msglen, message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyError<'a> {
    /// What went wrong, as a number.
    pub status: i32,
    /// The same as text; C does not terminate it.
    pub message: &'a [u8],
}

impl<'a> ReplyError<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let status = r.at("ReplyError", "status").get()?;
        let message = r.at("ReplyError", "message").counted()?;
        Ok(Self { status, message })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.status.encode(out);
        put_length(out, self.message.len());
        out.extend_from_slice(self.message);
    }
}

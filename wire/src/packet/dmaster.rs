//! The two packets in which a record changes its data master.
//!
//! Behind the data C appends the record's flags, without a length of their own: they are there if
//! 4 bytes are left (ctdb_call.c, 4.17.12). A sender that leaves them out may be read as sending 0
//! from its padding, which is what C reads there too.

use crate::coding::{DecodeError, Encode, Reader, put_length, put_pad};
use crate::layout::layout;
use crate::types::RecordFlags;
use crate::{DbId, Pnn};

/// CTDB_REQ_DMASTER: db, 4 bytes of padding, rsn, dmaster, keylen, datalen, key, data, flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReqDmaster<'a> {
    /// In which database.
    pub db: DbId,
    /// The record's sequence number.
    pub rsn: u64,
    /// The node that is to become data master.
    pub dmaster: Pnn,
    /// The record's flags, if sent.
    pub record_flags: Option<RecordFlags>,
    /// The record's key.
    pub key: &'a [u8],
    /// The record's data, without its header.
    pub data: &'a [u8],
}

layout! {
    ReqDmaster<'_> "CTDB_REQ_DMASTER: the data master hands a record to the lmaster, for another node." {
        db: DbId => pad 4, "In which database.";
        rsn: u64, "The record's sequence number.";
        dmaster: Pnn, "The node that is to become data master.";
        keylen: u32, "";
        datalen: u32, "";
        key: bytes, "The record's key.";
        data: bytes, "The record's value, without its header.";
        record_flags: bytes, "RecordFlags, u32, directly behind the value: there if 4 bytes are left.";
    }
    ReplyDmaster<'_> "CTDB_REPLY_DMASTER: the lmaster hands a record to its new data master." {
        db: DbId => pad 4, "In which database.";
        rsn: u64, "The record's sequence number.";
        keylen: u32, "";
        datalen: u32, "";
        key: bytes, "The record's key.";
        data: bytes, "The record's value, without its header.";
        record_flags: bytes, "As in REQ_DMASTER.";
    }
}

impl<'a> ReqDmaster<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const NAME: &str = "ReqDmaster";
        let db = r.at(NAME, "db").get()?;
        r.at(NAME, "padding").pad(4)?;
        let rsn = r.at(NAME, "rsn").get()?;
        let dmaster = r.at(NAME, "dmaster").get()?;
        let Tail {
            key,
            data,
            record_flags,
        } = Tail::decode(NAME, r)?;
        Ok(Self {
            db,
            rsn,
            dmaster,
            record_flags,
            key,
            data,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.db.encode(out);
        put_pad(out, 4);
        self.rsn.encode(out);
        self.dmaster.encode(out);
        let Self {
            key,
            data,
            record_flags,
            ..
        } = *self;
        Tail {
            key,
            data,
            record_flags,
        }
        .encode(out);
    }
}

/// CTDB_REPLY_DMASTER: db, 4 bytes of padding, rsn, keylen, datalen, key, data, flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyDmaster<'a> {
    /// In which database.
    pub db: DbId,
    /// The record's sequence number.
    pub rsn: u64,
    /// The record's flags, if sent.
    pub record_flags: Option<RecordFlags>,
    /// The record's key.
    pub key: &'a [u8],
    /// The record's data, without its header.
    pub data: &'a [u8],
}

impl<'a> ReplyDmaster<'a> {
    pub(super) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const NAME: &str = "ReplyDmaster";
        let db = r.at(NAME, "db").get()?;
        r.at(NAME, "padding").pad(4)?;
        let rsn = r.at(NAME, "rsn").get()?;
        let Tail {
            key,
            data,
            record_flags,
        } = Tail::decode(NAME, r)?;
        Ok(Self {
            db,
            rsn,
            record_flags,
            key,
            data,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.db.encode(out);
        put_pad(out, 4);
        self.rsn.encode(out);
        let Self {
            key,
            data,
            record_flags,
            ..
        } = *self;
        Tail {
            key,
            data,
            record_flags,
        }
        .encode(out);
    }
}

/// What both end with.
struct Tail<'a> {
    key: &'a [u8],
    data: &'a [u8],
    record_flags: Option<RecordFlags>,
}

impl<'a> Tail<'a> {
    fn decode(name: &'static str, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let keylen = r.at(name, "keylen").u32()?;
        let datalen = r.at(name, "datalen").u32()?;
        let key = r.at(name, "key").take(keylen as usize)?;
        let data = r.at(name, "data").take(datalen as usize)?;
        let sent = r.remaining() >= 4;
        let record_flags = sent.then(|| r.at(name, "record_flags").get()).transpose()?;
        Ok(Self {
            key,
            data,
            record_flags,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_length(out, self.key.len());
        put_length(out, self.data.len());
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.data);
        if let Some(flags) = self.record_flags {
            flags.encode(out);
        }
    }
}

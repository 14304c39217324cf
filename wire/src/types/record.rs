//! Records, alone and in buffers.
//!
//! ```text
//! record:  length u32, reqid u32, keylen u32, datalen u32, key, data     (length counts all of it)
//! buffer:  db u32, count u32, records                                   (nothing between them)
//! data:    [header, 24 bytes] value
//! ```
//!
//! Whether data begins with a header is not on the wire; it is a matter of what the record is for.
//! It does in all buffers and traverses of 4.17.

use serde::{Deserialize, Serialize};

use crate::coding::{Decode, DecodeError, Encode, Reader, put_length, wire_flags, wire_struct};
use crate::layout::layout;
use crate::{DbId, Pnn, ReqId};

/// The size of a record's header on the wire and in the tdb file, in bytes.
pub const RECORD_HEADER_SIZE: usize = 24;
/// The key of a persistent database's sequence number, with the NUL that is part of it.
pub const SEQNUM_KEY: &[u8] = b"__db_sequence_number__\0";

wire_flags! {
    /// What is special about a record.
    pub struct RecordFlags: u32 {
        /// After 4.17: the record is to survive the node (per-record persistence).
        const PERSISTENT = 0x1;
        /// After 4.17: and is being written.
        const PERSISTENT_IN_PROGRESS = 0x2;
        /// It came here with data.
        const MIGRATED_WITH_DATA = 0x0001_0000;
        /// Vacuuming brought it here.
        const VACUUM_MIGRATED = 0x0002_0000;
        /// The daemon made it, not a client.
        const AUTOMATIC = 0x0004_0000;
        /// The data master has given read-only delegations.
        const RO_HAVE_DELEGATIONS = 0x0100_0000;
        /// This is a read-only delegation.
        const RO_HAVE_READONLY = 0x0200_0000;
        /// The delegations are being taken back.
        const RO_REVOKING_READONLY = 0x0400_0000;
        /// They were taken back.
        const RO_REVOKE_COMPLETE = 0x0800_0000;
        /// All about delegations.
        const RO_FLAGS = 0x0F00_0000;
    }
}

wire_struct! {
    /// `ctdb_ltdb_header`: what stands in front of each record's value, in the tdb file too.
    #[derive(Copy, Eq, Hash, Default)]
    pub struct RecordHeader {
        /// The record's sequence number; the copy with the highest is the newest.
        pub rsn: u64,
        /// The data master.
        pub dmaster: Pnn,
        /// Not used; kept as it is in the file.
        pub reserved: u32,
        /// What is special.
        pub flags: RecordFlags => pad 4,
    }
}

impl RecordHeader {
    /// Splits what is stored under a key into header and value.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there is no whole header.
    pub fn split(stored: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut r = Reader::new(stored);
        let header = r.get()?;
        Ok((header, r.rest()))
    }
}

/// One record, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// A traverse's number; 0 elsewhere.
    pub reqid: ReqId,
    /// The header, if it was taken off the data or is to go in front of it.
    pub header: Option<RecordHeader>,
    /// The key.
    pub key: &'a [u8],
    /// The data; without the header if `header` has it.
    pub data: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads one record, its data as it came.
    ///
    /// # Errors
    /// If the four lengths and numbers do not agree with each other or the bytes.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const NAME: &str = "Record";
        let length = r.at(NAME, "length").clone().u32()?;
        let mut inner = Reader::new(r.take(length as usize)?);
        inner.at(NAME, "reqid").pad(4)?;
        let reqid = inner.get()?;
        let keylen = inner.at(NAME, "keylen").u32()?;
        let datalen = inner.at(NAME, "datalen").u32()?;
        let key = inner.at(NAME, "key").take(keylen as usize)?;
        let data = inner.at(NAME, "data").take(datalen as usize)?;
        inner.finish()?;
        Ok(Self {
            reqid,
            header: None,
            key,
            data,
        })
    }

    /// Reads one record that fills `bytes`, as the messages of a traverse carry it.
    ///
    /// # Errors
    /// Those of [`Record::decode`], or if bytes are left over.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let record = Self::decode(&mut r)?;
        r.finish()?;
        Ok(record)
    }

    /// The same record with the header taken off its data.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if the data is shorter than a header.
    pub fn with_header(self) -> Result<Self, DecodeError> {
        if self.header.is_some() {
            return Ok(self);
        }
        let (header, data) = RecordHeader::split(self.data)?;
        Ok(Self {
            header: Some(header),
            data,
            ..self
        })
    }

    /// Its size on the wire, in bytes.
    pub fn size(&self) -> usize {
        16 + self.key.len() + self.datalen()
    }

    fn datalen(&self) -> usize {
        self.data.len() + self.header.map_or(0, |_| RECORD_HEADER_SIZE)
    }
}

impl Encode for Record<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_length(out, self.size());
        self.reqid.encode(out);
        put_length(out, self.key.len());
        put_length(out, self.datalen());
        out.extend_from_slice(self.key);
        if let Some(header) = &self.header {
            header.encode(out);
        }
        out.extend_from_slice(self.data);
    }
}

layout! {
    OwnedRecord "A record in a buffer, and TRAVERSE_DATA." {
        length: u32, "Of the whole record, these four numbers included.";
        reqid: ReqId, "A traverse's number; 0 elsewhere.";
        keylen: u32, "";
        datalen: u32, "";
        key: bytes, "The key; empty with empty data marks the end of a traverse.";
        data: bytes, "A RecordHeader and the value, in all buffers and traverses of 4.17.";
    }
    RecBuffer "`ctdb_marshall_buffer`: records of one database, one behind the other." {
        db: DbId, "Their database.";
        count: u32, "How many there are.";
        records: bytes, "As many OwnedRecord, without padding between them, to the end.";
    }
}

/// One record, kept: TRAVERSE_DATA.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnedRecord {
    /// A traverse's number.
    pub reqid: ReqId,
    /// The key; empty with empty data marks the end.
    pub key: Vec<u8>,
    /// The data as it came, mostly with a header in front.
    pub data: Vec<u8>,
}

impl OwnedRecord {
    /// The same, borrowed.
    pub fn as_record(&self) -> Record<'_> {
        Record {
            reqid: self.reqid,
            header: None,
            key: &self.key,
            data: &self.data,
        }
    }
}

impl From<Record<'_>> for OwnedRecord {
    fn from(record: Record<'_>) -> Self {
        let mut data = Vec::with_capacity(record.datalen());
        if let Some(header) = &record.header {
            header.encode(&mut data);
        }
        data.extend_from_slice(record.data);
        Self {
            reqid: record.reqid,
            key: record.key.to_vec(),
            data,
        }
    }
}

impl Encode for OwnedRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_record().encode(out);
    }
}

impl Decode for OwnedRecord {
    const MIN_SIZE: usize = 16;
    const FIXED: bool = false;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Record::decode(r).map(Self::from)
    }
}

/// `ctdb_marshall_buffer`: records of one database, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecBuffer {
    /// Their database.
    pub db: DbId,
    /// How many there are.
    pub count: u32,
    /// Their bytes.
    pub buf: Vec<u8>,
}

impl RecBuffer {
    /// A buffer without records.
    pub fn new(db: DbId) -> Self {
        Self {
            db,
            ..Self::default()
        }
    }

    /// The same, with room for records of so many bytes.
    pub fn with_room(db: DbId, bytes: usize) -> Self {
        Self {
            buf: Vec::with_capacity(bytes),
            ..Self::new(db)
        }
    }

    /// Appends a record.
    pub fn push(&mut self, reqid: ReqId, header: Option<RecordHeader>, key: &[u8], data: &[u8]) {
        Record {
            reqid,
            header,
            key,
            data,
        }
        .encode(&mut self.buf);
        self.count += 1;
    }

    /// Takes all records out; their room stays.
    pub fn clear(&mut self) {
        self.count = 0;
        self.buf.clear();
    }

    /// Its size on the wire, in bytes.
    pub fn size(&self) -> usize {
        8 + self.buf.len()
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records, data as it came. The last item is an error if count and bytes disagree.
    pub fn records(&self) -> Records<'_> {
        Records::new(self.count, &self.buf)
    }

    /// The records with their headers taken off the data.
    pub fn records_with_header(&self) -> impl Iterator<Item = Result<Record<'_>, DecodeError>> {
        self.records()
            .map(|record| record.and_then(Record::with_header))
    }

    /// Goes through all records once.
    ///
    /// # Errors
    /// The first that a record or the count gives.
    pub fn check(&self) -> Result<(), DecodeError> {
        self.records().try_for_each(|record| record.map(drop))
    }
}

impl Encode for RecBuffer {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.size());
        self.db.encode(out);
        self.count.encode(out);
        out.extend_from_slice(&self.buf);
    }
}

impl Decode for RecBuffer {
    const MIN_SIZE: usize = 8;
    const FIXED: bool = false;

    /// Takes everything that is left, and checks every record in it.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let RecBufferRef { db, count, buf } = RecBufferRef::decode(r)?;
        Ok(Self {
            db,
            count,
            buf: buf.to_vec(),
        })
    }
}

/// A [`RecBuffer`], borrowed from what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecBufferRef<'a> {
    /// The records' database.
    pub db: DbId,
    /// How many there are.
    pub count: u32,
    /// Their bytes.
    buf: &'a [u8],
}

impl<'a> RecBufferRef<'a> {
    /// Reads a buffer that fills `bytes`, and checks every record in it.
    ///
    /// # Errors
    /// The first that a record or the count gives.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(bytes))
    }

    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let db = r.at("RecBuffer", "db").get()?;
        let count = r.at("RecBuffer", "count").get()?;
        let buf = r.at("RecBuffer", "records").rest();
        Records::new(count, buf).try_for_each(|record| record.map(drop))?;
        Ok(Self { db, count, buf })
    }

    /// Its size on the wire, in bytes.
    pub fn size(&self) -> usize {
        8 + self.buf.len()
    }

    /// The records, data as it came.
    pub fn records(&self) -> Records<'a> {
        Records::new(self.count, self.buf)
    }

    /// The records with their headers taken off the data. The last item is an error if one has none.
    pub fn records_with_header(&self) -> impl Iterator<Item = Result<Record<'a>, DecodeError>> {
        Records::new(self.count, self.buf).map(|record| record.and_then(Record::with_header))
    }
}

/// The records of a buffer. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    left: u32,
    reader: Reader<'a>,
}

impl<'a> Records<'a> {
    /// `count` records that fill `bytes`.
    pub fn new(count: u32, bytes: &'a [u8]) -> Self {
        let mut reader = Reader::new(bytes);
        reader.at("RecBuffer", "records");
        Self {
            left: count,
            reader,
        }
    }

    fn stop(&mut self) {
        self.left = 0;
        self.reader.rest();
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let end = self.reader.at("RecBuffer", "records").finish();
            self.stop();
            return end.err().map(Err);
        }
        self.left -= 1;
        let record = Record::decode(&mut self.reader);
        if record.is_err() {
            self.stop();
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer() -> RecBuffer {
        let mut buffer = RecBuffer::new(DbId(7));
        let header = RecordHeader {
            rsn: 3,
            dmaster: Pnn(1),
            ..RecordHeader::default()
        };
        buffer.push(ReqId(0), Some(header), b"key", b"value");
        buffer.push(ReqId(9), None, b"", b"");
        buffer
    }

    #[test]
    fn records_come_back() {
        let buffer = buffer();
        let copy = RecBuffer::from_bytes(&buffer.to_bytes()).unwrap();
        assert_eq!(copy, buffer);
        let records: Vec<_> = copy.records().collect::<Result<_, _>>().unwrap();
        let first = records[0].with_header().unwrap();
        assert_eq!(
            (first.header.unwrap().rsn, first.key, first.data),
            (3, &b"key"[..], &b"value"[..])
        );
        assert_eq!((records[1].reqid, records[1].size()), (ReqId(9), 16));
        assert!(records[1].with_header().is_err());
    }

    #[test]
    fn a_wrong_count_is_an_error_either_way() {
        for count in [0, 1, 3, u32::MAX] {
            let lying = RecBuffer { count, ..buffer() };
            assert!(RecBuffer::from_bytes(&lying.to_bytes()).is_err(), "{count}");
            assert_eq!(lying.records().filter(Result::is_err).count(), 1, "{count}");
        }
    }

    #[test]
    fn lengths_that_disagree_are_errors() {
        let good = buffer().to_bytes();
        for (at, value) in [
            (8, 0u32),
            (8, 15),
            (8, u32::MAX),
            (16, 4),
            (16, u32::MAX),
            (20, 0),
        ] {
            let mut bad = good.clone();
            bad[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            assert!(RecBuffer::from_bytes(&bad).is_err(), "{value} at {at}");
        }
    }
}

//! The files that `ctdb backupdb` writes and `ctdb restoredb` and `dumpdbbackup` read.
//!
//! ```text
//! file:    0 version u64  8 timestamp i64  16 flags u64  24 nbuf u64  32 nrec u64  40 name, 64 bytes
//!          104 buffers
//! buffer:  0 db u32  4 count u32  8 length u64  16 records
//! ```
//!
//! The records are those of a [`RecBuffer`], headers and all. C fills a buffer until it is longer
//! than 100,000 bytes; it goes on in the next. Without padding anywhere the file ends with the last
//! buffer; a file that was longer before keeps its old end, so what is behind is ignored
//! (control_backupdb in ctdb.c, 4.17.12).

use crate::DbId;
use crate::coding::{Decode, DecodeError, Encode, Reader, put_pad, wire_struct};
use crate::types::{DbFlags, RecBuffer, Records};

/// The version that is written and read.
pub const VERSION: u64 = 3;
/// Size of the header, in bytes.
pub const HEADER_SIZE: usize = 104;
/// Size of what stands in front of a buffer's records, in bytes.
pub const BUFFER_HEAD_SIZE: usize = 16;
/// C begins a new buffer once one is at least this long, in bytes.
pub const BUFFER_LIMIT: usize = 100_000;
/// The longest buffer that we accept, in bytes: one record can be as long as a packet.
pub const MAX_BUFFER: u64 = crate::packet::MAX_PACKET as u64;

/// A database's name in 64 bytes, the last of which is NUL.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BackupName(pub String);

/// Its size, in bytes.
const NAME_SIZE: usize = 64;

impl Encode for BackupName {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(self.0.bytes().take_while(|&b| b != 0).take(NAME_SIZE - 1));
        put_pad(out, start + NAME_SIZE - out.len());
    }
}

impl Decode for BackupName {
    const MIN_SIZE: usize = NAME_SIZE;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = r.take(NAME_SIZE)?;
        r.text(bytes).map(Self)
    }
}

wire_struct! {
    /// What a backup file begins with: 104 bytes.
    #[derive(Eq)]
    pub struct BackupHeader {
        /// [`VERSION`].
        pub version: u64,
        /// When it was made, in seconds since 1970.
        pub timestamp: i64,
        /// The database's [`DbFlags`].
        pub flags: u64,
        /// How many buffers there are.
        pub nbuf: u64,
        /// How many records are in all of them.
        pub nrec: u64,
        /// The database's name.
        pub name: BackupName,
    }

    /// What stands in front of a buffer's records: 16 bytes.
    #[derive(Copy, Eq)]
    pub struct BackupBuffer {
        /// The database.
        pub db: DbId,
        /// How many records there are.
        pub count: u32,
        /// The length of the records, in bytes.
        pub length: u64,
    }
}

impl BackupHeader {
    /// Reads the header, and makes sure that it is one.
    ///
    /// # Errors
    /// If there are fewer than 104 bytes, it is of another version, or the name does not end.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.at("BackupHeader", "version");
        match r.clone().u64()? {
            VERSION => r.get(),
            version => Err(r.invalid("3", version)),
        }
    }

    /// What kind of database it was: C looks at the lowest byte.
    pub fn db_flags(&self) -> DbFlags {
        DbFlags::from_bits_retain(
            self.flags.to_ne_bytes()[if cfg!(target_endian = "big") { 7 } else { 0 }],
        )
    }
}

impl BackupBuffer {
    /// Reads a buffer's head, and makes sure that its length can be.
    ///
    /// # Errors
    /// If there are fewer than 16 bytes, or it speaks of more than [`MAX_BUFFER`], or of more
    /// records than such a length can hold.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let head: Self = r.get()?;
        if head.length > MAX_BUFFER {
            return Err(r.invalid("at most 1 GiB", head.length));
        }
        if u64::from(head.count) * 16 > head.length {
            r.at("BackupBuffer", "count");
            return Err(r.invalid("records of at least 16 bytes", head.count));
        }
        Ok(head)
    }
}

/// Appends a buffer to a file.
pub fn put_buffer(out: &mut Vec<u8>, buffer: &RecBuffer) {
    let head = BackupBuffer {
        db: buffer.db,
        count: buffer.count,
        length: buffer.buf.len() as u64,
    };
    head.encode(out);
    out.extend_from_slice(&buffer.buf);
}

/// A whole file, borrowed.
#[derive(Debug, Clone)]
pub struct Backup<'a> {
    /// What it says of itself.
    pub header: BackupHeader,
    buffers: &'a [u8],
}

impl<'a> Backup<'a> {
    /// Reads the header; the buffers are read when they are asked for.
    ///
    /// # Errors
    /// Those of [`BackupHeader::read`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let header = BackupHeader::read(bytes)?;
        let buffers = bytes.get(HEADER_SIZE..).unwrap_or_default();
        Ok(Self { header, buffers })
    }

    /// Calls `each` with every buffer's head and records, in order.
    ///
    /// # Errors
    /// If the bytes do not hold as many buffers as the header says, or what `each` returns.
    pub fn each_buffer<E: From<DecodeError>>(
        &self,
        mut each: impl FnMut(BackupBuffer, Records<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut r = Reader::new(self.buffers);
        for _ in 0..self.header.nbuf {
            let head = BackupBuffer::read(r.at("BackupBuffer", "db").take(BUFFER_HEAD_SIZE)?)?;
            let length = usize::try_from(head.length).unwrap_or(usize::MAX);
            let records = r.at("BackupBuffer", "records").take(length)?;
            each(head, Records::new(head.count, records))?;
        }
        Ok(())
    }

    /// Goes through all records once, and counts them.
    ///
    /// # Errors
    /// The first that a buffer or a record gives, or if there are not as many records as the
    /// header says.
    pub fn check(&self) -> Result<u64, DecodeError> {
        let mut found = 0;
        self.each_buffer(|_, mut records| {
            records.try_for_each(|record| record.map(|_| found += 1))
        })?;
        if found == self.header.nrec {
            return Ok(found);
        }
        let mut r = Reader::new(&[]);
        r.at("BackupHeader", "nrec");
        Err(r.invalid("the number of records in the buffers", self.header.nrec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReqId;
    use crate::types::RecordHeader;

    fn file() -> Vec<u8> {
        let header = BackupHeader {
            version: VERSION,
            timestamp: 1_700_000_000,
            flags: 1,
            nbuf: 2,
            nrec: 3,
            name: BackupName("secrets.tdb".into()),
        };
        let mut out = header.to_bytes();
        for keys in [&["a", "b"][..], &["c"]] {
            let mut buffer = RecBuffer::new(DbId(7));
            for key in keys {
                buffer.push(
                    ReqId(0),
                    Some(RecordHeader::default()),
                    key.as_bytes(),
                    b"data",
                );
            }
            put_buffer(&mut out, &buffer);
        }
        out
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = file();
        let backup = Backup::new(&bytes).unwrap();
        assert_eq!(backup.header.to_bytes(), bytes[..HEADER_SIZE]);
        assert_eq!(backup.header.db_flags(), DbFlags::PERSISTENT);
        assert_eq!(backup.check(), Ok(3));
    }

    #[test]
    fn a_file_that_is_cut_or_lies_is_an_error() {
        let good = file();
        for length in 0..good.len() {
            let cut = Backup::new(&good[..length]).and_then(|backup| backup.check());
            assert!(cut.is_err(), "{length}");
        }
        for (at, value) in [
            (0, 2),
            (24, 9),
            (24, u64::MAX),
            (32, 2),
            (112, u64::MAX),
            (112, 9),
        ] {
            let mut bad = good.clone();
            bad[at..at + 8].copy_from_slice(&value.to_ne_bytes());
            let read = Backup::new(&bad).and_then(|backup| backup.check());
            assert!(read.is_err(), "{value} at {at}");
        }
    }
}

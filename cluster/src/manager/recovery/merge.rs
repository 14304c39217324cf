//! The merged copy of one database: of all nodes' copies of a record the newest.
//!
//! For a volatile database the copy with the highest RSN wins. Where two RSNs are equal, the copy
//! of a node that is itself the data master of it wins, since only that one's clients may write;
//! then a copy whose data master is not the leader, since every recovery makes the leader data
//! master of all (`ctdb_recovery_helper.c`, 4.17.12, has the last of these rules alone).
//!
//! What goes back to the nodes has the leader as data master and the flag MIGRATED_WITH_DATA;
//! records without data are left out, and so deleted everywhere. The leader's own daemon adds one
//! to the RSN when it stores a record that it is data master of, so its copy ends strictly newer
//! than all others. Records of a persistent database go back as they are.

use core::hash::BuildHasherDefault;
use std::hash::DefaultHasher;

use indexmap::IndexMap;
use indexmap::map::IntoIter;

use wire::coding::{DecodeError, Encode};
use wire::types::{RecBuffer, RecBufferRef, Record, RecordFlags, RecordHeader};
use wire::{DbId, Pnn, ReqId};

/// By key, in the order of arrival: neither a hash's order nor a random seed shows.
type Copies = IndexMap<Box<[u8]>, Copy, BuildHasherDefault<DefaultHasher>>;

/// Compares copies of one record; the greater wins.
type Rank = (u64, bool, bool);

#[derive(Debug)]
struct Copy {
    rank: Rank,
    header: RecordHeader,
    data: Box<[u8]>,
}

/// The newest copies that have arrived.
#[derive(Debug)]
pub(super) struct Merge {
    db: DbId,
    leader: Pnn,
    persistent: bool,
    copies: Copies,
    /// Which of them comes next, if a node has its records in the same order as the one before it.
    next: usize,
}

impl Merge {
    pub(super) fn new(db: DbId, leader: Pnn, persistent: bool) -> Self {
        Self {
            db,
            leader,
            persistent,
            copies: Copies::default(),
            next: 0,
        }
    }

    /// Adds the records that `source` sent. Nothing is added if one of them is not whole.
    pub(super) fn add(
        &mut self,
        source: Pnn,
        records: &RecBufferRef<'_>,
    ) -> Result<(), DecodeError> {
        records
            .records_with_header()
            .try_for_each(|record| record.map(drop))?;
        for record in records.records_with_header() {
            self.add_record(source, &record?);
        }
        Ok(())
    }

    fn add_record(&mut self, source: Pnn, record: &Record<'_>) {
        let Some(header) = record.header else { return };
        let rank = (
            header.rsn,
            header.dmaster == source,
            header.dmaster != self.leader,
        );
        let copy = || Copy {
            rank,
            header,
            data: record.data.into(),
        };
        let place = match self.find(record.key) {
            None => self.copies.insert_full(record.key.into(), copy()).0,
            Some(place) => {
                if self.copies[place].rank < rank {
                    self.copies[place] = copy();
                }
                place
            }
        };
        self.next = place + 1;
    }

    /// Where the record is. The last recovery gave all nodes the same in the same order, so most are where the next one is
    /// looked for, and memory is gone through from one end to the other.
    fn find(&self, key: &[u8]) -> Option<usize> {
        match self.copies.get_index(self.next) {
            Some((next, _)) if **next == *key => Some(self.next),
            _ => self.copies.get_index_of(key),
        }
    }

    /// The records to send back, in buffers that end with the record that exceeds `limit` bytes.
    pub(super) fn into_buffers(self, limit: usize) -> Buffers {
        let Self {
            db,
            leader,
            persistent,
            copies,
            next: _,
        } = self;
        Buffers {
            db,
            leader,
            persistent,
            limit,
            copies: copies.into_iter(),
        }
    }
}

/// The buffers; each record's memory is given back when it is in one.
#[derive(Debug)]
pub(super) struct Buffers {
    db: DbId,
    leader: Pnn,
    persistent: bool,
    limit: usize,
    copies: IntoIter<Box<[u8]>, Copy>,
}

impl Buffers {
    fn header(&self, mut header: RecordHeader) -> RecordHeader {
        if !self.persistent {
            header.dmaster = self.leader;
            header.flags |= RecordFlags::MIGRATED_WITH_DATA;
        }
        header
    }
}

impl Iterator for Buffers {
    /// How many records, and the message that carries them.
    type Item = (u32, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut buffer = RecBuffer::new(self.db);
        while let Some((key, copy)) = self.copies.next() {
            if !copy.data.is_empty() {
                let header = self.header(copy.header);
                buffer.push(ReqId(0), Some(header), &key, &copy.data);
            }
            if !buffer.is_empty() && buffer.size() > self.limit {
                break;
            }
        }
        (!buffer.is_empty()).then(|| (buffer.count, buffer.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::coding::Decode;

    const DB: DbId = DbId(7);
    const LEADER: Pnn = Pnn(0);

    fn header(rsn: u64, dmaster: u32) -> RecordHeader {
        RecordHeader {
            rsn,
            dmaster: Pnn(dmaster),
            ..RecordHeader::default()
        }
    }

    fn copy(key: &str, rsn: u64, dmaster: u32, data: &str) -> RecBuffer {
        let mut buffer = RecBuffer::new(DB);
        buffer.push(
            ReqId(0),
            Some(header(rsn, dmaster)),
            key.as_bytes(),
            data.as_bytes(),
        );
        buffer
    }

    fn add(merge: &mut Merge, source: u32, records: &RecBuffer) -> Result<(), DecodeError> {
        let bytes = records.to_bytes();
        merge.add(Pnn(source), &RecBufferRef::from_bytes(&bytes).unwrap())
    }

    fn merged(
        persistent: bool,
        copies: &[(u32, RecBuffer)],
    ) -> Vec<(String, RecordHeader, String)> {
        let mut merge = Merge::new(DB, LEADER, persistent);
        for (source, buffer) in copies {
            add(&mut merge, *source, buffer).unwrap();
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut all = Vec::new();
        for (count, bytes) in merge.into_buffers(1000) {
            let buffer = RecBuffer::from_bytes(&bytes).unwrap();
            assert_eq!(buffer.count, count);
            for record in buffer.records_with_header() {
                let record = record.unwrap();
                all.push((text(record.key), record.header.unwrap(), text(record.data)));
            }
        }
        all
    }

    #[test]
    fn the_highest_rsn_wins_and_the_leader_masters_it() {
        let all = merged(
            false,
            &[(0, copy("k", 5, 1, "old")), (1, copy("k", 6, 1, "new"))],
        );
        let mut expected = header(6, 0);
        expected.flags = RecordFlags::MIGRATED_WITH_DATA;
        assert_eq!(all, [("k".to_owned(), expected, "new".to_owned())]);
    }

    #[test]
    fn of_equal_rsns_the_data_masters_copy_wins() {
        let stale = (1, copy("k", 5, 2, "stale"));
        let master = (2, copy("k", 5, 2, "master"));
        for copies in [[stale.clone(), master.clone()], [master, stale]] {
            assert_eq!(merged(false, &copies)[0].2, "master");
        }
        let pushed = (1, copy("k", 5, 0, "pushed by the leader"));
        let handed = (2, copy("k", 5, 1, "handed on since"));
        for copies in [[pushed.clone(), handed.clone()], [handed, pushed]] {
            assert_eq!(merged(false, &copies)[0].2, "handed on since");
        }
    }

    #[test]
    fn deleted_records_stay_deleted() {
        let all = merged(
            false,
            &[(0, copy("k", 5, 1, "value")), (1, copy("k", 6, 1, ""))],
        );
        assert!(all.is_empty());
    }

    #[test]
    fn persistent_records_go_back_as_they_are() {
        let all = merged(
            true,
            &[(1, copy("k", 5, 2, "v")), (1, copy("gone", 5, 2, ""))],
        );
        assert_eq!(all, [("k".to_owned(), header(5, 2), "v".to_owned())]);
    }

    #[test]
    fn a_record_without_a_header_spoils_its_buffer() {
        let mut buffer = copy("k", 5, 1, "v");
        buffer.push(ReqId(0), None, b"short", b"no header");
        let mut merge = Merge::new(DB, LEADER, false);
        assert!(add(&mut merge, 1, &buffer).is_err());
        assert_eq!(merge.into_buffers(1000).count(), 0);
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            copies in proptest::collection::vec((0..3u32, 0..4u64, 0..3u32, "[a-c]"), 0..12)
        ) {
            // The RSN determines the content, as they do in a sane cluster.
            let buffers: Vec<_> = copies
                .into_iter()
                .map(|(source, rsn, dmaster, key)| {
                    let data = format!("{key}{rsn}");
                    (source, copy(&key, rsn, dmaster, &data))
                })
                .collect();
            let mut reversed = buffers.clone();
            reversed.reverse();
            let sorted = |copies| {
                let mut all = merged(false, copies);
                all.sort_by(|a, b| a.0.cmp(&b.0));
                all
            };
            prop_assert_eq!(sorted(&buffers), sorted(&reversed));
        }

        #[test]
        fn buffers_hold_everything_once(count in 0..200usize, limit in 1..500usize) {
            let mut merge = Merge::new(DB, LEADER, false);
            for n in 0..count {
                add(&mut merge, 1, &copy(&format!("key{n:04}"), 1, 1, "value")).unwrap();
            }
            let total: u32 = merge.into_buffers(limit).map(|(n, _)| n).sum();
            prop_assert_eq!(total as usize, count);
        }
    }
}

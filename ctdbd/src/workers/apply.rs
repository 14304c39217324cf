//! A commit: a marshall buffer applied in one transaction, every record or none.

use std::collections::BTreeMap;

use tdb::{StoreMode, Tdb};
use wire::DbId;
use wire::coding::{Decode, DecodeError};
use wire::types::{DbFlags, RecBuffer, RecordHeader};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// libtdb failed.
    #[error(transparent)]
    Tdb(#[from] tdb::Error),
    /// libtdb failed, and does not say that it is for want of space.
    #[error("{0}: no space left on the file system")]
    Full(tdb::Error),
    /// The buffer makes no sense.
    #[error("cannot read the records of a commit: {0}")]
    Decode(#[from] DecodeError),
    /// The database has something newer; upstream's words (`ctdb_persistent_store`, 4.17.12).
    #[error("existing header for db_id {db} has larger RSN {old} than new RSN {new}")]
    Older {
        /// Of which database.
        db: DbId,
        /// What is there.
        old: u64,
        /// What came.
        new: u64,
    },
    /// Another node has written the same under the same number. After a network failure two clients may both believe that they
    /// have the lock, and what both have counted is not to count once. (C takes it for the same commit.)
    #[error("existing header for db_id {db} with RSN {rsn} is of another node")]
    Another {
        /// Of which database.
        db: DbId,
        /// What both have.
        rsn: u64,
    },
}

/// What is to be stored: header and value by key.
pub type Plan<'a> = BTreeMap<&'a [u8], &'a [u8]>;

/// Applies the records. All sequence numbers are checked before anything is written.
pub(super) fn apply(tdb: &Tdb, records: &[u8], kind: DbFlags) -> Result<(), ApplyError> {
    let buffer = RecBuffer::from_bytes(records)?;
    tdb.begin()?;
    let written = plan(&buffer, kind, |key| Ok(tdb.fetch(key)?)).and_then(|plan| {
        let mut writes = plan.into_iter();
        Ok(writes.try_for_each(|(key, data)| tdb.store(key, data, StoreMode::Replace))?)
    });
    match written {
        Ok(()) => tdb.commit().map_err(|error| failed(tdb, error)),
        Err(error) => {
            tdb.cancel()?;
            Err(error)
        }
    }
}

fn failed(tdb: &Tdb, error: tdb::Error) -> ApplyError {
    match sys::dir::is_full(tdb.path()) {
        true => ApplyError::Full(error),
        false => ApplyError::Tdb(error),
    }
}

/// Decides what is to be stored, without storing anything. A key may come several times: each record is then compared
/// with the one before it. Of a volatile database, records that do not exist here are left out.
///
/// The same value under the same number is the same commit again, whose answer was lost. In a persistent database it must
/// be of the same node; in a replicated one the header does not tell, for there every recovery writes the leader into it.
///
/// # Errors
/// If something newer is there, if the buffer is none, or if `fetch` fails.
pub fn plan<'a>(
    buffer: &'a RecBuffer,
    kind: DbFlags,
    mut fetch: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, ApplyError>,
) -> Result<Plan<'a>, ApplyError> {
    let mut plan = Plan::new();
    for record in buffer.records() {
        let record = record?;
        let (header, value) = RecordHeader::split(record.data)?;
        let stored = match plan.get(record.key) {
            Some(planned) => planned.to_vec(),
            None => fetch(record.key)?.unwrap_or_default(),
        };
        if kind.is_volatile() && stored.is_empty() {
            continue;
        }
        let (existing, existing_value) = split(&stored);
        let old = existing.map_or(0, |existing| existing.rsn);
        if old >= header.rsn && existing_value != value {
            return Err(ApplyError::Older {
                db: buffer.db,
                old,
                new: header.rsn,
            });
        }
        let is_anothers = existing.is_some_and(|existing| existing.dmaster != header.dmaster);
        if old == header.rsn && is_anothers && kind.contains(DbFlags::PERSISTENT) {
            return Err(ApplyError::Another {
                db: buffer.db,
                rsn: old,
            });
        }
        plan.insert(record.key, record.data);
    }
    Ok(plan)
}

/// Header and value of what is stored; something without a header counts as a record never written.
fn split(stored: &[u8]) -> (Option<RecordHeader>, &[u8]) {
    RecordHeader::split(stored).map_or((None, &[]), |(header, value)| (Some(header), value))
}

#[cfg(test)]
mod tests {
    use wire::coding::Encode;
    use wire::{Pnn, ReqId};

    use super::*;

    fn header(rsn: u64) -> RecordHeader {
        RecordHeader {
            rsn,
            ..RecordHeader::default()
        }
    }

    fn buffer(records: &[(&str, u64, &str)]) -> RecBuffer {
        let mut buffer = RecBuffer::new(DbId(7));
        for (key, rsn, value) in records {
            buffer.push(
                ReqId(0),
                Some(header(*rsn)),
                key.as_bytes(),
                value.as_bytes(),
            );
        }
        buffer
    }

    /// The keys planned when the database has `a` with sequence number 5 and value "old".
    fn planned(records: &[(&str, u64, &str)], kind: DbFlags) -> Result<Vec<String>, u64> {
        let stored = [header(5).to_bytes(), b"old".to_vec()].concat();
        let fetch = |key: &[u8]| Ok((key == b"a").then(|| stored.clone()));
        match plan(&buffer(records), kind, fetch) {
            Ok(plan) => Ok(plan
                .keys()
                .map(|key| String::from_utf8_lossy(key).into())
                .collect()),
            Err(ApplyError::Older { old, .. }) => Err(old),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn newer_is_written_and_older_refuses_everything() {
        assert_eq!(
            planned(&[("a", 6, "new"), ("b", 1, "x")], DbFlags::PERSISTENT),
            Ok(vec!["a".into(), "b".into()])
        );
        assert_eq!(
            planned(&[("b", 1, "x"), ("a", 5, "new")], DbFlags::PERSISTENT),
            Err(5)
        );
    }

    #[test]
    fn the_same_value_may_come_again_with_any_number() {
        assert_eq!(
            planned(&[("a", 5, "old")], DbFlags::PERSISTENT),
            Ok(vec!["a".into()])
        );
        assert_eq!(
            planned(&[("a", 2, "old")], DbFlags::PERSISTENT),
            Ok(vec!["a".into()])
        );
    }

    #[test]
    fn the_same_of_another_node_is_no_repetition_where_the_header_tells() {
        let of = |pnn: u32| RecordHeader {
            dmaster: Pnn(pnn),
            ..header(5)
        };
        let stored = [of(1).to_bytes(), b"old".to_vec()].concat();
        for (pnn, kind, accepted) in [
            (1, DbFlags::PERSISTENT, true),
            (2, DbFlags::PERSISTENT, false),
            (2, DbFlags::REPLICATED, true),
            (2, DbFlags::empty(), true),
        ] {
            let mut buffer = RecBuffer::new(DbId(7));
            buffer.push(ReqId(0), Some(of(pnn)), b"a", b"old");
            let result = plan(&buffer, kind, |_| Ok(Some(stored.clone())));
            assert_eq!(result.is_ok(), accepted, "{pnn} {kind:?} {result:?}");
        }
    }

    #[test]
    fn an_absent_record_counts_as_number_zero() {
        assert_eq!(planned(&[("b", 0, "x")], DbFlags::PERSISTENT), Err(0));
        assert_eq!(
            planned(&[("b", 0, "")], DbFlags::PERSISTENT),
            Ok(vec!["b".into()])
        );
    }

    #[test]
    fn a_key_that_comes_twice_is_compared_with_itself() {
        assert_eq!(
            planned(&[("b", 1, "x"), ("b", 2, "y")], DbFlags::PERSISTENT),
            Ok(vec!["b".into()])
        );
        assert_eq!(
            planned(&[("b", 2, "x"), ("b", 1, "y")], DbFlags::PERSISTENT),
            Err(2)
        );
    }

    #[test]
    fn a_volatile_record_that_is_not_here_is_left_out() {
        assert_eq!(
            planned(&[("a", 6, "new"), ("b", 1, "x")], DbFlags::empty()),
            Ok(vec!["a".into()])
        );
    }

    #[test]
    fn a_value_without_a_header_is_refused() {
        let mut buffer = RecBuffer::new(DbId(7));
        buffer.push(ReqId(0), None, b"a", b"short");
        let result = plan(&buffer, DbFlags::PERSISTENT, |_| Ok(None));
        assert!(matches!(result, Err(ApplyError::Decode(_))));
    }
}

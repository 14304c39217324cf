//! A commit: a marshall buffer applied in one transaction, every record or none.

use std::collections::BTreeMap;

use tdb::{StoreMode, Tdb};
use wire::DbId;
use wire::coding::{Decode, DecodeError};
use wire::types::{RecBuffer, RecordHeader};

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
}

/// What is to be stored: header and value by key.
pub type Plan<'a> = BTreeMap<&'a [u8], &'a [u8]>;

/// Applies the records. All sequence numbers are checked before anything is written.
pub(super) fn apply(tdb: &Tdb, records: &[u8], replace_only: bool) -> Result<(), ApplyError> {
    let buffer = RecBuffer::from_bytes(records)?;
    tdb.begin()?;
    let written = plan(&buffer, replace_only, |key| Ok(tdb.fetch(key)?)).and_then(|plan| {
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
/// with the one before it.
///
/// # Errors
/// If something newer is there, if the buffer is none, or if `fetch` fails.
pub fn plan<'a>(
    buffer: &'a RecBuffer,
    replace_only: bool,
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
        if replace_only && stored.is_empty() {
            continue;
        }
        let (old, old_value) = existing(&stored);
        if old >= header.rsn && old_value != value {
            return Err(ApplyError::Older {
                db: buffer.db,
                old,
                new: header.rsn,
            });
        }
        plan.insert(record.key, record.data);
    }
    Ok(plan)
}

/// Sequence number and value of what is stored; something without a header counts as a record never written.
fn existing(stored: &[u8]) -> (u64, &[u8]) {
    RecordHeader::split(stored).map_or((0, &[]), |(header, value)| (header.rsn, value))
}

#[cfg(test)]
mod tests {
    use wire::ReqId;
    use wire::coding::Encode;

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
    fn planned(records: &[(&str, u64, &str)], replace_only: bool) -> Result<Vec<String>, u64> {
        let stored = [header(5).to_bytes(), b"old".to_vec()].concat();
        let fetch = |key: &[u8]| Ok((key == b"a").then(|| stored.clone()));
        match plan(&buffer(records), replace_only, fetch) {
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
            planned(&[("a", 6, "new"), ("b", 1, "x")], false),
            Ok(vec!["a".into(), "b".into()])
        );
        assert_eq!(planned(&[("b", 1, "x"), ("a", 5, "new")], false), Err(5));
    }

    #[test]
    fn the_same_value_may_come_again_with_any_number() {
        assert_eq!(planned(&[("a", 5, "old")], false), Ok(vec!["a".into()]));
        assert_eq!(planned(&[("a", 2, "old")], false), Ok(vec!["a".into()]));
    }

    #[test]
    fn an_absent_record_counts_as_number_zero() {
        assert_eq!(planned(&[("b", 0, "x")], false), Err(0));
        assert_eq!(planned(&[("b", 0, "")], false), Ok(vec!["b".into()]));
    }

    #[test]
    fn a_key_that_comes_twice_is_compared_with_itself() {
        assert_eq!(
            planned(&[("b", 1, "x"), ("b", 2, "y")], false),
            Ok(vec!["b".into()])
        );
        assert_eq!(planned(&[("b", 2, "x"), ("b", 1, "y")], false), Err(2));
    }

    #[test]
    fn replace_only_leaves_out_what_is_not_here() {
        assert_eq!(
            planned(&[("a", 6, "new"), ("b", 1, "x")], true),
            Ok(vec!["a".into()])
        );
    }

    #[test]
    fn a_value_without_a_header_is_refused() {
        let mut buffer = RecBuffer::new(DbId(7));
        buffer.push(ReqId(0), None, b"a", b"short");
        let result = plan(&buffer, false, |_| Ok(None));
        assert!(matches!(result, Err(ApplyError::Decode(_))));
    }
}

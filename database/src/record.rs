//! How a record is read and written here: the header of a key that nobody has stored yet, and the rules that decide
//! whether a record without a value is kept, with which sequence number, and who will clean it up.

use wire::Pnn;
use wire::types::{RecordFlags, RecordHeader};

use crate::database::Database;
use crate::engine::Ctx;
use crate::store::{StoreError, Stored};

/// What is to become of a record that is being written to a volatile database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Store it.
    Keep {
        /// Add one to the sequence number: this node is the data master.
        bump_rsn: bool,
        /// It has no value: have the vacuuming look at it.
        schedule: bool,
    },
    /// It was never more than a place holder: remove it.
    Drop,
}

/// The rule for volatile databases (`ctdb_ltdb_store_server`, 4.17.12).
///
/// A record with a value is kept. An empty one is kept where somebody still needs to find it: while it is lent out, when
/// it was only just made here, when it had a value once, and on its location master and data master; except that the
/// location master drops it when it took it over in order to vacuum it.
pub(crate) fn disposition(
    me: Pnn,
    lmaster: Pnn,
    header: &RecordHeader,
    empty: bool,
) -> Disposition {
    let flags = header.flags;
    let automatic =
        empty && !flags.intersects(RecordFlags::RO_FLAGS) && flags.contains(RecordFlags::AUTOMATIC);
    let vacuumed = flags.contains(RecordFlags::VACUUM_MIGRATED) && me == header.dmaster;
    let keep = !empty
        || flags.intersects(
            RecordFlags::RO_FLAGS | RecordFlags::AUTOMATIC | RecordFlags::MIGRATED_WITH_DATA,
        )
        || if me == lmaster {
            !vacuumed
        } else {
            me == header.dmaster
        };
    if !keep {
        return Disposition::Drop;
    }
    let bump_rsn = me == header.dmaster && !flags.intersects(RecordFlags::RO_FLAGS);
    Disposition::Keep {
        bump_rsn,
        schedule: automatic || (bump_rsn && empty),
    }
}

/// Reads a record. A key without one gets an initial header, whose data master is the location master; where that is
/// this node (and in a persistent database) it is stored, because clients expect to find it after a migration.
pub(crate) fn fetch(
    ctx: &mut Ctx<'_>,
    db: &mut Database,
    key: &[u8],
) -> Result<Stored, StoreError> {
    if let Some(stored) = ctx.store.fetch(db.id, key)? {
        return Ok(stored);
    }
    let mut header = RecordHeader {
        rsn: 0,
        dmaster: ctx.view.lmaster(ctx.me, key),
        flags: RecordFlags::AUTOMATIC,
        ..RecordHeader::default()
    };
    if db.is_persistent() || header.dmaster == ctx.me {
        write(ctx, db, key, &mut header, &[])?;
    }
    Ok(Stored {
        header,
        data: Vec::new(),
    })
}

/// Writes a record by the rules of its kind of database; `header` becomes what was stored.
pub(crate) fn write(
    ctx: &mut Ctx<'_>,
    db: &mut Database,
    key: &[u8],
    header: &mut RecordHeader,
    data: &[u8],
) -> Result<(), StoreError> {
    let id = db.id;
    if !settle(ctx, db, key, header, data) {
        return ctx.store.delete(id, key);
    }
    ctx.store.store(id, key, header, data)
}

/// Makes of a header what is to be stored by the rules of its kind of database, and notes whether the record is to be
/// vacuumed. False: the record is to be removed.
pub(crate) fn settle(
    ctx: &Ctx<'_>,
    db: &mut Database,
    key: &[u8],
    header: &mut RecordHeader,
    data: &[u8],
) -> bool {
    if !db.is_volatile() {
        return true;
    }
    let lmaster = ctx.view.lmaster(ctx.me, key);
    let disposition = disposition(ctx.me, lmaster, header, data.is_empty());
    // neither flag means anything once the decision is made, and clients would keep them
    header
        .flags
        .remove(RecordFlags::VACUUM_MIGRATED | RecordFlags::AUTOMATIC);
    let Disposition::Keep { bump_rsn, schedule } = disposition else {
        return false;
    };
    header.rsn = header.rsn.saturating_add(bump_rsn.into());
    if schedule {
        db.vacuum.schedule(key);
    } else {
        db.vacuum.forget(key);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Pnn = Pnn(0);
    const OTHER: Pnn = Pnn(1);

    fn header(dmaster: Pnn, flags: RecordFlags) -> RecordHeader {
        RecordHeader {
            rsn: 7,
            dmaster,
            flags,
            ..RecordHeader::default()
        }
    }

    #[test]
    fn a_value_is_always_kept_and_counted_only_by_its_data_master() {
        let none = RecordFlags::empty();
        let keep = |bump_rsn| Disposition::Keep {
            bump_rsn,
            schedule: false,
        };
        assert_eq!(disposition(ME, OTHER, &header(ME, none), false), keep(true));
        assert_eq!(
            disposition(ME, ME, &header(OTHER, none), false),
            keep(false)
        );
    }

    #[test]
    fn an_empty_record_that_moves_on_leaves_nothing_behind() {
        let gone = disposition(ME, OTHER, &header(OTHER, RecordFlags::empty()), true);
        assert_eq!(gone, Disposition::Drop);
    }

    #[test]
    fn a_record_that_had_a_value_is_still_found_after_it_moved() {
        let kept = disposition(
            ME,
            OTHER,
            &header(OTHER, RecordFlags::MIGRATED_WITH_DATA),
            true,
        );
        assert_eq!(
            kept,
            Disposition::Keep {
                bump_rsn: false,
                schedule: false
            }
        );
    }

    #[test]
    fn the_lmaster_drops_what_it_took_over_to_vacuum() {
        let taken = header(ME, RecordFlags::VACUUM_MIGRATED);
        assert_eq!(disposition(ME, ME, &taken, true), Disposition::Drop);
        let plain = header(ME, RecordFlags::empty());
        assert_eq!(
            disposition(ME, ME, &plain, true),
            Disposition::Keep {
                bump_rsn: true,
                schedule: true
            }
        );
    }

    #[test]
    fn a_place_holder_is_kept_and_looked_at_later() {
        let kept = disposition(ME, OTHER, &header(OTHER, RecordFlags::AUTOMATIC), true);
        assert_eq!(
            kept,
            Disposition::Keep {
                bump_rsn: false,
                schedule: true
            }
        );
    }
}

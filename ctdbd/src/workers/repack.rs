//! Repacking: gathers the free space of a file, which deletions have left in many small pieces, into few large ones.
//!
//! libtdb's own `tdb_repack` writes the whole file anew in one transaction, in which nobody else can write (nor, with
//! mutexes, read), and which makes the file longer. Here records are moved one by one, under the locks that every store
//! takes: a record is removed and stored again. libtdb puts it into the smallest piece that fits, and its old place becomes
//! one with the free pieces beside it. A sweep over all records leaves few of the pieces; where sizes differ much, some
//! more sweeps do.
//!
//! libtdb stores a new record as the first of its chain. A traverse of somebody else that stands in a chain, at a record
//! before the one that is moved, would miss it. So while there is a traverse only the first record of a chain is moved,
//! which stays the first.

use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tdb::{StoreMode, Tdb};
use tracing::{debug, error, info};

/// How long records are moved without a pause. Who wants one of them waits for the moves of its chain at most.
const SLICE: Duration = Duration::from_millis(2);
/// Between two slices: others are to have the processor too.
const PAUSE: Duration = Duration::from_millis(3);
/// A file that so many sweeps do not tidy stays as it is.
const SWEEPS: u32 = 4;
/// How often a record is tried to be stored whose old place somebody has taken meanwhile, while the file cannot grow.
const TRIES: u32 = 500;

/// How many free pieces the file had, and whether records were moved because there were at least `limit`.
pub(super) fn repack(tdb: &Tdb, limit: u32) -> tdb::Result<(u64, bool)> {
    let found = tdb.free_pieces()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if found < limit {
        return Ok((found as u64, false));
    }
    let path = tdb.path().display();
    info!("Repacking {path} with {found} freelist entries");
    let mut free = found;
    for number in 0..SWEEPS {
        if !sweep(tdb)? {
            error!("{path} cannot be repacked: no space left on its file system");
            break;
        }
        let before = core::mem::replace(&mut free, tdb.free_pieces()?);
        debug!("{path} has {free} freelist entries after sweep {number}");
        // well below the limit, so that it is not reached again at once
        if free < limit.div_ceil(2) || free > before - before / 4 {
            break;
        }
    }
    Ok((found as u64, true))
}

/// Moves every record once. False: there is no space, and so no safety, to go on.
fn sweep(tdb: &Tdb) -> tdb::Result<bool> {
    let mut next = 0;
    while next < tdb.hash_size() {
        if sys::dir::is_full(tdb.path()) {
            return Ok(false);
        }
        let begun = Instant::now();
        while next < tdb.hash_size() && begun.elapsed() < SLICE {
            move_chain(tdb, next)?;
            next += 1;
        }
        sleep(PAUSE);
    }
    Ok(true)
}

/// Moves the records of a chain, unless somebody has locked it.
fn move_chain(tdb: &Tdb, chain: u32) -> tdb::Result<()> {
    let mut first = None;
    tdb.traverse_chain(chain, |key, _| {
        first = Some(key.to_vec());
        ControlFlow::Break(())
    })?;
    match first {
        Some(key) if tdb.try_lock_chain(&key)? => {
            let moved = move_locked(tdb, &key);
            tdb.unlock_chain(&key)?;
            moved
        }
        _ => Ok(()),
    }
}

/// Moves the records of the chain that this key belongs to; they keep their order.
fn move_locked(tdb: &Tdb, key: &[u8]) -> tdb::Result<()> {
    let mut records = Vec::new();
    tdb.traverse_key_chain(key, |key, value| {
        records.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    if records.len() > 1 && tdb.is_traversed_elsewhere()? {
        records.truncate(1);
    }
    for (key, value) in records.iter().rev() {
        tdb.delete(key)?;
        store_again(tdb, key, value)?;
    }
    Ok(())
}

/// There was space for the record a moment ago.
fn store_again(tdb: &Tdb, key: &[u8], value: &[u8]) -> tdb::Result<()> {
    for _ in 1..TRIES {
        if tdb.store(key, value, StoreMode::Replace).is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
    tdb.store(key, value, StoreMode::Replace)
        .inspect_err(|_| error!("{}: a record is lost", tdb.path().display()))
}

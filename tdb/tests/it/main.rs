//! The wrapper against the real libtdb, with a second process where locks matter.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests are tests, though clippy.toml's exception does not reach them"
)]

mod damage;
mod locks;
mod model;
mod peer;
mod records;
mod registry;
mod transactions;

use std::path::PathBuf;

use tdb::{Flags, OpenOptions, Tdb};
use tempfile::TempDir;

/// CTDB's volatile databases with `fcntl` locks (`tdb mutexes = false`).
const FCNTL: Flags = Flags::CTDB_VOLATILE.difference(Flags::MUTEX_LOCKING);

/// The kinds of databases that CTDB opens; mutexes only where the system has them.
fn kinds() -> Vec<Flags> {
    let mut kinds = vec![FCNTL, Flags::CTDB_PERSISTENT];
    if tdb::mutexes_supported() {
        kinds.push(Flags::CTDB_VOLATILE);
    }
    kinds
}

fn options(flags: Flags) -> OpenOptions {
    OpenOptions {
        hash_size: 101,
        flags,
        ..OpenOptions::default()
    }
}

/// A database in a directory of its own.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("test.tdb")
    }

    fn open(&self, flags: Flags) -> Tdb {
        Tdb::open(self.path(), &options(flags)).unwrap()
    }
}

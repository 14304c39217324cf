//! Bindings of the system libtdb.
//!
//! smbd opens the same files as the daemon, under the same `fcntl` locks and robust mutexes, so
//! the real libtdb is linked and nothing is imitated. `build.rs` generates the bindings from the
//! installed `tdb.h`; what that header leaves out is declared here. Use the `tdb` crate: it knows
//! which calls may meet which.

use std::ffi::{c_char, c_int, c_void};

pub use bindings::*;

mod bindings {
    #![expect(
        missing_docs,
        non_camel_case_types,
        reason = "generated from tdb.h, in its words"
    )]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// Receives one formatted line of libtdb: the sink itself, the `tdb_debug_level`, the text.
pub type SinkFn = unsafe extern "C" fn(sink: *mut c_void, level: c_int, text: *const c_char);

unsafe extern "C" {
    /// The `tdb_log_func` to give to libtdb (its own is variadic, which stable Rust cannot
    /// define). `log_private` must be null, or point to a [`SinkFn`] that is valid as long as the
    /// context: usually the first field of a `repr(C)` struct. `errno` is kept.
    pub fn tdb_sys_log(tdb: *mut tdb_context, level: tdb_debug_level, format: *const c_char, ...);

    /// Marks the transaction lock as held by another process on our behalf (exported by libtdb
    /// for CTDB, and absent from `tdb.h`).
    pub fn tdb_transaction_write_lock_mark(tdb: *mut tdb_context) -> c_int;

    /// Takes the mark of [`tdb_transaction_write_lock_mark`] away.
    pub fn tdb_transaction_write_lock_unmark(tdb: *mut tdb_context) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_one_we_know() {
        assert_eq!((TDB_REPLACE, TDB_INSERT, TDB_MODIFY), (1, 2, 3));
        assert_eq!(TDB_MUTEX_LOCKING, 4096);
        assert_eq!((TDB_SUCCESS, TDB_ERR_NESTING), (0, 11));
    }
}

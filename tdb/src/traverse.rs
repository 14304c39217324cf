//! Visiting all records, or those of one chain.

use std::{
    any::Any,
    ffi::{c_int, c_void},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use crate::{
    db::Tdb,
    error::Result,
    records::{bytes, data},
};

/// A traverse under way.
struct Visit<F> {
    visitor: F,
    panic: Option<Box<dyn Any + Send>>,
}

type Visitor = unsafe extern "C" fn(
    *mut tdb_sys::tdb_context,
    tdb_sys::TDB_DATA,
    tdb_sys::TDB_DATA,
    *mut c_void,
) -> c_int;

unsafe extern "C" fn visit_record<F>(
    _tdb: *mut tdb_sys::tdb_context,
    key: tdb_sys::TDB_DATA,
    value: tdb_sys::TDB_DATA,
    visit: *mut c_void,
) -> c_int
where
    F: FnMut(&[u8], &[u8]) -> ControlFlow<()>,
{
    // SAFETY: `Tdb::visit` passes a `Visit` of this type, which nobody else uses meanwhile.
    let visit = unsafe { &mut *visit.cast::<Visit<F>>() };
    // SAFETY: libtdb shows a private copy of the record, and frees it after the callback.
    let (key, value) = unsafe { (bytes(key), bytes(value)) };
    match catch_unwind(AssertUnwindSafe(|| (visit.visitor)(key, value))) {
        Ok(ControlFlow::Continue(())) => 0,
        Ok(ControlFlow::Break(())) => 1,
        Err(panic) => {
            visit.panic = Some(panic);
            1
        }
    }
}

impl Tdb {
    /// Shows every record to `visitor` until it breaks off, and gives the number shown. The
    /// visitor may change records, this one too; records that appear meanwhile may or may not be
    /// shown. Other processes can neither traverse for writing nor begin a transaction meanwhile.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt), [`Error::Io`](crate::Error::Io),
    /// [`Error::Lock`](crate::Error::Lock).
    pub fn traverse<F>(&self, visitor: F) -> Result<usize>
    where
        F: FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    {
        // SAFETY: `visit` keeps the context, the function and its argument together.
        self.visit("traverse", visitor, |raw, function, visit| unsafe {
            tdb_sys::tdb_traverse(raw, Some(function), visit)
        })
    }

    /// As [`traverse`](Self::traverse), but nothing can be changed by the visitor, and other
    /// processes are not kept from transactions.
    ///
    /// # Errors
    /// As [`traverse`](Self::traverse).
    pub fn traverse_read<F>(&self, visitor: F) -> Result<usize>
    where
        F: FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    {
        // SAFETY: as in `traverse`.
        self.visit("traverse_read", visitor, |raw, function, visit| unsafe {
            tdb_sys::tdb_traverse_read(raw, Some(function), visit)
        })
    }

    /// Shows the records of hash chain number `chain` (below [`hash_size`](Self::hash_size)) under
    /// its read lock, so that a large database can be visited in slices. Nothing can be changed.
    ///
    /// # Errors
    /// As [`traverse`](Self::traverse); [`Error::Invalid`](crate::Error::Invalid) if there is no
    /// such chain.
    pub fn traverse_chain<F>(&self, chain: u32, visitor: F) -> Result<usize>
    where
        F: FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    {
        // SAFETY: as in `traverse`.
        self.visit("traverse_chain", visitor, |raw, function, visit| unsafe {
            tdb_sys::tdb_traverse_chain(raw, chain, Some(function), visit)
        })
    }

    /// As [`traverse_chain`](Self::traverse_chain), of the chain that `key` belongs to.
    ///
    /// # Errors
    /// As [`traverse`](Self::traverse).
    pub fn traverse_key_chain<F>(&self, key: &[u8], visitor: F) -> Result<usize>
    where
        F: FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    {
        // SAFETY: as in `traverse`, and `key` lives across the call.
        self.visit(
            "traverse_key_chain",
            visitor,
            |raw, function, visit| unsafe {
                tdb_sys::tdb_traverse_key_chain(raw, data(key), Some(function), visit)
            },
        )
    }

    fn visit<F>(
        &self,
        operation: &'static str,
        visitor: F,
        call: impl FnOnce(*mut tdb_sys::tdb_context, Visitor, *mut c_void) -> c_int,
    ) -> Result<usize>
    where
        F: FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    {
        self.enter(operation)?;
        let mut visit = Visit {
            visitor,
            panic: None,
        };
        let traverses = &self.state.traverses;
        traverses.set(traverses.get() + 1);
        let answer = call(self.raw(), visit_record::<F>, (&raw mut visit).cast());
        traverses.set(traverses.get() - 1);
        if let Some(panic) = visit.panic {
            resume_unwind(panic);
        }
        usize::try_from(answer).map_err(|_| self.error(operation))
    }
}

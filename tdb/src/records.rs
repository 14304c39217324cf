//! Single records.

use std::{
    ffi::{c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    slice, thread,
};

use crate::{
    db::Tdb,
    error::{Error, Result},
    options::StoreMode,
};

/// libtdb's view of `bytes`. It never writes through `dptr`.
pub(crate) fn data(bytes: &[u8]) -> tdb_sys::TDB_DATA {
    tdb_sys::TDB_DATA {
        dptr: bytes.as_ptr().cast_mut(),
        dsize: bytes.len(),
    }
}

/// The bytes that libtdb shows.
///
/// # Safety
/// `data` must describe readable memory that does not change for `'a`.
pub(crate) unsafe fn bytes<'a>(data: tdb_sys::TDB_DATA) -> &'a [u8] {
    if data.dptr.is_null() {
        return &[];
    }
    // SAFETY: not null, and the rest is the caller's promise.
    unsafe { slice::from_raw_parts(data.dptr, data.dsize) }
}

/// A `parse` under way: the closure going in, its result coming out.
struct Parse<F, R> {
    parser: Option<F>,
    result: Option<thread::Result<R>>,
}

unsafe extern "C" fn parse_record<F, R>(
    _key: tdb_sys::TDB_DATA,
    data: tdb_sys::TDB_DATA,
    parse: *mut c_void,
) -> c_int
where
    F: FnOnce(&[u8]) -> R,
{
    // SAFETY: `Tdb::parse` passes a `Parse` of these types, which nobody else uses meanwhile.
    let parse = unsafe { &mut *parse.cast::<Parse<F, R>>() };
    // SAFETY: libtdb keeps the chain locked and the memory mapped during the callback.
    let data = unsafe { bytes(data) };
    if let Some(parser) = parse.parser.take() {
        parse.result = Some(catch_unwind(AssertUnwindSafe(|| parser(data))));
    }
    0
}

impl Tdb {
    /// A copy of the value of `key`, `None` if there is no such record.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`], [`Error::Lock`].
    pub fn fetch(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.parse_as("fetch", key, <[u8]>::to_vec)
    }

    /// Shows `parser` the value of `key` where it lies in the memory map, without a copy, and
    /// gives its result; `None` if there is no such record. The chain is locked for reading
    /// meanwhile, and every call of this database from inside gives [`Error::Busy`].
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn parse<R>(&self, key: &[u8], parser: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.parse_as("parse", key, parser)
    }

    fn parse_as<F, R>(&self, operation: &'static str, key: &[u8], parser: F) -> Result<Option<R>>
    where
        F: FnOnce(&[u8]) -> R,
    {
        self.enter(operation)?;
        let mut parse = Parse {
            parser: Some(parser),
            result: None,
        };
        self.state.sealed.set(true);
        // SAFETY: the context is valid, `key` and `parse` live across the call, and the callback
        // is the one for the types of `parse`. Sealed, the map cannot be moved by a nested call.
        unsafe {
            tdb_sys::tdb_parse_record(
                self.raw(),
                data(key),
                Some(parse_record::<F, R>),
                (&raw mut parse).cast(),
            )
        };
        self.state.sealed.set(false);
        match parse.result {
            Some(Ok(result)) => Ok(Some(result)),
            Some(Err(panic)) => resume_unwind(panic),
            None => self.missing(operation, key),
        }
    }

    /// `tdb_parse_record` answers NOEXIST whatever went wrong, but everything except a plain miss
    /// is logged; `tdb_exists` then gives the code.
    fn missing<R>(&self, operation: &'static str, key: &[u8]) -> Result<Option<R>> {
        if !self.state.logged() {
            return Ok(None);
        }
        // SAFETY: the context is valid and `key` lives across the call.
        let found = unsafe { tdb_sys::tdb_exists(self.raw(), data(key)) } == 1;
        match self.code() {
            // Readable at the second try: the value itself lay outside the file.
            _ if found => Err(Error::Corrupt(self.context(operation))),
            tdb_sys::TDB_ERR_NOEXIST => Ok(None),
            _ => Err(self.error(operation)),
        }
    }

    /// Whether there is a record with this key.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        self.enter("exists")?;
        // SAFETY: the context is valid and `key` lives across the call.
        if unsafe { tdb_sys::tdb_exists(self.raw(), data(key)) } == 1 {
            return Ok(true);
        }
        match self.code() {
            tdb_sys::TDB_ERR_NOEXIST => Ok(false),
            _ => Err(self.error("exists")),
        }
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// [`Error::Exists`] and [`Error::NoExist`] by the mode's expectation; [`Error::ReadOnly`],
    /// [`Error::Lock`], [`Error::OutOfMemory`], [`Error::Corrupt`], [`Error::Io`] (disk full).
    pub fn store(&self, key: &[u8], value: &[u8], mode: StoreMode) -> Result<()> {
        self.store_as("store", key, &[value], mode)
    }

    /// Stores the concatenation of `parts` under `key`, without assembling it first.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub fn storev(&self, key: &[u8], parts: &[&[u8]], mode: StoreMode) -> Result<()> {
        self.store_as("storev", key, parts, mode)
    }

    fn store_as(
        &self,
        operation: &'static str,
        key: &[u8],
        parts: &[&[u8]],
        mode: StoreMode,
    ) -> Result<()> {
        self.enter(operation)?;
        let length = parts
            .iter()
            .map(|part| part.len())
            .fold(key.len(), usize::saturating_add);
        let count = c_int::try_from(parts.len());
        let (Ok(count), true) = (count, u32::try_from(length).is_ok()) else {
            let context = self.context(operation).with(format!("{length} bytes"));
            return Err(Error::OutOfMemory(context));
        };
        let flag = mode.to_c();
        let answer = match parts {
            // SAFETY: the context is valid, and the key and the value live across the call.
            [value] => unsafe { tdb_sys::tdb_store(self.raw(), data(key), data(value), flag) },
            _ => {
                let parts: Vec<_> = parts.iter().map(|part| data(part)).collect();
                // SAFETY: as above, and `count` is the length of the array.
                unsafe { tdb_sys::tdb_storev(self.raw(), data(key), parts.as_ptr(), count, flag) }
            }
        };
        self.answer(operation, answer)
    }

    /// Deletes the record of `key`; `false` if there was none.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        self.enter("delete")?;
        // SAFETY: the context is valid and `key` lives across the call.
        match unsafe { tdb_sys::tdb_delete(self.raw(), data(key)) } {
            -1 if self.code() == tdb_sys::TDB_ERR_NOEXIST => Ok(false),
            answer => self.answer("delete", answer).map(|()| true),
        }
    }
}

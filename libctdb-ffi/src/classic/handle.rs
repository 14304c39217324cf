//! Handles: what C holds as a pointer is a counted reference here, so that a callback may free or close
//! what it was called for.

use std::rc::Rc;

use super::connection::Connection;
use super::database::Database;
use super::record::Lock;
use super::request::Request;

/// A connection to a ctdb daemon.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_connection {
    _private: (),
}

/// A question that the daemon has not answered, or whose answer was not freed.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_request {
    _private: (),
}

/// An attached database.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_db {
    _private: (),
}

/// A record that is locked.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_lock {
    _private: (),
}

/// A type of which C only sees pointers.
pub(super) trait Opaque {
    /// What they point to.
    type Inner;
}

impl Opaque for ctdb_connection {
    type Inner = Connection;
}
impl Opaque for ctdb_request {
    type Inner = Request;
}
impl Opaque for ctdb_db {
    type Inner = Database;
}
impl Opaque for ctdb_lock {
    type Inner = Lock;
}

/// The pointer that C knows it by. It owns nothing.
pub(super) fn pointer<O: Opaque>(inner: &Rc<O::Inner>) -> *mut O {
    Rc::as_ptr(inner).cast_mut().cast()
}

/// A pointer for C that owns one reference, until [`take_back`].
pub(super) fn give<O: Opaque>(inner: Rc<O::Inner>) -> *mut O {
    Rc::into_raw(inner).cast_mut().cast()
}

/// A reference to what C's pointer means; none if it is null.
///
/// # Safety
/// The pointer is null, or comes from [`give`] and was not taken back, or from [`pointer`] of something that
/// lives.
pub(super) unsafe fn borrow<O: Opaque>(raw: *mut O) -> Option<Rc<O::Inner>> {
    let inner: *const O::Inner = raw.cast_const().cast();
    if inner.is_null() {
        return None;
    }
    // SAFETY: it came from an `Rc` of this type, of which a reference is alive.
    unsafe {
        Rc::increment_strong_count(inner);
        Some(Rc::from_raw(inner))
    }
}

/// Ends C's ownership.
///
/// # Safety
/// The pointer comes from [`give`] and was not taken back.
pub(super) unsafe fn take_back<O: Opaque>(raw: *mut O) -> Rc<O::Inner> {
    // SAFETY: the reference is the one that `give` left.
    unsafe { Rc::from_raw(raw.cast_const().cast()) }
}

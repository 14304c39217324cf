//! Where C calls in: what its pointers say is checked, and no panic passes.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use super::failure::{CTDBX_OK, Failure};
use crate::guard;

/// What a call comes to within the library.
pub(super) type Outcome<T> = Result<T, Failure>;

/// Runs a function of the API: a failure is kept for the thread, a panic becomes one.
pub(super) fn enter(work: impl FnOnce() -> Outcome<()>) -> c_int {
    returning(work).map_or_else(Failure::keep, |()| CTDBX_OK)
}

/// The same for functions that return no number.
pub(super) fn returning<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    guard::catch(work).unwrap_or_else(|text| Err(Failure::internal(&text)))
}

/// Bytes that the caller lends for the time of the call.
///
/// # Safety
/// If `data` is not NULL, `size` bytes can be read there for as long as `'a`.
pub(super) unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Outcome<&'a [u8]> {
    if size == 0 {
        return Ok(&[]);
    }
    if data.is_null() || isize::try_from(size).is_err() {
        return Err(Failure::invalid("data is missing"));
    }
    // SAFETY: not NULL, and the caller vouches for the rest
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), size) })
}

/// A text that the caller lends for the time of the call.
///
/// # Safety
/// `text` is NULL or terminated, and stays as it is for as long as `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char) -> Outcome<&'a str> {
    if text.is_null() {
        return Err(Failure::invalid("a text is missing"));
    }
    // SAFETY: not NULL, and the caller vouches for the rest
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map_err(|_| Failure::invalid("a text is not UTF-8"))
}

/// Puts a result where the caller wants it. To be checked with [`wanted`] before there is one.
///
/// # Safety
/// `place` can be written.
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    // SAFETY: the caller's
    unsafe { place.write(value) };
}

/// Whether there is a place for a result.
pub(super) fn wanted<T>(place: *mut T) -> Outcome<()> {
    match place.is_null() {
        true => Err(Failure::invalid("there is no place for the result")),
        false => Ok(()),
    }
}

/// A handle that threads share, kept alive for the time of the call.
///
/// # Safety
/// `handle` is NULL, or came from [`give`] and has not been given back.
pub(super) unsafe fn shared<T>(handle: *const T) -> Outcome<Arc<T>> {
    if handle.is_null() {
        return Err(Failure::invalid("a handle is missing"));
    }
    // SAFETY: it came from an `Arc`, of which the caller still has one count
    unsafe {
        Arc::increment_strong_count(handle);
        Ok(Arc::from_raw(handle))
    }
}

/// A handle for the caller.
pub(super) fn give<T>(handle: Arc<T>) -> *mut T {
    Arc::into_raw(handle).cast_mut()
}

/// Takes such a handle back; none for NULL.
///
/// # Safety
/// As for [`shared`]; it is not used after this.
pub(super) unsafe fn take<T>(handle: *mut T) -> Option<Arc<T>> {
    // SAFETY: the caller's count becomes ours
    (!handle.is_null()).then(|| unsafe { Arc::from_raw(handle.cast_const()) })
}

/// A handle that one thread at a time uses.
///
/// # Safety
/// `handle` is NULL, or came from a `Box`, and nobody else uses it for as long as `'a`.
pub(super) unsafe fn own<'a, T>(handle: *mut T) -> Outcome<&'a mut T> {
    // SAFETY: the caller's
    unsafe { handle.as_mut() }.ok_or_else(|| Failure::invalid("a handle is missing"))
}

/// A time-out in milliseconds; a negative one is none.
pub(super) fn limit(milliseconds: c_int) -> Duration {
    u64::try_from(milliseconds).map_or(Duration::MAX, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wide::failure::{CTDBX_INTERNAL, CTDBX_INVALID};

    #[test]
    fn a_panic_is_a_number() {
        assert_eq!(enter(|| panic!("not seen")), CTDBX_INTERNAL);
        assert_eq!(enter(|| Ok(())), CTDBX_OK);
    }

    #[test]
    fn missing_arguments_are_refused() {
        let none = std::ptr::null_mut::<u8>();
        assert_eq!(enter(|| wanted(none)), CTDBX_INVALID);
        // SAFETY: NULL is allowed
        unsafe {
            assert_eq!(bytes(std::ptr::null(), 0).unwrap(), b"");
            assert!(bytes(std::ptr::null(), 1).is_err());
            assert!(text(std::ptr::null()).is_err());
            assert!(shared(none.cast_const()).is_err());
            assert!(own(none).is_err());
            assert!(take(none).is_none());
        }
        assert_eq!(limit(-1), Duration::MAX);
        assert_eq!(limit(1500), Duration::from_millis(1500));
    }
}

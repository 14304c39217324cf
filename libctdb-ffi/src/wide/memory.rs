//! Results in memory that the caller frees: one allocation each, by `malloc`.

use std::ffi::{c_char, c_void};
use std::mem::{align_of, size_of};
use std::ptr::NonNull;

use super::border::Outcome;
use super::failure::{CTDBX_NO_MEMORY, Failure};

/// Bytes that the library allocated. Behind the last one there is a NUL, so that a text can be
/// printed; `size` does not count it. `data` is to be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_blob {
    /// The bytes; never NULL after success.
    pub data: *mut u8,
    /// How many.
    pub size: usize,
}

/// Bytes that belong to a handle: not to be freed, and valid until the next call with that handle.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ctdbx_view {
    /// The bytes; never NULL after success.
    pub data: *const u8,
    /// How many.
    pub size: usize,
}

impl ctdbx_view {
    pub(super) const fn of(bytes: &[u8]) -> Self {
        Self {
            data: bytes.as_ptr(),
            size: bytes.len(),
        }
    }
}

/// Frees what a function of this API returned, unless its description names another one for that.
/// NULL is fine.
///
/// # Safety
/// `memory` came from this API and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_free(memory: *mut c_void) {
    // SAFETY: all such memory is made by `allocate`
    unsafe { libc::free(memory) };
}

/// Zeroed, and aligned for anything.
fn allocate(size: usize) -> Outcome<NonNull<u8>> {
    // SAFETY: any size may be asked for
    let memory = unsafe { libc::calloc(1, size.max(1)) };
    NonNull::new(memory.cast())
        .ok_or_else(|| Failure::new(CTDBX_NO_MEMORY, "there is no memory for the result"))
}

/// A copy with a NUL behind it.
pub(super) fn blob(bytes: &[u8]) -> Outcome<ctdbx_blob> {
    let data = allocate(bytes.len() + 1)?.as_ptr();
    // SAFETY: there is room for one byte more, and it is new
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len()) };
    let size = bytes.len();
    Ok(ctdbx_blob { data, size })
}

/// A text; what is behind a NUL in it is not seen.
pub(super) fn text(text: &str) -> Outcome<*mut c_char> {
    Ok(blob(text.as_bytes())?.data.cast())
}

/// A structure and, in the same memory, what it points to: `make` gets the address of the copy of
/// `tail`, behind which there is a NUL.
pub(super) fn with_tail<H, T: Copy>(tail: &[T], make: impl FnOnce(*mut T) -> H) -> Outcome<*mut H> {
    // `malloc` aligns for these, and `H` holds a pointer, so its size is a multiple of theirs
    const { assert!(align_of::<T>() <= align_of::<*mut T>() && align_of::<H>() <= 16) };
    const { assert!(size_of::<H>().is_multiple_of(align_of::<T>())) };
    let head = allocate(size_of::<H>() + size_of_val(tail) + 1)?.cast::<H>();
    // SAFETY: the tail begins behind the head within the allocation, is aligned as asserted, and new
    unsafe {
        let behind = head.as_ptr().add(1).cast::<T>();
        std::ptr::copy_nonoverlapping(tail.as_ptr(), behind, tail.len());
        head.as_ptr().write(make(behind));
    }
    Ok(head.as_ptr())
}

/// A text in a field of fixed size, cut if need be, always terminated.
pub(super) fn field<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    let room = N.saturating_sub(1);
    for (place, byte) in field.iter_mut().zip(text.bytes().take(room)) {
        *place = byte as c_char;
    }
    field
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn copies_are_terminated() {
        for bytes in [&b""[..], b"some bytes"] {
            let blob = blob(bytes).unwrap();
            // SAFETY: the blob was just made
            unsafe {
                let seen = CStr::from_ptr(blob.data.cast()).to_bytes();
                assert_eq!((seen, blob.size), (bytes, bytes.len()));
                ctdbx_free(blob.data.cast());
            }
        }
        assert_eq!(field::<4>("abcdef"), [97, 98, 99, 0]);
    }

    #[test]
    fn a_tail_is_behind_its_head() {
        #[repr(C)]
        struct Head {
            count: usize,
            items: *mut u32,
        }
        let items = [1, 2, 3];
        let head = with_tail(&items, |items| Head { count: 3, items }).unwrap();
        // SAFETY: it was just made
        unsafe {
            let Head { count, items } = &*head;
            assert_eq!(std::slice::from_raw_parts(*items, *count), [1, 2, 3]);
            ctdbx_free(head.cast());
        }
    }
}

//! The border to C: panics end here, and `errno` is set.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// How many functions of the library this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What the last panic inside said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`; a panic becomes its text. Nothing is printed.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    quieten();
    DEPTH.set(DEPTH.get() + 1);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    outcome.map_err(|_| SAID.take())
}

/// Runs `work`; a panic becomes `failed`, with `errno` ENOTRECOVERABLE.
pub(crate) fn guard<T>(failed: T, work: impl FnOnce() -> T) -> T {
    catch(work).unwrap_or_else(|_| {
        set_errno(libc::ENOTRECOVERABLE);
        failed
    })
}

/// The C library's error number of this thread.
pub(crate) fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Sets the C library's error number of this thread.
pub(crate) fn set_errno(code: c_int) {
    // SAFETY: the location is this thread's own and always valid.
    unsafe { *libc::__errno_location() = code };
}

/// Within the library a panic is remembered instead of printed. A panic elsewhere (only a host in Rust that
/// has linked this crate has any) is reported as before.
fn quieten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match DEPTH.get() {
            0 => before(info),
            _ => remember(info),
        }));
    });
}

fn remember(info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("a panic without a text");
    let place = info.location().map(|at| format!(" ({at})"));
    SAID.set(format!("{text}{}", place.unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        let text = catch(|| panic!("number {}", 7)).map(|(): ()| ());
        assert!(text.unwrap_err().starts_with("number 7 (libctdb-ffi/src"));
        assert_eq!(catch(|| 1), Ok(1));
    }

    #[test]
    fn the_error_number_tells_of_a_panic() {
        set_errno(0);
        assert_eq!(guard(-1, || panic!("no")), -1);
        assert_eq!(errno(), libc::ENOTRECOVERABLE);
    }
}

//! Connecting, the poll loop, requests.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::{ctdb_connection, ctdb_log_fn_t, ctdb_request};
use crate::classic::connection::Connection;
use crate::classic::control::connection;
use crate::classic::handle::{borrow, give, take_back};
use crate::classic::log::{Log, Severity};
use crate::classic::request;
use crate::guard::{guard, set_errno};

/// Connects to the daemon whose socket is at `addr`, or at the default place if that is NULL. `log_fn` is
/// called with `log_priv` for everything that is to be logged. NULL and errno if it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_connect(
    addr: *const c_char,
    log_fn: ctdb_log_fn_t,
    log_priv: *mut c_void,
) -> *mut ctdb_connection {
    guard(ptr::null_mut(), || {
        // SAFETY: null, or a string.
        let path = (!addr.is_null()).then(|| unsafe { CStr::from_ptr(addr) });
        match Connection::open(path, Log::new(log_fn, log_priv)) {
            Ok(connection) => give(connection),
            Err(error) => {
                set_errno(error.raw_os_error().unwrap_or(libc::EIO));
                ptr::null_mut()
            }
        }
    })
}

/// Ends a connection. What was asked is not answered any more, and its requests are freed. Databases have to be
/// detached and locks released before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_disconnect(ctdb: *mut ctdb_connection) {
    guard((), || {
        if !ctdb.is_null() {
            // SAFETY: C's handle, which ends here.
            unsafe { take_back(ctdb) }.close();
        }
    });
}

/// How many requests and messages wait to be written, or for their answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_num_active(ctdb: *mut ctdb_connection) -> c_int {
    // SAFETY: C's handle.
    unsafe { count(ctdb, |(queued, in_flight)| queued + in_flight) }
}

/// How many requests wait for their answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_num_in_flight(ctdb: *mut ctdb_connection) -> c_int {
    // SAFETY: C's handle.
    unsafe { count(ctdb, |(_, in_flight)| in_flight) }
}

/// How many requests and messages wait to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_num_out_queue(ctdb: *mut ctdb_connection) -> c_int {
    // SAFETY: C's handle.
    unsafe { count(ctdb, |(queued, _)| queued) }
}

unsafe fn count(ctdb: *mut ctdb_connection, choose: impl Fn((usize, usize)) -> usize) -> c_int {
    guard(0, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) };
        let count = connection.map_or(0, |connection| choose(connection.counts()));
        c_int::try_from(count).unwrap_or(c_int::MAX)
    })
}

/// The descriptor to poll.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_get_fd(ctdb: *mut ctdb_connection) -> c_int {
    guard(-1, || {
        // SAFETY: C's handle.
        unsafe { connection(ctdb) }.map_or(-1, |connection| connection.fd())
    })
}

/// What to poll it for: POLLIN, and POLLOUT if something waits to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_which_events(ctdb: *mut ctdb_connection) -> c_int {
    guard(0, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) };
        let writing = connection.is_some_and(|connection| connection.counts().0 > 0);
        (libc::POLLIN | if writing { libc::POLLOUT } else { 0 }).into()
    })
}

/// Does what poll(2) says is possible, and calls callbacks. It does not wait. False if the connection is lost,
/// for ever: disconnect then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_service(ctdb: *mut ctdb_connection, revents: c_int) -> bool {
    guard(false, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) };
        connection.is_some_and(|connection| connection.service(revents))
    })
}

/// Frees a request that is done, in its callback or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_request_free(req: *mut ctdb_request) {
    guard((), || {
        // SAFETY: C's handle, which ends here.
        unsafe {
            if let Some(request) = borrow(req) {
                request::free(req, &request);
            }
        }
    });
}

/// Gives up a request that is not done: its callback is not called, and it is freed by itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_cancel(ctdb: *mut ctdb_connection, req: *mut ctdb_request) {
    guard((), || {
        // SAFETY: C's handles; that of the request ends here.
        unsafe {
            match (borrow(ctdb), borrow(req)) {
                (_, Some(request)) => request::cancel(req, &request),
                (Some(connection), None) => {
                    connection.log(Severity::Alert, format_args!("cancelled: no request"));
                }
                (None, None) => {}
            }
        }
    });
}

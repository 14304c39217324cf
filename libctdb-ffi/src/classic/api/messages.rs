//! Messages between processes of all nodes.

use std::ffi::c_void;
use std::ptr;

use tdb_sys::TDB_DATA;
use wire::{Pnn, Srvid};

use super::{ctdb_callback_t, ctdb_connection, ctdb_message_fn_t, ctdb_request};
use crate::classic::control::{connection, wait};
use crate::classic::handle::borrow;
use crate::classic::message::{Handler, Registration};
use crate::classic::request::{Kind, Request, answer};
use crate::guard::guard;

use super::databases::bytes;

/// Asks for the messages to an address. `handler` is called with `handler_data` once the answer was received.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_set_message_handler_send(
    ctdb: *mut ctdb_connection,
    srvid: u64,
    handler: ctdb_message_fn_t,
    handler_data: *mut c_void,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    let sent = guard(None, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) }?;
        let registration = Registration::new(Handler::call(Srvid(srvid), handler, handler_data));
        let kind = Kind::Register(registration);
        let request = Request::new(&connection, kind, callback, cbdata);
        let sent = connection.register(&request);
        sent.then(|| request.publish(&connection))
    });
    sent.unwrap_or(ptr::null_mut())
}

/// Whether the daemon sends these messages. From now on the handler is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_set_message_handler_recv(
    ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
) -> bool {
    let well = guard(None, || {
        // SAFETY: C's handles.
        let (connection, request) = unsafe { (connection(ctdb)?, borrow(req)?) };
        answer(&request, |kind| matches!(kind, Kind::Register(_)))?;
        if let Kind::Register(registration) = &request.kind {
            registration.collect(&connection);
        }
        Some(())
    });
    well.is_some()
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_set_message_handler(
    ctdb: *mut ctdb_connection,
    srvid: u64,
    handler: ctdb_message_fn_t,
    cbdata: *mut c_void,
) -> bool {
    let well = guard(None, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) }?;
        let registration = Registration::new(Handler::call(Srvid(srvid), handler, cbdata));
        let kind = Kind::Register(registration);
        let request = Request::new(&connection, kind, None, ptr::null_mut());
        let answered = connection.register(&request) && wait(&connection, &request);
        let Kind::Register(registration) = &request.kind else {
            return None;
        };
        match answered.then(|| answer(&request, |_| true)).flatten() {
            Some(_) => registration.collect(&connection),
            None => registration.abandon(&connection),
        }
        answered.then_some(())
    });
    well.is_some()
}

/// Asks for no more messages to an address. Address, function and its data are those of the registration; if
/// there is none, NULL and ENOENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_remove_message_handler_send(
    ctdb: *mut ctdb_connection,
    srvid: u64,
    handler: ctdb_message_fn_t,
    handler_data: *mut c_void,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    let sent = guard(None, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) }?;
        let handler = connection.handler(Srvid(srvid), handler, handler_data)?;
        let request = Request::new(&connection, Kind::Deregister, callback, cbdata);
        let sent = connection.deregister(handler, &request);
        sent.then(|| request.publish(&connection))
    });
    sent.unwrap_or(ptr::null_mut())
}

/// Whether the daemon agrees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_remove_message_handler_recv(
    ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
) -> bool {
    let well = guard(None, || {
        // SAFETY: C's handles.
        let (_, request) = unsafe { (connection(ctdb)?, borrow(req)?) };
        answer(&request, |kind| matches!(kind, Kind::Deregister))
    });
    well.is_some()
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_remove_message_handler(
    ctdb: *mut ctdb_connection,
    srvid: u64,
    handler: ctdb_message_fn_t,
    handler_data: *mut c_void,
) -> bool {
    let well = guard(None, || {
        // SAFETY: C's handle.
        let connection = unsafe { connection(ctdb) }?;
        let handler = connection.handler(Srvid(srvid), handler, handler_data)?;
        let request = Request::new(&connection, Kind::Deregister, None, ptr::null_mut());
        let sent = connection.deregister(handler, &request);
        (sent && wait(&connection, &request)).then(|| answer(&request, |_| true))?
    });
    well.is_some()
}

/// Queues a message to an address on a node, or on several. There is no answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_send_message(
    ctdb: *mut ctdb_connection,
    pnn: u32,
    srvid: u64,
    data: TDB_DATA,
) -> bool {
    guard(false, || {
        // SAFETY: C's handle, and its bytes.
        let (connection, data) = unsafe { (connection(ctdb), bytes(&data)) };
        connection.is_some_and(|connection| connection.message(Pnn(pnn), Srvid(srvid), data))
    })
}

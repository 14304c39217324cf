//! Controls: one trait says what is asked and what the answer is in C, three functions do the rest.

use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use wire::packet::{Body, ControlFlags, ReqControl};
use wire::{ClientId, Pnn, Srvid};

use super::connection::{Connection, Reply};
use super::handle::{borrow, ctdb_connection, ctdb_request};
use super::log::Severity;
use super::request::{Answer, Kind, Outcome, Request, answer, ctdb_callback_t};
use crate::guard::{guard, set_errno};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    opcode: u32,
    srvid: Srvid,
    data: &'a [u8],
}

impl<'a> Ask<'a> {
    /// A control without an argument.
    pub(super) const fn new(opcode: u32) -> Self {
        Self {
            opcode,
            srvid: Srvid(0),
            data: &[],
        }
    }

    pub(super) const fn srvid(self, srvid: Srvid) -> Self {
        Self { srvid, ..self }
    }

    pub(super) const fn data(self, data: &'a [u8]) -> Self {
        Self { data, ..self }
    }

    fn body(&self, flags: ControlFlags) -> Body<'_> {
        Body::ReqControl(ReqControl {
            opcode: self.opcode,
            srvid: self.srvid,
            client: ClientId(0),
            flags,
            data: self.data,
        })
    }
}

impl Connection {
    /// Queues a control; `then` has the answer.
    pub(super) fn ask_control(
        &self,
        destination: Pnn,
        ask: &Ask<'_>,
        then: impl FnOnce(&Rc<Self>, &Reply<'_>) + 'static,
    ) {
        self.ask(destination, ask.body(ControlFlags::empty()), then);
    }

    /// Queues a control that is not answered.
    pub(super) fn tell_control(&self, destination: Pnn, ask: &Ask<'_>) {
        self.tell(destination, ask.body(ControlFlags::NOREPLY));
    }

    /// Queues a control for a request of its own.
    pub(super) fn request(
        self: &Rc<Self>,
        destination: Pnn,
        ask: &Ask<'_>,
        request: &Rc<Request>,
    ) -> bool {
        if !self.accepts(ask.data.len()) {
            return false;
        }
        let waiting = request.clone();
        self.ask_control(destination, ask, move |connection, reply| {
            waiting.complete(connection, Outcome::from(reply));
        });
        let opcode = ask.opcode;
        self.log(
            Severity::Debug,
            format_args!("control {opcode} to node {destination}"),
        );
        true
    }
}

/// A control of the interface.
pub(super) trait Question {
    /// Its number.
    const OPCODE: u32;
    /// The answer in C.
    type Out;
    /// What C sees if there is none; nothing if its variable is left alone.
    const NOTHING: Option<Self::Out> = None;

    /// Reads an answer; none if it is malformed.
    fn read(answer: &Answer) -> Option<Self::Out>;

    /// Sends it.
    fn start(connection: &Rc<Connection>, to: Pnn, data: &[u8], request: &Rc<Request>) -> bool {
        connection.request(to, &Ask::new(Self::OPCODE).data(data), request)
    }
}

/// The connection that C means, or `errno`.
///
/// # Safety
/// The pointer is null or C's.
pub(super) unsafe fn connection(raw: *mut ctdb_connection) -> Option<Rc<Connection>> {
    // SAFETY: as the caller says.
    let found = unsafe { borrow(raw) };
    if found.is_none() {
        set_errno(libc::EINVAL);
    }
    found
}

/// `ctdb_X_send`.
///
/// # Safety
/// The handles are C's; the callback can be called with `cbdata`.
pub(super) unsafe fn send<Q: Question>(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    data: &[u8],
    (callback, cbdata): (ctdb_callback_t, *mut c_void),
) -> *mut ctdb_request {
    let sent = guard(None, || {
        // SAFETY: as the caller says.
        let connection = unsafe { connection(ctdb) }?;
        let request = Request::new(&connection, Kind::Control(Q::OPCODE), callback, cbdata);
        Q::start(&connection, Pnn(destnode), data, &request).then(|| request.publish(&connection))
    });
    sent.unwrap_or(ptr::null_mut())
}

/// `ctdb_X_recv`.
///
/// # Safety
/// The handles are C's, and `out` can be written.
pub(super) unsafe fn recv<Q: Question>(req: *mut ctdb_request, out: *mut Q::Out) -> bool {
    guard(false, || {
        // SAFETY: as the caller says.
        let request = unsafe { borrow(req) };
        if request.is_none() || out.is_null() {
            set_errno(libc::EINVAL);
            return false;
        }
        let read = request.and_then(|request| read::<Q>(&request));
        // SAFETY: as the caller says.
        unsafe { put::<Q>(read, out) }
    })
}

/// `ctdb_X`: sends and waits.
///
/// # Safety
/// The handle is C's, and `out` can be written.
pub(super) unsafe fn ask<Q: Question>(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    data: &[u8],
    out: *mut Q::Out,
) -> bool {
    guard(false, || {
        // SAFETY: as the caller says.
        let connection = unsafe { connection(ctdb) };
        if out.is_null() {
            set_errno(libc::EINVAL);
            return false;
        }
        let read = connection.and_then(|connection| {
            let kind = Kind::Control(Q::OPCODE);
            let request = Request::new(&connection, kind, None, ptr::null_mut());
            let sent = Q::start(&connection, Pnn(destnode), data, &request);
            (sent && wait(&connection, &request)).then(|| read::<Q>(&request))?
        });
        // SAFETY: as the caller says.
        unsafe { put::<Q>(read, out) }
    })
}

/// Waits for the answer to a request that C does not know of.
pub(super) fn wait(connection: &Rc<Connection>, request: &Rc<Request>) -> bool {
    let there = connection.wait(|| request.is_done());
    if !there {
        request.give_up();
    }
    there
}

fn read<Q: Question>(request: &Request) -> Option<Q::Out> {
    let answer = answer(
        request,
        |kind| matches!(kind, Kind::Control(opcode) if *opcode == Q::OPCODE),
    )?;
    let read = Q::read(&answer);
    if read.is_none() {
        set_errno(libc::EIO);
    }
    read
}

/// # Safety
/// `out` can be written.
unsafe fn put<Q: Question>(read: Option<Q::Out>, out: *mut Q::Out) -> bool {
    let well = read.is_some();
    if let Some(value) = read.or(Q::NOTHING) {
        // SAFETY: as the caller says.
        unsafe { out.write(value) };
    }
    well
}

//! Requests: the handle of a question that the application waits for.
//!
//! ```text
//!  Waiting --answer--> Done --ctdb_..._recv (any number of times)
//!     |                 |
//!  ctdb_cancel       ctdb_request_free
//!     |                 |
//!  no callback; freed by the answer
//! ```

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::{Rc, Weak};

use wire::control::{CheckSrvids, Control};

use super::connection::{Connection, Reply};
use super::database::Attached;
use super::handle::{ctdb_connection, ctdb_request, give, pointer, take_back};
use super::log::Severity;
use super::message::Registration;
use crate::guard::set_errno;

/// What a `ctdb_..._send` calls when the answer is there.
#[expect(non_camel_case_types, reason = "the name in C")]
pub type ctdb_callback_t = Option<
    unsafe extern "C" fn(
        ctdb: *mut ctdb_connection,
        req: *mut ctdb_request,
        private_data: *mut c_void,
    ),
>;

/// What was asked: a `recv` of another kind is an error of the application's.
#[derive(Debug)]
pub(super) enum Kind {
    /// A control, by its number.
    Control(u32),
    Attach,
    Register(Registration),
    Deregister,
}

impl Kind {
    /// The `errno` of a refusal.
    fn refusal(&self, answer: &Answer) -> i32 {
        match self {
            // C's daemon since 4.8 does not know it any more, and says nothing else
            Self::Control(CheckSrvids::OPCODE) if answer.reason.is_empty() => libc::EOPNOTSUPP,
            _ => libc::EREMOTEIO,
        }
    }
}

/// The daemon's answer to a control.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: i32,
    pub(super) data: Vec<u8>,
    /// Why it refuses; often nothing.
    pub(super) reason: Vec<u8>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Answer(Answer),
    Attached(Attached),
    /// With this `errno`.
    Failed(i32),
}

impl From<&Reply<'_>> for Outcome {
    fn from(reply: &Reply<'_>) -> Self {
        match reply {
            Reply::Control(reply) => Self::Answer(Answer {
                status: reply.status,
                data: reply.data.to_vec(),
                reason: reply.error.to_vec(),
            }),
            _ => Self::Failed(libc::EIO),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Request {
    connection: Weak<Connection>,
    pub(super) kind: Kind,
    callback: ctdb_callback_t,
    private: *mut c_void,
    cancelled: Cell<bool>,
    pub(super) outcome: RefCell<Option<Outcome>>,
}

impl Request {
    pub(super) fn new(
        connection: &Rc<Connection>,
        kind: Kind,
        callback: ctdb_callback_t,
        private: *mut c_void,
    ) -> Rc<Self> {
        Rc::new(Self {
            connection: Rc::downgrade(connection),
            kind,
            callback,
            private,
            cancelled: Cell::new(false),
            outcome: RefCell::new(None),
        })
    }

    pub(super) fn is_done(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    fn log(&self, severity: Severity, text: std::fmt::Arguments<'_>) {
        if let Some(connection) = self.connection.upgrade() {
            connection.log(severity, text);
        }
    }

    /// Gives C a pointer to a request that is not answered.
    pub(super) fn publish(self: Rc<Self>, connection: &Connection) -> *mut ctdb_request {
        let raw = give(self.clone());
        connection.requests.borrow_mut().insert(raw, self);
        raw
    }

    /// The answer is there: calls the application back.
    pub(super) fn complete(self: &Rc<Self>, connection: &Rc<Connection>, outcome: Outcome) {
        *self.outcome.borrow_mut() = Some(outcome);
        let raw = pointer::<ctdb_request>(self);
        let published = connection.requests.borrow_mut().remove(&raw).is_some();
        if self.cancelled.get() {
            self.abandon(connection);
            if published {
                // SAFETY: it was given to C, which gave it up by `ctdb_cancel`.
                drop(unsafe { take_back(raw) });
            }
        } else if let Some(callback) = self.callback {
            // SAFETY: the function and its argument are as the application gave them, to be called together;
            // both handles live as long as this call.
            unsafe { callback(pointer(connection), raw, self.private) };
        }
    }

    /// Nobody will look at the answer any more.
    fn abandon(&self, connection: &Rc<Connection>) {
        if let Kind::Register(registration) = &self.kind {
            registration.abandon(connection);
        }
    }

    /// What `ctdb_cancel` does, true: and the pointer is C's no more.
    fn cancel(&self) -> bool {
        if self.is_done() {
            let text = format_args!("a request was cancelled that is done already");
            self.log(Severity::Alert, text);
            return true;
        }
        self.log(Severity::Debug, format_args!("a request is cancelled"));
        self.cancelled.set(true);
        false
    }

    /// Gives the request up in a synchronous call.
    pub(super) fn give_up(&self) {
        self.cancelled.set(true);
    }
}

/// Ends the application's interest in an answer.
///
/// # Safety
/// The pointer is C's, and not freed.
pub(super) unsafe fn cancel(raw: *mut ctdb_request, request: &Request) {
    if request.cancel() {
        // SAFETY: as the caller says.
        unsafe { free(raw, request) };
    }
}

/// Frees a request that is done; cancels another one.
///
/// # Safety
/// The pointer is C's, and not freed.
pub(super) unsafe fn free(raw: *mut ctdb_request, request: &Request) {
    if !request.is_done() {
        let text = format_args!("a request was freed that is not done: it is cancelled");
        request.log(Severity::Alert, text);
        request.cancel();
        return;
    }
    if let Some(connection) = request.connection.upgrade() {
        request.abandon(&connection);
    }
    // SAFETY: as the caller says; C's use of it ends here.
    drop(unsafe { take_back(raw) });
}

/// The answer to a request, if it is of the right kind and was not refused; `errno` and a line in the log if
/// not.
pub(super) fn answer(request: &Request, right: impl Fn(&Kind) -> bool) -> Option<Answer> {
    if !right(&request.kind) {
        set_errno(libc::EINVAL);
        let text = format_args!("this request is of another kind: {:?}", request.kind);
        request.log(Severity::Alert, text);
        return None;
    }
    match &*request.outcome.borrow() {
        Some(Outcome::Answer(answer)) if answer.status == -1 => {
            set_errno(request.kind.refusal(answer));
            let (kind, reason) = (&request.kind, answer.reason.escape_ascii());
            request.log(
                Severity::Err,
                format_args!("ctdbd refuses: {kind:?} {reason}"),
            );
            None
        }
        Some(Outcome::Answer(answer)) => Some(answer.clone()),
        Some(Outcome::Failed(errno)) => {
            set_errno(*errno);
            request.log(Severity::Err, format_args!("no answer: {:?}", request.kind));
            None
        }
        Some(Outcome::Attached(_)) | None => {
            set_errno(libc::EINVAL);
            let text = format_args!("this request is not done: {:?}", request.kind);
            request.log(Severity::Alert, text);
            None
        }
    }
}

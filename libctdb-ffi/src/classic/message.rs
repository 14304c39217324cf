//! Messages: handlers by address.
//!
//! A daemon delivers a message once for each registration of a client, so an address is registered once
//! for all of its handlers. What needs no registering still asks the daemon something: the answer comes after
//! that of the first registration, as the application expects.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt;
use std::rc::Rc;

use tdb_sys::TDB_DATA;
use wire::control::{Control, DeregisterSrvid, GetPnn, RegisterSrvid};
use wire::packet::{Body, ReqMessage};
use wire::{Pnn, Srvid};

use super::connection::Connection;
use super::control::Ask;
use super::handle::{ctdb_connection, pointer};
use super::log::Severity;
use super::request::{Kind, Request};
use crate::guard::set_errno;

/// What is called for a message; its bytes are good until it returns.
#[expect(non_camel_case_types, reason = "the name in C")]
pub type ctdb_message_fn_t = Option<
    unsafe extern "C" fn(
        ctdb: *mut ctdb_connection,
        srvid: u64,
        data: TDB_DATA,
        private_data: *mut c_void,
    ),
>;

type Work = Box<dyn Fn(&Rc<Connection>, &[u8])>;

/// Who wants the messages of an address.
pub(super) struct Handler {
    srvid: Srvid,
    action: Action,
    live: Cell<bool>,
}

enum Action {
    /// The application.
    Call(ctdb_message_fn_t, *mut c_void),
    /// The library itself.
    Work(Work),
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handler({}, live: {})", self.srvid, self.live.get())
    }
}

impl Handler {
    pub(super) fn call(
        srvid: Srvid,
        function: ctdb_message_fn_t,
        private: *mut c_void,
    ) -> Rc<Self> {
        Self::new(srvid, Action::Call(function, private))
    }

    pub(super) fn work(srvid: Srvid, work: impl Fn(&Rc<Connection>, &[u8]) + 'static) -> Rc<Self> {
        Self::new(srvid, Action::Work(Box::new(work)))
    }

    fn new(srvid: Srvid, action: Action) -> Rc<Self> {
        let live = Cell::new(true);
        Rc::new(Self {
            srvid,
            action,
            live,
        })
    }

    /// Whether it is the one that C describes so.
    fn is(&self, srvid: Srvid, function: ctdb_message_fn_t, private: *mut c_void) -> bool {
        let Action::Call(own, data) = self.action else {
            return false;
        };
        let address = |function: ctdb_message_fn_t| function.map(|function| function as usize);
        self.live.get()
            && self.srvid == srvid
            && address(own) == address(function)
            && data == private
    }

    fn handle(&self, connection: &Rc<Connection>, message: &ReqMessage<'_>) {
        match &self.action {
            Action::Call(Some(function), private) => {
                let data = data(message.data);
                // SAFETY: the function and its argument are as the application gave them, to be called
                // together; the bytes and the connection live as long as this call.
                unsafe { function(pointer(connection), message.srvid.0, data, *private) };
            }
            Action::Call(None, _) => {}
            Action::Work(work) => work(connection, message.data),
        }
    }
}

/// Bytes as C is shown them.
pub(super) fn data(bytes: &[u8]) -> TDB_DATA {
    TDB_DATA {
        dptr: bytes.as_ptr().cast_mut(),
        dsize: bytes.len(),
    }
}

/// A registration that the application has asked for, and not yet received.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) handler: Rc<Handler>,
    collected: Cell<bool>,
}

impl Registration {
    pub(super) const fn new(handler: Rc<Handler>) -> Self {
        let collected = Cell::new(false);
        Self { handler, collected }
    }

    /// From now on the handler is called.
    pub(super) fn collect(&self, connection: &Connection) {
        if !self.collected.replace(true) {
            connection.handlers.add(self.handler.clone());
        }
    }

    /// The application never wanted to know.
    pub(super) fn abandon(&self, connection: &Connection) {
        if !self.collected.replace(true) {
            connection.release(self.handler.srvid);
        }
    }
}

/// All handlers of a connection.
#[derive(Debug, Default)]
pub(super) struct Handlers {
    active: RefCell<Vec<Rc<Handler>>>,
    /// How many handlers, active or to come, use an address.
    uses: RefCell<BTreeMap<Srvid, usize>>,
}

impl Handlers {
    pub(super) fn add(&self, handler: Rc<Handler>) {
        self.active.borrow_mut().push(handler);
    }

    pub(super) fn clear(&self) {
        let handlers = std::mem::take(&mut *self.active.borrow_mut());
        handlers.iter().for_each(|handler| handler.live.set(false));
        self.uses.borrow_mut().clear();
    }

    /// Takes a handler out: it is not called any more.
    pub(super) fn remove(&self, handler: &Rc<Handler>) {
        handler.live.set(false);
        let mut active = self.active.borrow_mut();
        active.retain(|other| !Rc::ptr_eq(other, handler));
    }

    /// The same for all of an address that is the library's own.
    pub(super) fn remove_all(&self, srvid: Srvid) {
        let of_address = |handler: &mut Rc<Handler>| handler.srvid == srvid;
        let handlers: Vec<_> = self
            .active
            .borrow_mut()
            .extract_if(.., of_address)
            .collect();
        handlers.iter().for_each(|handler| handler.live.set(false));
    }

    /// The application's handler that it describes so.
    pub(super) fn find(
        &self,
        srvid: Srvid,
        function: ctdb_message_fn_t,
        private: *mut c_void,
    ) -> Option<Rc<Handler>> {
        let active = self.active.borrow();
        let mut all = active.iter();
        all.find(|handler| handler.is(srvid, function, private))
            .cloned()
    }

    /// Calls everybody who wants this message.
    pub(super) fn deliver(&self, connection: &Rc<Connection>, message: &ReqMessage<'_>) {
        let wants =
            |handler: &&Rc<Handler>| handler.srvid == message.srvid || handler.srvid == Srvid::ALL;
        let found: Vec<_> = self.active.borrow().iter().filter(wants).cloned().collect();
        if found.is_empty() {
            let text = format_args!("a message for {}, which is not registered", message.srvid);
            connection.log(Severity::Warning, text);
        }
        for handler in found {
            // an earlier one may have removed it
            if handler.live.get() {
                handler.handle(connection, message);
            }
        }
    }

    /// True for the first use of an address.
    fn first_use(&self, srvid: Srvid) -> bool {
        let mut uses = self.uses.borrow_mut();
        let count = uses.entry(srvid).or_default();
        *count += 1;
        *count == 1
    }

    /// True for the last one.
    fn last_use(&self, srvid: Srvid) -> bool {
        let mut uses = self.uses.borrow_mut();
        let Some(count) = uses.get_mut(&srvid) else {
            return false;
        };
        *count -= 1;
        let last = *count == 0;
        if last {
            uses.remove(&srvid);
        }
        last
    }
}

/// What changes nothing and is answered in its turn.
const NOTHING: Ask<'static> = Ask::new(GetPnn::OPCODE);

impl Connection {
    /// What to ask the daemon for one more use of an address.
    pub(super) fn use_once_more(&self, srvid: Srvid) -> Ask<'static> {
        match self.handlers.first_use(srvid) {
            true => Ask::new(RegisterSrvid::OPCODE).srvid(srvid),
            false => NOTHING,
        }
    }

    /// What to ask the daemon for one use less.
    fn use_once_less(&self, srvid: Srvid) -> Ask<'static> {
        match self.handlers.last_use(srvid) {
            true => Ask::new(DeregisterSrvid::OPCODE).srvid(srvid),
            false => NOTHING,
        }
    }

    /// Ends a use of an address without waiting for an answer.
    pub(super) fn release(&self, srvid: Srvid) {
        if self.handlers.last_use(srvid) && !self.is_broken() {
            let ask = Ask::new(DeregisterSrvid::OPCODE).srvid(srvid);
            self.tell_control(Pnn::CURRENT, &ask);
        }
    }

    /// The same for a handler of the library's own, which has nothing to do any more. It stays until the daemon has
    /// answered: what is under way until then is not unexpected.
    pub(super) fn retire(&self, srvid: Srvid, remove: impl FnOnce(&Handlers) + 'static) {
        if self.is_broken() {
            return remove(&self.handlers);
        }
        let ask = self.use_once_less(srvid);
        self.ask_control(Pnn::CURRENT, &ask, move |connection, _| {
            remove(&connection.handlers)
        });
    }

    /// Asks for the messages of an address; the handler is in the request.
    pub(super) fn register(self: &Rc<Self>, request: &Rc<Request>) -> bool {
        let Kind::Register(registration) = &request.kind else {
            return false;
        };
        if !self.accepts(0) {
            return false;
        }
        let ask = self.use_once_more(registration.handler.srvid);
        self.request(Pnn::CURRENT, &ask, request)
    }

    /// Asks for no more messages; the handler is called until the daemon has answered.
    pub(super) fn deregister(self: &Rc<Self>, handler: Rc<Handler>, request: &Rc<Request>) -> bool {
        if !self.accepts(0) {
            return false;
        }
        let ask = self.use_once_less(handler.srvid);
        let waiting = request.clone();
        self.ask_control(Pnn::CURRENT, &ask, move |connection, reply| {
            connection.handlers.remove(&handler);
            waiting.complete(connection, reply.into());
        });
        true
    }

    /// The handler that C describes so; ENOENT if there is none.
    pub(super) fn handler(
        &self,
        srvid: Srvid,
        function: ctdb_message_fn_t,
        private: *mut c_void,
    ) -> Option<Rc<Handler>> {
        let found = self.handlers.find(srvid, function, private);
        if found.is_none() {
            set_errno(libc::ENOENT);
            self.log(Severity::Alert, format_args!("no such handler for {srvid}"));
        }
        found
    }

    /// Queues a message.
    pub(super) fn message(&self, to: Pnn, srvid: Srvid, data: &[u8]) -> bool {
        let accepted = self.accepts(data.len());
        if accepted {
            self.tell(to, Body::ReqMessage(ReqMessage { srvid, data }));
        }
        accepted
    }
}

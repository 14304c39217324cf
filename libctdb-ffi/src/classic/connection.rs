//! A connection: what the application's poll loop drives.
//!
//! ```text
//!  application          Connection                                daemon
//!  _send, message  ---> Core: output, waiting
//!  service(POLLOUT)     write ----------------------------------->
//!  service(POLLIN)      read  <-----------------------------------
//!                       inbox: whole packets
//!  callbacks       <--- dispatch: an answer to what waits for it, a message to its handlers
//! ```
//!
//! Nothing is borrowed while a callback runs: it may call whatever it wants, `ctdb_service` and
//! `ctdb_disconnect` too. Packets are dispatched in their order, by whoever is at it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

use bytes::Bytes;
use wire::Pnn;
use wire::control::{Control, GetPnn};
use wire::packet::{Body, MAX_PACKET, Packet, ReplyCall, ReplyControl, ReplyError};

use super::control::Ask;
use super::core::Core;
use super::handle::{ctdb_request, take_back};
use super::leader::Leader;
use super::log::{Log, Severity};
use super::message::Handlers;
use super::record::Lock;
use super::request::Request;
use super::socket::Socket;
use crate::guard::set_errno;

/// Where the daemon listens, if the application does not say.
const DEFAULT_SOCKET: &CStr = c"/run/ctdb/ctdbd.socket";
/// Room for what is in a packet besides the application's bytes.
const OVERHEAD: usize = 1024;

/// An answer to a question.
#[derive(Debug)]
pub(super) enum Reply<'a> {
    Control(ReplyControl<'a>),
    Call(ReplyCall<'a>),
    Error(ReplyError<'a>),
    /// A packet that answers nothing.
    Strange,
}

/// What a refusal says.
impl fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, text) = match self {
            Self::Control(reply) => (reply.status, reply.error),
            Self::Call(reply) => (reply.status, &[][..]),
            Self::Error(reply) => (reply.status, reply.message),
            Self::Strange => return f.write_str("a packet that answers nothing"),
        };
        write!(f, "status {status} {}", text.escape_ascii())
    }
}

/// What is done with an answer.
pub(super) type Then = Box<dyn FnOnce(&Rc<Connection>, &Reply<'_>)>;

/// See the module.
pub(super) struct Connection {
    log: Log,
    /// None after `ctdb_disconnect`.
    socket: RefCell<Option<Socket>>,
    core: RefCell<Core<Then>>,
    inbox: RefCell<VecDeque<Bytes>>,
    /// Lost, for ever.
    broken: Cell<bool>,
    /// The node's number, once the daemon has said it.
    pub(super) pnn: Cell<Option<Pnn>>,
    pub(super) handlers: Handlers,
    pub(super) leader: Leader,
    /// Those that the application has a pointer to and that are not answered, by that pointer.
    pub(super) requests: RefCell<BTreeMap<*mut ctdb_request, Rc<Request>>>,
    /// Those that the application holds.
    pub(super) locks: RefCell<Vec<Rc<Lock>>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("pnn", &self.pnn.get())
            .field("broken", &self.broken.get())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, and asks for the number of the node.
    ///
    /// # Errors
    /// Those of socket(2) and connect(2), ENAMETOOLONG.
    pub(super) fn open(path: Option<&CStr>, log: Log) -> io::Result<Rc<Self>> {
        let socket = Socket::connect(path.unwrap_or(DEFAULT_SOCKET))?;
        let connection = Rc::new(Self {
            log,
            socket: RefCell::new(Some(socket)),
            core: RefCell::new(Core::new()),
            inbox: RefCell::default(),
            broken: Cell::new(false),
            pnn: Cell::new(None),
            handlers: Handlers::default(),
            leader: Leader::default(),
            requests: RefCell::default(),
            locks: RefCell::default(),
        });
        connection.ask_control(
            Pnn::CURRENT,
            &Ask::new(GetPnn::OPCODE),
            |connection, reply| match reply {
                Reply::Control(reply) if reply.status >= 0 => {
                    connection.pnn.set(Some(Pnn(reply.status.cast_unsigned())));
                }
                _ => connection.lose(
                    libc::EIO,
                    format_args!("the daemon does not say its number"),
                ),
            },
        );
        Ok(connection)
    }

    /// Ends everything, calling nobody.
    pub(super) fn close(&self) {
        self.log(Severity::Debug, format_args!("disconnecting"));
        self.broken.set(true);
        drop(self.socket.take());
        self.inbox.borrow_mut().clear();
        let waiting = self.core.borrow_mut().forget();
        drop(waiting);
        self.handlers.clear();
        self.leader.forget();
        for raw in std::mem::take(&mut *self.requests.borrow_mut()).into_keys() {
            // SAFETY: what is in the list was given to C, and frees itself out of the list.
            drop(unsafe { take_back(raw) });
        }
    }

    pub(super) fn log(&self, severity: Severity, text: fmt::Arguments<'_>) {
        self.log.write(severity, text);
    }

    /// What libtdb says during `work` is logged.
    pub(super) fn with_tdb<R>(&self, work: impl FnOnce() -> R) -> R {
        self.log.with_tdb(work)
    }

    /// The descriptor to poll; -1 once disconnected.
    pub(super) fn fd(&self) -> RawFd {
        self.socket.borrow().as_ref().map_or(-1, Socket::fd)
    }

    /// How many packets wait to be written, and how many questions for their answer.
    pub(super) fn counts(&self) -> (usize, usize) {
        let core = self.core.borrow();
        (core.queued(), core.in_flight())
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Whether a packet with so many bytes of the application's can be sent; `errno` if not.
    pub(super) fn accepts(&self, bytes: usize) -> bool {
        let problem = match bytes {
            _ if self.is_broken() => libc::ENOTCONN,
            0..MAX_PACKET_DATA => return true,
            _ => libc::EMSGSIZE,
        };
        set_errno(problem);
        self.log(Severity::Err, format_args!("cannot send {bytes} bytes"));
        false
    }

    /// Queues a question; `then` has the answer.
    pub(super) fn ask(
        &self,
        destination: Pnn,
        body: Body<'_>,
        then: impl FnOnce(&Rc<Self>, &Reply<'_>) + 'static,
    ) {
        let then = Box::new(then);
        self.core.borrow_mut().ask(destination, body, then);
    }

    /// Queues what has no answer.
    pub(super) fn tell(&self, destination: Pnn, body: Body<'_>) {
        self.core.borrow_mut().tell(destination, body);
    }

    /// The end of the connection, for this reason.
    pub(super) fn lose(&self, errno: i32, reason: fmt::Arguments<'_>) {
        self.broken.set(true);
        set_errno(errno);
        self.log(Severity::Err, reason);
    }

    /// What `ctdb_service` does. True as long as the connection is good.
    pub(super) fn service(self: &Rc<Self>, revents: i32) -> bool {
        if self.is_broken() {
            set_errno(libc::ENOTCONN);
            return false;
        }
        if !self.locks.borrow().is_empty() {
            self.log(
                Severity::Alert,
                format_args!("do not wait while a record is locked"),
            );
        }
        let events = i16::try_from(revents).unwrap_or(i16::MAX);
        let mut end = None;
        if events & libc::POLLOUT != 0 {
            end = self.write().err();
        }
        // POLLHUP and POLLERR are found out by reading too; what had come before them is still good
        if events & !libc::POLLOUT != 0 || end.is_some() {
            end = self.read().err().or(end);
        }
        self.dispatch();
        if let Some(error) = end.filter(|_| !self.is_broken()) {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            self.lose(errno, format_args!("the connection to ctdbd is lost"));
        }
        self.leader.expire(self);
        !self.is_broken()
    }

    fn write(&self) -> io::Result<()> {
        let socket = self.socket.borrow();
        let Some(socket) = &*socket else {
            return Ok(());
        };
        let mut core = self.core.borrow_mut();
        while !core.unwritten().is_empty() {
            match socket.write(core.unwritten())? {
                0 => break,
                count => core.wrote(count),
            }
        }
        Ok(())
    }

    /// Fills the inbox.
    fn read(&self) -> io::Result<()> {
        let mut socket = self.socket.borrow_mut();
        let Some(socket) = &mut *socket else {
            return Ok(());
        };
        let mut core = self.core.borrow_mut();
        let going_on = socket.read(|bytes| core.received(bytes));
        loop {
            match core.next_packet() {
                Ok(Some(packet)) => self.inbox.borrow_mut().push_back(packet),
                Ok(None) => break,
                Err(_) => return Err(io::Error::from_raw_os_error(libc::EPROTO)),
            }
        }
        match going_on {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::from_raw_os_error(libc::ECONNRESET)),
            Err(error) => Err(error),
        }
    }

    /// Hands out what has come in.
    fn dispatch(self: &Rc<Self>) {
        loop {
            let Some(packet) = self.inbox.borrow_mut().pop_front() else {
                return;
            };
            match Packet::decode(&packet) {
                Ok(packet) => self.deliver(&packet),
                Err(error) => {
                    self.lose(libc::EPROTO, format_args!("not a packet of ctdbd: {error}"));
                }
            }
        }
    }

    fn deliver(self: &Rc<Self>, packet: &Packet<'_>) {
        let reply = match packet.body {
            Body::ReqMessage(message) => return self.handlers.deliver(self, &message),
            Body::ReplyControl(reply) => Reply::Control(reply),
            Body::ReplyCall(reply) => Reply::Call(reply),
            Body::ReplyError(reply) => Reply::Error(reply),
            _ => Reply::Strange,
        };
        let reqid = packet.header.reqid;
        let then = self.core.borrow_mut().answered(reqid);
        match then {
            Some(then) => then(self, &reply),
            None => {
                let operation = packet.header.operation;
                let text = format_args!("nobody waits for {operation:?} {reqid}");
                self.log(Severity::Warning, text);
            }
        }
    }

    /// Serves the connection until `done`; false if it ends before. For as long as it takes.
    pub(super) fn wait(self: &Rc<Self>, done: impl Fn() -> bool) -> bool {
        // of the turn that this is called in
        self.dispatch();
        while !done() {
            let polled = match &*self.socket.borrow() {
                Some(socket) if !self.is_broken() => self.poll(socket),
                _ => {
                    set_errno(libc::ENOTCONN);
                    return false;
                }
            };
            let lost = match polled {
                Ok(revents) => !self.service(revents.into()),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    self.lose(errno, format_args!("cannot wait for ctdbd"));
                    true
                }
            };
            if lost {
                return done();
            }
        }
        true
    }

    fn poll(&self, socket: &Socket) -> io::Result<i16> {
        let writing = self.counts().0 > 0;
        socket.wait(writing, self.leader.time_left())
    }
}

const MAX_PACKET_DATA: usize = MAX_PACKET - OVERHEAD;

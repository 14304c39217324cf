//! One connection: what is to be written to it, and the stream it has.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use client::socket::{LONGEST, Socket};

/// Packets in one `writev`.
const BATCH: usize = 64;
/// Bytes from which on a queue is congested: a client is not read from until it reads, and what it asks for cannot take
/// the daemon's memory.
pub(crate) const CONGESTED: usize = 64 << 20;
/// Bytes in a queue whose memory is given back to the system when it goes.
const LARGE: usize = 1 << 20;
/// A connection that is congested and takes nothing for so long is ended.
const STALLED: Duration = Duration::from_secs(20);

/// What came of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// The peer has ended the stream.
    End,
    /// There may be more: others have their turn first.
    Full,
    /// There is no more for now.
    Drained,
}

/// A stream of either kind, in non-blocking use.
#[derive(Debug)]
pub(crate) enum Stream {
    Client(Socket),
    Tcp(TcpStream),
}

impl Stream {
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Client(socket) => socket.readable().await,
            Self::Tcp(stream) => stream.readable().await,
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Client(socket) => socket.writable().await,
            Self::Tcp(stream) => stream.writable().await,
        }
    }

    /// One read. Where it did not fill the buffer there is no more for now, and the stream is not readable until
    /// something comes: that saves the read that would only say so.
    pub(crate) fn try_read(&self, buffer: &mut bytes::BytesMut) -> io::Result<Read> {
        let space = (buffer.capacity() - buffer.len()).min(LONGEST);
        let count = match self {
            Self::Client(socket) => socket.try_read(buffer),
            Self::Tcp(stream) => stream.try_read_buf(buffer),
        }?;
        if count == 0 {
            return Ok(Read::End);
        }
        if count >= space {
            return Ok(Read::Full);
        }
        self.is_drained();
        Ok(Read::Drained)
    }

    fn is_drained(&self) {
        match self {
            Self::Client(socket) => socket.is_drained(),
            Self::Tcp(stream) => {
                let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                let _ = stream.try_io(Interest::READABLE, nothing);
            }
        }
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Client(socket) => socket.try_write(slices),
            Self::Tcp(stream) => stream.try_write_vectored(slices),
        }
    }
}

/// The writing side of a connection. Packets are queued in a turn and written together at its end; what the socket does
/// not take, the connection's task writes later.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: Rc<Stream>,
    queue: VecDeque<Vec<u8>>,
    /// Bytes in the queue.
    bytes: usize,
    /// When the socket last took something of a congested queue, or was last full before that.
    progress: Instant,
    /// Bytes of the first packet that are written already.
    written: usize,
    /// The task has to wait until the socket takes more.
    blocked: bool,
    /// Wakes the connection's task: there is something to write, or the connection is to end.
    pub(crate) wake: Rc<Notify>,
    /// Writing failed; the task ends the connection.
    pub(crate) broken: bool,
}

impl Link {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream: Rc::new(stream),
            queue: VecDeque::new(),
            bytes: 0,
            progress: Instant::now(),
            written: 0,
            blocked: false,
            wake: Rc::new(Notify::new()),
            broken: false,
        }
    }

    /// Queues a packet. True for the first one: the link has to be flushed at the end of the turn. Later ones go with
    /// it, or when the socket takes more.
    pub(crate) fn push(&mut self, packet: Vec<u8>) -> bool {
        self.bytes += packet.len();
        self.queue.push_back(packet);
        self.queue.len() == 1
    }

    /// When to give the connection up, if it is congested and takes nothing until then.
    pub(crate) fn congested_until(&self) -> Option<Instant> {
        (self.bytes > CONGESTED).then(|| self.progress + STALLED)
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether the task has to wait for the socket to take more.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The socket takes more, perhaps.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
        self.flush();
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) {
        while !self.queue.is_empty() && !self.blocked && !self.broken {
            match self.write_some() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.bytes <= CONGESTED {
                        self.progress = Instant::now();
                    }
                    self.blocked = true;
                    self.wake.notify_one();
                }
                Err(_) => {
                    self.broken = true;
                    self.wake.notify_one();
                }
            }
        }
    }

    fn write_some(&mut self) -> io::Result<()> {
        let mut slices = Vec::with_capacity(self.queue.len().min(BATCH));
        let mut skip = self.written;
        for packet in self.queue.iter().take(BATCH) {
            slices.push(IoSlice::new(&packet[skip..]));
            skip = 0;
        }
        let mut done = self.stream.try_write(&slices)? + self.written;
        if self.bytes > CONGESTED {
            self.progress = Instant::now();
        }
        while let Some(first) = self.queue.front() {
            if done < first.len() {
                break;
            }
            done -= first.len();
            self.bytes -= first.len();
            self.queue.pop_front();
        }
        self.written = done;
        Ok(())
    }
}

impl Drop for Link {
    /// What a deaf peer has made the heap grow by may lie below what is still in use.
    fn drop(&mut self) {
        if self.bytes >= LARGE {
            self.queue = VecDeque::new();
            sys::memory::give_back();
        }
    }
}

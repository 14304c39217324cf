//! A unix socket, watched for what comes, and only where it is full for room: the way of both ends, clients' and the
//! daemon's.
//!
//! The runtime's own stream is watched for both at all times. A peer that reads makes room in the socket: that would wake
//! this process once for nothing with every packet.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The most that one read takes.
pub const LONGEST: usize = 64 * 1024;

thread_local! {
    /// Where a read goes first: a connection's own buffer would have to be zeroed for each.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST]);
}

/// A connection, in non-blocking use.
#[derive(Debug)]
pub struct Socket(AsyncFd<UnixStream>);

/// A descriptor that the runtime watches for one thing only.
///
/// # Errors
/// What epoll_ctl(2) says.
#[expect(
    deprecated,
    reason = "an owned descriptor stays open for as long as it is registered; the successor is unsafe to call"
)]
pub fn watched<T: AsRawFd + Into<OwnedFd>>(owned: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owned, interest)
}

impl Socket {
    /// Uses a connection. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        watched(stream.into_std()?, Interest::READABLE).map(Self)
    }

    /// Waits until there may be something to read.
    ///
    /// # Errors
    /// The runtime ends.
    pub async fn readable(&self) -> io::Result<()> {
        self.0
            .readable()
            .await
            .map(|mut ready| ready.retain_ready())
    }

    /// Waits for room, which somebody does who had none.
    ///
    /// # Errors
    /// What dup(2) and epoll_ctl(2) say.
    pub async fn writable(&self) -> io::Result<()> {
        let again = self.0.get_ref().try_clone()?;
        let watched = watched(again, Interest::WRITABLE)?;
        watched
            .writable()
            .await
            .map(|mut ready| ready.retain_ready())
    }

    /// Appends what comes, at most as much as there is room for. 0 is the end. May be cancelled without losing anything.
    ///
    /// # Errors
    /// What read(2) says.
    pub async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let room = (buffer.capacity() - buffer.len()).min(LONGEST);
        loop {
            let mut ready = self.0.readable().await?;
            match append(ready.get_inner(), buffer, room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                // there is no more for now: that saves the read that would only say so
                Ok(count) if count > 0 && count < room => {
                    ready.clear_ready();
                    return Ok(count);
                }
                read => {
                    ready.retain_ready();
                    return read;
                }
            }
        }
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// What read(2) says; [`io::ErrorKind::WouldBlock`] if nothing has come.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let room = (buffer.capacity() - buffer.len()).min(LONGEST);
        let mut read = |socket: &UnixStream| append(socket, buffer, room);
        self.0.try_io(Interest::READABLE, &mut read)
    }

    /// There is no more for now: [`readable`](Self::readable) waits for what comes next. Only in a runtime of one thread:
    /// another one could have seen something new since the last read.
    pub fn is_drained(&self) {
        let nothing = |_: &UnixStream| Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = self.0.try_io(Interest::READABLE, nothing);
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// What writev(2) says; [`io::ErrorKind::WouldBlock`] if there is no room.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.get_ref().write_vectored(slices)
    }

    /// Nothing more is written.
    pub(crate) fn shut_down(&self) {
        // one that is gone needs no word
        let _ = self.0.get_ref().shutdown(Shutdown::Write);
    }
}

fn append(mut socket: &UnixStream, buffer: &mut BytesMut, room: usize) -> io::Result<usize> {
    SCRATCH.with_borrow_mut(|scratch| {
        let count = socket.read(&mut scratch[..room])?;
        buffer.extend_from_slice(&scratch[..count]);
        Ok(count)
    })
}

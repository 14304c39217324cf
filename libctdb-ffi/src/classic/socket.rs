//! The unix socket: never waits, never raises SIGPIPE.

use std::ffi::{CStr, OsStr};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

/// How much is read with one system call.
const CHUNK: usize = 64 * 1024;
/// How many of them in one turn, so that a flood of messages does not keep the application.
const TURNS: usize = 16;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: UnixStream,
    chunk: Box<[u8]>,
}

impl Socket {
    /// Connects, waiting for the daemon to take the connection.
    pub(super) fn connect(path: &CStr) -> io::Result<Self> {
        let stream = UnixStream::connect(OsStr::from_bytes(path.to_bytes())).map_err(|error| {
            // the one error that is not the system's
            match error.raw_os_error() {
                None => io::Error::from_raw_os_error(libc::ENAMETOOLONG),
                Some(_) => error,
            }
        })?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            chunk: vec![0; CHUNK].into_boxed_slice(),
        })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Writes what the socket takes now: how much that is.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match send(self.stream.as_raw_fd(), bytes, flags) {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            answer => Ok(answer?),
        }
    }

    /// Hands over what is there, up to a limit; false at the end of the stream.
    pub(super) fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        for _ in 0..TURNS {
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Ok(false),
                Ok(count) => take(&self.chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits until it can be read, or written if `writing`; the events in the numbers of poll(2), 0 after
    /// a signal or when the time is over.
    pub(super) fn wait(&self, writing: bool, limit: Option<Duration>) -> io::Result<i16> {
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, writing);
        let mut polled = [PollFd::new(self.stream.as_fd(), events)];
        // rounded up, so that the time is over when it wakes
        let limit = limit.map_or(PollTimeout::NONE, |limit| {
            let millis = limit.as_micros().div_ceil(1000);
            u16::try_from(millis).unwrap_or(u16::MAX).into()
        });
        match poll(&mut polled, limit) {
            Ok(_) => Ok(polled[0].revents().map_or(0, |events| events.bits())),
            Err(Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

//! A client's connection, watched for what comes, and only where it is full for room.
//!
//! The runtime's own stream is watched for both at all times. A local client that reads an answer makes room in the
//! socket: that would wake the daemon once for nothing with every packet.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use bytes::BytesMut;
use nix::sys::uio::writev;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use crate::watched::watched;

/// The most that one read takes.
pub(super) const LONGEST: usize = 64 * 1024;

thread_local! {
    /// Where a read goes first: a connection's own buffer would have to be zeroed for each.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST]);
}

/// The connection, in non-blocking use.
#[derive(Debug)]
pub(crate) struct ClientSocket(AsyncFd<OwnedFd>);

impl ClientSocket {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        let owned = OwnedFd::from(stream.into_std()?);
        watched(owned, Interest::READABLE).map(Self)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0
            .readable()
            .await
            .map(|mut ready| ready.retain_ready())
    }

    /// Waits for room, which somebody does who had none.
    pub(super) async fn writable(&self) -> io::Result<()> {
        let again = self.0.get_ref().try_clone()?;
        let watched = watched(again, Interest::WRITABLE)?;
        watched
            .writable()
            .await
            .map(|mut ready| ready.retain_ready())
    }

    /// Appends what has come, at most as much as there is room for.
    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let room = (buffer.capacity() - buffer.len()).min(LONGEST);
        SCRATCH.with_borrow_mut(|scratch| {
            let count = self.0.try_io(Interest::READABLE, |socket| {
                nix::unistd::read(socket, &mut scratch[..room]).map_err(io::Error::from)
            })?;
            buffer.extend_from_slice(&scratch[..count]);
            Ok(count)
        })
    }

    /// There is no more for now.
    pub(super) fn is_drained(&self) {
        let nothing = |_: &OwnedFd| Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = self.0.try_io(Interest::READABLE, nothing);
    }

    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(writev(self.0.get_ref().as_fd(), slices)?)
    }
}

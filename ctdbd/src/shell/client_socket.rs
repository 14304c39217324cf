//! A client's connection, watched for what comes, and only where it is full for room.
//!
//! The runtime's own stream is watched for both at all times. A local client that reads an answer makes room in the
//! socket: that would wake the daemon once for nothing with every packet.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use bytes::BytesMut;
use nix::sys::uio::writev;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use crate::watched::watched;

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
        let (begin, end) = (buffer.len(), buffer.capacity());
        buffer.resize(end, 0);
        let read = self.0.try_io(Interest::READABLE, |socket| {
            nix::unistd::read(socket, &mut buffer[begin..]).map_err(io::Error::from)
        });
        buffer.truncate(begin + *read.as_ref().unwrap_or(&0));
        read
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

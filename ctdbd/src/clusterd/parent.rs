//! Notices the end of ctdbd: it holds the other end of our standard input.

use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;

use nix::sys::stat::{SFlag, fstat};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Returns when standard input has ended; never if it is not a socket or a pipe (started by hand).
pub(super) async fn gone() {
    match watched() {
        Ok(Some(mut input)) => {
            let mut ignored = [0; 64];
            while matches!(input.read(&mut ignored).await, Ok(1..)) {}
        }
        Ok(None) => pending().await,
        Err(error) => {
            tracing::warn!(%error, "cannot watch standard input, the end of ctdbd will go unnoticed");
            pending().await
        }
    }
}

fn watched() -> io::Result<Option<Box<dyn AsyncRead + Unpin>>> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let kind = SFlag::from_bits_truncate(fstat(&stdin)?.st_mode) & SFlag::S_IFMT;
    Ok(match kind {
        SFlag::S_IFSOCK => {
            let socket = StdStream::from(stdin);
            socket.set_nonblocking(true)?;
            Some(Box::new(UnixStream::from_std(socket)?))
        }
        SFlag::S_IFIFO => Some(Box::new(pipe::Receiver::from_owned_fd(stdin)?)),
        _ => None,
    })
}

//! The framed connection: whole packets out and in, in order, and nothing else.
//!
//! Packets leave in the order of [`Outgoing::send`], which never waits, so that a caller that produces
//! a list of requests keeps its order. A task writes them, many with one system call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::UnixStream;
use tokio::net::unix::SocketAddr;
use tokio::sync::mpsc;
use wire::packet::{Packet, frame_length};

use crate::error::{Error, Result};
use crate::socket::Socket;

/// Packets that one `writev` takes at most.
const BATCH: usize = 64;
/// How much the incoming buffer grows at least, when it is nearly full.
const READ_CHUNK: usize = 64 * 1024;
/// Less room than this is not worth a system call.
const READ_AT_LEAST: usize = 4 * 1024;

/// Connects to the daemon's socket. `outgoing_limit`: see [`Limits::outgoing`](crate::Limits::outgoing).
///
/// # Errors
/// [`Error::Connect`].
pub async fn connect(path: &Path, outgoing_limit: usize) -> Result<(Outgoing, Incoming)> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| Error::Connect {
            path: path.to_owned(),
            source,
        })?;
    open(stream, outgoing_limit)
}

/// Uses a stream that is connected already. Must be called within a tokio runtime.
///
/// # Errors
/// [`Error::Connect`] if it cannot be watched.
pub fn open(stream: UnixStream, outgoing_limit: usize) -> Result<(Outgoing, Incoming)> {
    let peer = stream.peer_addr().ok();
    let path = peer.as_ref().and_then(SocketAddr::as_pathname);
    let path = path.map(Path::to_owned).unwrap_or_default();
    let socket = Socket::new(stream).map_err(|source| Error::Connect { path, source })?;
    let socket = Arc::new(socket);
    let (queue, packets) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    tokio::spawn(write_all(socket.clone(), packets, waiting.clone()));
    let outgoing = Outgoing {
        queue,
        waiting,
        limit: outgoing_limit,
    };
    let incoming = Incoming {
        socket,
        buffer: BytesMut::new(),
    };
    Ok((outgoing, incoming))
}

/// The sending end. When all clones are dropped, what was sent is still written, and then the
/// connection is shut down for writing.
#[derive(Clone, Debug)]
pub struct Outgoing {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    /// Bytes that were sent and not yet written.
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

impl Outgoing {
    /// Puts a packet at the end of the queue. A packet that is larger than the limit is taken if the
    /// queue is empty.
    ///
    /// # Errors
    /// [`Error::Backlog`], [`Error::Disconnected`].
    pub fn send(&self, packet: &Packet<'_>) -> Result<()> {
        let bytes = packet.to_bytes();
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting > 0 && waiting.saturating_add(bytes.len()) > self.limit {
            return Err(Error::Backlog { limit: self.limit });
        }
        self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        self.queue.send(bytes).map_err(|_| Error::Disconnected)
    }
}

/// The writing task: ends on an error of the socket, which the reader notices too.
async fn write_all(
    socket: Arc<Socket>,
    mut packets: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while packets.recv_many(&mut batch, BATCH).await > 0 {
        let size: usize = batch.iter().map(Vec::len).sum();
        if let Err(error) = write_batch(&socket, batch.drain(..)).await {
            tracing::debug!(%error, "cannot write to the daemon");
            break;
        }
        waiting.fetch_sub(size, Ordering::Relaxed);
    }
    socket.shut_down();
}

async fn write_batch(socket: &Socket, packets: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    let mut rest: VecDeque<Bytes> = packets.map(Bytes::from).collect();
    while !rest.is_empty() {
        let slices: Vec<IoSlice<'_>> = rest.iter().map(|packet| IoSlice::new(packet)).collect();
        let mut written = match socket.try_write(&slices) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                socket.writable().await?;
                continue;
            }
            written => written?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(first) = rest.front_mut()
            && written > 0
        {
            let part = written.min(first.len());
            first.advance(part);
            written -= part;
            if first.is_empty() {
                rest.pop_front();
            }
        }
    }
    Ok(())
}

/// The receiving end.
#[derive(Debug)]
pub struct Incoming {
    socket: Arc<Socket>,
    buffer: BytesMut,
}

impl Incoming {
    /// The next whole packet, still encoded. May be cancelled without losing anything.
    ///
    /// # Errors
    /// [`Error::Disconnected`] at the end of the stream, [`Error::Protocol`] if the length of a packet
    /// is impossible; there is no way to go on after either.
    pub async fn next(&mut self) -> Result<Bytes> {
        loop {
            if let Some(length) = frame_length(&self.buffer)?
                && self.buffer.len() >= length
            {
                return Ok(self.buffer.split_to(length).freeze());
            }
            // grows with what has arrived, not with what a length field promises
            if self.buffer.capacity() - self.buffer.len() < READ_AT_LEAST {
                self.buffer.reserve(READ_CHUNK);
            }
            match self.socket.read(&mut self.buffer).await {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Err(Error::Disconnected),
                Ok(_) => {}
            }
        }
    }
}

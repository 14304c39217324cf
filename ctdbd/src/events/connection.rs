//! Packets of the event daemon's protocol on its socket.

use std::io;
use std::path::Path;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{ReadHalf, WriteHalf};
use wire::ReqId;
use wire::event::{Reply, Request, frame_length};

/// A connection with the event daemon.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    received: BytesMut,
}

/// The half that answers come from.
#[derive(Debug)]
pub(super) struct Replies<'a> {
    stream: ReadHalf<'a>,
    received: &'a mut BytesMut,
}

impl Connection {
    pub(super) async fn open(socket: &Path) -> io::Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(socket).await?,
            received: BytesMut::new(),
        })
    }

    /// Both directions, each for itself: an event daemon that does not read may still be heard.
    pub(super) fn split(&mut self) -> (Replies<'_>, WriteHalf<'_>) {
        let (reader, writer) = self.stream.split();
        let replies = Replies {
            stream: reader,
            received: &mut self.received,
        };
        (replies, writer)
    }

    /// Asks, and waits for the answer; others are dropped.
    pub(super) async fn ask(&mut self, reqid: ReqId, request: &Request) -> io::Result<Reply> {
        let (mut replies, mut writer) = self.split();
        send(&mut writer, reqid, request).await?;
        loop {
            match replies.next().await? {
                (found, reply) if found == reqid => return Ok(reply),
                _ => {}
            }
        }
    }
}

/// Writes a request, as fast as it is taken.
pub(super) async fn send(
    writer: &mut WriteHalf<'_>,
    reqid: ReqId,
    request: &Request,
) -> io::Result<()> {
    let mut packet = Vec::new();
    request.encode(reqid, &mut packet);
    writer.write_all(&packet).await
}

impl Replies<'_> {
    /// The next answer. May be cancelled.
    ///
    /// # Errors
    /// The connection ended, or brought what is no answer.
    pub(super) async fn next(&mut self) -> io::Result<(ReqId, Reply)> {
        loop {
            let length = frame_length(self.received).map_err(io::Error::other)?;
            if let Some(length) = length.filter(|&length| length <= self.received.len()) {
                let packet = self.received.split_to(length);
                return Reply::decode(&packet).map_err(io::Error::other);
            }
            if self.stream.read_buf(self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

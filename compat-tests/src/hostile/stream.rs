//! Packets written and read by hand, on a stream of either kind.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wire::packet::{Body, ControlFlags, HEADER_SIZE, Header, Packet, ReqControl};
use wire::{ClientId, Generation, Pnn, ReqId, Srvid};

/// The longest answer that is taken.
const LONGEST: usize = 1 << 24;

/// Who sends to whom, as it stands in a packet's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    pub(super) from: Pnn,
    pub(super) to: Pnn,
    pub(super) generation: Generation,
    pub(super) reqid: ReqId,
}

impl Address {
    /// Writes it into a packet, as far as that has a header.
    pub(super) fn put_on(self, packet: &mut [u8]) {
        let Self {
            from,
            to,
            generation,
            reqid,
        } = self;
        let fields = [(12, generation.0), (20, to.0), (24, from.0), (28, reqid.0)];
        for (at, value) in fields {
            if let Some(field) = packet.get_mut(at..at + 4) {
                field.copy_from_slice(&value.to_ne_bytes());
            }
        }
    }

    /// A packet with that address.
    pub(super) fn packet(self, body: Body<'_>) -> Vec<u8> {
        let header = Header {
            generation: self.generation,
            operation: body.operation(),
            destination: self.to,
            source: self.from,
            reqid: self.reqid,
        };
        Packet::new(header, body).to_bytes()
    }

    /// A control with that address.
    pub(super) fn control(self, opcode: u32, srvid: Srvid, data: &[u8]) -> Vec<u8> {
        self.packet(Body::ReqControl(ReqControl {
            opcode,
            srvid,
            client: ClientId(0),
            flags: ControlFlags::empty(),
            data,
        }))
    }
}

/// What both kinds of streams can do.
pub(super) trait Wire: Read + Write {
    /// Nothing will be written any more.
    fn end_writing(&self) -> io::Result<()>;
    /// How long a read may take.
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

impl Wire for UnixStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

impl Wire for TcpStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

/// The next packet; none if the stream was ended.
pub(super) fn receive(stream: &mut impl Read) -> Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head) {
        Err(why) if is_end(&why) => return Ok(None),
        done => done.context("nothing comes")?,
    }
    let length = u32::from_ne_bytes(head) as usize;
    ensure!(
        (HEADER_SIZE..LONGEST).contains(&length),
        "an answer of {length} bytes"
    );
    let mut packet = vec![0; length];
    packet[..4].copy_from_slice(&head);
    match stream.read_exact(&mut packet[4..]) {
        Err(why) if is_end(&why) => Ok(None),
        done => done.context("half an answer").map(|()| Some(packet)),
    }
}

/// The peer has ended the stream, politely or not.
pub(super) fn is_end(why: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(why.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

/// Sends what must not be taken, and waits until the stream is ended.
///
/// # Errors
/// It is not.
pub(super) fn check_closed(mut stream: impl Wire, bytes: &[u8], ends: bool) -> Result<()> {
    let sent = stream.write_all(bytes);
    if let Err(why) = &sent {
        ensure!(is_end(why), "{why}");
        return Ok(());
    }
    if ends {
        // it may be ended already
        let _ = stream.end_writing();
    }
    while receive(&mut stream).context("is not cut off")?.is_some() {}
    Ok(())
}

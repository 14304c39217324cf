//! Packets: a header of 32 bytes, the fields of one operation, and up to 7 zeros.
//!
//! A decoded packet borrows its keys and data from the received bytes. Nodes send packets whose
//! length is a multiple of 8 and drop a peer that does not; clients of the socket (smbd) send any
//! length, so [`Packet::decode`] accepts it and the transport asks [`is_aligned`].

mod call;
mod control;
mod dmaster;
mod header;
mod message;

pub use call::{CallFlags, ReplyCall, ReplyError, ReqCall, function};
pub use control::{ControlFlags, ReplyControl, ReqControl};
pub use dmaster::{ReplyDmaster, ReqDmaster};
pub use header::{HEADER_SIZE, Header, MAGIC, MAX_PACKET, Operation, VERSION};
pub use header::{frame_length, is_aligned};
pub use message::{ReqKeepalive, ReqMessage, ReqTunnel, TunnelFlags};

use crate::coding::{DecodeError, Reader};
use header::{ALIGNMENT, Wrapped};

/// The longest fixed fields of an operation with the padding of C's structures, in bytes.
const FIXED_ROOM: usize = 40;

/// The fields of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Fetch a record, migrate it here, or run a function on it.
    ReqCall(ReqCall<'a>),
    /// The answer to a call.
    ReplyCall(ReplyCall<'a>),
    /// The data master hands a record to the lmaster, for another node.
    ReqDmaster(ReqDmaster<'a>),
    /// The lmaster hands a record to its new data master.
    ReplyDmaster(ReplyDmaster<'a>),
    /// A call that failed.
    ReplyError(ReplyError<'a>),
    /// A message to a [`crate::Srvid`].
    ReqMessage(ReqMessage<'a>),
    /// A control.
    ReqControl(ReqControl<'a>),
    /// The answer to a control.
    ReplyControl(ReplyControl<'a>),
    /// A sign of life between nodes.
    ReqKeepalive(ReqKeepalive),
    /// Data for a tunnel.
    ReqTunnel(ReqTunnel<'a>),
}

/// Runs the same expression on whichever operation it is.
macro_rules! each {
    ($body:expr, $inner:ident => $result:expr) => {
        match $body {
            Body::ReqCall($inner) => $result,
            Body::ReplyCall($inner) => $result,
            Body::ReqDmaster($inner) => $result,
            Body::ReplyDmaster($inner) => $result,
            Body::ReplyError($inner) => $result,
            Body::ReqMessage($inner) => $result,
            Body::ReqControl($inner) => $result,
            Body::ReplyControl($inner) => $result,
            Body::ReqKeepalive($inner) => $result,
            Body::ReqTunnel($inner) => $result,
        }
    };
}

impl<'a> Body<'a> {
    /// The operation that has these fields.
    pub fn operation(&self) -> Operation {
        match self {
            Self::ReqCall(_) => Operation::ReqCall,
            Self::ReplyCall(_) => Operation::ReplyCall,
            Self::ReqDmaster(_) => Operation::ReqDmaster,
            Self::ReplyDmaster(_) => Operation::ReplyDmaster,
            Self::ReplyError(_) => Operation::ReplyError,
            Self::ReqMessage(_) => Operation::ReqMessage,
            Self::ReqControl(_) => Operation::ReqControl,
            Self::ReplyControl(_) => Operation::ReplyControl,
            Self::ReqKeepalive(_) => Operation::ReqKeepalive,
            Self::ReqTunnel(_) => Operation::ReqTunnel,
        }
    }

    /// The size of C's structure for it with one byte of data, which no ctdbd's packet falls short
    /// of (`ctdbd_allocate_pkt`, 4.17.12).
    fn least_size(&self) -> usize {
        match self {
            Self::ReqDmaster(_) | Self::ReplyDmaster(_) | Self::ReqControl(_) => 64,
            Self::ReqCall(_) => 60,
            Self::ReqTunnel(_) => 56,
            Self::ReqMessage(_) | Self::ReplyControl(_) => 48,
            Self::ReplyCall(_) | Self::ReplyError(_) => 44,
            Self::ReqKeepalive(_) => 40,
        }
    }

    /// At least as much as the fields take, with the zeros behind them: enough to encode without
    /// growing a buffer.
    fn room(&self) -> usize {
        let variable = match self {
            Self::ReqCall(call) => call.key.len() + call.calldata.len(),
            Self::ReplyCall(reply) => reply.data.len(),
            Self::ReqDmaster(hand_over) => hand_over.key.len() + hand_over.data.len(),
            Self::ReplyDmaster(hand_over) => hand_over.key.len() + hand_over.data.len(),
            Self::ReplyError(error) => error.message.len(),
            Self::ReqMessage(message) => message.data.len(),
            Self::ReqControl(control) => control.data.len(),
            Self::ReplyControl(reply) => reply.data.len() + reply.error.len(),
            Self::ReqKeepalive(_) => 0,
            Self::ReqTunnel(tunnel) => tunnel.data.len(),
        };
        variable + FIXED_ROOM
    }

    fn decode(operation: Operation, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match operation {
            Operation::ReqCall => Self::ReqCall(ReqCall::decode(r)?),
            Operation::ReplyCall => Self::ReplyCall(ReplyCall::decode(r)?),
            Operation::ReqDmaster => Self::ReqDmaster(ReqDmaster::decode(r)?),
            Operation::ReplyDmaster => Self::ReplyDmaster(ReplyDmaster::decode(r)?),
            Operation::ReplyError => Self::ReplyError(ReplyError::decode(r)?),
            Operation::ReqMessage => Self::ReqMessage(ReqMessage::decode(r)?),
            Operation::ReqControl => Self::ReqControl(ReqControl::decode(r)?),
            Operation::ReplyControl => Self::ReplyControl(ReplyControl::decode(r)?),
            Operation::ReqKeepalive => Self::ReqKeepalive(ReqKeepalive::decode(r)?),
            Operation::ReqTunnel => Self::ReqTunnel(ReqTunnel::decode(r)?),
        })
    }
}

/// A whole packet. Its operation is the body's; `header.operation` is ignored when encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where from, where to, and which request.
    pub header: Header,
    /// What.
    pub body: Body<'a>,
}

impl<'a> Packet<'a> {
    /// A packet whose header agrees with its body.
    pub fn new(header: Header, body: Body<'a>) -> Self {
        Self {
            header: Header {
                operation: body.operation(),
                ..header
            },
            body,
        }
    }

    /// Reads a packet that fills `bytes` (see [`frame_length`]).
    ///
    /// # Errors
    /// If magic, version, operation or any length is wrong.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let Wrapped { length, header } = Wrapped::decode(&mut r)?;
        if length as usize != bytes.len() {
            return Err(DecodeError::Length {
                expected: "that of the bytes",
                found: length as usize,
            });
        }
        let body = Body::decode(header.operation, &mut r)?;
        Ok(Self { header, body })
    }

    /// Appends the packet, with zeros up to a multiple of 8, as a ctdbd must send it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(out, |length| {
            length
                .max(self.body.least_size())
                .next_multiple_of(ALIGNMENT)
        });
    }

    /// Appends the packet without padding, as smbd sends it to its own daemon.
    pub fn encode_unpadded(&self, out: &mut Vec<u8>) {
        self.encode_with(out, |length| length);
    }

    /// The packet's bytes alone, padded.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_SIZE + self.body.room());
        self.encode(&mut out);
        out
    }

    fn encode_with(&self, out: &mut Vec<u8>, padded: impl Fn(usize) -> usize) {
        let start = out.len();
        header::put(
            out,
            &Header {
                operation: self.body.operation(),
                ..self.header
            },
        );
        each!(&self.body, inner => inner.encode(out));
        let length = padded(out.len() - start);
        out.resize(start + length, 0);
        header::set_length(&mut out[start..]);
    }
}

/// A packet that can be kept after the received bytes are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketBuf(Vec<u8>);

impl PacketBuf {
    /// Keeps `bytes` if they are a packet.
    ///
    /// # Errors
    /// Those of [`Packet::decode`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        Packet::decode(&bytes)?;
        Ok(Self(bytes))
    }

    /// The packet.
    pub fn packet(&self) -> Packet<'_> {
        Packet::decode(&self.0).expect("checked when it was made")
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

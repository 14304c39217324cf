//! The header every packet begins with, and how packets are cut out of a stream.
//!
//! ```text
//! 0 length  4 "BDTC"  8 version  12 generation  16 operation  20 destination  24 source  28 reqid
//! ```

use serde::{Deserialize, Serialize};

use crate::coding::{DecodeError, Encode, Reader, wire_enum};
use crate::layout::layout;
use crate::{Generation, Pnn, ReqId};

/// Size of the header, in bytes.
pub const HEADER_SIZE: usize = 32;
/// "CTDB" as a number (protocol.h, 4.17.12).
pub const MAGIC: u32 = 0x4354_4442;
/// The protocol's version (CTDB_PROTOCOL, 4.17.12).
pub const VERSION: u32 = 1;
/// The longest packet that we accept, in bytes. Upstream has no limit; records are limited by
/// memory there, and a recovery sends a database in buffers of RecBufferSizeLimit (1 MB).
pub const MAX_PACKET: usize = 1 << 30;
/// What the length of a node's packet is a multiple of.
pub(super) const ALIGNMENT: usize = 8;

wire_enum! {
    /// What a packet is.
    pub enum Operation: "an operation (0-5, 7-10)" {
        /// See [`super::ReqCall`].
        ReqCall = 0,
        /// See [`super::ReplyCall`].
        ReplyCall = 1,
        /// See [`super::ReqDmaster`].
        ReqDmaster = 2,
        /// See [`super::ReplyDmaster`].
        ReplyDmaster = 3,
        /// See [`super::ReplyError`].
        ReplyError = 4,
        /// See [`super::ReqMessage`].
        ReqMessage = 5,
        /// See [`super::ReqControl`].
        ReqControl = 7,
        /// See [`super::ReplyControl`].
        ReplyControl = 8,
        /// See [`super::ReqKeepalive`].
        ReqKeepalive = 9,
        /// See [`super::ReqTunnel`].
        ReqTunnel = 10,
    }
}

/// What is said about a packet besides its length, magic and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The sender's generation; calls of another generation are dropped.
    pub generation: Generation,
    /// The kind of packet.
    pub operation: Operation,
    /// To which node, or nodes.
    pub destination: Pnn,
    /// From which node.
    pub source: Pnn,
    /// The request's number; a reply repeats it.
    pub reqid: ReqId,
}

layout! {
    Header "What every packet begins with: 32 bytes." {
        length: u32, "Of the whole packet, this header included.";
        magic: u32, "0x43544442; the bytes are `BDTC` on a little-endian machine.";
        version: u32, "1.";
        generation: Generation, "The sender's; calls between nodes of another generation are dropped. 1 is invalid.";
        operation: Operation, "What the packet is.";
        destination: Pnn, "To which node, or nodes.";
        source: Pnn, "From which node.";
        reqid: ReqId, "Chosen by who asks, repeated in the answer.";
    }
}

/// The header with the length in front.
pub(super) struct Wrapped {
    pub(super) length: u32,
    pub(super) header: Header,
}

impl Wrapped {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = r.at("Header", "length").u32()?;
        expect(r, "magic", MAGIC, "0x43544442")?;
        expect(r, "version", VERSION, "1")?;
        let header = Header {
            generation: r.at("Header", "generation").get()?,
            operation: r.at("Header", "operation").get()?,
            destination: r.at("Header", "destination").get()?,
            source: r.at("Header", "source").get()?,
            reqid: r.at("Header", "reqid").get()?,
        };
        Ok(Self { length, header })
    }
}

fn expect(
    r: &mut Reader<'_>,
    field: &'static str,
    value: u32,
    expected: &'static str,
) -> Result<(), DecodeError> {
    match r.at("Header", field).clone().u32()? {
        found if found == value => r.pad(4),
        found => Err(r.invalid(expected, found)),
    }
}

/// Appends a header whose length is not yet known.
pub(super) fn put(out: &mut Vec<u8>, header: &Header) {
    for word in [0, MAGIC, VERSION] {
        word.encode(out);
    }
    header.generation.encode(out);
    header.operation.encode(out);
    header.destination.encode(out);
    header.source.encode(out);
    header.reqid.encode(out);
}

/// Writes the length of `packet` into its header.
pub(super) fn set_length(packet: &mut [u8]) {
    let length = u32::try_from(packet.len()).expect("a packet fits the wire's 32 bits");
    packet[..4].copy_from_slice(&length.to_ne_bytes());
}

/// The length of the packet at the head of a stream, in bytes; `None` while fewer than 4 are there.
///
/// # Errors
/// [`DecodeError::Length`] if no packet can be that short, or if it is longer than [`MAX_PACKET`].
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some(head) = bytes.first_chunk() else {
        return Ok(None);
    };
    match u32::from_ne_bytes(*head) as usize {
        found if found < HEADER_SIZE => Err(DecodeError::Length {
            expected: "at least 32",
            found,
        }),
        found if found > MAX_PACKET => Err(DecodeError::Length {
            expected: "at most 1 GiB",
            found,
        }),
        length => Ok(Some(length)),
    }
}

/// Whether a packet of this length may come from another node.
pub fn is_aligned(length: usize) -> bool {
    length.is_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_bounded() {
        assert_eq!(frame_length(&[]), Ok(None));
        assert_eq!(frame_length(&[40, 0, 0]), Ok(None));
        assert_eq!(frame_length(&40u32.to_ne_bytes()), Ok(Some(40)));
        for wrong in [0, 31, MAX_PACKET as u32 + 1, u32::MAX] {
            assert!(frame_length(&wrong.to_ne_bytes()).is_err(), "{wrong}");
        }
    }
}

//! Frames: packets are cut out of streams, also of one that was joined in its middle.

use std::collections::BTreeMap;

use wire::coding::DecodeError;
use wire::control::Opcode;
use wire::packet::{Body, HEADER_SIZE, MAGIC, Packet, PacketBuf, frame_length};
use wire::{Pnn, ReqId, event};

use super::Chunk;

/// Whose packets they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Those of ctdbd, with its clients and between nodes.
    Ctdb,
    /// Those of the event daemon.
    Event,
}

/// A packet, or bytes where one should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When, as the capture says it.
    pub time: Option<String>,
    /// Which way of which connection.
    pub stream: String,
    /// How long, in bytes.
    pub length: usize,
    /// What.
    pub what: What,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A packet; if it is the answer to a control that was seen, with which one.
    Packet(PacketBuf, Option<Opcode>),
    /// A request to the event daemon.
    EventRequest(ReqId, event::Request),
    /// A reply of the event daemon.
    EventReply(ReqId, event::Reply),
    /// Bytes that are framed as a packet and are none.
    Malformed(DecodeError, Vec<u8>),
    /// Bytes that belong to no packet.
    Skipped,
}

/// The bytes of a way that make no whole packet yet.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Where a packet begins is not known.
    lost: bool,
}

/// All ways of all connections.
pub struct Streams {
    protocol: Protocol,
    buffers: BTreeMap<String, Buffer>,
    /// The controls that were asked, by stream and number, and by asking node and number.
    asked: BTreeMap<(String, ReqId), Opcode>,
}

impl Streams {
    /// No streams yet.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            buffers: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Takes bytes, and calls `each` with every packet that is now whole.
    pub fn take(&mut self, chunk: Chunk, mut each: impl FnMut(Seen)) {
        let buffer = self.buffers.entry(chunk.stream.clone()).or_default();
        if chunk.gap {
            buffer.bytes.clear();
            buffer.lost = true;
        }
        buffer.bytes.extend_from_slice(&chunk.bytes);
        while let Some((length, found)) = self.next(&chunk.stream) {
            each(Seen {
                time: chunk.time.clone(),
                stream: chunk.stream.clone(),
                length,
                what: found,
            });
        }
    }

    fn next(&mut self, stream: &str) -> Option<(usize, What)> {
        let buffer = self.buffers.get_mut(stream)?;
        match self.protocol {
            Protocol::Event => buffer.event(),
            Protocol::Ctdb => {
                let (length, mut what) = buffer.packet()?;
                if let What::Packet(packet, opcode) = &mut what {
                    *opcode = relate(&mut self.asked, stream, &packet.packet());
                }
                Some((length, what))
            }
        }
    }
}

/// Remembers which control is asked, or says which one is answered: on the other way of the same
/// connection, or, between nodes, on any, by the number of the node that asked.
fn relate(
    asked: &mut BTreeMap<(String, ReqId), Opcode>,
    stream: &str,
    packet: &Packet<'_>,
) -> Option<Opcode> {
    let reqid = packet.header.reqid;
    let node = |pnn: Pnn| (format!("node {pnn}"), reqid);
    match packet.body {
        Body::ReqControl(control) => {
            let opcode = Opcode::from_u32(control.opcode)?;
            asked.insert((stream.to_owned(), reqid), opcode);
            asked.insert(node(packet.header.source), opcode);
            None
        }
        Body::ReplyControl(_) => asked
            .remove(&(other_way(stream), reqid))
            .or_else(|| asked.remove(&node(packet.header.destination))),
        _ => None,
    }
}

/// The other way of a connection.
fn other_way(stream: &str) -> String {
    if let Some((from, to)) = stream.split_once(" > ") {
        return format!("{to} > {from}");
    }
    match stream.rsplit_once(' ') {
        Some((descriptor, "read")) => format!("{descriptor} write"),
        Some((descriptor, "write")) => format!("{descriptor} read"),
        _ => stream.to_owned(),
    }
}

impl Buffer {
    /// The next packet. Bytes that cannot begin one are skipped up to the next magic.
    fn packet(&mut self) -> Option<(usize, What)> {
        let head = self.bytes.first_chunk::<8>();
        let magic = head.map(|head| head[4..] == MAGIC.to_ne_bytes());
        let length = frame_length(&self.bytes);
        if self.lost || length.is_err() || magic == Some(false) {
            return self.find_packet();
        }
        let length = length.ok().flatten()?.max(HEADER_SIZE);
        let bytes = self.cut(length)?;
        Some(match Packet::decode(&bytes) {
            Err(error) => (length, What::Malformed(error, bytes)),
            Ok(_) => (length, What::Packet(PacketBuf::new(bytes).ok()?, None)),
        })
    }

    /// Skips to the next magic with a length in front that can be.
    fn find_packet(&mut self) -> Option<(usize, What)> {
        let is_packet = |head: &[u8]| {
            head[4..] == MAGIC.to_ne_bytes() && frame_length(head).is_ok_and(|it| it.is_some())
        };
        let found = self.bytes.windows(8).position(is_packet);
        self.lost = found.is_none();
        match found.unwrap_or(self.bytes.len().saturating_sub(7)) {
            0 if self.lost => None,
            0 => self.packet(),
            begin => self.cut(begin).map(|bytes| (bytes.len(), What::Skipped)),
        }
    }

    /// The next packet of the event daemon.
    fn event(&mut self) -> Option<(usize, What)> {
        let length = match event::frame_length(&self.bytes) {
            Ok(length) => length?,
            Err(_) => {
                let length = self.bytes.len();
                return self.cut(length).map(|_| (length, What::Skipped));
            }
        };
        let bytes = self.cut(length)?;
        let what = match (event::Request::decode(&bytes), event::Reply::decode(&bytes)) {
            (Ok((reqid, request)), _) if is_all(&request, reqid, &bytes) => {
                What::EventRequest(reqid, request)
            }
            (_, Ok((reqid, reply))) => What::EventReply(reqid, reply),
            (Ok((reqid, request)), _) => What::EventRequest(reqid, request),
            (Err(error), _) => What::Malformed(error, bytes),
        };
        Some((length, what))
    }

    /// Takes the first bytes out, if so many are there.
    fn cut(&mut self, length: usize) -> Option<Vec<u8>> {
        let rest = (length <= self.bytes.len()).then(|| self.bytes.split_off(length))?;
        Some(std::mem::replace(&mut self.bytes, rest))
    }
}

/// Whether a request is all that there is: a reply may read as one, but with something behind.
fn is_all(request: &event::Request, reqid: ReqId, bytes: &[u8]) -> bool {
    let mut again = Vec::new();
    request.encode(reqid, &mut again);
    again == bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Generation;
    use wire::packet::{Header, Operation, ReqKeepalive};

    fn keepalive() -> Vec<u8> {
        let header = Header {
            generation: Generation(5),
            operation: Operation::ReqKeepalive,
            destination: Pnn(1),
            source: Pnn(0),
            reqid: ReqId(0),
        };
        let body = Body::ReqKeepalive(ReqKeepalive {
            version: 0x0004_0011,
            uptime: 9,
        });
        Packet::new(header, body).to_bytes()
    }

    /// The lengths of what is seen when the bytes come in pieces; 0 for skipped ones.
    fn seen(bytes: &[u8], piece: usize) -> Vec<usize> {
        let mut streams = Streams::new(Protocol::Ctdb);
        let mut lengths = Vec::new();
        for bytes in bytes.chunks(piece) {
            let chunk = Chunk {
                time: None,
                stream: "s".into(),
                bytes: bytes.to_vec(),
                gap: false,
            };
            streams.take(chunk, |seen| {
                let is_packet = matches!(seen.what, What::Packet(..));
                lengths.push(if is_packet { seen.length } else { 0 });
            });
        }
        lengths
    }

    #[test]
    fn packets_are_cut_out_whatever_the_pieces() {
        let two = [keepalive(), keepalive()].concat();
        for piece in 1..two.len() {
            assert_eq!(seen(&two, piece), [40, 40], "pieces of {piece}");
        }
    }

    #[test]
    fn after_rubbish_the_next_packet_is_found() {
        for rubbish in [&b"x"[..], b"rubbish", &[0xff; 40], b"BDTC", b"aBDTCBDTCz"] {
            let bytes = [rubbish, &keepalive(), &keepalive()].concat();
            for piece in [1, 3, 7, bytes.len()] {
                let lengths = seen(&bytes, piece);
                let packets: Vec<_> = lengths.into_iter().filter(|length| *length > 0).collect();
                assert_eq!(packets, [40, 40], "{rubbish:?} in pieces of {piece}");
            }
        }
    }
}

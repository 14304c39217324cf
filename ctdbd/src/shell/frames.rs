//! Cutting packets out of a stream.

use bytes::BytesMut;
use wire::coding::DecodeError;
use wire::packet::frame_length;

/// Bytes read at once: a turn, after which others have theirs.
const TURN: usize = 64 * 1024;
/// Room for what comes from a connection that sends small packets, as nearly all do: the daemon's memory is locked.
const SMALL_TURN: usize = 8 * 1024;

/// A packet that is longer than this is handed over with the buffer that it has come in, and leaves none of its size behind.
const LARGE: usize = 128 * 1024;

/// The most that QueueBufferSize may ask for, for each connection.
const LARGEST_TURN: usize = 16 << 20;

/// Bytes that have come and are not a whole packet yet. It grows with what was received, never by what a length says.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes: BytesMut,
    /// Bytes that are read at once, at least if there are so many.
    turn: usize,
}

impl Frames {
    /// A new connection's. `queue_buffer_size` has effect where it asks for more than is read at once anyway.
    pub(crate) fn new(queue_buffer_size: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            turn: queue_buffer_size.clamp(SMALL_TURN, LARGEST_TURN),
        }
    }

    /// Where to read to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        let whole = frame_length(&self.bytes).ok().flatten().unwrap_or(0);
        let missing = whole.saturating_sub(self.bytes.len());
        let room = missing.clamp(self.turn, self.turn.max(TURN));
        self.bytes.reserve(room);
        &mut self.bytes
    }

    /// The next whole packet.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, DecodeError> {
        match frame_length(&self.bytes)? {
            Some(length) if length <= self.bytes.len() => {
                if length <= LARGE {
                    return Ok(Some(self.bytes.split_to(length).to_vec()));
                }
                let rest = BytesMut::from(&self.bytes[length..]);
                let mut packet = core::mem::replace(&mut self.bytes, rest);
                packet.truncate(length);
                Ok(Some(packet.into()))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::packet::{Body, Header, Operation, Packet, ReqKeepalive};
    use wire::{Generation, Pnn, ReqId};

    fn packet() -> Vec<u8> {
        let body = Body::ReqKeepalive(ReqKeepalive {
            version: 1,
            uptime: 2,
        });
        let header = Header {
            generation: Generation::INVALID,
            operation: Operation::ReqKeepalive,
            destination: Pnn(0),
            source: Pnn(1),
            reqid: ReqId(0),
        };
        Packet { header, body }.to_bytes()
    }

    #[test]
    fn queue_buffer_size_is_what_is_read_at_once_within_bounds() {
        for (size, expected) in [
            (0, SMALL_TURN),
            (1024, SMALL_TURN),
            (1 << 20, 1 << 20),
            (1 << 30, LARGEST_TURN),
        ] {
            let mut frames = Frames::new(size);
            let buffer = frames.buffer();
            assert_eq!(buffer.capacity() - buffer.len(), expected);
        }
    }

    #[test]
    fn packets_come_out_whole_however_they_came_in() {
        let mut frames = Frames::new(1024);
        let stream = [packet(), packet()].concat();
        let mut seen = 0;
        for byte in &stream {
            frames.buffer().extend_from_slice(&[*byte]);
            while let Some(found) = frames.next().unwrap() {
                assert_eq!(found, packet());
                seen += 1;
            }
        }
        assert_eq!(seen, 2);
    }

    #[test]
    fn a_large_packet_leaves_no_large_buffer_behind() {
        let mut frames = Frames::new(1024);
        let length = 8 << 20;
        let mut large = vec![0; length];
        large[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        frames.buffer().extend_from_slice(&large);
        frames.buffer().extend_from_slice(&packet());
        assert_eq!(frames.next().unwrap(), Some(large));
        assert!(frames.bytes.capacity() < LARGE);
        assert_eq!(frames.next().unwrap(), Some(packet()));
        let buffer = frames.buffer();
        assert!(buffer.capacity() < LARGE, "{}", buffer.capacity());
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        let mut frames = Frames::new(1024);
        frames.buffer().extend_from_slice(&[3, 0, 0, 0]);
        assert!(frames.next().is_err());
        let mut frames = Frames::new(1024);
        frames.buffer().extend_from_slice(&[0xff; 4]);
        assert!(frames.next().is_err());
    }
}

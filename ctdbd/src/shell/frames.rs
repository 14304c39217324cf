//! Cutting packets out of a stream.

use bytes::BytesMut;
use wire::coding::DecodeError;
use wire::packet::frame_length;

/// Bytes read at once: a turn, after which others have theirs.
const TURN: usize = 64 * 1024;
/// Room for what comes from a connection that sends small packets, as nearly all do: the daemon's memory is locked.
const SMALL_TURN: usize = 8 * 1024;

/// Bytes that have come and are not a whole packet yet. It grows with what was received, never by what a length says.
#[derive(Debug, Default)]
pub(crate) struct Frames(BytesMut);

impl Frames {
    /// Where to read to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        let whole = frame_length(&self.0).ok().flatten().unwrap_or(0);
        let missing = whole.saturating_sub(self.0.len());
        self.0.reserve(missing.clamp(SMALL_TURN, TURN));
        &mut self.0
    }

    /// The next whole packet.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, DecodeError> {
        match frame_length(&self.0)? {
            Some(length) if length <= self.0.len() => Ok(Some(self.0.split_to(length).to_vec())),
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
    fn packets_come_out_whole_however_they_came_in() {
        let mut frames = Frames::default();
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
    fn an_impossible_length_is_an_error() {
        let mut frames = Frames::default();
        frames.buffer().extend_from_slice(&[3, 0, 0, 0]);
        assert!(frames.next().is_err());
        let mut frames = Frames::default();
        frames.buffer().extend_from_slice(&[0xff; 4]);
        assert!(frames.next().is_err());
    }
}

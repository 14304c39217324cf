//! TCP streams out of frames: each way of a connection, in the order of its sequence numbers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Chunk;

/// Link types (tcpdump.org's list): loopback, Ethernet, raw IP, Linux "cooked" 1 and 2.
const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: [u32; 3] = [12, 14, 101];
const COOKED: u32 = 113;
const COOKED2: u32 = 276;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
const TCP: u8 = 6;
const SYN: u8 = 0x02;

/// Bytes that may wait for what is missing in front of them, before it counts as lost.
const MAX_WAITING: usize = 4 << 20;

/// One way of a connection.
type Way = (SocketAddr, SocketAddr);

/// All streams that go from or to a port.
pub(super) struct Reassembly {
    port: u16,
    ways: BTreeMap<Way, Stream>,
    chunks: Vec<Chunk>,
}

/// The state of one way.
#[derive(Default)]
struct Stream {
    next: Option<u32>,
    waiting: Vec<(u32, Vec<u8>)>,
}

/// What is looked at of a TCP segment.
struct Segment<'a> {
    way: Way,
    sequence: u32,
    syn: bool,
    data: &'a [u8],
}

impl Reassembly {
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            ways: BTreeMap::new(),
            chunks: Vec::new(),
        }
    }

    /// Takes a frame; one that is not TCP, or is cut, is ignored.
    pub(super) fn frame(&mut self, link: u32, time: Option<String>, frame: &[u8]) {
        let Some(segment) = segment(link, frame) else {
            return;
        };
        let (from, to) = segment.way;
        if from.port() != self.port && to.port() != self.port {
            return;
        }
        let stream = self.ways.entry(segment.way).or_default();
        for (gap, bytes) in stream.take(&segment) {
            self.chunks.push(Chunk {
                time: time.clone(),
                stream: format!("{from} > {to}"),
                bytes,
                gap,
            });
        }
    }

    /// What was read, and what still waited for something that never came.
    pub(super) fn finish(mut self) -> Vec<Chunk> {
        for ((from, to), mut stream) in self.ways {
            while let Some((gap, bytes)) = stream.skip() {
                self.chunks.push(Chunk {
                    time: None,
                    stream: format!("{from} > {to}"),
                    bytes,
                    gap,
                });
            }
        }
        self.chunks
    }
}

impl Stream {
    /// What can be read now, each with whether bytes are missing in front of it.
    fn take(&mut self, segment: &Segment<'_>) -> Vec<(bool, Vec<u8>)> {
        let mut out = Vec::new();
        if segment.syn {
            self.next = Some(segment.sequence.wrapping_add(1));
            self.waiting.clear();
            return out;
        }
        if segment.data.is_empty() {
            return out;
        }
        let seen = self.next.is_some();
        self.next.get_or_insert(segment.sequence);
        self.waiting.push((segment.sequence, segment.data.to_vec()));
        while let Some(bytes) = self.ready() {
            // the first bytes of a connection that was there before the capture
            out.push((!seen && out.is_empty(), bytes));
        }
        while self
            .waiting
            .iter()
            .map(|(_, bytes)| bytes.len())
            .sum::<usize>()
            > MAX_WAITING
        {
            out.extend(self.skip());
        }
        out
    }

    /// The bytes that come next, if they are there; repeated ones are dropped.
    fn ready(&mut self) -> Option<Vec<u8>> {
        let next = self.next?;
        loop {
            // how far behind `next` a segment begins; "negative" for what is yet to come
            let behind = |sequence: u32| next.wrapping_sub(sequence);
            let is_due = |(sequence, _): &(u32, Vec<u8>)| behind(*sequence) < 1 << 31;
            let due = self.waiting.iter().position(is_due)?;
            let (sequence, bytes) = self.waiting.swap_remove(due);
            if let Some(new) = bytes
                .get(behind(sequence) as usize..)
                .filter(|new| !new.is_empty())
            {
                self.next = Some(next.wrapping_add(new.len() as u32));
                return Some(new.to_vec());
            }
        }
    }

    /// Gives up what is missing, and goes on with the nearest that is there.
    fn skip(&mut self) -> Option<(bool, Vec<u8>)> {
        let next = self.next?;
        let nearest = self.waiting.iter().map(|(sequence, _)| *sequence);
        self.next = Some(nearest.min_by_key(|sequence| sequence.wrapping_sub(next))?);
        self.ready().map(|bytes| (true, bytes))
    }
}

fn segment(link: u32, frame: &[u8]) -> Option<Segment<'_>> {
    let packet = network(link, frame)?;
    let (from, to, tcp) = match packet.first()? >> 4 {
        4 => ipv4(packet)?,
        6 => ipv6(packet)?,
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*tcp.get(at..)?.first_chunk()?));
    let offset = usize::from(tcp.get(12)? >> 4) * 4;
    Some(Segment {
        way: (
            SocketAddr::new(from, port(0)?),
            SocketAddr::new(to, port(2)?),
        ),
        sequence: u32::from_be_bytes(*tcp.get(4..)?.first_chunk()?),
        syn: tcp.get(13)? & SYN != 0,
        data: tcp.get(offset.max(20)..)?,
    })
}

/// What the frame carries, if it is IP.
fn network(link: u32, frame: &[u8]) -> Option<&[u8]> {
    let kind = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    let ip = |kind: u16| kind == IPV4 || kind == IPV6;
    match link {
        NULL => frame.get(4..),
        link if RAW.contains(&link) => Some(frame),
        ETHERNET => {
            let mut at = 12;
            while VLAN.contains(&kind(at)?) {
                at += 4;
            }
            frame.get(at + 2..).filter(|_| kind(at).is_some_and(ip))
        }
        COOKED => frame.get(16..).filter(|_| kind(14).is_some_and(ip)),
        COOKED2 => frame.get(20..).filter(|_| kind(0).is_some_and(ip)),
        _ => None,
    }
}

/// Addresses and TCP of an IPv4 packet that is not a later fragment.
fn ipv4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = usize::from(packet[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
    let fragment = u16::from_be_bytes(*packet.get(6..)?.first_chunk()?) & 0x1fff;
    if *packet.get(9)? != TCP || fragment != 0 || header < 20 {
        return None;
    }
    // a card that joins segments may leave the length 0; behind it Ethernet may pad
    let end = if total == 0 {
        packet.len()
    } else {
        total.min(packet.len())
    };
    let addr = |at: usize| -> Option<IpAddr> {
        Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?).into())
    };
    Some((addr(12)?, addr(16)?, packet.get(header..end)?))
}

/// Addresses and TCP of an IPv6 packet without extension headers.
fn ipv6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let length = usize::from(u16::from_be_bytes(*packet.get(4..)?.first_chunk()?));
    if *packet.get(6)? != TCP {
        return None;
    }
    let end = if length == 0 {
        packet.len()
    } else {
        (40 + length).min(packet.len())
    };
    let addr = |at: usize| -> Option<IpAddr> {
        Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?).into())
    };
    Some((addr(8)?, addr(24)?, packet.get(40..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(stream: &mut Stream, sequence: u32, data: &[u8]) -> Vec<(bool, Vec<u8>)> {
        stream.take(&Segment {
            way: ("1.2.3.4:5".parse().unwrap(), "1.2.3.4:6".parse().unwrap()),
            sequence,
            syn: data == b"SYN",
            data,
        })
    }

    #[test]
    fn segments_come_in_order_once() {
        let mut stream = Stream::default();
        assert!(taken(&mut stream, u32::MAX - 1, b"SYN").is_empty());
        assert!(taken(&mut stream, 2, b"def").is_empty());
        let out = taken(&mut stream, u32::MAX, b"abc");
        assert_eq!(out, [(false, b"abc".to_vec()), (false, b"def".to_vec())]);
        assert!(taken(&mut stream, 2, b"def").is_empty());
        assert_eq!(taken(&mut stream, 4, b"fgh"), [(false, b"gh".to_vec())]);
    }

    #[test]
    fn what_is_lost_is_told() {
        let mut stream = Stream::default();
        assert_eq!(taken(&mut stream, 10, b"ab"), [(true, b"ab".to_vec())]);
        assert!(taken(&mut stream, 14, b"ef").is_empty());
        assert_eq!(stream.skip(), Some((true, b"ef".to_vec())));
        assert_eq!(stream.skip(), None);
    }

    #[test]
    fn a_cut_frame_is_ignored() {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0, 0x45, 0, 0, 43]);
        frame.extend([0, 0, 0, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([
            0x11, 0x1b, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0,
        ]);
        frame.extend(b"abc");
        let whole = segment(ETHERNET, &frame).unwrap();
        assert_eq!((whole.data, whole.way.0.port()), (&b"abc"[..], 4379));
        for length in 0..frame.len() - 3 {
            assert!(segment(ETHERNET, &frame[..length]).is_none(), "{length}");
        }
    }
}

//! The files of tcpdump: pcap in both byte orders and both resolutions, and pcapng.

use anyhow::{Context, Result, bail, ensure};

use super::Chunk;
use super::tcp::Reassembly;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// pcapng: a section's header, whose second word is the byte order.
const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// pcapng: the option with an interface's resolution of times.
const TIME_RESOLUTION: u16 = 9;
/// pcapng: an interface, a packet, a packet without a time.
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const SIMPLE_PACKET: u32 = 3;

/// Whether a file begins as one of these.
pub(super) fn is_pcap(input: &[u8]) -> bool {
    let Some(head) = input.first_chunk() else {
        return false;
    };
    let magic = u32::from_le_bytes(*head);
    let magics = [MICROSECONDS, NANOSECONDS, SECTION];
    magics.contains(&magic) || magics.contains(&magic.swap_bytes())
}

/// The TCP streams of a file.
pub(super) fn read(input: &[u8], port: u16) -> Result<Vec<Chunk>> {
    ensure!(is_pcap(input), "not a pcap file");
    let mut streams = Reassembly::new(port);
    if input.starts_with(&SECTION.to_le_bytes()) {
        pcapng(input, &mut streams)?;
    } else {
        pcap(input, &mut streams)?;
    }
    Ok(streams.finish())
}

/// A cursor that reads numbers in the file's byte order.
struct Numbers<'a> {
    rest: &'a [u8],
    big: bool,
}

impl<'a> Numbers<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).context("the file is cut")?;
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32> {
        let bytes = *self.take(4)?.first_chunk().context("four bytes")?;
        Ok(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn length(&mut self) -> Result<usize> {
        Ok(self.u32()? as usize)
    }
}

fn pcap(input: &[u8], streams: &mut Reassembly) -> Result<()> {
    let mut file = Numbers {
        rest: input,
        big: false,
    };
    let magic = file.u32()?;
    file.big = magic != MICROSECONDS && magic != NANOSECONDS;
    let nanoseconds = [magic, magic.swap_bytes()].contains(&NANOSECONDS);
    file.take(16)?;
    let link = file.u32()? & 0xffff;
    let mut clock = Clock::default();
    while !file.rest.is_empty() {
        let (seconds, fraction) = (file.u32()?, file.u32()?);
        let (length, _) = (file.length()?, file.u32()?);
        let fraction = fraction / if nanoseconds { 1000 } else { 1 };
        let time = clock.text(u64::from(seconds) * 1_000_000 + u64::from(fraction));
        streams.frame(link, Some(time), file.take(length)?);
    }
    Ok(())
}

fn pcapng(input: &[u8], streams: &mut Reassembly) -> Result<()> {
    let mut file = Numbers {
        rest: input,
        big: false,
    };
    let mut links = Vec::new();
    let mut clock = Clock::default();
    while !file.rest.is_empty() {
        let before = file.rest;
        if before.starts_with(&SECTION.to_le_bytes()) {
            let order = before.get(8..12).context("the file is cut")?;
            file.big = order != BYTE_ORDER.to_le_bytes();
            links.clear();
        }
        let (kind, length) = (file.u32()?, file.length()?);
        ensure!(
            length >= 12 && length.is_multiple_of(4),
            "a block of {length} bytes"
        );
        let rest = file.take(length - 8)?;
        let mut block = Numbers {
            rest: &rest[..rest.len() - 4],
            big: file.big,
        };
        match kind {
            INTERFACE => links.push(Interface::read(&mut block)?),
            PACKET => {
                let interface = block.length()?;
                let Some(interface) = links.get(interface) else {
                    bail!("a packet of an interface that is not there");
                };
                let ticks = u64::from(block.u32()?) << 32 | u64::from(block.u32()?);
                let time = clock.text(interface.micros(ticks));
                let (length, _) = (block.length()?, block.u32()?);
                streams.frame(interface.link, Some(time), block.take(length)?);
            }
            SIMPLE_PACKET => {
                let length = block.length()?.min(block.rest.len());
                let interface = links.first().context("a packet without an interface")?;
                streams.frame(interface.link, None, block.take(length)?);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What pcapng says of an interface.
struct Interface {
    link: u32,
    /// Ticks of its clock in a second.
    ticks: u64,
}

impl Interface {
    /// The resolution of times is an option: a power of ten, or with the highest bit of two.
    fn read(block: &mut Numbers<'_>) -> Result<Self> {
        let link = block.u32()? & 0xffff;
        block.u32()?;
        let mut ticks = 1_000_000;
        while block.rest.len() >= 4 {
            let head = block.u32()?.to_ne_bytes();
            let half = |at| u16::from_ne_bytes([head[at], head[at + 1]]);
            // the first half is the one that comes first in the file
            let (code, length) = match block.big == cfg!(target_endian = "big") {
                true => (half(0), half(2)),
                false => (half(2), half(0)),
            };
            let value = block.take(usize::from(length).next_multiple_of(4))?;
            if let (TIME_RESOLUTION, Some(&value)) = (code, value.first()) {
                let base = if value & 0x80 == 0 { 10u64 } else { 2 };
                ticks = base.saturating_pow(u32::from(value & 0x7f));
            }
        }
        Ok(Self { link, ticks })
    }

    fn micros(&self, ticks: u64) -> u64 {
        let micros = u128::from(ticks) * 1_000_000 / u128::from(self.ticks);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}

/// Times since the first packet.
#[derive(Default)]
struct Clock {
    first: Option<u64>,
}

impl Clock {
    fn text(&mut self, micros: u64) -> String {
        let since = micros.saturating_sub(*self.first.get_or_insert(micros));
        format!("{}.{:06}", since / 1_000_000, since % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one frame of 3 bytes that is no packet.
    fn file(order: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let words = [MICROSECONDS, 0x0004_0002, 0, 0, 65535, 1, 5, 6, 3, 3];
        let head: Vec<u8> = words.into_iter().flat_map(order).collect();
        [&head[..], &[1, 2, 3]].concat()
    }

    #[test]
    fn both_byte_orders_are_read() {
        for file in [file(u32::to_le_bytes), file(u32::to_be_bytes)] {
            assert!(is_pcap(&file));
            assert_eq!(read(&file, 4379).unwrap(), []);
            assert!(read(&file[..file.len() - 1], 4379).is_err());
        }
        assert!(!is_pcap(b"read(5"));
    }

    #[test]
    fn times_have_the_interfaces_resolution() {
        let options = [(1u32, 0), (TIME_RESOLUTION.into(), 9)];
        let options = options.map(|(code, value): (u32, u8)| (code | 1 << 16, value));
        let mut bytes = [1, 65535].map(u32::to_le_bytes).concat();
        for (head, value) in options {
            bytes.extend(head.to_le_bytes());
            bytes.extend([value, 0, 0, 0]);
        }
        let mut block = Numbers {
            rest: &bytes,
            big: false,
        };
        let interface = Interface::read(&mut block).unwrap();
        assert_eq!((interface.link, interface.micros(1_500_000)), (1, 1500));
    }

    #[test]
    fn a_block_that_is_too_short_is_an_error() {
        let words = [SECTION, 28, BYTE_ORDER, 1, 0, 0, 28, INTERFACE, 4];
        let file: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let error = read(&file, 4379).unwrap_err().to_string();
        assert_eq!(error, "a block of 4 bytes");
    }
}

//! Packets out of captures.
//!
//! ```text
//!  pcap, pcapng --> tcp --\
//!  strace -xx ------------>  Chunk --> Streams --> Seen --> one line, in full, or JSON
//!  hex -------------------/           (frames)            (print, value)
//! ```

mod hex;
mod pcap;
mod print;
mod strace;
mod stream;
mod tcp;
mod value;

pub use print::{Style, print};
pub use stream::{Protocol, Seen, Streams, What};

use anyhow::{Result, bail};

/// Bytes that went one way on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// When, as the capture says it.
    pub time: Option<String>,
    /// Which way of which connection: `10.0.0.1:4379 > 10.0.0.2:40000`, `fd 5 read`.
    pub stream: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Bytes are missing in front of these.
    pub gap: bool,
}

/// What a capture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What tcpdump writes: pcap or pcapng.
    Pcap,
    /// What `strace -xx` writes.
    Strace,
    /// Hexadecimal digits, in lines; an empty line is between two packets.
    Hex,
}

/// What a capture seems to be.
pub fn guess(input: &[u8]) -> Format {
    if pcap::is_pcap(input) {
        return Format::Pcap;
    }
    let begin = &input[..input.len().min(1 << 16)];
    let is_call = |line: &[u8]| line.contains(&b'(') && line.windows(2).any(|two| two == b"\\x");
    if begin.split(|&b| b == b'\n').any(is_call) {
        Format::Strace
    } else {
        Format::Hex
    }
}

/// The bytes of a capture, in the order in which they were sent or read. Of TCP only what goes from
/// or to `port` is looked at.
///
/// # Errors
/// If the capture is damaged, or not of that format.
pub fn read(format: Format, input: &[u8], port: u16) -> Result<Vec<Chunk>> {
    match format {
        Format::Pcap => pcap::read(input, port),
        Format::Strace | Format::Hex => {
            let Ok(text) = std::str::from_utf8(input) else {
                bail!("neither a pcap nor text");
            };
            match format {
                Format::Strace => Ok(strace::read(text)),
                _ => hex::read(text),
            }
        }
    }
}

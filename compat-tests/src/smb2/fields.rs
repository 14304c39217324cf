//! Little-endian fields of SMB2 packets, written in order and read at an offset.

use anyhow::{Context, Result};

/// A packet body under construction.
#[derive(Default)]
pub(super) struct Fields(pub(super) Vec<u8>);

impl Fields {
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.extend(value);
        self
    }

    /// A length that the format keeps in 16 bits. Ours are all short names and blobs.
    pub(super) fn len16(self, length: usize) -> Self {
        self.u16(u16::try_from(length).expect("names and blobs of the tests are short"))
    }

    /// A length that the format keeps in 32 bits.
    pub(super) fn len32(self, length: usize) -> Self {
        self.u32(u32::try_from(length).expect("names and blobs of the tests are short"))
    }
}

/// UTF-16, as every name in SMB2 is.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// `N` bytes at `offset`.
pub(super) fn array_at<const N: usize>(packet: &[u8], offset: usize) -> Result<[u8; N]> {
    packet
        .get(offset..offset + N)
        .and_then(|bytes| bytes.try_into().ok())
        .with_context(|| format!("SMB2 packet of {} bytes is too short", packet.len()))
}

pub(super) fn u16_at(packet: &[u8], offset: usize) -> Result<u16> {
    array_at(packet, offset).map(u16::from_le_bytes)
}

pub(super) fn u32_at(packet: &[u8], offset: usize) -> Result<u32> {
    array_at(packet, offset).map(u32::from_le_bytes)
}

pub(super) fn u64_at(packet: &[u8], offset: usize) -> Result<u64> {
    array_at(packet, offset).map(u64::from_le_bytes)
}

//! Packets made by hand, so that they can be wrong (layouts: protocol.h and protocol_packet.c,
//! 4.17.12). Fields are in host byte order, as on the wire.

use anyhow::{Context, Result, ensure};

const MAGIC: u32 = 0x4354_4442;
const PROTOCOL: u32 = 1;
const HEADER: u32 = 32;
const REQ_CALL: u32 = 0;
const REQ_DMASTER: u32 = 2;
const REQ_MESSAGE: u32 = 5;
const REQ_CONTROL: u32 = 7;
const REPLY_CONTROL: u32 = 8;
const REQ_KEEPALIVE: u32 = 9;
const REQ_TUNNEL: u32 = 10;
const CURRENT_NODE: u32 = 0xF000_0001;
const SET_VNNMAP: u32 = 6;
const DB_ATTACH: u32 = 18;
const UPDATE_RECORD: u32 = 63;
const TRANS3_COMMIT: u32 = 119;
const REQID: u32 = 77;

/// A bad packet, or the beginning of one.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

impl Case {
    /// The same from one node to another, so that its content is looked at.
    pub(super) fn addressed(mut self, from: usize, to: usize) -> Self {
        if self.bytes.len() >= HEADER as usize {
            self.bytes[20..24].copy_from_slice(&pnn(to).to_ne_bytes());
            self.bytes[24..28].copy_from_slice(&pnn(from).to_ne_bytes());
        }
        self
    }
}

fn pnn(number: usize) -> u32 {
    u32::try_from(number).expect("clusters of the tests are small")
}

/// Every kind of bad packet.
pub(super) fn all() -> Vec<Case> {
    let case = |name, bytes| Case { name, bytes };
    let most = u32::MAX;
    vec![
        case("rubbish", vec![0xFF; 64]),
        case("half a header", words(&[HEADER, MAGIC, PROTOCOL])),
        case("length 0", header(0, MAGIC, PROTOCOL, REQ_CONTROL)),
        case(
            "a length within the header",
            header(16, MAGIC, PROTOCOL, REQ_CONTROL),
        ),
        case(
            "a length of 2 GiB",
            header(i32::MAX as u32 & !7, MAGIC, PROTOCOL, REQ_CONTROL),
        ),
        case(
            "a length of no multiple of 8",
            header(33, MAGIC, PROTOCOL, REQ_CONTROL),
        ),
        case(
            "wrong magic",
            header(HEADER, 0x5443_4244, PROTOCOL, REQ_CONTROL),
        ),
        case(
            "wrong protocol version",
            header(HEADER, MAGIC, 2, REQ_CONTROL),
        ),
        case("an unknown operation", packet(99, &[])),
        case(
            "a control that ends with the header",
            packet(REQ_CONTROL, &[]),
        ),
        case(
            "a control that promises 4 GiB",
            control_words(DB_ATTACH, most, &[]),
        ),
        case(
            "a control that promises 8 bytes more",
            control_words(DB_ATTACH, 16, &[0, 0]),
        ),
        case(
            "a message that promises 4 GiB",
            packet(REQ_MESSAGE, &[0, 0, most]),
        ),
        case(
            "a call with a key of 4 GiB",
            packet(REQ_CALL, &[0, 1, 0, 0, most, 0]),
        ),
        case(
            "a call whose lengths wrap round",
            packet(REQ_CALL, &[0, 1, 0, 0, most - 7, 8]),
        ),
        case(
            "a dmaster request for no key",
            packet(REQ_DMASTER, &[1, 0, 0, 0, 0, most, most]),
        ),
        case(
            "a tunnel packet that promises 4 GiB",
            packet(REQ_TUNNEL, &[0, 0, 0, most]),
        ),
        case("an empty tunnel packet", packet(REQ_TUNNEL, &[])),
        case(
            "an answer that nobody waits for",
            packet(REPLY_CONTROL, &[0, most, most]),
        ),
        case(
            "a keepalive without a body's end",
            packet(REQ_KEEPALIVE, &[0]),
        ),
        case(
            "a VNN map of 2^30 nodes",
            control_words(SET_VNNMAP, 8, &[7, 1 << 30]),
        ),
        case(
            "a database name without an end",
            control_words(DB_ATTACH, 4, &[0x6161_6161]),
        ),
        case(
            "a record buffer of 2^31 records",
            control_words(UPDATE_RECORD, 8, &[1, 1 << 31]),
        ),
        case(
            "a record longer than its buffer",
            control_words(TRANS3_COMMIT, 16, &[1, 1, most, 0]),
        ),
    ]
}

/// A good control that only asks who is there.
pub(super) fn honest(to: usize) -> Vec<u8> {
    control(35, to, &[])
}

/// A control of a client, with its data.
pub(super) fn control(opcode: u32, to: usize, data: &[u32]) -> Vec<u8> {
    let length = u32::try_from(data.len() * 4).expect("short");
    let mut packet = control_words(opcode, length, data);
    packet[20..24].copy_from_slice(&pnn(to).to_ne_bytes());
    packet
}

/// The status in a REPLY_CONTROL.
pub(super) fn reply_status(packet: &[u8]) -> Result<i32> {
    let operation: [u8; 4] = packet.get(16..20).context("short answer")?.try_into()?;
    let operation = u32::from_ne_bytes(operation);
    ensure!(
        operation == REPLY_CONTROL,
        "answered with operation {operation}"
    );
    let status: [u8; 4] = packet.get(32..36).context("short answer")?.try_into()?;
    Ok(i32::from_ne_bytes(status))
}

/// A control that says it carries `length` bytes of data.
fn control_words(opcode: u32, length: u32, data: &[u32]) -> Vec<u8> {
    let (pad, srvid, client, flags) = (0, [0, 0], 0, 0);
    let fixed = [opcode, pad, srvid[0], srvid[1], client, flags, length];
    packet(REQ_CONTROL, &[&fixed, data].concat())
}

/// A packet with a good header, padded to 8.
fn packet(operation: u32, body: &[u32]) -> Vec<u8> {
    let mut body = words(body);
    body.resize(body.len().next_multiple_of(8), 0);
    let length = HEADER + u32::try_from(body.len()).expect("short");
    [header(length, MAGIC, PROTOCOL, operation), body].concat()
}

fn header(length: u32, magic: u32, version: u32, operation: u32) -> Vec<u8> {
    let generation = 0;
    words(&[
        length,
        magic,
        version,
        generation,
        operation,
        CURRENT_NODE,
        CURRENT_NODE,
        REQID,
    ])
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_packet_has_the_length_it_says() {
        let packet = honest(3);
        let length = u32::from_ne_bytes(packet[..4].try_into().unwrap());
        assert_eq!(length as usize, packet.len());
        assert_eq!(packet.len() % 8, 0);
        assert_eq!(packet[20], 3);
    }

    #[test]
    fn the_status_of_anything_but_an_answer_is_an_error() {
        assert!(reply_status(&honest(0)).is_err());
        assert!(reply_status(&[]).is_err());
        let packet = packet(REPLY_CONTROL, &[5, 0, 0]);
        assert_eq!(reply_status(&packet).unwrap(), 5);
    }
}

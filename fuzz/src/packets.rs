//! What comes over sockets.

use wire::coding::{Decode, Encode};
use wire::control::{Opcode, Reply, Request};
use wire::message::Message;
use wire::packet::{Body, Packet, frame_length};
use wire::types::RecBuffer;
use wire::{Srvid, event};

/// The longest packet that a stream waits for, so that time goes into packets and not into waiting.
const LONGEST: usize = 1 << 16;

/// Cuts packets out of a stream as a daemon does; the first wrong length ends it.
pub(crate) fn stream(mut bytes: &[u8]) {
    while let Ok(Some(length)) = frame_length(bytes) {
        let Some((frame, rest)) = bytes.split_at_checked(length.min(LONGEST)) else {
            return;
        };
        packet(frame);
        bytes = rest;
    }
}

/// A packet comes back, padded or not; and so does what is in it.
pub(crate) fn packet(bytes: &[u8]) {
    let Ok(found) = Packet::decode(bytes) else {
        return;
    };
    let mut tight = Vec::new();
    found.encode_unpadded(&mut tight);
    // a sender may append what it likes
    assert!(tight.len() <= bytes.len().max(40));
    assert_eq!(Packet::decode(&tight), Ok(found));
    let padded = found.to_bytes();
    let again = Packet::decode(&padded).expect("our own bytes");
    assert_eq!(again.header, found.header);
    match found.body {
        Body::ReqControl(control) => settle_request(control.opcode, control.srvid, control.data),
        Body::ReqMessage(message) => settle_message(message.srvid, message.data),
        _ => {}
    }
}

/// A request by its number.
pub(crate) fn request(bytes: &[u8]) {
    if let Some((opcode, rest)) = bytes.split_first_chunk()
        && let Some((srvid, data)) = rest.split_first_chunk()
    {
        let srvid = Srvid(u64::from_ne_bytes(*srvid));
        settle_request(number(*opcode), srvid, data);
    }
}

fn settle_request(opcode: u32, srvid: Srvid, data: &[u8]) {
    let Ok(request) = Request::decode(opcode, srvid, data) else {
        return;
    };
    assert_eq!(request.opcode().number(), opcode);
    let mut written = Vec::new();
    request.encode(&mut written);
    let again = Request::decode(opcode, request.srvid(), &written).expect("our own bytes");
    // as text, since NaN is not itself
    assert_eq!(format!("{request:?}"), format!("{again:?}"));
}

/// A reply by its number. Bytes behind it are ignored, so it may be written shorter.
pub(crate) fn reply(bytes: &[u8]) {
    let Some((opcode, data)) = bytes.split_first_chunk() else {
        return;
    };
    let Some(opcode) = Opcode::from_u32(number(*opcode)) else {
        return;
    };
    if let Ok(reply) = Reply::decode(opcode, data) {
        let mut written = Vec::new();
        reply.encode(&mut written);
        let again = Reply::decode(opcode, &written).expect("our own bytes");
        assert_eq!(format!("{reply:?}"), format!("{again:?}"));
    }
}

/// The opcode: most numbers are none, so those above are folded into the table.
fn number(bytes: [u8; 4]) -> u32 {
    let number = u32::from_ne_bytes(bytes);
    if number < 1 << 16 {
        number % 170
    } else {
        number
    }
}

/// A message by its address.
pub(crate) fn message(bytes: &[u8]) {
    if let Some((srvid, data)) = bytes.split_first_chunk() {
        settle_message(Srvid(u64::from_ne_bytes(*srvid)), data);
    }
}

fn settle_message(srvid: Srvid, data: &[u8]) {
    if let Ok(message) = Message::decode(srvid, data) {
        assert_eq!(message.srvid(), srvid);
        assert_eq!(Message::decode(srvid, &message.to_bytes()), Ok(message));
    }
}

/// A buffer that was read can be walked, and made again from its records.
pub(crate) fn records(bytes: &[u8]) {
    let Ok(buffer) = RecBuffer::from_bytes(bytes) else {
        return;
    };
    assert_eq!(buffer.to_bytes(), bytes);
    let mut again = RecBuffer::new(buffer.db);
    for record in buffer.records() {
        let record = record.expect("checked when it was read");
        let _ = record.with_header();
        again.push(record.reqid, None, record.key, record.data);
    }
    assert_eq!(again, buffer);
}

/// The event daemon's socket, both ways.
pub(crate) fn event(mut bytes: &[u8]) {
    while let Ok(Some(length)) = event::frame_length(bytes) {
        let Some((frame, rest)) = bytes.split_at_checked(length) else {
            return;
        };
        if let Ok((reqid, request)) = event::Request::decode(frame) {
            let mut written = Vec::new();
            request.encode(reqid, &mut written);
            assert_eq!(event::Request::decode(&written), Ok((reqid, request)));
        }
        if let Ok((reqid, reply)) = event::Reply::decode(frame) {
            let mut written = Vec::new();
            reply.encode(reqid, &mut written);
            assert_eq!(event::Reply::decode(&written), Ok((reqid, reply)));
        }
        bytes = rest;
    }
}

//! Packets of real programs, decoded and written again, byte for byte.
//!
//! `golden/*.hex` has one sample of each kind: a comment that says who sent it, a title, and the
//! bytes. The title names the operation, and the control or message address if there is one.

use wire::control::{Opcode, Reply, Request, TABLE};
use wire::message::Message;
use wire::packet::{Body, Packet};
use wire::types::{DbStatistics, HOT_KEYS};

struct Sample {
    file: &'static str,
    title: String,
    bytes: Vec<u8>,
}

macro_rules! golden {
    ($($file:literal)*) => { [$( ($file, include_str!(concat!("golden/", $file, ".hex"))) ),*] };
}

fn samples() -> Vec<Sample> {
    let files = golden! {
        "client-messages" "client-packets" "client-replies" "client-requests"
        "node-messages" "node-packets" "node-replies" "node-requests"
        "recoverd-messages" "recoverd-packets" "recoverd-replies" "recoverd-requests"
    };
    let entries = |(file, text): (_, &'static str)| {
        text.split("\n\n")
            .filter_map(move |entry| parse(file, entry))
    };
    files.into_iter().flat_map(entries).collect()
}

fn parse(file: &'static str, entry: &str) -> Option<Sample> {
    let mut lines = entry.lines().filter(|line| !line.starts_with('#'));
    let title = lines.next()?.to_owned();
    let digits: Vec<u8> = lines.flat_map(str::bytes).filter(|b| *b != b' ').collect();
    let bytes = digits
        .chunks(2)
        .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
        .collect();
    Some(Sample { file, title, bytes })
}

fn nibble(digit: u8) -> u8 {
    char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8
}

impl Sample {
    fn packet(&self) -> Packet<'_> {
        Packet::decode(&self.bytes).unwrap_or_else(|error| panic!("{}: {error}", self.title))
    }

    /// The title without the operation.
    fn subject(&self) -> &str {
        self.title.split(' ').nth(1).unwrap_or("")
    }

    fn opcode(&self) -> Opcode {
        let info = TABLE.iter().find(|info| info.name == self.subject());
        Opcode::from_u32(info.expect("a known control").opcode).expect("in the table")
    }
}

#[test]
fn packets_are_written_as_they_came() {
    for sample in samples() {
        let packet = sample.packet();
        let mut again = Vec::new();
        if wire::packet::is_aligned(sample.bytes.len()) {
            packet.encode(&mut again);
        } else {
            packet.encode_unpadded(&mut again);
        }
        assert_eq!(again, sample.bytes, "{} ({})", sample.title, sample.file);
    }
}

#[test]
fn nodes_send_whole_words() {
    for sample in samples()
        .iter()
        .filter(|sample| sample.file.starts_with("node"))
    {
        assert!(
            wire::packet::is_aligned(sample.bytes.len()),
            "{}",
            sample.title
        );
    }
}

#[test]
fn requests_are_written_as_they_came() {
    let mut seen = 0;
    for sample in samples() {
        let Body::ReqControl(control) = sample.packet().body else {
            continue;
        };
        let request = Request::decode(control.opcode, control.srvid, control.data);
        let request = request.unwrap_or_else(|error| panic!("{}: {error}", sample.title));
        assert_eq!(request.opcode(), sample.opcode());
        let mut again = Vec::new();
        request.encode(&mut again);
        let sent = match request {
            Request::TcpClient(_) => clean_addresses(control.data),
            _ => control.data.to_vec(),
        };
        assert_eq!(again, sent, "{request:?}");
        seen += 1;
    }
    assert!(seen > 80, "only {seen} samples");
}

#[test]
fn replies_are_written_as_they_came() {
    let mut seen = 0;
    for sample in samples() {
        let Body::ReplyControl(control) = sample.packet().body else {
            continue;
        };
        if control.status < 0 {
            continue;
        }
        let reply = Reply::decode(sample.opcode(), control.data);
        let reply = reply.unwrap_or_else(|error| panic!("{}: {error}", sample.title));
        let mut again = Vec::new();
        reply.encode(&mut again);
        assert_eq!(again, without_pointers(&reply, control.data), "{reply:?}");
        seen += 1;
    }
    assert!(seen > 70, "only {seen} samples");
}

/// smbd sends whatever was in its memory behind an IPv4 address; we send zeros.
fn clean_addresses(data: &[u8]) -> Vec<u8> {
    data.chunks(28)
        .flat_map(|addr| [&addr[..8], &[0; 20]].concat())
        .collect()
}

/// C sends the addresses of its hot keys along; we send zeros.
fn without_pointers(reply: &Reply, data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    if let Reply::GetDbStatistics(DbStatistics { .. }) = reply {
        for key in 0..HOT_KEYS {
            let pointer = 224 + 24 * key + 8;
            data[pointer..pointer + 8].fill(0);
        }
    }
    data
}

#[test]
fn messages_are_written_as_they_came() {
    for sample in samples() {
        let Body::ReqMessage(message) = sample.packet().body else {
            continue;
        };
        let decoded = Message::decode(message.srvid, message.data);
        let decoded = decoded.unwrap_or_else(|error| panic!("{}: {error}", sample.title));
        assert_eq!(decoded.to_bytes(), message.data, "{decoded:?}");
    }
}

#[test]
fn each_operation_was_seen() {
    let samples = samples();
    for operation in [
        "REQ_CALL",
        "REPLY_CALL",
        "REQ_DMASTER",
        "REPLY_DMASTER",
        "REPLY_ERROR",
        "REQ_MESSAGE",
        "REQ_CONTROL",
        "REPLY_CONTROL",
        "REQ_KEEPALIVE",
        "REQ_TUNNEL",
    ] {
        let seen = samples
            .iter()
            .any(|sample| sample.title.split(' ').next() == Some(operation));
        assert!(seen, "{operation}");
    }
}

//! Packets of real programs, decoded and written again, byte for byte.
//!
//! `golden/*.hex` has one sample of each kind.
mod samples;

use samples::{Sample, others, packets as samples};
use wire::backup::{Backup, put_buffer};
use wire::coding::Encode;
use wire::control::{Opcode, Reply, Request, TABLE};
use wire::message::Message;
use wire::packet::{Body, Packet};
use wire::types::{DbStatistics, HOT_KEYS, RecBuffer};

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
            Request::TraverseAllExt(_) => clean_end(control.data),
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

/// So does the C daemon behind the last field; that is one byte.
fn clean_end(data: &[u8]) -> Vec<u8> {
    let (fields, pad) = data.split_at(data.len() - 7);
    [fields, &vec![0; pad.len()]].concat()
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

#[test]
fn event_packets_are_written_as_they_came() {
    use wire::event::{Reply, Request};
    let mut seen = Vec::new();
    for sample in others().iter().filter(|sample| sample.file == "events") {
        let mut again = Vec::new();
        let command = if sample.title.starts_with("EVENT_REQUEST") {
            let (reqid, request) = Request::decode(&sample.bytes).expect(&sample.title);
            request.encode(reqid, &mut again);
            request.command()
        } else {
            let (reqid, reply) = Reply::decode(&sample.bytes).expect(&sample.title);
            reply.encode(reqid, &mut again);
            reply.command()
        };
        assert_eq!(again, sample.bytes, "{}", sample.title);
        let named = sample.subject().to_lowercase();
        assert_eq!(format!("{command:?}").to_lowercase(), named);
        seen.push(sample.title.clone());
    }
    for title in [
        "EVENT_REQUEST RUN",
        "EVENT_REQUEST STATUS",
        "EVENT_REPLY RUN",
    ] {
        assert!(seen.iter().any(|seen| seen == title), "{title}");
    }
}

#[test]
fn backups_are_written_as_they_were() {
    for sample in others().iter().filter(|sample| sample.file == "backups") {
        let backup = Backup::new(&sample.bytes).expect(&sample.title);
        assert_eq!(backup.check(), Ok(backup.header.nrec));
        assert_eq!(backup.header.name.0, sample.subject());
        let mut again = backup.header.to_bytes();
        let copy = |head: wire::backup::BackupBuffer, records: wire::types::Records<'_>| {
            let mut buffer = RecBuffer::new(head.db);
            for record in records {
                let record = record?.with_header()?;
                buffer.push(record.reqid, record.header, record.key, record.data);
            }
            put_buffer(&mut again, &buffer);
            Ok::<_, wire::coding::DecodeError>(())
        };
        backup.each_buffer(copy).expect(&sample.title);
        assert_eq!(again, sample.bytes, "{}", sample.title);
    }
}

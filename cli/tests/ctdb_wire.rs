//! `ctdb-wire` on the samples of real programs, and on a capture put together from them.
#![expect(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::io::Write;
use std::process::{Command, Stdio};

/// Samples of requests and of their replies.
const REQUESTS: &str = include_str!("../../wire/tests/golden/client-requests.hex");
const MESSAGES: &str = include_str!("../../wire/tests/golden/node-messages.hex");
const EVENTS: &str = include_str!("../../wire/tests/golden/events.hex");

/// What it prints, and its exit status.
fn run(arguments: &[&str], input: &[u8]) -> (String, i32) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_ctdb-wire"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    let output = process.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text, output.status.code().unwrap())
}

/// The bytes of the sample with this title.
fn sample(title: &str) -> Vec<u8> {
    let titled = |entry: &&str| entry.lines().any(|line| line == title);
    let entry = REQUESTS.split("\n\n").find(titled).expect(title);
    let digits: String = entry
        .lines()
        .skip_while(|line| *line != title)
        .skip(1)
        .flat_map(|line| line.chars().filter(|c| *c != ' '))
        .collect();
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[test]
fn every_sample_is_a_packet() {
    for text in [REQUESTS, MESSAGES] {
        let (lines, status) = run(&[], text.as_bytes());
        let samples = text.split("\n\n").filter(|entry| !entry.trim().is_empty());
        assert_eq!(lines.lines().count(), samples.count());
        assert!(
            !lines.contains("MALFORMED") && !lines.contains("SKIPPED"),
            "{lines}"
        );
        assert!(!lines.contains("error="), "{lines}");
        assert_eq!(status, 0);
    }
    let (lines, _) = run(&["--event"], EVENTS.as_bytes());
    assert!(
        lines.contains("EVENT_REQUEST RUN reqid=2147483448 component=\"legacy\" event=\"startup\""),
        "{lines}"
    );
    let (full, _) = run(&["--event", "-v"], EVENTS.as_bytes());
    assert!(full.contains("\n    summary: 3\n"), "{full}");
}

#[test]
fn a_request_is_told_in_three_styles() {
    let attach = sample("REQ_CONTROL DB_ATTACH");
    let hex: String = attach.iter().map(|byte| format!("{byte:02x}")).collect();
    let (line, _) = run(&[], hex.as_bytes());
    assert!(
        line.contains("REQ_CONTROL DB_ATTACH") && line.contains("request=\"t.tdb\""),
        "{line}"
    );
    let (full, _) = run(&["-v"], hex.as_bytes());
    assert!(full.contains("\n    request: \"t.tdb\"\n"), "{full}");
    let (json, _) = run(&["--json"], hex.as_bytes());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["content"]["request"], "t.tdb");
    assert_eq!(json["length"], attach.len());
}

#[test]
fn an_answer_is_read_with_the_help_of_the_question() {
    let escaped = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|b| format!("\\x{b:02x}"))
            .collect::<String>()
    };
    let request = sample("REQ_CONTROL DB_ATTACH");
    let mut reply = [48u32, 0x4354_4442, 1, 5, 8, 0, 0, 0, 0, 4, 0, 0xbbcb_401d]
        .map(u32::to_ne_bytes)
        .concat();
    reply[28..32].copy_from_slice(&request[28..32]);
    let strace = format!(
        "write(3, \"{}\", {}) = {}\nread(3, \"{}\"..., 4096) = 4\nread(3, \"{}\", 4096) = 44\n",
        escaped(&request),
        request.len(),
        request.len(),
        escaped(&reply[..4]),
        escaped(&reply[4..]),
    );
    let (lines, status) = run(&[], strace.replace("\"...", "\"").as_bytes());
    let last = lines.lines().last().unwrap();
    assert!(last.contains("REPLY_CONTROL DB_ATTACH"), "{lines}");
    assert!(last.contains("reply=\"0xbbcb401d\""), "{last}");
    assert_eq!(status, 0);
}

/// Ethernet, IPv4 and TCP around bytes, as frames of a pcap.
fn pcap(segments: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file: Vec<u8> = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 1]
        .map(u32::to_le_bytes)
        .concat();
    for (sequence, data) in segments {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend((40 + data.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0x99, 0x99, 0x11, 0x1b]);
        frame.extend(sequence.to_be_bytes());
        frame.extend([0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
        frame.extend(*data);
        let length = frame.len() as u32;
        file.extend([1700, 5, length, length].map(u32::to_le_bytes).concat());
        file.extend(frame);
    }
    file
}

#[test]
fn a_stream_is_put_together_from_a_pcap() {
    let packet = sample("REQ_CONTROL DB_ATTACH");
    let (begin, end) = packet.split_at(20);
    let file = pcap(&[
        (100, &packet),
        (100 + 2 * packet.len() as u32 - end.len() as u32, end),
        (100 + packet.len() as u32, begin),
        (100, &packet),
    ]);
    let (lines, status) = run(&[], &file);
    assert_eq!((lines.lines().count(), status), (2, 0), "{lines}");
    assert!(
        lines.starts_with("0.000000 10.0.0.1:39321 > 10.0.0.2:4379: REQ_CONTROL DB_ATTACH"),
        "{lines}"
    );
    assert_eq!(run(&["--port", "99"], &file).0, "");
}

#[test]
fn what_is_no_packet_is_said() {
    let mut packet = sample("REQ_CONTROL DB_ATTACH");
    packet[56..60].copy_from_slice(&u32::MAX.to_ne_bytes());
    let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
    let (line, status) = run(&[], hex.as_bytes());
    assert!(
        line.contains("MALFORMED ReqControl.data at offset"),
        "{line}"
    );
    assert_eq!(status, 1);
}

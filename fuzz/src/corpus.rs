//! Inputs: one a line in hexadecimal, so that they can be kept and compared as text.

use wire::packet::{Body, Packet};

macro_rules! golden {
    ($($file:literal)*) => {
        [$( include_str!(concat!("../../wire/tests/golden/", $file, ".hex")) ),*]
    };
}

/// The inputs that a target begins with: parts of what real programs sent.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "event" => golden(&golden! { "events" }),
        "backup" => golden(&golden! { "backups" }),
        "ctdb-conf" => texts(&CONF),
        "nodes" => texts(&NODES),
        "public-addresses" => texts(&ADDRESSES),
        "tunables" => texts(&TUNABLES),
        "capture" => captures(),
        _ => packets()
            .iter()
            .filter_map(|bytes| part(target, bytes))
            .collect(),
    }
}

/// The lines of a corpus.
///
/// # Errors
/// The first line that has something else than pairs of digits.
pub fn parse(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let line = |line: &str| digits(line).ok_or_else(|| line.to_owned());
    text.lines().map(line).collect()
}

/// The corpus as text, the shortest first.
pub fn print(mut inputs: Vec<Vec<u8>>) -> String {
    inputs.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    inputs.dedup();
    let line = |input: &Vec<u8>| {
        let digits: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        digits + "\n"
    };
    inputs.iter().map(line).collect()
}

fn digits(line: &str) -> Option<Vec<u8>> {
    let pairs = line.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()
        .filter(|_| line.len().is_multiple_of(2))
}

/// All packets of clients and nodes.
fn packets() -> Vec<Vec<u8>> {
    golden(&golden! {
        "client-messages" "client-packets" "client-replies" "client-requests"
        "node-messages" "node-packets" "node-replies" "node-requests"
        "recoverd-messages" "recoverd-packets" "recoverd-replies" "recoverd-requests"
    })
}

fn golden(files: &[&str]) -> Vec<Vec<u8>> {
    let samples = files.iter().flat_map(|text| text.split("\n\n"));
    samples
        .map(sample)
        .filter(|bytes| !bytes.is_empty())
        .collect()
}

/// The bytes of a sample: all behind its comment and its title.
fn sample(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let joined: String = lines.flat_map(|line| line.split(' ')).collect();
    digits(&joined).unwrap_or_default()
}

/// What of a packet is an input of this target.
fn part(target: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let body = Packet::decode(bytes).ok()?.body;
    match (target, body) {
        ("node" | "stream" | "packet", _) => Some(bytes.to_vec()),
        ("request", Body::ReqControl(it)) => {
            let head = [&it.opcode.to_ne_bytes()[..], &it.srvid.0.to_ne_bytes()].concat();
            Some([&head, it.data].concat())
        }
        ("message", Body::ReqMessage(it)) => Some([&it.srvid.0.to_ne_bytes(), it.data].concat()),
        ("records", Body::ReqMessage(it)) if it.srvid.is_recovery() => Some(it.data.to_vec()),
        // a reply does not say of what; the fuzzer finds it
        ("reply", Body::ReplyControl(it)) => Some([&3u32.to_ne_bytes(), it.data].concat()),
        _ => None,
    }
}

/// Hex, strace output and a pcap with the same packet.
fn captures() -> Vec<Vec<u8>> {
    let packet = packets().swap_remove(0);
    let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
    let escaped: String = packet.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let length = packet.len();
    let strace = format!("12 1.5 write(3, \"{escaped}\", {length}) = {length}\n");
    let vectors =
        format!("[pid 12] sendmsg(3, {{msg_iov=[{{iov_base=\"{escaped}\"}}]}}, 0) = {length}\n");
    vec![
        hex.into_bytes(),
        strace.into_bytes(),
        vectors.into_bytes(),
        pcap(&packet),
    ]
}

/// A pcap with one segment of TCP over IPv4, without Ethernet.
fn pcap(packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x45, 0];
    frame.extend((40 + packet.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([
        0x99, 0x99, 0x11, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0,
    ]);
    frame.extend(packet);
    let length = frame.len() as u32;
    let head = [
        0xa1b2_c3d4,
        0x0004_0002,
        0,
        0,
        65535,
        101,
        1,
        2,
        length,
        length,
    ];
    [head.map(u32::to_le_bytes).concat(), frame].concat()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const CONF: [&str; 3] = [
    "[logging]\n\tlocation = syslog:nonblocking\n\tlog level = NOTICE\n",
    "# a comment\n[cluster]\n\tcluster lock = !/bin/helper a b\n\tnode address = 10.0.0.1\n\tleader timeout = 5\n",
    "[database]\nlock debug script = /x\n[legacy]\n\trealtime scheduling = no\n\tstart as stopped = true\n[event]\ndebug script = a\n",
];
const NODES: [&str; 3] = [
    "10.0.0.1\n#10.0.0.2\nfd00::3\n",
    "10.0.0.1\n\n\n",
    "# x\n127.0.0.1 \n",
];
const ADDRESSES: [&str; 2] = [
    "192.0.2.100/24 eth0,eth1\n# none\nfd00::100/64\teth0 x\n",
    "::ffff:192.0.2.1/32 e\n\n192.0.2.2/0 e\n",
];
const TUNABLES: [&str; 2] = [
    "MonitorInterval=20\n# c\nRepackLimit = 0x10\n",
    "EnableBans=0\nVacuumLimit=1\n",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_comes_back() {
        let inputs = vec![vec![1, 2], vec![], vec![0xff], vec![1, 2]];
        let text = print(inputs);
        assert_eq!(text, "\nff\n0102\n");
        assert_eq!(parse(&text), Ok(vec![vec![], vec![0xff], vec![1, 2]]));
        assert!(parse("0\n").is_err() && parse("zz\n").is_err());
    }

    #[test]
    fn every_target_has_seeds() {
        for target in crate::TARGETS {
            assert!(!seeds(target.name).is_empty(), "{}", target.name);
        }
    }
}

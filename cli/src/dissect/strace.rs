//! What `strace -xx -s 1000000 -e trace=read,write,readv,writev,sendto,recvfrom,sendmsg,recvmsg`
//! writes, with or without `-f`, `-y` and times.

use std::collections::BTreeMap;

use super::Chunk;

/// The calls that move bytes: the name, and whether strings stand behind `iov_base=`.
const CALLS: [(&str, bool); 8] = [
    ("read", false),
    ("write", false),
    ("sendto", false),
    ("recvfrom", false),
    ("readv", true),
    ("writev", true),
    ("sendmsg", true),
    ("recvmsg", true),
];

/// A call that was interrupted in the output: what stood in front.
type Unfinished = BTreeMap<String, String>;

/// A chunk for each call that moved bytes.
pub(super) fn read(text: &str) -> Vec<Chunk> {
    let mut unfinished = Unfinished::new();
    text.lines()
        .filter_map(|line| chunk(line, &mut unfinished))
        .collect()
}

fn chunk(line: &str, unfinished: &mut Unfinished) -> Option<Chunk> {
    let Prefix { pid, time, call } = Prefix::of(line);
    if let Some((begin, _)) = call.split_once("<unfinished ...>") {
        unfinished.insert(pid, begin.to_owned());
        return None;
    }
    let whole = match call.strip_prefix("<... ") {
        Some(resumed) => {
            let (_, rest) = resumed.split_once("resumed>")?;
            unfinished.remove(&pid)? + rest
        }
        None => call.to_owned(),
    };
    let (name, rest) = whole.split_once('(')?;
    let (_, vectors) = *CALLS.iter().find(|(call, _)| *call == name)?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let moved: usize = result.split_whitespace().next()?.parse().ok()?;
    let fd = arguments.split([',', ')']).next()?;
    let (mut bytes, cut) = strings(arguments, vectors);
    bytes.truncate(moved);
    let gap = cut || bytes.len() < moved;
    let way = if name.starts_with('r') {
        "read"
    } else {
        "write"
    };
    let process = if pid.is_empty() {
        pid
    } else {
        format!("pid {pid} ")
    };
    (moved > 0).then(|| Chunk {
        time,
        stream: format!("{process}fd {fd} {way}"),
        bytes,
        gap,
    })
}

/// What stands in front of the call.
struct Prefix<'a> {
    pid: String,
    time: Option<String>,
    call: &'a str,
}

impl<'a> Prefix<'a> {
    fn of(line: &'a str) -> Self {
        let (mut pid, mut time, mut call) = (String::new(), None, line.trim_start());
        loop {
            let (word, rest) = call.split_once(' ').unwrap_or((call, ""));
            let bare = word.trim_start_matches("[pid").trim_end_matches(']');
            let is_number = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit());
            let is_time = word.contains(['.', ':'])
                && word
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b".:".contains(&b));
            match () {
                () if word == "[pid" => {}
                () if is_number => pid = bare.to_owned(),
                () if is_time => time = Some(word.to_owned()),
                () => break,
            }
            call = rest.trim_start();
        }
        Self { pid, time, call }
    }
}

/// The bytes of the call's strings, and whether strace cut one short.
fn strings(arguments: &str, vectors: bool) -> (Vec<u8>, bool) {
    let (mut bytes, mut cut, mut rest) = (Vec::new(), false, arguments);
    let begin = if vectors { "iov_base=\"" } else { "\"" };
    while let Some((_, found)) = rest.split_once(begin) {
        let (string, behind) = found.split_once('"').unwrap_or((found, ""));
        bytes.extend(string.split("\\x").filter_map(byte));
        cut |= behind.starts_with("...");
        rest = behind;
        if !vectors {
            break;
        }
    }
    (bytes, cut)
}

fn byte(digits: &str) -> Option<u8> {
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_all_kinds_are_read() {
        let text = r#"12 1700.5 read(5<socket:[3]>, "\x01\x02\x03", 8192) = 3
[pid    12] writev(6, [{iov_base="\x04", iov_len=1}, {iov_base="\x05\x06", iov_len=2}], 2) = 2
12 recvmsg(7, {msg_name={sun_path="\x2f"}, msg_iov=[{iov_base="\x07"..., iov_len=9}], msg_iovlen=1}, 0) = 1
12 read(5,  <unfinished ...>
13 write(1, "\x00", 1) = 1
12 <... read resumed>"\x08", 4) = 1
12 read(5, 0x7ff, 4) = -1 EAGAIN (Resource temporarily unavailable)
close(5) = 0"#;
        let chunks = read(text);
        let seen: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.stream.as_str(), chunk.bytes.as_slice(), chunk.gap))
            .collect();
        assert_eq!(
            seen,
            [
                ("pid 12 fd 5<socket:[3]> read", &[1, 2, 3][..], false),
                ("pid 12 fd 6 write", &[4, 5], false),
                ("pid 12 fd 7 read", &[7], true),
                ("pid 13 fd 1 write", &[0], false),
                ("pid 12 fd 5 read", &[8], false),
            ]
        );
        assert_eq!(chunks[0].time.as_deref(), Some("1700.5"));
    }
}

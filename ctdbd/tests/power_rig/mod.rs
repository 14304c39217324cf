//! What a process writes to a file, noted by strace; and what of it is on the disk after a loss of power.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tdb::{Flags, OpenOptions, Tdb};

/// The unit that a disk writes whole.
const PAGE: usize = 4096;

/// Keys and values of a database.
pub(crate) type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Something that the process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// It wrote this to that place of the file.
    Write(usize, Vec<u8>),
    /// It made the file this long.
    Length(usize),
    /// It made the file at least this long.
    Grow(usize),
    /// What it wrote before is on the disk.
    Sync,
    /// It said that it has done what it was to do.
    Answer,
}

/// A process that notes the calls of another.
pub(crate) struct Strace {
    child: Child,
    output: PathBuf,
}

impl Strace {
    /// None where there is no strace, or it may not be used.
    pub(crate) fn start(pid: i32, folder: &Path) -> Option<Self> {
        let output = folder.join("strace");
        let calls = "trace=pwrite64,ftruncate,fallocate,fdatasync,fsync,msync,write,sendto,sendmsg";
        let mut child = Command::new("strace")
            .args(["-f", "-xx", "-s", "1000000", "-e", calls, "-p"])
            .arg(pid.to_string())
            .arg("-o")
            .arg(&output)
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut said = BufReader::new(child.stderr.take()?);
        let mut line = String::new();
        said.read_line(&mut line).ok()?;
        if line.contains("attached") {
            // the pipe stays open: strace may have more to say
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return Some(Self { child, output });
        }
        let _ = child.wait();
        None
    }

    /// Ends it; gives the calls in their order.
    pub(crate) fn end(mut self) -> Vec<Call> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it runs");
        self.child.wait().expect("it ends");
        let text = std::fs::read_to_string(&self.output).expect("its output");
        text.lines().filter_map(call).collect()
    }
}

/// One line of strace: `PID name(arguments) = result`.
fn call(line: &str) -> Option<Call> {
    let (_, line) = line.split_once(' ')?;
    let (name, rest) = line.trim_start().split_once('(')?;
    let arguments = rest.rsplit_once(") ")?.0;
    let mut numbers = arguments.rsplit(", ").map(|word| word.parse::<usize>());
    let mut last = || numbers.next()?.ok();
    Some(match name {
        "pwrite64" => Call::Write(last().expect("an offset"), bytes(arguments)),
        "ftruncate" => Call::Length(last().expect("a length")),
        // in place, with zeros: mode 0
        "fallocate" => Call::Grow(last().expect("a length") + last().expect("an offset")),
        "fdatasync" | "fsync" => Call::Sync,
        "write" | "sendto" | "sendmsg" => Call::Answer,
        other => panic!("libtdb uses {other}"),
    })
}

/// The string among the arguments, each byte as `\x00`.
fn bytes(arguments: &str) -> Vec<u8> {
    let text = arguments.split('"').nth(1).expect("a string");
    let bytes = text.split("\\x").skip(1);
    bytes
        .map(|hex| u8::from_str_radix(hex, 16).expect("a byte"))
        .collect()
}

/// Numbers by chance, the same each time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % n
    }
}

/// A file: what of it is safe, and what it was after each call since the last sync.
pub(crate) struct Disk {
    states: Vec<Vec<u8>>,
}

impl Disk {
    pub(crate) fn new(content: &[u8]) -> Self {
        Self {
            states: vec![content.to_vec()],
        }
    }

    pub(crate) fn note(&mut self, call: &Call) {
        let mut next = self.states.last().expect("the first").clone();
        match call {
            Call::Sync => self.states.clear(),
            call => apply(&mut next, call),
        }
        self.states.push(next);
    }

    /// How long the file is.
    pub(crate) fn length(&self) -> usize {
        self.states.last().map_or(0, Vec::len)
    }

    /// Each page as it was after some of the calls, be it none or all; the length likewise.
    pub(crate) fn after_power_loss(&self, numbers: &mut Numbers) -> Vec<u8> {
        let states = &self.states;
        let mut pick = || match numbers.below(3) {
            0 => &states[0],
            1 => &states[states.len() - 1],
            _ => &states[numbers.below(states.len())],
        };
        let mut image = vec![0; pick().len()];
        for (number, page) in image.chunks_mut(PAGE).enumerate() {
            let from = pick().get(number * PAGE..).unwrap_or_default();
            let length = from.len().min(page.len());
            page[..length].copy_from_slice(&from[..length]);
        }
        image
    }
}

fn apply(file: &mut Vec<u8>, call: &Call) {
    match call {
        Call::Write(offset, bytes) => {
            let end = offset + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*offset..end].copy_from_slice(bytes);
        }
        Call::Length(length) => file.resize(*length, 0),
        Call::Grow(length) => file.resize(file.len().max(*length), 0),
        Call::Sync | Call::Answer => {}
    }
}

/// Everything in a database.
pub(crate) fn content_of(tdb: &Tdb) -> Content {
    let mut content = Content::new();
    let read = tdb.traverse_read(|key, value| {
        content.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    });
    read.expect("it can be read");
    content
}

/// Opens what a loss of power has left, which runs libtdb's recovery; gives all records, and whether the check passes.
pub(crate) fn read_again(path: &Path, image: &[u8]) -> Result<(Content, bool), String> {
    std::fs::write(path, image).map_err(|why| why.to_string())?;
    let options = OpenOptions {
        // the recovery's own syncs cost time here and change nothing
        flags: Flags::CTDB_PERSISTENT | Flags::NOSYNC,
        create: false,
        ..OpenOptions::default()
    };
    let tdb = Tdb::open(path, &options).map_err(|why| format!("open: {why}"))?;
    let checked = tdb.check().is_ok();
    let mut content = Content::new();
    tdb.traverse_read(|key, value| {
        content.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .map_err(|why| format!("read: {why}"))?;
    Ok((content, checked))
}

//! Instructions of encoding and decoding, counted by valgrind, so that they do not depend on what
//! else the machine does: `cargo bench -p wire --bench instructions`.
//!
//! The program runs itself twice under callgrind for each row, with and without the work.

use std::hint::black_box;
use std::process::Command;

use wire::coding::{Decode, Encode};
use wire::packet::Packet;
use wire::types::RecBuffer;

mod common;

use common::{packets, push_buffer};

/// How often a row's work is done in a run.
const ROUNDS: u64 = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [row, rounds] => work(row.parse().expect("a row"), rounds.parse().expect("rounds")),
        _ => table(),
    }
}

/// The rows: each packet encoded and decoded, then the push buffer.
fn work(row: usize, rounds: u64) {
    let packets = packets();
    let buffer = push_buffer();
    let bytes = match packets.get(row / 2) {
        Some((_, packet)) => packet.to_bytes(),
        None => buffer.to_bytes(),
    };
    let mut out = Vec::with_capacity(bytes.len());
    for _ in 0..rounds {
        out.clear();
        match (packets.get(row / 2), row % 2) {
            (Some((_, packet)), 0) => black_box(packet).encode(&mut out),
            (Some(_), _) => drop(black_box(Packet::decode(black_box(&bytes)))),
            (None, 0) => black_box(&buffer).encode(&mut out),
            (None, _) => {
                let read = RecBuffer::from_bytes(black_box(&bytes)).expect("our own bytes");
                black_box(read.records_with_header().filter(Result::is_ok).count());
            }
        }
        black_box(&out);
    }
}

fn table() {
    let names = packets().map(|(name, _)| name);
    let names = names.iter().copied().chain(["push buffer of 64 records"]);
    println!("{:28}{:>10}{:>10}", "instructions", "encode", "decode");
    for (at, name) in names.enumerate() {
        let cells = [2 * at, 2 * at + 1].map(|row| {
            let once = |rounds| counted(row, rounds);
            let work = once(ROUNDS)?.checked_sub(once(0)?)?;
            Some(work / ROUNDS)
        });
        let [encode, decode] = cells.map(|cell| cell.map_or("-".to_owned(), |it| it.to_string()));
        println!("{name:28}{encode:>10}{decode:>10}");
    }
}

/// The instructions of one run; none where there is no valgrind.
fn counted(row: usize, rounds: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args([row.to_string(), rounds.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, count) = text.split_once("Collected : ")?;
    count.split_whitespace().next()?.parse().ok()
}

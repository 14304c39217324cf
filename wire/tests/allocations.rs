//! What the heap is asked for: nothing by the common packets, and by hostile bytes no more than
//! they justify by their own number.
//!
//! One test, since what is counted is the whole process.

mod samples;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use wire::coding::Decode;
use wire::control::{Reply, Request, TABLE};
use wire::message::Message;
use wire::packet::{Body, Packet};
use wire::types::{RecBuffer, Records};
use wire::{Srvid, event};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A list's item can be larger in memory than on the wire, and a list that grows is copied: texts
/// of one letter and a separator each (LIST_TUNABLES) cost most.
const FACTOR: usize = 40;
/// What an error or a small fixed structure may cost, in bytes.
const BASE: usize = 1024;

/// How often the heap was asked, and for how many bytes in all.
fn cost<T>(work: impl FnOnce() -> T) -> (usize, usize) {
    let region = Region::new(HEAP);
    drop(std::hint::black_box(work()));
    let change = region.change();
    (
        change.allocations + change.reallocations,
        change.bytes_allocated,
    )
}

#[test]
fn the_heap_is_asked_for_what_the_bytes_justify() {
    common_packets_need_none();
    records_pass_through_without();
    hostile_bytes_cost_what_they_weigh();
}

/// Every packet of the samples: decoded, and encoded into a buffer that is there.
fn common_packets_need_none() {
    for sample in samples::packets() {
        let mut out = Vec::with_capacity(sample.bytes.len() + 64);
        let (asked, _) =
            cost(|| Packet::decode(&sample.bytes).map(|packet| packet.encode(&mut out)));
        assert_eq!(asked, 0, "{} ({})", sample.title, sample.file);
        assert!(
            out.starts_with(&sample.bytes[..4]) || !wire::packet::is_aligned(sample.bytes.len())
        );
    }
}

/// A push buffer is walked without a copy.
fn records_pass_through_without() {
    let mut buffer = RecBuffer::new(wire::DbId(1));
    for _ in 0..64 {
        buffer.push(
            wire::ReqId(0),
            Some(Default::default()),
            &[7; 20],
            &[8; 200],
        );
    }
    let (asked, _) = cost(|| {
        Records::new(buffer.count, &buffer.buf)
            .filter(Result::is_ok)
            .count()
    });
    assert_eq!(asked, 0);
}

/// Bytes that claim as much as a count can: all ones, and small counts in front of nothing.
fn hostile_bytes_cost_what_they_weigh() {
    for length in [0, 3, 4, 8, 12, 16, 24, 36, 64, 300, 4096] {
        for fill in [0xff, 0x7f, 0x01, 0x00, b':'] {
            for head in [&[][..], &[0, 0, 0], &[0, 0]] {
                let mut bytes = vec![fill; length];
                let head = &head[..head.len().min(length)];
                bytes[length - head.len()..].copy_from_slice(head);
                decode_as_everything(&bytes);
            }
        }
    }
    for sample in samples::packets() {
        if let Ok(packet) = Packet::decode(&sample.bytes)
            && let Body::ReqControl(control) = packet.body
        {
            each_byte_changed(control.data, decode_as_everything);
        }
    }
    for sample in samples::others() {
        each_byte_changed(&sample.bytes, decode_as_everything);
    }
}

/// With every byte of the first 64 set to ones in turn.
fn each_byte_changed(bytes: &[u8], mut each: impl FnMut(&[u8])) {
    for at in 0..bytes.len().min(64) {
        let mut changed = bytes.to_vec();
        changed[at] = 0xff;
        each(&changed);
    }
}

fn decode_as_everything(bytes: &[u8]) {
    let limit = BASE + FACTOR * bytes.len();
    let check = |what: &dyn std::fmt::Display, (_, cost): (usize, usize)| {
        assert!(cost <= limit, "{what}: {cost} bytes for {}", bytes.len());
    };
    for info in TABLE {
        check(
            &info.name,
            cost(|| Request::decode(info.opcode, Srvid(0), bytes)),
        );
        let opcode = wire::control::Opcode::from_u32(info.opcode).expect("of the table");
        check(&info.name, cost(|| Reply::decode(opcode, bytes)));
    }
    for info in wire::message::TABLE {
        check(&info.name, cost(|| Message::decode(info.srvid, bytes)));
    }
    check(&"event request", cost(|| event::Request::decode(bytes)));
    check(
        &"event status",
        cost(|| event::EventStatus::from_bytes(bytes)),
    );
    check(
        &"backup",
        cost(|| wire::backup::Backup::new(bytes).map(|b| b.check())),
    );
}

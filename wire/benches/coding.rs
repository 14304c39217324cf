//! Encoding and decoding of what there is most of: `cargo bench -p wire`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::coding::{Decode, Encode};
use wire::packet::{
    Body, CallFlags, Header, Operation, Packet, ReplyDmaster, ReqCall, ReqMessage, function,
};
use wire::types::{RecBuffer, RecordFlags, RecordHeader};
use wire::{DbId, Generation, Pnn, ReqId, Srvid};

/// A record as smbd's locking.tdb has them.
const KEY: [u8; 24] = [7; 24];
const VALUE: [u8; 300] = [8; 300];

fn packet(body: Body<'_>) -> Packet<'_> {
    let header = Header {
        generation: Generation(77),
        operation: Operation::ReqCall,
        destination: Pnn(1),
        source: Pnn(0),
        reqid: ReqId(12),
    };
    Packet::new(header, body)
}

fn packets() -> [(&'static str, Packet<'static>); 3] {
    let db = DbId(7);
    let call = ReqCall {
        flags: CallFlags::IMMEDIATE_MIGRATION,
        db,
        callid: function::NULL,
        hopcount: 0,
        key: &KEY,
        calldata: &[],
    };
    let dmaster = ReplyDmaster {
        db,
        rsn: 1 << 40,
        record_flags: Some(RecordFlags::MIGRATED_WITH_DATA),
        key: &KEY,
        data: &VALUE,
    };
    let message = ReqMessage {
        srvid: Srvid(4711),
        data: &[9; 64],
    };
    [
        ("REQ_CALL", packet(Body::ReqCall(call))),
        ("REPLY_DMASTER", packet(Body::ReplyDmaster(dmaster))),
        ("REQ_MESSAGE", packet(Body::ReqMessage(message))),
    ]
}

fn of_packets(criterion: &mut Criterion) {
    for (name, packet) in packets() {
        let bytes = packet.to_bytes();
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut out = Vec::with_capacity(bytes.len());
        group.bench_function("encode", |bench| {
            bench.iter(|| {
                out.clear();
                black_box(&packet).encode(&mut out);
                out.len()
            });
        });
        group.bench_function("decode", |bench| {
            bench.iter(|| Packet::decode(black_box(&bytes)).is_ok());
        });
        group.finish();
    }
}

fn push_buffer() -> RecBuffer {
    let mut buffer = RecBuffer::new(DbId(7));
    for rsn in 0..64 {
        let header = RecordHeader {
            rsn,
            ..RecordHeader::default()
        };
        buffer.push(ReqId(0), Some(header), &KEY, &VALUE);
    }
    buffer
}

fn of_push_buffers(criterion: &mut Criterion) {
    let buffer = push_buffer();
    let bytes = buffer.to_bytes();
    let mut group = criterion.benchmark_group("push buffer of 64 records");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bench| {
        bench.iter(|| push_buffer().to_bytes().len())
    });
    group.bench_function("decode", |bench| {
        bench.iter(|| {
            let buffer = RecBuffer::from_bytes(black_box(&bytes)).expect("our own bytes");
            let records = buffer.records_with_header().filter(Result::is_ok);
            records.count()
        });
    });
    group.finish();
}

criterion_group!(coding, of_packets, of_push_buffers);
criterion_main!(coding);

//! Encoding and decoding of what there is most of: `cargo bench -p wire`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::coding::{Decode, Encode};
use wire::packet::Packet;
use wire::types::RecBuffer;

mod common;

use common::{packets, push_buffer};

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

//! What holds for all bytes and all values: no decoder panics, and what was written comes back.

use proptest::collection::vec;
use proptest::prelude::*;
use wire::backup::{Backup, BackupBuffer, BackupHeader};
use wire::coding::{Decode, Encode, Reader};
use wire::control::{Request, TABLE};
use wire::event;
use wire::message::Message;
use wire::packet::{
    Body, CallFlags, ControlFlags, Header, Operation, Packet, ReplyCall, ReplyControl,
    ReplyDmaster, ReplyError, ReqCall, ReqControl, ReqDmaster, ReqKeepalive, ReqMessage, ReqTunnel,
    TunnelFlags, frame_length,
};
use wire::types::*;
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Srvid, TunnelId};

/// Every type that can stand alone in a control or message.
macro_rules! each_type {
    ($run:ident) => {
        $run!(
            AddrInfo BanState Capabilities Connection ConnectionList DbIdFlags DbMap DbSeqnum DbSize DbSizes
            DbStatistics DbVacuum DisableMessage EchoData ElectionMessage Iface IfaceList IfaceName
            Ignored KeyData LatencyCounter NodeAndFlags NodeFlagChange NodeMap NotifyData
            OwnedRecord PidSrvid PublicIp PublicIpInfo PublicIpList PullDb PullDbExt PushRecord
            RecBuffer RecordHeader RecoveryMode RunState SockAddr SrvidBits SrvidList SrvidMessage Statistics
            StatisticsList TickleList TimeVal TransDb TraverseAll TraverseAllExt TraverseStart
            TraverseStartExt Tunable Uptime VnnMap String wire::tunables::Tunables
            wire::tunables::TunableName wire::tunables::TunableNames BackupHeader BackupBuffer
            event::Text event::RunRequest event::StatusRequest event::ScriptRequest event::EventStatus
        )
    };
}

/// Bytes that look like something: small numbers, so that counts and lengths are often right.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(0u8), 2 => 1u8..8, 1 => any::<u8>()];
    prop_oneof![vec(any::<u8>(), 0..600), vec(byte, 0..600)]
}

/// What decodes can be written, and what was written decodes to the same.
fn settles<T: Encode + Decode + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = T::from_bytes(bytes) else {
        return;
    };
    let written = value.to_bytes();
    let again = T::from_bytes(&written).expect("our own bytes");
    assert_eq!(format!("{value:?}"), format!("{again:?}"));
    assert_eq!(written, again.to_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_type_panics(bytes in bytes()) {
        macro_rules! run { ($($ty:ty)*) => { $( settles::<$ty>(&bytes); )* } }
        each_type!(run);
    }

    #[test]
    fn no_request_panics(bytes in bytes(), opcode in 0u32..170, srvid: u64) {
        if let Ok(request) = Request::decode(opcode, Srvid(srvid), &bytes) {
            prop_assert_eq!(request.opcode().number(), opcode);
            let mut data = Vec::new();
            request.encode(&mut data);
            let again = Request::decode(opcode, request.srvid(), &data);
            prop_assert_eq!(format!("{:?}", again), format!("{:?}", Ok::<_, ()>(request)));
        }
    }

    #[test]
    fn no_message_panics(bytes in bytes(), srvid in 0xF000u64..0xFF00) {
        for srvid in [Srvid(srvid << 48), Srvid::RECOVERY, Srvid::ELECTION, Srvid::RELEASE_IP] {
            if let Ok(message) = Message::decode(srvid, &bytes) {
                prop_assert_eq!(Message::decode(srvid, &message.to_bytes()), Ok(message));
            }
        }
    }

    #[test]
    fn no_packet_panics(bytes in bytes(), operation in 0u32..12) {
        let packet = framed(operation, &bytes);
        if let Ok(decoded) = Packet::decode(&packet) {
            let again = decoded.to_bytes();
            prop_assert_eq!(Packet::decode(&again).map(|packet| packet.header), Ok(decoded.header));
        }
        let _ = Packet::decode(&bytes);
        let _ = frame_length(&bytes);
    }

    #[test]
    fn no_event_packet_panics(bytes in bytes(), command in 0u32..5) {
        let length = 16 + bytes.len() as u32;
        let words = [length, 0, 9, command].map(u32::to_ne_bytes).concat();
        let packet = [words, bytes.clone()].concat();
        if let Ok((reqid, request)) = event::Request::decode(&packet) {
            let mut again = Vec::new();
            request.encode(reqid, &mut again);
            prop_assert_eq!(event::Request::decode(&again), Ok((reqid, request)));
        }
        if let Ok((reqid, reply)) = event::Reply::decode(&packet) {
            let mut again = Vec::new();
            reply.encode(reqid, &mut again);
            prop_assert_eq!(event::Reply::decode(&again), Ok((reqid, reply)));
        }
        let _ = (event::Request::decode(&bytes), event::frame_length(&bytes));
    }

    #[test]
    fn no_backup_panics(bytes in bytes(), nbuf in 0u64..4) {
        let mut file = [3u64, 0, 0, nbuf, 1].map(u64::to_ne_bytes).concat();
        file.resize(wire::backup::HEADER_SIZE, 0);
        file.extend_from_slice(&bytes);
        let _ = Backup::new(&file).map(|backup| backup.check());
        let _ = Backup::new(&bytes).map(|backup| backup.check());
    }

    #[test]
    fn record_buffers_come_back(records in vec((any::<u32>(), vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..80)), 0..20), rsn: u64) {
        let mut buffer = RecBuffer::new(DbId(1));
        let header = RecordHeader { rsn, ..RecordHeader::default() };
        for (reqid, key, data) in &records {
            buffer.push(ReqId(*reqid), Some(header), key, data);
        }
        let read = RecBuffer::from_bytes(&buffer.to_bytes()).unwrap();
        let read: Vec<_> = read.records_with_header().map(|record| {
            let record = record.unwrap();
            (record.reqid.0, record.key.to_vec(), record.data.to_vec())
        }).collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn a_cut_packet_is_an_error(n in 0usize..9, cut in 1usize..40) {
        let whole = samples()[n].to_bytes();
        let mut short = whole[..whole.len().saturating_sub(cut).max(32)].to_vec();
        let length = short.len() as u32;
        short[..4].copy_from_slice(&length.to_ne_bytes());
        // Padding may be cut, fields may not; either way nothing is read beyond the end.
        if let Ok(packet) = Packet::decode(&short) {
            prop_assert!(packet.to_bytes().len() <= whole.len());
        }
    }
}

fn framed(operation: u32, body: &[u8]) -> Vec<u8> {
    let length = 32 + body.len() as u32;
    let words = [
        length,
        wire::packet::MAGIC,
        wire::packet::VERSION,
        7,
        operation,
        0,
        1,
        9,
    ];
    let mut packet: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    packet.extend_from_slice(body);
    packet
}

fn samples() -> Vec<Packet<'static>> {
    samples_of(b"a key", b"some data")
}

/// A packet of each operation with this key and data.
fn samples_of<'a>(key: &'a [u8], data: &'a [u8]) -> Vec<Packet<'a>> {
    let db = DbId(7);
    let record_flags = Some(RecordFlags::MIGRATED_WITH_DATA);
    let (callid, hopcount) = (wire::packet::function::FETCH, 3);
    let bodies = [
        Body::ReqCall(ReqCall {
            flags: CallFlags::WANT_READONLY,
            db,
            callid,
            hopcount,
            key,
            calldata: data,
        }),
        Body::ReplyCall(ReplyCall { status: -1, data }),
        Body::ReqDmaster(ReqDmaster {
            db,
            rsn: 1 << 40,
            dmaster: Pnn(2),
            record_flags,
            key,
            data,
        }),
        Body::ReplyDmaster(ReplyDmaster {
            db,
            rsn: 1 << 40,
            record_flags,
            key,
            data,
        }),
        Body::ReplyError(ReplyError {
            status: 5,
            message: b"no",
        }),
        Body::ReqMessage(ReqMessage {
            srvid: Srvid::LEADER,
            data,
        }),
        Body::ReqControl(ReqControl {
            opcode: 23,
            srvid: Srvid(8),
            client: ClientId(4),
            flags: ControlFlags::NOREPLY,
            data,
        }),
        Body::ReplyControl(ReplyControl {
            status: 1,
            data,
            error: b"why",
        }),
        Body::ReqKeepalive(ReqKeepalive {
            version: 0x0004_0011,
            uptime: 60,
        }),
        Body::ReqTunnel(ReqTunnel {
            tunnel: TunnelId::TEST,
            flags: TunnelFlags::REPLY,
            data,
        }),
    ];
    let header = Header {
        generation: Generation(77),
        operation: Operation::ReqCall,
        destination: Pnn(1),
        source: Pnn(0),
        reqid: ReqId(12),
    };
    bodies.map(|body| Packet::new(header, body)).to_vec()
}

#[test]
fn every_packet_comes_back_padded_and_not() {
    for packet in samples() {
        let padded = packet.to_bytes();
        assert_eq!(frame_length(&padded), Ok(Some(padded.len())));
        assert!(wire::packet::is_aligned(padded.len()));
        assert_eq!(Packet::decode(&padded), Ok(packet));
        let mut tight = Vec::new();
        packet.encode_unpadded(&mut tight);
        assert_eq!(Packet::decode(&tight), Ok(packet));
        assert!(padded.len() - tight.len() < 16);
    }
}

#[test]
fn lengths_at_their_borders_come_back() {
    let bytes = vec![0x5a; 1 << 17];
    let borders = [0, 1, 3, 4, 7, 8, 9, 255, 256, 65_535, 65_536, 1 << 17];
    for (key, data) in borders
        .iter()
        .flat_map(|a| borders.iter().map(move |b| (*a, *b)))
    {
        for packet in samples_of(&bytes[..key], &bytes[..data]) {
            let padded = packet.to_bytes();
            assert_eq!(Packet::decode(&padded), Ok(packet), "{key} {data}");
        }
        let mut buffer = RecBuffer::new(DbId(7));
        buffer.push(ReqId(1), None, &bytes[..key], &bytes[..data]);
        assert_eq!(RecBuffer::from_bytes(&buffer.to_bytes()), Ok(buffer));
    }
}

#[test]
fn a_packet_that_lies_about_itself_is_refused() {
    let good = samples()[0].to_bytes();
    for at in [0, 4, 8, 16, 48, 52] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&0xFFFF_FFF0u32.to_ne_bytes());
        assert!(Packet::decode(&bad).is_err(), "word at {at}");
    }
    assert!(Packet::decode(&good[..good.len() - 8]).is_err());
    assert!(Packet::decode(&good[..31]).is_err());
}

#[test]
fn counts_are_not_believed() {
    let huge = [0xFFFF_FFFFu32.to_ne_bytes(), 0xFFFF_FFFFu32.to_ne_bytes()].concat();
    assert!(NodeMap::from_bytes(&huge).is_err());
    assert!(VnnMap::from_bytes(&huge).is_err());
    assert!(DbMap::from_bytes(&huge).is_err());
    assert!(StatisticsList::from_bytes(&huge).is_err());
    assert!(RecBuffer::from_bytes(&huge).is_err());
    assert!(NotifyData::from_bytes(&[&huge[..], &huge[..]].concat()).is_err());
}

#[test]
fn names_need_their_nul() {
    for opcode in [18, 61, 150] {
        assert!(Request::decode(opcode, Srvid(0), b"locking.tdb").is_err());
        assert!(Request::decode(opcode, Srvid(0), b"").is_err());
        assert!(Request::decode(opcode, Srvid(0), b"locking.tdb\0").is_ok());
    }
    let mut long = 4u32.to_ne_bytes().to_vec();
    long.extend_from_slice(b"abc");
    assert!(wire::tunables::TunableName::from_bytes(&long).is_err());
    long.push(0);
    assert!(wire::tunables::TunableName::from_bytes(&long).is_ok());
}

#[test]
fn errors_name_the_place() {
    let error = NodeMap::from_bytes(&[1, 0, 0, 0, 9, 9]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "NodeMap.nodes at offset 0: 1 items of at least 36 bytes, but 2 bytes are left"
    );
    let error = Request::decode(25, Srvid(0), &[1, 2]).unwrap_err();
    assert!(
        error.to_string().ends_with("expected 4 bytes, found 2"),
        "{error}"
    );
}

#[test]
fn the_table_names_each_live_control_once() {
    let mut names: Vec<_> = TABLE.iter().map(|info| info.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TABLE.len());
}

#[test]
fn a_reader_stays_inside() {
    let mut reader = Reader::new(&[1, 0, 0, 0, 5]);
    assert_eq!(reader.count(1), Ok(1));
    assert!(reader.take(2).is_err());
    assert_eq!(reader.rest(), [5]);
    assert!(reader.finish().is_ok());
}

/// `sizeof` of the C structures of 4.17.12 on 64-bit Linux.
#[test]
fn sizes_are_those_of_c() {
    macro_rules! sizes {
        ($($ty:ty = $size:literal)*) => { $( assert_eq!(<$ty>::MIN_SIZE, $size, stringify!($ty)); )* };
    }
    sizes! {
        Statistics = 488 DbStatistics = 464 LatencyCounter = 32 DbIdFlags = 8 RecordHeader = 24
        SockAddr = 28 Connection = 56 PublicIp = 32 Iface = 24 NodeAndFlags = 36
        wire::tunables::Tunables = 248 TraverseStart = 16 TraverseStartExt = 24 TraverseAll = 24
        TraverseAllExt = 32 Uptime = 64 ElectionMessage = 32 SrvidMessage = 16 DisableMessage = 24
        PidSrvid = 12 KeyData = 36 AddrInfo = 36 NotifyData = 12 DbVacuum = 5 PullDbExt = 16
        TransDb = 8 BanState = 8 NodeFlagChange = 12 DbSeqnum = 8 StatisticsList = 8
    }
}

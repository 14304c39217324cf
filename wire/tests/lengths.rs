//! Every length and count that crosses the wire, at its borders: what was written comes back, and a length that does
//! not agree with the bytes never passes for one that does.

use std::net::SocketAddr;

use wire::backup::{self, BackupBuffer, BackupHeader, BackupName};
use wire::coding::{Decode, Encode};
use wire::event::{
    self, EventStatus, RunRequest, ScriptRequest, ScriptStatus, StatusRequest, Text,
};
use wire::packet::{
    Body, CallFlags, ControlFlags, Header, MAX_PACKET, Packet, ReplyCall, ReplyControl,
    ReplyDmaster, ReplyError, ReqCall, ReqControl, ReqDmaster, ReqMessage, ReqTunnel, TunnelFlags,
    frame_length,
};
use wire::tunables::{TunableName, TunableNames};
use wire::types::*;
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Srvid, TunnelId};

const BYTES: &[usize] = &[0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 255, 256, 65_535, 65_536];
const ITEMS: &[usize] = &[0, 1, 2, 3, 7, 8, 255, 256, 1000];

/// A length: where it stands, and values that have it.
struct Case {
    /// The type and the field.
    name: &'static str,
    at: usize,
    /// Its own size, in bytes.
    width: usize,
    sizes: &'static [usize],
    make: fn(usize) -> Vec<u8>,
    /// Reads and writes again; `None` if it cannot be read.
    again: fn(&[u8]) -> Option<Vec<u8>>,
    /// A packet's own length is in front of all.
    framed: bool,
}

impl Case {
    fn check(&self) {
        for &size in self.sizes {
            let good = (self.make)(size);
            let named = format!("{} of {size}", self.name);
            assert_eq!((self.again)(&good).as_ref(), Some(&good), "{named}");
            let mut short = good.clone();
            short.pop();
            self.frame(&mut short);
            assert_eq!((self.again)(&short), None, "{named}, cut");
            let said = self.said(&good);
            for lie in [said.wrapping_add(1), said.wrapping_sub(1)] {
                let lying = self.lying(&good, lie);
                let again = (self.again)(&lying);
                assert_ne!(again.as_ref(), Some(&lying), "{named}, said {lie}");
            }
            for lie in [u64::MAX, u64::MAX >> 1, (u64::MAX >> 1) + 1] {
                let lying = self.lying(&good, lie >> (64 - 8 * self.width));
                assert_eq!((self.again)(&lying), None, "{named}, said {lie:x}");
            }
        }
    }

    fn frame(&self, bytes: &mut [u8]) {
        if self.framed {
            let length = bytes.len() as u32;
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn said(&self, bytes: &[u8]) -> u64 {
        let field = &bytes[self.at..];
        match self.width {
            4 => u32::from_bytes(&field[..4]).expect("four bytes").into(),
            _ => u64::from_bytes(&field[..8]).expect("eight bytes"),
        }
    }

    fn lying(&self, good: &[u8], said: u64) -> Vec<u8> {
        let mut bytes = good.to_vec();
        let said = match self.width {
            4 => (said as u32).to_bytes(),
            _ => said.to_bytes(),
        };
        bytes[self.at..][..self.width].copy_from_slice(&said);
        bytes
    }
}

fn again<T: Encode + Decode>(bytes: &[u8]) -> Option<Vec<u8>> {
    T::from_bytes(bytes).ok().map(|value| value.to_bytes())
}

fn packet_again(bytes: &[u8]) -> Option<Vec<u8>> {
    Packet::decode(bytes).ok().map(|packet| unpadded(&packet))
}

fn unpadded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode_unpadded(&mut bytes);
    bytes
}

/// A packet whose bytes of this length are all in one field.
fn packet(body: Body<'_>) -> Vec<u8> {
    let header = Header {
        generation: Generation(7),
        operation: body.operation(),
        destination: Pnn(1),
        source: Pnn(0),
        reqid: ReqId(12),
    };
    unpadded(&Packet { header, body })
}

fn some(length: usize) -> Vec<u8> {
    vec![0x5a; length]
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

fn line(length: usize) -> Text {
    Text::from(text(length).as_str())
}

fn addr() -> SockAddr {
    SocketAddr::from(([10, 0, 0, 1], 445)).into()
}

fn connections(count: usize) -> Vec<Connection> {
    vec![
        Connection {
            src: addr(),
            dst: addr()
        };
        count
    ]
}

fn ifaces(count: usize) -> Vec<Iface> {
    let iface = Iface {
        name: IfaceName("eth0".into()),
        link_state: 1,
        references: 2,
    };
    vec![iface; count]
}

fn script(name: usize, output: usize) -> ScriptStatus {
    let time = TimeVal {
        seconds: 1,
        microseconds: 2,
    };
    ScriptStatus {
        name: line(name),
        begin: time,
        end: time,
        result: 0,
        output: line(output),
    }
}

fn records(count: usize) -> RecBuffer {
    let mut buffer = RecBuffer::new(DbId(7));
    (0..count).for_each(|_| buffer.push(ReqId(1), None, b"key", b"value"));
    buffer
}

const CALL: ReqCall<'static> = ReqCall {
    flags: CallFlags::WANT_READONLY,
    db: DbId(7),
    callid: 2,
    hopcount: 0,
    key: b"",
    calldata: b"",
};
const GIVE: ReqDmaster<'static> = ReqDmaster {
    db: DbId(7),
    rsn: 1 << 40,
    dmaster: Pnn(2),
    // they may be cut off
    record_flags: None,
    key: b"",
    data: b"",
};
const GET: ReplyDmaster<'static> = ReplyDmaster {
    db: DbId(7),
    rsn: 1 << 40,
    record_flags: None,
    key: b"",
    data: b"",
};
const ASK: ReqControl<'static> = ReqControl {
    opcode: 23,
    srvid: Srvid(8),
    client: ClientId(4),
    flags: ControlFlags::NOREPLY,
    data: b"",
};

macro_rules! cases {
    (
        packets { $( $packet:literal at $pat:literal: |$pn:ident| $pmake:expr; )* }
        types { $( $name:literal $ty:ty, at $at:literal, $sizes:ident: |$n:ident| $make:expr; )* }
    ) => {
        vec![
            $( Case {
                name: $packet,
                at: $pat,
                width: 4,
                sizes: BYTES,
                make: |$pn| packet($pmake),
                again: packet_again,
                framed: true,
            }, )*
            $( Case {
                name: $name,
                at: $at,
                width: 4,
                sizes: $sizes,
                make: |$n| { let value: $ty = $make; value.to_bytes() },
                again: again::<$ty>,
                framed: false,
            }, )*
        ]
    };
}

fn cases() -> Vec<Case> {
    cases! {
        packets {
            "ReqCall.keylen" at 48: |n| Body::ReqCall(ReqCall { key: &some(n), ..CALL });
            "ReqCall.calldatalen" at 52: |n| Body::ReqCall(ReqCall { calldata: &some(n), key: b"key", ..CALL });
            "ReplyCall.datalen" at 36: |n| Body::ReplyCall(ReplyCall { status: -1, data: &some(n) });
            "ReqDmaster.keylen" at 52: |n| Body::ReqDmaster(ReqDmaster { key: &some(n), ..GIVE });
            "ReqDmaster.datalen" at 56: |n| Body::ReqDmaster(ReqDmaster { data: &some(n), key: b"key", ..GIVE });
            "ReplyDmaster.keylen" at 48: |n| Body::ReplyDmaster(ReplyDmaster { key: &some(n), ..GET });
            "ReplyDmaster.datalen" at 52: |n| Body::ReplyDmaster(ReplyDmaster { data: &some(n), key: b"key", ..GET });
            "ReplyError.msglen" at 36: |n| Body::ReplyError(ReplyError { status: 5, message: &some(n) });
            "ReqMessage.datalen" at 40: |n| Body::ReqMessage(ReqMessage { srvid: Srvid(9), data: &some(n) });
            "ReqControl.datalen" at 56: |n| Body::ReqControl(ReqControl { data: &some(n), ..ASK });
            "ReplyControl.datalen" at 36: |n| Body::ReplyControl(ReplyControl { status: 0, data: &some(n), error: b"" });
            "ReplyControl.errorlen" at 40: |n| Body::ReplyControl(ReplyControl { status: 0, data: b"data", error: &some(n) });
            "ReqTunnel.datalen" at 44: |n| Body::ReqTunnel(ReqTunnel { tunnel: TunnelId(1), flags: TunnelFlags::REPLY, data: &some(n) });
        }
        types {
            "OwnedRecord.length" OwnedRecord, at 0, BYTES: |n| OwnedRecord { reqid: ReqId(1), key: some(n), data: some(3) };
            "OwnedRecord.keylen" OwnedRecord, at 8, BYTES: |n| OwnedRecord { reqid: ReqId(1), key: some(n), data: some(3) };
            "OwnedRecord.datalen" OwnedRecord, at 12, BYTES: |n| OwnedRecord { reqid: ReqId(1), key: some(3), data: some(n) };
            "RecBuffer.count" RecBuffer, at 4, ITEMS_BUT_NONE: |n| records(n);
            "KeyData.keylen" KeyData, at 32, BYTES: |n| KeyData { db: DbId(7), header: RecordHeader::default(), key: some(n) };
            "PushRecord.keylen" PushRecord, at 32, BYTES: |n| pushed(n, 3);
            "PushRecord.valuelen" PushRecord, at 39, BYTES: |n| pushed(3, n);
            "DbMap.count" DbMap, at 0, ITEMS: |n| DbMap { dbs: vec![DbIdFlags { db: DbId(1), flags: DbFlags::STICKY }; n] };
            "DbSizes.count" DbSizes, at 0, ITEMS: |n| DbSizes { dbs: vec![DbSize { db: DbId(1), kib: 7 }; n] };
            "NodeMap.count" NodeMap, at 0, ITEMS: |n| NodeMap { nodes: vec![NodeAndFlags { pnn: Pnn(1), flags: NodeFlags::BANNED, addr: addr() }; n] };
            "VnnMap.count" VnnMap, at 4, ITEMS: |n| VnnMap { generation: Generation(1), map: vec![Pnn(1); n] };
            "PublicIpList.count" PublicIpList, at 0, ITEMS: |n| PublicIpList { ips: vec![PublicIp { pnn: Pnn(1), addr: addr() }; n] };
            "PublicIpInfo.count" PublicIpInfo, at 36, ITEMS: |n| PublicIpInfo { ip: PublicIp { pnn: Pnn(1), addr: addr() }, active_idx: 0, ifaces: ifaces(n) };
            "IfaceList.count" IfaceList, at 0, ITEMS: |n| IfaceList { ifaces: ifaces(n) };
            "AddrInfo.length" AddrInfo, at 32, BYTES: |n| AddrInfo { addr: addr(), mask: 24, iface: Some(text(n)) };
            "ConnectionList.count" ConnectionList, at 0, ITEMS: |n| ConnectionList { connections: connections(n) };
            "TickleList.count" TickleList, at 28, ITEMS: |n| TickleList { addr: addr(), connections: connections(n) };
            "NotifyData.length" NotifyData, at 8, BYTES: |n| NotifyData { srvid: Srvid(9), data: some(n) };
            "EchoData.length" EchoData, at 4, BYTES: |n| EchoData { timeout: 5, buf: some(n) };
            "Tunable.length" Tunable, at 4, BYTES: |n| Tunable { value: 1, name: text(n) };
            "TunableName.length" TunableName, at 0, BYTES: |n| TunableName(text(n));
            "TunableNames.length" TunableNames, at 0, ITEMS: |n| TunableNames(vec![text(5); n]);
            "StatisticsList.count" StatisticsList, at 0, ITEMS: |n| StatisticsList { stats: vec![Statistics::default(); n] };
            "RunRequest.component" RunRequest, at 0, BYTES: |n| RunRequest { component: line(n), event: line(1), args: Text::NULL, timeout: 30, flags: event::RunFlags::ALL };
            "RunRequest.event" RunRequest, at 6, BYTES: |n| RunRequest { component: line(1), event: line(n), args: Text::NULL, timeout: 30, flags: event::RunFlags::ALL };
            "RunRequest.args" RunRequest, at 12, BYTES: |n| RunRequest { component: line(1), event: line(1), args: line(n), timeout: 30, flags: event::RunFlags::ALL };
            "StatusRequest.component" StatusRequest, at 0, BYTES: |n| StatusRequest { component: line(n), event: line(1) };
            "StatusRequest.event" StatusRequest, at 6, BYTES: |n| StatusRequest { component: line(1), event: line(n) };
            "ScriptRequest.component" ScriptRequest, at 0, BYTES: |n| ScriptRequest { component: line(n), script: line(1), action: event::ScriptAction::Enable };
            "ScriptRequest.script" ScriptRequest, at 6, BYTES: |n| ScriptRequest { component: line(1), script: line(n), action: event::ScriptAction::Enable };
            "EventStatus.scripts" EventStatus, at 4, ITEMS: |n| EventStatus { summary: 0, scripts: vec![script(2, 9); n] };
            "ScriptStatus.name" ScriptStatus, at 0, BYTES: |n| script(n, 1);
            "ScriptStatus.output" ScriptStatus, at 42, BYTES: |n| script(1, n);
        }
    }
}

/// A buffer of no records says so, and has nothing that could be cut but that.
const ITEMS_BUT_NONE: &[usize] = &[1, 2, 3, 7, 8, 255, 256, 1000];

fn pushed(key: usize, value: usize) -> PushRecord {
    PushRecord {
        generation: Generation(1),
        db: DbId(7),
        header: RecordHeader::default(),
        key: some(key),
        value: some(value),
    }
}

#[test]
fn lengths_at_their_borders_come_back_and_lies_do_not() {
    cases().iter().for_each(Case::check);
}

/// What is checked above, or below by a test of its own.
#[test]
fn no_type_with_a_length_is_forgotten() {
    let cases = cases();
    for layout in wire::layout::TYPES.iter().flat_map(|(_, types)| *types) {
        let of_it = |case: &&Case| case.name.split('.').next() == Some(layout.name);
        let count = cases.iter().filter(of_it).count();
        let lengths = |ty: &str| ty.starts_with("Vec<") || ["Text", "bytes"].contains(&ty);
        let wanted = layout.fields.iter().filter(|field| lengths(field.ty));
        match layout.name {
            // the first has a test below; the others go up to the end, without a length
            "DbStatistics" | "SrvidList" | "SrvidBits" => {}
            "OwnedRecord" => assert_eq!(count, 3),
            // the flags behind the value have no length
            "ReqDmaster" | "ReplyDmaster" => assert_eq!(count, 2),
            name => assert_eq!(count, wanted.count(), "{name}"),
        }
    }
}

#[test]
fn a_hot_key_is_as_long_as_its_place_says() {
    let make = |length| {
        let hot_key = HotKey {
            count: 1,
            key: some(length),
        };
        let statistics = DbStatistics {
            hot_keys: vec![hot_key; HOT_KEYS],
            ..DbStatistics::default()
        };
        statistics.to_bytes()
    };
    for place in 0..HOT_KEYS {
        let case = Case {
            name: "DbStatistics.hot_keys",
            at: 224 + 24 * place + 16,
            width: 8,
            sizes: &[1, 2, 255, 256],
            make,
            again: again::<DbStatistics>,
            framed: false,
        };
        case.check();
    }
    let many = DbStatistics {
        hot_keys: vec![HotKey::default(); HOT_KEYS + 1],
        ..DbStatistics::default()
    };
    assert_eq!(
        many.to_bytes().len(),
        DbStatistics::MIN_SIZE,
        "ten and no more"
    );
}

#[test]
fn names_of_a_fixed_size_end_in_it() {
    for length in [0, 1, 16, 17] {
        let name = IfaceName(text(length));
        assert_eq!(IfaceName::from_bytes(&name.to_bytes()), Ok(name));
    }
    assert_eq!(
        IfaceName(text(18)).to_bytes(),
        IfaceName(text(17)).to_bytes()
    );
    assert!(IfaceName::from_bytes(&some(18)).is_err());
    for length in [0, 1, 62, 63] {
        let name = BackupName(text(length));
        assert_eq!(BackupName::from_bytes(&name.to_bytes()), Ok(name));
    }
    assert_eq!(
        BackupName(text(64)).to_bytes(),
        BackupName(text(63)).to_bytes()
    );
    assert!(BackupName::from_bytes(&some(64)).is_err());
}

#[test]
fn a_text_that_ends_its_payload_needs_its_nul_alone() {
    for &length in BYTES {
        let name = text(length);
        let mut bytes = name.to_bytes();
        assert_eq!(bytes.len(), length + 1);
        assert_eq!(String::from_bytes(&bytes), Ok(name.clone()));
        assert_eq!(Option::<String>::from_bytes(&bytes), Ok(Some(name)));
        bytes.pop();
        assert!(String::from_bytes(&bytes).is_err());
    }
    assert_eq!(Option::<String>::from_bytes(b""), Ok(None));
}

#[test]
fn packets_have_a_shortest_and_a_longest() {
    let length = |n: usize| frame_length(&(n as u32).to_ne_bytes());
    assert!(length(31).is_err());
    assert_eq!(length(32), Ok(Some(32)));
    assert_eq!(length(MAX_PACKET), Ok(Some(MAX_PACKET)));
    assert!(length(MAX_PACKET + 1).is_err());
    assert!(length(u32::MAX as usize).is_err());
    let length = |n: usize| event::frame_length(&(n as u32).to_ne_bytes());
    assert!(length(15).is_err());
    assert_eq!(length(16), Ok(Some(16)));
    assert_eq!(length(event::MAX_PACKET), Ok(Some(event::MAX_PACKET)));
    assert!(length(event::MAX_PACKET + 1).is_err());
    assert!(length(u32::MAX as usize).is_err());
}

#[test]
fn a_backups_buffers_are_as_long_and_as_many_as_it_says() {
    let head = |count, length| {
        let head = BackupBuffer {
            db: DbId(1),
            count,
            length,
        };
        BackupBuffer::read(&head.to_bytes()).is_ok()
    };
    assert!(head(0, 0) && head(1, 16) && head(1, backup::MAX_BUFFER));
    assert!(!head(1, 15) && !head(1, backup::MAX_BUFFER + 1) && !head(0, u64::MAX));
    assert!(!head(u32::MAX, backup::MAX_BUFFER));
    let file = |nbuf, nrec, buffers: &[RecBuffer]| {
        let header = BackupHeader {
            version: backup::VERSION,
            timestamp: 0,
            flags: 0,
            nbuf,
            nrec,
            name: BackupName(text(63)),
        };
        let mut bytes = header.to_bytes();
        buffers
            .iter()
            .for_each(|buffer| backup::put_buffer(&mut bytes, buffer));
        backup::Backup::new(&bytes).and_then(|backup| backup.check())
    };
    let plain = |count| {
        let mut buffer = RecBuffer::new(DbId(7));
        let header = Some(RecordHeader::default());
        (0..count).for_each(|_| buffer.push(ReqId(0), header, b"k", b"v"));
        buffer
    };
    assert_eq!(file(0, 0, &[]), Ok(0));
    assert_eq!(file(1, 0, &[plain(0)]), Ok(0));
    assert_eq!(file(2, 3, &[plain(1), plain(2)]), Ok(3));
    assert_eq!(
        file(1, 1, &[plain(1), plain(2)]),
        Ok(1),
        "the rest is ignored"
    );
    assert!(file(3, 3, &[plain(1), plain(2)]).is_err());
    assert!(file(2, 4, &[plain(1), plain(2)]).is_err());
    assert!(file(u64::MAX, 3, &[plain(1), plain(2)]).is_err());
}

#[test]
fn addresses_go_up_to_the_end() {
    let srvids = SrvidList((0..1000).map(Srvid).collect());
    let bytes = srvids.to_bytes();
    assert_eq!(bytes.len(), 8000);
    assert_eq!(SrvidList::from_bytes(&bytes), Ok(srvids));
    assert!(SrvidList::from_bytes(&bytes[..7999]).is_err());
    let bits: SrvidBits = (0..9).map(|at| at % 2 == 0).collect();
    assert_eq!(bits.0, [0b0101_0101, 1]);
}

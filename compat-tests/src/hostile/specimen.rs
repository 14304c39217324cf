//! Valid packets: one of every operation, of every control that is answered, and of every message with a form of its
//! own. They are never sent as they are, only broken: `ctdb shutdown` is among them.

use wire::coding::Encode;
use wire::control::{ControlInfo, Life, Opcode, TABLE};
use wire::message;
use wire::packet::{
    Body, CallFlags, ControlFlags, Header, Packet, ReplyCall, ReplyControl, ReplyDmaster,
    ReplyError, ReqCall, ReqControl, ReqDmaster, ReqKeepalive, ReqMessage, ReqTunnel, TunnelFlags,
    function,
};
use wire::tunables::TunableName;
use wire::types::{
    AddrInfo, Connection, DbSize, DbSizes, EchoData, Iface, IfaceName, KeyData, NotifyData,
    OwnedRecord, PublicIp, PushRecord, RecBuffer, RecordFlags, RecordHeader, SockAddr, SrvidList,
    TickleList, Tunable, VnnMap,
};
use wire::{ClientId, DbId, Generation, Pnn, ReqId, Srvid, TunnelId};

use super::sites::{Site, Walk};

/// Where the fields of an operation begin.
const BODY: usize = 32;

/// A valid packet.
#[derive(Debug, Clone)]
pub(super) struct Specimen {
    /// What it is.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) sites: Vec<Site>,
}

/// All of them, about this database.
pub(super) fn all(db: DbId) -> Vec<Specimen> {
    let mut all = operations(db);
    let live = TABLE.iter().filter(|info| info.life == Life::Live);
    all.extend(live.map(|info| control(info, db)));
    all.extend(message::TABLE.iter().map(|info| {
        let data = sample(info.payload, db);
        message(info.name, info.srvid, info.payload, &data)
    }));
    let records = sample("RecBuffer", db);
    let srvid = Srvid(Srvid::RECOVERY.0 | 7);
    all.push(message(
        "records of a recovery",
        srvid,
        "RecBuffer",
        &records,
    ));
    all
}

/// Sites of the fields of an operation, and of what it carries.
fn specimen(name: String, body: Body<'_>, payload: &str) -> Specimen {
    let header = Header {
        generation: Generation::INVALID,
        operation: body.operation(),
        destination: Pnn::CURRENT,
        source: Pnn::CURRENT,
        reqid: ReqId(0),
    };
    let carried = match body {
        Body::ReqControl(control) => control.data.len(),
        Body::ReqMessage(message) => message.data.len(),
        _ => 0,
    };
    let packet = Packet::new(header, body);
    let bytes = packet.to_bytes();
    let mut unpadded = Vec::new();
    packet.encode_unpadded(&mut unpadded);
    let mut walk = Walk::new(&unpadded, BODY);
    walk.value(&format!("{:?}", body.operation()));
    let mut sites = walk.sites;
    let mut inner = Walk::new(&unpadded, unpadded.len() - carried);
    if carried > 0 {
        inner.value(payload);
    }
    sites.extend(inner.sites);
    Specimen { name, bytes, sites }
}

fn operations(db: DbId) -> Vec<Specimen> {
    let (key, data) = (b"a key".as_slice(), b"some value".as_slice());
    let record_flags = Some(RecordFlags::MIGRATED_WITH_DATA);
    let bodies = [
        Body::ReqCall(ReqCall {
            flags: CallFlags::IMMEDIATE_MIGRATION,
            db,
            callid: function::FETCH,
            hopcount: 0,
            key,
            calldata: data,
        }),
        Body::ReplyCall(ReplyCall { status: 0, data }),
        Body::ReplyError(ReplyError {
            status: -1,
            message: data,
        }),
        Body::ReqDmaster(ReqDmaster {
            db,
            rsn: 1,
            dmaster: Pnn(0),
            record_flags,
            key,
            data,
        }),
        Body::ReplyDmaster(ReplyDmaster {
            db,
            rsn: 1,
            record_flags,
            key,
            data,
        }),
        Body::ReplyControl(ReplyControl {
            status: 0,
            data,
            error: b"no error",
        }),
        Body::ReqKeepalive(ReqKeepalive {
            version: 0x0004_0011,
            uptime: 1,
        }),
        Body::ReqTunnel(ReqTunnel {
            tunnel: TunnelId(7),
            flags: TunnelFlags::empty(),
            data,
        }),
        Body::ReqMessage(ReqMessage {
            srvid: Srvid(4711),
            data,
        }),
    ];
    let name = |body: &Body<'_>| format!("{:?}", body.operation());
    bodies
        .into_iter()
        .map(|body| specimen(name(&body), body, ""))
        .collect()
}

fn control(info: &ControlInfo, db: DbId) -> Specimen {
    let data = sample(info.request, db);
    let body = Body::ReqControl(ReqControl {
        opcode: info.opcode,
        srvid: Srvid(Opcode::GetPnn.number().into()),
        client: ClientId(0),
        flags: ControlFlags::empty(),
        data: &data,
    });
    specimen(info.name.to_owned(), body, info.request)
}

fn message(name: &str, srvid: Srvid, payload: &str, data: &[u8]) -> Specimen {
    let body = Body::ReqMessage(ReqMessage { srvid, data });
    specimen(format!("message {name}"), body, payload)
}

/// A value of a request or a message, by the name of its type.
///
/// # Panics
/// There is a type that nobody has made a sample of.
fn sample(type_name: &str, db: DbId) -> Vec<u8> {
    let name = type_name.trim_start_matches("types::");
    let made = with_records(name, db)
        .or_else(|| with_texts(name))
        .or_else(|| with_addresses(name));
    made.unwrap_or_else(|| numbers(name))
}

fn with_records(type_name: &str, db: DbId) -> Option<Vec<u8>> {
    let (key, value) = (b"a key".to_vec(), b"some value".to_vec());
    let (header, generation) = (RecordHeader::default(), Generation(7));
    Some(match type_name {
        "RecBuffer" => records(db).to_bytes(),
        "OwnedRecord" => OwnedRecord {
            reqid: ReqId(1),
            key,
            data: value,
        }
        .to_bytes(),
        "KeyData" => KeyData { db, header, key }.to_bytes(),
        "PushRecord" => PushRecord {
            generation,
            db,
            header,
            key,
            value,
        }
        .to_bytes(),
        "DbSizes" => DbSizes {
            dbs: vec![DbSize { db, kib: 9 }; 2],
        }
        .to_bytes(),
        "VnnMap" => VnnMap {
            generation,
            map: vec![Pnn(0), Pnn(1), Pnn(2)],
        }
        .to_bytes(),
        _ => return None,
    })
}

fn with_texts(type_name: &str) -> Option<Vec<u8>> {
    let (name, value) = ("MonitorInterval".to_owned(), b"some value".to_vec());
    Some(match type_name {
        "" | "Ignored" => Vec::new(),
        "String" => "hostile.tdb".to_owned().to_bytes(),
        "Tunable" => Tunable { value: 1, name }.to_bytes(),
        "TunableName" => TunableName(name).to_bytes(),
        "NotifyData" => NotifyData {
            srvid: Srvid(7),
            data: value,
        }
        .to_bytes(),
        "SrvidList" => SrvidList(vec![Srvid(7), Srvid::ALL]).to_bytes(),
        "EchoData" => EchoData {
            timeout: 0,
            buf: value,
        }
        .to_bytes(),
        _ => return None,
    })
}

fn with_addresses(type_name: &str) -> Option<Vec<u8>> {
    let (addr, pnn) = (address(), Pnn(0));
    let connection = Connection {
        src: addr,
        dst: addr,
    };
    Some(match type_name {
        "AddrInfo" => AddrInfo {
            addr,
            mask: 24,
            iface: Some("eth0".into()),
        }
        .to_bytes(),
        "TickleList" => TickleList {
            addr,
            connections: vec![connection; 2],
        }
        .to_bytes(),
        "Connection" => connection.to_bytes(),
        "SockAddr" => addr.to_bytes(),
        "PublicIp" => PublicIp { pnn, addr }.to_bytes(),
        "Iface" => Iface {
            name: IfaceName("eth0".into()),
            link_state: 1,
            references: 0,
        }
        .to_bytes(),
        _ => return None,
    })
}

/// A value of numbers alone: all zero.
fn numbers(type_name: &str) -> Vec<u8> {
    let all = wire::layout::TYPES.iter().flat_map(|(_, all)| *all);
    let layout = all.into_iter().find(|layout| layout.name == type_name);
    let size = match (layout, type_name) {
        (Some(layout), _) if layout.is_fixed() => layout.size(),
        (None, "i32" | "u32" | "DbId" | "Pnn" | "RecoveryMode") => 4,
        (None, "u64" | "f64" | "Srvid") => 8,
        _ => panic!("no sample of {type_name}"),
    };
    vec![0; size]
}

fn records(db: DbId) -> RecBuffer {
    let header = Some(RecordHeader::default());
    let mut buffer = RecBuffer::new(db);
    buffer.push(ReqId(0), header, b"a key", b"some value");
    buffer.push(ReqId(0), header, b"another key", b"another value");
    buffer
}

fn address() -> SockAddr {
    let ip = std::net::Ipv4Addr::new(192, 0, 2, 99);
    SockAddr::from(std::net::SocketAddr::from((ip, 445)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::control::Request;
    use wire::message::Message;

    /// What is to be broken is whole before.
    #[test]
    fn every_specimen_is_valid() {
        let all = all(DbId(7));
        assert!(all.len() > 110, "{}", all.len());
        for Specimen { name, bytes, .. } in all {
            let packet = Packet::decode(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
            match packet.body {
                Body::ReqControl(it) => {
                    Request::decode(it.opcode, it.srvid, it.data)
                        .unwrap_or_else(|why| panic!("{name}: {why}"));
                }
                Body::ReqMessage(it) => {
                    Message::decode(it.srvid, it.data)
                        .unwrap_or_else(|why| panic!("{name}: {why}"));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn what_a_control_carries_has_its_sites_too() {
        let all = all(DbId(7));
        let of = |name: &str| all.iter().find(|it| it.name == name).expect("a specimen");
        let rules: Vec<_> = of("SETVNNMAP").sites.iter().map(|site| site.rule).collect();
        use super::super::sites::Rule;
        assert_eq!(rules, [Rule::Length, Rule::Count { size: 4 }]);
        let rules: Vec<_> = of("SET_TUNABLE")
            .sites
            .iter()
            .map(|site| site.rule)
            .collect();
        assert!(matches!(
            rules[..],
            [Rule::Length, Rule::Length, Rule::Text { .. }]
        ));
        assert_eq!(of("UPDATE_RECORD").sites.len(), 4);
    }
}

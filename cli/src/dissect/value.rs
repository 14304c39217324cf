//! What is in a packet, as JSON: the types' own fields, with bytes as text, numbers that people
//! know in hexadecimal, and record buffers opened.

use serde_json::{Map, Value, json};
use wire::control::{Opcode, Reply, Request};
use wire::message::Message;
use wire::packet::{Body, Packet, function};
use wire::types::{RecBuffer, Record};
use wire::{DbId, Srvid};

/// Fields that hold bytes.
const BYTES: [&str; 4] = ["key", "data", "value", "buf"];
/// The longest printed text of bytes.
const LONGEST: usize = 256;

/// The header's fields.
pub(super) fn header(packet: &Packet<'_>) -> Value {
    let header = packet.header;
    json!({
        "generation": header.generation,
        "source": header.source,
        "destination": destination(header.destination.0),
        "reqid": header.reqid,
    })
}

/// A node, or the name of many.
fn destination(pnn: u32) -> Value {
    match pnn {
        0xF000_0001 => json!("current"),
        0xF000_0002 => json!("all"),
        0xF000_0003 => json!("active"),
        0xF000_0004 => json!("connected"),
        0xFFFF_FFFF => json!("none"),
        pnn => json!(pnn),
    }
}

/// The body's fields. Of a control or message that cannot be read there is the error and its bytes.
pub(super) fn body(packet: &Packet<'_>, asked: Option<Opcode>) -> Value {
    match packet.body {
        Body::ReqCall(call) => json!({
            "db": db(call.db),
            "function": function_name(call.callid),
            "key": bytes(call.key),
            "flags": call.flags.bits(),
            "hopcount": call.hopcount,
            "calldata": bytes(call.calldata),
        }),
        Body::ReplyCall(reply) => json!({"status": reply.status, "data": bytes(reply.data)}),
        Body::ReqDmaster(it) => json!({
            "db": db(it.db), "key": bytes(it.key), "dmaster": it.dmaster, "rsn": it.rsn,
            "flags": it.record_flags, "value": bytes(it.data),
        }),
        Body::ReplyDmaster(it) => json!({
            "db": db(it.db), "key": bytes(it.key), "rsn": it.rsn,
            "flags": it.record_flags, "value": bytes(it.data),
        }),
        Body::ReplyError(it) => json!({"status": it.status, "message": bytes(it.message)}),
        Body::ReqMessage(it) => json!({
            "srvid": srvid_name(it.srvid), "message": message(it.srvid, it.data),
        }),
        Body::ReqControl(it) => json!({
            "control": control_name(it.opcode), "flags": it.flags.bits(), "client": it.client,
            "srvid": srvid(it.srvid),
            "request": read(Request::decode(it.opcode, it.srvid, it.data).map(request), it.data),
        }),
        Body::ReplyControl(it) => json!({
            "control": asked.map(Opcode::name), "status": it.status,
            "error": bytes(it.error), "reply": reply(asked, it.status, it.data),
        }),
        Body::ReqKeepalive(it) => json!({
            "version": format!("{}.{}", it.version >> 16, it.version & 0xffff),
            "uptime": it.uptime,
        }),
        Body::ReqTunnel(it) => json!({
            "tunnel": it.tunnel.to_string(), "flags": it.flags.bits(), "data": bytes(it.data),
        }),
    }
}

fn request(request: Request) -> Value {
    match request {
        Request::Retired(_) => json!("retired"),
        request => {
            let ty = request.opcode().info().request;
            untagged(serde_json::to_value(request), ty)
        }
    }
}

fn reply(asked: Option<Opcode>, status: i32, data: &[u8]) -> Value {
    match asked {
        Some(opcode) if status >= 0 => read(
            Reply::decode(opcode, data)
                .map(|reply| untagged(serde_json::to_value(reply), opcode.info().reply)),
            data,
        ),
        _ => bytes(data),
    }
}

fn message(srvid: Srvid, data: &[u8]) -> Value {
    let value = Message::decode(srvid, data).map(|message| match message {
        Message::Other(_, data) => bytes(&data),
        Message::Recovery(_, records) => records_of(&records),
        message => untagged(serde_json::to_value(message), ""),
    });
    read(value, data)
}

/// A value, or the error and the bytes.
fn read(value: Result<Value, wire::coding::DecodeError>, data: &[u8]) -> Value {
    value.unwrap_or_else(|error| json!({"error": error.to_string(), "bytes": bytes(data)}))
}

/// The value in an enum's variant, which is of this type.
fn untagged(value: serde_json::Result<Value>, ty: &str) -> Value {
    let in_words = |value: Value| match (ty, value.as_u64()) {
        ("DbId", Some(number)) => json!(format!("{number:#010x}")),
        _ => in_words(value),
    };
    match value {
        Ok(Value::Object(map)) if map.len() == 1 => map
            .into_iter()
            .next()
            .map_or(Value::Null, |(_, value)| in_words(value)),
        // a variant without a value
        Ok(_) => Value::Null,
        Err(error) => json!(error.to_string()),
    }
}

/// Bytes, addresses, databases and record buffers as people read them.
pub(super) fn in_words(value: Value) -> Value {
    match value {
        Value::Object(map) => object(map),
        Value::Array(items) => Value::Array(items.into_iter().map(in_words).collect()),
        other => other,
    }
}

fn object(map: Map<String, Value>) -> Value {
    if map.len() == 1
        && let Some(addr) = map.get("V4").or_else(|| map.get("V6"))
    {
        return addr.clone();
    }
    if let Some(buffer) = record_buffer(&map) {
        return records_of(&buffer);
    }
    let field = |(name, value): (String, Value)| {
        let value = match (name.as_str(), &value) {
            ("db", Value::Number(number)) => {
                json!(format!("{:#010x}", number.as_u64().unwrap_or(0)))
            }
            ("srvid", Value::Number(number)) => srvid(Srvid(number.as_u64().unwrap_or(0))),
            (name, Value::Array(items)) if BYTES.contains(&name) => match as_bytes(items) {
                Some(found) => bytes(&found),
                None => in_words(value),
            },
            _ => in_words(value),
        };
        (name, value)
    };
    Value::Object(map.into_iter().map(field).collect())
}

fn as_bytes(items: &[Value]) -> Option<Vec<u8>> {
    let byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
    items.iter().map(byte).collect()
}

fn record_buffer(map: &Map<String, Value>) -> Option<RecBuffer> {
    let number = |name: &str| u32::try_from(map.get(name)?.as_u64()?).ok();
    Some(RecBuffer {
        db: DbId(number("db")?),
        count: number("count")?,
        buf: as_bytes(map.get("buf")?.as_array()?)?,
    })
}

fn records_of(buffer: &RecBuffer) -> Value {
    let one = |found: Result<Record<'_>, wire::coding::DecodeError>| match found {
        Ok(found) => record(found),
        Err(error) => json!({"error": error.to_string()}),
    };
    let records: Vec<Value> = buffer.records().map(one).collect();
    json!({"db": db(buffer.db), "count": buffer.count, "records": records})
}

/// A record; the header is taken off its data if there is room for one.
fn record(found: Record<'_>) -> Value {
    let key = bytes(found.key);
    match found.with_header() {
        Ok(Record {
            header: Some(header),
            data,
            ..
        }) => json!({
            "key": key, "rsn": header.rsn, "dmaster": header.dmaster,
            "flags": header.flags, "value": bytes(data),
        }),
        _ => json!({"key": key, "data": bytes(found.data)}),
    }
}

/// The text of bytes that are text (a NUL at the end left out), else their digits.
pub(super) fn bytes(bytes: &[u8]) -> Value {
    let text = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let is_text = text.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    let shown = if is_text { text } else { bytes };
    let shown = &shown[..shown.len().min(LONGEST)];
    let digits = || {
        shown
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let mut out = match is_text {
        true => String::from_utf8_lossy(shown).into_owned(),
        false => format!("0x{}", digits()),
    };
    if text.len() > LONGEST {
        out += &format!("... ({} bytes)", bytes.len());
    }
    Value::String(out)
}

fn db(db: DbId) -> Value {
    json!(db.to_string())
}

fn srvid(srvid: Srvid) -> Value {
    match srvid.0 {
        0 => json!(0),
        _ => json!(srvid.to_string()),
    }
}

/// Upstream's name of an address, or its number.
pub(super) fn srvid_name(srvid: Srvid) -> String {
    let known = wire::message::TABLE.iter().find(|info| info.srvid == srvid);
    match known {
        Some(info) => info.name.to_owned(),
        None if srvid.is_recovery() => format!("RECOVERY {srvid}"),
        None => srvid.to_string(),
    }
}

/// Upstream's name of a control, or its number.
pub(super) fn control_name(opcode: u32) -> String {
    wire::control::opcode_name(opcode).map_or_else(|| opcode.to_string(), str::to_owned)
}

fn function_name(callid: u32) -> String {
    match callid {
        function::NULL => "NULL".to_owned(),
        function::FETCH => "FETCH".to_owned(),
        function::FETCH_WITH_HEADER => "FETCH_WITH_HEADER".to_owned(),
        other => format!("{other:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_can_be() {
        assert_eq!(bytes(b"locking.tdb\0"), json!("locking.tdb"));
        assert_eq!(bytes(&[1, 0xff]), json!("0x01ff"));
        let long = bytes(&[0; 300]).as_str().unwrap().to_owned();
        assert!(long.ends_with("... (300 bytes)"), "{long}");
    }

    #[test]
    fn addresses_and_numbers_are_as_people_write_them() {
        let value = json!({"addr": {"V4": "10.0.0.1:0"}, "db": 7, "key": [97, 98], "map": [0, 1]});
        let wanted = json!({"addr": "10.0.0.1:0", "db": "0x00000007", "key": "ab", "map": [0, 1]});
        assert_eq!(in_words(value), wanted);
    }

    #[test]
    fn record_buffers_are_opened() {
        let mut buffer = RecBuffer::new(DbId(7));
        buffer.push(wire::ReqId(0), Some(Default::default()), b"k", b"v");
        let value = in_words(serde_json::to_value(&buffer).unwrap());
        assert_eq!(value["records"][0]["value"], json!("v"));
        buffer.count = 9;
        assert!(records_of(&buffer)["records"][1]["error"].is_string());
    }
}

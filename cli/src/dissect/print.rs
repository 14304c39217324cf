//! Packets as people read them: a line each, in full, or JSON.

use serde_json::{Map, Value, json};
use wire::packet::Operation;

use super::value;
use super::{Seen, What};

/// How packets are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One line each, cut where it gets long.
    Line,
    /// Every field on a line of its own.
    Full,
    /// One JSON object in a line each.
    Json,
}

/// The longest content in a line, in characters.
const LONGEST: usize = 200;

/// The text of one packet, without a line's end.
pub fn print(seen: &Seen, style: Style) -> String {
    let (name, header, content) = describe(seen);
    match style {
        Style::Json => json!({
            "time": seen.time, "stream": seen.stream, "length": seen.length,
            "packet": name, "header": header, "content": content,
        })
        .to_string(),
        Style::Line => {
            let mut line = format!("{}{name}{}", front(seen), in_a_line(&header));
            let content = in_a_line(&content);
            line.extend(content.chars().take(LONGEST));
            line + if content.chars().count() > LONGEST {
                " ..."
            } else {
                ""
            }
        }
        Style::Full => {
            let mut text = format!("{}{name}, {} bytes\n", front(seen), seen.length);
            in_full(&header, 1, &mut text);
            in_full(&content, 1, &mut text);
            text
        }
    }
}

/// Time and stream.
fn front(seen: &Seen) -> String {
    let time = seen
        .time
        .as_ref()
        .map_or(String::new(), |time| format!("{time} "));
    format!("{time}{}: ", seen.stream)
}

/// Name, header and content.
fn describe(seen: &Seen) -> (String, Value, Value) {
    match &seen.what {
        What::Packet(packet, asked) => {
            let packet = packet.packet();
            let mut content = value::body(&packet, *asked);
            let name = operation(packet.header.operation).to_owned();
            let about = ["control", "srvid"]
                .into_iter()
                .find_map(|field| match packet.body {
                    wire::packet::Body::ReqTunnel(_) => None,
                    _ => content
                        .get(field)?
                        .as_str()
                        .map(|about| (field, about.to_owned())),
                });
            let Some((field, about)) = about else {
                return (name, value::header(&packet), content);
            };
            content.as_object_mut().map(|map| map.remove(field));
            (format!("{name} {about}"), value::header(&packet), content)
        }
        What::EventRequest(reqid, request) => {
            let name = format!("EVENT_REQUEST {:?}", request.command()).to_uppercase();
            (
                name,
                json!({"reqid": reqid}),
                event(serde_json::to_value(request)),
            )
        }
        What::EventReply(reqid, reply) => {
            let name = format!("EVENT_REPLY {:?}", reply.command()).to_uppercase();
            (
                name,
                json!({"reqid": reqid}),
                event(serde_json::to_value(reply)),
            )
        }
        What::Malformed(error, bytes) => {
            let content = json!({"bytes": value::bytes(bytes)});
            (format!("MALFORMED {error}"), Value::Null, content)
        }
        What::Skipped => {
            let content = json!({"bytes": seen.length});
            ("SKIPPED".to_owned(), Value::Null, content)
        }
    }
}

/// The texts of the event daemon are bytes that serde writes as numbers.
fn event(value: serde_json::Result<Value>) -> Value {
    fn texts(value: Value) -> Value {
        match value {
            Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_u64) => {
                let bytes = items
                    .iter()
                    .filter_map(|item| u8::try_from(item.as_u64()?).ok());
                json!(String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()))
            }
            Value::Array(items) => Value::Array(items.into_iter().map(texts).collect()),
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(name, value)| (name, texts(value)))
                    .collect(),
            ),
            other => other,
        }
    }
    match value {
        Ok(Value::Object(map)) => match map.into_iter().next() {
            // the status of an event is a result of its own
            Some((_, mut it)) => match it.get_mut("Ok").map(Value::take) {
                Some(status) => texts(status),
                None => texts(it),
            },
            None => Value::Null,
        },
        Ok(other) => other,
        Err(error) => json!(error.to_string()),
    }
}

/// Upstream's name of an operation, without CTDB_.
fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::ReqCall => "REQ_CALL",
        Operation::ReplyCall => "REPLY_CALL",
        Operation::ReqDmaster => "REQ_DMASTER",
        Operation::ReplyDmaster => "REPLY_DMASTER",
        Operation::ReplyError => "REPLY_ERROR",
        Operation::ReqMessage => "REQ_MESSAGE",
        Operation::ReqControl => "REQ_CONTROL",
        Operation::ReplyControl => "REPLY_CONTROL",
        Operation::ReqKeepalive => "REQ_KEEPALIVE",
        Operation::ReqTunnel => "REQ_TUNNEL",
    }
}

/// ` name=value` for each field; nothing for what is empty.
fn in_a_line(value: &Value) -> String {
    let empty = |value: &Value| value.is_null() || value == "";
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !empty(value))
            .map(|(name, value)| format!(" {name}={}", short(value)))
            .collect(),
        value if empty(value) => String::new(),
        value => format!(" {}", short(value)),
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let field = |(name, value): (&String, &Value)| format!("{name}={}", short(value));
            format!(
                "{{{}}}",
                map.iter().map(field).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(short).collect::<Vec<_>>().join(" ")
            )
        }
        other => other.to_string(),
    }
}

/// Each field on a line, what is inside it indented.
fn in_full(value: &Value, depth: usize, text: &mut String) {
    let indent = "    ".repeat(depth);
    let mut line = |name: &str, value: &Value| match value {
        Value::Object(_) | Value::Array(_) => {
            text.push_str(&format!("{indent}{name}\n"));
            in_full(value, depth + 1, text);
        }
        value => text.push_str(&format!("{indent}{name}: {value}\n")),
    };
    match value {
        Value::Object(map) => fields(map).for_each(|(name, value)| line(name, value)),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                line(&format!("[{number}]"), item);
            }
        }
        Value::Null => {}
        value => text.push_str(&format!("{indent}{value}\n")),
    }
}

fn fields(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.iter().filter(|(_, value)| !value.is_null())
}

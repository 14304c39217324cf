//! What is written: an event as a line of text, or as a JSON object.
//!
//! ```text
//! 2026-11-23T09:35:44.754360+05:45 HOST ctdbd[8]: text key=value
//! {"time":"2026-11-23T09:35:44.754360+05:45","level":"NOTICE","host":"HOST","node":0,"program":"ctdbd","pid":8,
//!  "target":"ctdbd::startup","message":"text","fields":{"key":"value"}}
//! ```

use std::fmt::{self, Write as _};

use config::LogLevel;
use serde::Serialize;
use serde_json::{Map, Value};
use sys::LocalTime;
use tracing::Event;
use tracing::field::{Field, Visit};

/// The longest text that is written, in bytes: names in it are other people's.
const LONGEST: usize = 8192;

/// Who writes.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) host: String,
    pub(super) program: String,
}

impl Who {
    /// What stands in front of a line of text in a file.
    pub(super) fn header(&self, now: LocalTime) -> String {
        let Self { host, program } = self;
        format!("{now} {host} {program}[{}]: ", std::process::id())
    }

    /// An event as a JSON object, without a line feed, and how many like it were left out before.
    pub(super) fn json(
        &self,
        (now, level, node): (LocalTime, LogLevel, Option<u32>),
        left_out: u64,
        event: &Event<'_>,
    ) -> String {
        let mut parts = Parts::default();
        event.record(&mut parts);
        clip(&mut parts.message);
        let object = Object {
            time: now.to_string(),
            level: level.name(),
            host: &self.host,
            node,
            program: &self.program,
            pid: std::process::id(),
            left_out,
            target: event.metadata().target(),
            message: parts.message.trim_end_matches('\n'),
            fields: &parts.fields,
        };
        // a map of texts and numbers can be written; should it not be, the message is still there
        serde_json::to_string(&object).unwrap_or_else(|_| Value::from(parts.message).to_string())
    }
}

/// An event's message and, behind it, its fields: one text, perhaps of several lines.
pub(super) fn text(event: &Event<'_>) -> String {
    let mut text = Text::default();
    event.record(&mut text);
    let Text {
        mut message,
        fields,
    } = text;
    message.truncate(message.trim_end_matches('\n').len());
    message.push_str(&fields);
    clip(&mut message);
    message
}

/// Cuts a text that is too long.
fn clip(text: &mut String) {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str("...");
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Debug, Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // writing to a string does not fail
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[derive(Serialize)]
struct Object<'a> {
    time: String,
    level: &'static str,
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<u32>,
    program: &'a str,
    pid: u32,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
    target: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: &'a Map<String, Value>,
}

/// The parts of a JSON object: fields keep their type.
#[derive(Debug, Default)]
struct Parts {
    message: String,
    fields: Map<String, Value>,
}

impl Parts {
    fn put_text(&mut self, field: &Field, mut text: String) {
        clip(&mut text);
        self.put(field, text);
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}");
            }
            _ => self.put_text(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            _ => self.put_text(field, value.to_owned()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

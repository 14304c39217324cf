//! The tables: fields with their offsets, numbers with names, controls, messages, dialects.

use wire::control::{self, ControlInfo, Life};
use wire::dialect::{DIFFERENCES, Subject};
use wire::layout::{Field, Layout, NUMBERS, Numbers, TYPES};
use wire::message;

/// Bytes in a row of a diagram.
const ROW: usize = 8;
/// Characters for 4 bytes of a diagram.
const CELL: usize = 24;

/// One group of types.
pub(super) fn group(name: &str) -> String {
    let found = TYPES.iter().filter(|(group, _)| *group == name);
    found
        .flat_map(|(_, types)| types.iter())
        .map(|layout| structure(layout, header_size(layout)))
        .collect()
}

/// All groups but the packets.
pub(super) fn groups() -> String {
    let others = TYPES.iter().filter(|(group, _)| *group != "Packets");
    others
        .map(|(name, _)| format!("### {name}\n\n{}", group(name)))
        .collect()
}

/// What stands in front of a packet's fields.
fn header_size(layout: &Layout) -> usize {
    let is_body = layout.about.starts_with("CTDB_RE");
    if is_body {
        wire::packet::HEADER_SIZE
    } else {
        0
    }
}

fn structure(layout: &Layout, start: usize) -> String {
    let more = if layout.is_fixed() { "" } else { " and more" };
    let size = start + layout.size();
    let lines: String = layout
        .offsets()
        .map(|(offset, field)| line(offset.map(|at| at + start), field))
        .collect();
    format!(
        "#### {}\n\n{} In all {size} bytes{more}.\n{}\n| offset | field | type | |\n|---|---|---|---|\n{lines}\n",
        layout.name,
        without_size(layout.about),
        diagram(layout, start)
    )
}

fn line(offset: Option<usize>, field: &Field) -> String {
    let offset = offset.map_or_else(|| "..".to_owned(), |at| at.to_string());
    let ty = type_name(field.ty);
    let line = format!(
        "| {offset} | {} | {ty} | {} |\n",
        field.name,
        cell(field.about)
    );
    match field.pad {
        0 => line,
        pad => format!("{line}| | | {pad} bytes of padding | |\n"),
    }
}

/// A description whose end does not say the size, since the page computes it.
fn without_size(about: &str) -> String {
    let about = about.trim();
    match about.rsplit_once([':', ',']) {
        Some((what, size)) if size.starts_with(" ") && size.ends_with(" bytes.") => {
            format!("{what}.")
        }
        _ => cell(about),
    }
}

/// A text as it can stand in a table.
fn cell(text: &str) -> String {
    text.trim()
        .replace('|', "\\|")
        .replace("[`", "`")
        .replace("`]", "`")
}

/// A Rust type in the words of the page.
fn type_name(ty: &str) -> String {
    let ty = ty.trim_start_matches("types::");
    if let Some(item) = ty.strip_prefix("Vec<").and_then(|ty| ty.strip_suffix('>')) {
        return match item {
            "u8" => "u32 length, bytes".to_owned(),
            item => format!("u32 count, as many {}", linked(item)),
        };
    }
    let linked = linked(ty);
    linked
        .replace(" ;", ";")
        .replace("BUCKETS", "16")
        .replace("HOT_KEYS", "10")
}

/// A type's name, as a link if the page has its fields or values.
fn linked(name: &str) -> String {
    let is_type = TYPES
        .iter()
        .flat_map(|(_, types)| *types)
        .any(|layout| layout.name == name);
    let is_number = NUMBERS.iter().any(|numbers| numbers.name == name);
    match is_type || is_number {
        true => format!("[{name}](#{})", name.to_lowercase()),
        false => name.replace('<', "&lt;").replace('>', "&gt;"),
    }
}

/// The fixed part, 8 bytes a row; nothing if it has fields that are not whole words of 4 bytes.
fn diagram(layout: &Layout, start: usize) -> String {
    let mut cells = Vec::new();
    for (offset, field) in layout.offsets() {
        let Some(offset) = offset else { break };
        if field.size == 0 && !field.fixed {
            break;
        }
        if offset % 4 != 0 || field.size % 4 != 0 || field.pad % 4 != 0 || field.size > 32 {
            return String::new();
        }
        let name = if field.fixed {
            field.name.to_owned()
        } else {
            format!("{}: count", field.name)
        };
        cells.push((field.size, name));
        if field.pad > 0 {
            cells.push((field.pad, "(pad)".to_owned()));
        }
        if !field.fixed {
            break;
        }
    }
    if cells.len() < 2 {
        return String::new();
    }
    format!("\n```text\n{}```\n", rows(&cells, start))
}

/// The rows of a diagram.
fn rows(cells: &[(usize, String)], start: usize) -> String {
    let mut words: Vec<String> = Vec::new();
    for (size, name) in cells {
        words.push(name.clone());
        words.extend((4..*size).step_by(4).map(|_| String::new()));
    }
    let mut text = String::new();
    for (row, pair) in words.chunks(ROW / 4).enumerate() {
        text += &format!("{:>5} ", start + row * ROW);
        for (at, word) in pair.iter().enumerate() {
            // a word without a name belongs to the field before it
            let edge = if word.is_empty() && !(row == 0 && at == 0) {
                ' '
            } else {
                '|'
            };
            text += &format!("{edge} {word:<width$}", width = CELL - 2);
        }
        text += "|\n";
    }
    text
}

/// Flags and enumerations.
pub(super) fn numbers() -> String {
    NUMBERS.iter().map(number_table).collect()
}

fn number_table(numbers: &Numbers) -> String {
    let kind = if numbers.flags { "bits" } else { "values" };
    let digits = if numbers.flags { 2 * numbers.size } else { 0 };
    let lines: String = numbers
        .values
        .iter()
        .map(|value| {
            let number = match numbers.flags {
                true => format!("0x{:0digits$X}", value.value),
                false => value.value.to_string(),
            };
            let about = cell(value.about);
            // the values of Operation name the type of their fields
            let about = match about.strip_prefix("See `super::") {
                Some(_) => format!("[{0}](#{1})", value.name, value.name.to_lowercase()),
                None => about,
            };
            format!("| {number} | {} | {about} |\n", value.name)
        })
        .collect();
    format!(
        "#### {}\n\n{} (u{}, {kind})\n\n| | | |\n|---|---|---|\n{lines}\n",
        numbers.name,
        numbers.about.trim(),
        8 * numbers.size
    )
}

/// All controls.
pub(super) fn controls() -> String {
    let lines: String = control::TABLE.iter().map(control_line).collect();
    format!("| | control | request | reply |\n|---|---|---|---|\n{lines}")
}

fn control_line(info: &ControlInfo) -> String {
    let (number, name) = (info.opcode, info.name);
    if let Life::Retired { instead } = info.life {
        let instead = instead.map_or_else(String::new, |other| format!(", use {other}"));
        return format!("| {number} | {name} | retired{instead} | |\n");
    }
    let request = match info.srvid {
        Some(srvid) => format!("in the packet's srvid: {srvid}"),
        None => type_name(info.request),
    };
    let reply = match info.status {
        Some(status) => format!("status: {status}"),
        None => type_name(info.reply),
    };
    format!("| {number} | {name} | {request} | {reply} |\n")
}

/// All well-known message addresses.
pub(super) fn messages() -> String {
    let line = |info: &message::MessageInfo| {
        let (srvid, name) = (info.srvid, info.name);
        let (payload, about) = (type_name(info.payload), cell(info.about));
        format!("| {srvid} | {name} | {payload} | {about} |\n")
    };
    let lines: String = message::TABLE.iter().map(line).collect();
    format!("| SRVID | name | data | |\n|---|---|---|---|\n{lines}")
}

/// What differs between the dialects.
pub(super) fn dialects() -> String {
    let lines: String = DIFFERENCES
        .iter()
        .map(|line| {
            let subject = match line.subject {
                Subject::Control(opcode) => format!("control {} {opcode}", opcode.number()),
                Subject::Srvid(srvid) => format!("SRVID {srvid}"),
                Subject::Other(name) => name.to_owned(),
            };
            format!("| {subject} | {} | {} |\n", line.samba_4_17, line.master)
        })
        .collect();
    format!("| | 4.17 | master |\n|---|---|---|\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_packets_count_the_header() {
        let text = group("Packets");
        assert!(
            text.contains("| 60 | key | bytes | The record's key. |"),
            "{text}"
        );
        assert!(text.contains("   32 | flags                 | db                    |"));
    }

    #[test]
    fn a_size_is_said_once() {
        assert_eq!(without_size(" UPTIME: 64 bytes."), "UPTIME.");
        assert_eq!(without_size(" What: this."), "What: this.");
    }

    #[test]
    fn types_are_told_in_words() {
        assert_eq!(type_name("Vec<Pnn>"), "u32 count, as many Pnn");
        assert_eq!(type_name("[u32 ; BUCKETS]"), "[u32; 16]");
        assert_eq!(type_name("types::Uptime"), "[Uptime](#uptime)");
    }
}

//! Where in a valid packet the protocol's rules are: found by going through the layouts of [`wire::layout`] beside the
//! packet's bytes.

use wire::layout::{Field, Layout, TYPES};

/// Fields that say how long the next field without a length of its own is.
const LENGTHS: [&str; 6] = [
    "length",
    "keylen",
    "datalen",
    "calldatalen",
    "msglen",
    "errorlen",
];
/// Of those whose bytes are a text with a NUL.
const TEXTS: [&str; 3] = ["name", "names", "iface"];

/// A rule, and the offset in the packet of the field that has to keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) at: usize,
    pub(super) rule: Rule,
}

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// So many items, of at least `size` bytes each, follow.
    Count { size: usize },
    /// So many bytes are there.
    Length,
    /// A record begins here: its length is that of four numbers, its key and its data.
    Record,
    /// There is a NUL before `end`.
    Text { end: usize },
}

/// Goes through the bytes of a value.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) sites: Vec<Site>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        let sites = Vec::new();
        Self { bytes, at, sites }
    }

    /// A value of that type; where its last field begins.
    pub(super) fn value(&mut self, name: &str) -> usize {
        match name {
            "String" | "Option<String>" => return self.text(self.bytes.len()),
            "IfaceName" => return self.text(self.at + 18),
            _ => {}
        }
        if let Some(item) = name
            .strip_prefix("Vec<")
            .and_then(|rest| rest.strip_suffix('>'))
        {
            return self.list(item);
        }
        match layout(name) {
            Some(layout) if !layout.is_fixed() || has_text(layout) => self.fields(layout),
            Some(layout) => self.skip(layout.size()),
            None => self.skip(simple_size(name)),
        }
    }

    fn fields(&mut self, layout: &Layout) -> usize {
        if layout.name == "OwnedRecord" {
            return self.record();
        }
        let mut lengths = Vec::new();
        let mut last = self.at;
        for field in layout.fields {
            last = self.at;
            match field.ty {
                "bytes" => self.bytes_of(layout, field, &mut lengths),
                "u32" if LENGTHS.contains(&field.name) => {
                    self.note(Rule::Length);
                    lengths.insert(0, self.number());
                }
                "u32" if field.name == "count" && layout.name == "RecBuffer" => {
                    self.note(Rule::Count { size: 16 });
                    self.at += 4;
                }
                ty => {
                    self.value(ty);
                }
            }
            self.at += field.pad;
        }
        last
    }

    fn bytes_of(&mut self, layout: &Layout, field: &Field, lengths: &mut Vec<usize>) {
        let end = match lengths.pop() {
            Some(length) => self.at + length,
            None => self.bytes.len(),
        };
        if layout.name == "RecBuffer" {
            while self.at < end {
                self.record();
            }
        } else if TEXTS.contains(&field.name) && end > self.at {
            self.text(end);
        }
        self.at = end;
    }

    fn record(&mut self) -> usize {
        self.note(Rule::Record);
        let start = self.at;
        self.at = start + self.number();
        start
    }

    fn list(&mut self, item: &str) -> usize {
        let size = layout(item).map_or_else(|| simple_size(item), Layout::size);
        self.note(match item {
            "u8" => Rule::Length,
            _ => Rule::Count { size },
        });
        let start = self.at;
        for _ in 0..self.number() {
            self.value(item);
        }
        start
    }

    fn text(&mut self, end: usize) -> usize {
        self.note(Rule::Text { end });
        let start = self.at;
        self.at = end;
        start
    }

    fn skip(&mut self, size: usize) -> usize {
        let start = self.at;
        self.at += size;
        start
    }

    fn note(&mut self, rule: Rule) {
        self.sites.push(Site { at: self.at, rule });
    }

    /// The number here, and past it but for a record's length.
    fn number(&mut self) -> usize {
        let is_record = self.sites.last().is_some_and(|site| {
            let Site { at, rule } = *site;
            at == self.at && rule == Rule::Record
        });
        let number = get(self.bytes, self.at) as usize;
        self.at += if is_record { 0 } else { 4 };
        number
    }
}

/// The number at an offset of a valid packet.
pub(super) fn get(bytes: &[u8], at: usize) -> u32 {
    let field = bytes[at..at + 4].try_into();
    u32::from_ne_bytes(field.expect("four bytes"))
}

fn layout(name: &str) -> Option<&'static Layout> {
    let name = name.trim_start_matches("types::");
    let mut all = TYPES.iter().flat_map(|(_, layouts)| *layouts);
    all.find(|layout| layout.name == name)
}

/// Some field in it is a text of a fixed size.
fn has_text(layout: &Layout) -> bool {
    layout.fields.iter().any(|field| field.ty == "IfaceName")
}

/// The size of a type that has no layout: a number, or an array of them.
fn simple_size(name: &str) -> usize {
    match name {
        "" => 0,
        "u8" | "bool" | "DbFlags" => 1,
        "u16" => 2,
        "u64" | "i64" | "f64" | "Srvid" | "TunnelId" => 8,
        "[u8; 2]" => 2,
        "[u8; 16]" => 16,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::coding::Encode;
    use wire::types::{Iface, IfaceList, IfaceName, RecBuffer, VnnMap};
    use wire::{DbId, Generation, Pnn, ReqId};

    fn sites(name: &str, bytes: &[u8]) -> Vec<Site> {
        let mut walk = Walk::new(bytes, 0);
        walk.value(name);
        assert_eq!(walk.at, bytes.len(), "{name}");
        walk.sites
    }

    #[test]
    fn counts_are_found() {
        let map = VnnMap {
            generation: Generation(7),
            map: vec![Pnn(0), Pnn(1)],
        };
        let count = Site {
            at: 4,
            rule: Rule::Count { size: 4 },
        };
        assert_eq!(sites("VnnMap", &map.to_bytes()), [count]);
    }

    #[test]
    fn texts_in_lists_are_found() {
        let iface = Iface {
            name: IfaceName("eth0".into()),
            link_state: 1,
            references: 0,
        };
        let list = IfaceList {
            ifaces: vec![iface],
        };
        let found = sites("IfaceList", &list.to_bytes());
        let text = Site {
            at: 4,
            rule: Rule::Text { end: 22 },
        };
        assert!(found.contains(&text), "{found:?}");
    }

    #[test]
    fn every_record_of_a_buffer_is_found() {
        let mut buffer = RecBuffer::new(DbId(1));
        buffer.push(ReqId(0), None, b"key", b"value");
        buffer.push(ReqId(0), None, b"another", b"");
        let found = sites("RecBuffer", &buffer.to_bytes());
        let offsets: Vec<_> = found.iter().map(|site| site.at).collect();
        assert_eq!(offsets, [4, 8, 32]);
    }
}

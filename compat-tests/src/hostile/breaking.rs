//! Packets with one rule of the protocol broken.
//!
//! | class | what is broken |
//! |---|---|
//! | `header` | length, magic, version or operation; a packet that ends too soon |
//! | `counts` | a count that is too high, or negative |
//! | `wraps` | counts and lengths that fit again if they are multiplied or added in 32 bits |
//! | `names` | a text without its NUL |
//! | `records` | keys and values that reach over the end of their packet or buffer |
//! | `nested` | lengths that disagree with those around them, each for itself possible |

use clap::ValueEnum;
use wire::control::Request;
use wire::message::Message;
use wire::packet::{Body, HEADER_SIZE, MAX_PACKET, Packet};

use super::chance::Chance;
use super::sites::{Rule, Site, get};
use super::specimen::Specimen;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Class {
    /// The header.
    Header,
    /// Counts too high, and negative ones.
    Counts,
    /// Sizes that wrap round.
    Wraps,
    /// Texts without a NUL.
    Names,
    /// Records that overrun their buffer.
    Records,
    /// Lengths that disagree.
    Nested,
}

/// What has to come of such a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The connection is ended.
    Closed,
    /// The control is answered with an error, or the connection is ended.
    Refused,
    /// Nothing is due: it is a message.
    Nothing,
}

/// A packet, or the beginning of one.
#[derive(Debug, Clone)]
pub(super) struct Malformed {
    /// Of which packet, and what is wrong with it.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) due: Due,
    /// Nothing comes behind it: without that it would be waited for, and rightly so.
    pub(super) ends: bool,
}

/// Makes malformed packets of the specimens.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    specimens: Vec<Specimen>,
    chance: Chance,
}

impl Breaker {
    pub(super) fn new(specimens: Vec<Specimen>, seed: u64) -> Self {
        let chance = Chance::new(seed);
        Self { specimens, chance }
    }

    /// Whether there are such packets.
    pub(super) fn has(mut self, class: Class, wanted: &[Due]) -> bool {
        self.draw(class, wanted).is_some()
    }

    /// The next packet of that class of which something in `wanted` is due.
    ///
    /// # Panics
    /// There is no such packet.
    pub(super) fn next(&mut self, class: Class, wanted: &[Due]) -> Malformed {
        let drawn = self.draw(class, wanted);
        drawn.unwrap_or_else(|| panic!("no packet of class {class:?} with {wanted:?}"))
    }

    fn draw(&mut self, class: Class, wanted: &[Due]) -> Option<Malformed> {
        let mut one = || {
            let at = self.chance.below(self.specimens.len());
            broken(&self.specimens[at], class, &mut self.chance)
        };
        (0..10_000).find_map(|_| one().filter(|broken| wanted.contains(&broken.due)))
    }
}

fn broken(specimen: &Specimen, class: Class, chance: &mut Chance) -> Option<Malformed> {
    let mut packet = specimen.bytes.clone();
    let what;
    let mut ends = false;
    if class == Class::Header {
        (what, ends) = break_header(&mut packet, chance)?;
    } else {
        let rule = |site: &&Site| breaks(class, site.rule);
        let sites: Vec<_> = specimen.sites.iter().filter(rule).collect();
        let site = **chance.pick(&sites)?;
        what = match class {
            Class::Counts => break_count(&mut packet, site, chance)?,
            Class::Wraps => break_by_wrapping(&mut packet, site, &specimen.sites, chance)?,
            Class::Names => break_name(&mut packet, site)?,
            Class::Records => break_record(&mut packet, site, chance),
            Class::Header | Class::Nested => break_nesting(&mut packet, site, chance)?,
        };
    }
    let due = match class {
        Class::Header => Due::Closed,
        _ => due(&packet)?,
    };
    Some(Malformed {
        name: format!("{}: {what}", specimen.name),
        bytes: packet,
        due,
        ends,
    })
}

fn breaks(class: Class, rule: Rule) -> bool {
    match class {
        Class::Header => false,
        Class::Counts => matches!(rule, Rule::Count { .. }),
        Class::Wraps => !matches!(rule, Rule::Text { .. }),
        Class::Names => matches!(rule, Rule::Text { .. }),
        Class::Records => matches!(rule, Rule::Length | Rule::Record),
        Class::Nested => !matches!(rule, Rule::Text { .. }),
    }
}

/// What the specification has to come of it; none if it happens to be a valid packet.
fn due(packet: &[u8]) -> Option<Due> {
    let Ok(packet) = Packet::decode(packet) else {
        return Some(Due::Closed);
    };
    match packet.body {
        Body::ReqControl(it) => Request::decode(it.opcode, it.srvid, it.data)
            .is_err()
            .then_some(Due::Refused),
        Body::ReqMessage(it) => Message::decode(it.srvid, it.data)
            .is_err()
            .then_some(Due::Nothing),
        _ => None,
    }
}

fn put(packet: &mut [u8], at: usize, value: u32) {
    packet[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

/// A small number, of chance.
fn some(chance: &mut Chance, limit: u32) -> u32 {
    let number = chance.below(limit as usize);
    u32::try_from(number).unwrap_or(0)
}

/// Says what, and whether nothing comes behind it.
fn break_header(packet: &mut Vec<u8>, chance: &mut Chance) -> Option<(String, bool)> {
    const LENGTH: usize = 0;
    const OPERATION: usize = 16;
    let length = get(packet, LENGTH);
    let flip = |chance: &mut Chance| 1u32 << chance.below(32);
    match chance.below(8) {
        0 => {
            let short = some(chance, HEADER_SIZE as u32);
            put(packet, LENGTH, short);
            Some((format!("length {short}"), false))
        }
        1 => {
            let most = u32::try_from(MAX_PACKET).ok()?;
            let long = most + 8 + (some(chance, 1 << 31) & !7);
            put(packet, LENGTH, long);
            Some((format!("length {long:#x}"), false))
        }
        2 => {
            let long = length + 8 + 8 * some(chance, 1 << 24);
            put(packet, LENGTH, long);
            Some((format!("length {long} of {length}"), true))
        }
        3 => {
            let left = 1 + chance.below(packet.len() - 1);
            packet.truncate(left);
            Some((format!("the first {left} bytes"), true))
        }
        4 => {
            let short = HEADER_SIZE + 8 * chance.below(packet.len() / 8);
            let head = packet.get_mut(..short)?;
            put(head, LENGTH, u32::try_from(short).ok()?);
            // less padding is no error
            let is_wrong = Packet::decode(head).is_err();
            is_wrong.then(|| (format!("length {short} of {length}"), false))
        }
        field @ 5..=6 => {
            let (at, name) = [(4, "magic"), (8, "version")][field - 5];
            let wrong = get(packet, at) ^ flip(chance);
            put(packet, at, wrong);
            Some((format!("{name} {wrong:#x}"), false))
        }
        _ => {
            let wrong = match some(chance, 2) {
                0 => 6,
                _ => 11 + some(chance, u32::MAX - 11),
            };
            put(packet, OPERATION, wrong);
            Some((format!("operation {wrong}"), false))
        }
    }
}

fn break_count(packet: &mut [u8], site: Site, chance: &mut Chance) -> Option<String> {
    let good = get(packet, site.at);
    let wrong = match chance.below(6) {
        0 => u32::MAX,
        1 => 0x8000_0000 | good,
        2 => 0x7FFF_FFFF,
        3 => good.wrapping_neg(),
        4 => good + 1,
        _ => good + 1 + some(chance, 1 << 20),
    };
    (wrong != good).then(|| {
        put(packet, site.at, wrong);
        format!("{} items instead of {good}", wrong.cast_signed())
    })
}

fn break_by_wrapping(
    packet: &mut [u8],
    site: Site,
    sites: &[Site],
    chance: &mut Chance,
) -> Option<String> {
    const HALF: u32 = 1 << 31;
    let good = get(packet, site.at);
    match site.rule {
        Rule::Count { size } => {
            let twos = size.trailing_zeros().min(31);
            let wrong = match twos {
                0 => u32::MAX / u32::try_from(size).ok()? + 1 + good,
                twos => good + ((1 + some(chance, (1 << twos) - 1)) << (32 - twos)),
            };
            put(packet, site.at, wrong);
            Some(format!("{wrong} items of {size} bytes"))
        }
        Rule::Record => {
            let (keylen, datalen) = (site.at + 8, site.at + 12);
            let lengths = [get(packet, keylen), get(packet, datalen)];
            match chance.below(3) {
                0 => put(packet, site.at, 0u32.wrapping_sub(1 + some(chance, 64))),
                1 => {
                    put(packet, keylen, lengths[0] + HALF);
                    put(packet, datalen, lengths[1] + HALF);
                }
                _ => put(packet, keylen, 0u32.wrapping_sub(16 + lengths[1])),
            }
            Some(format!("a record at {} with lengths that wrap", site.at))
        }
        Rule::Length => {
            let next = sites
                .iter()
                .find(|next| next.at == site.at + 4 && next.rule == Rule::Length);
            match next {
                Some(next) if chance.below(2) == 0 => {
                    let other = get(packet, next.at);
                    put(packet, site.at, good + HALF);
                    put(packet, next.at, other + HALF);
                    Some(format!("lengths at {} that wrap", site.at))
                }
                _ => {
                    let behind = u32::try_from(site.at).ok()? + 4;
                    let wrong = 0u32.wrapping_sub(some(chance, behind + 1)).max(HALF);
                    put(packet, site.at, wrong);
                    Some(format!("length {wrong:#x} at {}", site.at))
                }
            }
        }
        Rule::Text { .. } => None,
    }
}

fn break_name(packet: &mut [u8], site: Site) -> Option<String> {
    let Rule::Text { end } = site.rule else {
        return None;
    };
    let text = packet.get_mut(site.at..end)?;
    for byte in text.iter_mut().filter(|byte| **byte == 0) {
        *byte = b'x';
    }
    Some(format!("{} bytes without a NUL", text.len()))
}

fn break_record(packet: &mut [u8], site: Site, chance: &mut Chance) -> String {
    let at = match site.rule {
        Rule::Record => site.at + 4 * [0, 2, 3][chance.below(3)],
        _ => site.at,
    };
    let behind = u32::try_from(packet.len() - at).unwrap_or(0);
    let more = match chance.below(4) {
        0 => 0x7FFF_0000,
        _ => 1 + some(chance, 4096),
    };
    let wrong = get(packet, at) + behind + more;
    put(packet, at, wrong);
    format!("length {wrong} at {at}, {behind} bytes from the end")
}

fn break_nesting(packet: &mut Vec<u8>, site: Site, chance: &mut Chance) -> Option<String> {
    let at = match site.rule {
        Rule::Record => site.at + 4 * [0, 2, 3][chance.below(3)],
        _ => site.at,
    };
    let good = get(packet, at);
    let wrong = match chance.below(3) {
        0 if good > 0 => good - 1 - some(chance, good),
        1 => good + 1 + some(chance, 16),
        _ => {
            // there is more, and the length says so
            packet.extend_from_slice(&[0; 16]);
            let length = get(packet, 0) + 16;
            put(packet, 0, length);
            good + 9 + some(chance, 8)
        }
    };
    put(packet, at, wrong);
    (wrong != good).then(|| format!("{wrong} at {at}, and {good} is there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::specimen;
    use std::collections::BTreeSet;
    use wire::DbId;
    use wire::packet::frame_length;

    const ALL: [Due; 3] = [Due::Closed, Due::Refused, Due::Nothing];

    fn breaker(seed: u64) -> Breaker {
        Breaker::new(specimen::all(DbId(7)), seed)
    }

    #[test]
    fn no_packet_is_valid_by_chance() {
        let mut breaker = breaker(1);
        for &class in Class::value_variants() {
            for _ in 0..20_000 {
                let Malformed {
                    name,
                    bytes,
                    due: expected,
                    ends,
                } = breaker.next(class, &ALL);
                let whole = match frame_length(&bytes) {
                    Ok(Some(length)) => bytes.get(..length),
                    Ok(None) => None,
                    Err(_) => continue,
                };
                match whole {
                    None => assert!(ends, "{name}: waits for more"),
                    Some(whole) => assert_eq!(due(whole), Some(expected), "{name}"),
                }
            }
        }
    }

    #[test]
    fn the_same_seed_breaks_the_same() {
        let bytes = |seed| breaker(seed).next(Class::Nested, &ALL).bytes;
        assert_eq!(bytes(5), bytes(5));
    }

    /// Every specimen that has such a rule is among those that are broken.
    #[test]
    fn every_specimen_is_broken() {
        let mut breaker = breaker(3);
        for &class in Class::value_variants() {
            let drawn = (0..40_000).map(|_| breaker.next(class, &ALL).name);
            let broken: BTreeSet<String> = drawn
                .filter_map(|name| Some(name.split(": ").next()?.to_owned()))
                .collect();
            for specimen in specimen::all(DbId(7)) {
                let has_rule = class == Class::Header
                    || specimen.sites.iter().any(|site| breaks(class, site.rule));
                // bytes that nobody looks at cannot be wrong
                let is_free = ["START_PERSISTENT_UPDATE", "CANCEL_PERSISTENT_UPDATE"]
                    .contains(&&*specimen.name);
                assert!(
                    !has_rule || is_free || broken.contains(&specimen.name),
                    "{class:?}: {}",
                    specimen.name
                );
            }
        }
    }
}

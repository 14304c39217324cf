//! Answers as C wants them: in structures of 2013, in memory of malloc(3), each in one piece.
//!
//! Node maps, public addresses and interfaces are in C what they are on the wire. The others are translated: the
//! map of a vnnmap is a pointer in C, and today's statistics have a field more.

use std::ffi::{c_char, c_int};
use std::mem::offset_of;
use std::ptr;
use std::rc::Rc;

use tdb_sys::TDB_DATA;
use wire::Pnn;
use wire::coding::{Decode, Encode};
use wire::control::{
    CheckSrvids, Control, GetCapabilities, GetDbSeqnum, GetDbStatistics, GetIfaces, GetNodemap,
    GetPnn, GetPublicIps, GetRecmode, GetVnnMap, Opcode,
};
use wire::types::{self, Capabilities, IfaceList, NodeMap, PublicIpList, SrvidBits, VnnMap};

use super::connection::Connection;
use super::control::{Ask, Question};
use super::leader;
use super::request::{Answer, Request};

/// All nodes and their states: see `ctdb_protocol.h`.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_node_map {
    _private: (),
}

/// The public addresses of a node: see `ctdb_protocol.h`.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_all_public_ips {
    _private: (),
}

/// The interfaces of a node: see `ctdb_protocol.h`.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_ifaces_list {
    _private: (),
}

/// The generation and its lmasters: see `ctdb_protocol.h`.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_vnn_map {
    _private: (),
}

/// Counters of a database: see `ctdb_protocol.h`.
#[derive(Debug)]
#[expect(non_camel_case_types, reason = "the name in C")]
pub struct ctdb_db_statistics {
    _private: (),
}

/// Memory of malloc(3) with these bytes in front, zeros up to `least`; null without memory.
fn block<T>(bytes: &[u8], least: usize) -> *mut T {
    // SAFETY: no pointer goes in.
    let memory: *mut u8 = unsafe { libc::calloc(1, bytes.len().max(least)).cast() };
    if !memory.is_null() {
        // SAFETY: the memory is new, and at least as large.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len()) };
    }
    memory.cast()
}

/// A list that is the same on the wire and in C, where it has at least one element.
fn list<W: Decode + Encode, T>(answer: &Answer, least: usize) -> Option<*mut T> {
    let value = W::from_bytes(&answer.data).ok()?;
    let memory: *mut T = block(&value.to_bytes(), least);
    (!memory.is_null()).then_some(memory)
}

fn value<W: Decode>(answer: &Answer) -> Option<W> {
    W::from_bytes(&answer.data).ok()
}

/// Answers that are the status alone.
macro_rules! status_questions {
    ($($control:ident)*) => {$(
        impl Question for $control {
            const OPCODE: u32 = <Self as Control>::OPCODE;
            type Out = u32;
            fn read(answer: &Answer) -> Option<u32> {
                Some(answer.status.cast_unsigned())
            }
        }
    )*};
}

status_questions! { GetPnn GetRecmode }

/// Who leads: GET_RECMASTER, or the leader's own word.
pub(super) struct GetRecmaster;

impl Question for GetRecmaster {
    const OPCODE: u32 = Opcode::GetRecmaster as u32;
    type Out = u32;

    fn read(answer: &Answer) -> Option<u32> {
        Some(answer.status.cast_unsigned())
    }

    fn start(connection: &Rc<Connection>, to: Pnn, _: &[u8], request: &Rc<Request>) -> bool {
        leader::ask(connection, to, &Ask::new(Self::OPCODE), request)
    }
}

impl Question for CheckSrvids {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = Vec<u8>;

    fn read(answer: &Answer) -> Option<Vec<u8>> {
        value::<SrvidBits>(answer).map(|bits| bits.0)
    }
}

impl Question for GetCapabilities {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = u32;

    fn read(answer: &Answer) -> Option<u32> {
        value::<Capabilities>(answer).map(|capabilities| capabilities.bits())
    }
}

impl Question for GetDbSeqnum {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = u64;

    fn read(answer: &Answer) -> Option<u64> {
        value(answer)
    }
}

impl Question for GetNodemap {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = *mut ctdb_node_map;
    const NOTHING: Option<Self::Out> = Some(ptr::null_mut());

    fn read(answer: &Answer) -> Option<Self::Out> {
        list::<NodeMap, _>(answer, 40)
    }
}

impl Question for GetPublicIps {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = *mut ctdb_all_public_ips;
    const NOTHING: Option<Self::Out> = Some(ptr::null_mut());

    fn read(answer: &Answer) -> Option<Self::Out> {
        list::<PublicIpList, _>(answer, 36)
    }
}

impl Question for GetIfaces {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = *mut ctdb_ifaces_list;
    const NOTHING: Option<Self::Out> = Some(ptr::null_mut());

    fn read(answer: &Answer) -> Option<Self::Out> {
        list::<IfaceList, _>(answer, 28)
    }
}

/// `struct ctdb_vnn_map`, whose map lies behind it.
#[repr(C)]
struct Map {
    generation: u32,
    size: u32,
    map: *mut u32,
}

impl Question for GetVnnMap {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = *mut ctdb_vnn_map;
    const NOTHING: Option<Self::Out> = Some(ptr::null_mut());

    fn read(answer: &Answer) -> Option<Self::Out> {
        let vnnmap: VnnMap = value(answer)?;
        let mut bytes = vec![0; size_of::<Map>()];
        vnnmap.map.iter().for_each(|pnn| pnn.encode(&mut bytes));
        let head: *mut Map = block(&bytes, 0);
        if head.is_null() {
            return None;
        }
        // SAFETY: the block is large enough for the structure, and aligned as malloc(3) does; the map begins
        // behind it, inside the block.
        unsafe {
            head.write(Map {
                generation: vnnmap.generation.0,
                size: u32::try_from(vnnmap.map.len()).ok()?,
                map: head.add(1).cast(),
            });
        }
        Some(head.cast())
    }
}

/// `struct latency_counter`.
#[repr(C)]
struct Latency {
    num: c_int,
    min: f64,
    max: f64,
    total: f64,
}

/// `locks` in `struct ctdb_db_statistics`.
#[repr(C)]
struct Locks {
    num_calls: u32,
    num_current: u32,
    num_pending: u32,
    num_failed: u32,
    latency: Latency,
    buckets: [u32; types::BUCKETS],
}

/// An element of `hot_keys`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Hot {
    count: u32,
    key: TDB_DATA,
}

/// `struct ctdb_db_statistics`: today's without the vacuuming.
#[repr(C)]
struct Statistics {
    locks: Locks,
    db_ro_delegations: u32,
    db_ro_revokes: u32,
    hop_count_bucket: [u32; types::BUCKETS],
    num_hot_keys: u32,
    hot_keys: [Hot; types::HOT_KEYS],
    hot_keys_wire: [c_char; 1],
}

const _: () = assert!(size_of::<Statistics>() == 440 && size_of::<Map>() == 16);

impl Question for GetDbStatistics {
    const OPCODE: u32 = <Self as Control>::OPCODE;
    type Out = *mut ctdb_db_statistics;
    const NOTHING: Option<Self::Out> = Some(ptr::null_mut());

    fn read(answer: &Answer) -> Option<Self::Out> {
        let statistics: types::DbStatistics = value(answer)?;
        let keys = offset_of!(Statistics, hot_keys_wire);
        let mut bytes = vec![0; keys];
        for hot in &statistics.hot_keys {
            bytes.extend_from_slice(&hot.key);
        }
        let head: *mut Statistics = block(&bytes, size_of::<Statistics>());
        if head.is_null() {
            return None;
        }
        // SAFETY: the keys are at this place in the block, which is at least as large as the structure.
        let text = unsafe { head.cast::<u8>().add(keys) };
        // SAFETY: the fields up to the keys are written one by one into the block.
        unsafe { put_statistics(head, &statistics, text) };
        Some(head.cast())
    }
}

/// # Safety
/// `to` can be written, and the keys of all hot keys are at `text`, one behind the other.
unsafe fn put_statistics(to: *mut Statistics, from: &types::DbStatistics, text: *mut u8) {
    let mut hot_keys = [Hot {
        count: 0,
        key: TDB_DATA {
            dptr: ptr::null_mut(),
            dsize: 0,
        },
    }; types::HOT_KEYS];
    let mut at = 0;
    for (to, hot) in hot_keys.iter_mut().zip(&from.hot_keys) {
        // SAFETY: inside the keys, as the caller says.
        let dptr = unsafe { text.add(at) };
        let dsize = hot.key.len();
        *to = Hot {
            count: hot.count,
            key: TDB_DATA { dptr, dsize },
        };
        at += dsize;
    }
    let known = from.hot_keys.len().min(types::HOT_KEYS);
    // SAFETY: as the caller says; field by field, since the keys are where the last one begins.
    unsafe {
        (&raw mut (*to).locks).write(locks(&from.locks));
        (&raw mut (*to).db_ro_delegations).write(from.ro_delegations);
        (&raw mut (*to).db_ro_revokes).write(from.ro_revokes);
        (&raw mut (*to).hop_count_bucket).write(from.hop_count_bucket);
        (&raw mut (*to).num_hot_keys).write(known as u32);
        (&raw mut (*to).hot_keys).write(hot_keys);
    }
}

fn locks(from: &types::LockStatistics) -> Locks {
    Locks {
        num_calls: from.num_calls,
        num_current: from.num_current,
        num_pending: from.num_pending,
        num_failed: from.num_failed,
        latency: Latency {
            num: from.latency.num,
            min: from.latency.min,
            max: from.latency.max,
            total: from.latency.total,
        },
        buckets: from.buckets,
    }
}

#[cfg(test)]
mod tests {
    use wire::types::{DbStatistics, HotKey};

    use super::*;

    fn answer(data: Vec<u8>) -> Answer {
        Answer {
            data,
            ..Answer::default()
        }
    }

    #[test]
    fn statistics_lose_the_vacuuming_and_keep_the_keys() {
        let mut wire = DbStatistics {
            ro_delegations: 5,
            ro_revokes: 6,
            num_hot_keys: 2,
            ..DbStatistics::default()
        };
        wire.vacuum_latency.update(3.0);
        wire.hop_count_bucket[15] = 9;
        for (count, key) in [(7, "one"), (8, "three")] {
            let key = key.into();
            wire.hot_keys.push(HotKey { count, key });
        }
        let out = GetDbStatistics::read(&answer(wire.to_bytes())).unwrap();
        // SAFETY: just made.
        let seen = unsafe { &*out.cast::<Statistics>() };
        assert_eq!((seen.db_ro_delegations, seen.db_ro_revokes), (5, 6));
        assert_eq!(seen.hop_count_bucket[15], 9);
        let key = seen.hot_keys[1].key;
        // SAFETY: inside the block.
        let key = unsafe { std::slice::from_raw_parts(key.dptr, key.dsize) };
        assert_eq!((seen.hot_keys[1].count, key), (8, &b"three"[..]));
        // SAFETY: of malloc(3).
        unsafe { libc::free(out.cast()) };
    }

    #[test]
    fn what_is_malformed_is_no_answer() {
        assert!(GetNodemap::read(&answer(vec![2, 0, 0, 0, 1])).is_none());
        assert!(GetVnnMap::read(&answer(vec![1, 0, 0, 0, 255, 255, 255, 255])).is_none());
        assert!(GetDbStatistics::read(&answer(vec![0; 463])).is_none());
        assert!(GetCapabilities::read(&answer(Vec::new())).is_none());
    }
}

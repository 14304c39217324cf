//! What is asked of a daemon with a control: for each the sending, the receiving, and both at once.
//!
//! They all have the same shape, and are written out because the header is made of them.

use std::ffi::c_void;
use std::ptr;

use wire::DbId;
use wire::coding::Encode;
use wire::control::{
    CheckSrvids, GetCapabilities, GetDbSeqnum, GetDbStatistics, GetIfaces, GetNodemap, GetPnn,
    GetPublicIps, GetRecmode, GetVnnMap,
};
use wire::types::DbSeqnum;

use super::{
    ctdb_all_public_ips, ctdb_callback_t, ctdb_connection, ctdb_db_statistics, ctdb_ifaces_list,
    ctdb_node_map, ctdb_request, ctdb_vnn_map,
};
use crate::classic::answers::GetRecmaster;
use crate::classic::control::{ask, recv, send};
use crate::guard::{guard, set_errno};

/// The number of a node: of the daemon's own if `destnode` is CTDB_CURRENT_NODE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getpnn_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetPnn>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getpnn_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    pnn: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetPnn>(req, pnn) }
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getpnn(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    pnn: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetPnn>(ctdb, destnode, &[], pnn) }
}

/// The leader of the cluster, which was called recovery master. Without one the answer takes 10 seconds, and is false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getrecmaster_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetRecmaster>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getrecmaster_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    recmaster: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetRecmaster>(req, recmaster) }
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getrecmaster(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    recmaster: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetRecmaster>(ctdb, destnode, &[], recmaster) }
}

/// Whether the databases of a node can be used: 0, or 1 while a recovery is needed or running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getrecmode_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetRecmode>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getrecmode_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    recmode: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetRecmode>(req, recmode) }
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getrecmode(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    recmode: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetRecmode>(ctdb, destnode, &[], recmode) }
}

/// What a node can do: CTDB_CAP_*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getcapabilities_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetCapabilities>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getcapabilities_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    capabilities: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetCapabilities>(req, capabilities) }
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getcapabilities(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    capabilities: *mut u32,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetCapabilities>(ctdb, destnode, &[], capabilities) }
}

/// All nodes and their states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getnodemap_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetNodemap>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it. Free it with ctdb_free_nodemap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getnodemap_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    nodemap: *mut *mut ctdb_node_map,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetNodemap>(req, nodemap) }
}

/// Both of them, waiting for the answer. Free it with ctdb_free_nodemap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getnodemap(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    nodemap: *mut *mut ctdb_node_map,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetNodemap>(ctdb, destnode, &[], nodemap) }
}

/// Frees what ctdb_getnodemap or ctdb_getnodemap_recv gave; NULL is nothing to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_free_nodemap(nodemap: *mut ctdb_node_map) {
    // SAFETY: it is null, or one piece of memory of malloc(3).
    unsafe { libc::free(nodemap.cast()) };
}

/// The public addresses that a node can host, and which node does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getpublicips_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetPublicIps>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it. Free it with ctdb_free_publicips.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getpublicips_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    ips: *mut *mut ctdb_all_public_ips,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetPublicIps>(req, ips) }
}

/// Both of them, waiting for the answer. Free it with ctdb_free_publicips.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getpublicips(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    ips: *mut *mut ctdb_all_public_ips,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetPublicIps>(ctdb, destnode, &[], ips) }
}

/// Frees what ctdb_getpublicips or ctdb_getpublicips_recv gave; NULL is nothing to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_free_publicips(ips: *mut ctdb_all_public_ips) {
    // SAFETY: it is null, or one piece of memory of malloc(3).
    unsafe { libc::free(ips.cast()) };
}

/// The interfaces of a node that public addresses can be on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getifaces_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetIfaces>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it. Free it with ctdb_free_ifaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getifaces_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    ifaces: *mut *mut ctdb_ifaces_list,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetIfaces>(req, ifaces) }
}

/// Both of them, waiting for the answer. Free it with ctdb_free_ifaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getifaces(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    ifaces: *mut *mut ctdb_ifaces_list,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetIfaces>(ctdb, destnode, &[], ifaces) }
}

/// Frees what ctdb_getifaces or ctdb_getifaces_recv gave; NULL is nothing to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_free_ifaces(ifaces: *mut ctdb_ifaces_list) {
    // SAFETY: it is null, or one piece of memory of malloc(3).
    unsafe { libc::free(ifaces.cast()) };
}

/// The generation of the cluster and its lmasters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getvnnmap_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetVnnMap>(ctdb, destnode, &[], (callback, cbdata)) }
}

/// The answer to it. Free it with ctdb_free_vnnmap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getvnnmap_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    vnnmap: *mut *mut ctdb_vnn_map,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetVnnMap>(req, vnnmap) }
}

/// Both of them, waiting for the answer. Free it with ctdb_free_vnnmap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getvnnmap(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    vnnmap: *mut *mut ctdb_vnn_map,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetVnnMap>(ctdb, destnode, &[], vnnmap) }
}

/// Frees what ctdb_getvnnmap or ctdb_getvnnmap_recv gave; NULL is nothing to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_free_vnnmap(vnnmap: *mut ctdb_vnn_map) {
    // SAFETY: it is null, or one piece of memory of malloc(3).
    unsafe { libc::free(vnnmap.cast()) };
}

/// How many transactions a persistent database has seen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getdbseqnum_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    dbid: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe {
        send::<GetDbSeqnum>(
            ctdb,
            destnode,
            &DbSeqnum { db: DbId(dbid) }.to_bytes(),
            (callback, cbdata),
        )
    }
}

/// The answer to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getdbseqnum_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    seqnum: *mut u64,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetDbSeqnum>(req, seqnum) }
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getdbseqnum(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    dbid: u32,
    seqnum: *mut u64,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe {
        ask::<GetDbSeqnum>(
            ctdb,
            destnode,
            &DbSeqnum { db: DbId(dbid) }.to_bytes(),
            seqnum,
        )
    }
}

/// The counters of a database on a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getdbstat_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    db_id: u32,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    // SAFETY: C's handle and callback.
    unsafe { send::<GetDbStatistics>(ctdb, destnode, &DbId(db_id).to_bytes(), (callback, cbdata)) }
}

/// The answer to it. Free it with ctdb_free_dbstat.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getdbstat_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    stat: *mut *mut ctdb_db_statistics,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { recv::<GetDbStatistics>(req, stat) }
}

/// Both of them, waiting for the answer. Free it with ctdb_free_dbstat.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_getdbstat(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    db_id: u32,
    stat: *mut *mut ctdb_db_statistics,
) -> bool {
    // SAFETY: C's handle and variable.
    unsafe { ask::<GetDbStatistics>(ctdb, destnode, &DbId(db_id).to_bytes(), stat) }
}

/// Frees what ctdb_getdbstat or ctdb_getdbstat_recv gave; NULL is nothing to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_free_dbstat(stat: *mut ctdb_db_statistics) {
    // SAFETY: it is null, or one piece of memory of malloc(3).
    unsafe { libc::free(stat.cast()) };
}

/// The bytes of so many addresses; none, and `errno`, if C does not say where they are.
unsafe fn addresses(num: u32, mhs: *mut u64) -> Option<Vec<u8>> {
    let count = usize::try_from(num).unwrap_or(usize::MAX);
    if mhs.is_null() && count > 0 {
        set_errno(libc::EINVAL);
        return None;
    }
    let mut bytes = Vec::new();
    for at in 0..count {
        // SAFETY: C's array is so long.
        unsafe { mhs.add(at).read() }.encode(&mut bytes);
    }
    Some(bytes)
}

/// Which of `num` addresses are registered on a node. C's daemon since 4.8 cannot say, which is EOPNOTSUPP:
/// CHECK_PID_SRVID, which it has instead, wants to know the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_check_message_handlers_send(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    num: u32,
    mhs: *mut u64,
    callback: ctdb_callback_t,
    cbdata: *mut c_void,
) -> *mut ctdb_request {
    guard(ptr::null_mut(), || {
        // SAFETY: C's handle, array and callback.
        unsafe {
            addresses(num, mhs).map_or(ptr::null_mut(), |addresses| {
                send::<CheckSrvids>(ctdb, destnode, &addresses, (callback, cbdata))
            })
        }
    })
}

/// The answer to it: for each of the `num` addresses a byte in `result`, 1 if it is registered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_check_message_handlers_recv(
    _ctdb: *mut ctdb_connection,
    req: *mut ctdb_request,
    num: u32,
    result: *mut u8,
) -> bool {
    guard(false, || {
        let mut bits = Vec::new();
        // SAFETY: C's handle and array.
        unsafe { recv::<CheckSrvids>(req, &raw mut bits) && spread(num, &bits, result) }
    })
}

/// Both of them, waiting for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdb_check_message_handlers(
    ctdb: *mut ctdb_connection,
    destnode: u32,
    num: u32,
    mhs: *mut u64,
    result: *mut u8,
) -> bool {
    guard(false, || {
        let mut bits = Vec::new();
        // SAFETY: C's handle and arrays.
        unsafe {
            addresses(num, mhs).is_some_and(|addresses| {
                ask::<CheckSrvids>(ctdb, destnode, &addresses, &raw mut bits)
                    && spread(num, &bits, result)
            })
        }
    })
}

/// Makes bytes of bits.
unsafe fn spread(num: u32, bits: &[u8], result: *mut u8) -> bool {
    let count = num as usize;
    if bits.len() != count.div_ceil(8) || (result.is_null() && count > 0) {
        set_errno(libc::EIO);
        return false;
    }
    for at in 0..count {
        // SAFETY: C's array is so long.
        unsafe { result.add(at).write(bits[at / 8] >> (at % 8) & 1) };
    }
    true
}

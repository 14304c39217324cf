//! The controls that people use, with types of their own: questions about nodes and the cluster.

use std::ffi::{c_char, c_int};

use client::{Pnn, Srvid};
use wire::control::{
    Control, GetCapabilities, GetIfaces, GetNodemap, GetPid, GetPublicIps, GetRecmode, GetRunstate,
    GetTunable, GetVnnMap, ListTunables, Ping, SetTunable, Statistics, Uptime,
};
use wire::packet::ControlFlags;
use wire::tunables::TunableName;
use wire::types::{SockAddr, TimeVal, Tunable};

use super::border::{self, Outcome};
use super::connection::ctdbx_client;
use super::failure::Failure;
use super::memory;

/// ctdbx_node.flags: there is no connection to it.
pub const CTDBX_NODE_DISCONNECTED: u32 = 0x1;
/// The same: its services are not well.
pub const CTDBX_NODE_UNHEALTHY: u32 = 0x2;
/// The same: the administrator disabled it.
pub const CTDBX_NODE_DISABLED: u32 = 0x4;
/// The same: it is banned.
pub const CTDBX_NODE_BANNED: u32 = 0x8;
/// The same: it is commented out of the nodes file.
pub const CTDBX_NODE_DELETED: u32 = 0x10;
/// The same: the administrator stopped it.
pub const CTDBX_NODE_STOPPED: u32 = 0x20;

/// ctdbx_run_state(): the daemon begins.
pub const CTDBX_STATE_INIT: c_int = 1;
/// The same: it sets itself up.
pub const CTDBX_STATE_SETUP: c_int = 2;
/// The same: it waits for the first recovery.
pub const CTDBX_STATE_FIRST_RECOVERY: c_int = 3;
/// The same: its services start.
pub const CTDBX_STATE_STARTUP: c_int = 4;
/// The same: all is up.
pub const CTDBX_STATE_RUNNING: c_int = 5;
/// The same: on the way down.
pub const CTDBX_STATE_SHUTDOWN: c_int = 6;

/// ctdbx_capabilities(): the node can be leader.
pub const CTDBX_CAN_LEAD: u32 = 0x1;
/// The same: it can be lmaster.
pub const CTDBX_CAN_BE_LMASTER: u32 = 0x2;

/// The length of an address as text, with its NUL.
const ADDRESS: usize = 64;

/// A node.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ctdbx_node {
    /// Its number.
    pub pnn: u32,
    /// CTDBX_NODE_*, 0 if all is well.
    pub flags: u32,
    /// Its private address.
    pub address: [c_char; 64],
}

/// Nodes in the order of the nodes file, to be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_node_list {
    /// How many.
    pub count: usize,
    /// The nodes.
    pub items: *mut ctdbx_node,
}

/// The nodes that share the work of knowing where records are, to be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_vnn_map {
    /// The number of the cluster's configuration: each recovery makes another.
    pub generation: u32,
    /// How many.
    pub count: usize,
    /// Their numbers.
    pub lmasters: *mut u32,
}

/// A public address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ctdbx_public_ip {
    /// The node that hosts it; CTDBX_NO_NODE if none does.
    pub pnn: u32,
    /// The address.
    pub address: [c_char; 64],
}

/// Public addresses, to be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_public_ip_list {
    /// How many.
    pub count: usize,
    /// The addresses.
    pub items: *mut ctdbx_public_ip,
}

/// An interface that public addresses can be on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ctdbx_interface {
    /// Its name.
    pub name: [c_char; 32],
    /// 1: its link is up.
    pub up: u32,
    /// How many public addresses are on it.
    pub addresses: u32,
}

/// Interfaces, to be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_interface_list {
    /// How many.
    pub count: usize,
    /// The interfaces.
    pub items: *mut ctdbx_interface,
}

/// Times of a daemon, in microseconds since 1970; 0 is never.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ctdbx_uptime_info {
    /// Now, as the node sees it.
    pub now: i64,
    /// When it started.
    pub started: i64,
    /// When the last recovery began.
    pub recovery_started: i64,
    /// When it ended.
    pub recovery_finished: i64,
}

/// Asks a node: status and data of the answer.
///
/// # Safety
/// `client` is NULL or a valid handle.
pub(super) unsafe fn ask<C>(
    client: *const ctdbx_client,
    (node, timeout): (u32, c_int),
    request: C::Request,
) -> Outcome<(i32, C::Reply)>
where
    C: Control<Request: Send + 'static, Reply: Send + 'static>,
{
    // SAFETY: the caller's
    let client = unsafe { border::shared(client) }?;
    client.run_within((C::NAME, timeout), move |connection, deadline| async move {
        let client = connection.client(deadline).await?;
        let answer = client
            .control::<C>(Pnn(node), &request, deadline.left())
            .await?;
        Ok((answer.status, answer.reply))
    })
}

fn address(address: &SockAddr) -> [c_char; ADDRESS] {
    memory::field(&address.to_string())
}

/// How many clients a node's daemon has; the way to see that it answers.
///
/// # Safety
/// `client` is a valid handle, `clients` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_ping(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    clients: *mut u32,
) -> c_int {
    border::enter(|| {
        border::wanted(clients)?;
        // SAFETY: the caller's
        let (status, ()) = unsafe { ask::<Ping>(client, (node, timeout), ()) }?;
        // SAFETY: checked above
        unsafe { border::put(clients, status.cast_unsigned()) };
        Ok(())
    })
}

/// The cluster's leader, who says so each second. CTDBX_TIMED_OUT: there is none now.
///
/// # Safety
/// `client` is a valid handle, `pnn` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_leader(
    client: *const ctdbx_client,
    timeout: c_int,
    pnn: *mut u32,
) -> c_int {
    border::enter(|| {
        border::wanted(pnn)?;
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        let leader = client.run_within(("leader", timeout), |connection, deadline| async move {
            let client = connection.client(deadline).await?;
            Ok(client.leader(deadline.left()).await?)
        })?;
        // SAFETY: checked above
        unsafe { border::put(pnn, leader.0) };
        Ok(())
    })
}

/// The nodes as a node sees them.
///
/// # Safety
/// `client` is a valid handle, `nodes` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_nodes(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    nodes: *mut *mut ctdbx_node_list,
) -> c_int {
    border::enter(|| {
        border::wanted(nodes)?;
        // SAFETY: the caller's
        let (_, map) = unsafe { ask::<GetNodemap>(client, (node, timeout), ()) }?;
        let items: Vec<_> = map
            .nodes
            .iter()
            .map(|node| ctdbx_node {
                pnn: node.pnn.0,
                flags: node.flags.bits(),
                address: address(&node.addr),
            })
            .collect();
        let count = items.len();
        let list = memory::with_tail(&items, |items| ctdbx_node_list { count, items })?;
        // SAFETY: checked above
        unsafe { border::put(nodes, list) };
        Ok(())
    })
}

/// The generation of a node, and its lmasters.
///
/// # Safety
/// `client` is a valid handle, `map` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_lmasters(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    map: *mut *mut ctdbx_vnn_map,
) -> c_int {
    border::enter(|| {
        border::wanted(map)?;
        // SAFETY: the caller's
        let (_, vnn) = unsafe { ask::<GetVnnMap>(client, (node, timeout), ()) }?;
        let items: Vec<u32> = vnn.map.iter().map(|pnn| pnn.0).collect();
        let list = memory::with_tail(&items, |lmasters| ctdbx_vnn_map {
            generation: vnn.generation.0,
            count: items.len(),
            lmasters,
        })?;
        // SAFETY: checked above
        unsafe { border::put(map, list) };
        Ok(())
    })
}

/// Whether a node's databases can be used: 0 if so, 1 if a recovery is needed or running.
///
/// # Safety
/// `client` is a valid handle, `mode` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_recovery_mode(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    mode: *mut c_int,
) -> c_int {
    border::enter(|| {
        border::wanted(mode)?;
        // SAFETY: the caller's
        let (status, ()) = unsafe { ask::<GetRecmode>(client, (node, timeout), ()) }?;
        // SAFETY: checked above
        unsafe { border::put(mode, status) };
        Ok(())
    })
}

/// How far a node's daemon has come: CTDBX_STATE_*.
///
/// # Safety
/// `client` is a valid handle, `state` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_run_state(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    state: *mut c_int,
) -> c_int {
    border::enter(|| {
        border::wanted(state)?;
        // SAFETY: the caller's
        let (_, now) = unsafe { ask::<GetRunstate>(client, (node, timeout), ()) }?;
        // SAFETY: checked above
        unsafe { border::put(state, now as c_int) };
        Ok(())
    })
}

/// What a node can do: CTDBX_CAN_* and others.
///
/// # Safety
/// `client` is a valid handle, `capabilities` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_capabilities(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    capabilities: *mut u32,
) -> c_int {
    border::enter(|| {
        border::wanted(capabilities)?;
        // SAFETY: the caller's
        let (_, bits) = unsafe { ask::<GetCapabilities>(client, (node, timeout), ()) }?;
        // SAFETY: checked above
        unsafe { border::put(capabilities, bits.bits()) };
        Ok(())
    })
}

/// The process number of a node's daemon.
///
/// # Safety
/// `client` is a valid handle, `pid` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_daemon_pid(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    pid: *mut c_int,
) -> c_int {
    border::enter(|| {
        border::wanted(pid)?;
        // SAFETY: the caller's
        let (status, ()) = unsafe { ask::<GetPid>(client, (node, timeout), ()) }?;
        // SAFETY: checked above
        unsafe { border::put(pid, status) };
        Ok(())
    })
}

/// When a node's daemon started, and when the last recovery was.
///
/// # Safety
/// `client` is a valid handle, `uptime` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_uptime(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    uptime: *mut ctdbx_uptime_info,
) -> c_int {
    border::enter(|| {
        border::wanted(uptime)?;
        // SAFETY: the caller's
        let (_, times) = unsafe { ask::<Uptime>(client, (node, timeout), ()) }?;
        let micros = |time: TimeVal| {
            let seconds = time.seconds.saturating_mul(1_000_000);
            seconds.saturating_add(time.microseconds)
        };
        let info = ctdbx_uptime_info {
            now: micros(times.current_time),
            started: micros(times.ctdbd_start_time),
            recovery_started: micros(times.last_recovery_started),
            recovery_finished: micros(times.last_recovery_finished),
        };
        // SAFETY: checked above
        unsafe { border::put(uptime, info) };
        Ok(())
    })
}

/// The public addresses that a node knows, and who hosts them. `only_available`: not those that it
/// could not host now.
///
/// # Safety
/// `client` is a valid handle, `addresses` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_public_ips(
    client: *const ctdbx_client,
    node: u32,
    only_available: bool,
    timeout: c_int,
    addresses: *mut *mut ctdbx_public_ip_list,
) -> c_int {
    border::enter(|| {
        border::wanted(addresses)?;
        let flags = match only_available {
            true => ControlFlags::ONLY_AVAILABLE,
            false => ControlFlags::empty(),
        };
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        let ips = client.run_within(
            ("public_ips", timeout),
            move |connection, deadline| async move {
                let client = connection.client(deadline).await?;
                let (argument, left) = ((Srvid(0), flags), deadline.left());
                let answer = client.control_with::<GetPublicIps>(Pnn(node), argument, &(), left);
                Ok(answer.await?.reply.ips)
            },
        )?;
        let items: Vec<_> = ips
            .iter()
            .map(|ip| ctdbx_public_ip {
                pnn: ip.pnn.0,
                address: address(&ip.addr),
            })
            .collect();
        let count = items.len();
        let list = memory::with_tail(&items, |items| ctdbx_public_ip_list { count, items })?;
        // SAFETY: checked above
        unsafe { border::put(addresses, list) };
        Ok(())
    })
}

/// The interfaces of a node that public addresses can be on.
///
/// # Safety
/// `client` is a valid handle, `interfaces` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_interfaces(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    interfaces: *mut *mut ctdbx_interface_list,
) -> c_int {
    border::enter(|| {
        border::wanted(interfaces)?;
        // SAFETY: the caller's
        let (_, found) = unsafe { ask::<GetIfaces>(client, (node, timeout), ()) }?;
        let items: Vec<_> = found
            .ifaces
            .iter()
            .map(|iface| ctdbx_interface {
                name: memory::field(&iface.name.0),
                up: iface.link_state.into(),
                addresses: iface.references,
            })
            .collect();
        let count = items.len();
        let list = memory::with_tail(&items, |items| ctdbx_interface_list { count, items })?;
        // SAFETY: checked above
        unsafe { border::put(interfaces, list) };
        Ok(())
    })
}

/// The names of the tunables of a node: one text with a line for each, to be freed with
/// ctdbx_free().
///
/// # Safety
/// `client` is a valid handle, `names` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_tunables(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    names: *mut *mut c_char,
) -> c_int {
    border::enter(|| {
        border::wanted(names)?;
        // SAFETY: the caller's
        let (_, all) = unsafe { ask::<ListTunables>(client, (node, timeout), ()) }?;
        let text = memory::text(&all.0.join("\n"))?;
        // SAFETY: checked above
        unsafe { border::put(names, text) };
        Ok(())
    })
}

/// The value of a tunable of a node.
///
/// # Safety
/// `client` is a valid handle, `name` a terminated text, `value` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_get_tunable(
    client: *const ctdbx_client,
    node: u32,
    name: *const c_char,
    timeout: c_int,
    value: *mut u32,
) -> c_int {
    border::enter(|| {
        border::wanted(value)?;
        // SAFETY: the caller's
        let name = TunableName(unsafe { border::text(name) }?.to_owned());
        // SAFETY: the caller's
        let (_, number) = unsafe { ask::<GetTunable>(client, (node, timeout), name) }?;
        // SAFETY: checked above
        unsafe { border::put(value, number) };
        Ok(())
    })
}

/// Sets a tunable of a node, until its daemon ends.
///
/// # Safety
/// `client` is a valid handle, `name` a terminated text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_set_tunable(
    client: *const ctdbx_client,
    node: u32,
    name: *const c_char,
    value: u32,
    timeout: c_int,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let name = unsafe { border::text(name) }?.to_owned();
        let request = Tunable { value, name };
        // SAFETY: the caller's
        unsafe { ask::<SetTunable>(client, (node, timeout), request) }?;
        Ok(())
    })
}

/// Whether a process exists on a node and is a client of its daemon.
///
/// # Safety
/// `client` is a valid handle, `exists` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_process_exists(
    client: *const ctdbx_client,
    node: u32,
    pid: c_int,
    timeout: c_int,
    exists: *mut bool,
) -> c_int {
    border::enter(|| {
        border::wanted(exists)?;
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        let yes = client.run_within(
            ("process_exists", timeout),
            move |connection, deadline| async move {
                let client = connection.client(deadline).await?;
                Ok(client
                    .process_exists(Pnn(node), pid, deadline.left())
                    .await?)
            },
        )?;
        // SAFETY: checked above
        unsafe { border::put(exists, yes) };
        Ok(())
    })
}

/// A node's counters as a JSON object, to be freed with ctdbx_free(). Their names are upstream's
/// (ctdb-statistics(7)); more may be added.
///
/// # Safety
/// `client` is a valid handle, `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_statistics(
    client: *const ctdbx_client,
    node: u32,
    timeout: c_int,
    json: *mut *mut c_char,
) -> c_int {
    border::enter(|| {
        border::wanted(json)?;
        // SAFETY: the caller's
        let (_, counters) = unsafe { ask::<Statistics>(client, (node, timeout), ()) }?;
        let text = as_json(&counters)?;
        // SAFETY: checked above
        unsafe { border::put(json, text) };
        Ok(())
    })
}

/// As one line.
pub(super) fn as_json(value: &impl serde::Serialize) -> Outcome<*mut c_char> {
    let text = serde_json::to_string(value).map_err(|error| Failure::internal(&error.to_string()));
    memory::text(&text?)
}

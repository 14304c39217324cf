//! Controls: any by its number, and commands to nodes.

use std::ffi::{c_char, c_int, c_void};

use client::{Client, Pnn, RawAnswer, Srvid};
use wire::control::{ContinueNode, Control, DisableNode, EnableNode, SetBanState, StopNode};
use wire::packet::ControlFlags;
use wire::types::BanState;

use super::border::{self, Outcome};
use super::connection::ctdbx_client;
use super::failure::Failure;
use super::memory;
use super::state::Deadline;

/// For ctdbx_command(): no public addresses on the node any more.
pub const CTDBX_COMMAND_DISABLE: c_int = 1;
/// Ends that.
pub const CTDBX_COMMAND_ENABLE: c_int = 2;
/// The node leaves the databases.
pub const CTDBX_COMMAND_STOP: c_int = 3;
/// Ends that.
pub const CTDBX_COMMAND_CONTINUE: c_int = 4;

/// A daemon's answer to a control, to be freed with ctdbx_free().
#[repr(C)]
#[derive(Debug)]
pub struct ctdbx_reply {
    /// Negative: it refused. Some controls answer with this number alone.
    pub status: i32,
    /// The answer's data, with a NUL behind it that `size` does not count.
    pub data: *const u8,
    /// Bytes of it.
    pub size: usize,
    /// Why it refused; "" if it does not say.
    pub error: *const c_char,
}

/// Sends any control, and waits for the answer, whatever its status: docs/wire.md has their numbers
/// and the bytes that belong to each, in the byte order of the machine.
///
/// `address`: the control's SRVID field, which a few use as an argument. `flags`: the control's
/// flags. `*reply` is to be freed with ctdbx_free().
///
/// # Safety
/// `client` is a valid handle; `size` bytes can be read at `data`; `reply` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_control(
    client: *const ctdbx_client,
    node: u32,
    opcode: u32,
    address: u64,
    flags: u32,
    data: *const c_void,
    size: usize,
    timeout: c_int,
    reply: *mut *mut ctdbx_reply,
) -> c_int {
    border::enter(|| {
        border::wanted(reply)?;
        let flags = ControlFlags::from_bits_retain(flags);
        if flags.contains(ControlFlags::NOREPLY) || Pnn(node).is_broadcast() {
            return Err(Failure::invalid("nobody would answer"));
        }
        // SAFETY: the caller's
        let (client, data) = unsafe { (border::shared(client)?, border::bytes(data, size)?) };
        let (head, data) = ((opcode, Srvid(address), flags), data.to_vec());
        let answer = client.run_within(
            ("control", timeout),
            move |connection, deadline| async move {
                let client = connection.client(deadline).await?;
                let answer = client.raw_control(Pnn(node), head, &data, deadline.left());
                Ok(answer.await?)
            },
        )?;
        let answer = reply_of(&answer)?;
        // SAFETY: checked above
        unsafe { border::put(reply, answer) };
        Ok(())
    })
}

/// The data, a NUL, the text, a NUL.
fn reply_of(answer: &RawAnswer) -> Outcome<*mut ctdbx_reply> {
    let size = answer.data.len();
    let mut tail = answer.data.to_vec();
    tail.push(0);
    tail.extend_from_slice(answer.error_text().as_bytes());
    memory::with_tail(&tail, |data| ctdbx_reply {
        status: answer.status,
        data,
        size,
        // within the tail
        error: data.wrapping_add(size + 1).cast(),
    })
}

/// Sends a control that nobody answers, perhaps to many nodes (CTDBX_ALL_NODES and its like).
///
/// # Safety
/// `client` is a valid handle; `size` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_control_send(
    client: *const ctdbx_client,
    node: u32,
    opcode: u32,
    address: u64,
    flags: u32,
    data: *const c_void,
    size: usize,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let (client, data) = unsafe { (border::shared(client)?, border::bytes(data, size)?) };
        let flags = ControlFlags::from_bits_retain(flags);
        let (head, data) = ((opcode, Srvid(address), flags), data.to_vec());
        client.run(move |connection| async move {
            let client = connection.client_now();
            Ok(client.raw_notify_control(Pnn(node), head, &data)?)
        })
    })
}

/// Does one of CTDBX_COMMAND_* to a node. The node has noted it when this returns; what follows from
/// it takes its time.
///
/// # Safety
/// `client` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_command(
    client: *const ctdbx_client,
    node: u32,
    command: c_int,
    timeout: c_int,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        client.run_within(
            ("command", timeout),
            move |connection, deadline| async move {
                let client = connection.client(deadline).await?;
                match command {
                    CTDBX_COMMAND_DISABLE => plain::<DisableNode>(&client, node, deadline).await,
                    CTDBX_COMMAND_ENABLE => plain::<EnableNode>(&client, node, deadline).await,
                    CTDBX_COMMAND_STOP => plain::<StopNode>(&client, node, deadline).await,
                    CTDBX_COMMAND_CONTINUE => plain::<ContinueNode>(&client, node, deadline).await,
                    _ => Err(Failure::invalid("unknown command")),
                }
            },
        )
    })
}

async fn plain<C>(client: &Client, node: u32, deadline: Deadline) -> Outcome<()>
where
    C: Control<Request = ()>,
{
    let answer = client.control::<C>(Pnn(node), &(), deadline.left()).await;
    Ok(answer.map(drop)?)
}

/// Bans a node for some seconds; 0 ends the ban.
///
/// # Safety
/// `client` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_ban(
    client: *const ctdbx_client,
    node: u32,
    seconds: u32,
    timeout: c_int,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let client = unsafe { border::shared(client) }?;
        client.run_within(("ban", timeout), move |connection, deadline| async move {
            let client = connection.client(deadline).await?;
            // the control names the node that is meant: it does not ban itself in another's name
            let pnn = match Pnn(node) {
                Pnn::CURRENT => client.pnn(),
                other => other,
            };
            let ban = BanState { pnn, time: seconds };
            let answer = client.control::<SetBanState>(pnn, &ban, deadline.left());
            Ok(answer.await.map(drop)?)
        })
    })
}

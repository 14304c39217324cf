//! Global locks: named locks of the whole cluster, the same as those of Samba's `g_lock`.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use client::GLocks;
use wire::types::GLockMode;

use super::border::{self, Outcome};
use super::connection::ctdbx_client;
use super::failure::Failure;
use super::state::Deadline;
use super::task::{Answer, Orders, Ready, Task};
use super::transaction;

/// A global lock that is held. One thread at a time may use it, whichever.
#[derive(Debug)]
pub struct ctdbx_global_lock {
    client: Arc<ctdbx_client>,
    task: Task<Order>,
}

/// Releasing it: how long that may take.
#[derive(Debug)]
struct Order(Duration, Answer<()>);

impl ctdbx_global_lock {
    fn lock(
        client: Arc<ctdbx_client>,
        name: Vec<u8>,
        (mode, timeout): (GLockMode, c_int),
    ) -> Outcome<Self> {
        const NAME: &str = "global lock";
        let within = ("g_lock", timeout);
        let (task, ()) = client.run_within(within, move |connection, deadline| async move {
            let locks = connection.locks(deadline).await?;
            let of = connection.client(deadline).await?;
            let work = |ready, orders| hold((of, locks), (name, mode, deadline), ready, orders);
            Task::start(NAME, &connection, work).await
        })?;
        Ok(Self { client, task })
    }
}

/// The task: has the lock until it is told otherwise, or nobody is there to tell it.
async fn hold(
    (client, locks): (client::Client, GLocks),
    (name, mode, deadline): (Vec<u8>, GLockMode, Deadline),
    ready: Ready<()>,
    mut orders: Orders<Order>,
) {
    let lock = match locks.lock(&name, (mode, 0), deadline.left()).await {
        Ok(lock) => lock,
        Err(error) => return drop(ready.send(Err(error.into()))),
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    if let Some(Order(timeout, answer)) = orders.next(&client).await {
        let done = lock.unlock(timeout).await;
        let _ = answer.send(done.map_err(Into::into));
    }
}

/// Takes a global lock, waiting for those who have it, in the order of asking. `mode`: CTDBX_READ or
/// CTDBX_WRITE. The name is bytes; those of Samba's own tools are texts with their NUL counted.
/// A lock that is taken twice waits for itself.
///
/// `*lock` is to be given to ctdbx_g_unlock() in the end. The lock of a process that dies, or whose
/// connection ends, is found out and taken by those who wait.
///
/// # Safety
/// `client` is a valid handle; `size` bytes can be read at `name`; `lock` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_g_lock(
    client: *const ctdbx_client,
    name: *const c_void,
    size: usize,
    mode: c_int,
    timeout: c_int,
    lock: *mut *mut ctdbx_global_lock,
) -> c_int {
    border::enter(|| {
        border::wanted(lock)?;
        let mode = transaction::mode(mode)?;
        // SAFETY: the caller's
        let (client, name) = unsafe { (border::shared(client)?, border::bytes(name, size)?) };
        let held = ctdbx_global_lock::lock(client, name.to_vec(), (mode, timeout))?;
        // SAFETY: checked above
        unsafe { border::put(lock, Box::into_raw(Box::new(held))) };
        Ok(())
    })
}

/// Releases a global lock and frees its handle, whatever the result: when this returns
/// successfully, it is another's or free; otherwise others find out that it is.
///
/// # Safety
/// `lock` is a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_g_unlock(lock: *mut ctdbx_global_lock, timeout: c_int) -> c_int {
    border::enter(|| {
        if lock.is_null() {
            return Err(Failure::invalid("a handle is missing"));
        }
        // SAFETY: it came from a box, and the caller has given it up
        let lock = unsafe { Box::from_raw(lock) };
        let order = |answer| Order(border::limit(timeout), answer);
        lock.task.ask(&lock.client, order)
    })
}

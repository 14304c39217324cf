//! Transactions on persistent and replicated databases.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use client::{Database, GLocks};
use wire::types::GLockMode;

use super::border::{self, Outcome};
use super::connection::ctdbx_client;
use super::database::ctdbx_db;
use super::failure::Failure;
use super::memory::{self, ctdbx_blob};
use super::state::Deadline;
use super::task::{Answer, Orders, Ready, Task};

/// For ctdbx_begin() and ctdbx_g_lock(): together with other readers.
pub const CTDBX_READ: c_int = 0;
/// The same: alone.
pub const CTDBX_WRITE: c_int = 1;

/// How long cancelling may take.
const CANCEL: Duration = Duration::from_secs(10);

/// A transaction. One thread at a time may use it, whichever.
#[derive(Debug)]
pub struct ctdbx_transaction {
    client: Arc<ctdbx_client>,
    task: Task<Order>,
}

/// What is done in it.
#[derive(Debug)]
enum Order {
    Fetch((Vec<u8>, Duration), Answer<Vec<u8>>),
    Store((Vec<u8>, Vec<u8>), Answer<()>),
    Commit(Duration, Answer<()>),
    Cancel(Answer<()>),
}

/// CTDBX_READ or CTDBX_WRITE.
pub(super) fn mode(mode: c_int) -> Outcome<GLockMode> {
    match mode {
        CTDBX_READ => Ok(GLockMode::Read),
        CTDBX_WRITE => Ok(GLockMode::Write),
        _ => Err(Failure::invalid("neither CTDBX_READ nor CTDBX_WRITE")),
    }
}

impl ctdbx_transaction {
    fn begin(db: &ctdbx_db, mode: GLockMode, timeout: c_int) -> Outcome<Self> {
        const NAME: &str = "transaction";
        let of = db.key;
        let within = ("begin", timeout);
        let beginning = db
            .client
            .run_within(within, move |connection, deadline| async move {
                let db = connection.database(of, deadline).await?;
                let locks = connection.locks(deadline).await?;
                let work = |ready, orders| hold((db, locks), (mode, deadline), ready, orders);
                Task::start(NAME, &connection, work).await
            });
        let (task, ()) = beginning?;
        let client = db.client.clone();
        Ok(Self { client, task })
    }
}

/// The task: has the transaction until its end.
async fn hold(
    (db, locks): (Database, GLocks),
    (mode, deadline): (GLockMode, Deadline),
    ready: Ready<()>,
    mut orders: Orders<Order>,
) {
    let mut transaction = match db.begin(&locks, mode, deadline.left()).await {
        Ok(transaction) => transaction,
        Err(error) => return drop(ready.send(Err(error.into()))),
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    while let Some(order) = orders.next(db.client()).await {
        match order {
            Order::Fetch((key, timeout), answer) => {
                let found = transaction.fetch_within(&key, timeout).await;
                let _ = answer.send(found.map_err(Into::into));
            }
            Order::Store((key, value), answer) => {
                let stored = transaction.store(&key, &value);
                let _ = answer.send(stored.map_err(Into::into));
            }
            Order::Commit(timeout, answer) => {
                let done = transaction.commit(timeout).await;
                return drop(answer.send(done.map_err(Into::into)));
            }
            Order::Cancel(answer) => {
                let done = transaction.cancel(CANCEL).await;
                return drop(answer.send(done.map_err(Into::into)));
            }
        }
    }
}

/// Begins a transaction on a persistent or replicated database, waiting for others. `mode`:
/// CTDBX_READ or CTDBX_WRITE; a writer is alone in the cluster.
///
/// `*transaction` is to be given to ctdbx_commit() or ctdbx_cancel() in the end.
///
/// # Safety
/// `db` is a valid handle, `transaction` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_begin(
    db: *const ctdbx_db,
    mode: c_int,
    timeout: c_int,
    transaction: *mut *mut ctdbx_transaction,
) -> c_int {
    border::enter(|| {
        border::wanted(transaction)?;
        let mode = self::mode(mode)?;
        // SAFETY: the caller's
        let db = unsafe { border::shared(db) }?;
        let begun = ctdbx_transaction::begin(&db, mode, timeout)?;
        // SAFETY: checked above
        unsafe { border::put(transaction, Box::into_raw(Box::new(begun))) };
        Ok(())
    })
}

/// The value of a record as the transaction sees it, its own writes included; `size` is 0 if there
/// is none. `value->data` is to be freed with ctdbx_free().
///
/// # Safety
/// `transaction` is a valid handle; `size` bytes can be read at `key`; `value` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_transaction_fetch(
    transaction: *mut ctdbx_transaction,
    key: *const c_void,
    size: usize,
    timeout: c_int,
    value: *mut ctdbx_blob,
) -> c_int {
    border::enter(|| {
        border::wanted(value)?;
        // SAFETY: the caller's
        let (transaction, key) = unsafe { (border::own(transaction)?, border::bytes(key, size)?) };
        let order = |answer| Order::Fetch((key.to_vec(), border::limit(timeout)), answer);
        let found = transaction.task.ask(&transaction.client, order)?;
        let blob = memory::blob(&found)?;
        // SAFETY: checked above
        unsafe { border::put(value, blob) };
        Ok(())
    })
}

/// Writes a record with the commit; an empty value deletes it.
///
/// # Safety
/// `transaction` is a valid handle; the bytes at `key` and `value` can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_transaction_store(
    transaction: *mut ctdbx_transaction,
    key: *const c_void,
    key_size: usize,
    value: *const c_void,
    value_size: usize,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let (key, value) = unsafe {
            (
                border::bytes(key, key_size)?,
                border::bytes(value, value_size)?,
            )
        };
        // SAFETY: the caller's
        let transaction = unsafe { border::own(transaction) }?;
        let change = (key.to_vec(), value.to_vec());
        let order = |answer| Order::Store(change, answer);
        transaction.task.ask(&transaction.client, order)
    })
}

/// Writes everything on all active nodes, or nothing, and frees the handle, whatever the result.
///
/// CTDBX_COMMIT_UNKNOWN: it is on all nodes or will be on none. With any other error nothing is
/// written.
///
/// # Safety
/// `transaction` is a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_commit(
    transaction: *mut ctdbx_transaction,
    timeout: c_int,
) -> c_int {
    border::enter(|| {
        if transaction.is_null() {
            return Err(Failure::invalid("a handle is missing"));
        }
        // SAFETY: it came from a box, and the caller has given it up
        let transaction = unsafe { Box::from_raw(transaction) };
        let order = |answer| Order::Commit(border::limit(timeout), answer);
        transaction.task.ask(&transaction.client, order)
    })
}

/// Ends a transaction without writing anything and frees its handle; NULL is fine.
///
/// # Safety
/// `transaction` is NULL or a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_cancel(transaction: *mut ctdbx_transaction) {
    let _ = border::returning(|| {
        if transaction.is_null() {
            return Ok(());
        }
        // SAFETY: it came from a box, and the caller has given it up
        let transaction = unsafe { Box::from_raw(transaction) };
        transaction.task.ask(&transaction.client, Order::Cancel)
    });
}

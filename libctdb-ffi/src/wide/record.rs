//! Record locks: the record is here, and nobody else writes it.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use client::Database;

use super::border::{self, Outcome};
use super::connection::ctdbx_client;
use super::database::ctdbx_db;
use super::memory::ctdbx_view;
use super::state::Deadline;
use super::task::{Answer, Orders, Ready, Task};

/// A locked record. One thread at a time may use it, whichever.
#[derive(Debug)]
pub struct ctdbx_record {
    client: Arc<ctdbx_client>,
    task: Task<Order>,
    value: Vec<u8>,
    rsn: u64,
}

/// What is done with it.
#[derive(Debug)]
enum Order {
    Store(Vec<u8>, Answer<()>),
    Delete(Answer<()>),
    Unlock(Answer<()>),
}

/// What it begins with.
#[derive(Debug)]
struct Begun {
    value: Vec<u8>,
    rsn: u64,
}

impl ctdbx_record {
    fn lock(db: &ctdbx_db, key: Vec<u8>, timeout: c_int) -> Outcome<Self> {
        const NAME: &str = "record lock";
        let of = db.key;
        let within = ("lock_record", timeout);
        let locking = db
            .client
            .run_within(within, move |connection, deadline| async move {
                let db = connection.database(of, deadline).await?;
                let hold = |ready, orders| hold((db, key), deadline, ready, orders);
                Task::start(NAME, &connection, hold).await
            });
        let (task, Begun { value, rsn }) = locking?;
        Ok(Self {
            client: db.client.clone(),
            task,
            value,
            rsn,
        })
    }

    fn store(&mut self, value: &[u8]) -> Outcome<()> {
        let order = |answer| match value.is_empty() {
            true => Order::Delete(answer),
            false => Order::Store(value.to_vec(), answer),
        };
        self.task.ask(&self.client, order)?;
        self.value = value.to_vec();
        Ok(())
    }
}

/// The task: has the lock until it is told otherwise, or nobody is there to tell it.
async fn hold(
    (db, key): (Database, Vec<u8>),
    deadline: Deadline,
    ready: Ready<Begun>,
    mut orders: Orders<Order>,
) {
    let mut lock = match db.lock_record(&key, deadline.left()).await {
        Ok(lock) => lock,
        Err(error) => return drop(ready.send(Err(error.into()))),
    };
    let begun = Begun {
        value: lock.value().to_vec(),
        rsn: lock.header().rsn,
    };
    if ready.send(Ok(begun)).is_err() {
        return;
    }
    while let Some(order) = orders.next(db.client()).await {
        match order {
            Order::Store(value, answer) => tell(&answer, lock.store(&value)),
            Order::Delete(answer) => tell(&answer, lock.delete()),
            Order::Unlock(answer) => {
                drop(lock);
                return drop(answer.send(Ok(())));
            }
        }
    }
}

fn tell(answer: &Answer<()>, done: client::Result<()>) {
    // whoever asked waits for ever
    let _ = answer.send(done.map_err(Into::into));
}

/// Moves a record of a volatile database to this node and locks it, so that neither another process
/// of the cluster nor another handle of this one can touch it. A record that is not there is made,
/// without a value. Locks are meant to be short: the daemon, and processes that want other records,
/// may be waiting.
///
/// As many records as are wanted can be locked at a time, by one thread too: keep to an order that
/// all programs keep to. CTDBX_TIMED_OUT: not within `timeout`. `*record` is to be given to
/// ctdbx_unlock() in the end.
///
/// # Safety
/// `db` is a valid handle; `size` bytes can be read at `key`; `record` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_lock(
    db: *const ctdbx_db,
    key: *const c_void,
    size: usize,
    timeout: c_int,
    record: *mut *mut ctdbx_record,
) -> c_int {
    border::enter(|| {
        border::wanted(record)?;
        // SAFETY: the caller's
        let (db, key) = unsafe { (border::shared(db)?, border::bytes(key, size)?) };
        let locked = ctdbx_record::lock(&db, key.to_vec(), timeout)?;
        // SAFETY: checked above
        unsafe { border::put(record, Box::into_raw(Box::new(locked))) };
        Ok(())
    })
}

/// The value of a locked record, which is that of the last store; `size` is 0 if there is none.
///
/// # Safety
/// `record` is a valid handle, `value` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_value(record: *mut ctdbx_record, value: *mut ctdbx_view) -> c_int {
    border::enter(|| {
        border::wanted(value)?;
        // SAFETY: the caller's
        let record = unsafe { border::own(record) }?;
        // SAFETY: checked above
        unsafe { border::put(value, ctdbx_view::of(&record.value)) };
        Ok(())
    })
}

/// The record sequence number that a locked record had when it was locked; 0 if the handle is no
/// good.
///
/// # Safety
/// `record` is a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_rsn(record: *mut ctdbx_record) -> u64 {
    // SAFETY: the caller's
    border::returning(|| Ok(unsafe { border::own(record) }?.rsn)).unwrap_or(0)
}

/// Writes the value of a locked record; an empty one deletes it.
///
/// CTDBX_LOST: the connection ended, and the lock with it. Nothing was written.
///
/// # Safety
/// `record` is a valid handle; `size` bytes can be read at `value`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_store_locked(
    record: *mut ctdbx_record,
    value: *const c_void,
    size: usize,
) -> c_int {
    border::enter(|| {
        // SAFETY: the caller's
        let (record, value) = unsafe { (border::own(record)?, border::bytes(value, size)?) };
        record.store(value)
    })
}

/// Releases a record and frees its handle; NULL is fine. Others can have it when this returns.
///
/// # Safety
/// `record` is NULL or a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_unlock(record: *mut ctdbx_record) {
    let _ = border::returning(|| {
        if record.is_null() {
            return Ok(());
        }
        // SAFETY: it came from a box, and the caller has given it up
        let record = unsafe { Box::from_raw(record) };
        record.task.ask(&record.client, Order::Unlock)
    });
}

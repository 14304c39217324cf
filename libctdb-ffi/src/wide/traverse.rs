//! Seeing all records of a database.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Traverse, TraversedRecord};

use super::border::{self, Outcome};
use super::connection::ctdbx_client;
use super::database::ctdbx_db;
use super::failure::{CTDBX_END, Failure};
use super::memory::ctdbx_view;
use super::state::Deadline;
use super::task::{Answer, Orders, Ready, Task};

/// Records that cross to the program's thread at a time.
const BATCH: usize = 256;

/// A traverse under way. One thread at a time may use it, whichever.
#[derive(Debug)]
pub struct ctdbx_traverse {
    client: Arc<ctdbx_client>,
    task: Task<Order>,
    /// Those that are here already.
    records: VecDeque<TraversedRecord>,
    /// What the program looks at.
    current: Option<TraversedRecord>,
}

/// The next ones, none at the end.
#[derive(Debug)]
struct Order(Duration, Answer<VecDeque<TraversedRecord>>);

impl ctdbx_traverse {
    fn begin(db: &ctdbx_db, timeout: c_int) -> Outcome<Self> {
        let of = db.key;
        let within = ("traverse", timeout);
        let beginning = db
            .client
            .run_within(within, move |connection, deadline| async move {
                let db = connection.database(of, deadline).await?;
                let client = db.client().clone();
                let traverse = client.traverse(db.id(), deadline.left()).await?;
                let work = |ready, orders| show(client, traverse, ready, orders);
                Task::start("traverse", &connection, work).await
            });
        let (task, ()) = beginning?;
        Ok(Self {
            client: db.client.clone(),
            task,
            records: VecDeque::new(),
            current: None,
        })
    }

    fn next(&mut self, timeout: c_int) -> Outcome<&TraversedRecord> {
        if self.records.is_empty() {
            let order = |answer| Order(border::limit(timeout), answer);
            self.records = self.task.ask(&self.client, order)?;
        }
        self.current = self.records.pop_front();
        let end = || Failure::new(CTDBX_END, "there are no more records");
        self.current.as_ref().ok_or_else(end)
    }
}

/// The task.
async fn show(client: Client, mut traverse: Traverse, ready: Ready<()>, mut orders: Orders<Order>) {
    let mut failed = None;
    if ready.send(Ok(())).is_err() {
        return;
    }
    while let Some(Order(timeout, answer)) = orders.next(&client).await {
        let batch = match failed.take() {
            Some(failure) => Err(failure),
            None => batch(&mut traverse, Deadline::after(timeout), &mut failed).await,
        };
        let _ = answer.send(batch);
    }
}

/// Waits for one record, and takes those that are there with it. An error behind some waits for the
/// next time.
async fn batch(
    traverse: &mut Traverse,
    deadline: Deadline,
    failed: &mut Option<Failure>,
) -> Outcome<VecDeque<TraversedRecord>> {
    let first = async { Ok(traverse.next().await?) };
    let mut batch: VecDeque<_> = deadline
        .bound("traverse", first)
        .await?
        .into_iter()
        .collect();
    while !batch.is_empty() && batch.len() < BATCH {
        match tokio::time::timeout(Duration::ZERO, traverse.next()).await {
            Ok(Ok(Some(record))) => batch.push_back(record),
            Ok(Err(error)) => {
                *failed = Some(error.into());
                break;
            }
            Ok(Ok(None)) | Err(_) => break,
        }
    }
    Ok(batch)
}

/// Begins to show all records of a database, wherever in the cluster they are, in no order. Records
/// that are written meanwhile are shown as they were or as they are, or twice, or not.
///
/// `*traverse` is to be given to ctdbx_traverse_end() in the end.
///
/// # Safety
/// `db` is a valid handle, `traverse` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_traverse_begin(
    db: *const ctdbx_db,
    timeout: c_int,
    traverse: *mut *mut ctdbx_traverse,
) -> c_int {
    border::enter(|| {
        border::wanted(traverse)?;
        // SAFETY: the caller's
        let db = unsafe { border::shared(db) }?;
        let begun = ctdbx_traverse::begin(&db, timeout)?;
        // SAFETY: checked above
        unsafe { border::put(traverse, Box::into_raw(Box::new(begun))) };
        Ok(())
    })
}

/// The next record. CTDBX_END: there are no more. CTDBX_LIMIT: records came faster than they were
/// taken, and some were lost.
///
/// # Safety
/// `traverse` is a valid handle, `key` and `value` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_traverse_next(
    traverse: *mut ctdbx_traverse,
    timeout: c_int,
    key: *mut ctdbx_view,
    value: *mut ctdbx_view,
) -> c_int {
    border::enter(|| {
        border::wanted(key)?;
        border::wanted(value)?;
        // SAFETY: the caller's
        let record = unsafe { border::own(traverse) }?.next(timeout)?;
        // SAFETY: checked above
        unsafe {
            border::put(key, ctdbx_view::of(&record.key));
            border::put(value, ctdbx_view::of(&record.value));
        }
        Ok(())
    })
}

/// Ends a traverse, at any time, and frees its handle; NULL is fine.
///
/// # Safety
/// `traverse` is NULL or a valid handle, and is not used after this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctdbx_traverse_end(traverse: *mut ctdbx_traverse) {
    let _ = border::returning(|| {
        if !traverse.is_null() {
            // SAFETY: it came from a box, and the caller has given it up
            drop(unsafe { Box::from_raw(traverse) });
        }
        Ok(())
    });
}

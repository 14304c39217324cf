//! Things that live on the library's thread because they hold locks there: a task has each of them,
//! and takes orders until its handle is freed.

use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};

use client::Client;
use tokio::sync::{mpsc, oneshot};

use super::border::Outcome;
use super::connection::ctdbx_client;
use super::failure::Failure;
use super::state::Connection;

/// Where the answer to an order goes.
pub(super) type Answer<T> = SyncSender<Outcome<T>>;
/// Told once what the task began with, or why it did not begin.
pub(super) type Ready<T> = oneshot::Sender<Outcome<T>>;

/// The handle's end. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct Task<O> {
    /// There until the end.
    orders: Option<mpsc::UnboundedSender<O>>,
    process: u32,
    /// For errors.
    name: &'static str,
}

/// The task's end.
#[derive(Debug)]
pub(super) struct Orders<O> {
    queue: mpsc::UnboundedReceiver<O>,
    connection: Rc<Connection>,
}

impl<O: Send + 'static> Task<O> {
    /// Starts a task, on the library's thread, and waits until it is ready.
    pub(super) async fn start<T, F>(
        name: &'static str,
        connection: &Rc<Connection>,
        work: impl FnOnce(Ready<T>, Orders<O>) -> F,
    ) -> Outcome<(Self, T)>
    where
        T: 'static,
        F: Future<Output = ()> + 'static,
    {
        let (orders, queue) = mpsc::unbounded_channel();
        let (ready, begun) = oneshot::channel();
        let connection = connection.clone();
        tokio::task::spawn_local(work(ready, Orders { queue, connection }));
        let begun = begun.await.map_err(|_| Failure::lost(name))??;
        let task = Self {
            orders: Some(orders),
            process: std::process::id(),
            name,
        };
        Ok((task, begun))
    }

    /// Gives an order, and waits for the answer.
    pub(super) fn ask<T>(
        &self,
        client: &ctdbx_client,
        order: impl FnOnce(Answer<T>) -> O,
    ) -> Outcome<T> {
        client.check()?;
        let (answer, wait) = sync_channel(1);
        let lost = || Failure::lost(self.name);
        let orders = self.orders.as_ref().ok_or_else(lost)?;
        orders.send(order(answer)).map_err(|_| lost())?;
        wait.recv().unwrap_or_else(|_| Err(lost()))
    }
}

impl<O> Drop for Task<O> {
    fn drop(&mut self) {
        let orders = self.orders.take();
        if self.process != std::process::id() {
            // what it shares with the parent's thread may be locked for ever
            std::mem::forget(orders);
        }
    }
}

impl<O> Orders<O> {
    /// The next order; none when the handle or the connection is gone.
    pub(super) async fn next(&mut self, client: &Client) -> Option<O> {
        tokio::select! {
            biased;
            order = self.queue.recv() => order,
            () = self.connection.over(client) => None,
        }
    }
}

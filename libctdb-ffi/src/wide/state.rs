//! A connection as the library's thread sees it: which client it is now, and what has to be made
//! again when that changes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Database, GLocks, Patience, Pnn, Reconnecting, Srvid};
use tokio::sync::Notify;
use wire::types::DbFlags;

use super::border::Outcome;
use super::events::{CTDBX_EVENT_DISCONNECTED, CTDBX_EVENT_RECONNECTED, Event, Inbox};
use super::failure::Failure;
use super::subscription::Listener;

/// How long making things again may take after reconnecting, and the last words at the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end waits for the daemon to take what was sent.
const LAST_WORDS: Duration = Duration::from_secs(1);

thread_local! {
    static CONNECTIONS: RefCell<BTreeMap<u64, Rc<Connection>>> = const { RefCell::new(BTreeMap::new()) };
}

/// One `ctdbx_client`.
#[derive(Debug)]
pub(super) struct Connection {
    daemon: Reconnecting,
    reconnect: bool,
    now: RefCell<Client>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) databases: RefCell<BTreeMap<u64, Rc<Attached>>>,
    pub(super) listeners: RefCell<BTreeMap<u64, Rc<Listener>>>,
    /// What the daemon is to send when this connection ends.
    pub(super) notifications: RefCell<BTreeMap<Srvid, Vec<u8>>>,
    locks: tokio::sync::Mutex<Option<(Client, GLocks)>>,
    ended: Cell<bool>,
    end: Notify,
}

/// A database that is open, or will be again.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) name: String,
    pub(super) flags: DbFlags,
    open: RefCell<Option<Database>>,
}

/// When an operation of several steps has to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// From now on; one too far to be told is none.
    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// What is left, perhaps nothing.
    pub(super) fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }

    /// Gives something up at this time.
    pub(super) async fn bound<T>(
        self,
        name: &'static str,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        match tokio::time::timeout(self.left(), work).await {
            Ok(done) => done,
            Err(_) => Err(timed_out(name)),
        }
    }
}

fn timed_out(name: &'static str) -> Failure {
    let destination = Pnn::CURRENT;
    client::Error::TimedOut { name, destination }.into()
}

impl Connection {
    /// Connects, and adds itself to those of the thread.
    pub(super) async fn open(
        (id, inbox): (u64, Arc<Inbox>),
        path: &Path,
        reconnect: bool,
        timeout: Duration,
    ) -> Outcome<()> {
        let daemon = Reconnecting::new(path);
        let first = match reconnect {
            true => daemon.client(timeout).await?,
            false => {
                let connecting = async { Ok(Client::connect(path).await?) };
                Deadline::after(timeout)
                    .bound("connect", connecting)
                    .await?
            }
        };
        let connection = Rc::new(Self {
            daemon,
            reconnect,
            now: RefCell::new(first.clone()),
            inbox,
            databases: RefCell::default(),
            listeners: RefCell::default(),
            notifications: RefCell::default(),
            locks: tokio::sync::Mutex::default(),
            ended: Cell::new(false),
            end: Notify::new(),
        });
        tokio::task::spawn_local(connection.clone().watch(first));
        CONNECTIONS.with_borrow_mut(|all| all.insert(id, connection));
        Ok(())
    }

    /// The one with this number.
    pub(super) fn of(id: u64) -> Outcome<Rc<Self>> {
        let found = CONNECTIONS.with_borrow(|all| all.get(&id).cloned());
        found.ok_or_else(Failure::closed)
    }

    /// Ends it, and whatever waits for it.
    pub(super) async fn close(id: u64) {
        let Some(connection) = CONNECTIONS.with_borrow_mut(|all| all.remove(&id)) else {
            return;
        };
        connection.ended.set(true);
        connection.end.notify_waiters();
        connection.inbox.end();
        connection.forget_files().await;
        connection.listeners.take();
        // tasks that hold locks give them back before what they send is flushed
        tokio::task::yield_now().await;
        let client = connection.now.borrow().clone();
        if !client.is_closed() {
            let _ = client.flush(LAST_WORDS).await;
        }
    }

    /// Returns when it was closed.
    pub(super) async fn ended(&self) {
        let end = self.end.notified();
        tokio::pin!(end);
        // before looking, so that no end falls in between
        end.as_mut().enable();
        if !self.ended.get() {
            end.await;
        }
    }

    /// Returns when nothing of this client is worth anything any more.
    pub(super) async fn over(&self, client: &Client) {
        tokio::select! {
            () = client.closed() => {}
            () = self.ended() => {}
        }
    }

    /// The client of now; with reconnecting, one that lives.
    pub(super) async fn client(&self, deadline: Deadline) -> Outcome<Client> {
        let now = self.now.borrow().clone();
        if !self.reconnect || !now.is_closed() {
            return Ok(now);
        }
        Ok(self.daemon.client(deadline.left()).await?)
    }

    /// The client of now, whatever has become of it.
    pub(super) fn client_now(&self) -> Client {
        self.now.borrow().clone()
    }

    /// An attached database, opened again if need be.
    pub(super) async fn database(&self, key: u64, deadline: Deadline) -> Outcome<Database> {
        let attached = self.databases.borrow().get(&key).cloned();
        let attached = attached.ok_or_else(Failure::closed)?;
        attached.get(self, deadline).await
    }

    /// The global locks.
    pub(super) async fn locks(&self, deadline: Deadline) -> Outcome<GLocks> {
        let opening = async {
            let client = self.client(deadline).await?;
            let mut locks = self.locks.lock().await;
            if let Some((_, locks)) = locks.as_ref().filter(|(of, _)| !of.is_closed()) {
                return Ok(locks.clone());
            }
            *locks = None;
            let opened = GLocks::open_with(&client, Patience::Try, deadline.left()).await?;
            *locks = Some((client, opened.clone()));
            Ok(opened)
        };
        deadline.bound("g_lock", opening).await
    }

    /// A daemon that starts anew waits for those who have its files open.
    async fn forget_files(&self) {
        for attached in self.databases.borrow().values() {
            attached.open.take();
        }
        self.locks.lock().await.take();
    }

    /// Looks after the connection until it was closed.
    async fn watch(self: Rc<Self>, mut client: Client) {
        loop {
            self.over(&client).await;
            if self.ended.get() {
                return;
            }
            self.forget_files().await;
            self.tell(CTDBX_EVENT_DISCONNECTED);
            if !self.reconnect {
                return self.inbox.end();
            }
            client = tokio::select! {
                client = self.again() => client,
                () = self.ended() => return,
            };
        }
    }

    fn tell(&self, kind: i32) {
        self.inbox.put(Event {
            kind,
            ..Event::default()
        });
    }

    /// The next client, with everything that the last one had.
    async fn again(self: &Rc<Self>) -> Client {
        loop {
            let Ok(client) = self.daemon.client(Duration::MAX).await else {
                continue;
            };
            if self.restore(&client).await.is_ok() {
                *self.now.borrow_mut() = client.clone();
                self.tell(CTDBX_EVENT_RECONNECTED);
                return client;
            }
            // not again at once: a daemon that refuses will do so for a while
            tokio::time::sleep(LAST_WORDS).await;
        }
    }

    async fn restore(self: &Rc<Self>, client: &Client) -> Outcome<()> {
        let notifications = self.notifications.borrow().clone();
        for (srvid, data) in notifications {
            client.register_notify(srvid, data, PATIENCE).await?;
        }
        let listeners: Vec<_> = self.listeners.borrow().values().cloned().collect();
        for listener in listeners {
            listener.restore(self, client).await?;
        }
        Ok(())
    }
}

impl Attached {
    pub(super) fn new(name: String, flags: DbFlags) -> Self {
        Self {
            name,
            flags,
            open: RefCell::default(),
        }
    }

    pub(super) async fn get(
        &self,
        connection: &Connection,
        deadline: Deadline,
    ) -> Outcome<Database> {
        if let Some(db) = self.open.borrow().as_ref()
            && !db.client().is_closed()
        {
            return Ok(db.clone());
        }
        let opening = async {
            let client = connection.client(deadline).await?;
            let opened = client.open_database(&self.name, self.flags, deadline.left());
            // the thread is that of all connections: it must not sleep in a lock
            Ok(opened.await?.with_patience(Patience::Try))
        };
        let db = deadline.bound("attach", opening).await?;
        *self.open.borrow_mut() = Some(db.clone());
        Ok(db)
    }
}

//! A membership from the first action to the end of the program.
//!
//! Renewals never wait behind anything else: they have a lane of their own, where only the last that was asked for counts.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use cluster::coordinator::{Action, Notification};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use wire::Pnn;

use crate::api::{self, Api, Made};
use crate::http::Error;
use crate::json::Int;
use crate::view::View;

/// Between two attempts to watch.
const AGAIN: Duration = Duration::from_millis(300);
/// The end of a membership is not waited for longer.
const LEAVING: Duration = Duration::from_secs(1);

/// The membership that this program knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Membership {
    pnn: Pnn,
    lease: Int,
    revision: u64,
}

/// What all tasks share.
struct Shared {
    api: Api,
    prefix: String,
    membership: RefCell<Option<Membership>>,
    view: RefCell<View>,
    watch: RefCell<Option<JoinHandle<()>>>,
    out: UnboundedSender<Notification>,
    /// The last complaint, which is not repeated.
    complaint: RefCell<String>,
}

/// The program's work.
pub struct Session {
    shared: Rc<Shared>,
    commands: UnboundedSender<Action>,
    renewals: UnboundedSender<u64>,
}

impl Session {
    /// Starts its tasks, on the current local set. Notifications go to `out`.
    #[must_use]
    pub fn start(api: Api, prefix: String, out: UnboundedSender<Notification>) -> Self {
        let shared = Rc::new(Shared {
            api,
            view: RefCell::new(View::new(prefix.clone())),
            prefix,
            membership: RefCell::default(),
            watch: RefCell::default(),
            out,
            complaint: RefCell::default(),
        });
        let (commands, queue) = unbounded_channel();
        tokio::task::spawn_local(command_lane(shared.clone(), queue));
        let (renewals, queue) = unbounded_channel();
        tokio::task::spawn_local(renewal_lane(shared.clone(), queue));
        Self {
            shared,
            commands,
            renewals,
        }
    }

    /// Begins an action; true: it was the last.
    pub async fn act(&self, action: Action) -> bool {
        match action {
            Action::Renew { number } => drop(self.renewals.send(number)),
            Action::Leave => {
                let _ = tokio::time::timeout(LEAVING, self.shared.leave()).await;
                return true;
            }
            other => drop(self.commands.send(other)),
        }
        false
    }
}

async fn command_lane(shared: Rc<Shared>, mut queue: UnboundedReceiver<Action>) {
    while let Some(action) = queue.recv().await {
        let done = match action {
            Action::Join {
                number,
                pnn,
                incarnation,
                seconds,
            } => shared.join(number, pnn, incarnation, seconds).await,
            Action::Campaign => shared.campaign().await,
            Action::Resign => shared.resign().await,
            Action::Renew { .. } | Action::Leave => Ok(()),
        };
        shared.note(done);
        if matches!(action, Action::Join { .. }) && shared.membership.borrow().is_some() {
            watch(&shared);
        }
    }
}

async fn renewal_lane(shared: Rc<Shared>, mut queue: UnboundedReceiver<u64>) {
    while let Some(mut number) = queue.recv().await {
        while let Ok(later) = queue.try_recv() {
            number = later;
        }
        let done = shared.renew(number).await;
        shared.note(done);
    }
}

/// Watches from now on; a watch before this one ends.
fn watch(shared: &Rc<Shared>) {
    let task = tokio::task::spawn_local(watch_lane(shared.clone()));
    if let Some(old) = shared.watch.borrow_mut().replace(task) {
        old.abort();
    }
}

async fn watch_lane(shared: Rc<Shared>) {
    loop {
        if let Err(error) = shared.follow().await {
            shared.note(Err(error));
        }
        shared.api.turn();
        tokio::time::sleep(AGAIN).await;
    }
}

impl Shared {
    fn tell(&self, news: Notification) {
        // nobody listens any more: the program is about to end
        let _ = self.out.send(news);
    }

    fn note(&self, done: Result<(), Error>) {
        let reason = match done {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        let news = !reason.is_empty() && *self.complaint.borrow() != reason;
        self.complaint.replace(reason.clone());
        if news {
            self.tell(Notification::Failed { reason });
        }
    }

    fn member_key(&self, pnn: Pnn) -> String {
        format!("{}members/{pnn}", self.prefix)
    }

    fn leader_key(&self) -> String {
        format!("{}leader", self.prefix)
    }

    async fn join(
        &self,
        number: u64,
        pnn: Pnn,
        incarnation: u64,
        seconds: u32,
    ) -> Result<(), Error> {
        let value = incarnation.to_string();
        let taken_over = self.take_over(pnn, &value).await?;
        let (membership, seconds) = match taken_over {
            Some(found) => found,
            None => match self.enter(pnn, &value, seconds).await? {
                Some(made) => made,
                None => return Ok(()),
            },
        };
        self.membership.replace(Some(membership));
        let revision = membership.revision;
        self.tell(Notification::Joined {
            number,
            revision,
            seconds,
        });
        self.view.replace(View::new(self.prefix.clone()));
        self.look().await
    }

    /// The lease of this incarnation, if it still lives; that of another one is ended.
    async fn take_over(
        &self,
        pnn: Pnn,
        incarnation: &str,
    ) -> Result<Option<(Membership, u32)>, Error> {
        let Some(found) = self.api.get(&self.member_key(pnn)).await? else {
            return Ok(None);
        };
        if found.value.0 == incarnation {
            let seconds = self.api.keep_alive(found.lease).await?;
            let membership = Membership {
                pnn,
                lease: found.lease,
                revision: found.create_revision.revision(),
            };
            return Ok((seconds > 0).then_some((membership, seconds)));
        }
        self.api.revoke(found.lease).await?;
        Ok(None)
    }

    /// A new lease with the member key; none if another one has it.
    async fn enter(
        &self,
        pnn: Pnn,
        incarnation: &str,
        seconds: u32,
    ) -> Result<Option<(Membership, u32)>, Error> {
        let (lease, seconds) = self.api.grant(seconds).await?;
        let made = self
            .api
            .make(&self.member_key(pnn), incarnation, lease, None)
            .await?;
        let revision = match made {
            Made::Since(revision) => revision,
            // the answer to an earlier attempt was lost
            Made::Not(Some(found)) if found.lease == lease => found.create_revision.revision(),
            Made::Not(_) => {
                self.api.revoke(lease).await?;
                return Ok(None);
            }
        };
        let membership = Membership {
            pnn,
            lease,
            revision,
        };
        Ok(Some((membership, seconds)))
    }

    /// A lease lives on if its key is still there *behind* the renewal: an etcd member that has been deposed and does not
    /// know yet renews leases too, but does not answer this question.
    async fn renew(&self, number: u64) -> Result<(), Error> {
        let Some(membership) = *self.membership.borrow() else {
            return Ok(());
        };
        if self.api.keep_alive(membership.lease).await? == 0 {
            self.expired(membership);
            return Ok(());
        }
        self.look().await?;
        if self.view.borrow().member(membership.pnn) == Some(membership.revision) {
            self.tell(Notification::Renewed { number });
        } else {
            self.expired(membership);
        }
        Ok(())
    }

    fn expired(&self, membership: Membership) {
        let mut known = self.membership.borrow_mut();
        if *known == Some(membership) {
            *known = None;
            self.tell(Notification::Expired);
        }
    }

    async fn look(&self) -> Result<(), Error> {
        let keys = self.api.list(&self.prefix).await?;
        for news in self.view.borrow_mut().on_keys(&keys) {
            self.tell(news);
        }
        Ok(())
    }

    async fn campaign(&self) -> Result<(), Error> {
        let done = self.try_to_lead().await;
        if !matches!(done, Ok(true)) {
            self.tell(Notification::Contended);
        }
        done.map(|_| ())
    }

    async fn try_to_lead(&self) -> Result<bool, Error> {
        let Some(Membership {
            pnn,
            lease,
            revision,
        }) = *self.membership.borrow()
        else {
            return Ok(false);
        };
        let (key, member) = (self.leader_key(), self.member_key(pnn));
        let beside = Some((member.as_str(), revision));
        let made = self.api.make(&key, &pnn.to_string(), lease, beside).await?;
        let since = match made {
            Made::Since(since) => since,
            Made::Not(Some(found)) if found.lease == lease => found.create_revision.revision(),
            Made::Not(_) => return Ok(false),
        };
        // the watch says so, too; this is sooner
        let revision = since;
        self.tell(Notification::Leader { pnn, revision });
        Ok(true)
    }

    async fn resign(&self) -> Result<(), Error> {
        let Some(membership) = *self.membership.borrow() else {
            return Ok(());
        };
        self.api
            .remove(&self.leader_key(), &membership.pnn.to_string())
            .await
    }

    async fn leave(&self) -> Result<(), Error> {
        let membership = self.membership.take();
        match membership {
            Some(membership) => self.api.revoke(membership.lease).await,
            None => Ok(()),
        }
    }

    /// Tells all changes until the connection ends.
    async fn follow(&self) -> Result<(), Error> {
        let from = self.view.borrow().revision() + 1;
        let mut stream = self.api.watch(&self.prefix, from).await?;
        while let Some(line) = stream.next().await {
            match api::news(&line) {
                Ok(news) if news.canceled => break,
                Ok(news) => self.on_news(&news),
                Err(error) => {
                    let reason = format!("etcd's news cannot be read: {error}");
                    self.tell(Notification::Failed { reason });
                    break;
                }
            }
        }
        // whatever was missed
        self.look().await
    }

    fn on_news(&self, news: &api::News) {
        let mut view = self.view.borrow_mut();
        for change in &news.events {
            if let Some(news) = view.on_change(change) {
                self.tell(news);
            }
        }
        if let Some(last) = news.events.last() {
            view.advance(last.kv.mod_revision.revision());
        }
    }
}

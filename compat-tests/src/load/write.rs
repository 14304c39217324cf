//! Writes for tests in which daemons die: what was written, and when, is in a journal.
//!
//! Every write increments the counter of a key: of a volatile record under its lock, of a persistent or
//! replicated one in a transaction. Keys of volatile databases, `shared-0` to `shared-(N-1)`, are
//! written by all nodes; of the others there are as many again that only this node writes, `node2-0`
//! and so on.
//!
//! When the daemon is lost, the files are closed at once, since its next start waits for that. Then
//! this connects again, ten times a second, until SIGTERM.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Client, Database, Error, GLocks, Patience};
use nix::time::{ClockId, clock_gettime};

use super::meeting::Meeting;
use super::records::counter;
use super::run::Stop;
use super::summary::{Meter, Summary};
use super::{Model, Options, WRITE, Write};

/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_millis(100);
/// The longest that one step of a write may take.
const STEP: Duration = Duration::from_secs(20);
/// What a write that is under way gets at the end, before it counts as unknown.
const LAST: Duration = Duration::from_secs(3);

pub(super) async fn run(options: &Options, write: &Write) -> Result<Summary> {
    let mut stop = Stop::on_signal()?;
    let mut writer = Writer {
        write,
        journal: Journal::open(&write.journal, write.model)?,
        meter: Meter::start(),
        number: 0,
        stop: stop.clone(),
    };
    let mut client = connect(options, &stop).await.context("never connected")?;
    let node = client.pnn().0;
    let mut meeting = Meeting::open(&client, options.participants).await?;
    let met = meeting.exchange(0, Duration::from_secs(30)).await;
    met.context("the other participants")?;
    drop(meeting);
    if let Some(seconds) = options.seconds {
        stop.begin(seconds);
    }
    writer.stop = stop.clone();
    loop {
        if let Err(error) = writer.session(client).await {
            eprintln!("ctdb-load: {error:#}");
            tokio::time::sleep(AGAIN).await;
        }
        match connect(options, &stop).await {
            Some(again) => client = again,
            None => break,
        }
    }
    let measured = writer.meter.finish();
    Ok(measured.summary("write", (node, options.participants)))
}

/// Connects, however long that takes; none if it is over.
async fn connect(options: &Options, stop: &Stop) -> Option<Client> {
    let mut over = stop.over();
    while !stop.is_over() {
        let attempt = async {
            let client = Client::connect(&options.socket).await;
            if client.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
            client.ok()
        };
        tokio::select! {
            client = attempt => if client.is_some() {
                return client;
            },
            () = &mut over => return None,
        }
    }
    None
}

/// The writes of this process, one after the other.
struct Writer<'a> {
    write: &'a Write,
    journal: Journal,
    meter: Meter,
    number: u32,
    stop: Stop,
}

impl Writer<'_> {
    /// Writes until it is over, or the connection is lost.
    async fn session(&mut self, client: Client) -> Result<()> {
        let mut over = self.stop.over();
        let opening = Target::open(&client, self.write.model);
        let target = tokio::select! {
            target = opening => target?,
            () = &mut over => return Ok(()),
        };
        while !self.stop.is_over() && !client.is_closed() {
            let key = self.next_key(client.pnn().0);
            let begin = Instant::now();
            match self.one(&target, &key).await {
                Ok(()) => {
                    self.meter.done(begin.elapsed());
                    let next = begin + Duration::from_secs(1) / self.write.rate;
                    tokio::time::sleep_until(next.into()).await;
                }
                Err(error) => {
                    self.meter.failed();
                    ensure!(!is_final(&client, &error), error);
                    // a daemon that refuses at once is not to be asked without a pause
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        client.flush(STEP).await?;
        Ok(())
    }

    fn next_key(&mut self, node: u32) -> String {
        let keys = self.write.keys;
        let number = self.number % keys;
        let own = self.write.model != Model::Volatile && self.number / keys % 2 == 1;
        self.number = self.number.wrapping_add(1);
        match own {
            true => format!("node{node}-{number}"),
            false => format!("shared-{number}"),
        }
    }

    /// One write. At the end of the run it has a moment to be done.
    async fn one(&self, target: &Target, key: &str) -> client::Result<()> {
        let write = target.increment(&self.journal, key);
        tokio::pin!(write);
        tokio::select! {
            biased;
            done = &mut write => return done,
            () = self.stop.over() => {}
        }
        let done = tokio::time::timeout(LAST, write).await;
        done.unwrap_or(Err(Error::Disconnected))
    }
}

/// Whether nothing more can be done with this connection.
fn is_final(client: &Client, error: &Error) -> bool {
    client.is_closed() || matches!(error, Error::Disconnected | Error::Tdb(_))
}

/// What is written to.
struct Target {
    db: Database,
    /// For transactions.
    locks: Option<GLocks>,
}

impl Target {
    async fn open(client: &Client, model: Model) -> Result<Self> {
        let name = format!("load_write_{}.tdb", model.name());
        let db = client.open_database(&name, model.flags(), STEP).await?;
        let locks = match model {
            Model::Volatile => None,
            Model::Persistent | Model::Replicated => Some(GLocks::open(client, STEP).await?),
        };
        Ok(Self {
            db: db.with_patience(Patience::Try),
            locks,
        })
    }

    async fn increment(&self, journal: &Journal, key: &str) -> client::Result<()> {
        match &self.locks {
            None => self.increment_record(journal, key).await,
            Some(locks) => self.increment_by_transaction(locks, journal, key).await,
        }
    }

    async fn increment_record(&self, journal: &Journal, key: &str) -> client::Result<()> {
        let mut record = self.db.lock_record(key.as_bytes(), STEP).await?;
        let next = counter(record.value()).wrapping_add(1);
        record.store(&next.to_ne_bytes())?;
        // under the lock: what another node writes after this has a later time
        journal.note(key, next, Outcome::Done);
        Ok(())
    }

    async fn increment_by_transaction(
        &self,
        locks: &GLocks,
        journal: &Journal,
        key: &str,
    ) -> client::Result<()> {
        let mut transaction = self.db.begin(locks, WRITE, STEP).await?;
        let next = counter(&transaction.fetch(key.as_bytes())?).wrapping_add(1);
        transaction.store(key.as_bytes(), &next.to_ne_bytes())?;
        let tried = Tried::new(journal, key, next);
        let committed = transaction.commit(STEP).await;
        tried.is(match &committed {
            Ok(()) => Outcome::Done,
            Err(Error::CommitUnknown { .. }) => Outcome::Unknown,
            Err(_) => Outcome::NotDone,
        });
        committed
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Unknown,
    NotDone,
}

/// A commit that was begun. If nobody waits for its end, its outcome is unknown.
struct Tried<'a> {
    journal: &'a Journal,
    key: &'a str,
    counter: u64,
    outcome: Outcome,
}

impl<'a> Tried<'a> {
    fn new(journal: &'a Journal, key: &'a str, counter: u64) -> Self {
        Self {
            journal,
            key,
            counter,
            outcome: Outcome::Unknown,
        }
    }

    fn is(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        self.journal.note(self.key, self.counter, self.outcome);
    }
}

/// The file of what was written.
struct Journal {
    file: RefCell<File>,
    model: &'static str,
}

impl Journal {
    fn open(path: &Path, model: Model) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Ok(Self {
            file: RefCell::new(file.with_context(|| path.display().to_string())?),
            model: model.name(),
        })
    }

    /// One line with one system call, so that no kill leaves half of it.
    ///
    /// # Panics
    /// The file cannot be written: without it the whole run means nothing.
    fn note(&self, key: &str, counter: u64, outcome: Outcome) {
        let end = match outcome {
            Outcome::Done => "",
            Outcome::Unknown => " unknown",
            Outcome::NotDone => return,
        };
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock that always is");
        let now = Duration::from(now).as_nanos();
        let line = format!("{now} {} {key} {counter}{end}\n", self.model);
        let written = self.file.borrow_mut().write_all(line.as_bytes());
        written.expect("the journal can be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_has_a_line_for_each_write_that_may_be_done() {
        let path = std::env::temp_dir().join(format!("journal-{}", std::process::id()));
        let journal = Journal::open(&path, Model::Persistent).unwrap();
        Tried::new(&journal, "shared-1", 7).is(Outcome::Done);
        Tried::new(&journal, "shared-1", 8).is(Outcome::NotDone);
        drop(Tried::new(&journal, "node0-2", 9));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .collect();
        assert!(lines.iter().all(|(time, _)| time.parse::<u64>().is_ok()));
        assert_eq!(lines[0].1, "persistent shared-1 7");
        assert_eq!(lines[1].1, "persistent node0-2 9 unknown");
        assert_eq!(lines.len(), 2);
    }
}

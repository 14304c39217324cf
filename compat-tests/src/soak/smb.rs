//! SMB clients that open, write, read, lock, rename, delete and list, each in a thread of its own.
//!
//! Each has a directory that nobody else writes to, whose contents it knows, and counts with all others in shared files
//! ([`super::shared`]). A session that is lost is made anew, with a new directory; what was known of the old one is
//! looked at when all rest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};

use super::shared::{Count, Exclusion, Window};
use super::summary::lock;
use crate::cluster::SHARE;
use crate::deaths::series::monotonic;
use crate::hostile::chance::Chance;
use crate::smb2::{Connection, FileId, Open, Opened, Status};

/// Between two works of a client, and for as long it holds what keeps the others out, at most, in milliseconds.
const PAUSE: usize = 150;
const HOLD: usize = 20;
/// The longest that it waits for an answer: a recovery may pass meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);
/// Shared files of each kind.
const FILES: usize = 2;
/// Files that a client keeps.
const KEPT: usize = 8;
/// The longest file, in bytes.
const LONGEST: usize = 4000;
/// More than any file of a client.
const READ: u32 = 65_536;
/// What the shared counters take in their files.
const DIGITS: usize = 20;

/// What the clients of a run have done and met.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Works done, each of several requests.
    pub(super) works: u64,
    /// Counts by file.
    pub(super) counts: BTreeMap<String, Vec<Count>>,
    /// How often somebody was kept out.
    pub(super) kept_out: u64,
    /// Oplocks and leases that were asked back.
    pub(super) breaks: u64,
    /// What went wrong, and between when and when.
    pub(super) troubles: Vec<(Window, String)>,
    /// Contents that were not what they should be.
    pub(super) wrong: Vec<String>,
    /// Directories that nobody works in any more.
    left: Vec<Directory>,
}

/// A directory of a client: what has to be in it.
#[derive(Debug, Clone, Default)]
struct Directory {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Nobody knows whether they are there.
    unknown: BTreeSet<String>,
}

impl Directory {
    fn path(&self, file: &str) -> String {
        format!("{}\\{file}", self.name)
    }

    /// The directory has the files that it should have, and none besides.
    fn check_names(&self, found: Vec<String>) -> Result<()> {
        let found: BTreeSet<_> = found.into_iter().collect();
        let missing = self.files.keys().find(|name| !found.contains(*name));
        let is_known = |name: &String| self.files.contains_key(name) || self.unknown.contains(name);
        let strange = found.iter().find(|name| !is_known(name));
        ensure!(
            missing.is_none() && strange.is_none(),
            "{}: {missing:?} is missing, {strange:?} is there",
            self.name
        );
        Ok(())
    }
}

type Shared = Arc<Mutex<Done>>;

/// All clients at work. Its end is their end.
pub(super) struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// A client at each of these addresses. `done` goes on from an earlier time.
    pub(super) fn start(servers: &[IpAddr], chance: &mut Chance, done: Shared) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let client = |(number, server): (usize, &IpAddr)| Client {
            number,
            server: *server,
            chance: Chance::new(chance.next()),
            done: Arc::clone(&done),
            over: Arc::clone(&over),
            directory: Directory::default(),
            next: 0,
        };
        let clients: Vec<_> = servers.iter().enumerate().map(client).collect();
        let threads = clients
            .into_iter()
            .map(|client| std::thread::spawn(move || client.run()))
            .collect();
        Self { over, threads }
    }

    /// Ends them all.
    pub(super) fn stop(mut self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            ended.map_err(|_| anyhow!("an SMB client panicked"))?;
        }
        Ok(())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

struct Client {
    number: usize,
    server: IpAddr,
    chance: Chance,
    done: Shared,
    over: Arc<AtomicBool>,
    directory: Directory,
    /// Numbers of its files.
    next: u64,
}

impl Client {
    fn run(mut self) {
        while !self.is_over() {
            let from = monotonic().unwrap_or(0);
            if let Err(why) = self.session() {
                self.trouble(from, &why);
            }
            self.leave();
            self.pause();
        }
    }

    /// What it met since then.
    fn trouble(&self, from: u64, why: &Error) {
        let to = monotonic().unwrap_or(u64::MAX);
        let why = format!("client {} of {}: {why:#}", self.number, self.server);
        lock(&self.done, |done| {
            done.troubles.push((Window { from, to }, why));
        });
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn pause(&mut self) {
        let pause = self.chance.below(PAUSE);
        std::thread::sleep(Duration::from_millis(pause as u64));
    }

    fn leave(&mut self) {
        let left = std::mem::take(&mut self.directory);
        if !left.name.is_empty() {
            lock(&self.done, |done| done.left.push(left));
        }
    }

    /// One session, until it is lost: the error says which work it was, and the time is that of this work.
    fn session(&mut self) -> Result<()> {
        let mut session = Connection::open_share_within(self.server, SHARE, PATIENCE)?;
        self.next += 1;
        self.directory.name = format!("client{}-{:x}", self.number, self.chance.next());
        session.make_directory(&self.directory.name)?;
        while !self.is_over() {
            let from = monotonic()?;
            if let Err(why) = self.work(&mut session) {
                self.trouble(from, &why);
                return Ok(());
            }
            let breaks = session.take_breaks().len() as u64;
            lock(&self.done, |done| {
                done.works += 1;
                done.breaks += breaks;
            });
            self.pause();
        }
        Ok(())
    }

    fn work(&mut self, session: &mut Connection) -> Result<()> {
        match self.chance.below(10) {
            0 | 1 => self.write(session).context("write"),
            2 => self.read(session).context("read"),
            3 => self.rename(session).context("rename"),
            4 => self.delete(session).context("delete"),
            5 => self.list(session).context("list"),
            _ => self.count(session).context("count"),
        }
    }

    /// A new file, written and read.
    fn write(&mut self, session: &mut Connection) -> Result<()> {
        self.next += 1;
        let name = format!("file{}", self.next);
        let content = self.content();
        let path = self.directory.path(&name);
        self.directory.unknown.insert(name.clone());
        let file = session.must_open(&Open::creating(&path))?.file;
        session.write(file, &content)?.expect(Status::OK)?;
        self.check_content(session, file, &path, &content)?;
        session.close(file)?.expect(Status::OK)?;
        self.known(name, content);
        match self.directory.files.len() > KEPT {
            true => self.delete(session),
            false => Ok(()),
        }
    }

    fn content(&mut self) -> Vec<u8> {
        let length = 1 + self.chance.below(LONGEST);
        let mark = format!("{} {:x} ", self.number, self.chance.next());
        mark.into_bytes().into_iter().cycle().take(length).collect()
    }

    fn known(&mut self, name: String, content: Vec<u8>) {
        self.directory.unknown.remove(&name);
        self.directory.files.insert(name, content);
    }

    fn some_file(&mut self) -> Option<String> {
        let names: Vec<_> = self.directory.files.keys().cloned().collect();
        self.chance.pick(&names).cloned()
    }

    /// One of its files; until what is done with it has succeeded, nobody knows.
    fn take(&mut self) -> Option<(String, Vec<u8>)> {
        let name = self.some_file()?;
        let content = self.directory.files.remove(&name)?;
        self.directory.unknown.insert(name.clone());
        Some((name, content))
    }

    fn check_content(
        &self,
        session: &mut Connection,
        file: FileId,
        path: &str,
        content: &[u8],
    ) -> Result<()> {
        if let Some(wrong) = differs(session, file, content)? {
            let wrong = format!("client {}: {path}: {wrong}", self.number);
            lock(&self.done, |done| done.wrong.push(wrong));
        }
        Ok(())
    }

    fn read(&mut self, session: &mut Connection) -> Result<()> {
        let Some(name) = self.some_file() else {
            return Ok(());
        };
        let path = self.directory.path(&name);
        let content = self.directory.files[&name].clone();
        let file = session.must_open(&Open::reading(&path))?.file;
        self.check_content(session, file, &path, &content)?;
        session.close(file)?.expect(Status::OK)
    }

    fn rename(&mut self, session: &mut Connection) -> Result<()> {
        let Some((name, content)) = self.take() else {
            return Ok(());
        };
        self.next += 1;
        let to = format!("renamed{}", self.next);
        self.directory.unknown.insert(to.clone());
        let (from, path) = (self.directory.path(&name), self.directory.path(&to));
        session.rename(&from, &path)?.expect(Status::OK)?;
        self.directory.unknown.remove(&name);
        let file = session.must_open(&Open::reading(&path))?.file;
        self.check_content(session, file, &path, &content)?;
        session.close(file)?.expect(Status::OK)?;
        self.known(to, content);
        Ok(())
    }

    fn delete(&mut self, session: &mut Connection) -> Result<()> {
        let Some((name, _)) = self.take() else {
            return Ok(());
        };
        let path = self.directory.path(&name);
        session.delete(&path)?.expect(Status::OK)?;
        session.delete(&path)?.expect(Status::NOT_FOUND)?;
        self.directory.unknown.remove(&name);
        Ok(())
    }

    fn list(&mut self, session: &mut Connection) -> Result<()> {
        let found = session.list(&self.directory.name)?;
        if let Err(wrong) = self.directory.check_names(found) {
            lock(&self.done, |done| done.wrong.push(wrong.to_string()));
        }
        Ok(())
    }

    /// Adds one to a shared counter, unless somebody else does.
    fn count(&mut self, session: &mut Connection) -> Result<()> {
        let exclusion = *self.chance.pick(&Exclusion::ALL).context("none")?;
        let number = self.chance.below(FILES);
        let name = exclusion.file(number);
        let key = lease_key(self.number, number);
        let opened = match session.open(&exclusion.open(&name, key))? {
            Ok(opened) => opened,
            Err(Status::SHARING_VIOLATION) => return self.kept_out(),
            Err(status) => bail!("open of {name}: status {:#010x}", status.0),
        };
        let file = opened.file;
        match is_alone(session, exclusion, &opened)? {
            true => self.add_one(session, file, &name)?,
            false => self.kept_out()?,
        }
        session.close(file)?.expect(Status::OK)
    }

    fn kept_out(&self) -> Result<()> {
        lock(&self.done, |done| done.kept_out += 1);
        Ok(())
    }

    fn add_one(&mut self, session: &mut Connection, file: FileId, name: &str) -> Result<()> {
        let counter = read_counter(session, file)? + 1;
        let hold = self.chance.below(HOLD);
        std::thread::sleep(Duration::from_millis(hold as u64));
        let text = format!("{counter:DIGITS$}");
        session.write(file, text.as_bytes())?.expect(Status::OK)?;
        let count = Count {
            at: monotonic()?,
            counter,
            client: self.number,
        };
        lock(&self.done, |done| {
            let counts = done.counts.entry(name.to_owned()).or_default();
            counts.push(count);
        });
        Ok(())
    }
}

fn lease_key(client: usize, file: usize) -> [u8; 16] {
    let client = client as u64 + 1;
    let both = [client.to_le_bytes(), (file as u64).to_le_bytes()].concat();
    both.try_into().unwrap_or_default()
}

/// Whether what was granted keeps the others out.
fn is_alone(session: &mut Connection, exclusion: Exclusion, opened: &Opened) -> Result<bool> {
    Ok(match exclusion {
        Exclusion::ShareMode => true,
        Exclusion::Oplock => opened.oplock == 9,
        Exclusion::Lease => opened.lease == Some(7),
        Exclusion::ByteRange => match session.lock(opened.file, 0, DIGITS as u64)? {
            Status::OK => true,
            Status::LOCK_NOT_GRANTED => false,
            status => bail!("lock: status {:#010x}", status.0),
        },
    })
}

/// The number in a file; 0 in a new one.
fn read_counter(session: &mut Connection, file: FileId) -> Result<u64> {
    /// Nothing was to be read.
    const END_OF_FILE: Status = Status(0xC000_0011);
    match session.read(file, READ)? {
        Ok(text) if text.is_empty() => Ok(0),
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            let number = text.trim().parse();
            number.with_context(|| format!("a counter: {text:?}"))
        }
        Err(END_OF_FILE) => Ok(0),
        Err(status) => bail!("read of a counter: status {:#010x}", status.0),
    }
}

/// How the content differs from what it should be.
fn differs(session: &mut Connection, file: FileId, content: &[u8]) -> Result<Option<String>> {
    let found = session.read(file, READ)?;
    let found = found.map_err(|status| anyhow!("read: status {:#010x}", status.0))?;
    Ok((found != content).then(|| {
        format!(
            "{} bytes {:?}, not {} bytes {:?}",
            found.len(),
            String::from_utf8_lossy(&found[..found.len().min(24)]),
            content.len(),
            String::from_utf8_lossy(&content[..content.len().min(24)])
        )
    }))
}

/// While all rest: every directory that was left has what it should have, as another server shows it; then it is removed.
///
/// # Errors
/// Something is missing, is something else, or cannot be read.
pub(super) fn check_left(done: &Shared, server: IpAddr) -> Result<usize> {
    let left = lock(done, |done| std::mem::take(&mut done.left));
    let mut session = Connection::open_share_within(server, SHARE, PATIENCE)?;
    for directory in &left {
        let found = session.list(&directory.name)?;
        directory.check_names(found.clone())?;
        for (name, content) in &directory.files {
            let path = directory.path(name);
            let file = session.must_open(&Open::reading(&path))?.file;
            let differs = differs(&mut session, file, content)?;
            ensure!(differs.is_none(), "{path}: {}", differs.unwrap_or_default());
            session.close(file)?.expect(Status::OK)?;
        }
        for name in found {
            let deleted = session.delete(&directory.path(&name))?;
            deleted.expect(Status::OK).context(name)?;
        }
        let deleted = session.delete(&directory.name)?;
        deleted.expect(Status::OK).context(directory.name.clone())?;
    }
    Ok(left.len())
}

/// The shared counters as a server shows them, by file.
///
/// # Errors
/// One cannot be read.
pub(super) fn counters(server: IpAddr) -> Result<BTreeMap<String, u64>> {
    let mut session = Connection::open_share_within(server, SHARE, PATIENCE)?;
    let mut counters = BTreeMap::new();
    for exclusion in Exclusion::ALL {
        for number in 0..FILES {
            let name = exclusion.file(number);
            let file = session.must_open(&Open::reading(&name))?.file;
            counters.insert(name, read_counter(&mut session, file)?);
            session.close(file)?.expect(Status::OK)?;
        }
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_what_it_should_have_and_nothing_strange() {
        let directory = Directory {
            name: "d".to_owned(),
            files: BTreeMap::from([("a".to_owned(), vec![1])]),
            unknown: BTreeSet::from(["b".to_owned()]),
        };
        let check = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned());
            directory.check_names(names.collect())
        };
        check(&["a"]).unwrap();
        check(&["b", "a"]).unwrap();
        check(&["b"]).unwrap_err();
        check(&["a", "c"]).unwrap_err();
    }

    #[test]
    fn no_two_clients_have_the_same_lease() {
        let keys: BTreeSet<_> = (0..4)
            .flat_map(|client| (0..4).map(move |file| lease_key(client, file)))
            .collect();
        assert_eq!(keys.len(), 16);
        assert!(!keys.contains(&[0; 16]));
    }
}

//! A second process: this test binary again, obeying one command a line.

use std::{
    env,
    io::{BufRead, BufReader, Write, stdin},
    ops::ControlFlow,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio, abort},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use tdb::{Flags, OpenOptions, Result, StoreMode, Tdb};

const ROLE: &str = "TDB_TEST_PEER";
/// What an answer begins with, to tell it from the output of the test harness.
const MARK: char = '@';

pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

impl Peer {
    /// Starts a process that has `path` open with `flags`.
    pub(crate) fn start(path: &Path, flags: Flags) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "peer::peer", "--nocapture", "--test-threads=1"])
            .env(ROLE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(|line| line.ok()) {
                if let Some((_, answer)) = line.split_once(MARK) {
                    let _ = sender.send(answer.to_owned());
                }
            }
        });
        let mut peer = Self {
            child,
            stdin,
            answers,
        };
        assert_eq!(peer.ask(&format!("open {}", flags.bits())), "ok");
        peer
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").unwrap();
    }

    /// The next answer; `None` if none comes in time.
    pub(crate) fn answer(&self, timeout: Duration) -> Option<String> {
        self.answers.recv_timeout(timeout).ok()
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.send(command);
        self.answer(Duration::from_secs(20)).expect(command)
    }

    /// `kill -9`, and the end of it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test but the peer's `main`; in an ordinary run it does nothing.
#[test]
fn peer() {
    let Some(path) = env::var_os(ROLE) else {
        return;
    };
    let mut tdb = None;
    for line in stdin().lines() {
        let words: Vec<&str> = line.as_ref().unwrap().split(' ').collect();
        if let ["open", flags] = words[..] {
            let options = OpenOptions {
                hash_size: 101,
                flags: Flags::from_bits_retain(flags.parse().unwrap()),
                ..OpenOptions::default()
            };
            tdb = Some(Tdb::open(&path, &options).unwrap());
            println!("{MARK}ok");
            continue;
        }
        let answer = obey(tdb.as_ref().unwrap(), &words);
        println!("{MARK}{}", answer.unwrap_or_else(|error| error.to_string()));
    }
}

fn obey(tdb: &Tdb, words: &[&str]) -> Result<String> {
    let done = |()| "ok".to_owned();
    let said = |yes: bool| yes.to_string();
    match *words {
        ["lock", key] => tdb.lock_chain(key.as_bytes()).map(done),
        ["try-lock", key] => tdb.try_lock_chain(key.as_bytes()).map(said),
        ["unlock", key] => tdb.unlock_chain(key.as_bytes()).map(done),
        ["lock-read", key] => tdb.lock_chain_read(key.as_bytes()).map(done),
        ["lock-all"] => tdb.lock_all().map(done),
        ["try-lock-all"] => tdb.try_lock_all().map(said),
        ["unlock-all"] => tdb.unlock_all().map(done),
        ["store", key, value] => tdb
            .store(key.as_bytes(), value.as_bytes(), StoreMode::Replace)
            .map(done),
        ["fetch", key] => Ok(match tdb.fetch(key.as_bytes())? {
            Some(value) => String::from_utf8_lossy(&value).into_owned(),
            None => "none".to_owned(),
        }),
        // stands at the first record for a moment, and says so
        ["stand"] => tdb
            .traverse_read(|_, _| {
                println!("{MARK}standing");
                thread::sleep(Duration::from_millis(500));
                ControlFlow::Break(())
            })
            .map(|_| "ok".to_owned()),
        ["try-begin"] => tdb.try_begin().map(said),
        ["begin"] => tdb.begin().map(done),
        ["prepare-commit"] => tdb.prepare_commit().map(done),
        ["commit"] => tdb.commit().map(done),
        _ => abort(),
    }
}

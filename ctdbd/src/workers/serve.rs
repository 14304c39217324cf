//! The worker's side: one database, one job at a time, everything blocking.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use database::frozen::{Clerk, Order};
use database::io::WorkEvent;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tdb::{Flags, OpenOptions, Tdb};

use super::Job;
use super::apply::apply;
use super::protocol::{FrameError, Reply, Request, read_frame, write_frame};
use super::repack::repack;
use super::walk::{Filter, walk};
use super::whole::Whole;

/// What a worker is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The name, for the log.
    pub name: String,
    /// The tdb file; it exists.
    pub path: PathBuf,
    /// libtdb's open flags.
    pub flags: u32,
    /// Hash chains.
    pub hash_size: u32,
}

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] tdb::Error),
    /// The socket to ctdbd failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// ctdbd asked for something that the state of the worker does not allow.
    #[error("unexpected request {0:?}")]
    Unexpected(Request),
    /// A transaction could not be given up.
    #[error("a transaction could not be given up: {0}")]
    Transaction(String),
    /// ctdbd has ended in the middle of a job.
    #[error("ctdbd has gone away")]
    ParentGone,
}

impl From<nix::Error> for ServeError {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}

/// Does what ctdbd asks over `socket`, until its end.
///
/// # Errors
/// If the database cannot be opened (ctdbd is told so first), or the socket fails.
pub fn serve(database: &Database, mut socket: UnixStream) -> Result<(), ServeError> {
    if database.flags & Flags::MUTEX_LOCKING.bits() != 0 {
        // libtdb's check forks and handles SIGCHLD, so it comes before the thread; opening uses what it found
        let _ = tdb::mutexes_supported();
    }
    end_with_parent(&socket)?;
    let tdb = match open(database) {
        Ok(tdb) => tdb,
        Err(error) => {
            write_frame(
                &mut socket,
                &Reply::Unusable {
                    reason: error.to_string(),
                },
            )?;
            return Err(error.into());
        }
    };
    let mut worker = Worker {
        tdb: ManuallyDrop::new(tdb),
        socket,
        held: Held::Nothing,
        clerk: Clerk::default(),
    };
    while let Some(request) = read_frame(&mut worker.socket)? {
        worker.handle(request)?;
    }
    Ok(())
}

/// A thread that kills this process when ctdbd's end of the socket closes: the first thread may be waiting for a lock
/// inside libtdb, for ever.
fn end_with_parent(socket: &UnixStream) -> io::Result<()> {
    let socket = socket.try_clone()?;
    std::thread::Builder::new()
        .name("watch".into())
        .spawn(move || {
            // no events asked for: only the hang-up is reported
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
            while poll(&mut fds, PollTimeout::NONE) == Err(nix::Error::EINTR) {}
            kill(Pid::this(), Signal::SIGKILL)
        })?;
    Ok(())
}

fn open(database: &Database) -> Result<Tdb, tdb::Error> {
    let options = OpenOptions {
        hash_size: database.hash_size,
        flags: Flags::from_bits_retain(database.flags),
        create: false,
        ..OpenOptions::default()
    };
    Tdb::open(&database.path, &options)
}

enum Held {
    Nothing,
    Chain(Vec<u8>),
    All,
}

struct Worker {
    /// Never closed: that would unmap a mutex which is held, and then the kernel cannot find it any more when the process
    /// ends. The lock would stay for ever.
    tdb: ManuallyDrop<Tdb>,
    socket: UnixStream,
    held: Held,
    clerk: Clerk,
}

impl Worker {
    fn handle(&mut self, request: Request) -> Result<(), ServeError> {
        let reply = match (request, &self.held) {
            // of a traverse that is over
            (Request::Credit, _) => return Ok(()),
            (Request::Start(job), Held::Nothing) => match self.run(job)? {
                Some(reply) => reply,
                None => return Ok(()),
            },
            (Request::Order(order), Held::All) => return self.carry_out(order),
            (Request::Unlock, Held::Chain(_)) => self.unlock()?,
            (Request::Unlock, Held::All) => return self.end_of_recovery(),
            (request, _) => return Err(ServeError::Unexpected(request)),
        };
        Ok(write_frame(&mut self.socket, &reply)?)
    }

    /// Does a job; `None` if it has given its answer by itself.
    fn run(&mut self, job: Job) -> Result<Option<Reply>, ServeError> {
        Ok(Some(match job {
            Job::LockRecord { key } => {
                let locked = self.tdb.lock_chain(&key);
                self.locked(locked, Held::Chain(key))
            }
            Job::LockAll => {
                let locked = self.tdb.lock_all();
                self.locked(locked, Held::All)
            }
            Job::Commit { records, kind } => committed(apply(&self.tdb, &records, kind)),
            Job::Traverse {
                only_dmaster,
                with_empty,
            } => {
                let filter = Filter {
                    only_dmaster,
                    with_empty,
                };
                return walk(&self.tdb, &mut self.socket, filter).map(|()| None);
            }
            Job::Repack { limit } => match repack(&self.tdb, limit) {
                Ok((free, repacked)) => Reply::Repacked { free, repacked },
                Err(error) => Reply::Failed {
                    reason: error.to_string(),
                },
            },
        }))
    }

    /// Does something with the database that is held; the answers are given at once.
    fn carry_out(&mut self, order: Order) -> Result<(), ServeError> {
        let socket = &mut self.socket;
        let mut written = Ok(());
        let mut tell = |event| {
            let reply = match event {
                WorkEvent::Pulled(records) => Reply::Pulled(records),
                WorkEvent::Ordered(done) => Reply::Ordered(done),
                other => unreachable!("no answer to an order: {other:?}"),
            };
            written = write_frame(socket, &reply);
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        self.clerk
            .carry_out(&mut Whole(&self.tdb), order, &mut tell);
        Ok(written?)
    }

    fn locked(&mut self, result: Result<(), tdb::Error>, held: Held) -> Reply {
        match result {
            Ok(()) => {
                self.held = held;
                Reply::Locked
            }
            Err(error) => Reply::Failed {
                reason: error.to_string(),
            },
        }
    }

    /// A transaction over the whole database takes memory that nothing else here needs.
    fn end_of_recovery(&mut self) -> Result<(), ServeError> {
        let reply = self.unlock()?;
        write_frame(&mut self.socket, &reply)?;
        sys::memory::give_back();
        Ok(())
    }

    /// A lock that cannot be given back ends the worker, and with it the lock.
    fn unlock(&mut self) -> Result<Reply, ServeError> {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Chain(key) => self.tdb.unlock_chain(&key)?,
            Held::All => {
                if let Err(reason) = self.clerk.release(&mut Whole(&self.tdb)) {
                    return Err(ServeError::Transaction(reason));
                }
                self.tdb.unlock_all()?;
            }
            Held::Nothing => {}
        }
        Ok(Reply::Unlocked)
    }
}

fn committed(result: Result<(), super::apply::ApplyError>) -> Reply {
    match result {
        Ok(()) => Reply::Committed {
            status: 0,
            reason: String::new(),
        },
        Err(error) => Reply::Committed {
            status: 1,
            reason: error.to_string(),
        },
    }
}

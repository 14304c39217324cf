//! The library's one thread: it starts with the first connection and ends with the last.

use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::border::Outcome;
use super::failure::{CTDBX_FORKED, CTDBX_SYSTEM, Failure};
use crate::guard;

/// Said if a job ended without an answer.
const GONE: &str = "a job was not finished";

/// Runs on the thread.
type Job = Box<dyn FnOnce() + Send>;

/// A share in the thread: it runs as long as there is one.
#[derive(Debug)]
pub(super) struct Lease {
    /// There until the end.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    process: u32,
}

/// The thread of one process. A child made by `fork` gets one of its own, since the lock may be held
/// at that moment by a thread that the child does not have.
#[derive(Debug)]
struct Process {
    id: u32,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    leases: usize,
    jobs: mpsc::UnboundedSender<Job>,
    thread: JoinHandle<()>,
}

impl Process {
    fn current() -> &'static Self {
        static CURRENT: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());
        let id = std::process::id();
        loop {
            let known = CURRENT.load(Ordering::Acquire);
            // SAFETY: NULL, or made below and never freed
            if let Some(process) = unsafe { known.as_ref() }
                && process.id == id
            {
                return process;
            }
            let running = Mutex::default();
            let new = Box::into_raw(Box::new(Self { id, running }));
            let (order, other) = (Ordering::AcqRel, Ordering::Acquire);
            if CURRENT.compare_exchange(known, new, order, other).is_err() {
                // SAFETY: nobody else has seen it
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        // no panic leaves it half-changed
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Starts the thread, unless it runs.
    pub(super) fn new() -> Outcome<Self> {
        let process = Process::current();
        let mut running = process.lock();
        let running = match &mut *running {
            Some(running) => running,
            none => none.insert(start()?),
        };
        running.leases += 1;
        Ok(Self {
            jobs: Some(running.jobs.clone()),
            process: process.id,
        })
    }

    /// Whether this is the process that the thread is in.
    pub(super) fn check(&self) -> Outcome<()> {
        match self.process == std::process::id() {
            true => Ok(()),
            false => Err(Failure::new(
                CTDBX_FORKED,
                "the handle belongs to the parent of this process",
            )),
        }
    }

    /// Does something on the thread, and waits for it.
    pub(super) fn run<T, F>(&self, make: impl FnOnce() -> F + Send + 'static) -> Outcome<T>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + 'static,
    {
        self.check()?;
        let (answer, wait) = sync_channel(1);
        self.post(move || {
            tokio::task::spawn_local(async move {
                // whoever waits does so for ever
                let _ = answer.send(make().await);
            });
        })?;
        wait.recv().unwrap_or_else(|_| Err(Failure::internal(GONE)))
    }

    /// Does something on the thread, some time.
    pub(super) fn post(&self, job: impl FnOnce() + Send + 'static) -> Outcome<()> {
        self.check()?;
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(Box::new(job)));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(Failure::internal(GONE)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let jobs = self.jobs.take();
        if self.check().is_err() {
            // what it shares with the parent's thread may be locked for ever
            return std::mem::forget(jobs);
        }
        drop(jobs);
        let mut running = Process::current().lock();
        let Some(mut last) = running.take() else {
            return;
        };
        last.leases -= 1;
        if last.leases > 0 {
            *running = Some(last);
            return;
        }
        // the end of the queue ends the thread. A new one starts only when this one has closed its
        // files, hence under the lock
        drop(last.jobs);
        let _ = last.thread.join();
    }
}

fn start() -> Outcome<Running> {
    let failed = |error: std::io::Error| {
        Failure::new(
            CTDBX_SYSTEM,
            format!("cannot start the library's thread: {error}"),
        )
    };
    let (jobs, queue) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(failed)?;
    let thread = with_signals_blocked(|| {
        let thread = std::thread::Builder::new().name("ctdbx".to_owned());
        thread.spawn(move || {
            // also tasks that panic do so silently
            let _ = guard::catch(|| LocalSet::new().block_on(&runtime, work(queue)));
        })
    });
    Ok(Running {
        leases: 0,
        jobs,
        thread: thread.map_err(failed)?,
    })
}

async fn work(mut queue: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = queue.recv().await {
        job();
    }
}

/// A thread inherits its signal mask: the program's handlers never run on the library's, and a write
/// to a daemon that is gone raises no SIGPIPE.
fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: an all-zero set is overwritten before it is used
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: both sets are valid places
    unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
    }
    let done = work();
    // SAFETY: `before` was written above
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_lives_as_long_as_its_leases() {
        let one = Lease::new().unwrap();
        let two = Lease::new().unwrap();
        let name = || async { Ok(std::thread::current().name().map(str::to_owned)) };
        drop(one);
        assert_eq!(two.run(name).unwrap().as_deref(), Some("ctdbx"));
        let panics = two.run(|| async { panic!("not seen") as Outcome<()> });
        assert!(panics.is_err());
        assert!(two.run(name).is_ok(), "it survives a panic");
        drop(two);
        assert!(Lease::new().unwrap().run(name).is_ok());
    }
}

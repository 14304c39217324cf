//! An SMB client that lives through it all: it writes a file and reads it, again and again, at one public
//! address, and connects anew when it has lost its server.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::cluster::SHARE;
use crate::deaths::series::monotonic;
use crate::smb2::{Connection, Open, Status};

/// Between two files.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest that it waits for an answer: a recovery may pass meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// The client at work. Its end is the end of the work.
pub(super) struct Visitor {
    pub(super) server: IpAddr,
    over: Arc<AtomicBool>,
    working: Option<JoinHandle<Vec<u64>>>,
}

impl Visitor {
    pub(super) fn start(server: IpAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let work = move || {
            let mut done = Vec::new();
            while !until.load(Ordering::Relaxed) {
                // what it says of a server that is gone is not news
                let _ = visit(server, &until, &mut done);
                std::thread::sleep(PAUSE);
            }
            done
        };
        Self {
            server,
            over,
            working: Some(std::thread::spawn(work)),
        }
    }

    /// Ends it: when each file was done, by the clock of the journals.
    pub(super) fn end(mut self) -> Result<Vec<u64>> {
        self.over.store(true, Ordering::Relaxed);
        let Some(working) = self.working.take() else {
            return Ok(Vec::new());
        };
        working
            .join()
            .map_err(|_| anyhow!("an SMB client panicked"))
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// One session, until it is lost.
fn visit(server: IpAddr, over: &AtomicBool, done: &mut Vec<u64>) -> Result<()> {
    let mut session = Connection::open_share_within(server, SHARE, PATIENCE)?;
    let name = format!("visit-{server}");
    while !over.load(Ordering::Relaxed) {
        let text = format!("{}", done.len());
        let file = session.must_open(&Open::creating(&name))?.file;
        session.write(file, text.as_bytes())?.expect(Status::OK)?;
        let read = session.read(file, 100)?;
        ensure!(read == Ok(text.into_bytes()), "the file is another");
        session.close(file)?.expect(Status::OK)?;
        done.push(monotonic()?);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

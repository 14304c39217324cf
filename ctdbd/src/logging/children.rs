//! What helpers and scripts write on their standard output and error belongs into the log, as in C: line by line, at
//! `script log level` (`ctdb_set_child_logging`, 4.17.12).

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use config::LogLevel;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tracing::{debug, error, info, trace, warn};

/// A longer line is cut into pieces, so that nobody takes the daemon's memory.
const LONGEST: usize = 1024;

/// What tells their lines from ours.
pub(super) const TARGET: &str = module_path!();

/// Where children are to write: what this process has itself, or the end of a pipe that is read into the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Children(Arc<OnceLock<OwnedFd>>);

impl Children {
    /// Reads what children write from now on.
    pub(super) fn collect(&self, level: LogLevel) -> io::Result<()> {
        let (sender, receiver) = pipe::pipe()?;
        // children write as they are used to; only the reader must not wait
        let sender = sender.into_blocking_fd()?;
        if self.0.set(sender).is_ok() {
            tokio::spawn(read(receiver, level));
        }
        Ok(())
    }

    pub(super) fn stdio(&self) -> Stdio {
        let clone = self.0.get().and_then(|pipe| pipe.try_clone().ok());
        clone.map_or_else(Stdio::inherit, Stdio::from)
    }
}

async fn read(mut receiver: pipe::Receiver, level: LogLevel) {
    let mut lines = Lines::default();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = receiver.read(&mut buffer).await {
        for line in lines.take(&buffer[..count]) {
            log(level, &String::from_utf8_lossy(&line));
        }
    }
}

fn log(level: LogLevel, line: &str) {
    match level.rounded() {
        LogLevel::ERROR => error!("{line}"),
        LogLevel::WARNING => warn!("{line}"),
        LogLevel::NOTICE => info!("{line}"),
        LogLevel::INFO => debug!("{line}"),
        _ => trace!("{line}"),
    }
}

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The lines that are whole now, without their end.
    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' => whole.push(std::mem::take(&mut self.0)),
                byte => self.0.push(byte),
            }
            if self.0.len() >= LONGEST {
                whole.push(std::mem::take(&mut self.0));
            }
        }
        for line in &mut whole {
            line.pop_if(|last| *last == b'\r');
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_bounded() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"on"), [b""; 0]);
        assert_eq!(lines.take(b"e\r\ntwo\n\nth"), [&b"one"[..], b"two", b""]);
        assert_eq!(lines.take(b"ree\n"), [b"three"]);
        let long = lines.take(&[b'x'; 2500]);
        assert_eq!(long.iter().map(Vec::len).collect::<Vec<_>>(), [1024, 1024]);
    }
}

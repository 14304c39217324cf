//! Standard input as a sign of life: it ends when whoever holds the other end does.
//!
//! `ctdb-clusterd` watches ctdbd so, and in test mode ctdbd its test. Nothing is ever read and no flag is set: several
//! daemons of one test have the same pipe, and a script may want what is in it.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use client::socket;
use nix::sys::stat::{SFlag, fstat};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Returns when standard input has ended; never if it is nothing that can be watched (a file, a terminal, /dev/null).
pub(crate) async fn ended(kinds: &[SFlag]) {
    match watched(kinds) {
        Ok(Some(input)) => hung_up(&input).await,
        Ok(None) => pending().await,
        Err(error) => {
            tracing::warn!(%error, "cannot watch standard input, its end will go unnoticed");
            pending().await
        }
    }
}

async fn hung_up(input: &AsyncFd<OwnedFd>) {
    while let Ok(mut guard) = input.ready(Interest::READABLE).await {
        if guard.ready().is_read_closed() {
            return;
        }
        guard.clear_ready();
    }
}

fn watched(kinds: &[SFlag]) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let kind = SFlag::from_bits_truncate(fstat(&stdin)?.st_mode) & SFlag::S_IFMT;
    if !kinds.contains(&kind) {
        return Ok(None);
    }
    socket::watched(stdin, Interest::READABLE).map(Some)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_end_of_a_pipe_is_seen_behind_what_is_in_it() {
        let (reader, mut writer) = io::pipe().unwrap();
        let input = socket::watched(OwnedFd::from(reader), Interest::READABLE).unwrap();
        writer.write_all(b"for somebody else").unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), hung_up(&input)).await;
        assert!(early.is_err());
        drop(writer);
        let late = tokio::time::timeout(Duration::from_secs(10), hung_up(&input)).await;
        assert!(late.is_ok());
    }
}

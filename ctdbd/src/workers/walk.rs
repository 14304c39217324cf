//! A traverse: every wanted record of the database, in batches that wait to be asked for.
//!
//! The walk holds a lock on the record it has arrived at, so it goes on while nobody takes its batches, up to
//! [`AHEAD`] bytes; only then it stops and waits.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tdb::Tdb;
use wire::Pnn;
use wire::types::RecordHeader;

use super::Records;
use super::protocol::{Reply, Request, read_frame, write_frame};
use super::serve::ServeError;

/// A batch is sent once it has this many bytes of keys and values.
const BATCH: usize = 64 << 10;
/// Bytes that may wait here to be asked for while the walk goes on.
const AHEAD: usize = 16 << 20;
/// Batches that may be sent before the first credit.
pub(super) const WINDOW: u32 = 4;

/// Which records are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Only those of this data master.
    pub only_dmaster: Option<Pnn>,
    /// Also those without a value.
    pub with_empty: bool,
}

impl Filter {
    /// The rule of `ctdb_traverse_local_fn`, 4.17.12; but something too short for a header has no data master.
    #[must_use]
    pub fn wants(self, stored: &[u8]) -> bool {
        let Some(dmaster) = self.only_dmaster else {
            return true;
        };
        let split = RecordHeader::split(stored);
        split.is_ok_and(|(h, value)| h.dmaster == dmaster && (self.with_empty || !value.is_empty()))
    }
}

/// Walks the database and sends what is wanted.
///
/// # Errors
/// Only those of the socket; a walk that libtdb broke off is a [`Reply::Failed`].
pub(super) fn walk(tdb: &Tdb, socket: &mut UnixStream, filter: Filter) -> Result<(), ServeError> {
    let mut outbox = Outbox::new(socket);
    let mut broken = None;
    let walked = tdb.traverse_read(|key, data| {
        let sent = if filter.wants(data) {
            outbox.push(key, data)
        } else {
            Ok(())
        };
        match sent {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = broken {
        return Err(error);
    }
    let count = outbox.finish()?;
    let reply = match walked {
        Ok(_) => Reply::Traversed { count },
        Err(error) => Reply::Failed {
            reason: error.to_string(),
        },
    };
    Ok(write_frame(socket, &reply)?)
}

/// Batches on their way out.
struct Outbox<'a> {
    socket: &'a mut UnixStream,
    /// The one being filled, and its bytes.
    batch: Records,
    size: usize,
    /// Those that wait for a credit, with their bytes.
    waiting: VecDeque<(Reply, usize)>,
    waiting_size: usize,
    credits: u32,
    count: u64,
}

impl<'a> Outbox<'a> {
    fn new(socket: &'a mut UnixStream) -> Self {
        Self {
            socket,
            batch: Vec::new(),
            size: 0,
            waiting: VecDeque::new(),
            waiting_size: 0,
            credits: WINDOW,
            count: 0,
        }
    }

    fn push(&mut self, key: &[u8], data: &[u8]) -> Result<(), ServeError> {
        self.batch.push((key.to_vec(), data.to_vec()));
        self.size += key.len() + data.len();
        self.count += 1;
        if self.size < BATCH {
            return Ok(());
        }
        self.seal();
        while self.is_readable()? {
            self.read_credit()?;
        }
        self.send_up_to_credits()?;
        while self.waiting_size > AHEAD {
            self.read_credit()?;
            self.send_up_to_credits()?;
        }
        Ok(())
    }

    /// Sends all that is left; tells how many records there were.
    fn finish(mut self) -> Result<u64, ServeError> {
        if !self.batch.is_empty() {
            self.seal();
        }
        self.send_up_to_credits()?;
        while !self.waiting.is_empty() {
            self.read_credit()?;
            self.send_up_to_credits()?;
        }
        Ok(self.count)
    }

    fn seal(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let size = std::mem::take(&mut self.size);
        self.waiting.push_back((Reply::Records(batch), size));
        self.waiting_size += size;
    }

    fn send_up_to_credits(&mut self) -> Result<(), ServeError> {
        while self.credits > 0
            && let Some((batch, size)) = self.waiting.pop_front()
        {
            write_frame(self.socket, &batch)?;
            self.waiting_size -= size;
            self.credits -= 1;
        }
        Ok(())
    }

    fn is_readable(&self) -> Result<bool, ServeError> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, PollTimeout::ZERO)? > 0)
    }

    fn read_credit(&mut self) -> Result<(), ServeError> {
        match read_frame(self.socket)? {
            Some(Request::Credit) => self.credits += 1,
            Some(other) => return Err(ServeError::Unexpected(other)),
            None => return Err(ServeError::ParentGone),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wire::coding::Encode;

    use super::*;

    fn stored(dmaster: Pnn, value: &[u8]) -> Vec<u8> {
        let header = RecordHeader {
            dmaster,
            ..RecordHeader::default()
        };
        [&header.to_bytes(), value].concat()
    }

    #[test]
    fn only_own_records_with_a_value() {
        let filter = Filter {
            only_dmaster: Some(Pnn(1)),
            with_empty: false,
        };
        assert!(filter.wants(&stored(Pnn(1), b"x")));
        assert!(!filter.wants(&stored(Pnn(2), b"x")));
        assert!(!filter.wants(&stored(Pnn(1), b"")));
        let filter = Filter {
            with_empty: true,
            ..filter
        };
        assert!(filter.wants(&stored(Pnn(1), b"")));
        assert!(!filter.wants(b"short"));
    }

    #[test]
    fn without_a_data_master_everything() {
        let filter = Filter {
            only_dmaster: None,
            with_empty: false,
        };
        assert!(filter.wants(b"") && filter.wants(&stored(Pnn(2), b"")));
    }

    #[test]
    fn no_more_batches_than_credits() -> Result<(), ServeError> {
        let (mut ours, mut theirs) = UnixStream::pair()?;
        let mut outbox = Outbox::new(&mut ours);
        for key in 0..20_u32 {
            outbox.push(&key.to_ne_bytes(), &[0; 32 << 10])?;
            let reader = PollFd::new(theirs.as_fd(), PollFlags::POLLIN);
            if poll(&mut [reader], PollTimeout::ZERO)? > 0 && key < 8 {
                assert!(matches!(read_frame(&mut theirs)?, Some(Reply::Records(_))));
            }
        }
        assert_eq!((outbox.credits, outbox.waiting.len()), (0, 6));
        write_frame(&mut theirs, &Request::Credit)?;
        outbox.push(b"last", &[0; BATCH])?;
        assert_eq!((outbox.credits, outbox.waiting.len()), (0, 6));
        Ok(())
    }
}

//! The local clients: their processes, and the messages that announce their end.

use std::collections::BTreeMap;

use wire::{ClientId, Srvid};

/// Calls of a client that may wait for their answers: smbd has one. While a database is frozen all of them wait.
const CALLS: usize = 100_000;
/// Together, in bytes.
const CALL_BYTES: usize = 256 << 20;

/// One connection to the daemon's socket.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) pid: i32,
    /// Sent to all nodes when the client is gone (REGISTER_NOTIFY).
    pub(super) notify: BTreeMap<Srvid, Vec<u8>>,
    waiting: Waiting,
}

/// Calls that are not answered yet, and about how many bytes they have.
#[derive(Debug, Default)]
struct Waiting {
    calls: usize,
    bytes: usize,
}

impl Waiting {
    /// False: these are too many.
    fn add(&mut self, length: usize) -> bool {
        self.calls += 1;
        self.bytes += length;
        self.calls <= CALLS && self.bytes <= CALL_BYTES
    }

    /// One was answered; which one is not looked up, so it counts as one of average length.
    fn answered(&mut self) {
        let average = self.bytes.checked_div(self.calls).unwrap_or(0);
        self.bytes -= average;
        self.calls = self.calls.saturating_sub(1);
    }
}

/// All local clients.
#[derive(Debug, Default)]
pub(super) struct Clients(BTreeMap<ClientId, Client>);

impl Clients {
    pub(super) fn add(&mut self, client: ClientId, pid: i32) {
        self.0.insert(
            client,
            Client {
                pid,
                ..Client::default()
            },
        );
    }

    pub(super) fn remove(&mut self, client: ClientId) -> Option<Client> {
        self.0.remove(&client)
    }

    pub(super) fn get_mut(&mut self, client: ClientId) -> Option<&mut Client> {
        self.0.get_mut(&client)
    }

    /// A client calls; false if too many of its calls wait.
    pub(super) fn calls(&mut self, client: ClientId, length: usize) -> bool {
        let client = self.0.get_mut(&client);
        client.is_none_or(|client| client.waiting.add(length))
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, client: ClientId) {
        if let Some(client) = self.0.get_mut(&client) {
            client.waiting.answered();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.0.iter().map(|(id, client)| (*id, client))
    }

    /// The clients of a process; one process may have many connections.
    pub(super) fn of_process(&self, pid: i32) -> impl Iterator<Item = ClientId> + '_ {
        self.0
            .iter()
            .filter(move |(_, client)| client.pid == pid)
            .map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_wait_are_bounded_by_number_and_by_bytes() {
        let mut waiting = Waiting::default();
        assert!((0..CALLS).all(|_| waiting.add(100)));
        assert!(!waiting.add(100));
        let mut waiting = Waiting::default();
        assert!(waiting.add(CALL_BYTES));
        assert!(!waiting.add(1));
    }

    #[test]
    fn answers_make_room() {
        let mut waiting = Waiting::default();
        for _ in 0..10 {
            for length in [1, CALL_BYTES / 4] {
                assert!(waiting.add(length));
            }
            waiting.answered();
            waiting.answered();
            assert_eq!((waiting.calls, waiting.bytes), (0, 0));
        }
        waiting.answered();
        assert_eq!((waiting.calls, waiting.bytes), (0, 0));
    }
}
